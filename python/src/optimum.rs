//! The least contrastive loss that any encoder can reach, and the bounds there.

use crate::classes::Classes;
use crate::errors::Failure;
use crate::run::owned;
use crate::table::{Parts, parts};
use pyo3::prelude::*;
use std::sync::Arc;
use theory::optimum::gram;
use theory::report::optimum_table;
use theory::{NumNegatives, Sampling};

/// `theory optimum`, and whether it converged everywhere.
#[pyfunction]
fn optimum<'py>(
    py: Python<'py>,
    classes: &Classes,
    negatives: Vec<u64>,
    temperature: f64,
    tolerance: Option<f64>,
    threads: Option<usize>,
) -> PyResult<(Parts<'py>, bool)> {
    let law = Arc::clone(&classes.law);
    let (table, converged) = owned(py, threads, move |stop| {
        if law.sampling == Sampling::WithoutReplacement {
            return Err(Failure::argument("the optimum is that of negatives drawn with replacement"));
        }
        let negatives = negatives.into_iter().map(NumNegatives::new).collect::<theory::Result<Vec<_>>>()?;
        let mut options = gram::Options::default();
        options.tolerance = tolerance.unwrap_or(options.tolerance);
        Ok(optimum_table(&law.prior, &negatives, temperature, &options, &|| stop())?)
    })?;
    Ok((parts(py, &table)?, converged))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(optimum, module)?)
}
