//! υ: the probability that n = K+1 draws show every class (the coupon collector's).
//!
//! With T the number of draws until every class was seen, υ_n = P(T ≤ n). Uniform independent draws:
//! υ_n = Σ_j (−1)^j binom(C, j) (1 − j/C)^n = C! S(n, C) / C^n. Any prior π: υ_n = n! \[zⁿ\] ∏_c (e^{π_c z} − 1).
//! Without replacement from M_c items a class: υ_n = \[zⁿ\] ∏_c ((1+z)^{M_c} − 1) / binom(M, n).
//!
#![doc = include_str!("../../docs/coverage.svg")]
//!
//! [`probability`] gives both tails in floating point with an error bound, [`exact::probability`] integers, [`curve()`]
//! every n of a range, [`given_anchor`] the probability given the anchor's class (what bounds for unequal classes
//! divide by), [`completion_probability`] P(T = n), [`collector_time`], [`collector_quantile`] and
//! [`collector_upper_quantile`] the law of T ([`expected_draws`], [`standard_deviation`] and [`quantile`]: for independent draws).
//!
//! Source: the coverage term of Nozawa & Sato (NeurIPS 2021); classical coupon collector.

mod answer;
mod chain;
mod class;
mod collector;
mod completion;
mod conditional;
mod contour;
mod curve;
pub mod exact;
mod factorial;
mod many;
mod moments;
mod series;
mod shared;
mod tilt;
mod urn;

pub(crate) use class::sin_minus;
pub use collector::{CollectorTime, collector_quantile, collector_time, collector_upper_quantile};
pub use completion::completion_probability;
pub use conditional::{given_anchor, given_anchor_alone, least_given_anchor};
pub use curve::{CurvePoint, MAX_POINTS, curve};
pub(crate) use factorial::{ln_factorial, ln_none_of, stirling};
pub use many::Upsilons;
pub use moments::{expected_draws, quantile, standard_deviation};
pub use shared::SharedContours;

use crate::double_double::Dd;
use crate::error::Result;
use crate::prior::ClassPrior;
use crate::probability::Probability;
use crate::sampling::{NumDraws, Sampling};
use urn::Urn;

/// Probability υ that `num_draws` draws show every class of `prior`.
///
/// Both tails are kept, also where υ is 1e-400 or 1 − 1e-400, each with a bound of its relative error. Against exact
/// integers (the example `check_certificates`) errors stay below 4e-15 and bounds below 1e-13 at every depth. Cost:
/// some fifteen evaluations per distinct class size.
///
/// # Errors
/// Draws without replacement from a prior that has no counts, or more draws than items; a value that cannot be found to
/// three digits (none is known).
///
/// # Examples
/// ```
/// use theory::{ClassPrior, NumDraws, Sampling, coverage};
/// let two = ClassPrior::uniform(2)?;
/// assert_eq!(coverage::probability(&two, Sampling::WithReplacement, NumDraws::new(2)?)?.value(), 0.5);
/// // Two classes of two items each, two draws without replacement: 4 of the 6 pairs show both.
/// let four_items = ClassPrior::from_counts(vec![2, 2])?;
/// let p = coverage::probability(&four_items, Sampling::WithoutReplacement, NumDraws::new(2)?)?;
/// assert!((p.value() - 2.0 / 3.0).abs() < 1e-15);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn probability(prior: &ClassPrior, sampling: Sampling, num_draws: NumDraws) -> Result<Probability> {
    evaluate(prior, sampling, num_draws).map(|(probability, _)| probability)
}

/// How [`evaluate`] found a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Fewer draws than classes, or so many that no class can be missing: exactly 0 or 1.
    Trivial,
    /// n = C, or a population of which only one smallest class can be missing: a closed form.
    ClosedForm,
    /// 1−υ below e⁻⁴⁰: the sum over single missing classes.
    FirstOrder,
    /// The tilted contour sum.
    TiltedContour,
    /// The recurrence over the number of classes seen, all of whose terms are positive.
    Recurrence,
}

impl Method {
    /// Name in the command line's output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trivial => "trivial",
            Self::ClosedForm => "closed form",
            Self::FirstOrder => "first order",
            Self::TiltedContour => "tilted contour",
            Self::Recurrence => "recurrence",
        }
    }
}

/// [`probability()`], and how it was found.
///
/// # Errors
/// As for `probability`.
pub fn evaluate(
    prior: &ClassPrior,
    sampling: Sampling,
    num_draws: NumDraws,
) -> Result<(Probability, Method)> {
    sampling.check(prior, num_draws)?;
    let required = urn::weight_groups(prior, sampling, None);
    let population = urn::population(prior, sampling);
    let total = population.map_or(Dd::ONE, Dd::from);
    Urn::new(population, total, 0.0, &required, num_draws.get()).coverage()
}
