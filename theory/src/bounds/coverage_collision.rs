//! Coverage against collision without the sub-class loss: L_sup ≤ (L_Info − E ln(1+Col) − d(f)) / min_c P(Col = 0) q.
//!
//! From the master inequality, E ln(1+Col+A) ≥ E ln(1+Col) + E\[1{Col=0} F(S)\], with F and S as in `submodular`. Given
//! Col = 0 the negatives fall on the other classes alone, and the argument there gives E\[F(S) | Col = 0\] ≥ q F(all),
//! q the probability that the rarest other class is shown given Col = 0. For equally frequent classes and independent
//! draws the denominator is (1−1/C)^K (1 − (1−1/(C−1))^K): the first factor is the price of collisions and falls with
//! K, the second the gain of coverage. The quotient's best K is 6 for C = 10 and 69 for C = 100 (factors 3.71 and
//! 3.97). With unequal classes the smallest product over the anchor's class is used.
//!
//! Source: derived here; the trade-off is that of Ash et al. (AISTATS 2022), whose coefficient is larger.

use super::anchor::Negatives;
use super::slack::sum;
use super::{Bound, Outcome, Ratio, Step, coefficient, prior_of};
use crate::losses::{LossComponents, Quantity};

pub(super) struct CoverageCollision;

impl Bound for CoverageCollision {
    fn key(&self) -> &'static str {
        "coverage_collision"
    }

    fn name(&self) -> &'static str {
        "coverage–collision"
    }

    fn formula(&self) -> &'static str {
        "L_sup ≤ (L_Info − E ln(1 + Col) − d(f)) / min_{c≠j} ((1 − π_c)^K − (1 − π_c − π_j)^K)"
    }

    fn source(&self) -> &'static str {
        "derived here, after Ash et al. (AISTATS 2022)"
    }

    fn conditions(&self) -> &'static str {
        "any K ≥ 1, any classes (worst anchor class); independent draws or distinct images"
    }

    fn lower_needs(&self) -> &'static [Quantity] {
        &coefficient::LOWER
    }

    fn upper_needs(&self) -> &'static [Quantity] {
        &coefficient::UPPER
    }

    fn lower_bound(&self, losses: &LossComponents) -> Outcome {
        coefficient::lower_bound(losses, ln_coefficient)
    }

    fn ratio(&self, losses: &LossComponents) -> Option<Result<Ratio, Outcome>> {
        Some(coefficient::ratio(losses, ln_coefficient))
    }

    fn steps(&self, losses: &LossComponents) -> Vec<(Step, Option<f64>)> {
        let collided = [(1.0, Quantity::CurlJoint), (1.0, Quantity::Log1pCollisions), (1.0, Quantity::Gap)];
        vec![(Step::Collided, sum(losses, &collided)), (Step::Unshown, None)]
    }
}

fn ln_coefficient(losses: &LossComponents) -> Result<f64, Outcome> {
    Negatives::new(losses, prior_of(losses)?).ln_shown_without_collision()
}
