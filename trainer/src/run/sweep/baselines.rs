//! What trained encoders are compared with: the same encoder at initialisation, and raw pixels.

use crate::data::{ImageSettings, Split};
use crate::error::Result;
use crate::loss::LossKind;
use crate::optim::OptimiserKind;
use crate::run::train::Owner;
use crate::run::{
    Accuracies, Config, LearningRateRule, Negatives, ObjectiveKind, SamplesId, Session, evaluate,
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use theory::files::{self, content, sha256};

/// The file of a baseline, in its folder.
const FILE: &str = "accuracies.json";

/// What is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BaselineKind {
    /// The encoder at initialisation.
    Untrained,
    /// Raw pixels.
    Pixels,
}

/// Something that trained encoders are compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// Which.
    pub kind: BaselineKind,
    /// The settings that it depends on; those of training are set to nothing in particular.
    pub config: Config,
}

/// What the file of a baseline holds.
#[derive(Serialize, Deserialize)]
struct Found {
    /// The training samples and the evaluated ones.
    samples: [SamplesId; 2],
    /// The accuracies of each kind of features: of the head, then of the encoder; or of pixels.
    accuracies: Vec<[f64; 3]>,
    /// SHA-256 of all that.
    sha256: String,
}

impl Found {
    /// The digest of what it says.
    fn digest(&self) -> String {
        // The last words are the linear probe's: a file of another probe is none of these accuracies.
        sha256(format!("{:?} {:?} linear probe at its optimum", self.samples, self.accuracies).as_bytes())
    }
}

impl Baseline {
    /// Those of a run.
    pub fn all_of(config: &Config) -> [Self; 2] {
        let untrained = Config {
            epochs: 1,
            batch_size: 2,
            objective: ObjectiveKind::Contrastive,
            negatives: Negatives::Batch,
            selection: None,
            temperature: 1.0,
            optimiser: OptimiserKind::Sgd,
            lars_adapt_bias_and_norm: true,
            lars_clip: false,
            learning_rate: 1.0,
            learning_rate_rule: LearningRateRule::Constant,
            momentum: 0.0,
            weight_decay: 0.0,
            warmup_epochs: 0,
            fbar_views: 1,
            passes: None,
            probe_epochs: None,
            probe_best_epoch: false,
            loss: LossKind::default(),
            queue: None,
            monitor: None,
            micro_batch: None,
            ..config.clone()
        };
        [
            Self { kind: BaselineKind::Untrained, config: untrained },
            Self { kind: BaselineKind::Pixels, config: config.clone() },
        ]
    }

    /// Its name, that of its folder.
    pub fn name(&self) -> String {
        match self.kind {
            BaselineKind::Untrained => {
                format!("untrained-{}-s{}", self.config.settings_id(), self.config.seed)
            }
            BaselineKind::Pixels => {
                // Pixels depend on the samples and on nothing else.
                let Config { dataset, evaluate_on, train_samples, imbalance, evaluate_imbalanced, .. } =
                    &self.config;
                let Config { validation, images, .. } = &self.config;
                // Neither the order of training nor when images are decoded changes them.
                let ImageSettings { side, short_side, colour, .. } = *images;
                let is_default = (side, short_side, colour) == (None, None, ImageSettings::default().colour);
                let own = match (validation, is_default) {
                    (None, true) => String::new(),
                    _ => format!(
                        " {validation:?} ImageSettings {{ side: {side:?}, short_side: {short_side:?}, colour: \
                         {colour:?} }}"
                    ),
                };
                let samples = format!(
                    "{dataset} {evaluate_on:?} {train_samples:?} {imbalance:?} {evaluate_imbalanced}{own}"
                );
                format!("pixels-{}", &sha256(samples.as_bytes())[..16])
            }
        }
    }

    fn folder(&self, sweep: &Path) -> PathBuf {
        sweep.join("baselines").join(self.name())
    }

    /// Computes it into the folder of a sweep, unless it stands there, of these samples.
    ///
    /// # Errors
    /// Another process is at it; the operating system refuses; the tensor library fails.
    pub fn compute(&self, sweep: &Path, split: &Split, session: &Session<'_>) -> Result<()> {
        let samples = [SamplesId::from(&split.train), SamplesId::from(&split.evaluated)];
        if self.found(sweep)?.is_some_and(|found| found.samples == samples) {
            return Ok(());
        }
        let folder = self.folder(sweep);
        files::create_folder(&folder)?;
        let owner = Owner::take(&folder, session.stop)?;
        files::remove_unfinished(&folder)?;
        let found = match self.kind {
            _ if !evaluate::has_classes(&split.evaluated) => Vec::new(),
            BaselineKind::Untrained => evaluate::untrained_accuracies(&self.config, split, session)?.to_vec(),
            BaselineKind::Pixels => evaluate::pixel_accuracies(split)?.into_iter().collect(),
        };
        let accuracies = found.iter().map(|found| [found.mean, found.linear, found.knn]).collect();
        let mut found = Found { samples, accuracies, sha256: String::new() };
        found.sha256 = found.digest();
        // A struct of numbers and texts always has a JSON form.
        let text = serde_json::to_string(&found).unwrap_or_default() + "\n";
        owner.verify()?;
        Ok(files::write_atomically(&folder.join(FILE), text.as_bytes())?)
    }

    fn found(&self, sweep: &Path) -> Result<Option<Found>> {
        let bytes = content(&self.folder(sweep).join(FILE))?;
        let found: Option<Found> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(found.filter(|found| found.sha256 == found.digest()))
    }

    /// What stands in the folder of a sweep: the accuracies of the head and of the encoder, or of pixels, if there are
    /// pixels; `None` where nothing stands, or nothing whole.
    ///
    /// # Errors
    /// The operating system refuses to read.
    pub fn read(&self, sweep: &Path) -> Result<Option<Vec<Accuracies>>> {
        let of = |[mean, linear, knn]: [f64; 3]| Accuracies { mean, linear, knn };
        Ok(self.found(sweep)?.map(|found| found.accuracies.into_iter().map(of).collect()))
    }
}
