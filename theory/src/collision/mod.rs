//! τ and Col: how many of the K negatives share the anchor's class.
//!
//! Col given the anchor's class c is Binomial(K, π_c) for independent draws, and Hypergeometric(M−1 items, M_c−1 of
//! them in the class, K drawn) without replacement. τ_K = P(Col ≥ 1) = 1 − Σ_c π_c (1−π_c)^K, or
//! 1 − Σ_c (M_c/M) binom(M−M_c, K)/binom(M−1, K).
//!
#![doc = include_str!("../../docs/collision.svg")]
//!
//! [`BatchLaw`] gives what the bounds average over batches, exactly, given an anchor: E ln(1 + Col + A) and its
//! relatives.
//!
//! Source: Arora et al. (ICML 2019); theory of both samplings derived from the definition.

mod batch_law;
mod class_law;
mod log_table;
mod many;

pub use batch_law::{AnchorLaw, BatchLaw, ExpectedLogs};

use class_law::{ClassLaw, Sum};

use crate::coverage;
use crate::error::{Error, Result};
use crate::prior::{ClassPrior, Group};
use crate::probability::Probability;
use crate::sampling::{NumNegatives, Sampling};

/// Probability τ_K that at least one of `num_negatives` negatives shares the anchor's class.
///
/// Both tails are sums of positive terms: ln(1−τ) never saturates (10 classes, K = 511: 1−τ = 4.1e-24). The relative
/// error of τ is a few ulps; that of 1−τ grows as |ln(1−τ)| ulps, and the returned bounds say it.
///
/// # Errors
/// Draws without replacement from a prior without counts, or of more than M − 1 negatives.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, NumNegatives, Sampling, collision};
/// let tau = collision::probability(&ClassPrior::uniform(10)?, Sampling::WithReplacement, NumNegatives::new(31)?)?;
/// assert!((tau.value() - (1.0 - 0.9f64.powi(31))).abs() < 1e-15); // 96 % at K = 31 on ten classes
/// # Ok::<(), theory::Error>(())
/// ```
pub fn probability(
    prior: &ClassPrior,
    sampling: Sampling,
    num_negatives: NumNegatives,
) -> Result<Probability> {
    sampling.check(prior, num_negatives.draws())?;
    let logs: Vec<_> = prior
        .groups()
        .iter()
        .map(|g| (g.probability * g.multiplicity as f64, ln_no_collision(prior, g, sampling, num_negatives)))
        .collect();
    let largest = logs.iter().map(|&(_, (ln, _))| ln).fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return Ok(Probability::ONE);
    }
    let (mut missed, mut hit, mut missed_error, mut hit_error) = (0.0, 0.0, 0.0, 0.0);
    for &(weight, (ln, error)) in &logs {
        let part = weight * (ln - largest).exp();
        missed += part;
        hit -= weight * ln.exp_m1();
        if ln > f64::NEG_INFINITY {
            missed_error += part * error;
            hit_error += weight * ln.exp() * error;
        }
    }
    if hit == 0.0 {
        return Ok(Probability::ZERO);
    }
    const ROUNDING: f64 = 8.0 * f64::EPSILON;
    let ln_missed = (largest + missed.ln()).min(0.0);
    Ok(if hit < 0.5 {
        Probability::from_ln(hit.ln(), ROUNDING + hit_error / hit)
    } else {
        Probability::from_ln_complement(
            ln_missed,
            ROUNDING + missed_error / missed + f64::EPSILON * ln_missed.abs(),
        )
    })
}

/// ln P(Col = 0 | class), and a bound of its absolute error.
pub(crate) fn ln_no_collision(
    prior: &ClassPrior,
    group: &Group,
    sampling: Sampling,
    negatives: NumNegatives,
) -> (f64, f64) {
    let k = negatives.get();
    if k == 0 {
        return (0.0, 0.0);
    }
    match (sampling, prior.population(), group.count) {
        (Sampling::WithoutReplacement, Some(total), Some(own)) => {
            let (others, same) = (total - 1, own - 1);
            if k > others - same { (f64::NEG_INFINITY, 0.0) } else { coverage::ln_none_of(others, same, k) }
        }
        _ => {
            let ln = k as f64 * group.ln_others();
            (ln, if ln.is_finite() { 3.0 * f64::EPSILON * ln.abs() } else { 0.0 })
        }
    }
}

/// K above which the whole law is refused: it has K + 1 entries.
const MAX_LAW: u64 = 1_000_000;
/// K above which a sum over the law is refused: its window has some 20 √K entries.
const MAX_WINDOW: u64 = 1_000_000_000_000;

fn check_size(num_negatives: NumNegatives, limit: u64) -> Result<()> {
    if num_negatives.get() > limit {
        return Err(Error::argument(format!("K = {num_negatives} negatives exceed the limit of {limit}")));
    }
    Ok(())
}

/// The law of Col: entry m is P(Col = m) for m = 0, …, K, averaged over the anchor's class.
///
/// The tails are those of the law itself, however small (ten classes, K = 700: P(Col = 700) = 1e-700). Relative error
/// of each entry below 1e-13.
///
/// # Errors
/// As for [`probability()`]; K above 10⁶.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, NumNegatives, Sampling, collision};
/// let k = NumNegatives::new(700)?;
/// let law = collision::law(&ClassPrior::uniform(10)?, Sampling::WithReplacement, k)?;
/// assert_eq!(law[700].to_decimal(3), "1.00e-700");
/// # Ok::<(), theory::Error>(())
/// ```
pub fn law(prior: &ClassPrior, sampling: Sampling, num_negatives: NumNegatives) -> Result<Vec<Probability>> {
    sampling.check(prior, num_negatives.draws())?;
    check_size(num_negatives, MAX_LAW)?;
    let mut law = vec![(0.0, 0); num_negatives.get() as usize + 1];
    for group in prior.groups() {
        let weight = group.probability * group.multiplicity as f64;
        ClassLaw::new(prior, group, sampling, num_negatives).for_all(|m, mantissa, exponent| {
            let entry = &mut law[m as usize];
            *entry = class_law::add(*entry, (weight * mantissa, exponent));
        });
    }
    Ok(law
        .into_iter()
        .map(|(mantissa, exponent)| Probability::from_parts(mantissa, exponent, 1e-13))
        .collect())
}

/// (m, w) in the order of m with Σ w g(m) = E g(Col) for a function g as smooth as ln(1+m), of classes of equal size: the
/// law but for 1e-18 of it, thinned where it is wide.
///
/// # Errors
/// As for [`expected_ln1p`].
pub(crate) fn window(
    prior: &ClassPrior,
    sampling: Sampling,
    num_negatives: NumNegatives,
) -> Result<Vec<(u64, f64)>> {
    sampling.check(prior, num_negatives.draws())?;
    check_size(num_negatives, MAX_WINDOW)?;
    let mut window = Vec::new();
    if let [group] = prior.groups() {
        ClassLaw::new(prior, group, sampling, num_negatives).for_each(|m, p| window.push((m, p)));
    }
    Ok(window)
}

/// P(N = m) for the m that matter, N the number of the negatives that are marked, where the anchor is one of `marked` of
/// `total` items: all but 1e-18 of the law of Col, as if all marked items were of one class.
///
/// # Errors
/// As for [`expected_ln1p`]; no marked item, or more than there are items.
pub(crate) fn window_of(
    marked: u64,
    total: u64,
    sampling: Sampling,
    num_negatives: NumNegatives,
) -> Result<Vec<(u64, f64)>> {
    let others = total
        .checked_sub(marked)
        .ok_or_else(|| Error::argument(format!("{marked} marked items are more than all {total}")))?;
    let prior = ClassPrior::from_counts([marked, others].into_iter().filter(|&m| m > 0).collect())?;
    sampling.check(&prior, num_negatives.draws())?;
    check_size(num_negatives, MAX_WINDOW)?;
    let mut window = Vec::new();
    if let Some(group) = prior.groups().iter().find(|group| group.count == Some(marked)) {
        ClassLaw::new(&prior, group, sampling, num_negatives).for_each(|m, p| window.push((m, p)));
    }
    Ok(window)
}

/// E ln(1+Col): the price of collisions in both bounds, in nats.
///
/// A sum of positive terms over the law, at most some 3,000, or Taylor's series where very many collisions are expected.
/// Relative error below 1e-14, for K up to 10¹².
///
/// # Errors
/// As for [`probability()`]; K above 10¹².
///
/// # Examples
/// ```
/// use theory::{ClassPrior, NumNegatives, Sampling, collision};
/// // Two classes, one negative: Col is 0 or 1 with probability 1/2.
/// let e = collision::expected_ln1p(&ClassPrior::uniform(2)?, Sampling::WithReplacement, NumNegatives::new(1)?)?;
/// assert!((e - 0.5 * 2.0f64.ln()).abs() < 1e-15);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn expected_ln1p(prior: &ClassPrior, sampling: Sampling, num_negatives: NumNegatives) -> Result<f64> {
    sampling.check(prior, num_negatives.draws())?;
    check_size(num_negatives, MAX_WINDOW)?;
    let negatives = num_negatives.get() as f64;
    let of_group = |group: &Group| {
        let many = sampling == Sampling::WithReplacement && negatives * group.probability >= many::LEAST_MEAN;
        let expected = if many {
            many::expected_ln1p(negatives, group.probability, group.others)
        } else {
            expectation_of_class(prior, group, sampling, num_negatives, |m| ((m + 1) as f64).ln())
        };
        group.probability * group.multiplicity as f64 * expected
    };
    Ok(prior.groups().iter().map(of_group).sum())
}

/// E g(Col) for a function g of any sign, as smooth as ln(1+m), over the same law: cost at most some 3,000 evaluations of
/// g per group of classes.
///
/// # Errors
/// As for [`expected_ln1p`].
pub(crate) fn expectation(
    prior: &ClassPrior,
    sampling: Sampling,
    num_negatives: NumNegatives,
    of_collisions: impl Fn(u64) -> f64,
) -> Result<f64> {
    sampling.check(prior, num_negatives.draws())?;
    check_size(num_negatives, MAX_WINDOW)?;
    let of_group = |group: &Group| {
        let expected = expectation_of_class(prior, group, sampling, num_negatives, &of_collisions);
        group.probability * group.multiplicity as f64 * expected
    };
    Ok(prior.groups().iter().map(of_group).sum())
}

fn expectation_of_class(
    prior: &ClassPrior,
    group: &Group,
    sampling: Sampling,
    num_negatives: NumNegatives,
    of_collisions: impl Fn(u64) -> f64,
) -> f64 {
    let mut sum = Sum::default();
    ClassLaw::new(prior, group, sampling, num_negatives).for_each(|m, w| sum.add(w * of_collisions(m)));
    sum.value()
}
