//! `LossComponents`: what was measured of one encoder at one number of draws, and the file `losses.csv`.
//!
//! One row per run, evaluated number of draws n = K+1 and temperature. `<name>_se` beside a mean is its standard
//! error. A column that is absent makes the bounds that need it not applicable, never zero; unknown columns are kept.

mod csv_file;
mod measure;
mod official;

pub use csv_file::{read, read_from, write, write_to};
pub use measure::{Domain, Quantity};
pub use official::{OfficialSettings, read_official, read_official_from};

use crate::error::{Error, Result};
use crate::prior::ClassPrior;
use crate::sampling::{NumDraws, Sampling};
use std::collections::BTreeMap;

/// The column, among the unknown ones, that says which negatives of the training loss counted, such as `hardest:5%`; absent
/// where all did.
pub const SELECTION: &str = "selection";

/// A mean and, where it was estimated from batches, its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean over batches.
    pub mean: f64,
    /// Standard deviation of the per-batch means over √(number of batches).
    pub standard_error: Option<f64>,
}

impl Estimate {
    /// A number without a standard error.
    pub fn exact(mean: f64) -> Self {
        Self { mean, standard_error: None }
    }

    /// Mean and standard error of per-batch values; the error is absent for fewer than two batches.
    pub fn of_batches(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let spread = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        let standard_error = (values.len() > 1).then(|| (spread / (count - 1.0) / count).sqrt());
        Self { mean, standard_error }
    }
}

/// What a positive pair is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Positives {
    /// Two augmented views of one image (SimCLR; Nozawa & Sato). The default of `losses.csv`.
    #[default]
    SameImage,
    /// Two independent images of one class (Arora et al.; Bao et al.). Then f̄(x) is μ_c and d(f) = 0.
    SameClass,
}

impl Positives {
    /// The name in `losses.csv`.
    pub fn name(self) -> &'static str {
        match self {
            Self::SameImage => "same_image",
            Self::SameClass => "same_class",
        }
    }
}

impl std::str::FromStr for Positives {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        [Self::SameImage, Self::SameClass]
            .into_iter()
            .find(|p| p.name() == name)
            .ok_or_else(|| Error::argument(format!("'{name}' is neither same_image nor same_class")))
    }
}

/// What was trained: text as it stands in the file, numbers where they are known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunInfo {
    /// Name of the run.
    pub run_id: String,
    /// Name of the data set.
    pub dataset: String,
    /// Architecture of the encoder.
    pub encoder: String,
    /// Architecture of the projection head.
    pub head: String,
    /// Name of the training loss.
    pub loss: String,
    /// Seed of the run.
    pub seed: Option<u64>,
    /// Number of training epochs.
    pub epochs: Option<u64>,
    /// Samples per training batch (each gives two views).
    pub batch_size: Option<u64>,
    /// K in the training loss.
    pub train_negatives: Option<u64>,
    /// K after any selection of negatives, on average.
    pub effective_negatives: Option<f64>,
}

/// One measurement of an encoder: the terms that the bounds combine.
///
/// `L_Info` and all losses are in nats and already divided by the temperature where the formula says so.
#[derive(Debug, Clone, PartialEq)]
pub struct LossComponents {
    /// What was trained.
    pub run: RunInfo,
    /// C.
    pub num_classes: u64,
    /// Samples per class of the evaluated set.
    pub class_counts: Option<Vec<u64>>,
    /// n = K+1 of the evaluation.
    pub num_draws: NumDraws,
    /// t, in the contrastive loss and in the mean classifier alike.
    pub temperature: f64,
    /// How the labels of a batch were drawn.
    pub sampling: Sampling,
    /// What a positive pair is.
    pub positives: Positives,
    /// Number of batches behind the means.
    pub num_batches: Option<u64>,
    /// Views behind each f̄(x) of the gap term.
    pub fbar_views: Option<u64>,
    /// Mean of l_sup per class.
    pub class_sup_loss: Option<Vec<f64>>,
    /// The measured quantities.
    pub measures: BTreeMap<Quantity, Estimate>,
    /// `info_nce_minus_<key>`: L_Info minus a bound's right-hand side, paired batch by batch.
    pub paired: BTreeMap<String, Estimate>,
    /// Columns that this program does not know, as read.
    pub extra: Vec<(String, String)>,
}

impl LossComponents {
    /// An empty measurement of C classes at n draws and temperature t.
    ///
    /// # Errors
    /// C = 0, or a temperature that is not positive and finite.
    pub fn new(num_classes: u64, num_draws: NumDraws, temperature: f64, sampling: Sampling) -> Result<Self> {
        if num_classes == 0 {
            return Err(Error::argument("num_classes must be at least 1, got 0"));
        }
        if !(temperature.is_finite() && temperature > 0.0) {
            return Err(Error::argument(format!("temperature {temperature} is not a positive number")));
        }
        Ok(Self {
            run: RunInfo::default(),
            num_classes,
            class_counts: None,
            num_draws,
            temperature,
            sampling,
            positives: Positives::default(),
            num_batches: None,
            fbar_views: None,
            class_sup_loss: None,
            measures: BTreeMap::new(),
            paired: BTreeMap::new(),
            extra: Vec::new(),
        })
    }

    /// Which negatives of the training loss counted; `None`: all.
    pub fn selection(&self) -> Option<&str> {
        self.extra.iter().find(|(name, _)| name == SELECTION).map(|(_, value)| value.as_str())
    }

    /// The mean of a measure, if it was measured.
    pub fn get(&self, measure: Quantity) -> Option<f64> {
        self.measures.get(&measure).map(|estimate| estimate.mean)
    }

    /// Sets a measure.
    ///
    /// # Errors
    /// The value is not finite or outside the measure's domain.
    pub fn set(&mut self, measure: Quantity, estimate: Estimate) -> Result<()> {
        measure.check(estimate.mean)?;
        if let Some(error) = estimate.standard_error.filter(|e| !(e.is_finite() && *e >= 0.0)) {
            return Err(Error::argument(format!(
                "{measure}_se = {error} is not a finite number of at least 0"
            )));
        }
        self.measures.insert(measure, estimate);
        Ok(())
    }

    /// The prior of the evaluated set, from `class_counts`.
    pub fn prior(&self) -> Option<ClassPrior> {
        self.class_counts.as_ref().and_then(|counts| ClassPrior::from_counts(counts.clone()).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_error_by_hand() {
        // Values 1, 3: mean 2, sample variance 2, standard error √(2/2) = 1.
        assert_eq!(Estimate::of_batches(&[1.0, 3.0]), Estimate { mean: 2.0, standard_error: Some(1.0) });
        assert_eq!(Estimate::of_batches(&[5.0]).standard_error, None);
    }
}
