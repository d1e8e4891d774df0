//! The upper bound of Bao et al. with temperature and augmentation: L_sup ≤ L_Info − d(f) − ln(K π_min) + 2 ln
//! cosh(1/t).
//!
//! As `specht`, with Kantorovich's constant ((1+h)²/(4h) = cosh²(1/t) at h = e^{2/t}) in place of Specht's ratio, which
//! is smaller. Equal classes: −ln(K π_min) = ln(C/K). It holds for any dependence among the negatives.
//!
//! Source: Bao, Nagano & Nozawa (ICML 2022), whose positives have no augmentation gap and whose features no
//! temperature; the form with both, and for unequal classes, is derived here.

use super::specht::{Candidates, LOWER_NEEDS, Specht};
use super::{Bound, Outcome, Step, measured, measured_upwards, outcome};
use crate::losses::{LossComponents, Quantity};

pub(super) struct ReverseJensen;

const NEEDS: [Quantity; 2] = [Quantity::InfoNce, Quantity::Gap];

impl Bound for ReverseJensen {
    fn key(&self) -> &'static str {
        "reverse_jensen"
    }

    fn name(&self) -> &'static str {
        "reverse Jensen (Kantorovich)"
    }

    fn formula(&self) -> &'static str {
        "L_sup ≤ L_Info − d(f) − ln(K π_min) + 2 ln cosh(1/t)"
    }

    fn source(&self) -> &'static str {
        "Bao et al. (ICML 2022), with temperature and d(f) derived here"
    }

    fn conditions(&self) -> &'static str {
        "any K ≥ 1, any classes (rarest class), unit features; independent draws or distinct images"
    }

    fn lower_needs(&self) -> &'static [Quantity] {
        &LOWER_NEEDS
    }

    fn lower_bound(&self, losses: &LossComponents) -> Outcome {
        outcome(measured(losses, LOWER_NEEDS).and_then(|[supervised, gap]| {
            Ok(supervised + Candidates::new(losses)?.ln_rarest - 2.0 * ln_cosh(1.0 / losses.temperature)
                + gap)
        }))
    }

    fn upper_needs(&self) -> &'static [Quantity] {
        &NEEDS
    }

    fn upper_bound(&self, losses: &LossComponents) -> Outcome {
        outcome(measured_upwards(losses, NEEDS).and_then(|[info_nce, gap]| {
            Ok(info_nce - gap - Candidates::new(losses)?.ln_rarest + 2.0 * ln_cosh(1.0 / losses.temperature))
        }))
    }

    fn steps(&self, losses: &LossComponents) -> Vec<(Step, Option<f64>)> {
        let specht = Specht { keep_positive: false };
        let mut steps = specht.steps(losses);
        if let Some((_, right_side)) = steps.last_mut() {
            *right_side = specht.lower_bound(losses).value();
        }
        steps.push((Step::Kantorovich, None));
        steps
    }
}

/// ln cosh x for x ≥ 0, also where cosh overflows.
pub(super) fn ln_cosh(x: f64) -> f64 {
    if x < 1.0 {
        // cosh x = 1 + 2 sinh²(x/2)
        return (2.0 * (0.5 * x).sinh().powi(2)).ln_1p();
    }
    x + (-2.0 * x).exp().ln_1p() - std::f64::consts::LN_2
}
