//! υ as an exact fraction of integers, without floating point.
//!
//! Independent draws: C! S(n, C) over Cⁿ for the uniform prior, with Stirling numbers of the second kind; for counts
//! M_c, the words of length n that use every class over Mⁿ. Without replacement: \[zⁿ\] ∏ ((1+z)^{M_c} − 1) over
//! binom(M, n). Large integers are found modulo many coprime numbers below 2⁶², in parallel, and put together by the
//! Chinese remainder theorem. The fraction is not reduced unless [`ExactProbability::reduced`] is asked for.

mod cost;
mod fraction;
mod grouping;
mod lift;
mod model;
mod moduli;
mod multiply;
mod power;
mod residues;
mod rows;
mod series;
mod short;
mod stirling;
mod sums;
mod transform;
mod weights;
mod words;

pub use cost::Cost;
pub use fraction::ExactProbability;
pub use stirling::stirling_second;

use crate::error::Result;
use crate::prior::ClassPrior;
use crate::sampling::{NumDraws, Sampling};
use cost::{Plan, Planner, Route};
use fraction::Factors;
use num_bigint::BigUint;
use num_traits::Zero;

/// Exact probability υ that `num_draws` draws show every class of `prior`.
///
/// # Errors
/// A prior of real weights (it has no exact fraction); draws that `sampling` cannot make; a computation of more than
/// about a minute of one core or 4 GB of memory, which says what it would cost.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, NumDraws, Sampling, coverage::exact};
/// let p = exact::probability(&ClassPrior::uniform(3)?, Sampling::WithReplacement, NumDraws::new(4)?)?;
/// assert_eq!((p.numerator, p.denominator), (36u32.into(), 81u32.into()));
/// # Ok::<(), theory::Error>(())
/// ```
pub fn probability(prior: &ClassPrior, sampling: Sampling, num_draws: NumDraws) -> Result<ExactProbability> {
    compute(prior, sampling, num_draws, Plan::check)
}

/// [`probability()`] without a limit of its cost.
///
/// # Errors
/// As for `probability`, but for the cost; more than 2³² − 1 draws, or integers of more than 10⁹ bits.
pub fn probability_at_any_cost(
    prior: &ClassPrior,
    sampling: Sampling,
    num_draws: NumDraws,
) -> Result<ExactProbability> {
    compute(prior, sampling, num_draws, |_| Ok(()))
}

/// Exact probability that independent draws from `prior` show the last class at draw `num_draws` and not before:
/// P(T = n) = υ_n − υ_{n−1} for the collector's time T, C! S(n−1, C−1)/Cⁿ for the uniform prior.
///
/// # Errors
/// As for [`probability()`].
///
/// # Examples
/// ```
/// use theory::{ClassPrior, NumDraws, coverage::exact};
/// // Two classes: the second one at draw 4 after three equal ones, 2 of the 16 words.
/// let p = exact::probability_of_completion(&ClassPrior::uniform(2)?, NumDraws::new(4)?)?;
/// assert_eq!((p.numerator, p.denominator), (2u32.into(), 16u32.into()));
/// # Ok::<(), theory::Error>(())
/// ```
pub fn probability_of_completion(prior: &ClassPrior, num_draws: NumDraws) -> Result<ExactProbability> {
    let sampling = Sampling::WithReplacement;
    let (n, c) = (num_draws.get(), prior.num_classes());
    if n == 1 {
        return probability(prior, sampling, num_draws);
    }
    if prior.is_uniform() {
        let plan = Planner::new(prior, sampling)?.plan(num_draws);
        plan.check()?;
        plan.check_size()?;
        let numerator = stirling::surjections(n - 1, c - 1) * c;
        return Ok(ExactProbability::with_factors(numerator, multiply::power(c, n), Factors::Of(c)));
    }
    let now = probability(prior, sampling, num_draws)?;
    let before = probability(prior, sampling, NumDraws::new(n - 1)?)?;
    let numerator = &now.numerator - before.numerator * prior.population().unwrap_or(0);
    Ok(now.with_numerator(numerator))
}

fn compute(
    prior: &ClassPrior,
    sampling: Sampling,
    num_draws: NumDraws,
    check: impl Fn(&Plan) -> Result<()>,
) -> Result<ExactProbability> {
    sampling.check(prior, num_draws)?;
    let plan = Planner::new(prior, sampling)?.plan(num_draws);
    check(&plan)?;
    plan.check_size()?;
    let (classes, draws) = (prior.num_classes(), num_draws.get());
    if plan.route == Route::Uniform {
        return Ok(ExactProbability::with_factors(
            stirling::surjections(draws, classes),
            multiply::power(classes, draws),
            Factors::Of(classes),
        ));
    }
    let total = prior.population().unwrap_or(0);
    let numerator = if plan.is_zero {
        BigUint::zero()
    } else if plan.route == Route::Series {
        series::outcomes(&cost::groups(prior), draws, sampling, plan.bits)
    } else {
        sums::outcomes(&cost::groups(prior), draws, sampling, plan.bits)
    };
    Ok(match sampling {
        Sampling::WithReplacement => {
            ExactProbability::with_factors(numerator, multiply::power(total, draws), Factors::Of(total))
        }
        Sampling::WithoutReplacement => {
            ExactProbability::with_factors(numerator, multiply::binomial(total, draws), Factors::UpTo(total))
        }
    })
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
