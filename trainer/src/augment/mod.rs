//! Random views of a sample.

pub mod digits;
pub mod simclr;
pub mod text;
mod views;

pub use views::{Augmentation, ViewStream, Views};

use crate::error::{Error, Result};

/// A strength between 0 and `most`.
fn check_strength(name: &str, value: f64, most: f64) -> Result<()> {
    if (0.0..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::argument(format!("augmentation.{name} = {value} is not between 0 and {most}")))
}
