//! τ, E ln(1+Col) and the law of Col.

use crate::classes::Classes;
use crate::errors::Failure;
use crate::run::{Outcome, owned};
use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use std::sync::Arc;
use theory::{NumNegatives, collision};

/// Columns of floats, in the order of the names in `_collision.py`.
type Columns<'py> = Vec<Bound<'py, PyArray1<f64>>>;

/// τ, 1−τ, ln τ, ln(1−τ), the error bounds of the first two, E ln(1+Col), at each K.
#[pyfunction]
fn collision_columns<'py>(py: Python<'py>, classes: &Classes, negatives: Vec<u64>) -> PyResult<Columns<'py>> {
    let law = Arc::clone(&classes.law);
    let columns = owned(py, Some(1), move |stop| {
        let mut columns: [Vec<f64>; 7] = Default::default();
        for k in negatives {
            if stop() {
                return Err(Failure::Interrupted);
            }
            let k = NumNegatives::new(k)?;
            let tau = collision::probability(&law.prior, law.sampling, k)?;
            let cost = collision::expected_ln1p(&law.prior, law.sampling, k)?;
            let bounds = [tau.relative_error_bound(), tau.complement_relative_error_bound()];
            let values =
                [tau.value(), tau.complement(), tau.ln(), tau.ln_complement(), bounds[0], bounds[1], cost];
            columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        }
        Ok(columns)
    })?;
    Ok(columns.into_iter().map(|column| column.into_pyarray(py)).collect())
}

/// P(Col = m) for m = 0, …, K, and its logarithms.
#[pyfunction]
fn collision_law<'py>(py: Python<'py>, classes: &Classes, negatives: u64) -> PyResult<Columns<'py>> {
    let law = Arc::clone(&classes.law);
    let columns = owned(py, Some(1), move |_| -> Outcome<[Vec<f64>; 2]> {
        let found = collision::law(&law.prior, law.sampling, NumNegatives::new(negatives)?)?;
        let (values, logs) = found.into_iter().map(|p| (p.value(), p.ln())).unzip();
        Ok([values, logs])
    })?;
    Ok(columns.into_iter().map(|column| column.into_pyarray(py)).collect())
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(collision_columns, module)?)?;
    module.add_function(wrap_pyfunction!(collision_law, module)?)
}
