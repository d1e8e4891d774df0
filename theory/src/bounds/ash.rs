//! The collision–coverage bound of Ash et al.: L_sup ≤ 2/(1−τ_K) max{1, 2 (C−1) H_{C−1} / K} (L_Info − E ln(1+Col) −
//! d(f)).
//!
//! 1/(1−τ_K) is the cost of collisions, the maximum that of coverage (a coupon collector over the other C−1 classes).
//! The coefficient is smallest near K = −1/ln(1−1/C) ≈ C.
//!
//! Proof, by `coverage_collision`, whose coefficient is smaller: with m = C−1 and independent draws the probability of
//! seeing a given other class is 1 − (1−1/m)^K ≥ 1 − e^{−K/m} ≥ (1−1/e) min{1, K/m} ≥ ½ min{1, K/(2 m H_m)}; with
//! distinct images it is larger still. The publication has d(f) = 0: its positives are two images of one class.
//!
//! Source: Ash, Goel, Krishnamurthy & Misra (AISTATS 2022), in the form of Bao et al.'s code, with the exact H_{C−1}
//! where that code has ln n + 0.577; d(f) and the proof are ours.

use super::coverage_collision::CoverageCollision;
use super::{Bound, Outcome, Ratio, Step, coefficient, uniform_prior};
use crate::collision;
use crate::losses::{LossComponents, Quantity};

pub(super) struct Ash;

impl Bound for Ash {
    fn key(&self) -> &'static str {
        "ash"
    }

    fn name(&self) -> &'static str {
        "Ash et al."
    }

    fn formula(&self) -> &'static str {
        "L_sup ≤ 2 max{1, 2 (C−1) H_{C−1} / K} (L_Info − E ln(1 + Col) − d(f)) / (1 − τ_K)"
    }

    fn source(&self) -> &'static str {
        "Ash et al. (AISTATS 2022), as in the code of Bao et al. (ICML 2022)"
    }

    fn conditions(&self) -> &'static str {
        "equally frequent classes, any K ≥ 1; independent draws or distinct images"
    }

    fn lower_needs(&self) -> &'static [Quantity] {
        &coefficient::LOWER
    }

    fn lower_bound(&self, losses: &LossComponents) -> Outcome {
        coefficient::lower_bound(losses, ln_coefficient)
    }

    fn upper_needs(&self) -> &'static [Quantity] {
        &coefficient::UPPER
    }

    fn ratio(&self, losses: &LossComponents) -> Option<Result<Ratio, Outcome>> {
        Some(coefficient::ratio(losses, ln_coefficient))
    }

    fn steps(&self, losses: &LossComponents) -> Vec<(Step, Option<f64>)> {
        let mut steps = CoverageCollision.steps(losses);
        if let Some((_, right_side)) = steps.last_mut() {
            *right_side = CoverageCollision.lower_bound(losses).value();
        }
        steps.push((Step::CoarseProbability, None));
        steps
    }
}

/// ln of (1−τ_K) / (2 max{1, 2 (C−1) H_{C−1} / K})
fn ln_coefficient(losses: &LossComponents) -> Result<f64, Outcome> {
    let prior = uniform_prior(losses)?;
    let negatives = losses.num_draws.negatives();
    let ln_alone = collision::probability(&prior, losses.sampling, negatives)?.ln_complement();
    if ln_alone == f64::NEG_INFINITY {
        return Err(Outcome::Undefined("every batch has a collision: 1−τ = 0".into()));
    }
    Ok(ln_alone - (2.0 * coverage_cost(losses.num_classes, negatives.get())).ln())
}

/// max{1, 2 (C−1) H_{C−1} / K}
fn coverage_cost(classes: u64, negatives: u64) -> f64 {
    let others = classes - 1;
    let harmonic: f64 = (1..=others).rev().map(|k| 1.0 / k as f64).sum();
    (2.0 * others as f64 * harmonic / negatives as f64).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coefficients_of_the_publication() {
        // C = 10: equal at K = 9 and 10 (29.2082); C = 100: at K = 99 and 100 (56.0126).
        let coefficient = |c: u64, k: u64| 2.0 * coverage_cost(c, k) / (1.0 - 1.0 / c as f64).powi(k as i32);
        for (c, k, expected) in [(10, 9, 29.2082), (10, 10, 29.2082), (100, 99, 56.0126), (100, 100, 56.0126)]
        {
            assert!((coefficient(c, k) - expected).abs() < 5e-5, "{c} {k}: {}", coefficient(c, k));
        }
        assert_eq!(coverage_cost(2, 1), 2.0);
        assert_eq!(coverage_cost(4, 1000), 1.0);
    }
}
