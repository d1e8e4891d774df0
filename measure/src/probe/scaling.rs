//! Features less their mean, over one scale or each over its own: (x − m)/s, then a column of ones for the intercept.

use crate::matrix::Matrix;

/// The mean and the scale of each feature, of the training samples.
#[derive(Debug, Clone)]
pub(super) struct Scaling {
    pub means: Vec<f64>,
    factors: Vec<f64>,
}

impl Scaling {
    /// One scale for all features, or each its own; a feature without deviation keeps the scale 1.
    pub fn of(x: &Matrix, each: bool) -> Self {
        let count = x.rows as f64;
        let mut means = vec![0.0; x.cols];
        for r in 0..x.rows {
            means.iter_mut().zip(x.row(r)).for_each(|(mean, x)| *mean += x);
        }
        means.iter_mut().for_each(|mean| *mean /= count);
        let mut squares = vec![0.0; x.cols];
        for r in 0..x.rows {
            for ((sum, x), mean) in squares.iter_mut().zip(x.row(r)).zip(&means) {
                *sum += (x - mean).powi(2);
            }
        }
        let factors = if each {
            let factor = |(squares, mean): (&f64, &f64)| {
                let deviation = (squares / count).sqrt();
                if deviation > 1e-12 * mean.abs() { deviation.recip() } else { 1.0 }
            };
            squares.iter().zip(&means).map(factor).collect()
        } else {
            let all: f64 = squares.iter().sum::<f64>() / x.data.len() as f64;
            vec![1.0 / all.sqrt().max(1e-12); x.cols]
        };
        Self { means, factors }
    }

    /// These features standardised, with a column of ones.
    pub fn apply(&self, x: &Matrix) -> Matrix {
        let mut out = Matrix::zeros(x.rows, x.cols + 1);
        for r in 0..x.rows {
            let row = out.row_mut(r);
            row[x.cols] = 1.0;
            for (((out, x), mean), factor) in row.iter_mut().zip(x.row(r)).zip(&self.means).zip(&self.factors)
            {
                *out = (x - mean) * factor;
            }
        }
        out
    }
}
