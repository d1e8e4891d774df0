//! Settings, training, evaluation, and studies of many runs.
//!
//! - [`config`]: the settings of one run, presets, sweeps;
//! - [`mod@train`]: the training loop, its state, checkpoints, run folders, metrics;
//! - [`evaluate`]: features of a trained network, and everything that is measured from them;
//! - [`study`]: sweeps, their tables, figures and pages.

pub mod config;
pub mod evaluate;
mod jobs;
pub mod study;
pub mod train;

pub use config::{
    Config, Contrastive, Grid, LearningRateRule, NegativeSource, Negatives, Objective, ObjectiveKind, Plan,
    Preset, QueueSettings, preset_names,
};
pub use evaluate::{Accuracies, EvaluationSettings, Features, measure_network, measure_run, two_views};
pub use jobs::{available_threads, run_jobs, with_threads};
pub use study::{Reproduction, Studies, reproduce, studies};
pub use train::{
    Folder, Lease, Manifest, Metrics, Owner, Progress, Provenance, SamplesId, Session, Task, TrainedRun,
    load_network, metrics, ownership, run_config, train,
};
