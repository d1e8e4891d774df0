//! How many negative samples, and which? The training side.
//!
//! This crate trains contrastive encoders on candle and measures the loss components that the bounds of [`theory`]
//! need:
//!
//! - [`device`]: the device to compute on, and what the kernels for an NVIDIA GPU share;
//! - [`data`]: data sets by name, their readers, parts of them, and features that other programs made;
//! - [`download`]: the published data sets, fetched and verified;
//! - [`augment`]: random views of a sample;
//! - [`cli`]: the command line, for a program that adds an encoder of its own;
//! - [`model`]: encoders with a projection head;
//! - [`loss`]: NT-Xent, InfoNCE with K sampled negatives or a queue of keys, selections of negatives by difficulty, and
//!   the losses that people compare with them;
//! - [`ops`]: the tensor operations of a training step;
//! - [`optim`]: SGD with momentum, LARS, AdamW, learning-rate schedules;
//! - [`population`]: one free vector per class on the exact population loss, beside its optimum;
//! - [`run`]: configuration, training loop, run folders, measurement by the crate [`measure`], the `reproduce` sweep.
//!
//! Every random number comes from a seeded stream of [`measure::rng`]: one seed gives the same bits with any number of
//! threads.

// It panics where standard error is closed or full; `theory::terminal::say` does not.
#![warn(clippy::print_stderr)]

// The command line names the library as any program does.
extern crate self as trainer;

pub mod augment;
pub mod cli;
pub mod data;
pub mod device;
#[cfg(feature = "download")]
pub mod download;
pub mod error;
pub mod loss;
pub mod model;
pub mod ops;
pub mod optim;
pub mod population;
pub mod run;

pub use error::{Error, Result};
