//! Measurement of a trained encoder: loss components, and accuracies of simple classifiers on frozen features.

mod batch;
mod classifiers;
mod collision;
mod components;
mod neighbours;
mod probe;

pub use classifiers::{class_means, mean_accuracy};
pub use collision::{
    CollisionByClass, Distribution, QUANTILES, collision_by_class, collision_spread, collision_table,
};
pub use components::{Evaluation, Measurement, Views, measure, passes_for};
pub use neighbours::{KNN_NEIGHBOURS, KNN_TEMPERATURE, knn_accuracy};
pub use probe::linear_accuracy;
