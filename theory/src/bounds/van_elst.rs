//! The bound of van Elst & Ghoshdastidar: L_sup ≤ L_Info + σ/t + ln((C/K) cosh²(1/t)), σ = E‖f(x) − μ_y‖.
//!
//! σ is the mean distance of a feature from the mean of its class (`within_class_deviation`); it is at most √V
//! (`within_class_variance`).
//!
//! Proof. [`reverse_jensen`](super::reverse_jensen) is L_sup ≤ L_Info − d(f) − ln(K/C) + 2 ln cosh(1/t), and
//! −d(f) = (1/t) E max(0, z·(f̄(x) − μ_c)) ≤ (1/t) E‖f̄(x) − μ_c‖ ≤ (1/t) E‖f(x) − μ_c‖ = σ/t: unit features, then
//! Jensen, since f̄(x) is the mean of f given the image and the norm is convex. For positives that are two images of one
//! class d(f) = 0. For unequal classes and distinct images ln(K/C) becomes ln(K π_min) and ln(K M_min/(M−1)), as there.
//!
//! It is never below `reverse_jensen`, and that never below [`specht`](super::specht), since ln S(e^{2/t}) ≤ 2 ln
//! cosh(1/t) (Kantorovich's constant is the larger).
//!
//! Source: van Elst & Ghoshdastidar (2024), in the form of their code; unequal classes, distinct images and this proof
//! are derived here.

use super::reverse_jensen::{ReverseJensen, ln_cosh};
use super::specht::Candidates;
use super::{Bound, Outcome, Step, measured_upwards, outcome};
use crate::losses::{LossComponents, Quantity};

pub(super) struct VanElst;

const NEEDS: [Quantity; 2] = [Quantity::InfoNce, Quantity::WithinClassDeviation];

impl Bound for VanElst {
    fn key(&self) -> &'static str {
        "van_elst"
    }

    fn name(&self) -> &'static str {
        "deviation within classes (van Elst & Ghoshdastidar)"
    }

    fn formula(&self) -> &'static str {
        "L_sup ≤ L_Info + σ/t − ln(K π_min) + 2 ln cosh(1/t)"
    }

    fn source(&self) -> &'static str {
        "van Elst & Ghoshdastidar (2024); unequal classes and the proof derived here"
    }

    fn conditions(&self) -> &'static str {
        "any K ≥ 1, any classes (rarest class), unit features; independent draws or distinct images"
    }

    fn upper_needs(&self) -> &'static [Quantity] {
        &NEEDS
    }

    fn upper_bound(&self, losses: &LossComponents) -> Outcome {
        outcome(measured_upwards(losses, NEEDS).and_then(|[info_nce, deviation]| {
            let t = losses.temperature;
            Ok(info_nce + deviation / t + 2.0 * ln_cosh(1.0 / t) - Candidates::new(losses)?.ln_rarest)
        }))
    }

    fn steps(&self, losses: &LossComponents) -> Vec<(Step, Option<f64>)> {
        let mut steps = ReverseJensen.steps(losses);
        if let Some((_, right_side)) = steps.last_mut() {
            *right_side = ReverseJensen.lower_bound(losses).value();
        }
        steps.push((Step::Spread, None));
        steps
    }
}
