//! Contrastive losses of head features, in nats, averaged over anchors, each with its gradient.
//!
//! Three things that combine freely: the candidates for an anchor's negatives ([`Candidates`]: a batch, K sampled, a
//! queue), which of them count ([`Selection`]), and the loss ([`LossKind`]), a pure function of the logits ([`Logits`]
//! to [`Weights`]), in a file of its own. [`Candidates::mean`] takes a loss of one's own as well.
//!
//! | | denominator, or its place | negatives of the anchor's class |
//! |---|---|---|
//! | [`info_nce`] | positive and negatives | count |
//! | [`debiased`] | positive and corrected sum | are subtracted in expectation |
//! | [`hard`] | positive and corrected sum, weighted towards near negatives | are subtracted in expectation |
//! | [`dcl`], [`dclw`] | negatives | count |
//! | [`flat_nce`] | negatives (value: positive and negatives) | count |
//! | [NSCL](LossKind::Nscl) | negatives | are left out: it knows the classes, so there is none over a queue |
//! | [`spectral`] | none: mean square of the negatives' cosines | count |
//! | [`eq_co`] | positive and negatives, these weighted as α of them | count |
//!
//! All compute in f32; [`measure::contrastive`] has the same losses in f64, as references.

mod candidates;
mod classes;
mod cross_entropy;
mod dcl;
mod debiased;
mod draws;
mod eq_co;
mod flat_nce;
mod fused;
mod hard;
mod info_nce;
mod kind;
mod logits;
mod nscl;
mod queue;
mod same_class;
mod selection;
mod spectral;
#[cfg(test)]
pub(crate) mod tests;

pub use candidates::Candidates;
pub use classes::Classes;
pub use cross_entropy::cross_entropy;
pub use dcl::{dcl, dclw};
pub use debiased::debiased;
pub use draws::StepDraws;
pub use eq_co::eq_co;
pub use flat_nce::flat_nce;
pub use hard::hard;
pub use info_nce::{info_nce, nt_xent};
pub use kind::LossKind;
pub use logits::{Logits, Weights, log_sum_exp, softplus};
pub use queue::Queue;
pub use same_class::{PendingCount, SameClassCount};
pub use selection::{SelectedRanks, Selection};
pub use spectral::spectral;

use crate::error::{Error, Result};
use candle_core::Tensor;

/// A loss and its gradient.
#[derive(Debug, Clone)]
pub struct Loss {
    /// A scalar.
    pub value: Tensor,
    /// With respect to the features, of their shape.
    pub gradient: Tensor,
}

/// 1/t.
fn inverse(temperature: f64) -> Result<f32> {
    let inverse = (1.0 / temperature) as f32;
    match inverse > 0.0 && inverse.is_finite() {
        true => Ok(inverse),
        false => Err(Error::argument(format!(
            "the temperature must be positive, and 1/t a number of f32, not t = {temperature:e}"
        ))),
    }
}
