//! Row-major matrices of f64 for measurement: features are f32, sums over them are not.

use crate::error::Result;
use candle_core::{DType, Device, Tensor};

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

    /// From a tensor \[rows, cols\] of any float type.
    ///
    /// # Errors
    /// Not a matrix.
    pub fn from_tensor(tensor: &Tensor) -> Result<Self> {
        let (rows, cols) = tensor.dims2()?;
        Ok(Self { rows, cols, data: tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()? })
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

    /// A·Bᵀ.
    ///
    /// # Errors
    /// Different numbers of columns.
    pub fn times_transposed(&self, other: &Self) -> Result<Self> {
        Self::from_tensor(&self.tensor()?.matmul(&other.tensor()?.t()?)?)
    }

    /// Aᵀ·B.
    ///
    /// # Errors
    /// Different numbers of rows.
    pub fn transposed_times(&self, other: &Self) -> Result<Self> {
        Self::from_tensor(&self.tensor()?.t()?.matmul(&other.tensor()?)?)
    }

    fn tensor(&self) -> Result<Tensor> {
        Ok(Tensor::from_slice(&self.data, (self.rows, self.cols), &Device::Cpu)?)
    }

    /// Scales every row to unit length; the index of a row that is zero is the error.
    ///
    /// # Errors
    /// A row is zero.
    pub fn normalise_rows(&mut self) -> std::result::Result<(), usize> {
        for index in 0..self.rows {
            let row = self.row_mut(index);
            let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            if norm == 0.0 {
                return Err(index);
            }
            row.iter_mut().for_each(|x| *x /= norm);
        }
        Ok(())
    }
}

/// x·y.
pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

/// ln Σ e^x, shifted by the maximum; −∞ for no term.
pub(crate) fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + values.map(|v| (v - largest).exp()).sum::<f64>().ln()
}
