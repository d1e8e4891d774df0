//! How many negative samples, and which? The theory side.
//!
//! This crate computes the probabilities and bounds that connect the contrastive loss with K negatives to the
//! supervised loss over C latent classes:
//!
//! - [`coverage`]: υ, the probability that n = K+1 draws show every class, exact and in floating point;
//! - [`collision`]: τ, the probability that a negative shares the anchor's class, and E ln(1+Col);
//! - [`losses`]: `LossComponents`, one measurement of a trained encoder, read from and written to CSV;
//! - [`bounds`]: the published bounds, each evaluated on such a measurement;
//! - [`optimum`]: the least contrastive loss that any encoder can reach, and the classifier it gives;
//! - [`published`]: the printed tables of Nozawa & Sato beside exact values;
//! - [`report`]: tables and figures of bounds against K.
//!
//! Natural logarithms throughout. K is the number of negatives, n = K+1 the number of draws with the anchor.

pub mod bounds;
pub mod collision;
pub mod coverage;
pub mod error;
pub mod files;
pub mod losses;
pub mod optimum;
pub mod prior;
pub mod probability;
pub mod published;
pub mod report;
pub mod sampling;

pub use error::{Error, Result};
pub use losses::LossComponents;
pub use prior::ClassPrior;
pub use probability::Probability;
pub use sampling::{NumDraws, NumNegatives, Sampling};
