//! Random views of a sample.

pub mod digits;
