//! SGD with momentum, LARS, and learning-rate schedules.

mod schedule;
mod sgd;

pub use schedule::Schedule;
pub use sgd::{Optimiser, OptimiserKind};
