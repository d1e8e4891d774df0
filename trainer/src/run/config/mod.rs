//! The settings of one run, as TOML; unknown keys are refused.

pub(in crate::run) mod difference;
mod monitor;
mod negatives;
mod objective;
pub(in crate::run) mod preset;
mod sweep;

pub use monitor::{MOST_REFERENCES, Metric, MonitorSettings};
pub use negatives::{Negatives, QueueSettings};
pub use objective::{Contrastive, NegativeSource, Objective};
pub use preset::{Preset, names as preset_names};
pub use sweep::{Grid, Sweep};

use crate::augment::Augmentation;
use crate::data::{EvaluateOn, ImageSettings, Imbalance, InputKind, Request, Samples, Split, own};
use crate::error::{Error, Result};
use crate::loss::{LossKind, Selection};
use crate::model::{Architecture, Head, Model, Network, Options, Stem};
use crate::optim::{Lars, OptimiserKind};
use crate::run::evaluate;
use candle_core::Device;
use preset::bad;
use serde::{Deserialize, Serialize};
use std::path::Path;
use theory::files::sha256;

/// Whether the classes are known to the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectiveKind {
    /// A contrastive loss of the head features.
    #[default]
    Contrastive,
    /// Softmax cross-entropy of the known classes: the supervised reference. The head is then one linear layer with an
    /// output for each class.
    CrossEntropy,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn one() -> usize {
    1
}

fn is_one(value: &usize) -> bool {
    *value == 1
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
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
    /// How many training samples are used, about as many of each class; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_samples: Option<usize>,
    /// A long-tailed variant of the training samples, such as `imbalance.ratio=100`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imbalance: Option<Imbalance>,
    /// Whether the evaluated samples are cut by `imbalance` too.
    #[serde(default, skip_serializing_if = "is_default")]
    pub evaluate_imbalanced: bool,
    /// The share of each class that is evaluated, where a folder of images has no part for it; a tenth where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<f64>,
    /// What is made of the images of a folder, such as `images.side=32`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub images: ImageSettings,
    /// Encoder.
    pub encoder: Architecture,
    /// Projection head.
    #[serde(default, skip_serializing_if = "is_default")]
    pub head: Head,
    /// What stands before the blocks of a residual network.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stem: Stem,
    /// Zeros around the images before the small stem of a residual network; Nozawa & Sato have 3.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub stem_padding: usize,
    /// Seed of every random stream.
    pub seed: u64,
    /// Passes over the training images.
    pub epochs: usize,
    /// Samples per batch; each gives two views.
    pub batch_size: usize,
    /// How many views are embedded at once, at least 2; all of a batch where absent. The loss sees the whole batch
    /// either way, and a step takes a forward pass more; batch normalisation sees what is embedded at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_batch: Option<usize>,
    /// What is minimised.
    #[serde(default, skip_serializing_if = "is_default")]
    pub objective: ObjectiveKind,
    /// Where negatives come from.
    pub negatives: Negatives,
    /// Which of them count, such as `"hardest:5%"`, where `negatives` is no selection itself; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
    /// Temperature t, in training and evaluation.
    pub temperature: f64,
    /// Optimiser.
    pub optimiser: OptimiserKind,
    /// Whether LARS adapts the rates of biases and batch normalisation too, as in the official code of Nozawa & Sato;
    /// in SimCLR, lightly and solo-learn it does not.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub lars_adapt_bias_and_norm: bool,
    /// Whether LARS clips the factor of a layer to the learning rate, as an option of solo-learn's does.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lars_clip: bool,
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
    /// Passes over the evaluated samples in a measurement; as many as make 100 batches where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passes: Option<usize>,
    /// Epochs of the paper's linear probe by SGD (100; 20 for texts); no such probe where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_epochs: Option<usize>,
    /// Whether that probe reports the best of its epochs on the evaluated samples, as the official code does.
    #[serde(default, skip_serializing_if = "is_default")]
    pub probe_best_epoch: bool,
    /// The contrastive loss; `loss = "dcl"` is short for `loss.kind = "dcl"`.
    #[serde(default, skip_serializing_if = "is_default", deserialize_with = "LossKind::word_or_table")]
    pub loss: LossKind,
    /// Keys of earlier batches as negatives; none where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueSettings>,
    /// What is looked at while the run trains; nothing where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor: Option<MonitorSettings>,
    /// How views are made, and the strengths.
    pub augmentation: Augmentation,
}

impl Config {
    /// Settings as [`to_toml`](Self::to_toml) writes them.
    ///
    /// # Errors
    /// Bad TOML, an unknown or missing key, a value of the wrong type or out of range.
    pub fn from_toml(text: &str) -> Result<Self> {
        Self::from_table(text.parse().map_err(|e: toml::de::Error| bad(&e.to_string()))?)
    }

    /// Settings of a table.
    pub(in crate::run) fn from_table(table: toml::Table) -> Result<Self> {
        let config: Self = table.try_into().map_err(|e: toml::de::Error| bad(&e.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// The settings as TOML.
    pub fn to_toml(&self) -> String {
        // A struct of numbers, strings and one table at the end always has a TOML form.
        toml::to_string(self).unwrap_or_default()
    }

    /// Names the settings but for the seed, so that runs of one name are repetitions: the first 16 hexadecimal digits
    /// of SHA-256 over them as TOML, keys sorted. The same on every machine, however the settings came about.
    ///
    /// # Examples
    /// ```
    /// use trainer::run::{Config, Preset};
    /// let config = Preset::named("digits", &[])?.config;
    /// assert_eq!(config.settings_id(), Config { seed: 8, ..config.clone() }.settings_id());
    /// assert_ne!(config.settings_id(), Config { epochs: 8, ..config.clone() }.settings_id());
    /// # Ok::<(), trainer::Error>(())
    /// ```
    pub fn settings_id(&self) -> String {
        // As for `to_toml`, there is always such a table, and its keys are sorted.
        let mut table = toml::Table::try_from(self).unwrap_or_default();
        table.remove("seed");
        if self.monitor.is_some_and(|monitor| !monitor.decides()) {
            table.remove("monitor");
        }
        // Images are the same whenever they are decoded.
        if let Some(images) = table.get_mut("images").and_then(toml::Value::as_table_mut) {
            images.remove("cache");
            if images.is_empty() {
                table.remove("images");
            }
        }
        // The folder of a file of neighbours is that of a machine.
        if let Some(file) = table.get_mut("augmentation").and_then(|of| of.get_mut("neighbours_file")) {
            let name = file.as_str().and_then(|path| Path::new(path).file_name()?.to_str()).map(Into::into);
            *file = name.unwrap_or(file.clone());
        }
        sha256(table.to_string().as_bytes())[..16].into()
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
        positive("temperature", self.temperature)?;
        positive("learning_rate", self.learning_rate)?;
        between("epochs", self.epochs, 1, 1_000_000)?;
        between("warmup_epochs", self.warmup_epochs, 0, 1_000_000)?;
        between("batch_size", self.batch_size, 2, 1 << 24)?;
        between("micro_batch", self.micro_batch.unwrap_or(2), 2, 1 << 24)?;
        between("passes", self.passes.unwrap_or(1), 1, 1_000_000)?;
        if let Some(MonitorSettings { every, early_stop, .. }) = self.monitor {
            between("monitor.every", every, 1, 1_000_000)?;
            between("monitor.early_stop", early_stop.unwrap_or(1), 1, 1_000_000)?;
            let decides = self.monitor.is_some_and(|monitor| monitor.decides());
            require(
                !(decides && self.sees_classes()) || self.evaluate_on == EvaluateOn::Tuning,
                "monitor.early_stop and monitor.keep_best where the training sees classes need evaluate_on = tuning: the tuning samples are trained on otherwise".into(),
            )?;
        }
        between("probe_epochs", self.probe_epochs.unwrap_or(1), 1, 1_000_000)?;
        require(
            (self.temperature as f32).recip().is_finite(),
            format!("temperature = {:e} is too small: 1/t must be finite", self.temperature),
        )?;
        between("mean_views", self.mean_views, 2, 100_000)?;
        between("fbar_views", self.fbar_views, 1, 100_000)?;
        require(i64::try_from(self.seed).is_ok(), format!("seed = {} exceeds {}", self.seed, i64::MAX))?;
        self.augmentation.check()?;
        self.images.check()?;
        self.validation.map_or(Ok(()), own::check_validation)?;
        require(
            (0.0..1.0).contains(&self.momentum),
            format!("momentum = {} is not in [0, 1)", self.momentum),
        )?;
        require(
            self.weight_decay.is_finite() && self.weight_decay >= 0.0,
            format!("weight_decay = {} is not a number of at least 0", self.weight_decay),
        )?;
        let is_lars = self.optimiser == OptimiserKind::Lars;
        for (name, value, default) in [
            ("lars_adapt_bias_and_norm", self.lars_adapt_bias_and_norm, true),
            ("lars_clip", self.lars_clip, false),
        ] {
            require(is_lars || value == default, format!("{name} = {value}: only with optimiser = lars"))?;
        }
        self.training_objective().map(drop)
    }

    /// Whether the training sees the classes.
    fn sees_classes(&self) -> bool {
        self.objective == ObjectiveKind::CrossEntropy || self.loss.knows_classes()
    }

    /// Checks that samples have the classes that their training needs.
    ///
    /// # Errors
    /// It sees classes, and they have none.
    pub(in crate::run) fn check_classes(&self, samples: &Samples) -> Result<()> {
        match self.sees_classes() && !evaluate::has_classes(samples) {
            false => Ok(()),
            true => Err(Error::argument("the loss compares classes, and the samples have none")),
        }
    }

    /// How LARS treats what differs between implementations.
    pub fn lars(&self) -> Lars {
        Lars { adapt_bias_and_norm: self.lars_adapt_bias_and_norm, clip: self.lars_clip }
    }

    /// Which data, with the files in this folder.
    pub fn data<'a>(&'a self, folder: Option<&'a Path>) -> Request<'a> {
        let Self { evaluate_on, train_samples, imbalance, evaluate_imbalanced, validation, images, .. } =
            *self;
        Request {
            name: &self.dataset,
            folder,
            evaluate_on,
            train_samples,
            imbalance,
            evaluate_imbalanced,
            validation,
            images,
        }
    }

    /// The tuning samples of a split of these data, where they are what is evaluated: [`Session::tuning`].
    ///
    /// [`Session::tuning`]: super::Session::tuning
    pub fn tuning<'s>(&self, split: &'s Split) -> Option<&'s Samples> {
        (self.evaluate_on == EvaluateOn::Tuning).then_some(&split.evaluated)
    }

    /// What is to be said where views leave out a third of an image's side or more, as they do where only one of
    /// `images.side` and `augmentation.size` was set.
    pub fn note_of_views(&self, samples: &Samples) -> Option<String> {
        let (from, into) = (samples.kind(), self.augmentation.input(samples.kind()));
        let (InputKind::Images([height, width, _]), InputKind::Images([size, ..])) = (from, into) else {
            return None;
        };
        (3 * size <= 2 * height.min(width)).then(|| {
            format!(
                "note: augmentation.size = {size}: the encoder reads views of {size}×{size}, cut from images of {height}×{width}"
            )
        })
    }

    /// The network of these settings for samples like these, at initialisation.
    ///
    /// # Errors
    /// An encoder that does not take such samples; a device without room.
    pub fn network(&self, samples: &Samples, device: &Device) -> Result<Network> {
        let head = match self.objective {
            ObjectiveKind::Contrastive => self.head,
            ObjectiveKind::CrossEntropy => Head::Classifier(samples.num_classes()),
        };
        let Self { stem, stem_padding, .. } = *self;
        let options = Options { head, stem, stem_padding, ..Options::default() };
        let model = Model { architecture: self.encoder, options };
        let network = Network::new(model, self.augmentation.input(samples.kind()), self.seed, device)?;
        match self.micro_batch {
            Some(most) if network.parameters().table().is_some() => {
                let name = self.encoder.name();
                Err(Error::argument(format!(
                    "micro_batch = {most}: encoder = {name} keeps little more than its features, and takes whole batches"
                )))
            }
            _ => Ok(network),
        }
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
}

#[cfg(test)]
mod tests;
