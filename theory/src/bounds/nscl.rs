//! The price of same-class negatives in the decoupled loss: L_DCL − L_NSCL, bounded and measured.
//!
//! DCL leaves the positive out of the denominator, NSCL also the negatives of the anchor's class. With R the same-class
//! over the other-class exponential mass in the denominator, L_DCL − L_NSCL = E ln(1+R) exactly (`nscl_gap`). Unit
//! features have e^{−1/t} ≤ e^{s/t} ≤ e^{1/t}, so with the whole set of N samples as the batch and n_max samples in the
//! largest class,
//!
//! 0 ≤ L_DCL − L_NSCL ≤ ln(1 + n_max e^{2/t}/(N − n_max)).
//!
//! Batches of n < N can exceed it: a batch may hold few samples of other classes. The published form has t = 1. Where
//! the denominator leaves out the anchor, n_max − 1 holds in place of n_max.
//!
//! Source: Luthra, Yang & Galanti (2025, arXiv 2506.04411), Theorem 1; any t and the proof are ours.

use super::{Bound, Outcome, Statement, measured, outcome, prior_of};
use crate::losses::{LossComponents, Quantity};

pub(super) struct NsclGap {
    pub measured: bool,
}

impl Bound for NsclGap {
    fn key(&self) -> &'static str {
        if self.measured { "nscl_gap_measured" } else { "nscl_gap" }
    }

    fn name(&self) -> &'static str {
        if self.measured { "NSCL gap, measured" } else { "NSCL gap (Luthra et al.)" }
    }

    fn formula(&self) -> &'static str {
        if self.measured {
            "L_DCL − L_NSCL = E ln(1 + R)"
        } else {
            "L_DCL − L_NSCL ≤ ln(1 + n_max e^{2/t} / (N − n_max))"
        }
    }

    fn source(&self) -> &'static str {
        "Luthra et al. (2025)"
    }

    fn conditions(&self) -> &'static str {
        if self.measured {
            "batches of the measurement"
        } else {
            "unit features; the evaluated set as one batch"
        }
    }

    fn other_needs(&self) -> &'static [Quantity] {
        if self.measured { &[Quantity::NsclGap] } else { &[] }
    }

    fn other(&self, losses: &LossComponents) -> Option<Statement> {
        if self.measured {
            let value = measured(losses, [Quantity::NsclGap]).map(|[value]| value);
            return Some(Statement { what: "L_DCL − L_NSCL, batches of n =", outcome: outcome(value) });
        }
        let bound = prior_of(losses).and_then(|prior| {
            let (Some(total), Some(largest)) = (prior.population(), prior.groups()[0].count) else {
                return Err(Outcome::NotApplicable("needs class_counts".into()));
            };
            let ln_ratio = (largest as f64 / (total - largest) as f64).ln() + 2.0 / losses.temperature;
            // ln(1 + e^x), also where e^x overflows.
            Ok(ln_ratio.max(0.0) + (-ln_ratio.abs()).exp().ln_1p())
        });
        Some(Statement { what: "L_DCL − L_NSCL, whole set as one batch ≤", outcome: outcome(bound) })
    }
}
