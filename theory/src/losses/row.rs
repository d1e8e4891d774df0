//! A row of `losses.csv`: what it is beside the columns that the schema declares.

use super::schema::ColumnError;
use super::{IMAGE_SE_SUFFIX, LossComponents, Quantity, SE_SUFFIX};
use crate::error::{Error, Place, Result};
use crate::prior::ClassPrior;
use crate::sampling::{NumDraws, Sampling};
use std::sync::Arc;

/// A mean and its errors: over batches given the evaluated images, and over those images as a sample of all images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean over batches.
    pub mean: f64,
    /// Standard deviation of the per-batch means over √(number of batches).
    pub standard_error: Option<f64>,
    /// Standard deviation of the mean over samples of as many images, independent and of one law, given the encoder and
    /// the class means (`measure::image_errors` has the formulas).
    pub image_error: Option<f64>,
}

impl Estimate {
    /// A number without errors.
    pub fn exact(mean: f64) -> Self {
        Self { mean, standard_error: None, image_error: None }
    }

    /// A share of `count` images, such as an accuracy; its error over images is √(p(1−p)/(count−1)).
    ///
    /// # Examples
    /// ```
    /// // Half of 5: √(¼ / 4) = ¼.
    /// let half = theory::losses::Estimate::share(0.5, 5);
    /// assert_eq!((half.standard_error, half.image_error), (None, Some(0.25)));
    /// ```
    pub fn share(share: f64, count: usize) -> Self {
        let variance = (share * (1.0 - share)).max(0.0) / (count as f64 - 1.0);
        Self::exact(share).with_image_error((count > 1).then(|| variance.sqrt()))
    }

    /// The same mean with this error over images.
    #[must_use]
    pub fn with_image_error(self, image_error: Option<f64>) -> Self {
        Self { image_error, ..self }
    }

    /// Mean and standard error of per-batch values; the error is absent for fewer than two batches.
    pub fn of_batches(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let spread = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        let standard_error = (values.len() > 1).then(|| (spread / (count - 1.0) / count).sqrt());
        Self { mean, standard_error, image_error: None }
    }
}

/// By how much rounding may have lengthened unit rows.
const LENGTHENED: f64 = 1e-6;

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

/// Where a row was read; nothing for one that was made here. All origins are equal: a row is what it says.
#[derive(Debug, Clone, Default)]
pub struct Origin(pub(super) Option<(Arc<str>, u64)>);

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Origin {
    /// File and line.
    pub fn place(&self) -> Option<Place> {
        let (file, line) = self.0.as_ref()?;
        Some(Place { file: file.to_string(), line: Some(*line), column: None })
    }
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
        check_temperature(temperature)?;
        Ok(Self::unmeasured(num_classes, num_draws, temperature, sampling))
    }

    /// Whether the descriptive columns, each of its kind already, can stand beside each other.
    pub(super) fn check(&self) -> std::result::Result<(), ColumnError> {
        let refuse = |column: &str, message: String| Err((column.to_string(), Error::argument(message)));
        if self.num_classes == 0 {
            return refuse("num_classes", "0 is not a positive integer".into());
        }
        check_temperature(self.temperature).map_err(|e| ("temperature".to_string(), e))?;
        for (column, length) in [
            ("class_counts", self.class_counts.as_ref().map(Vec::len)),
            ("class_sup_loss", self.class_sup_loss.as_ref().map(Vec::len)),
        ] {
            if let Some(length) = length.filter(|&length| length as u64 != self.num_classes) {
                return refuse(column, format!("{length} values where num_classes is {}", self.num_classes));
            }
        }
        if let Some(counts) = &self.class_counts {
            ClassPrior::from_counts(counts.clone()).map_err(|e| ("class_counts".to_string(), e))?;
        }
        if self.num_batches == Some(0) {
            return refuse("num_batches", "0 is not a positive integer".into());
        }
        Ok(())
    }

    /// Which negatives of the training loss counted; `None`: all.
    pub fn selection(&self) -> Option<&str> {
        Some(self.run.selection.as_str()).filter(|selection| !selection.is_empty())
    }

    /// The mean of a quantity, if it was measured.
    pub fn get(&self, quantity: Quantity) -> Option<f64> {
        self.measures.get(&quantity).map(|estimate| estimate.mean)
    }

    /// Sets a quantity.
    ///
    /// # Errors
    /// The value is not finite or outside the quantity's domain.
    pub fn set(&mut self, quantity: Quantity, estimate: Estimate) -> Result<()> {
        quantity.check(estimate.mean)?;
        for (suffix, error) in [(SE_SUFFIX, estimate.standard_error), (IMAGE_SE_SUFFIX, estimate.image_error)]
        {
            if let Some(error) = error.filter(|e| !(e.is_finite() && *e >= 0.0)) {
                return Err(Error::argument(format!(
                    "{quantity}{suffix} = {error} is not a finite number of at least 0"
                )));
            }
        }
        self.measures.insert(quantity, estimate);
        Ok(())
    }

    /// Whether d(f) is one of unit features: z·(μ_c − f̄)/t, of unit z and means μ_c, f̄ of unit rows, is at least −2/t.
    ///
    /// # Errors
    /// Below it: f̄ or the class means are of rows that were not normalised, which no bound allows.
    pub(super) fn check_gap(&self) -> Result<()> {
        let least = -2.0 / self.temperature;
        match self.get(Quantity::Gap) {
            Some(gap) if gap < least * (1.0 + LENGTHENED) => Err(Error::argument(format!(
                "d(f) = {gap} is below −2/t = {least}, the least that unit features have: the rows behind f̄ or the \
                 class means were not normalised"
            ))),
            _ => Ok(()),
        }
    }

    /// Leaves only what samples without classes have, where all were measured as being of one.
    pub fn forget_classes(&mut self) {
        (self.class_counts, self.class_sup_loss, self.run.imbalance) = (None, None, None);
        self.measures.retain(|quantity, _| quantity.needs_no_classes());
        self.paired.clear();
    }

    /// The prior of the evaluated set, from `class_counts`.
    pub fn prior(&self) -> Option<ClassPrior> {
        self.class_counts.as_ref().and_then(|counts| ClassPrior::from_counts(counts.clone()).ok())
    }
}

fn check_temperature(temperature: f64) -> Result<()> {
    if temperature.is_finite() && temperature > 0.0 {
        return Ok(());
    }
    Err(Error::argument(format!("temperature {temperature} is not a positive number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_error_by_hand() {
        // Values 1, 3: mean 2, sample variance 2, standard error √(2/2) = 1.
        let found = Estimate::of_batches(&[1.0, 3.0]);
        assert_eq!(found, Estimate { mean: 2.0, standard_error: Some(1.0), image_error: None });
        assert_eq!(Estimate::of_batches(&[5.0]).standard_error, None);
    }
}
