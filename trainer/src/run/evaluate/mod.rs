//! Measurement of a trained run.
//!
//! What a network gives of the samples is computed once (`embed`); accuracies, spreads, geometry and the terms of
//! the bounds read it.

mod accuracies;
mod baselines;
mod columns;
mod embed;
mod normalisation;
mod trained;

pub use accuracies::Accuracies;
pub(super) use baselines::{pixel_accuracies, untrained_accuracies};
pub use columns::{evaluated_split, run_info};
pub(super) use embed::features;
pub use embed::{Features, matrix};
pub use normalisation::Normalisation;
pub(super) use trained::has_classes;
pub use trained::{EvaluationSettings, exported_features, measure_network, measure_run, two_views};
