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
use crate::data::{EvaluateOn, ImageSettings, Imbalance, Request, Samples, Split, own};
use crate::error::{Error, Result};
use crate::loss::{LossKind, Selection};
use crate::model::{Architecture, Head, Model, Network, Options};
use crate::optim::{Lars, OptimiserKind};
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
    /// Zeros around the images of ResNet-18; the published code has 3.
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
            let sees_classes = self.objective == ObjectiveKind::CrossEntropy || self.loss.knows_classes();
            let decides = self.monitor.is_some_and(|monitor| monitor.decides());
            require(
                !(decides && sees_classes) || self.evaluate_on == EvaluateOn::Tuning,
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

    /// The network of these settings for samples like these, at initialisation.
    ///
    /// # Errors
    /// An encoder that does not take such samples; a device without room.
    pub fn network(&self, samples: &Samples, device: &Device) -> Result<Network> {
        let head = match self.objective {
            ObjectiveKind::Contrastive => self.head,
            ObjectiveKind::CrossEntropy => Head::Classifier(samples.num_classes()),
        };
        let options = Options { head, stem_padding: self.stem_padding, ..Options::default() };
        let model = Model { architecture: self.encoder, options };
        let network = Network::new(model, samples.kind(), self.seed, device)?;
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
            vec!["optimiser=lars", "lars_adapt_bias_and_norm=false", "lars_clip=true"],
            vec!["loss=flat-nce"],
            vec!["loss.kind=nscl", "loss.positive_in_denominator=true"],
            vec!["loss.kind=hard", "loss.beta=2"],
            vec!["imbalance.ratio=10", "train_samples=100", "evaluate_imbalanced=true"],
            vec!["negatives=queue", "queue.size=100", "queue.momentum=0.25"],
            vec!["negatives=range:0-40%,60.5-100%", "queue.size=4096"],
            vec!["negatives=hardest:5%"],
            vec!["negatives=15", "selection=range:0-40%,60.5-100%", "loss=dcl"],
        ] {
            let config = with(&overrides).unwrap();
            assert_eq!(Config::from_toml(&config.to_toml()).unwrap(), config);
        }
    }

    #[test]
    fn every_setting_but_the_seed_is_in_their_name() {
        assert_eq!(with(&[]).unwrap().settings_id(), "36dc94676015acd2");
        // Together they make no run, but a name.
        let whole = with(&[
            "train_samples=200",
            "passes=3",
            "probe_epochs=4",
            "loss=dcl",
            "stem_padding=3",
            "micro_batch=8",
        ])
        .unwrap();
        let whole = Config {
            imbalance: Some(Imbalance { ratio: 10.0 }),
            evaluate_imbalanced: true,
            validation: Some(0.25),
            images: ImageSettings { side: Some(32), ..ImageSettings::default() },
            probe_best_epoch: true,
            lars_adapt_bias_and_norm: false,
            lars_clip: true,
            objective: ObjectiveKind::CrossEntropy,
            selection: Some("hardest:5%".parse().unwrap()),
            head: Head::Paper,
            queue: Some(QueueSettings { size: 99, momentum: 0.5 }),
            monitor: Some(MonitorSettings { keep_best: true, ..MonitorSettings::default() }),
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
                ("selection", _) => "easiest:5%".into(),
                ("optimiser", _) => "lars".into(),
                ("learning_rate_rule", _) => "constant".into(),
                ("augmentation" | "imbalance" | "images" | "monitor" | "queue" | "loss", _) => continue,
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
            ("images", "side", toml::Value::Integer(33)),
            ("queue", "momentum", toml::Value::Float(0.25)),
            ("loss", "kind", "flat-nce".into()),
            ("monitor", "every", toml::Value::Integer(3)),
            ("monitor", "metric", "info_nce".into()),
        ] {
            deep[table][key] = other;
            assert!(names.insert(name(&deep)), "{table}.{key}");
        }
    }

    #[test]
    fn a_folder_is_trained_on_as_a_whole() {
        let number = |overrides: &[&str]| {
            let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
            Preset::named("cifar10-small", &overrides).unwrap().config.train_samples
        };
        assert!(number(&[]).is_some() && number(&["dataset=cifar100"]) == number(&[]));
        assert_eq!(number(&["dataset=folder"]), None);
        assert_eq!(number(&["dataset=folder", "train_samples=50"]), Some(50));
    }

    #[test]
    fn to_look_on_leaves_the_name_as_it_is() {
        let name = |overrides: &[&str]| with(overrides).unwrap().settings_id();
        assert_eq!(name(&["monitor.every=2", "monitor.metric=info_nce"]), name(&[]));
        assert_ne!(name(&["monitor.early_stop=2"]), name(&[]));
        assert_ne!(name(&["monitor.keep_best=true"]), name(&["monitor.every=2", "monitor.keep_best=true"]));
    }

    #[test]
    fn the_settings_of_the_data_reach_the_data() {
        let config = with(&["train_samples=300", "imbalance.ratio=4", "evaluate_on=tuning"]).unwrap();
        let split = crate::data::load(&config.data(None)).unwrap();
        let (counts, evaluated) = (split.train.class_counts(), split.evaluated.class_counts());
        assert_eq!((counts.iter().sum::<u64>(), evaluated), (300, vec![27; 10]));
        assert!(counts[0] > 3 * counts[9], "{counts:?}");
    }

    fn objective(overrides: &[&str]) -> Objective {
        with(overrides).unwrap().training_objective().unwrap()
    }

    #[test]
    fn k_and_n_are_not_mixed() {
        let of = |overrides: &[&str]| {
            let it = objective(overrides);
            (it.train_negatives(), it.effective_negatives(), it.evaluated_draws(), it.loss_name())
        };
        for (overrides, expected) in [
            (&["batch_size=64"][..], (126, Some(126), 64, "nt_xent")),
            (&["batch_size=256", "negatives=15"], (15, Some(15), 16, "info_nce_sampled")),
            (&["batch_size=64", "negatives=hardest:5%"], (126, Some(6), 64, "nt_xent")),
            (&["batch_size=64", "selection=hardest:5%"], (126, Some(6), 64, "nt_xent")),
            (&["negatives=20", "selection=easiest:50%"], (20, Some(10), 21, "info_nce_sampled")),
            (
                &["batch_size=64", "queue.size=65536", "negatives=drop-hardest:0.1%"],
                (65_536, Some(65_471), 64, "info_nce_queue"),
            ),
            (
                &["batch_size=64", "queue.size=100", "negatives=queue", "selection=random:50%", "loss=dcl"],
                (100, Some(50), 64, "dcl_queue"),
            ),
            (
                &["negatives=15", "loss.kind=hard", "loss.beta=2"],
                (15, Some(15), 16, "hard_sampled, beta = 2"),
            ),
            (&["batch_size=64", "loss=nscl"], (126, None, 64, "nscl")),
            (&["batch_size=64", "objective=cross-entropy"], (0, Some(0), 64, "cross_entropy")),
            (&["negatives=15", "objective=cross-entropy"], (0, Some(0), 16, "cross_entropy")),
        ] {
            let (k, effective, n, name) = expected;
            assert_eq!(of(overrides), (k, effective, n, name.to_string()), "{overrides:?}");
        }
        assert_eq!(objective(&["queue.size=4096", "negatives=queue"]).queue().unwrap().momentum, 0.999);
        // Two ways to write one objective.
        assert_eq!(objective(&["negatives=hardest:5%"]), objective(&["selection=hardest:5%"]));
    }

    #[test]
    fn a_loss_is_a_word_or_a_table() {
        let (word, table) = (with(&["loss=dcl"]).unwrap(), with(&["loss.kind=dcl"]).unwrap());
        assert_eq!(word, table);
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
            (vec!["monitor.keep_best=true", "loss=nscl"], "need evaluate_on = tuning"),
            (vec!["monitor=5"], "expected a table"),
            (vec!["monitor.every=-1"], "expected a whole number of at least 0"),
            (vec!["monitor.every=0"], "monitor.every = 0"),
            (vec!["monitor.early_stop=0"], "monitor.early_stop = 0"),
            (vec!["monitor.metric=accuracy"], "accuracy"),
            (vec!["monitor.often=1"], "often"),
            (vec!["loss=simclr"], "simclr"),
            (vec!["loss=3"], "such as \"dcl\""),
            (vec!["loss.sigma=0.5"], "kind"),
            (vec!["loss.kind=dcl", "loss.sigma=0.5"], "sigma"),
            (vec!["loss.kind=debiased", "loss.class_probability=1"], "loss.class_probability = 1"),
            (vec!["loss.kind=hard", "loss.beta=nan"], "loss.beta = NaN"),
            (vec!["loss.kind=dclw", "loss.sigma=0"], "loss.sigma = 0"),
            (vec!["selection=hardest"], "'hardest'"),
            (vec!["negatives=15", "selection=hardest:1%"], "'hardest:1%' keeps none of K = 15"),
            (
                vec!["negatives=hardest:5%", "selection=easiest:5%"],
                "negatives = hardest:5% is a selection already, beside selection = easiest:5%",
            ),
            (
                vec!["selection=hardest:5%", "objective=cross-entropy"],
                "selection: the objective cross-entropy",
            ),
            (
                vec!["negatives=hardest:5%", "objective=cross-entropy"],
                "selection: the objective cross-entropy",
            ),
            (vec!["queue.size=64", "negatives=queue", "objective=cross-entropy"], "[queue]: the objective"),
            (vec!["queue.size=64", "negatives=queue", "loss=nscl"], "loss = nscl beside [queue]"),
            (vec!["loss=nscl", "objective=cross-entropy"], "objective = cross-entropy"),
        ] {
            let message = with(&overrides).unwrap_err().to_string();
            assert!(message.contains(expected) && !message.contains('\n'), "{message}");
        }
    }
}
