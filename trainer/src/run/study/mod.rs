//! Sweeps over settings and seeds, what is compared in them, and their tables, figures and pages.

mod compare;
mod reproduce;
mod studies;

pub use reproduce::{Reproduction, reproduce};
pub use studies::{Studies, studies};
