//! c = a·b on slices, by the `gemm` crate: the one place that calls it.
//!
//! Its threads share out blocks of c, and each element is one chain of fused multiply-adds over the inner dimension,
//! cut by cache sizes and shapes only: the number of threads changes no bit (a test here asserts it; so would an
//! upgrade of the crate have to).

use gemm::Parallelism;

/// A matrix in a slice: element (i, j) at `values[i·row_stride + j·column_stride]`.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, T> {
    values: &'a [T],
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// Row-major with this many columns.
    pub fn new(values: &'a [T], columns: usize) -> Self {
        Self { values, row_stride: columns, column_stride: 1 }
    }

    /// The transposed matrix.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self { values: self.values, row_stride: self.column_stride, column_stride: self.row_stride }
    }

    fn holds(&self, rows: usize, columns: usize) -> bool {
        let last = |count: usize, stride: usize| (count - 1).checked_mul(stride);
        rows == 0
            || columns == 0
            || last(rows, self.row_stride)
                .zip(last(columns, self.column_stride))
                .and_then(|(row, column)| row.checked_add(column))
                .is_some_and(|last| last < self.values.len())
    }
}

/// How c lies in its slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Rows one after another.
    Rows,
    /// Columns one after another.
    Columns,
}

/// Who computes a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The caller's thread: where chunks run side by side.
    One,
    /// The current rayon pool.
    Pool,
}

mod sealed {
    use std::mem::MaybeUninit;

    /// A number that the `gemm` crate multiplies.
    pub trait Real: Copy + Place<Self> + 'static {
        const ZERO: Self;
        const ONE: Self;
    }

    impl Real for f32 {
        const ZERO: Self = 0.0;
        const ONE: Self = 1.0;
    }

    impl Real for f64 {
        const ZERO: Self = 0.0;
        const ONE: Self = 1.0;
    }

    /// An element of c, initialised or not: numbers are written to it, and nothing is read.
    pub trait Place<T> {
        fn put(&mut self, value: T);
    }

    impl<T> Place<T> for MaybeUninit<T> {
        fn put(&mut self, value: T) {
            self.write(value);
        }
    }

    impl Place<f32> for f32 {
        fn put(&mut self, value: f32) {
            *self = value;
        }
    }

    impl Place<f64> for f64 {
        fn put(&mut self, value: f64) {
            *self = value;
        }
    }
}

use sealed::Place;
pub(crate) use sealed::Real;

/// c \[m, n\] ← a \[m, k\]·b \[k, n\] for `[m, n, k]`, in f32 or f64, on the current pool; every element of c is
/// written, whether c was initialised (`&mut [T]`) or not (`&mut [MaybeUninit<T>]`).
///
/// # Panics
/// Slices that do not hold the shapes: the caller checks shapes before.
///
/// # Examples
/// ```
/// use measure::gemm::{Matrix, Order, multiply};
/// let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
/// let mut c = [0f64; 4];
/// multiply(&mut c, Order::Rows, Matrix::new(&a, 2), Matrix::new(&b, 2), [2, 2, 2]);
/// assert_eq!(c, [19.0, 22.0, 43.0, 50.0]);
/// ```
pub fn multiply<T: Real, P: Place<T>>(
    c: &mut [P],
    order: Order,
    a: Matrix<T>,
    b: Matrix<T>,
    shape: [usize; 3],
) {
    multiply_on(Threads::Pool, c, order, a, b, shape);
}

/// c \[m, n\] ← c + a \[m, k\]·b \[k, n\], row-major, otherwise as [`multiply`].
///
/// # Panics
/// As [`multiply`].
pub fn multiply_add<T: Real>(c: &mut [T], a: Matrix<T>, b: Matrix<T>, shape: [usize; 3]) {
    run(Threads::Pool, c, true, Order::Rows, a, b, shape);
}

/// [`multiply`] by the caller's thread or by the pool: the same bits.
///
/// # Panics
/// As [`multiply`].
pub fn multiply_on<T: Real, P: Place<T>>(
    threads: Threads,
    c: &mut [P],
    order: Order,
    a: Matrix<T>,
    b: Matrix<T>,
    shape: [usize; 3],
) {
    run(threads, c, false, order, a, b, shape);
}

/// The product, in place of what c holds or, if `add`, added to it: c is initialised then.
fn run<T: Real, P: Place<T>>(
    threads: Threads,
    c: &mut [P],
    add: bool,
    order: Order,
    a: Matrix<T>,
    b: Matrix<T>,
    [m, n, k]: [usize; 3],
) {
    assert!(
        m.checked_mul(n) == Some(c.len()) && a.holds(m, k) && b.holds(k, n),
        "shapes checked by the caller"
    );
    if k == 0 {
        if !add {
            c.iter_mut().for_each(|place| place.put(T::ZERO));
        }
        return;
    }
    let (row_stride, column_stride) = match order {
        Order::Rows => (n as isize, 1),
        Order::Columns => (1, m as isize),
    };
    let threads = match (threads, rayon::current_num_threads()) {
        (Threads::One, _) | (Threads::Pool, 1) => Parallelism::None,
        (Threads::Pool, count) => Parallelism::Rayon(count),
    };
    #[allow(unsafe_code)] // The interface of the `gemm` crate.
    // SAFETY: the assertion keeps all three matrices in bounds; `Place` is sealed and has the layout of T for its three
    // implementations; c is only written unless `add`, for which the one caller has initialised numbers.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr().cast::<T>(),
            column_stride,
            row_stride,
            add,
            a.values.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            if add { T::ONE } else { T::ZERO },
            T::ONE,
            false,
            false,
            false,
            threads,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::MaybeUninit;

    /// a b as a new vector.
    fn product(order: Order, a: Matrix<f32>, b: Matrix<f32>, shape: [usize; 3]) -> Vec<f32> {
        let mut c = vec![f32::NAN; shape[0] * shape[1]];
        multiply(&mut c, order, a, b, shape);
        c
    }

    /// y = x wᵀ, dw = gᵀ x, dx = g w: the three products of a layer.
    fn products(m: usize, n: usize, k: usize, order: Order) -> [Vec<f32>; 3] {
        let entries = |count: usize, seed: usize| -> Vec<f32> {
            (0..count).map(|i| ((i * 7919 + seed * 31) % 1009) as f32 / 1009.0 - 0.5).collect()
        };
        let (x, w, g) = (entries(m * k, 1), entries(n * k, 2), entries(m * n, 3));
        let (x, w, g) = (Matrix::new(&x, k), Matrix::new(&w, k), Matrix::new(&g, n));
        let run = |a, b, shape: [usize; 3]| product(order, a, b, shape);
        [run(x, w.transposed(), [m, n, k]), run(g.transposed(), x, [n, k, m]), run(g, w, [m, k, n])]
    }

    #[test]
    #[should_panic(expected = "shapes checked by the caller")]
    fn a_shape_whose_size_wraps_is_no_empty_one() {
        let one = Matrix::new(&[1f32], 0);
        multiply(&mut [0f32; 0], Order::Rows, one, one.transposed(), [1 << 32, 1 << 32, 1]);
    }

    #[test]
    fn threads_change_no_bit() {
        // Every path of the crate: tiny, one row, one column, several blocks of the inner dimension, ragged edges.
        for (m, n, k) in
            [(3, 5, 7), (1, 30, 700), (30, 1, 900), (37, 129, 1040), (300, 257, 130), (128, 64, 2)]
        {
            for order in [Order::Rows, Order::Columns] {
                let on = |threads: usize| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    pool.install(|| products(m, n, k, order).concat()).into_iter().map(f32::to_bits)
                };
                let one: Vec<u32> = on(1).collect();
                for threads in [2, 3, 5] {
                    assert!(
                        on(threads).eq(one.iter().copied()),
                        "{threads} threads, [{m}, {n}, {k}] {order:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_product_by_hand() {
        let (a, b) = ([1f32, 2.0, 3.0, 4.0], [5f32, 6.0, 7.0, 8.0]);
        let (a, b) = (Matrix::new(&a, 2), Matrix::new(&b, 2));
        assert_eq!(product(Order::Rows, a, b, [2, 2, 2]), [19.0, 22.0, 43.0, 50.0]);
        assert_eq!(product(Order::Columns, a, b.transposed(), [2, 2, 2]), [17.0, 39.0, 23.0, 53.0]);
    }

    #[test]
    fn every_element_is_written() {
        // An inner dimension of 0 gives zeros, and no shape of 0 elements reads a factor.
        let mut c = [7f64; 6];
        multiply_on(Threads::One, &mut c, Order::Rows, Matrix::new(&[], 0), Matrix::new(&[], 3), [2, 3, 0]);
        assert_eq!(c, [0.0; 6]);
        multiply(&mut [0f64; 0], Order::Rows, Matrix::new(&[], 2), Matrix::new(&[1.0, 2.0], 1), [0, 1, 2]);
        let (a, b) = ([2f32, 3.0], [5f32, 7.0]);
        let mut c = [MaybeUninit::uninit(); 4];
        multiply(&mut c, Order::Rows, Matrix::new(&a, 1), Matrix::new(&b, 2), [2, 2, 1]);
        #[allow(unsafe_code)] // What the function promises.
        // SAFETY: every element of c is written.
        let c = c.map(|value| unsafe { value.assume_init() });
        assert_eq!(c, [10.0, 14.0, 15.0, 21.0]);
    }
}
