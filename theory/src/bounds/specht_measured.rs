//! Reverse Jensen with the measured spread of the logits: L_sup ≤ L_Info − d(f) + ln(C/K) + min{ c(e^{−2/t}) v / K,
//! gap_K(t) }.
//!
//! v is the mean over anchors of Var_j(e^{z·μ_j/t}) / (mean_j e^{z·μ_j/t})², j uniform over the classes
//! (`logit_variance`), and c(r) = (r−1−ln r)/(r−1)². As in `specht`, −E ln Y ≤ c(min Y) Var Y for Y = X/E X; here Var Y
//! ≤ v/K is what was measured instead of its largest possible value, and min Y ≥ e^{−2/t}. Trained encoders have a v
//! far below the extremal one.
//!
//! Distinct images, M in all: keep the positive's 1, so that the K+1 terms have mean at least K M/(M−1) mean_j e^{s_j}
//! (the anchor's class lacks one image among the negatives, and the 1 is that image). Deviations from mean_j e^{s_j}
//! have, under the law of one negative, at most M/(M−1) times the variance over uniform j, and different negatives are
//! negatively correlated. Together Var Y ≤ v (M−1)/(M K) ≤ v/K.
//!
//! Source: derived here.

use super::excess::exp_excess;
use super::specht::{Candidates, smallest_gap};
use super::{Bound, Outcome, Step, measured, measured_upwards, outcome, uniform_prior};
use crate::losses::{LossComponents, Quantity};

pub(super) struct SpechtMeasured;

const NEEDS: [Quantity; 3] = [Quantity::InfoNce, Quantity::Gap, Quantity::LogitVariance];
const LOWER_NEEDS: [Quantity; 3] = [Quantity::FullSupLoss, Quantity::Gap, Quantity::LogitVariance];

/// ln(K/C), less what reverse Jensen costs.
fn offset(losses: &LossComponents, variance: f64) -> Result<f64, Outcome> {
    uniform_prior(losses)?;
    let negatives = losses.num_draws.negatives().get() as f64;
    let measured_gap = curvature(2.0 / losses.temperature) * variance / negatives;
    Ok(Candidates::new(losses)?.ln_rarest - measured_gap.min(smallest_gap(losses)))
}

impl Bound for SpechtMeasured {
    fn key(&self) -> &'static str {
        "specht_measured"
    }

    fn name(&self) -> &'static str {
        "reverse Jensen, measured variance"
    }

    fn formula(&self) -> &'static str {
        "L_sup ≤ L_Info − d(f) − ln(K/C) + min{(2/t − 1 + e^{−2/t}) v / (K (1 − e^{−2/t})^2), ln S(e^{2/t}), G(t)/K}"
    }

    fn source(&self) -> &'static str {
        "derived here"
    }

    fn conditions(&self) -> &'static str {
        "equally frequent classes, any K ≥ 1, unit features; independent draws or distinct images"
    }

    fn lower_needs(&self) -> &'static [Quantity] {
        &LOWER_NEEDS
    }

    fn lower_bound(&self, losses: &LossComponents) -> Outcome {
        outcome(
            measured(losses, LOWER_NEEDS)
                .and_then(|[supervised, gap, variance]| Ok(supervised + offset(losses, variance)? + gap)),
        )
    }

    fn upper_needs(&self) -> &'static [Quantity] {
        &NEEDS
    }

    fn upper_bound(&self, losses: &LossComponents) -> Outcome {
        outcome(
            measured_upwards(losses, NEEDS)
                .and_then(|[info_nce, gap, variance]| Ok(info_nce - gap - offset(losses, variance)?)),
        )
    }

    fn steps(&self, losses: &LossComponents) -> Vec<(Step, Option<f64>)> {
        let _ = losses;
        vec![(Step::ReverseJensenMeasured, None)]
    }
}

/// c(r) = (r − 1 − ln r)/(r − 1)² at r = e^{−x}, x ≥ 0; ½ at x = 0.
fn curvature(x: f64) -> f64 {
    if x < 1e-100 { 0.5 } else { exp_excess(-x) / (-x).exp_m1().powi(2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curvature_by_its_definition_and_its_series() {
        // r − 1 − ln r = x + expm1(−x); c(e^{−x}) = ½ + x/3 + O(x²).
        assert!((curvature(2f64.ln()) - 4.0 * (2f64.ln() - 0.5)).abs() < 1e-15);
        assert!((curvature(1e-4) - (0.5 + 1e-4 / 3.0)).abs() < 1e-8 && curvature(0.0) == 0.5);
        assert!((curvature(200.0) - 199.0).abs() < 1e-12);
    }
}
