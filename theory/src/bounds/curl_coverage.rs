//! The bound of Arora et al. as Bao et al. compare it: L_sup ≤ (L_Info − E ln(1+Col) − d(f)) / ((1−τ_K) υ_{K+1}).
//!
//! From the master inequality, E ln(1+Col+A) ≥ E ln(1+Col) + E\[1{Col=0} 1{cover} l_sup\], and for equally frequent
//! classes the last term is (1−τ_K) P(cover | Col = 0) L_sup. A negative of the anchor's class shows no new class, so
//! P(cover | Col = 0) ≥ P(cover) = υ_{K+1}. It needs no sub-class loss, but is weaker than `coverage_collision`. The
//! publication has d(f) = 0: its positives are two images of one class.
//!
//! Source: Arora et al. (ICML 2019), as drawn by Bao et al. (ICML 2022); d(f) and the proof are ours.

use super::slack::sum;
use super::{Bound, Outcome, Ratio, Step, check_can_cover, coefficient, uniform_prior};
use crate::losses::{LossComponents, Quantity};
use crate::{collision, coverage};

pub(super) struct CurlCoverage;

impl Bound for CurlCoverage {
    fn key(&self) -> &'static str {
        "curl_coverage"
    }

    fn name(&self) -> &'static str {
        "CURL with coverage"
    }

    fn formula(&self) -> &'static str {
        "L_sup ≤ (L_Info − E ln(1 + Col) − d(f)) / ((1 − τ_K) υ_{K+1})"
    }

    fn source(&self) -> &'static str {
        "Arora et al. (ICML 2019), as drawn by Bao et al. (ICML 2022)"
    }

    fn conditions(&self) -> &'static str {
        "equally frequent classes, K ≥ C−1"
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
        let rest = [(1.0, Quantity::Log1pCollisions), (1.0, Quantity::Gap)];
        let with = |loss| sum(losses, &[&[(1.0, loss)], &rest[..]].concat());
        vec![
            (Step::Collided, with(Quantity::CurlJoint)),
            (Step::Uncovered, with(Quantity::CurlJointSup)),
            (Step::CoarseProbability, None),
        ]
    }
}

/// ln((1−τ_K) υ_{K+1})
fn ln_coefficient(losses: &LossComponents) -> Result<f64, Outcome> {
    let prior = uniform_prior(losses)?;
    check_can_cover(losses)?;
    let tau = collision::probability(&prior, losses.sampling, losses.num_draws.negatives())?;
    let upsilon = coverage::probability(&prior, losses.sampling, losses.num_draws)?;
    let ln = tau.ln_complement() + upsilon.ln();
    if ln == f64::NEG_INFINITY {
        return Err(Outcome::Undefined("every batch has a collision: 1−τ = 0".into()));
    }
    Ok(ln)
}
