//! Measurement of a trained encoder: loss components, and accuracies of simple classifiers on frozen features.

mod classifiers;
mod components;

pub use classifiers::{
    KNN_NEIGHBOURS, KNN_TEMPERATURE, class_means, knn_accuracy, linear_accuracy, mean_accuracy,
};
pub use components::{Evaluation, Measurement, Views, collision_spread, measure, passes_for};
