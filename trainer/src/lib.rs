//! How many negative samples, and which? The training side.
//!
//! This crate trains contrastive encoders on candle and measures the loss components that the bounds of [`theory`] need:
//!
//! - [`cuda`]: the device to compute on, and what the kernels for an NVIDIA GPU share;
//! - [`data`]: the digits that ship, readers of MNIST, Fashion-MNIST, CIFAR and AG News, parts of data sets, and features that
//!   other programs made;
//! - [`download`]: the published data sets, fetched and verified;
//! - [`augment`]: random views of a sample;
//! - [`model`]: encoders with a projection head;
//! - [`loss`]: NT-Xent, InfoNCE with K sampled negatives or a queue of keys, selections of negatives by difficulty, and the losses that
//!   people compare with them;
//! - [`ops`]: the tensor operations of a training step;
//! - [`optim`]: SGD with momentum, LARS, AdamW, learning-rate schedules;
//! - [`measure`]: loss components, mean classifier, linear probe, k nearest neighbours;
//! - [`population`]: one free vector per class on the exact population loss, beside its optimum;
//! - [`run`]: configuration, training loop, run folders, the `reproduce` sweep.
//!
//! Every random number comes from a seeded stream of [`rng`]: one seed gives the same bits with any number of threads.

pub mod augment;
pub mod data;
pub mod device;
pub mod download;
pub mod error;
pub mod loss;
pub mod model;
pub mod ops;
pub mod optim;
pub mod population;
pub mod run;

pub use error::{Error, Result};
