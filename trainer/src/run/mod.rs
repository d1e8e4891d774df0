//! Settings, training, evaluation, and studies of many runs.
//!
//! - [`config`]: the settings of one run, presets, sweeps;
//! - [`train`]: the training loop, its state, checkpoints, run folders, metrics;
//! - [`evaluate`]: features of a trained network, and everything that is measured from them;
//! - [`study`]: sweeps, their tables, figures and pages.

pub mod config;
pub mod evaluate;
pub mod interrupt;
mod jobs;
pub mod study;
pub mod train;

pub use config::{
    Config, Contrastive, Grid, LearningRateRule, NegativeSource, Negatives, Objective, ObjectiveKind, Preset,
    QueueSettings, preset_names,
};
pub use evaluate::{
    Accuracies, EvaluatedRun, EvaluationSettings, Features, feature_spreads, measure_features,
    measure_network, measure_run, two_views,
};
pub use interrupt::Interrupt;
pub use jobs::{available_threads, run_jobs, with_threads};
pub use study::{Plan, Reproduction, Studies, reproduce, studies};
pub use train::{
    Folder, FolderState, Manifest, Metrics, Progress, Session, Task, TrainedRun, eta, load_network, metrics,
    run_config, train,
};
