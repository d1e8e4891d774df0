//! Arrays of numbers from Python: always C-contiguous, aligned and in the machine's byte order, which
//! `negatives._features` sees to.

use crate::errors::Failure;
use crate::run::Outcome;
use measure::matrix::Matrix;
use numpy::{
    IntoPyArray, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods,
};
use pyo3::prelude::*;

/// Features, as they come.
#[derive(FromPyObject)]
pub(crate) enum Floats<'py> {
    Double(PyReadonlyArray2<'py, f64>),
    Single(PyReadonlyArray2<'py, f32>),
}

impl Floats<'_> {
    /// The one copy: rows are normalised in it.
    pub(crate) fn matrix(&self) -> Outcome<Matrix> {
        let shape = match self {
            Self::Double(array) => array.shape(),
            Self::Single(array) => array.shape(),
        };
        let (rows, cols, mut data) = (shape[0], shape[1], Vec::new());
        data.try_reserve_exact(rows * cols)
            .map_err(|_| Failure::argument(format!("[{rows}, {cols}] numbers have no room in the memory")))?;
        match self {
            Self::Double(array) => data.extend_from_slice(slice(array)?),
            Self::Single(array) => data.extend(slice(array)?.iter().map(|&x| f64::from(x))),
        }
        Ok(Matrix { rows, cols, data })
    }
}

/// The numbers of an array in C order.
fn slice<'a, T: numpy::Element>(array: &'a PyReadonlyArray2<'_, T>) -> Outcome<&'a [T]> {
    let refuse = || Failure::argument("an array is not in C order");
    if !array.is_c_contiguous() {
        return Err(refuse());
    }
    array.as_slice().map_err(|_| refuse())
}

/// Classes or places, none negative.
pub(crate) fn indices(array: &PyReadonlyArray1<'_, i64>) -> Outcome<Vec<usize>> {
    let values = array.as_slice().map_err(|_| Failure::argument("an array is not in C order"))?;
    let index = |&value: &i64| {
        usize::try_from(value).map_err(|_| Failure::argument(format!("{value} is no class 0, 1, …")))
    };
    values.iter().map(index).collect()
}

/// A matrix as an array of its own.
pub(crate) fn array(py: Python<'_>, matrix: Matrix) -> PyResult<Bound<'_, PyArray2<f64>>> {
    matrix.data.into_pyarray(py).reshape([matrix.rows, matrix.cols])
}
