//! The augmentation-overlap sandwich of Wang et al.: L_Info − √V − ½ V ≲ L_sup + ln(K/C) ≲ L_Info + √V.
//!
//! V = E‖f(x) − μ_y‖² is the variance within classes (`within_class_variance`). The published inequality has a further
//! O(K^{−1/2}) and a variance term in the lower side whose constants could not be verified; it is shown at t = 1 form
//! with these left out, for comparison, and never as valid. `specht` has the same ln(K/C) offset with explicit
//! constants.
//!
//! Source: Wang, Zhang, Wang, Yang & Lin (ICLR 2022), from memory.

use super::{Bound, Outcome, Standing, measured, outcome, prior_of};
use crate::losses::{LossComponents, Quantity};

pub(super) struct Wang;

const NEEDS: [Quantity; 2] = [Quantity::InfoNce, Quantity::WithinClassVariance];

fn form(losses: &LossComponents, shift: impl Fn(f64) -> f64) -> Outcome {
    outcome(measured(losses, NEEDS).and_then(|[info_nce, variance]| {
        prior_of(losses)?;
        let offset = (losses.num_draws.negatives().get() as f64 / losses.num_classes as f64).ln();
        Ok(info_nce - offset + shift(variance))
    }))
}

impl Bound for Wang {
    fn key(&self) -> &'static str {
        "wang"
    }

    fn name(&self) -> &'static str {
        "augmentation overlap (Wang et al.)"
    }

    fn source(&self) -> &'static str {
        "Wang et al. (ICLR 2022)"
    }

    fn standing(&self) -> Standing {
        Standing::FormOnly("the O(1/√K) term and the constants of the variance terms could not be verified")
    }

    fn conditions(&self) -> &'static str {
        "published for t = 1 and positives of the same class"
    }

    fn supervised_lower_needs(&self) -> &'static [Quantity] {
        &NEEDS
    }

    fn upper_needs(&self) -> &'static [Quantity] {
        &NEEDS
    }

    fn upper_bound(&self, losses: &LossComponents) -> Outcome {
        form(losses, f64::sqrt)
    }

    fn supervised_lower_bound(&self, losses: &LossComponents) -> Outcome {
        form(losses, |variance| -variance.sqrt() - 0.5 * variance)
    }
}
