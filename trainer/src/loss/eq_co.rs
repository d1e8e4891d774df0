//! EqCo: Zhu et al. (2020, arXiv 2010.01929), InfoNCE whose negatives weigh as much as α of them, however many there are.
//!
//! L_i = −ln \[ e^{s⁺/t} / (e^{s⁺/t} + (α/N) Σ_j e^{s_j/t}) \]. Its authors hold that the number of negatives then hardly matters.

use super::Loss;
use super::logits::{Logits, log_sum_exp, softplus};
use crate::error::Result;
use candle_core::Tensor;

/// EqCo of features \[2n, d\] with α = `virtual_negatives` > 0, averaged over the 2n anchors.
///
/// Each anchor has N = 2n−2 negatives, both views of the other samples; the positive is in the denominator once. α = 65536, the
/// queue of MoCo v2, is what the paper imitates with few negatives. α = N gives [`nt_xent`](super::nt_xent); identical features
/// give ln(1 + α).
///
/// Accuracy: f32; finite for t = 0.01.
///
/// # Errors
/// Features that are not two views of at least two samples; a temperature that is not positive.
pub fn eq_co(features: &Tensor, virtual_negatives: f64, temperature: f64) -> Result<Loss> {
    let logits = Logits::new(features, temperature)?;
    let weight = (virtual_negatives / logits.num_negatives()).ln();
    let negatives = (logits.negatives(1.0)? + weight)?;
    let losses = softplus(&log_sum_exp(&negatives)?)?;
    let shares = negatives.broadcast_sub(&losses)?.exp()?;
    logits.mean(&losses, &shares, None)
}
