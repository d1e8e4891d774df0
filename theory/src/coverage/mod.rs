//! υ: the probability that n = K+1 draws show every class (the coupon collector's).
//!
//! With T the number of draws until every class was seen, υ_n = P(T ≤ n). Uniform independent draws:
//! υ_n = Σ_j (−1)^j binom(C, j) (1 − j/C)^n = C! S(n, C) / C^n. Any prior π: υ_n = n! \[zⁿ\] ∏_c (e^{π_c z} − 1).
//! Without replacement from M_c items a class: υ_n = \[zⁿ\] ∏_c ((1+z)^{M_c} − 1) / binom(M, n).
//!
//! [`probability`] gives both tails in floating point with an error bound; [`exact::probability`] gives integers.
//!
//! Source: the coverage term of Nozawa & Sato (NeurIPS 2021); classical coupon collector.

pub(crate) mod base;
mod class;
mod contour;
pub mod exact;
mod moments;

pub use moments::{expected_draws, quantile, standard_deviation};

use crate::error::Result;
use crate::prior::{ClassPrior, Group};
use crate::probability::Probability;
use crate::sampling::{NumDraws, Sampling};
use contour::Base;

/// Probability υ that `num_draws` draws show every class of `prior`.
///
/// Both tails are kept: `ln` and `ln_complement` stay finite where υ is 1e-400 or 1 − 1e-400. The returned bounds of the
/// relative errors hold for each value; against exact integers, for up to 250 classes, the tests find errors below 6e-15
/// where the value exceeds 1e-3 and below 1e-12 elsewhere. Cost: some tens of evaluations per distinct class size.
///
/// # Errors
/// Draws without replacement from a prior that has no counts, or more draws than items.
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
}

impl Method {
    /// Name in the command line's output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trivial => "trivial",
            Self::ClosedForm => "closed form",
            Self::FirstOrder => "first order",
            Self::TiltedContour => "tilted contour",
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
    let (classes, draws) = (prior.num_classes(), num_draws.get());
    if draws < classes {
        return Ok((Probability::ZERO, Method::Trivial));
    }
    if classes == 1 {
        return Ok((Probability::ONE, Method::Trivial));
    }
    let without_replacement =
        (sampling == Sampling::WithoutReplacement).then(|| prior.population()).flatten();
    if draws == classes {
        return Ok((each_class_once(prior, without_replacement, draws), Method::ClosedForm));
    }
    if let Some(total) = without_replacement {
        let smallest = prior.groups()[prior.groups().len() - 1];
        let smallest_count = smallest.count.unwrap_or(1);
        if draws > total - smallest_count {
            return Ok((Probability::ONE, Method::Trivial));
        }
        if draws == total - smallest_count {
            // Only the subsets that leave out exactly one smallest class fail to cover.
            let (ln_subsets, error) = ln_binomial_coefficient(total, draws);
            let ln = (smallest.multiplicity as f64).ln() - ln_subsets;
            return Ok((Probability::from_ln(ln, error + log_error(ln)).opposite(), Method::ClosedForm));
        }
    }
    let missing = first_order_missing(prior, without_replacement, draws);
    if missing.ln < -40.0 {
        return Ok((Probability::from_ln(missing.ln, missing.error).opposite(), Method::FirstOrder));
    }
    let (base, weight): (Base, fn(&Group) -> f64) = match without_replacement {
        Some(total) => (Base::Binomial { total: total as f64 }, |g| g.count.unwrap_or(1) as f64),
        None => (Base::Poisson, |g| g.probability),
    };
    let groups: Vec<_> = prior.groups().iter().map(|g| (weight(g), g.multiplicity as f64)).collect();
    Ok((contour::coverage(base, &groups, draws as f64), Method::TiltedContour))
}

/// n = C: every class exactly once, n! ∏ π_c, or ∏ M_c / binom(M, n) without replacement.
fn each_class_once(prior: &ClassPrior, total: Option<u64>, draws: u64) -> Probability {
    let weight = |g: &Group| if total.is_some() { g.count.unwrap_or(1) as f64 } else { g.probability };
    if draws <= 64 {
        // One factor a draw: weight · (n−i) / (M−i), or weight · (n−i).
        let weights =
            prior.groups().iter().flat_map(|g| std::iter::repeat_n(weight(g), g.multiplicity as usize));
        let pool = |i: u64| total.map_or(1.0, |total| (total - i) as f64);
        let product: f64 =
            weights.enumerate().map(|(i, w)| w * (draws - i as u64) as f64 / pool(i as u64)).product();
        if product > 1e-280 {
            return Probability::from_ln(product.ln().min(0.0), 2.0 * draws as f64 * f64::EPSILON);
        }
    }
    let ln_product: f64 = prior.groups().iter().map(|g| g.multiplicity as f64 * weight(g).ln()).sum();
    let (ln_words, words_error) = match total {
        Some(total) => {
            let (ln, error) = ln_binomial_coefficient(total, draws);
            (-ln, error)
        }
        None => {
            let ln = ln_factorial(draws);
            (ln, log_error(ln))
        }
    };
    Probability::from_ln((ln_product + ln_words).min(0.0), words_error + log_error(ln_product))
}

/// S₁ = Σ_c P(class c is missing), as a logarithm with the error bound of using it for 1−υ.
///
/// Bonferroni: S₁ − S₂ ≤ 1−υ ≤ S₁, and S₂ ≤ S₁²/2 because two classes are missing together less often than
/// independently; so ln S₁ is ln(1−υ) up to S₁.
fn first_order_missing(prior: &ClassPrior, total: Option<u64>, draws: u64) -> base::LnPmf {
    let ln_missing = |g: &Group| match (total, g.count) {
        (Some(total), Some(own)) => ln_none_of(total, own, draws),
        _ => {
            let ln = draws as f64 * g.ln_others();
            (ln, 4.0 * f64::EPSILON * ln.abs())
        }
    };
    // The smallest class is the likeliest to be missing; the others are added relative to it.
    let (largest, mut error) = ln_missing(&prior.groups()[prior.groups().len() - 1]);
    let mut relative = 0.0;
    for group in prior.groups() {
        let (ln, own_error) = ln_missing(group);
        let part = group.multiplicity as f64 * (ln - largest).exp();
        relative += part;
        if part > 1e-20 {
            error = error.max(own_error);
        }
    }
    let ln = largest + relative.ln();
    base::LnPmf { ln, error: ln.exp() + error + log_error(relative.ln()) + f64::EPSILON * ln.abs() }
}

/// ln P(none of m = `own` marked among M = `total` items is drawn in n draws), and a bound of its absolute error.
///
/// binom(M−m, n)/binom(M, n); −∞ where n > M−m. A product of few factors, or Stirling's formula with the logarithms
/// arranged so that nothing of size M ln M is subtracted: with R = M−m−n,
/// R ln(1 + mn/(MR)) + n ln(1−m/M) + m ln(1−n/M) + ½ ln(1 + mn/(MR)) + δ(M−m) + δ(M−n) − δ(M) − δ(R).
pub(crate) fn ln_none_of(total: u64, own: u64, draws: u64) -> (f64, f64) {
    let (factors, removed) = if draws < own { (draws, own) } else { (own, draws) };
    if factors == 0 {
        return (0.0, 0.0);
    }
    let Some(rest) = (total - own).checked_sub(draws) else {
        return (f64::NEG_INFINITY, 0.0);
    };
    if factors <= 64 || rest == 0 && factors <= 1_000_000 {
        let ln: f64 = (0..factors).map(|i| ln_without(total - i, removed)).sum();
        return (ln, f64::EPSILON * (2.0 + factors as f64) * ln.abs());
    }
    if rest == 0 {
        let (ln, error) = ln_binomial_coefficient(total, draws);
        return (-ln, error);
    }
    let (all, m, n, r) = (total as f64, own as f64, draws as f64, rest as f64);
    let odds = m / all * (n / r);
    let terms =
        [r * odds.ln_1p(), n * ln_without(total, own), m * ln_without(total, draws), 0.5 * odds.ln_1p()];
    let delta = base::stirling_error;
    let stirling = delta(all - m) + delta(all - n) - delta(all) - delta(r);
    let size: f64 = terms.iter().map(|t| t.abs()).sum();
    (terms.iter().sum::<f64>() + stirling, 4.0 * f64::EPSILON * (size + delta(r)))
}

/// ln(1 − removed/total), from whichever of the two parts is smaller.
fn ln_without(total: u64, removed: u64) -> f64 {
    if removed > total / 2 {
        ((total - removed) as f64 / total as f64).ln()
    } else {
        (-(removed as f64) / total as f64).ln_1p()
    }
}

/// Error bound of a logarithm that was summed from parts of this size.
fn log_error(scale: f64) -> f64 {
    4.0 * f64::EPSILON * (1.0 + scale.abs())
}

/// ln n!
fn ln_factorial(n: u64) -> f64 {
    if n < 2 {
        return 0.0;
    }
    let x = n as f64;
    (x + 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + base::stirling_error(x)
}

/// ln binom(n, k) for 1 ≤ k ≤ n−1, and a bound of its absolute error.
fn ln_binomial_coefficient(n: u64, k: u64) -> (f64, f64) {
    let small = k.min(n - k);
    if small <= 64 {
        let ln: f64 = (0..small).map(|i| (n - i) as f64 / (small - i) as f64).product::<f64>().ln();
        if ln.is_finite() {
            return (ln, 2.0 * small as f64 * f64::EPSILON + log_error(ln));
        }
    }
    // The entropy form: at θ = k/n the binomial law has its mode at k.
    let (total, chosen) = (n as f64, k as f64);
    let theta = chosen / total;
    let at_mode = base::ln_binomial(chosen, total, theta, 1.0 - theta);
    let entropy = -chosen * theta.ln() - (total - chosen) * (-theta).ln_1p();
    (at_mode.ln + entropy, at_mode.error + log_error(entropy))
}
