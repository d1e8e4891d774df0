//! The law of Σ_c g(n_c) over the classes of one batch: what τ̂ and E ln(1+Col) are averages of.

use super::Dataset;
use crate::Sampling;

/// Standard deviation of Σ_c g(n_c)/n for one batch of n = `draws` labels.
///
/// The variance of the sum is C Var g(n_1) + C(C−1) Cov(g(n_1), g(n_2)); n_2 given n_1 has the law of n − n_1 draws from
/// the other classes. Exact laws; n² terms at most.
pub(super) fn deviation_of_batch(
    dataset: &Dataset,
    sampling: Sampling,
    draws: u64,
    of_count: impl Fn(u64) -> f64,
) -> f64 {
    let (classes, items) = (dataset.num_classes, dataset.items_per_class);
    let one = law(sampling, draws, items, classes);
    let mean: f64 = one.iter().map(|&(m, p)| p * of_count(m)).sum();
    // Around the mean, so that large equal parts do not cancel.
    let centred = |m: u64| of_count(m) - mean;
    let variance: f64 = one.iter().map(|&(m, p)| p * centred(m).powi(2)).sum();
    let mut covariance = 0.0;
    for &(m, p) in &one {
        let other = law(sampling, draws - m, items, classes - 1);
        covariance += p * centred(m) * other.iter().map(|&(m, p)| p * centred(m)).sum::<f64>();
    }
    let c = classes as f64;
    (c * variance + c * (c - 1.0) * covariance).max(0.0).sqrt() / draws as f64
}

/// (m, P(m of `draws` labels are of one class)) for C = `classes` of `items` each, where P is not negligible: binomial,
/// or hypergeometric.
fn law(sampling: Sampling, draws: u64, items: u64, classes: u64) -> Vec<(u64, f64)> {
    const NEGLIGIBLE: f64 = 1e-20;
    let others = items * (classes - 1);
    let (lowest, highest) = match sampling {
        _ if classes == 1 => return vec![(draws, 1.0)],
        Sampling::WithReplacement => (0, draws),
        Sampling::WithoutReplacement => (draws.saturating_sub(others), draws.min(items)),
    };
    // P(m+1)/P(m)
    let ratio = |m: u64| {
        let drawn = (draws - m) as f64 / (m + 1) as f64;
        match sampling {
            Sampling::WithReplacement => drawn / (classes - 1) as f64,
            Sampling::WithoutReplacement => drawn * (items - m) as f64 / (others + m + 1 - draws) as f64,
        }
    };
    let mode = (draws / classes).clamp(lowest, highest);
    let mut law = vec![(mode, 1.0)];
    let mut weight = 1.0;
    for m in (lowest..mode).rev() {
        weight /= ratio(m);
        if weight < NEGLIGIBLE {
            break;
        }
        law.push((m, weight));
    }
    weight = 1.0;
    for m in mode..highest {
        weight *= ratio(m);
        if weight < NEGLIGIBLE {
            break;
        }
        law.push((m + 1, weight));
    }
    let total: f64 = law.iter().map(|(_, weight)| weight).sum();
    law.iter_mut().for_each(|(_, weight)| *weight /= total);
    law
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collided(m: u64) -> f64 {
        if m < 2 { 0.0 } else { m as f64 }
    }

    #[test]
    fn two_draws_by_hand() {
        // Both collide or none does: a Bernoulli variable with P = 1/3, or 1/5 of 3 classes of 2 items.
        let dataset = Dataset { key: "", name: "", num_classes: 3, items_per_class: 2 };
        for (sampling, p) in [(Sampling::WithReplacement, 1.0 / 3.0), (Sampling::WithoutReplacement, 0.2f64)]
        {
            let found = deviation_of_batch(&dataset, sampling, 2, collided);
            assert!((found - (p * (1.0 - p)).sqrt()).abs() < 1e-14, "{found}");
        }
    }

    /// All sequences of four labels, each of 3 classes, against the formula.
    #[test]
    fn four_draws_enumerated() {
        let dataset = Dataset { key: "", name: "", num_classes: 3, items_per_class: 3 };
        let logarithm = |m: u64| m as f64 * (m.max(1) as f64).ln();
        for sampling in [Sampling::WithReplacement, Sampling::WithoutReplacement] {
            let (mut mass, mut first, mut second) = (0.0, 0.0, 0.0);
            for code in 0..81u32 {
                let mut counts = [0u64; 3];
                let mut p = 1.0;
                for place in 0..4u32 {
                    let class = (code / 3u32.pow(place) % 3) as usize;
                    p *= match sampling {
                        Sampling::WithReplacement => 1.0 / 3.0,
                        Sampling::WithoutReplacement => {
                            (3.0 - counts[class] as f64) / (9.0 - f64::from(place))
                        }
                    };
                    counts[class] += 1;
                }
                let value = counts.iter().map(|&m| logarithm(m)).sum::<f64>() / 4.0;
                (mass, first, second) = (mass + p, first + p * value, second + p * value * value);
            }
            assert!((mass - 1.0).abs() < 1e-14);
            let found = deviation_of_batch(&dataset, sampling, 4, logarithm);
            assert!((found - (second - first * first).sqrt()).abs() < 1e-13, "{found}");
        }
    }
}
