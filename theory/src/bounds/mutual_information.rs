//! What L_Info says about mutual information: I(view 1; view 2) ≥ ln(K+1) − L_Info, which never exceeds ln(K+1).
//!
//! Proof. Put the positive at a random place J among the K+1 candidates y. The loss is the cross-entropy of guessing J from the
//! anchor x and y, so L_Info ≥ H(J | x, y) = ln(K+1) − I(J; x | y), because y alone says nothing about J: the candidates are
//! exchangeable, be they independent or distinct images. And I(J; x | y) ≤ I((J, y); x) = I(y_J; x), since the anchor depends
//! on J and y through the positive y_J alone.
//!
//! A low K therefore caps what can be certified, whatever the encoder: the ceiling.
//!
//! Source: van den Oord, Li & Vinyals (2018); the proof for distinct images is ours.

use super::{Bound, Statement, measured, outcome};
use crate::losses::{LossComponents, Measure};

pub(super) struct MutualInformation;

impl Bound for MutualInformation {
    fn key(&self) -> &'static str {
        "mutual_information"
    }

    fn name(&self) -> &'static str {
        "mutual-information ceiling"
    }

    fn source(&self) -> &'static str {
        "van den Oord et al. (2018)"
    }

    fn conditions(&self) -> &'static str {
        "negatives from the marginal law of the positive: independent draws, or distinct images of a uniform population"
    }

    fn other(&self, losses: &LossComponents) -> Option<Statement> {
        let ceiling = (losses.num_draws.get() as f64).ln();
        let value = measured(losses, [Measure::InfoNce]).map(|[info_nce]| ceiling - info_nce);
        Some(Statement { what: "mutual information of the views ≥", outcome: outcome(value) })
    }
}
