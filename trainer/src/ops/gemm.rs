//! c = a·b (+ c) on slices: one fixed grid of blocks, each a single-threaded product of the `gemm` crate.
//!
//! The blocks tile c and depend on its shape alone, and every block sums over the whole inner dimension in the same
//! order whichever thread runs it: the number of threads changes no bit.

use super::parallel::for_each;
use gemm::Parallelism;
use std::mem::MaybeUninit;

/// A matrix in a slice: element (i, j) at `values[i·row_stride + j·column_stride]`.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    pub values: &'a [f32],
    pub row_stride: usize,
    pub column_stride: usize,
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
        rows == 0
            || columns == 0
            || (rows - 1) * self.row_stride + (columns - 1) * self.column_stride < self.values.len()
    }
}

/// Rows and columns of a block of c, and how the product of a block is formed.
#[derive(Clone, Copy, Debug)]
pub struct Blocks {
    pub rows: usize,
    pub columns: usize,
}

#[derive(Clone, Copy)]
struct Destination(*mut f32);
// The blocks written through this pointer are disjoint.
#[allow(unsafe_code)] // Blocks of a row-major matrix are not slices, so threads need the pointer.
// SAFETY: `multiply` hands every thread other elements.
unsafe impl Send for Destination {}
#[allow(unsafe_code)] // As above.
// SAFETY: as above.
unsafe impl Sync for Destination {}

impl Destination {
    fn pointer(self) -> *mut f32 {
        self.0
    }
}

/// c \[m, n\] row-major ← a \[m, k\]·b \[k, n\]; every element of c is written.
///
/// # Panics
/// Slices shorter than the shapes: a mistake of the caller inside this crate, which checks shapes before.
pub fn multiply(c: &mut [MaybeUninit<f32>], a: Matrix, b: Matrix, [m, n, k]: [usize; 3], blocks: Blocks) {
    assert!(c.len() == m * n && a.holds(m, k) && b.holds(k, n), "shapes checked by the caller");
    let destination = Destination(c.as_mut_ptr().cast());
    let across = n.div_ceil(blocks.columns.max(1));
    let down = m.div_ceil(blocks.rows.max(1));
    for_each(0..across * down, |index| {
        let (row, column) = (index / across * blocks.rows, index % across * blocks.columns);
        let (rows, columns) = (blocks.rows.min(m - row), blocks.columns.min(n - column));
        #[allow(unsafe_code)] // The interface of the `gemm` crate.
        // SAFETY: the assertion above keeps all three matrices in bounds; the blocks of c are disjoint; with
        // `read_dst` false c is only written.
        unsafe {
            gemm::gemm(
                rows,
                columns,
                k,
                destination.pointer().add(row * n + column),
                1,
                n as isize,
                false,
                a.values.as_ptr().add(row * a.row_stride),
                a.column_stride as isize,
                a.row_stride as isize,
                b.values.as_ptr().add(column * b.column_stride),
                b.column_stride as isize,
                b.row_stride as isize,
                0f32,
                1f32,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::parallel::filled;
    use crate::ops::testing::*;

    fn product(a: Matrix, b: Matrix, shape: [usize; 3], blocks: Blocks) -> Vec<f32> {
        #[allow(unsafe_code)]
        // SAFETY: `multiply` writes every element.
        unsafe {
            filled(shape[0] * shape[1], |c| multiply(c, a, b, shape, blocks))
        }
    }

    #[test]
    #[ignore = "measurement: cargo test --lib ops::gemm -- --ignored --nocapture"]
    fn speed() {
        for (m, n, k) in [(128usize, 1024usize, 3072usize), (128, 512, 1024), (256, 1024, 3072)] {
            let (x, w, g) = (flat(&random(1, &[m, k])), flat(&random(2, &[n, k])), flat(&random(3, &[m, n])));
            let time = |what: String, run: &mut dyn FnMut()| {
                let mut best = f64::INFINITY;
                for _ in 0..12 {
                    let start = std::time::Instant::now();
                    run();
                    best = best.min(start.elapsed().as_secs_f64());
                }
                println!(
                    "{m}x{k} · {k}x{n} {what}: {:.2} ms, {:.0} GFLOP/s",
                    1e3 * best,
                    2e-9 * (m * n * k) as f64 / best
                );
            };
            let (xm, wm, gm) = (Matrix::new(&x, k), Matrix::new(&w, k), Matrix::new(&g, n));
            let whole = |c: &mut Vec<f32>, cs: isize, rs: isize, threads: Parallelism| {
                #[allow(unsafe_code)]
                // SAFETY: shapes as allocated.
                unsafe {
                    gemm::gemm(
                        m,
                        n,
                        k,
                        c.as_mut_ptr(),
                        cs,
                        rs,
                        false,
                        x.as_ptr(),
                        1,
                        k as isize,
                        w.as_ptr(),
                        k as isize,
                        1,
                        0f32,
                        1f32,
                        false,
                        false,
                        false,
                        threads,
                    );
                }
            };
            let mut c = vec![0f32; m * n];
            time("forward, gemm's own threads".into(), &mut || {
                whole(&mut c, 1, n as isize, Parallelism::Rayon(0))
            });
            time("forward transposed, gemm's own threads".into(), &mut || {
                whole(&mut c, m as isize, 1, Parallelism::Rayon(0))
            });
            time("forward, 1 thread".into(), &mut || whole(&mut c, 1, n as isize, Parallelism::None));
            time("forward transposed, 1 thread".into(), &mut || {
                whole(&mut c, m as isize, 1, Parallelism::None)
            });
            for (rows, columns) in [(m, 64), (m, 128), (m, 256), (m, 512), (64, 512), (32, 1024), (64, 1024)]
            {
                let blocks = Blocks { rows, columns };
                time(format!("forward {blocks:?}"), &mut || {
                    drop(product(xm, wm.transposed(), [m, n, k], blocks))
                });
            }
            for (rows, columns) in [(n, 64), (n, 128), (n, 256), (n, 512)] {
                let blocks = Blocks { rows, columns };
                time(format!("forward transposed {blocks:?} (m x n)"), &mut || {
                    drop(product(wm, xm.transposed(), [n, m, k], Blocks { rows: columns, columns: m }))
                });
                let _ = rows;
            }
            for (rows, columns) in
                [(32, k), (64, k), (128, k), (256, k), (n, 384), (n, 768), (128, 768), (256, 1024)]
            {
                let blocks = Blocks { rows, columns };
                time(format!("dW {blocks:?}"), &mut || drop(product(gm.transposed(), xm, [n, k, m], blocks)));
            }
            for (rows, columns) in [(m, 384), (m, 768), (m, 1536), (32, k), (64, k), (64, 768)] {
                let blocks = Blocks { rows, columns };
                time(format!("dx {blocks:?}"), &mut || {
                    drop(product(gm, Matrix::new(&w, k), [m, k, n], blocks))
                });
            }
        }
    }
}
