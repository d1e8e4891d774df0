//! Configuration, run folders, the training loop, measurement of a run, and `reproduce`.

mod config;
mod evaluate;
mod folder;
mod jobs;
mod progress;
mod reproduce;
mod train;

pub use config::{Config, LearningRateRule, Negatives, preset};
pub use evaluate::{Accuracies, Features, measure_features, measure_run};
pub use folder::{Folder, FolderState, Marker};
pub use jobs::{available_threads, run_jobs, with_threads};
pub use progress::{Progress, Task};
pub use reproduce::{Plan, Reproduction, reproduce};
pub use train::{Trained, image_shape, load_network, run_config, train};
