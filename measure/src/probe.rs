//! The linear probe: multinomial logistic regression on frozen features, solved rather than trained.
//!
//! Mean cross-entropy + (ridge/2)·‖W‖², the intercepts free, as scikit-learn's `LogisticRegression` has it: its C is
//! 1/(ridge·M) for M training samples. (The paper's probe is [`linear_accuracy_sgd`](super::linear_accuracy_sgd), whose
//! best rate depends on the scale of the features.) `solve` says how it is minimised, and how near the minimum is.

mod scaling;
mod solve;

pub use solve::{MOST_PASSES, PROBE_TOLERANCE};

use super::classifiers::{accuracy, predictions};
use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::pool::Stop;
use crate::rows::{FeatureRows, Picked};
use scaling::Scaling;
use solve::{Objective, Solution};
use std::fmt;
use std::str::FromStr;

/// The weight of ½‖W‖² in the linear probe's loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ridge {
    /// This one, at least [`Ridge::LEAST`].
    Fixed(f64),
    /// The one of [`Ridge::GRID`] whose probe, trained on the other rows, is right most often on the fifth training row
    /// of each class, the tenth and so on, in their order; of several the largest. Then it is trained on all rows.
    ///
    /// Rows that are views of one image are not independent: such training rows choose too small a ridge.
    Chosen,
}

impl Ridge {
    /// What is chosen from.
    pub const GRID: [f64; 7] = [1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6];
    /// The smallest ridge: below it a gradient of [`PROBE_TOLERANCE`] does not say that the loss is near its minimum.
    pub const LEAST: f64 = 1e-6;
    /// One row of so many is held out.
    const HELD_OUT: usize = 5;

    /// Whether a probe can be trained with this ridge.
    fn allows(ridge: f64) -> bool {
        ridge.is_finite() && ridge >= Self::LEAST
    }
}

impl FromStr for Ridge {
    type Err = Error;

    /// A number of at least [`Ridge::LEAST`], or `chosen`.
    ///
    /// # Errors
    /// Anything else.
    fn from_str(text: &str) -> Result<Self> {
        match text.parse() {
            Ok(ridge) if Self::allows(ridge) => Ok(Self::Fixed(ridge)),
            _ if text == "chosen" => Ok(Self::Chosen),
            _ => {
                let least = Self::LEAST;
                Err(Error::argument(format!("{text} is neither a number of at least {least:e} nor 'chosen'")))
            }
        }
    }
}

impl fmt::Display for Ridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(ridge) => ridge.fmt(f),
            Self::Chosen => f.write_str("chosen"),
        }
    }
}

/// How a linear probe is trained; shown as the column `linear_probe` has it.
///
/// # Examples
/// ```
/// use measure::{LinearProbe, matrix::Matrix, never};
/// // x = ±1, of either class three in four on one side: w·(1, −1), where e^{2w} = 3 but for the ridge.
/// let x = Matrix { rows: 8, cols: 1, data: vec![1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0, 1.0] };
/// let labels = [0, 0, 0, 0, 1, 1, 1, 1];
/// let probe = LinearProbe::default().fit(&x, &labels, 2, &never)?;
/// assert!(probe.converged());
/// let entropy = -(0.75f64.ln() * 0.75 + 0.25f64.ln() * 0.25);
/// assert!((probe.loss - entropy).abs() < 1e-4);
/// assert_eq!(probe.accuracy(&x, &labels)?, 0.75);
/// # Ok::<(), measure::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearProbe {
    /// Weight of ½‖W‖².
    pub ridge: Ridge,
    /// Whether each feature is divided by its own deviation, in place of one scale for all.
    pub standardise: bool,
}

impl Default for LinearProbe {
    /// The ridge 1e-4, and one scale.
    fn default() -> Self {
        Self { ridge: Ridge::Fixed(1e-4), standardise: false }
    }
}

impl fmt::Display for LinearProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ridge={}{}", self.ridge, if self.standardise { " standardised" } else { "" })
    }
}

/// A trained linear probe.
#[derive(Debug, Clone)]
pub struct FittedProbe {
    /// W, and in the last column b, of standardised features \[C, d+1\].
    weights: Matrix,
    scaling: Scaling,
    /// The ridge that was given or chosen.
    pub ridge: f64,
    /// Mean cross-entropy of the training samples + (ridge/2)·‖W‖², in nats.
    pub loss: f64,
    /// Norm of the loss's gradient.
    pub gradient: f64,
    /// Passes over the training samples that it took, those for choosing the ridge not counted.
    pub passes: usize,
}

impl LinearProbe {
    /// Trains on features \[M, d\] and their classes, from zero.
    ///
    /// Features are less their mean, over the root mean square of all of them or each over its own; the loss is
    /// minimised until the norm of its gradient is at most [`PROBE_TOLERANCE`], or for [`MOST_PASSES`] passes. Nothing
    /// is random, and the number of threads changes no bit. Cost: some hundred products [M, d]·[d, C] twice.
    /// Memory: the standardised features where they are at most 128 MiB, else they are made anew in each pass; some d²
    /// numbers up to d = 4095; about eight times C(d+1) numbers; up to 256 MiB for earlier steps, or six times C(d+1) numbers if that is more; and up to 512 MiB
    /// for gradients of parts of the rows, or twice C(d+1) numbers if that is more.
    ///
    /// # Errors
    /// Another number of labels than of features; a class of `num_classes` or more; a ridge below [`Ridge::LEAST`]
    /// or infinite; no class with five rows, where the ridge is to be chosen; `stop` says so.
    pub fn fit<F: FeatureRows>(
        &self,
        x: &F,
        labels: &[usize],
        num_classes: usize,
        stop: Stop<'_>,
    ) -> Result<FittedProbe> {
        let bad = |message: String| Err(Error::argument(message));
        crate::check_labels(x.count(), labels, num_classes)?;
        if labels.is_empty() {
            return bad("a linear probe needs training samples, and there is none".into());
        }
        let ridge = match self.ridge {
            Ridge::Fixed(ridge) if Ridge::allows(ridge) => ridge,
            Ridge::Fixed(ridge) => {
                return bad(format!("ridge = {ridge:?} is not a number of at least {:e}", Ridge::LEAST));
            }
            Ridge::Chosen => self.choose(x, labels, num_classes, stop)?,
        };
        let scaling = Scaling::of(x, self.standardise)?;
        let solution = {
            let x = scaling.apply(x)?;
            let start = Matrix::zeros(num_classes, x.width());
            Objective { x: &x, labels, num_classes, ridge, stop }.minimise(start)?
        };
        let Solution { weights, loss, gradient, passes } = solution;
        Ok(FittedProbe { weights, scaling, ridge, loss, gradient, passes })
    }

    /// The ridge of the grid that classifies held-out rows best.
    fn choose<F: FeatureRows>(
        &self,
        x: &F,
        labels: &[usize],
        num_classes: usize,
        stop: Stop<'_>,
    ) -> Result<f64> {
        let mut seen = vec![0usize; num_classes];
        let held_out = |&i: &usize| {
            seen[labels[i]] += 1;
            seen[labels[i]].is_multiple_of(Ridge::HELD_OUT)
        };
        let (tuning, kept): (Vec<usize>, Vec<usize>) = (0..x.count()).partition(held_out);
        if tuning.is_empty() {
            return Err(Error::argument(format!(
                "a ridge is chosen on one training row of {} of a class: no class has so many",
                Ridge::HELD_OUT
            )));
        }
        let part = |rows: &[usize]| rows.iter().map(|&i| labels[i]).collect::<Vec<_>>();
        let (kept_labels, tuning_labels) = (part(&kept), part(&tuning));
        let (kept, tuning) = (Picked { of: x, rows: &kept }, Picked { of: x, rows: &tuning });
        let scaling = Scaling::of(&kept, self.standardise)?;
        let (kept, tuning) = (scaling.apply(&kept)?, scaling.apply(&tuning)?);
        let mut weights = Matrix::zeros(num_classes, kept.width());
        let mut best = (f64::NEG_INFINITY, Ridge::GRID[0]);
        for ridge in Ridge::GRID {
            let objective = Objective { x: &kept, labels: &kept_labels, num_classes, ridge, stop };
            // Each from the one before it, which is near.
            weights = objective.minimise(weights)?.weights;
            let right = accuracy(&predictions(&weights, &tuning)?, &tuning_labels, num_classes)?;
            if right > best.0 {
                best = (right, ridge);
            }
        }
        Ok(best.1)
    }
}

impl FittedProbe {
    /// Whether the norm of the gradient is at most [`PROBE_TOLERANCE`].
    pub fn converged(&self) -> bool {
        self.gradient <= PROBE_TOLERANCE
    }

    /// The class of each sample: that of the largest w_c·x + b_c, of several the first.
    ///
    /// # Errors
    /// Another number of features than the probe was trained on.
    pub fn predict<F: FeatureRows>(&self, x: &F) -> Result<Vec<usize>> {
        let (expected, given) = (self.scaling.means.len(), x.width());
        if given != expected {
            return Err(Error::argument(format!("a probe of {expected} features is given {given}")));
        }
        predictions(&self.weights, &self.scaling.apply(x)?)
    }

    /// Share of samples whose class is predicted.
    ///
    /// # Errors
    /// Those of [`predict`](Self::predict); another number of labels than of features, or a label that was no class.
    pub fn accuracy<F: FeatureRows>(&self, x: &F, labels: &[usize]) -> Result<f64> {
        crate::check_labels(x.count(), labels, self.weights.rows)?;
        accuracy(&self.predict(x)?, labels, self.weights.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::super::classifiers::testing::toy;
    use super::*;
    use crate::pool::never;

    #[test]
    fn separated_classes_are_classified() {
        let (x, labels) = toy();
        let probe = LinearProbe::default().fit(&x, &labels, 3, &never).unwrap();
        assert_eq!(probe.accuracy(&x, &labels).unwrap(), 1.0);
    }

    #[test]
    fn the_majority_of_each_side_is_predicted() {
        // x = ±1 with a quarter of the labels swapped.
        let data: Vec<f64> = (0..400).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let labels: Vec<usize> = (0..400).map(|i| if i % 8 < 2 { 1 - i % 2 } else { i % 2 }).collect();
        let x = Matrix { rows: 400, cols: 1, data };
        let probe = LinearProbe::default().fit(&x, &labels, 2, &never).unwrap();
        assert_eq!(probe.accuracy(&x, &labels).unwrap(), 0.75);
    }

    /// Standardised, a change of each feature's scale and place changes nothing; with one scale it does.
    #[test]
    fn standardised_features_have_no_units() {
        let (mut x, mut labels) = toy();
        labels.iter_mut().step_by(7).for_each(|label| *label = (*label + 1) % 3);
        let mut other = x.clone();
        for i in 0..x.rows {
            for (j, (a, b)) in [(1e3, 5.0), (1e-3, -2.0), (1.0, 0.0)].into_iter().enumerate() {
                other.row_mut(i)[j] = a * other.row(i)[j] + b;
            }
            x.row_mut(i)[1] *= 0.01;
        }
        let loss = |x: &Matrix, standardise| {
            let probe = LinearProbe { standardise, ..LinearProbe::default() };
            probe.fit(x, &labels, 3, &never).unwrap().loss
        };
        assert!((loss(&x, true) - loss(&other, true)).abs() < 1e-8);
        assert!((loss(&x, false) - loss(&other, false)).abs() > 1e-3);
        // A feature that is always the same says nothing.
        let constant = Matrix { rows: 60, cols: 1, data: vec![0.1; 60] };
        let shares =
            [0, 1, 2].map(|class| labels.iter().filter(|&&label| label == class).count() as f64 / 60.0);
        let entropy: f64 = shares.iter().map(|p| -p * p.ln()).sum();
        assert!((loss(&constant, true) - entropy).abs() < 1e-9);
    }

    /// Where features are noise, a large ridge is right more often than a small one; where the classes lie apart in
    /// directions of little variance, a small one.
    #[test]
    fn the_ridge_is_the_one_that_held_out_rows_prefer() {
        let noise = |i: usize| ((i * 7919 + i * i % 1013) % 1009) as f64 / 1009.0 - 0.5;
        let chosen = |x: &Matrix, labels: &[usize]| {
            let probe = LinearProbe { ridge: Ridge::Chosen, ..LinearProbe::default() };
            probe.fit(x, labels, 2, &never).unwrap().ridge
        };
        let labels: Vec<usize> = (0..200).map(|i| i % 2).collect();
        // One telling feature among forty of noise.
        let mut x = Matrix { rows: 200, cols: 41, data: (0..200 * 41).map(|i| noise(i * 3 + 1)).collect() };
        for (i, &label) in labels.iter().enumerate() {
            x.row_mut(i)[0] += 0.6 * label as f64;
        }
        assert!(chosen(&x, &labels) > 1e-2, "{}", chosen(&x, &labels));
        // A faint feature that says all beside two loud ones that say nothing, whose class means mislead.
        let mut x = Matrix { rows: 200, cols: 3, data: (0..600).map(|i| 100.0 * noise(i * 3 + 1)).collect() };
        for (i, &label) in labels.iter().enumerate() {
            x.row_mut(i)[0] = 0.05 * (label as f64 - 0.5);
        }
        assert!(chosen(&x, &labels) < 1e-3, "{}", chosen(&x, &labels));
    }

    #[test]
    fn what_cannot_be_trained_is_said() {
        let (x, labels) = toy();
        let error = |probe: LinearProbe, x: &Matrix, labels: &[usize]| {
            probe.fit(x, labels, 3, &never).unwrap_err().to_string()
        };
        let with = |ridge| LinearProbe { ridge, standardise: false };
        let few = x.gather(&[0, 1, 2, 3]);
        for (found, expected) in [
            (error(with(Ridge::Fixed(0.0)), &x, &labels), "ridge = 0.0 is not a number of at least 1e-6"),
            (error(with(Ridge::Fixed(1e-9)), &x, &labels), "ridge = 1e-9 is not a number of at least 1e-6"),
            (error(with(Ridge::Fixed(f64::INFINITY)), &x, &labels), "ridge = inf is not"),
            (error(with(Ridge::Fixed(f64::NAN)), &x, &labels), "ridge = NaN is not"),
            (error(with(Ridge::Chosen), &few, &[0, 1, 2, 0]), "no class has so many"),
            (error(with(Ridge::Chosen), &few, &[0, 1, 2, 3]), "label 3 is 3, not below C = 3"),
            (error(with(Ridge::Chosen), &few, &[0, 1]), "4 samples have 2 labels"),
        ] {
            assert!(found.contains(expected), "{found}");
        }
        let fitted = LinearProbe::default().fit(&x, &labels, 3, &never).unwrap();
        let error = |x: &Matrix, labels: &[usize]| fitted.accuracy(x, labels).unwrap_err().to_string();
        assert_eq!(error(&Matrix::zeros(2, 4), &[0, 1]), "a probe of 3 features is given 4");
        assert_eq!(error(&x, &labels[1..]), "60 samples have 59 labels");
        assert_eq!(error(&few, &[0, 1, 2, 7]), "label 3 is 7, not below C = 3");
        assert_eq!("1e-3".parse::<Ridge>().unwrap(), Ridge::Fixed(1e-3));
        assert_eq!(
            LinearProbe { ridge: Ridge::Chosen, standardise: true }.to_string(),
            "ridge=chosen standardised"
        );
        assert_eq!(LinearProbe::default().to_string(), "ridge=0.0001");
        assert_eq!("1e-6".parse::<Ridge>().unwrap(), Ridge::Fixed(Ridge::LEAST));
        assert!(with(Ridge::Fixed(Ridge::LEAST)).fit(&x, &labels, 3, &never).unwrap().converged());
        let small = "1e-9".parse::<Ridge>().unwrap_err().to_string();
        assert_eq!(small, "1e-9 is neither a number of at least 1e-6 nor 'chosen'");
        for wrong in ["0", "-1", "9.9e-7", "inf", "nan", "best", ""] {
            assert!(wrong.parse::<Ridge>().is_err(), "{wrong}");
        }
    }
}
