//! Bounds of the form L_Info ≥ κ L_sup + E ln(1+Col) + d(f), and so L_sup ≤ (L_Info − E ln(1+Col) − d(f)) / κ.
//!
//! `curl_coverage`, `coverage_collision` and `ash` differ in the probability κ alone.

use super::{Outcome, Ratio, measured, outcome};
use crate::losses::{LossComponents, Quantity};

/// What the lower bound of L_Info needs.
pub(super) const LOWER: [Quantity; 3] = [Quantity::FullSupLoss, Quantity::Log1pCollisions, Quantity::Gap];
/// What the upper bound of L_sup needs.
pub(super) const UPPER: [Quantity; 3] = [Quantity::InfoNce, Quantity::Log1pCollisions, Quantity::Gap];

/// ln κ for a measurement.
type LnCoefficient = fn(&LossComponents) -> Result<f64, Outcome>;

/// The lower bound of L_Info.
pub(super) fn lower_bound(losses: &LossComponents, ln_coefficient: LnCoefficient) -> Outcome {
    outcome(measured(losses, LOWER).and_then(|[supervised, collisions, gap]| {
        Ok(ln_coefficient(losses)?.exp() * supervised + collisions + gap)
    }))
}

/// The upper bound of L_sup.
pub(super) fn ratio(losses: &LossComponents, ln_coefficient: LnCoefficient) -> Result<Ratio, Outcome> {
    let [info_nce, collisions, gap] = measured(losses, UPPER)?;
    Ok(Ratio { numerator: info_nce - collisions - gap, ln_denominator: ln_coefficient(losses)? })
}
