//! Coverage where nothing is left to chance.

use super::point;
use crate::prior::ClassPrior;
use crate::sampling::{NumDraws, Sampling};

/// The size of the population that draws deplete, if there is one.
pub(super) fn population(prior: &ClassPrior, sampling: Sampling) -> Option<u64> {
    if sampling == Sampling::WithoutReplacement { prior.population() } else { None }
}

/// ln υ where nothing is left to chance.
pub(super) fn certain(prior: &ClassPrior, sampling: Sampling, num_draws: NumDraws) -> Option<f64> {
    let (classes, draws) = (prior.num_classes(), num_draws.get());
    let population = population(prior, sampling);
    let smallest = prior.groups()[prior.groups().len() - 1].count.unwrap_or(1);
    if draws < classes {
        return Some(f64::NEG_INFINITY);
    }
    if classes == 1 || population.is_some_and(|total| draws > total - smallest) {
        return Some(0.0);
    }
    (draws == classes).then(|| ln_each_once(prior, population))
}

/// n = C: n! ∏ π_c, or ∏ M_c / binom(M, n).
fn ln_each_once(prior: &ClassPrior, population: Option<u64>) -> f64 {
    let n = prior.num_classes() as f64;
    let ln_weights = |weight: &dyn Fn(&crate::prior::Group) -> f64| -> f64 {
        prior.groups().iter().map(|g| g.multiplicity as f64 * weight(g).ln()).sum()
    };
    match population {
        None => {
            // n! ∏ π_c = P(all counts are 1 | Poisson(nπ_c)) / P(Poisson(n) = n), where the e^{−n} cancel.
            ln_weights(&|g| n * g.probability) - n - point::ln_poisson(n, n)
        }
        Some(total) if total as f64 == n => 0.0,
        Some(total) => {
            // binom(M, n) = P(Binomial(M, θ) = n) / (θⁿ (1−θ)^{M−n}) with θ = n/M.
            let total = total as f64;
            let (theta, q) = (n / total, (total - n) / total);
            let ln_each = ln_weights(&|g| g.count.unwrap_or(1) as f64 * theta);
            ln_each + (total - n) * (-theta).ln_1p() - point::ln_binomial(n, total, theta, q)
        }
    }
}
