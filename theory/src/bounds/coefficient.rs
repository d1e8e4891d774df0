//! Bounds of the form L_Info ≥ κ L_sup + E ln(1+Col) + d(f), and so L_sup ≤ (L_Info − E ln(1+Col) − d(f)) / κ.
//!
//! `curl_coverage`, `coverage_collision` and `ash` differ in the probability κ alone.

use super::{Outcome, Ratio, measured, measured_upwards, outcome};
use crate::losses::{LossComponents, Quantity};
use crate::sampling::{NumDraws, Sampling};
use std::cell::RefCell;
use std::collections::HashMap;

/// What the lower bound of L_Info needs.
pub(super) const LOWER: [Quantity; 3] = [Quantity::FullSupLoss, Quantity::Log1pCollisions, Quantity::Gap];
/// What the upper bound of L_sup needs.
pub(super) const UPPER: [Quantity; 3] = [Quantity::InfoNce, Quantity::Log1pCollisions, Quantity::Gap];

/// ln κ for a measurement: a function of C, the class counts, n and the sampling alone.
pub(super) type LnCoefficient = fn(&LossComponents) -> Result<f64, Outcome>;

/// The lower bound of L_Info.
pub(super) fn lower_bound(losses: &LossComponents, ln_coefficient: LnCoefficient) -> Outcome {
    outcome(measured(losses, LOWER).and_then(|[supervised, collisions, gap]| {
        Ok(remembered(ln_coefficient, losses)?.exp() * supervised + collisions + gap)
    }))
}

/// The upper bound of L_sup.
pub(super) fn ratio(losses: &LossComponents, ln_coefficient: LnCoefficient) -> Result<Ratio, Outcome> {
    let [info_nce, collisions, gap] = measured_upwards(losses, UPPER)?;
    Ok(Ratio { numerator: info_nce - collisions - gap, ln_denominator: remembered(ln_coefficient, losses)? })
}

/// The law that the labels of a batch are drawn from.
pub(super) struct Law {
    num_classes: u64,
    class_counts: Option<Vec<u64>>,
    num_draws: NumDraws,
    sampling: Sampling,
}

impl Law {
    pub(super) fn of(losses: &LossComponents) -> Self {
        Self {
            num_classes: losses.num_classes,
            class_counts: losses.class_counts.clone(),
            num_draws: losses.num_draws,
            sampling: losses.sampling,
        }
    }

    /// Whether a row's batches are drawn from it.
    pub(super) fn is_of(&self, losses: &LossComponents) -> bool {
        (self.num_classes, self.num_draws, self.sampling)
            == (losses.num_classes, losses.num_draws, losses.sampling)
            && self.class_counts == losses.class_counts
    }
}

/// Values by the address of the function.
type Values = HashMap<usize, Result<f64, Outcome>>;

/// The value of a function of a row's law alone, found once while rows of one law follow each other.
pub(super) fn remembered(of: LnCoefficient, losses: &LossComponents) -> Result<f64, Outcome> {
    thread_local! {
        static LAST: RefCell<Option<(Law, Values)>> = const { RefCell::new(None) };
    }
    // Two functions of one address compute the same.
    let address = of as usize;
    let known = |last: &Option<(Law, Values)>| {
        last.as_ref()
            .filter(|(law, _)| law.is_of(losses))
            .and_then(|(_, values)| values.get(&address).cloned())
    };
    if let Some(value) = LAST.with_borrow(known) {
        return value;
    }
    let value = of(losses);
    LAST.with_borrow_mut(|last| {
        if !last.as_ref().is_some_and(|(law, _)| law.is_of(losses)) {
            *last = Some((Law::of(losses), HashMap::new()));
        }
        if let Some((_, values)) = last {
            values.insert(address, value.clone());
        }
    });
    value
}
