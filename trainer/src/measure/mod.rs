//! Measurement of a trained encoder: loss components, and accuracies of simple classifiers on frozen features.

mod batch;
mod classifiers;
mod collision;
mod components;
mod conditional;
mod geometry;
mod neighbours;
mod probe;
mod probe_sgd;

pub use classifiers::{class_means, mean_accuracy};
pub use collision::{
    CollisionByClass, Distribution, QUANTILES, collision_by_class, collision_figure, collision_spread,
    collision_table,
};
pub use components::{Evaluation, Measurement, Views, measure, passes_for};
pub use conditional::{MOST_TERMS, variance_ratios};
pub use geometry::{Geometry, geometry};
pub use neighbours::{KNN_NEIGHBOURS, KNN_TEMPERATURE, knn_accuracy};
pub use probe::linear_accuracy;
pub use probe_sgd::{SgdProbe, linear_accuracy_sgd};
