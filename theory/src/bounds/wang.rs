//! The augmentation-overlap sandwich of Wang et al.: L_Info − ln(K/C) bounds L_sup up to the spread within classes.
//!
//! V = E‖f(x) − μ_y‖² is the variance within classes (`within_class_variance`). Published, for t = 1 and equally
//! frequent classes: L_Info − √V − ½ V − O(1/√K) ≤ L_sup + ln(K/C) ≤ L_Info + √V + O(1/√K).
//!
//! The upper side is a theorem at every K and t, with the explicit constant of [`specht`](super::specht) in place of
//! O(1/√K):
//!
//! L_sup ≤ L_Info − ln(K/C) + √V/t + gap_K(t), gap_K(t) = min{ ln S(e^{2/t}), G(t)/K }.
//!
//! Proof. `specht` is L_sup ≤ L_Info − d(f) − ln(K/C) + gap_K(t), so it is enough that −d(f) ≤ √V/t. With ‖z‖ ≤ 1,
//!
//! −d(f) = (1/t) E max(0, z·(f̄(x) − μ_c)) ≤ (1/t) E‖f̄(x) − μ_c‖ ≤ (1/t) (E‖f̄(x) − μ_c‖²)^{1/2} ≤ √V/t,
//!
//! since f̄(x) is the mean of f given the image: V = E‖f̄(x) − μ_c‖² + E‖f(x) − f̄(x)‖², whatever vector stands for
//! μ_c. The variance over single views is therefore enough; the same holds where another single view stands for f̄, for
//! then E‖f̄ − μ_c‖² is V itself. For positives that are two images of one class d(f) = 0. Nothing here is about
//! frequencies: for unequal classes and distinct images −ln(K/C) becomes what it is in `specht`, −ln(K π_min) and
//! −ln(K M_min/(M−1)). The bound is never below `specht`, which measures d(f) itself.
//!
//! The lower side of L_sup is the published form with its O(1/√K) left out and inner products on the scale of 1/t:
//! L_Info − ln(K/C) − √V/t − V/(2t²). Its constants could not be verified and enumerated worlds violate it: for
//! comparison, never valid.
//!
//! Source: Wang, Zhang, Wang, Yang & Lin (ICLR 2022), their statement from memory; constants, any t, unequal classes and
//! the proof are derived here.

use super::specht::{Candidates, Specht, smallest_gap};
use super::{Bound, Outcome, Standing, Step, measured, measured_upwards, outcome, prior_of};
use crate::losses::{LossComponents, Quantity};

pub(super) struct Wang;

const NEEDS: [Quantity; 2] = [Quantity::InfoNce, Quantity::WithinClassVariance];

impl Bound for Wang {
    fn key(&self) -> &'static str {
        "wang"
    }

    fn name(&self) -> &'static str {
        "augmentation overlap (Wang et al.)"
    }

    fn formula(&self) -> &'static str {
        "L_sup ≤ L_Info + √V/t − ln(K π_min) + min{ln S(e^{2/t}), G(t)/K}"
    }

    fn source(&self) -> &'static str {
        "Wang et al. (ICLR 2022); constants of the upper side derived here"
    }

    fn supervised_lower_standing(&self) -> Standing {
        Standing::FormOnly("the O(1/√K) term and the constants of the variance terms could not be verified")
    }

    fn conditions(&self) -> &'static str {
        "upper: any K ≥ 1, any classes (rarest class), unit features; independent draws or distinct images"
    }

    fn supervised_lower_needs(&self) -> &'static [Quantity] {
        &NEEDS
    }

    fn upper_needs(&self) -> &'static [Quantity] {
        &NEEDS
    }

    fn upper_bound(&self, losses: &LossComponents) -> Outcome {
        outcome(measured_upwards(losses, NEEDS).and_then(|[info_nce, variance]| {
            let spread = variance.sqrt() / losses.temperature;
            Ok(info_nce + spread + smallest_gap(losses) - Candidates::new(losses)?.ln_rarest)
        }))
    }

    fn steps(&self, losses: &LossComponents) -> Vec<(Step, Option<f64>)> {
        let specht = Specht { keep_positive: false };
        let mut steps = specht.steps(losses);
        if let Some((_, right_side)) = steps.last_mut() {
            *right_side = specht.lower_bound(losses).value();
        }
        steps.push((Step::Spread, None));
        steps
    }

    fn supervised_lower_bound(&self, losses: &LossComponents) -> Outcome {
        outcome(measured(losses, NEEDS).and_then(|[info_nce, variance]| {
            prior_of(losses)?;
            let offset = (losses.num_draws.negatives().get() as f64 / losses.num_classes as f64).ln();
            let t = losses.temperature;
            Ok(info_nce - offset - variance.sqrt() / t - 0.5 * variance / (t * t))
        }))
    }
}
