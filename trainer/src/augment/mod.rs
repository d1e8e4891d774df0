//! Random views of a sample.

pub mod digits;
pub mod simclr;
mod views;

pub use views::{Augmentation, Draw, Views};
