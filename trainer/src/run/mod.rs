//! Settings, training, evaluation, and studies of many runs.
//!
//! - [`config`]: the settings of one run, presets, sweeps;
//! - [`mod@train`]: the training loop, its state, checkpoints, run folders, metrics;
//! - [`evaluate`]: features of a trained network, and everything that is measured from them;
//! - [`plan`]: the runs of a sweep, from axes;
//! - [`sweep`]: its runs as processes, on one machine or a cluster, and what they left, joined;
//! - [`study`]: several sweeps and their page.

pub mod config;
pub mod evaluate;
mod jobs;
pub mod plan;
pub mod study;
pub mod sweep;
pub mod train;

pub use config::{
    Config, Contrastive, Grid, LearningRateRule, MOST_REFERENCES, Metric, MonitorSettings, NegativeSource,
    Negatives, Objective, ObjectiveKind, Preset, QueueSettings, Sweep, preset_names,
};
pub use evaluate::{
    Accuracies, EvaluationSettings, Features, Normalisation, exported_features, measure_network, measure_run,
    two_views,
};
pub use jobs::{available_threads, with_threads};
pub use plan::{Plan, PlannedRun};
pub use study::{Studies, studies};
pub use sweep::{Collected, Pool};
pub use train::{
    Folder, Lease, Manifest, Metrics, Owner, Progress, Provenance, SamplesId, Session, Task, TrainedRun,
    load_network, metrics, ownership, run_config, train,
};
