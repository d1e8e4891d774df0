//! Monte Carlo on all cores: plain batches of labels, and coverage far too rare for those.
//!
//! - [`coverage`] and [`batches`] draw the labels of whole batches and count: υ, τ and E ln(1+Col), any prior, both
//!   samplings;
//! - [`rare_coverage`] draws tilted class counts instead, and estimates υ = 1e-400 as easily as υ = 1/2.
//!
//! A [`Plan`] says how many samples and from which seed. Samples are cut into blocks whose size depends on the request
//! alone, and block b draws from its own generator: xoshiro256++, its 256-bit state read from stream b of ChaCha8 keyed
//! with the seed, the purpose and n. So a result is a function of the request and the seed, never of the number of
//! threads, and results for different n are independent. [`check_request`] refuses what would take hours before the
//! first sample.

mod alias;
mod certain;
mod index;
mod interval;
mod plain;
mod plan;
mod point;
mod rare;
mod request;
mod sum_law;
mod tilt;

pub(crate) use interval::student_quantile;
pub use interval::{Mean, Proportion, check_level};
pub use plain::{Batches, batches, coverage};
pub use plan::Plan;
pub use rare::{RareEstimate, rare_coverage};
pub use request::{Estimator, check_request};
