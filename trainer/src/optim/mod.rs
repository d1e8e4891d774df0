//! SGD with momentum, LARS, AdamW, and learning-rate schedules.

mod optimiser;
mod schedule;

pub use optimiser::{Lars, Optimiser, OptimiserKind};
pub use schedule::Schedule;
