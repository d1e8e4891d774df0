//! Features less their mean, over one scale or each over its own: (x − m)/s, then a column of ones for the intercept.

use crate::error::Result;
use crate::rows::{Changed, FeatureRows, runs};

/// The mean and the scale of each feature, of the training samples.
#[derive(Debug, Clone)]
pub(super) struct Scaling {
    pub means: Vec<f64>,
    factors: Vec<f64>,
}

impl Scaling {
    /// One scale for all features, or each its own; a feature without deviation keeps the scale 1.
    ///
    /// # Errors
    /// A file that can no longer be read.
    pub fn of<F: FeatureRows>(x: &F, each: bool) -> Result<Self> {
        let count = x.count() as f64;
        let mut means = sums(x, |_, x| x)?;
        means.iter_mut().for_each(|mean| *mean /= count);
        let squares = sums(x, |column, x| (x - means[column]).powi(2))?;
        let factors = if each {
            let factor = |(squares, mean): (&f64, &f64)| {
                let deviation = (squares / count).sqrt();
                if deviation > 1e-12 * mean.abs() { deviation.recip() } else { 1.0 }
            };
            squares.iter().zip(&means).map(factor).collect()
        } else {
            let all: f64 = squares.iter().sum::<f64>() / (x.count() * x.width()) as f64;
            vec![1.0 / all.sqrt().max(1e-12); x.width()]
        };
        Ok(Self { means, factors })
    }

    /// These features standardised, with a column of ones.
    ///
    /// # Errors
    /// A file that can no longer be read.
    pub fn apply<'a, F: FeatureRows>(&'a self, x: &'a F) -> Result<impl FeatureRows + 'a> {
        let standardised = |row: &[f64], out: &mut Vec<f64>| {
            let scales = self.means.iter().zip(&self.factors);
            out.extend(row.iter().zip(scales).map(|(x, (mean, factor))| (x - mean) * factor));
            out.push(1.0);
        };
        Changed::new(x, x.width() + 1, standardised)
    }
}

/// Σ over the rows of `of(column, value)`, for each column.
fn sums<F: FeatureRows>(x: &F, of: impl Fn(usize, f64) -> f64) -> Result<Vec<f64>> {
    let mut sums = vec![0.0; x.width()];
    for range in runs(x.count(), x.width()) {
        for row in x.run(range)?.chunks_exact(x.width().max(1)) {
            sums.iter_mut().zip(row).enumerate().for_each(|(column, (sum, x))| *sum += of(column, *x));
        }
    }
    Ok(sums)
}
