//! c = a·b on slices, by the `gemm` crate on the current pool.
//!
//! Its threads share out blocks of c, and each element is one chain of fused multiply-adds over the inner dimension, cut
//! by cache sizes and shapes only: the number of threads changes no bit (a test here asserts it; so would an upgrade of
//! the crate have to).

use crate::ops::storage::filled;
use gemm::Parallelism;
use std::mem::MaybeUninit;

/// A matrix in a slice: element (i, j) at `values[i·row_stride + j·column_stride]`.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Row-major with this many columns.
    pub fn new(values: &'a [f32], columns: usize) -> Self {
        Self { values, row_stride: columns, column_stride: 1 }
    }

    /// The transposed matrix.
    pub fn transposed(self) -> Self {
        Self { values: self.values, row_stride: self.column_stride, column_stride: self.row_stride }
    }

    fn holds(&self, rows: usize, columns: usize) -> bool {
        let last = |count: usize, stride: usize| count.saturating_sub(1) * stride;
        rows == 0
            || columns == 0
            || last(rows, self.row_stride) + last(columns, self.column_stride) < self.values.len()
    }
}

/// How c lies in its slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Rows one after another.
    Rows,
    /// Columns one after another.
    Columns,
}

/// c \[m, n\] ← a \[m, k\]·b \[k, n\]; every element of c is written.
///
/// # Panics
/// Slices that do not hold the shapes: the operations check shapes before.
pub fn multiply(c: &mut [MaybeUninit<f32>], order: Order, a: Matrix, b: Matrix, [m, n, k]: [usize; 3]) {
    assert!(c.len() == m * n && a.holds(m, k) && b.holds(k, n), "shapes checked by the caller");
    let (row_stride, column_stride) = match order {
        Order::Rows => (n as isize, 1),
        Order::Columns => (1, m as isize),
    };
    let threads = match rayon::current_num_threads() {
        1 => Parallelism::None,
        threads => Parallelism::Rayon(threads),
    };
    #[allow(unsafe_code)] // The interface of the `gemm` crate.
    // SAFETY: the assertion keeps all three matrices in bounds; with `read_dst` false c is only written.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr().cast::<f32>(),
            column_stride,
            row_stride,
            false,
            a.values.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            0f32,
            1f32,
            false,
            false,
            false,
            threads,
        );
    }
}

/// a \[m, k\]·b \[k, n\] as a new vector, row-major.
///
/// # Panics
/// As [`multiply`].
#[allow(unsafe_code)] // Output without zeroing.
pub fn product(a: Matrix, b: Matrix, [m, n, k]: [usize; 3]) -> Vec<f32> {
    // SAFETY: `multiply` writes every element.
    unsafe { filled(m * n, |c| multiply(c, Order::Rows, a, b, [m, n, k])) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::*;

    /// a b as a new vector.
    #[allow(unsafe_code)] // As the operations call it.
    fn product(order: Order, a: Matrix, b: Matrix, shape: [usize; 3]) -> Vec<f32> {
        // SAFETY: `multiply` writes every element.
        unsafe { filled(shape[0] * shape[1], |c| multiply(c, order, a, b, shape)) }
    }

    /// y = x wᵀ, dw = gᵀ x, dx = g w: the three products of a layer.
    fn products(m: usize, n: usize, k: usize, order: Order) -> [Vec<f32>; 3] {
        let (x, w, g) = (flat(&random(1, &[m, k])), flat(&random(2, &[n, k])), flat(&random(3, &[m, n])));
        let (x, w, g) = (Matrix::new(&x, k), Matrix::new(&w, k), Matrix::new(&g, n));
        let run = |a, b, shape: [usize; 3]| product(order, a, b, shape);
        [run(x, w.transposed(), [m, n, k]), run(g.transposed(), x, [n, k, m]), run(g, w, [m, k, n])]
    }

    #[test]
    fn threads_change_no_bit() {
        // Every path of the crate: tiny, one row, one column, several blocks of the inner dimension, ragged edges.
        for (m, n, k) in
            [(3, 5, 7), (1, 30, 700), (30, 1, 900), (37, 129, 1040), (300, 257, 130), (128, 64, 2)]
        {
            for order in [Order::Rows, Order::Columns] {
                assert_same_bits(|| products(m, n, k, order).concat());
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
}
