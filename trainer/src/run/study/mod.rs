//! Sweeps over settings and seeds, what is compared in them, and their tables, figures and pages.

mod accuracy;
mod command;
mod compare;
mod reproduce;
mod runs;
mod studies;

pub use command::command;
pub use reproduce::{Reproduction, reproduce};
pub use runs::SweepRun;
pub use studies::{Studies, Sweep, studies};
