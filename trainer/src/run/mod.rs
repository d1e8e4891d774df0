//! Configuration, run folders, the training loop, measurement of a run, and `reproduce`.

mod checkpoint;
mod compare;
mod config;
pub mod eta;
mod evaluate;
mod folder;
pub mod interrupt;
mod jobs;
mod memory;
pub mod metrics;
mod negatives;
mod preset;
mod progress;
mod reproduce;
mod studies;
mod train;

pub use config::{Config, LearningRateRule, Objective};
pub use evaluate::{
    Accuracies, Features, Measured, Measuring, feature_spreads, measure_features, measure_network,
    measure_run, two_views,
};
pub use folder::{Folder, FolderState, Marker};
pub use interrupt::Interrupt;
pub use jobs::{available_threads, run_jobs, with_threads};
pub use metrics::Metrics;
pub use negatives::{Negatives, QueueSettings};
pub use preset::{Grid, Preset, names as preset_names};
pub use progress::{Progress, Task};
pub use reproduce::{Plan, Reproduction, reproduce};
pub use studies::{Studies, studies};
pub use train::{Session, Trained, load_network, run_config, train};
