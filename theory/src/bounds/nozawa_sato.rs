//! The bound of Nozawa & Sato (Eq. 10): coverage and collision side by side.
//!
//! L_Info ≥ ½ { υ L_sup + (1−υ) L_sub + E ln(1+Col) } + d(f), in the measured joint form
//! ½ { E\[1{cover} l_sup\] + E\[1{not cover} l_sub\] + E ln(1+Col) } + d(f).
//!
//! From the master inequality: ln(1+Col+A) is at least ln(1+A) and at least ln(1+Col), hence at least their mean; and
//! ln(1+A) ≥ l over the distinct classes of the batch.
//!
//! Upper bound of L_sup, for equally frequent classes, where E\[1{cover} l_sup\] = υ L_sup by symmetry:
//!
//! L_sup ≤ ( 2 (L_Info − d(f)) − E\[1{not cover} l_sub\] − E ln(1+Col) ) / υ,
//!
//! υ exact, for the sampling that was used; undefined where υ = 0. (The official notebook subtracts only half of the
//! L_sub part, and divides by a counted υ̂.)
//!
//! Source: Nozawa & Sato (NeurIPS 2021), Eq. 10.

use super::{Bound, Outcome, measured, outcome, quotient, uniform_prior};
use crate::coverage;
use crate::losses::{LossComponents, Measure};

pub(super) struct NozawaSato;

impl Bound for NozawaSato {
    fn key(&self) -> &'static str {
        "nozawa_sato"
    }

    fn name(&self) -> &'static str {
        "Nozawa & Sato"
    }

    fn source(&self) -> &'static str {
        "Nozawa & Sato (NeurIPS 2021), Eq. 10"
    }

    fn lower_bound(&self, losses: &LossComponents) -> Outcome {
        let parts = measured(
            losses,
            [Measure::JointSupLoss, Measure::JointSubLoss, Measure::Log1pCollisions, Measure::Gap],
        );
        outcome(parts.map(|[sup, sub, collisions, gap]| 0.5 * (sup + sub + collisions) + gap))
    }

    fn upper_bound(&self, losses: &LossComponents) -> Outcome {
        outcome(upper_bound(losses))
    }
}

fn upper_bound(losses: &LossComponents) -> Result<f64, Outcome> {
    let [info_nce, sub, collisions, gap] =
        measured(losses, [Measure::InfoNce, Measure::JointSubLoss, Measure::Log1pCollisions, Measure::Gap])?;
    let prior = uniform_prior(losses)?;
    let upsilon = coverage::probability(&prior, losses.sampling, losses.num_draws)?;
    if upsilon.ln() == f64::NEG_INFINITY {
        let (n, c) = (losses.num_draws, losses.num_classes);
        return Err(Outcome::Undefined(format!("υ = 0: {n} draws cannot show {c} classes")));
    }
    Ok(quotient(2.0 * (info_nce - gap) - sub - collisions, upsilon.ln()))
}
