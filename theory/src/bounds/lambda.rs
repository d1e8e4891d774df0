//! The family between coverage and collision: L_Info ≥ λ {E\[1{cover} l_sup\] + E\[1{not cover} l_sub\]} + (1−λ) E ln(1+Col) + d(f).
//!
//! As Eq. 10 of Nozawa & Sato, with weights λ and 1−λ in place of ½ and ½. It is linear in λ, so as a lower bound of
//! L_Info the best λ is 0 or 1. As an upper bound of L_sup the best is λ = 1:
//!
//! L_sup ≤ ( L_Info − d(f) − E\[1{not cover} l_sub\] ) / min_c υ_c,
//!
//! never above Eq. 10's, whose numerator has L_Info − d(f) − E ln(1+Col) ≥ 0 more.
//!
//! Source: derived here.

use super::{Bound, Outcome, Ratio, measured, nozawa_sato, outcome};
use crate::losses::{LossComponents, Measure};

pub(super) struct Lambda;

const UPPER: [Measure; 3] = [Measure::InfoNce, Measure::JointSubLoss, Measure::Gap];

impl Bound for Lambda {
    fn key(&self) -> &'static str {
        "lambda"
    }

    fn name(&self) -> &'static str {
        "coverage alone (λ = 1)"
    }

    fn source(&self) -> &'static str {
        "derived here from Nozawa & Sato (NeurIPS 2021)"
    }

    fn conditions(&self) -> &'static str {
        "lower: as master, best λ of 0 and 1; upper: K ≥ C−1, any classes (worst anchor class)"
    }

    fn lower_needs(&self) -> &'static [Measure] {
        nozawa_sato::NozawaSato.lower_needs()
    }

    fn upper_needs(&self) -> &'static [Measure] {
        &UPPER
    }

    fn lower_bound(&self, losses: &LossComponents) -> Outcome {
        let parts = measured(
            losses,
            [Measure::JointSupLoss, Measure::JointSubLoss, Measure::Log1pCollisions, Measure::Gap],
        );
        outcome(parts.map(|[sup, sub, collisions, gap]| (sup + sub).max(collisions) + gap))
    }

    fn ratio(&self, losses: &LossComponents) -> Option<Result<Ratio, Outcome>> {
        Some(measured(losses, UPPER).and_then(|[info_nce, sub, gap]| {
            let ln_denominator = nozawa_sato::ln_smallest_coverage(losses)?;
            Ok(Ratio { numerator: info_nce - sub - gap, ln_denominator })
        }))
    }
}
