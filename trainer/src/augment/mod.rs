//! Random views of a sample.

pub mod digits;
pub mod simclr;
