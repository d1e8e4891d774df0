//! The settings of one run, as TOML; unknown keys are refused.

mod negatives;
mod preset;
mod sweep;

pub use negatives::{Negatives, QueueSettings};
pub use preset::{Preset, names as preset_names};
pub use sweep::{Grid, Plan};

use crate::augment::Augmentation;
use crate::data::{EvaluateOn, Imbalance, Request, Samples};
use crate::error::{Error, Result};
use crate::loss::{LossKind, Selection};
use crate::model::{Architecture, Head, Model, Network, Options};
use crate::optim::OptimiserKind;
use candle_core::Device;
use negatives::MOST_KEYS;
use preset::bad;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::Path;

/// What is minimised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
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
    /// Encoder.
    pub encoder: Architecture,
    /// Projection head.
    #[serde(default, skip_serializing_if = "is_default")]
    pub head: Head,
    /// Zeros around the images of ResNet-18; the published code has 3.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub stem_padding: usize,
    /// Seed of every random stream.
    pub seed: u64,
    /// Passes over the training images.
    pub epochs: usize,
    /// Samples per batch; each gives two views.
    pub batch_size: usize,
    /// What is minimised.
    #[serde(default, skip_serializing_if = "is_default")]
    pub objective: Objective,
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
    /// Passes over the evaluated samples in a measurement; as many as make 100 batches where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passes: Option<usize>,
    /// Epochs of the paper's linear probe by SGD (100; 20 for texts); no such probe where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_epochs: Option<usize>,
    /// Whether that probe reports the best of its epochs on the evaluated samples, as the official code does.
    #[serde(default, skip_serializing_if = "is_default")]
    pub probe_best_epoch: bool,
    /// The loss over the negatives of the batch; `loss = "dcl"` is short for `loss.kind = "dcl"`.
    #[serde(default, skip_serializing_if = "is_default", deserialize_with = "LossKind::word_or_table")]
    pub loss: LossKind,
    /// Keys of earlier batches as negatives; none where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueSettings>,
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
    pub(super) fn from_table(table: toml::Table) -> Result<Self> {
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
        let digest = Sha256::digest(table.to_string());
        digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
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
        between("passes", self.passes.unwrap_or(1), 1, 1_000_000)?;
        between("probe_epochs", self.probe_epochs.unwrap_or(1), 1, 1_000_000)?;
        require(
            (self.temperature as f32).recip().is_finite(),
            format!("temperature = {:e} is too small: 1/t must be finite", self.temperature),
        )?;
        between("mean_views", self.mean_views, 2, 100_000)?;
        between("fbar_views", self.fbar_views, 1, 100_000)?;
        require(i64::try_from(self.seed).is_ok(), format!("seed = {} exceeds {}", self.seed, i64::MAX))?;
        self.augmentation.check()?;
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
        self.check_loss()?;
        self.check_selection()
    }

    /// A loss other than NT-Xent is one of all the batch's negatives.
    fn check_loss(&self) -> Result<()> {
        self.loss.check()?;
        let (name, negatives) = (self.loss.name(), self.negatives);
        match (self.objective, negatives) {
            _ if self.loss == LossKind::default() => Ok(()),
            (Objective::Contrastive, Negatives::Batch) => Ok(()),
            (Objective::Contrastive, _) => Err(Error::argument(format!(
                "loss = {name} takes all negatives of the batch: negatives = {negatives} must be batch"
            ))),
            (Objective::CrossEntropy, _) => Err(Error::argument(format!(
                "loss = {name} is contrastive: objective = cross-entropy has a loss of its own"
            ))),
        }
    }

    /// Whether `negatives` and `[queue]` fit each other.
    fn check_selection(&self) -> Result<()> {
        let negatives = self.negatives;
        match (&self.queue, negatives) {
            (Some(_), Negatives::Batch | Negatives::Count(_)) => {
                return Err(Error::argument(format!(
                    "negatives = {negatives} beside [queue]: with a queue they are \"queue\" or a selection such as hardest:5%"
                )));
            }
            (None, Negatives::Queue) => {
                return Err(Error::argument("negatives = queue needs [queue], such as queue.size = 4096"));
            }
            _ => {}
        }
        if let Some(QueueSettings { size, momentum }) = self.queue {
            if self.objective == Objective::CrossEntropy {
                return Err(Error::argument("[queue]: the objective cross-entropy has no negatives"));
            }
            if !(self.batch_size..=MOST_KEYS).contains(&size) {
                let batch = self.batch_size;
                return Err(Error::argument(format!(
                    "queue.size = {size} is not between batch_size = {batch} and {MOST_KEYS}"
                )));
            }
            if !(0.0..1.0).contains(&momentum) {
                return Err(Error::argument(format!("queue.momentum = {momentum} is not in [0, 1)")));
            }
        }
        match negatives {
            Negatives::Selected(selection) if self.objective == Objective::Contrastive => {
                selection.require_kept(self.train_negatives() as usize).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Which data, with the files in this folder.
    pub fn data<'a>(&'a self, folder: Option<&'a Path>) -> Request<'a> {
        let Self { evaluate_on, train_samples, imbalance, evaluate_imbalanced, .. } = *self;
        Request { name: &self.dataset, folder, evaluate_on, train_samples, imbalance, evaluate_imbalanced }
    }

    /// The network of these settings for samples like these, at initialisation.
    ///
    /// # Errors
    /// An encoder that does not take such samples; a device without room.
    pub fn network(&self, samples: &Samples, device: &Device) -> Result<Network> {
        let head = match self.objective {
            Objective::Contrastive => self.head,
            Objective::CrossEntropy => Head::Classifier(samples.num_classes()),
        };
        let options = Options { head, stem_padding: self.stem_padding };
        Network::new(Model { architecture: self.encoder, options }, samples.kind(), self.seed, device)
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

    /// K in the training loss: 2n−2 over the batch, Q for a queue, 0 where there is none.
    pub fn train_negatives(&self) -> u64 {
        match (self.negatives, &self.queue) {
            _ if self.objective == Objective::CrossEntropy => 0,
            (Negatives::Count(k), _) => k as u64,
            (_, Some(queue)) => queue.size as u64,
            (_, None) => self.loss.num_negatives(self.batch_size),
        }
    }

    /// The effective K: how many of [`train_negatives`](Self::train_negatives) a selection keeps; all without one. None for NSCL, whose
    /// anchors lose those of their own class, more or fewer by batch.
    pub fn effective_negatives(&self) -> Option<u64> {
        let all = self.train_negatives();
        match (self.selection(), self.loss) {
            (Some(selection), _) => Some(selection.kept(all as usize) as u64),
            (None, LossKind::Nscl {}) => None,
            (None, _) => Some(all),
        }
    }

    /// The selection of negatives, where there is one.
    pub fn selection(&self) -> Option<Selection> {
        match self.negatives {
            Negatives::Selected(selection) if self.objective == Objective::Contrastive => Some(selection),
            _ => None,
        }
    }

    /// n = K+1 at which the run is evaluated unless another is asked for: the batch size, or K+1 where K negatives are drawn.
    pub fn evaluated_draws(&self) -> u64 {
        match self.negatives {
            Negatives::Count(k) => k as u64 + 1,
            _ => self.batch_size as u64,
        }
    }

    /// Name of the training loss, with the parameters that are not its default ones.
    pub fn loss_name(&self) -> String {
        match (self.negatives, &self.queue) {
            _ if self.objective == Objective::CrossEntropy => "cross_entropy".into(),
            (Negatives::Count(_), _) => "info_nce_sampled".into(),
            (_, Some(_)) => "info_nce_queue".into(),
            (_, None) => self.loss.describe(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Preset;
    use super::*;
    use std::collections::BTreeSet;

    fn with(overrides: &[&str]) -> Result<Config> {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        Preset::named("digits", &overrides).map(|preset| preset.config)
    }

    #[test]
    fn settings_survive_a_round_trip() {
        for overrides in [
            vec![],
            vec!["negatives=15", "encoder=conv", "optimiser=lars", "learning_rate=1"],
            vec!["loss=flat-nce"],
            vec!["loss.kind=hard", "loss.beta=2"],
            vec!["imbalance.ratio=10", "train_samples=100", "evaluate_imbalanced=true"],
            vec!["negatives=queue", "queue.size=100", "queue.momentum=0.25"],
            vec!["negatives=range:0-40%,60.5-100%", "queue.size=4096"],
            vec!["negatives=hardest:5%"],
        ] {
            let config = with(&overrides).unwrap();
            assert_eq!(Config::from_toml(&config.to_toml()).unwrap(), config);
        }
    }

    #[test]
    fn every_setting_but_the_seed_is_in_their_name() {
        assert_eq!(with(&[]).unwrap().settings_id(), "36dc94676015acd2");
        // Together they make no run, but a name.
        let whole =
            with(&["train_samples=200", "passes=3", "probe_epochs=4", "loss=dcl", "stem_padding=3"]).unwrap();
        let whole = Config {
            imbalance: Some(Imbalance { ratio: 10.0 }),
            evaluate_imbalanced: true,
            probe_best_epoch: true,
            objective: Objective::CrossEntropy,
            head: Head::Paper,
            queue: Some(QueueSettings { size: 99, momentum: 0.5 }),
            ..whole
        };
        let full = toml::Table::try_from(&whole).unwrap();
        // A field that is not in `full` would escape: serde names them all where it meets an unknown one.
        let message = "x = 1".parse::<toml::Table>().unwrap().try_into::<Config>().unwrap_err().to_string();
        let fields = message.split('`').skip(3).step_by(2);
        assert_eq!(fields.collect::<BTreeSet<_>>(), full.keys().map(String::as_str).collect());
        let name = |table: &toml::Table| table.clone().try_into::<Config>().unwrap().settings_id();
        let mut names = BTreeSet::from([name(&full)]);
        for key in full.keys() {
            let mut changed = full.clone();
            let other = match (key.as_str(), &full[key]) {
                ("dataset", _) => "mnist".into(),
                ("evaluate_on", _) => "tuning".into(),
                ("encoder", _) => "conv".into(),
                ("head", _) => "default".into(),
                ("objective", _) => "contrastive".into(),
                ("negatives", _) => "hardest:5%".into(),
                ("optimiser", _) => "lars".into(),
                ("learning_rate_rule", _) => "constant".into(),
                ("augmentation" | "imbalance" | "queue" | "loss", _) => continue,
                (_, toml::Value::Integer(x)) => (x + 1).into(),
                (_, toml::Value::Float(x)) => (x / 2.0).into(),
                (_, toml::Value::Boolean(x)) => (!x).into(),
                (key, value) => panic!("{key} = {value}: which other value?"),
            };
            changed.insert(key.clone(), other);
            assert_eq!(names.insert(name(&changed)), key != "seed", "{key}");
        }
        let mut deep = full;
        for (table, key, other) in [
            ("augmentation", "max_noise", toml::Value::Float(0.2)),
            ("imbalance", "ratio", toml::Value::Float(11.0)),
            ("queue", "momentum", toml::Value::Float(0.25)),
            ("loss", "kind", "flat-nce".into()),
        ] {
            deep[table][key] = other;
            assert!(names.insert(name(&deep)), "{table}.{key}");
        }
    }

    #[test]
    fn the_settings_of_the_data_reach_the_data() {
        let config = with(&["train_samples=300", "imbalance.ratio=4", "evaluate_on=tuning"]).unwrap();
        let split = crate::data::load(&config.data(None)).unwrap();
        let (counts, evaluated) = (split.train.class_counts(), split.evaluated.class_counts());
        assert_eq!((counts.iter().sum::<u64>(), evaluated), (300, vec![27; 10]));
        assert!(counts[0] > 3 * counts[9], "{counts:?}");
    }

    #[test]
    fn k_and_n_are_not_mixed() {
        let batch = with(&["batch_size=64"]).unwrap();
        assert_eq!((batch.train_negatives(), batch.evaluated_draws()), (126, 64));
        let sampled = with(&["batch_size=256", "negatives=15"]).unwrap();
        assert_eq!((sampled.train_negatives(), sampled.evaluated_draws()), (15, 16));
        let selected = with(&["batch_size=64", "negatives=hardest:5%"]).unwrap();
        assert_eq!((selected.train_negatives(), selected.effective_negatives()), (126, Some(6)));
        assert_eq!((selected.evaluated_draws(), selected.loss_name().as_str()), (64, "nt_xent"));
        let queue = ["batch_size=64", "queue.size=65536", "negatives=drop-hardest:0.1%"];
        let queue = with(&queue).unwrap();
        assert_eq!((queue.train_negatives(), queue.effective_negatives()), (65_536, Some(65_471)));
        assert_eq!((queue.evaluated_draws(), queue.loss_name().as_str()), (64, "info_nce_queue"));
        assert_eq!(queue.queue.unwrap().momentum, 0.999);
    }

    #[test]
    fn a_loss_is_a_word_or_a_table() {
        let (word, table) = (with(&["loss=dcl"]).unwrap(), with(&["loss.kind=dcl"]).unwrap());
        assert_eq!(word, table);
        assert_eq!(
            (word.loss_name().as_str(), word.train_negatives()),
            ("dcl", 2 * word.batch_size as u64 - 2)
        );
        let debiased = with(&["loss.kind=debiased", "loss.class_probability=0.05"]).unwrap();
        assert_eq!(debiased.loss, LossKind::Debiased { class_probability: 0.05 });
        assert_eq!(with(&["loss=debiased"]).unwrap().loss, LossKind::Debiased { class_probability: 0.1 });
        let hard = with(&["loss.kind=hard", "loss.beta=2"]).unwrap();
        assert_eq!(hard.loss, LossKind::Hard { class_probability: 0.1, beta: 2.0 });
        assert_eq!(with(&["loss=nt-xent"]).unwrap(), with(&[]).unwrap());
        assert!(!with(&[]).unwrap().to_toml().contains("loss"), "settings of old runs read as they did");
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
            (vec!["negatives=-3"], "negatives = -3"),
            (vec!["negatives=all"], "negatives = 'all'"),
            (vec!["negatives=0.5"], "0.5"),
            (vec!["negatives=0.5"], "hardest:5%"),
            (vec!["negatives=hardest:0.1%"], "'hardest:0.1%' keeps none of K = 126"),
            (vec!["negatives=hardest:100.1%"], "hardest:100.1%"),
            (vec!["negatives=queue"], "needs [queue]"),
            (vec!["queue.size=4096"], "negatives = batch beside [queue]"),
            (vec!["queue.size=63", "negatives=queue"], "queue.size = 63"),
            (vec!["queue.size=16777217", "negatives=queue"], "queue.size = 16777217"),
            (vec!["queue.size=64", "negatives=queue", "queue.momentum=1"], "queue.momentum = 1"),
            (vec!["queue.size=64", "negatives=queue", "queue.warm=true"], "warm"),
            (vec!["encoder=resnet"], "resnet"),
            (vec!["augmentation.flip=1"], "flip"),
            (vec!["seed"], "key=value"),
            (vec!["loss=simclr"], "simclr"),
            (vec!["loss=3"], "such as \"dcl\""),
            (vec!["loss.sigma=0.5"], "kind"),
            (vec!["loss.kind=dcl", "loss.sigma=0.5"], "sigma"),
            (vec!["loss.kind=debiased", "loss.class_probability=1"], "loss.class_probability = 1"),
            (vec!["loss.kind=hard", "loss.beta=nan"], "loss.beta = NaN"),
            (vec!["loss.kind=dclw", "loss.sigma=0"], "loss.sigma = 0"),
            (vec!["loss=dcl", "negatives=15", "batch_size=64"], "negatives = 15 must be batch"),
            (vec!["loss=nscl", "objective=cross-entropy"], "objective = cross-entropy"),
        ] {
            let message = with(&overrides).unwrap_err().to_string();
            assert!(message.contains(expected) && !message.contains('\n'), "{message}");
        }
    }
}
