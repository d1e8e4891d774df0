//! Row-major matrices of f64 for measurement: features are f32, sums over them are not.
//!
//! Products work on slices ([`mod@crate::gemm`]): a training set of 50,000 features of 512 numbers is 200 MB, and
//! neither a product nor a chunk of rows copies it.

use crate::error::{Error, Result};
use crate::gemm::{self, Order, Real, Threads, multiply_on};
use std::ops::Range;

/// A dense row-major matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    /// Rows, one after the other.
    pub data: Vec<f64>,
}

impl Matrix {
    /// A matrix of zeros.
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Self { rows, cols, data: vec![0.0; rows * cols] }
    }

    /// Row `index`.
    pub fn row(&self, index: usize) -> &[f64] {
        &self.data[index * self.cols..(index + 1) * self.cols]
    }

    /// Row `index`, to be changed.
    pub fn row_mut(&mut self, index: usize) -> &mut [f64] {
        &mut self.data[index * self.cols..(index + 1) * self.cols]
    }

    /// These rows, in this order.
    #[must_use]
    pub fn gather(&self, rows: &[usize]) -> Self {
        let data = rows.iter().flat_map(|&i| self.row(i)).copied().collect();
        Self { rows: rows.len(), cols: self.cols, data }
    }

    /// Rows of this range, without a copy.
    pub(crate) fn rows_in(&self, range: Range<usize>) -> Rows<'_, f64> {
        Rows { values: &self.data[range.start * self.cols..range.end * self.cols], cols: self.cols }
    }

    /// All rows, without a copy.
    pub(crate) fn all(&self) -> Rows<'_, f64> {
        self.rows_in(0..self.rows)
    }

    /// A matrix of zeros, if there is room for it.
    ///
    /// # Errors
    /// More numbers than the memory holds.
    fn try_zeros(rows: usize, cols: usize) -> Result<Self> {
        let mut data = Vec::new();
        let room = rows.checked_mul(cols).filter(|&size| data.try_reserve_exact(size).is_ok());
        let size = room.ok_or_else(|| {
            Error::argument(format!("a product of shape [{rows}, {cols}] has no room in the memory"))
        })?;
        data.resize(size, 0.0);
        Ok(Self { rows, cols, data })
    }

    /// A·Bᵀ, on the current pool.
    ///
    /// # Errors
    /// Different numbers of columns; a product without room in the memory.
    pub fn times_transposed(&self, other: &Self) -> Result<Self> {
        let mut product = Self::try_zeros(self.rows, other.rows)?;
        times_transposed(self.all(), other.all(), &mut product.data, Threads::Pool)?;
        Ok(product)
    }

    /// Aᵀ·B, on the current pool.
    ///
    /// # Errors
    /// Different numbers of rows; a product without room in the memory.
    pub fn transposed_times(&self, other: &Self) -> Result<Self> {
        let mut product = Self::try_zeros(self.cols, other.cols)?;
        transposed_times(self.all(), other.all(), &mut product.data, Threads::Pool)?;
        Ok(product)
    }

    /// Scales every row that is not zero to unit length.
    pub fn normalise_nonzero_rows(&mut self) {
        for index in 0..self.rows {
            normalise(self.row_mut(index));
        }
    }

    /// Scales every row to unit length; the index of a row that is zero is the error.
    ///
    /// # Errors
    /// A row is zero.
    pub fn normalise_rows(&mut self) -> std::result::Result<(), usize> {
        match (0..self.rows).find(|&index| !normalise(self.row_mut(index))) {
            Some(zero) => Err(zero),
            None => Ok(()),
        }
    }
}

/// Below it a sum of squares has lost digits to numbers too small for a double.
const LEAST_SQUARES: f64 = 1e-280;

/// Scales a row to unit length; `false` where it is zero. Numbers whose squares overflow or vanish (10^±200) are scaled
/// by the largest of them first.
pub(crate) fn normalise(row: &mut [f64]) -> bool {
    let squares = |row: &[f64]| row.iter().map(|x| x * x).sum::<f64>();
    let mut sum = squares(row);
    if sum < LEAST_SQUARES || sum == f64::INFINITY {
        let largest = row.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        if largest == 0.0 {
            return false;
        }
        row.iter_mut().for_each(|x| *x /= largest);
        sum = squares(row);
    }
    let norm = sum.sqrt();
    row.iter_mut().for_each(|x| *x /= norm);
    true
}

/// Whole rows of a row-major matrix.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a, T> {
    pub values: &'a [T],
    pub cols: usize,
}

impl<T> Rows<'_, T> {
    pub fn count(&self) -> usize {
        self.values.len() / self.cols.max(1)
    }

    fn operand(&self) -> gemm::Matrix<'_, T> {
        gemm::Matrix::new(self.values, self.cols)
    }
}

/// out \[m, n\] ← a \[m, k\]·b \[n, k\]ᵀ.
///
/// # Errors
/// Shapes that do not fit.
pub(crate) fn times_transposed<T: Real>(
    a: Rows<T>,
    b: Rows<T>,
    out: &mut [T],
    threads: Threads,
) -> Result<()> {
    let (m, n) = (a.count(), b.count());
    if a.cols != b.cols || out.len() != m * n {
        let shapes = format!("[{m}, {}] and [{n}, {}] give no {} products", a.cols, b.cols, out.len());
        return Err(Error::argument(shapes));
    }
    multiply_on(threads, out, Order::Rows, a.operand(), b.operand().transposed(), [m, n, a.cols]);
    Ok(())
}

/// out \[m, n\] ← a \[k, m\]ᵀ·b \[k, n\].
///
/// # Errors
/// Shapes that do not fit.
pub(crate) fn transposed_times<T: Real>(
    a: Rows<T>,
    b: Rows<T>,
    out: &mut [T],
    threads: Threads,
) -> Result<()> {
    let (m, n, k) = (a.cols, b.cols, a.count());
    if b.count() != k || out.len() != m * n {
        let shapes = format!("[{k}, {m}] and [{}, {n}] give no {} products", b.count(), out.len());
        return Err(Error::argument(shapes));
    }
    multiply_on(threads, out, Order::Rows, a.operand().transposed(), b.operand(), [m, n, k]);
    Ok(())
}

/// x·y.
pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

/// ln Σ e^x, shifted by the maximum; −∞ for no term.
pub(crate) fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        // No term, or e^{−∞} alone: but `max` passes over what is no number.
        return if values.clone().any(f64::is_nan) { f64::NAN } else { largest };
    }
    largest + values.map(|v| (v - largest).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_by_hand() {
        let a = Matrix { rows: 2, cols: 2, data: vec![1.0, 2.0, 3.0, 4.0] };
        let b = Matrix { rows: 3, cols: 2, data: vec![1.0, 0.0, 0.0, 1.0, 1.0, 1.0] };
        assert_eq!(a.times_transposed(&b).unwrap().data, [1.0, 2.0, 3.0, 3.0, 4.0, 7.0]);
        assert_eq!(a.transposed_times(&a).unwrap().data, [10.0, 14.0, 14.0, 20.0]);
        let error = a.transposed_times(&b).unwrap_err().to_string();
        assert_eq!(error, "[2, 2] and [3, 2] give no 4 products");
        assert!(a.times_transposed(&Matrix::zeros(1, 3)).is_err());
        assert!(a.times_transposed(&Matrix::zeros(0, 2)).unwrap().data.is_empty());
        // No numbers, but a product of 2⁸⁰.
        let wide = Matrix::zeros(0, 1 << 40);
        let error = wide.transposed_times(&wide).unwrap_err().to_string();
        assert_eq!(error, "a product of shape [1099511627776, 1099511627776] has no room in the memory");
    }

    #[test]
    fn rows_of_any_scale_get_unit_length() {
        for scale in [1e-320, 1e-200, 1e-154, 1.0, 1e153, 1e160, 1e300, 4e307] {
            let mut m = Matrix { rows: 1, cols: 3, data: vec![-3.0 * scale, 0.0, 4.0 * scale] };
            m.normalise_rows().unwrap();
            // Numbers near the smallest of all have three digits left.
            let digits = if scale < 1e-300 { 1e-3 } else { 1e-15 };
            let distance: f64 = m.data.iter().zip([-0.6, 0.0, 0.8]).map(|(x, y)| (x - y).abs()).sum();
            assert!(distance < digits, "{scale}: {:?}", m.data);
        }
        let mut m = Matrix { rows: 2, cols: 2, data: vec![1.0, 0.0, 0.0, -0.0] };
        assert_eq!(m.normalise_rows(), Err(1));
        m.normalise_nonzero_rows();
        assert_eq!(m.data, [1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn threads_change_no_bit() {
        let entries = |rows: usize, cols: usize, seed: usize| Matrix {
            rows,
            cols,
            data: (0..rows * cols).map(|i| ((i * 7919 + seed) % 1009) as f64 / 1009.0 - 0.5).collect(),
        };
        let (a, b) = (entries(300, 129, 1), entries(257, 129, 2));
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| (a.times_transposed(&b).unwrap(), a.transposed_times(&a).unwrap()))
        };
        assert_eq!(on(1), on(3));
    }
}
