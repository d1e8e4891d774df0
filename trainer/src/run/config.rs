//! The settings of one run, as TOML; unknown keys are refused.

use crate::augment::Augmentation;
use crate::data::{EvaluateOn, Request};
use crate::error::{Error, Result};
use crate::model::Architecture;
use crate::optim::OptimiserKind;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Where the negatives of the training loss come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Negatives {
    /// `"batch"`: NT-Xent over both views of the batch, as in the paper; the batch size is n = K+1.
    Batch(BatchWord),
    /// K negatives per anchor, drawn without replacement from view 2 of the other samples of the batch.
    Count(usize),
}

/// The word `batch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchWord {
    /// The word.
    Batch,
}

impl Negatives {
    /// All samples of the batch.
    pub const BATCH: Self = Self::Batch(BatchWord::Batch);
}

/// How the learning rate follows the batch size B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LearningRateRule {
    /// learning_rate · B/256.
    Linear,
    /// learning_rate · √(B/256).
    Sqrt,
    /// learning_rate.
    Constant,
}

/// The settings of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the data set.
    pub dataset: String,
    /// Which images are evaluated: the validation images, or, for choosing settings, the tuning images.
    pub evaluate_on: EvaluateOn,
    /// Encoder.
    pub encoder: Architecture,
    /// Seed of every random stream.
    pub seed: u64,
    /// Passes over the training images.
    pub epochs: usize,
    /// Samples per batch; each gives two views.
    pub batch_size: usize,
    /// Where negatives come from.
    pub negatives: Negatives,
    /// Temperature t, in training and evaluation.
    pub temperature: f64,
    /// Optimiser.
    pub optimiser: OptimiserKind,
    /// Peak learning rate at batch size 256.
    pub learning_rate: f64,
    /// How the rate follows the batch size.
    pub learning_rate_rule: LearningRateRule,
    /// Momentum.
    pub momentum: f64,
    /// Weight decay, on weights only.
    pub weight_decay: f64,
    /// Epochs of linear warm-up.
    pub warmup_epochs: usize,
    /// Augmented passes over the training images behind the class means μ_c.
    pub mean_views: usize,
    /// Augmented views behind each f̄(x).
    pub fbar_views: usize,
    /// Strengths of the augmentation.
    pub augmentation: Augmentation,
}

const DIGITS: &str = r#"
dataset = "digits"
evaluate_on = "validation"
encoder = "mlp"
seed = 7
epochs = 80
batch_size = 64
negatives = "batch"
temperature = 0.5
optimiser = "sgd"
learning_rate = 0.5
learning_rate_rule = "sqrt"
momentum = 0.9
weight_decay = 1e-4
warmup_epochs = 5
mean_views = 10
fbar_views = 10

[augmentation]
kind = "digits"
"#;

/// The TOML of a preset.
///
/// # Errors
/// There is no preset of this name.
pub fn preset(name: &str) -> Result<&'static str> {
    match name {
        "digits" => Ok(DIGITS),
        _ => Err(Error::argument(format!("there is no preset '{name}'; known: digits"))),
    }
}

impl Config {
    /// Reads settings from TOML, with overrides `key=value` (dotted keys reach into tables).
    ///
    /// # Errors
    /// Bad TOML, an unknown or missing key, a value of the wrong type or out of range.
    ///
    /// # Examples
    /// ```
    /// use trainer::run::{Config, preset};
    /// let config = Config::from_toml(preset("digits")?, &["epochs=3".into(), "augmentation.max_shift=2".into()])?;
    /// assert_eq!(config.epochs, 3);
    /// assert!(Config::from_toml(preset("digits")?, &["epoch=3".into()]).is_err());
    /// # Ok::<(), trainer::Error>(())
    /// ```
    pub fn from_toml(text: &str, overrides: &[String]) -> Result<Self> {
        let bad =
            |e: &dyn std::fmt::Display| Error::argument(format!("settings: {}", one_line(&e.to_string())));
        let mut table: toml::Table = text.parse().map_err(|e: toml::de::Error| bad(&e))?;
        for item in overrides {
            apply_override(&mut table, item)?;
        }
        let config: Self = table.try_into().map_err(|e: toml::de::Error| bad(&e))?;
        config.check()?;
        Ok(config)
    }

    /// The settings as TOML.
    pub fn to_toml(&self) -> String {
        // A struct of numbers, strings and one table at the end always has a TOML form.
        toml::to_string(self).unwrap_or_default()
    }

    /// Checks every setting against its range.
    ///
    /// # Errors
    /// A setting out of range, named with its value.
    pub fn check(&self) -> Result<()> {
        let require = |fits: bool, message: String| if fits { Ok(()) } else { Err(Error::argument(message)) };
        let positive = |name: &str, value: f64| {
            require(value.is_finite() && value > 0.0, format!("{name} = {value} is not a positive number"))
        };
        let between = |name: &str, value: usize, least: usize, most: usize| {
            let fits = (least..=most).contains(&value);
            require(fits, format!("{name} = {value} is not between {least} and {most}"))
        };
        let strength = |name: &str, value: f64, most: f64| {
            let fits = (0.0..=most).contains(&value);
            require(fits, format!("augmentation.{name} = {value} is not between 0 and {most}"))
        };
        positive("temperature", self.temperature)?;
        positive("learning_rate", self.learning_rate)?;
        between("epochs", self.epochs, 1, 1_000_000)?;
        between("warmup_epochs", self.warmup_epochs, 0, 1_000_000)?;
        between("batch_size", self.batch_size, 2, 1 << 24)?;
        between("mean_views", self.mean_views, 2, 100_000)?;
        between("fbar_views", self.fbar_views, 1, 100_000)?;
        require(i64::try_from(self.seed).is_ok(), format!("seed = {} exceeds {}", self.seed, i64::MAX))?;
        if let Augmentation::Digits(digits) = &self.augmentation {
            strength("max_rotation", digits.max_rotation, 180.0)?;
            strength("max_shift", digits.max_shift, 8.0)?;
            strength("max_scale", digits.max_scale, 0.9)?;
            strength("max_intensity", digits.max_intensity, 1.0)?;
            strength("max_noise", digits.max_noise, 10.0)?;
            strength("erase_probability", digits.erase_probability, 1.0)?;
        }
        require(
            (0.0..1.0).contains(&self.momentum),
            format!("momentum = {} is not in [0, 1)", self.momentum),
        )?;
        require(
            self.weight_decay.is_finite() && self.weight_decay >= 0.0,
            format!("weight_decay = {} is not a number of at least 0", self.weight_decay),
        )?;
        if let Negatives::Count(k) = self.negatives {
            require(
                k >= 1 && k < self.batch_size,
                format!(
                    "negatives = {k} cannot be drawn from the other {} samples of a batch",
                    self.batch_size - 1
                ),
            )?;
        }
        Ok(())
    }

    /// Which data, with the files in this folder.
    pub fn data<'a>(&'a self, folder: Option<&'a Path>) -> Request<'a> {
        Request { name: &self.dataset, folder, evaluate_on: self.evaluate_on }
    }

    /// The peak learning rate for this batch size.
    pub fn peak_rate(&self) -> f64 {
        let ratio = self.batch_size as f64 / 256.0;
        match self.learning_rate_rule {
            LearningRateRule::Linear => self.learning_rate * ratio,
            LearningRateRule::Sqrt => self.learning_rate * ratio.sqrt(),
            LearningRateRule::Constant => self.learning_rate,
        }
    }

    /// K in the training loss: 2n−2 for NT-Xent over the batch.
    pub fn train_negatives(&self) -> u64 {
        match self.negatives {
            Negatives::Batch(_) => 2 * self.batch_size as u64 - 2,
            Negatives::Count(k) => k as u64,
        }
    }

    /// n = K+1 at which the run is evaluated unless another is asked for: the batch size, or K+1.
    pub fn evaluated_draws(&self) -> u64 {
        match self.negatives {
            Negatives::Batch(_) => self.batch_size as u64,
            Negatives::Count(k) => k as u64 + 1,
        }
    }

    /// Name of the training loss.
    pub fn loss_name(&self) -> &'static str {
        match self.negatives {
            Negatives::Batch(_) => "nt_xent",
            Negatives::Count(_) => "info_nce_sampled",
        }
    }
}

fn apply_override(table: &mut toml::Table, item: &str) -> Result<()> {
    let (key, value) = item
        .split_once('=')
        .ok_or_else(|| Error::argument(format!("'{item}' is not of the form key=value")))?;
    // A bare word is a string.
    let parsed = format!("v = {value}").parse::<toml::Table>().ok().and_then(|mut t| t.remove("v"));
    let mut value = parsed.unwrap_or_else(|| toml::Value::String(value.to_string()));
    let parts: Vec<&str> = key.trim().split('.').collect();
    let (name, path) = parts.split_last().unwrap_or((&"", &[]));
    let mut place = table;
    for part in path {
        let entry = place.entry(*part).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        place = entry
            .as_table_mut()
            .ok_or_else(|| Error::argument(format!("'{key}': {part} is no table of settings")))?;
    }
    // A whole number is a number: `learning_rate=1`.
    if let (Some(toml::Value::Float(_)), toml::Value::Integer(whole)) = (place.get(*name), &value) {
        value = toml::Value::Float(*whole as f64);
    }
    place.insert((*name).to_string(), value);
    Ok(())
}

fn one_line(message: &str) -> String {
    message.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(overrides: &[&str]) -> Result<Config> {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        Config::from_toml(DIGITS, &overrides)
    }

    #[test]
    fn settings_survive_a_round_trip() {
        for overrides in [vec![], vec!["negatives=15", "encoder=conv", "optimiser=lars", "learning_rate=1"]] {
            let config = with(&overrides).unwrap();
            assert_eq!(Config::from_toml(&config.to_toml(), &[]).unwrap(), config);
        }
    }

    #[test]
    fn k_and_n_are_not_mixed() {
        let batch = with(&["batch_size=64"]).unwrap();
        assert_eq!((batch.train_negatives(), batch.evaluated_draws()), (126, 64));
        let sampled = with(&["batch_size=256", "negatives=15"]).unwrap();
        assert_eq!((sampled.train_negatives(), sampled.evaluated_draws()), (15, 16));
    }

    #[test]
    fn bad_settings_name_the_key() {
        for (overrides, expected) in [
            (vec!["epoch=3"], "epoch"),
            (vec!["epochs=0"], "epochs = 0"),
            (vec!["epochs=x"], "epochs"),
            (vec!["epochs=9223372036854775807"], "epochs = 9223372036854775807"),
            (vec!["augmentation.max_scale=nan"], "augmentation.max_scale = NaN"),
            (vec!["temperature=-1"], "temperature = -1"),
            (vec!["negatives=64"], "negatives = 64"),
            (vec!["encoder=resnet"], "resnet"),
            (vec!["augmentation.flip=1"], "flip"),
            (vec!["seed"], "key=value"),
        ] {
            let message = with(&overrides).unwrap_err().to_string();
            assert!(message.contains(expected) && !message.contains('\n'), "{message}");
        }
        assert!(preset("cifar10").is_err());
    }
}
