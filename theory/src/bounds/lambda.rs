//! The family between coverage and collision: L_Info ≥ λ {E\[1{cover} l_sup\] + E\[1{not cover} l_sub\]} + (1−λ) E
//! ln(1+Col) + d(f).
//!
//! As Eq. 10 of Nozawa & Sato, with weights λ and 1−λ in place of ½ and ½. It is linear in λ, so as a lower bound of
//! L_Info the best λ is 0 or 1. As an upper bound of L_sup the best is λ = 1:
//!
//! L_sup ≤ ( L_Info − d(f) − E\[1{not cover} l_sub\] ) / min_c υ_c,
//!
//! never above that of another λ, whose numerator over λ has (1−λ)/λ (L_Info − d(f) − E ln(1+Col)) ≥ 0 more.
//! [`lambda_family`] gives both sides for any λ.
//!
//! Source: derived here.

use super::slack::{smallest_probability, sum};
use super::{Bound, Outcome, Ratio, Step, measured, measured_upwards, nozawa_sato, outcome};
use crate::losses::{LossComponents, Quantity};

pub(super) struct Lambda;

const UPPER: [Quantity; 3] = [Quantity::InfoNce, Quantity::JointSubLoss, Quantity::Gap];

impl Bound for Lambda {
    fn key(&self) -> &'static str {
        "lambda"
    }

    fn name(&self) -> &'static str {
        "coverage alone (λ = 1)"
    }

    fn formula(&self) -> &'static str {
        "L_sup ≤ (L_Info − d(f) − E[1{not cover} l_sub]) / min_c υ_c"
    }

    fn source(&self) -> &'static str {
        "derived here from Nozawa & Sato (NeurIPS 2021)"
    }

    fn conditions(&self) -> &'static str {
        "lower: as master, best λ of 0 and 1; upper: K ≥ C−1, any classes (worst anchor class)"
    }

    fn lower_needs(&self) -> &'static [Quantity] {
        nozawa_sato::NozawaSato.lower_needs()
    }

    fn upper_needs(&self) -> &'static [Quantity] {
        &UPPER
    }

    fn lower_bound(&self, losses: &LossComponents) -> Outcome {
        let parts = measured(
            losses,
            [Quantity::JointSupLoss, Quantity::JointSubLoss, Quantity::Log1pCollisions, Quantity::Gap],
        );
        outcome(parts.map(|[sup, sub, collisions, gap]| (sup + sub).max(collisions) + gap))
    }

    fn ratio(&self, losses: &LossComponents) -> Option<Result<Ratio, Outcome>> {
        Some(measured_upwards(losses, UPPER).and_then(|[info_nce, sub, gap]| {
            let ln_denominator = nozawa_sato::ln_smallest_coverage(losses)?;
            Ok(Ratio { numerator: info_nce - sub - gap, ln_denominator })
        }))
    }

    fn steps(&self, losses: &LossComponents) -> Vec<(Step, Option<f64>)> {
        let shown = [(1.0, Quantity::JointSupLoss), (1.0, Quantity::JointSubLoss), (1.0, Quantity::Gap)];
        vec![(Step::CollisionsDropped, sum(losses, &shown)), (smallest_probability(losses), None)]
    }
}

/// Both sides of the family at one λ in \[0, 1\]: the lower bound of L_Info and the upper bound of L_sup.
///
/// λ = ½ is Eq. 10 of Nozawa & Sato, λ = 1 coverage alone, λ = 0 collisions alone, which bound no L_sup.
///
/// # Examples
/// ```
/// use theory::losses::{Estimate, Quantity};
/// use theory::{LossComponents, NumDraws, Sampling, bounds};
/// let mut losses = LossComponents::new(2, NumDraws::new(2)?, 1.0, Sampling::WithReplacement)?;
/// losses.class_counts = Some(vec![1, 1]); // υ = ½
/// for (measure, value) in [
///     (Quantity::InfoNce, 1.0),
///     (Quantity::JointSupLoss, 0.3),
///     (Quantity::JointSubLoss, 0.0),
///     (Quantity::Log1pCollisions, 0.4),
///     (Quantity::Gap, 0.0),
/// ] {
///     losses.set(measure, Estimate::exact(value))?;
/// }
/// let (lower, upper) = bounds::lambda_family(&losses, 0.5);
/// assert!((lower.value().unwrap() - 0.35).abs() < 1e-15); // ½ (0.3 + 0.4)
/// let upper = upper.value().unwrap(); // (2 · 1.0 − 0.4)/½, rounded up
/// assert!(upper >= 3.2 && upper < 3.2 + 1e-11);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn lambda_family(losses: &LossComponents, lambda: f64) -> (Outcome, Outcome) {
    if !(0.0..=1.0).contains(&lambda) {
        let outside = Outcome::NotApplicable(format!("λ = {lambda} is not in [0, 1]"));
        return (outside.clone(), outside);
    }
    let lower = measured(
        losses,
        [Quantity::JointSupLoss, Quantity::JointSubLoss, Quantity::Log1pCollisions, Quantity::Gap],
    );
    let lower =
        lower.map(|[sup, sub, collisions, gap]| lambda * (sup + sub) + (1.0 - lambda) * collisions + gap);
    let upper =
        measured_upwards(losses, nozawa_sato::NUMERATOR).and_then(|[info_nce, sub, collisions, gap]| {
            if lambda == 0.0 {
                return Err(Outcome::NotApplicable("λ = 0 says nothing about L_sup".into()));
            }
            let numerator = (info_nce - gap - (1.0 - lambda) * collisions) / lambda - sub;
            Ok(Ratio { numerator, ln_denominator: nozawa_sato::ln_smallest_coverage(losses)? }.value())
        });
    (outcome(lower), outcome(upper))
}
