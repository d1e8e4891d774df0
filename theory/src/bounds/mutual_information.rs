//! What L_Info says about mutual information: I ≥ ln(K+1) − L_Info, which never exceeds ln(K+1).
//!
//! Proof. Put the positive at a random place J among the K+1 candidates y. The loss is the cross-entropy of guessing J
//! from the anchor x and y, so L_Info ≥ H(J | x, y) = ln(K+1) − I(J; x | y), because y alone says nothing about J: the
//! candidates are exchangeable. And I(J; x | y) ≤ I((J, y); x). With independent candidates the anchor depends on (J,
//! y) through the positive y_J alone, and the right side is I(view 1; view 2). With distinct images the other
//! candidates can tell which image y_J is a view of; count images and views in y, then the anchor depends on (J, y)
//! through the image of y_J, and the right side is I(view 1; image). (The former can be smaller than ln(K+1) − L_Info
//! then, where two images share a view.)
//!
//! A low K therefore caps what can be certified, whatever the encoder: the ceiling. What no other estimator could exceed
//! on the same samples either: [`mutual_information_cap`](super::mutual_information_cap).
//!
//! Source: van den Oord, Li & Vinyals (2018); the form for distinct images is ours.

use super::{Bound, Statement, measured, outcome};
use crate::losses::{LossComponents, Quantity};
use crate::sampling::Sampling;

pub(super) struct MutualInformation;

impl Bound for MutualInformation {
    fn key(&self) -> &'static str {
        "mutual_information"
    }

    fn name(&self) -> &'static str {
        "mutual-information ceiling"
    }

    fn formula(&self) -> &'static str {
        "I(view 1; view 2) ≥ ln(K + 1) − L_Info"
    }

    fn source(&self) -> &'static str {
        "van den Oord et al. (2018)"
    }

    fn conditions(&self) -> &'static str {
        "negatives from the marginal law of the positive; distinct images: I(view; image) in place of I(view; view)"
    }

    fn other_needs(&self) -> &'static [Quantity] {
        &[Quantity::InfoNce]
    }

    fn other(&self, losses: &LossComponents) -> Option<Statement> {
        let ceiling = (losses.num_draws.get() as f64).ln();
        let value = measured(losses, [Quantity::InfoNce]).map(|[info_nce]| ceiling - info_nce);
        let what = match losses.sampling {
            Sampling::WithReplacement => "I(view 1; view 2) ≥",
            Sampling::WithoutReplacement => "I(view; image) ≥",
        };
        Some(Statement { what, outcome: outcome(value) })
    }
}
