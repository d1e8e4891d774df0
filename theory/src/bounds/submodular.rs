//! A bound for every K ≥ 1, few negatives included: L_sup ≤ (L_Info − d(f)) / q.
//!
//! Let S be the set of other classes that the negatives show and F(S) = ln(1 + Σ_{j∈S} e^{z·(μ_j − μ_c)/t}), so that
//! F(∅) = 0, F(all) = l_sup, and ln(1+Col+A) ≥ F(S) (dropping collisions and repeated classes). F is monotone and
//! submodular. If S is exchangeable over the other classes, then given |S| = s it is a uniform s-subset, for which
//! submodularity gives E F(S) ≥ s/(C−1) F(all); so E F(S) ≥ q F(all) with q = E|S|/(C−1) = P(a given other class is
//! shown): 1 − (1−1/C)^K for independent draws. Hence L_Info ≥ q L_sup + d(f), and L_sub → 0 forces L_sup → 0 at any K.
//!
//! Unequal classes: the indicators of "class j is shown" are negatively associated (Joag-Dev & Proschan 1983), hence
//! smaller in the supermodular order than independent indicators of the same means (Christofides & Vaggelatou 2004), so
//! that for submodular F the expectation is at least that under independence; lowering all means to the smallest, q =
//! P(the rarest class is shown), and using exchangeability again gives E F(S) ≥ q F(all). 1 − Σ π_c (1−π_c)^K in place
//! of q would be wrong by several nats.
//!
//! It carries the small-K message of Nozawa & Sato (solving all sub-class problems solves the supervised one) with a
//! constant: L_sup ≤ E l_sub / q.
//!
//! Source: derived here.

use super::anchor::{Negatives, ratio};
use super::slack::sum;
use super::{Bound, Outcome, Ratio, Step, measured, measured_upwards, outcome, prior_of};
use crate::losses::{LossComponents, Quantity};

pub(super) struct Submodular;

impl Bound for Submodular {
    fn key(&self) -> &'static str {
        "submodular"
    }

    fn name(&self) -> &'static str {
        "submodular"
    }

    fn formula(&self) -> &'static str {
        "L_sup ≤ (L_Info − d(f)) / (1 − (1 − π_min)^K)"
    }

    fn source(&self) -> &'static str {
        "derived here"
    }

    fn conditions(&self) -> &'static str {
        "any K ≥ 1, any classes (rarest class); independent draws or distinct images"
    }

    fn lower_needs(&self) -> &'static [Quantity] {
        &[Quantity::FullSupLoss, Quantity::Gap]
    }

    fn upper_needs(&self) -> &'static [Quantity] {
        &[Quantity::InfoNce, Quantity::Gap]
    }

    fn lower_bound(&self, losses: &LossComponents) -> Outcome {
        outcome(
            measured(losses, [Quantity::FullSupLoss, Quantity::Gap])
                .and_then(|[supervised, gap]| Ok(ln_shown(losses)?.exp() * supervised + gap)),
        )
    }

    fn ratio(&self, losses: &LossComponents) -> Option<Result<Ratio, Outcome>> {
        let parts = measured_upwards(losses, [Quantity::InfoNce, Quantity::Gap]);
        Some(parts.and_then(|[info_nce, gap]| ratio(info_nce - gap, ln_shown(losses))))
    }

    fn steps(&self, losses: &LossComponents) -> Vec<(Step, Option<f64>)> {
        let shown = [(1.0, Quantity::JointSupLoss), (1.0, Quantity::JointSubLoss), (1.0, Quantity::Gap)];
        vec![(Step::CollisionsDropped, sum(losses, &shown)), (Step::Unshown, None)]
    }
}

fn ln_shown(losses: &LossComponents) -> Result<f64, Outcome> {
    Negatives::new(losses, prior_of(losses)?).ln_shown()
}
