//! Products of f32 on the current pool, as [`measure::gemm`] makes them.

use crate::ops::storage::filled;
pub use measure::gemm::{Matrix, Order, Threads, multiply, multiply_add, multiply_on};

/// a \[m, k\]·b \[k, n\] as a new vector, row-major.
///
/// # Panics
/// As [`multiply`].
#[allow(unsafe_code)] // Output without zeroing.
pub fn product(a: Matrix<f32>, b: Matrix<f32>, [m, n, k]: [usize; 3]) -> Vec<f32> {
    // SAFETY: `multiply` writes every element.
    unsafe { filled(m * n, |c| multiply(c, Order::Rows, a, b, [m, n, k])) }
}
