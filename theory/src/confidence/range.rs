//! Of which terms each measured quantity is the mean: how many, in which range, and how much they scatter.

use super::Extreme;
use super::forms::{Sample, Sensitivity};
use crate::error::{Error, Result};
use crate::losses::{Estimate, LossComponents, Quantity};
use crate::sampling::Sampling;

/// The terms of a mean.
pub(super) enum Terms {
    /// Images that are right or wrong.
    Share { images: u64 },
    /// Terms in a range.
    Bounded(Bounded),
}

pub(super) struct Bounded {
    low: f64,
    high: f64,
    /// Independent terms of a pass.
    blocks: f64,
    /// Terms of all passes, for means over batches.
    batches: Option<f64>,
    sensitivity: Option<Sensitivity>,
}

impl Terms {
    /// Degrees of freedom of the error over images.
    pub fn freedom(&self) -> f64 {
        match self {
            Self::Share { images } => *images as f64 - 1.0,
            Self::Bounded(bounded) => bounded.batches.unwrap_or(bounded.blocks) - 1.0,
        }
    }
}

impl Bounded {
    /// The limit of the mean that assumes nothing.
    pub fn limit(&self, estimate: Estimate, end: Extreme, alpha: f64) -> f64 {
        let width = self.high - self.low;
        // Mean squared deviation of the terms: the error squared, times one less than their number.
        let squares = match self.batches {
            Some(batches) => estimate.standard_error.map(|error| error * error * (batches - 1.0)),
            None => estimate.image_error.map(|error| error * error * (self.blocks - 1.0)),
        };
        let variance = squares.map(|squares| squares / (width * width));
        let share = ((estimate.mean - self.low) / width).clamp(0.0, 1.0);
        let blocks = self.blocks;
        match end {
            Extreme::Largest => {
                let sample = Sample { mean: share, blocks, variance, sensitivity: self.sensitivity };
                self.low + width * sample.upper(alpha)
            }
            Extreme::Smallest => {
                let sample = Sample { mean: 1.0 - share, blocks, variance, sensitivity: None };
                self.high - width * sample.upper(alpha)
            }
        }
    }
}

/// The terms of a quantity of this row.
///
/// # Errors
/// What the row lacks, or that the quantity's range is not known, in one sentence.
pub(super) fn terms(losses: &LossComponents, quantity: Quantity) -> Result<Terms> {
    let counts = losses.class_counts.as_ref().ok_or_else(|| Error::argument("needs class_counts"))?;
    let images: u64 = counts.iter().sum();
    if losses.sampling != Sampling::WithoutReplacement {
        return Err(Error::argument("needs batches cut from the evaluated images without replacement"));
    }
    let (n, t) = (losses.num_draws.get(), losses.temperature);
    let per_pass = images / n;
    let batches = losses.num_batches.ok_or_else(|| Error::argument("needs num_batches"))?;
    if per_pass == 0 || batches % per_pass != 0 {
        return Err(Error::argument(format!(
            "needs whole passes: {batches} batches of {n} are none over {images} images"
        )));
    }
    let (classes, draws) = (losses.num_classes as f64, n as f64);
    // ln(1 + e^{±2/t} terms).
    let most = |terms: f64| 2.0 / t + ((-2.0 / t).exp() + terms).ln();
    let least = |terms: f64| ((-2.0 / t).exp() * terms).ln_1p();
    let whole = (per_pass * n) as f64;
    let of_batch = |low: f64, high: f64, sensitivity| {
        Ok(Terms::Bounded(Bounded {
            low,
            high,
            blocks: per_pass as f64,
            batches: Some(batches as f64),
            sensitivity,
        }))
    };
    let of_image = |low: f64, high: f64, blocks: f64| {
        Ok(Terms::Bounded(Bounded { low, high, blocks, batches: None, sensitivity: None }))
    };
    let shown = most(classes.min(draws) - 1.0).max(0.0);
    match quantity {
        Quantity::InfoNce => {
            let (low, high) = (least(draws - 1.0), most(draws - 1.0));
            // ln((K + e^{2/t})/n).
            let as_negative = (2.0 / t + ((draws - 1.0) * (-2.0 / t).exp()).ln_1p() - draws.ln()).max(0.0);
            let width = high - low;
            let sensitivity = Sensitivity {
                images: whole,
                most: 1.0 + (draws - 1.0) * as_negative / width,
                offset: low / width,
                typical: 0.5 * (draws.ln() - low) / width,
            };
            of_batch(low, high, Some(sensitivity))
        }
        Quantity::NtXent => of_batch(least(2.0 * draws - 2.0), most(2.0 * draws - 2.0), None),
        Quantity::MasterTerm => of_batch(0.0, most(draws - 1.0), None),
        Quantity::JointSupLoss | Quantity::JointSubLoss | Quantity::CurlJoint | Quantity::CurlJointSup => {
            of_batch(0.0, shown, None)
        }
        Quantity::CollisionUpper => of_batch(0.0, draws.ln() + 2.0 / t, None),
        Quantity::Gap => of_image(-2.0 / t, 0.0, whole),
        Quantity::FullSupLoss => of_image(least(classes - 1.0), most(classes - 1.0), whole),
        Quantity::FullSupLossRaoBlackwell => {
            of_image(least(classes - 1.0), most(classes - 1.0), images as f64)
        }
        Quantity::LogitVariance => {
            // Bhatia & Davis: (h−1)²/(4h) = sinh²(1/t) for terms within a factor h = e^{2/t}; C−1 for C terms.
            of_image(0.0, (1.0 / t).sinh().powi(2).min(classes - 1.0), whole)
        }
        Quantity::AnchorError => of_image(0.0, 1.0, whole),
        Quantity::MeanMargin => of_image(-2.0, 2.0, whole),
        Quantity::SupervisedOdds => {
            let odds = |sign: f64| (classes - 1.0) * (sign * 2.0 / t).exp();
            of_image(odds(-1.0), odds(1.0), whole)
        }
        Quantity::PairLoss => of_image(least(1.0), most(1.0), whole),
        Quantity::WithinClassDeviation => of_image(0.0, 2.0, whole),
        Quantity::WithinClassVariance => of_image(0.0, 4.0, whole),
        Quantity::Alignment => of_image(0.0, 4.0, images as f64),
        _ if quantity.is_accuracy() => Ok(Terms::Share { images }),
        _ => Err(Error::argument(format!("no range is known of {quantity}"))),
    }
}
