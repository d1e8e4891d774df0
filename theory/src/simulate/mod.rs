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
//!
//! A [`Simulation`] is the same request in parts for several machines. Blocks are grouped into at most 1024 chunks for
//! each n, again by the request alone; a chunk's blocks are merged in order, then the chunks in theirs, on one machine
//! as well. So the parts of any number of shards, added to [`Totals`], give the very bits of one machine, provided that
//! the machines' mathematical libraries agree on logarithms, where there are any (E ln(1+Col), rare coverage).
//!
//! ```
//! use theory::simulate::{Estimator, Plan, Simulation, Totals, coverage};
//! use theory::{ClassPrior, NumDraws, Sampling, shard::Shard};
//! let (ten, n, plan) = (ClassPrior::uniform(10)?, NumDraws::new(27)?, Plan::new(20_000, 7)?);
//! let whole = Simulation::new(Estimator::Coverage, &ten, Sampling::WithReplacement, &[n], plan)?;
//! let mut parts = Vec::new();
//! for shard in 0..3 {
//!     whole.run(Shard::new(shard, 3)?, |_| false, |number, part| parts.push((number, part)));
//! }
//! parts.sort_by_key(|(number, _)| *number);
//! let mut totals = Totals::new(Estimator::Coverage, &[n], plan);
//! parts.iter().try_for_each(|(_, part)| totals.add(part))?;
//! let one_machine = coverage(&ten, Sampling::WithReplacement, n, plan)?;
//! assert_eq!(totals.estimates()?[0].1, theory::simulate::Estimate::Coverage(one_machine));
//! # Ok::<(), theory::Error>(())
//! ```

mod alias;
mod certain;
mod index;
mod interval;
mod plain;
mod plan;
mod point;
mod rare;
mod request;
mod simulation;
mod sum_law;
mod tally;
mod tilt;

pub(crate) use interval::student_quantile;
pub use interval::{Mean, Proportion, check_level};
pub use plain::{Batches, batches, coverage};
pub use plan::Plan;
pub use rare::{RareEstimate, rare_coverage};
pub use request::{Estimator, check_rare, check_request};
pub use simulation::Simulation;
pub use tally::{Estimate, Part, Totals};
