//! EqCo: Zhu et al. (2020, arXiv 2010.01929), InfoNCE whose negatives weigh as much as α of them, however many there
//! are.
//!
//! L_i = −ln \[ e^{s⁺/t} / (e^{s⁺/t} + (α/N) Σ_j e^{s_j/t}) \]. Its authors hold that the number of negatives then
//! hardly matters.

use super::logits::{Logits, Weights, log_sum_exp, softplus};
use crate::error::Result;

/// EqCo with α = `virtual_negatives` > 0.
///
/// The positive is in the denominator once. α = 65536, the queue of MoCo v2, is what the paper imitates with few
/// negatives. α = N gives [`info_nce`](super::info_nce); identical features give ln(1 + α).
///
/// Accuracy: f32; finite for t = 0.01.
///
/// # Errors
/// The tensor library fails.
pub fn eq_co(logits: &Logits, virtual_negatives: f64) -> Result<Weights> {
    let weight = (virtual_negatives / logits.num_negatives()).ln();
    let negatives = (logits.negatives(1.0)? + weight)?;
    let losses = softplus(&log_sum_exp(&negatives)?)?;
    let by_negative = negatives.broadcast_sub(&losses)?.exp()?;
    Ok(Weights { losses, by_negative, by_positive: None })
}
