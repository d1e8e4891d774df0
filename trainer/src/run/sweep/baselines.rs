//! What trained encoders are compared with: the same encoder at initialisation, and raw pixels.

use crate::data::Split;
use crate::error::{Error, Result};
use crate::loss::LossKind;
use crate::optim::OptimiserKind;
use crate::run::train::Owner;
use crate::run::{Accuracies, Config, LearningRateRule, Negatives, ObjectiveKind, Session, evaluate};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use theory::files;

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

/// The accuracies of each kind of features: of the head, then of the encoder; or of pixels.
#[derive(Serialize, Deserialize)]
struct Found {
    accuracies: Vec<[f64; 3]>,
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
                let samples = format!(
                    "{dataset} {evaluate_on:?} {train_samples:?} {imbalance:?} {evaluate_imbalanced}"
                );
                let digest = Sha256::digest(samples);
                let digits: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
                format!("pixels-{digits}")
            }
        }
    }

    fn folder(&self, sweep: &Path) -> PathBuf {
        sweep.join("baselines").join(self.name())
    }

    /// Computes it into the folder of a sweep, unless it stands there.
    ///
    /// # Errors
    /// Another process is at it; the operating system refuses; the tensor library fails.
    pub fn compute(&self, sweep: &Path, split: &Split, session: &Session<'_>) -> Result<()> {
        if self.read(sweep)?.is_some() {
            return Ok(());
        }
        let folder = self.folder(sweep);
        files::create_folder(&folder)?;
        let _owner = Owner::take(&folder, session.stop)?;
        let found = match self.kind {
            BaselineKind::Untrained => evaluate::untrained_accuracies(&self.config, split, session)?.to_vec(),
            BaselineKind::Pixels => evaluate::pixel_accuracies(split)?.into_iter().collect(),
        };
        let accuracies = found.iter().map(|found| [found.mean, found.linear, found.knn]).collect();
        // A struct of numbers always has a JSON form.
        let text = serde_json::to_string(&Found { accuracies }).unwrap_or_default() + "\n";
        Ok(files::write_atomically(&folder.join(FILE), text.as_bytes())?)
    }

    /// What stands in the folder of a sweep: the accuracies of the head and of the encoder, or of pixels, if there are
    /// pixels; `None` where nothing stands that can be read.
    ///
    /// # Errors
    /// The operating system refuses to read.
    pub fn read(&self, sweep: &Path) -> Result<Option<Vec<Accuracies>>> {
        let path = self.folder(sweep).join(FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(e) => return Err(Error::io(&path, e)),
        };
        let found: Option<Found> = serde_json::from_slice(&bytes).ok();
        let of = |[mean, linear, knn]: [f64; 3]| Accuracies { mean, linear, knn };
        Ok(found.map(|found| found.accuracies.into_iter().map(of).collect()))
    }
}
