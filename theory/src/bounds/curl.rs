//! Nozawa & Sato's adaptation of CURL (their Eq. 8), and what it says about L_sup.
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
//! Whose is what. The method, splitting by whether a negative collides, is Arora et al.'s. Their statement for K
//! negatives is another: positives are two images of one class, there is no d(f), and classes are re-weighted by tasks
//! T, the sets of distinct classes that anchor and negatives show:
//!
//! (1−τ_K) E_T\[p⁺_min(T)/p_max(T) · L_sup(T, f)\] ≤ L_un − τ_K E\[ℓ(0_I) | I ≠ ∅\], losses with log₂,
//!
//! where I are the negatives of the anchor's class, ℓ(0_I) = log₂(1 + |I|) is the loss where they all equal the positive,
//! L_sup(T, f) is the mean classifier's loss on the classes of T, p_max(T) the largest probability of a class of T and
//! p⁺_min(T) the smallest probability that the anchor's class is a given class of T. It bounds the loss over the tasks
//! that K negatives happen to pose and says nothing about all C classes, hence is no entry here; for K = 1 and equally
//! frequent classes it is [`arora_pairs`](super::arora_pairs). Eq. 8 takes two views of one image as the positive
//! pair, which brings d(f), and has the loss on the classes of the batch as it is; the division by min_c P(Col = 0 and
//! cover | c) is derived here.
//!
//! Source: Nozawa & Sato (NeurIPS 2021), Eq. 8; Arora et al. (ICML 2019), their statement as Nozawa, Germain & Guedj (UAI
//! 2020) restate it, Eq. 26.

use super::anchor::{Negatives, ratio};
use super::coefficient::remembered;
use super::slack::{smallest_probability, sum};
use super::{Bound, Outcome, Ratio, Step, check_can_cover, measured, measured_upwards, outcome, prior_of};
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
        "CURL, adapted (Nozawa & Sato, Eq. 8)"
    }

    fn formula(&self) -> &'static str {
        "L_sup ≤ (L_Info − E[1{Col = 0, not cover} l_sub] − E ln(1 + Col) − d(f)) / min_c P(Col = 0, cover | c)"
    }

    fn source(&self) -> &'static str {
        "Nozawa & Sato (NeurIPS 2021), Eq. 8, after Arora et al. (ICML 2019); rearrangement derived here"
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

    fn steps(&self, losses: &LossComponents) -> Vec<(Step, Option<f64>)> {
        let collided = [(1.0, Quantity::CurlJoint), (1.0, Quantity::Log1pCollisions), (1.0, Quantity::Gap)];
        vec![(Step::Collided, sum(losses, &collided)), (smallest_probability(losses), None)]
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
