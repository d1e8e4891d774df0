//! The bound of Nozawa & Sato (Eq. 10): coverage and collision side by side.
//!
//! L_Info ≥ ½ { υ L_sup + (1−υ) L_sub + E ln(1+Col) } + d(f), in the measured joint form
//! ½ { E\[1{cover} l_sup\] + E\[1{not cover} l_sub\] + E ln(1+Col) } + d(f).
//!
//! From the master inequality: ln(1+Col+A) is at least ln(1+A) and at least ln(1+Col), hence at least their mean; and
//! ln(1+A) ≥ l over the distinct classes of the batch.
//!
//! Upper bound of L_sup. E\[1{cover} l_sup\] = Σ_c π_c υ_c L_sup,c, where υ_c is the probability that the batch covers
//! given that the anchor is of class c; for equally frequent classes every υ_c is υ. Hence
//!
//! L_sup ≤ ( 2 (L_Info − d(f)) − E\[1{not cover} l_sub\] − E ln(1+Col) ) / min_c υ_c,
//!
//! with the exact υ_c of the sampling that was used; undefined where υ = 0. (The official notebook subtracts only half
//! of the L_sub part, and divides by a counted υ̂: see `nozawa_sato_as_published`.)
//!
//! Source: Nozawa & Sato (NeurIPS 2021), Eq. 10; the form for unequal classes is ours.

use super::coefficient::remembered;
use super::slack::{smallest_probability, sum};
use super::{Bound, Outcome, Ratio, Step, measured, measured_upwards, outcome, prior_of};
use crate::coverage;
use crate::losses::{LossComponents, Quantity};

pub(super) struct NozawaSato;

pub(super) const NUMERATOR: [Quantity; 4] =
    [Quantity::InfoNce, Quantity::JointSubLoss, Quantity::Log1pCollisions, Quantity::Gap];

impl Bound for NozawaSato {
    fn key(&self) -> &'static str {
        "nozawa_sato"
    }

    fn name(&self) -> &'static str {
        "Nozawa & Sato"
    }

    fn formula(&self) -> &'static str {
        "L_sup ≤ (2 (L_Info − d(f)) − E[1{not cover} l_sub] − E ln(1 + Col)) / min_c υ_c"
    }

    fn source(&self) -> &'static str {
        "Nozawa & Sato (NeurIPS 2021), Eq. 10"
    }

    fn conditions(&self) -> &'static str {
        "lower: as master; upper: K ≥ C−1, any classes (worst anchor class)"
    }

    fn lower_needs(&self) -> &'static [Quantity] {
        &[Quantity::JointSupLoss, Quantity::JointSubLoss, Quantity::Log1pCollisions, Quantity::Gap]
    }

    fn upper_needs(&self) -> &'static [Quantity] {
        &NUMERATOR
    }

    fn lower_bound(&self, losses: &LossComponents) -> Outcome {
        let parts = measured(
            losses,
            [Quantity::JointSupLoss, Quantity::JointSubLoss, Quantity::Log1pCollisions, Quantity::Gap],
        );
        outcome(parts.map(|[sup, sub, collisions, gap]| 0.5 * (sup + sub + collisions) + gap))
    }

    fn ratio(&self, losses: &LossComponents) -> Option<Result<Ratio, Outcome>> {
        Some(measured_upwards(losses, NUMERATOR).and_then(|[info_nce, sub, collisions, gap]| {
            let numerator = 2.0 * (info_nce - gap) - sub - collisions;
            Ok(Ratio { numerator, ln_denominator: ln_smallest_coverage(losses)? })
        }))
    }

    fn is_paired(&self) -> bool {
        true
    }

    fn steps(&self, losses: &LossComponents) -> Vec<(Step, Option<f64>)> {
        let halves = [
            (0.5, Quantity::JointSupLoss),
            (0.5, Quantity::JointSubLoss),
            (0.5, Quantity::Log1pCollisions),
            (1.0, Quantity::Gap),
        ];
        vec![(Step::Halves, sum(losses, &halves)), (smallest_probability(losses), None)]
    }
}

/// ln min_c P(the batch covers | the anchor is of class c).
pub(super) fn ln_smallest_coverage(losses: &LossComponents) -> Result<f64, Outcome> {
    remembered(find_ln_smallest_coverage, losses)
}

fn find_ln_smallest_coverage(losses: &LossComponents) -> Result<f64, Outcome> {
    let prior = prior_of(losses)?;
    let upsilon = if prior.is_uniform() {
        coverage::probability(&prior, losses.sampling, losses.num_draws)?
    } else {
        coverage::least_given_anchor(&prior, losses.sampling, losses.num_draws)?
    };
    if upsilon.ln() == f64::NEG_INFINITY {
        let (n, c) = (losses.num_draws, losses.num_classes);
        return Err(Outcome::Undefined(format!("υ = 0: {n} draws cannot show {c} classes")));
    }
    Ok(upsilon.ln())
}
