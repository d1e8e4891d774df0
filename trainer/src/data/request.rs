//! Which part of which data set: see [`super`] for the order in which the parts are cut.

use super::{ImageSettings, Samples, Split, subset};
use crate::error::{Error, Result};
use std::path::Path;

/// Which samples are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvaluateOn {
    /// The validation samples (the official test set, where there is one); training uses all others.
    Validation,
    /// A part of the training samples, held out from training: for choosing settings.
    Tuning,
}

/// A long-tailed variant: class c keeps ⌊n_c·ratio^(−c/(C−1))⌋ samples, at least one (Cui et al. 2019; Cao et al. 2019,
/// "exponential" profile).
///
/// Classes are taken in the order of their labels, so class 0 is the largest. `ratio` is that of the largest to the
/// smallest class where n_c is the same for all: 100 makes 12,406 training images of CIFAR-10's 50,000 (5000, 2997,
/// 1796, …, 50).
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imbalance {
    /// Largest over smallest class, at least 1.
    pub ratio: f64,
}

impl Imbalance {
    /// How many of `counts` samples per class stay.
    ///
    /// # Errors
    /// A ratio below 1 or not finite.
    ///
    /// # Examples
    /// ```
    /// use trainer::data::Imbalance;
    /// assert_eq!(Imbalance { ratio: 100.0 }.counts(&[5000, 5000, 5000])?, [5000, 500, 50]);
    /// # Ok::<(), trainer::Error>(())
    /// ```
    pub fn counts(&self, counts: &[u64]) -> Result<Vec<u64>> {
        let Self { ratio } = *self;
        if !(ratio.is_finite() && ratio >= 1.0) {
            return Err(Error::argument(format!("imbalance.ratio = {ratio} is not a number of at least 1")));
        }
        let last = counts.len().saturating_sub(1).max(1) as f64;
        let keep = |(class, &count): (usize, &u64)| {
            let share = count as f64 / ratio.powf(class as f64 / last);
            // A share that is whole but for the rounding of the power counts as whole.
            ((share * (1.0 + 1e-12)).floor() as u64).clamp(count.min(1), count)
        };
        Ok(counts.iter().enumerate().map(keep).collect())
    }
}

/// Which part of which data set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Request<'a> {
    /// Name of the data set.
    pub name: &'a str,
    /// The folder of the data sets' files; the digits need none.
    pub folder: Option<&'a Path>,
    /// Which samples are evaluated.
    pub evaluate_on: EvaluateOn,
    /// Number of training samples; all, where it is not given.
    pub train_samples: Option<usize>,
    /// A long-tailed variant of the training samples.
    pub imbalance: Option<Imbalance>,
    /// Whether the evaluated samples are cut by `imbalance` too.
    pub evaluate_imbalanced: bool,
    /// The share of each class that is evaluated, where a folder of images does not say it.
    pub validation: Option<f64>,
    /// What is made of the images of a folder.
    pub images: ImageSettings,
}

impl<'a> Request<'a> {
    /// All of a data set, evaluated on its validation samples.
    pub fn new(name: &'a str) -> Self {
        Self {
            name,
            folder: None,
            evaluate_on: EvaluateOn::Validation,
            train_samples: None,
            imbalance: None,
            evaluate_imbalanced: false,
            validation: None,
            images: ImageSettings::default(),
        }
    }

    /// What of the official training and test samples is trained on and evaluated.
    ///
    /// # Errors
    /// Those of [`cut`](Self::cut); a class with fewer than two training samples, where tuning samples are held out.
    pub fn split(&self, train: Samples, test: Samples) -> Result<Split> {
        self.cut(match self.evaluate_on {
            EvaluateOn::Validation => Split { train, evaluated: test },
            EvaluateOn::Tuning => {
                let (train, evaluated) = super::tuning(&train)?;
                Split { train, evaluated }
            }
        })
    }

    /// What of a split stays: first `imbalance`, then `train_samples`.
    ///
    /// # Errors
    /// A ratio below 1; `evaluate_imbalanced` without `imbalance`; more training samples than there are, or fewer than
    /// classes.
    pub fn cut(&self, split: Split) -> Result<Split> {
        let Split { mut train, mut evaluated } = split;
        if self.evaluate_imbalanced && self.imbalance.is_none() {
            return Err(Error::argument("evaluate_imbalanced = true needs imbalance.ratio"));
        }
        if let Some(imbalance) = &self.imbalance {
            train = train.subset(&subset::imbalanced(&train, imbalance, subset::Part::Train)?);
            if self.evaluate_imbalanced {
                evaluated =
                    evaluated.subset(&subset::imbalanced(&evaluated, imbalance, subset::Part::Evaluated)?);
            }
        }
        if let Some(number) = self.train_samples {
            train = train.subset(&subset::stratified(&train, number)?);
        }
        Ok(Split { train, evaluated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_profiles() {
        let counts = |ratio, classes, each| Imbalance { ratio }.counts(&vec![each; classes]).unwrap();
        // CIFAR-10-LT and CIFAR-100-LT: sizes as in the literature (12,406 and 10,847 images at ratio 100).
        let ten = counts(100.0, 10, 5000);
        assert_eq!(ten, [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]);
        assert_eq!(ten.iter().sum::<u64>(), 12_406);
        assert_eq!(counts(100.0, 100, 500).iter().sum::<u64>(), 10_847);
        // 1000^(-1/3) and 1000^(-2/3) are not exact, but 1/10 and 1/100 are meant.
        assert_eq!(counts(1000.0, 4, 5000), [5000, 500, 50, 5]);
        assert_eq!(counts(1.0, 3, 7), [7, 7, 7]);
        assert_eq!(counts(1e9, 3, 7), [7, 1, 1]);
        for ratio in [0.5, f64::NAN, f64::INFINITY] {
            assert!(Imbalance { ratio }.counts(&[1]).is_err());
        }
        assert_eq!(Imbalance { ratio: 2.0 }.counts(&[5]).unwrap(), [5]);
        assert!(Imbalance { ratio: 2.0 }.counts(&[]).unwrap().is_empty());
    }
}
