//! Measurement of a trained encoder, on frozen features.
//!
//! - [`components()`]: the terms of the bounds on batches of n samples, and the same without the chance of the batches
//!   (`…_rao_blackwell`; [`variance_ratios`] says what that saves);
//! - [`mean_accuracy`], [`linear_accuracy`], [`linear_accuracy_sgd`], [`knn_accuracy`]: simple classifiers;
//! - [`collision_spread`], [`collision_by_class`]: the spread of features within classes;
//! - [`difficulty`]: which negatives are hard: of the same class, for every query, of similar classes;
//! - [`geometry()`]: alignment, uniformity, effective rank.
//!
//! Everything runs on the current rayon pool in chunks whose bounds depend on shapes alone: 50,000 training and 10,000
//! evaluated samples need little memory beside their features, and the number of threads changes no bit.

mod batch;
mod classifiers;
pub mod cli;
mod collision;
mod components;
mod conditional;
pub mod difficulty;
pub mod error;
mod evaluation;
pub mod features;
pub mod gemm;
mod geometry;
pub mod matrix;
mod neighbours;
mod outcome;
pub mod pool;
mod probe;
mod probe_sgd;
pub mod rng;

pub use classifiers::{class_means, mean_accuracy};
pub use collision::{
    CollisionByClass, Distribution, QUANTILES, collision_by_class, collision_figure, collision_spread,
    collision_table,
};
pub use components::{Accumulator, components};
pub use conditional::{MOST_TERMS, variance_ratios};
pub use error::{Error, Result};
pub use evaluation::{Evaluation, Views, passes_for};
pub use features::Features;
pub use geometry::{Geometry, geometry};
pub use neighbours::{KNN_NEIGHBOURS, KNN_TEMPERATURE, knn_accuracy};
pub use outcome::EvaluatedRun;
pub use probe::linear_accuracy;
pub use probe_sgd::{SgdProbe, linear_accuracy_sgd};

/// Samples per class.
pub fn class_counts(labels: &[usize], num_classes: usize) -> Vec<u64> {
    let mut counts = vec![0; num_classes];
    for &label in labels {
        counts[label] += 1;
    }
    counts
}
