//! How many negative samples, and which? The theory side.
//!
//! A contrastive learner pulls two views of an image together and pushes K other images away. With C latent classes,
//! more negatives make it surer that every class appears among the n = K+1 draws, so that the supervised loss is hidden
//! inside the contrastive one (good), and surer that some negative shares the anchor's class (bad). This crate computes
//! the probabilities behind that argument to their last digit, the published bounds from loss to loss that are built on
//! them (for one encoder; those for a class of encoders need more than a measurement, see [`bounds`]), and what they say
//! about measured encoders. No file and no command line is needed to use it.
//!
//! # The book
//! | page | quantity |
//! |---|---|
//! | [`class_counts`] | samples per class of a data set on disk |
//! | [`prior`], [`sampling`] | the law of a label: uniform, counts or weights; drawn with or without replacement |
//! | [`coverage`] | υ = P(n draws show every class): floating point with a certificate, exact integers, curves, given the anchor's class |
//! | [`coverage::expected_draws`] | the collector's time T: expectation, deviation, quantiles, P(T = n) |
//! | [`collision`] | τ = P(a negative has the anchor's class), the law of Col, E ln(1+Col) |
//! | [`simulate`] | the same by Monte Carlo, with intervals, down to probabilities of 1e-400 |
//! | [`shard`] | long work cut for several machines, and merged to the same bits |
//! | [`losses`] | `losses.csv`: what is measured of an encoder |
//! | [`bounds`] | the bounds, a page with the derivation each, and under which conditions they hold |
//! | [`confidence`] | what the evaluated images say about all images: intervals, and bounds that hold with a stated probability |
//! | [`optimum`] | the least loss that any encoder can reach, and whether more negatives spoil it |
//! | [`advice`] | what the classes say about K before anything is trained |
//! | [`published`] | the printed tables of Nozawa & Sato beside exact values |
//! | [`report`] | tables and figures of bounds against K |
//!
//! Natural logarithms throughout. K is the number of negatives, n = K+1 the number of draws with the anchor; the types
//! [`NumNegatives`] and [`NumDraws`] keep them apart.
//!
//! # From a probability to a bound
//! ```
//! use theory::losses::{Estimate, Quantity};
//! use theory::{ClassPrior, LossComponents, NumDraws, Sampling, bounds, collision, coverage};
//!
//! // CIFAR-100's test set in batches of 512: coverage is a coin toss, a collision all but certain.
//! let cifar100 = ClassPrior::from_counts(vec![100; 100])?;
//! let (shuffled, n) = (Sampling::WithoutReplacement, NumDraws::new(512)?);
//! let upsilon = coverage::probability(&cifar100, shuffled, n)?;
//! assert!((upsilon.value() - 0.5967328739).abs() < 1e-9 && upsilon.relative_error_bound() < 1e-13);
//! assert!(collision::probability(&cifar100, shuffled, n.negatives())?.complement() < 0.006);
//!
//! // The published measurement there: L_Info = 4.66, d(f) = −0.97 at t = 0.5.
//! let mut losses = LossComponents::new(100, n, 0.5, shuffled)?;
//! losses.class_counts = Some(vec![100; 100]);
//! losses.set(Quantity::InfoNce, Estimate::exact(4.66))?;
//! losses.set(Quantity::Gap, Estimate::exact(-0.97))?;
//! let upper = |key| bounds::find(key).and_then(|b| b.upper_bound(&losses).value()).unwrap();
//! // A classifier that ignores its input has ln 100 = 4.605: only reverse Jensen says more than that.
//! assert!(bounds::is_vacuous(upper("submodular"), 100) && !bounds::is_vacuous(upper("specht"), 100));
//! # Ok::<(), theory::Error>(())
//! ```

// It panics where standard error is closed or full; `terminal::say` does not.
#![warn(clippy::print_stderr)]

pub mod advice;
pub mod bounds;
pub mod certificates;
pub mod class_counts;
pub mod collision;
mod complex;
pub mod confidence;
pub mod coverage;
mod double_double;
pub mod error;
pub mod files;
pub mod interrupt;
pub mod json;
pub mod losses;
pub mod npy;
pub mod optimum;
pub mod prior;
pub mod probability;
pub mod published;
pub mod report;
pub mod sampling;
pub mod shard;
pub mod simulate;
pub mod terminal;
pub mod usage;

pub use error::{Error, Result};
pub use losses::LossComponents;
pub use prior::ClassPrior;
pub use probability::Probability;
pub use sampling::{NumDraws, NumNegatives, Sampling};
