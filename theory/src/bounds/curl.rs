//! The bound of Arora et al. in the form with augmentation (Eq. 8 of Nozawa & Sato 2021), and what it says about L_sup.
//!
//! L_Info ≥ E\[1{Col = 0} l(z, c; Y)\] + E ln(1+Col) + d(f), Y the classes of the batch.
//!
//! From the master inequality: ln(1+Col+A) is ln(1+A) ≥ l(z, c; Y) where Col = 0 (dropping repeated classes lowers A),
//! and at least ln(1+Col) elsewhere; ln(1+0) = 0, so the collision part needs no condition.
//!
//! Upper bound of L_sup. Move the part of batches that do not cover, c_sub = E\[1{Col=0} 1{not cover} l\], to the other
//! side. What stays is E\[1{Col=0} 1{cover} l_sup\]. With equally frequent classes, how the other K labels fall
//! depends on the anchor's class only by symmetry, so this is P(Col = 0 and cover) L_sup:
//!
//! L_sup ≤ (L_Info − c_sub − E ln(1+Col) − d(f)) / ((1−τ_K) υ_{C−1}(K)),
//!
//! υ_{C−1}(K) = P(K draws from the other C−1 classes show them all), for the sampling that was used. It needs K ≥ C−1.
//! The publication divides by 1−τ_K alone, see `curl_as_published`.
//!
//! Source: Arora et al. (ICML 2019); Nozawa & Sato (NeurIPS 2021); the rearrangement is derived here.

use super::{Bound, Outcome, measured, outcome, quotient, uniform_prior};
use crate::losses::{LossComponents, Measure};
use crate::prior::ClassPrior;
use crate::{Probability, collision, coverage};

pub(super) struct Curl;

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

    fn lower_bound(&self, losses: &LossComponents) -> Outcome {
        let parts = measured(losses, [Measure::CurlJoint, Measure::Log1pCollisions, Measure::Gap]);
        outcome(parts.map(|[joint, collisions, gap]| joint + collisions + gap))
    }

    fn upper_bound(&self, losses: &LossComponents) -> Outcome {
        outcome(
            numerator(losses)
                .and_then(|numerator| Ok(quotient(numerator, covered_without_collision(losses)?))),
        )
    }
}

/// L_Info − c_sub − E ln(1+Col) − d(f).
pub(super) fn numerator(losses: &LossComponents) -> Result<f64, Outcome> {
    let [info_nce, joint, joint_sup, collisions, gap] = measured(
        losses,
        [Measure::InfoNce, Measure::CurlJoint, Measure::CurlJointSup, Measure::Log1pCollisions, Measure::Gap],
    )?;
    Ok(info_nce - (joint - joint_sup) - collisions - gap)
}

/// ln P(Col = 0 and every class is shown) = ln(1−τ_K) + ln υ_{C−1}(K).
fn covered_without_collision(losses: &LossComponents) -> Result<f64, Outcome> {
    let prior = uniform_prior(losses)?;
    let negatives = losses.num_draws.negatives();
    if negatives.get() < losses.num_classes - 1 || losses.num_classes < 2 {
        return Err(Outcome::NotApplicable(format!(
            "needs K ≥ C−1 ≥ 1 negatives, got K = {negatives} and C = {}",
            losses.num_classes
        )));
    }
    let ln_no_collision = collision::probability(&prior, losses.sampling, negatives)?.ln_complement();
    if ln_no_collision == f64::NEG_INFINITY {
        return Err(Outcome::Undefined("every batch has a collision: 1−τ = 0".into()));
    }
    let own = prior.counts().map_or(1, |counts| counts[0]);
    let others = ClassPrior::from_counts(vec![own; losses.num_classes as usize - 1])?;
    let draws = crate::NumDraws::new(negatives.get())?;
    let cover: Probability = coverage::probability(&others, losses.sampling, draws)?;
    Ok(ln_no_collision + cover.ln())
}
