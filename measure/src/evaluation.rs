//! What a measurement is given: views, and what is fixed while batches are drawn.

use crate::error::{Error, Result};
use crate::matrix::Matrix;
use theory::NumDraws;

/// Batches below which the number of passes is raised.
const LEAST_BATCHES: usize = 100;

/// Two views of every sample, \[N, d\] each, unit rows, kept as `F` ([`crate::FeatureRows`]).
#[derive(Debug, Clone)]
pub struct Views<F = Matrix> {
    /// Anchors.
    pub first: F,
    /// Candidates.
    pub second: F,
}

/// What is fixed during a measurement.
#[derive(Debug, Clone)]
pub struct Evaluation<'a, F = Matrix> {
    /// Class of each of the N samples, below C.
    pub labels: &'a [usize],
    /// μ_c \[C, d\], not normalised.
    pub class_means: &'a Matrix,
    /// f̄(x) \[N, d\], not normalised; `None`: the other view alone.
    pub sample_means: Option<&'a F>,
    /// t > 0.
    pub temperature: f64,
    /// n = K+1.
    pub num_draws: NumDraws,
    /// Passes over the samples; `None`: as many as make 100 batches.
    pub passes: Option<usize>,
}

/// Passes over `num_samples` samples that make at least 100 batches of `num_draws`.
///
/// # Errors
/// More draws than samples.
pub fn passes_for(num_samples: usize, num_draws: NumDraws) -> Result<usize> {
    let per_pass = num_samples / num_draws.get() as usize;
    if per_pass == 0 {
        return Err(Error::argument(format!(
            "n = K+1 = {num_draws} draws cannot be cut from {num_samples} evaluated samples"
        )));
    }
    Ok(LEAST_BATCHES.div_ceil(per_pass))
}
