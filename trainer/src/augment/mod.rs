//! Random views of a sample.

pub mod digits;
pub mod simclr;
pub mod text;
mod views;

pub use views::{Augmentation, ViewStream, Views};
