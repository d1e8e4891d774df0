//! The bound of Arora et al. in the form with augmentation (Eq. 8 of Nozawa & Sato 2021), and what it says about L_sup.
//!
//! L_Info ≥ E\[1{Col = 0} l(z, c; Y)\] + E ln(1+Col) + d(f), Y the classes of the batch.
//!
//! From the master inequality: ln(1+Col+A) is ln(1+A) ≥ l(z, c; Y) where Col = 0 (dropping repeated classes lowers A),
//! and at least ln(1+Col) elsewhere; ln(1+0) = 0, so the collision part needs no condition.
//!
//! Upper bound of L_sup. Move the part of batches that do not cover, c_sub = E\[1{Col=0} 1{not cover} l\], to the other
//! side. What stays is E\[1{Col=0} 1{cover} l_sup\] = Σ_c π_c P(Col = 0 and cover | c) L_sup,c, since the labels of the
//! negatives know of the anchor only its class. Hence
//!
//! L_sup ≤ (L_Info − c_sub − E ln(1+Col) − d(f)) / min_c P(Col = 0 and cover | c),
//!
//! where P(Col = 0 and cover | c) = P(Col = 0 | c) P(K draws from the other C−1 classes show them all): (1−τ_K)
//! υ_{C−1}(K) for equally frequent classes. It needs K ≥ C−1. The publication divides by 1−τ_K alone, see
//! `curl_as_published`.
//!
//! Source: Arora et al. (ICML 2019); Nozawa & Sato (NeurIPS 2021); the rearrangement is derived here.

use super::anchor::{Negatives, ratio};
use super::coefficient::remembered;
use super::{Bound, Outcome, Ratio, check_can_cover, measured, measured_upwards, outcome, prior_of};
use crate::losses::{LossComponents, Quantity};

pub(super) struct Curl;

pub(super) const NUMERATOR: [Quantity; 5] = [
    Quantity::InfoNce,
    Quantity::CurlJoint,
    Quantity::CurlJointSup,
    Quantity::Log1pCollisions,
    Quantity::Gap,
];

impl Bound for Curl {
    fn key(&self) -> &'static str {
        "curl"
    }

    fn name(&self) -> &'static str {
        "CURL (Arora et al.)"
    }

    fn source(&self) -> &'static str {
        "Arora et al. (ICML 2019), as Eq. 8 of Nozawa & Sato (NeurIPS 2021); rearrangement derived here"
    }

    fn conditions(&self) -> &'static str {
        "lower: as master; upper: K ≥ C−1, any classes (worst anchor class)"
    }

    fn lower_needs(&self) -> &'static [Quantity] {
        &[Quantity::CurlJoint, Quantity::Log1pCollisions, Quantity::Gap]
    }

    fn upper_needs(&self) -> &'static [Quantity] {
        &NUMERATOR
    }

    fn lower_bound(&self, losses: &LossComponents) -> Outcome {
        let parts = measured(losses, [Quantity::CurlJoint, Quantity::Log1pCollisions, Quantity::Gap]);
        outcome(parts.map(|[joint, collisions, gap]| joint + collisions + gap))
    }

    fn ratio(&self, losses: &LossComponents) -> Option<Result<Ratio, Outcome>> {
        Some(
            measured_upwards(losses, NUMERATOR)
                .and_then(|parts| ratio(numerator(parts), remembered(ln_covered_without_collision, losses))),
        )
    }

    fn is_paired(&self) -> bool {
        true
    }
}

fn ln_covered_without_collision(losses: &LossComponents) -> Result<f64, Outcome> {
    let prior = prior_of(losses)?;
    check_can_cover(losses)?;
    Negatives::new(losses, prior).ln_covered_without_collision()
}

/// L_Info − c_sub − E ln(1+Col) − d(f).
pub(super) fn numerator([info_nce, joint, joint_sup, collisions, gap]: [f64; 5]) -> f64 {
    info_nce - (joint - joint_sup) - collisions - gap
}
