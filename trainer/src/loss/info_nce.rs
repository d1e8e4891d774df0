//! InfoNCE, and NT-Xent, which is InfoNCE over all of the batch: the loss of SimCLR (Chen et al. 2020) as the official
//! code of Nozawa & Sato trains it.
//!
//! L_i = −ln \[ e^{s⁺/t} / (e^{s⁺/t} + Σ_j e^{s_j/t}) \] = ln(1 + Σ_j e^{a_ij}).

use super::Loss;
use super::logits::{Logits, Weights, log_sum_exp, softplus};
use crate::error::Result;
use crate::ops::info_nce::loss_and_gradient;
use candle_core::Tensor;

/// InfoNCE: the positive stands in the denominator, beside the N negatives.
///
/// Identical features give ln(N+1). Accuracy: f32, of a small loss too; finite for t = 0.01.
///
/// # Errors
/// The tensor library fails.
pub fn info_nce(logits: &Logits) -> Result<Weights> {
    let negatives = logits.negatives(1.0)?;
    let losses = softplus(&log_sum_exp(&negatives)?)?;
    let by_negative = negatives.broadcast_sub(&losses)?.exp()?;
    Ok(Weights { losses, by_negative, by_positive: None })
}

/// NT-Xent of features \[2n, d\] at temperature t, averaged over the 2n anchors, in one fused operation.
///
/// Each of the 2n views is an anchor with one positive (the other view of its sample) and 2n−2 negatives (both views of
/// the other n−1 samples): −ln \[ e^{u·u⁺/t} / Σ_{j ≠ anchor} e^{u·u_j/t} \] with unit rows u, 2n−1 candidates each.
/// Accuracy: f32; stable for any t, since the log-sum-exp is shifted by its maximum.
///
/// # Errors
/// An odd number of rows; a temperature that is not positive.
pub fn nt_xent(features: &Tensor, temperature: f64) -> Result<Loss> {
    let (value, gradient) = loss_and_gradient(features, temperature)?;
    Ok(Loss { value, gradient })
}
