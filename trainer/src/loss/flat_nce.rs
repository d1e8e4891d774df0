//! FlatNCE: Chen et al. (2021, arXiv 2107.01152), whose gradient does not vanish as InfoNCE's does where the loss is small.
//!
//! With v_i = ln Σ_j e^{(s_ij − s⁺_i)/t}, the loss is e^{v_i − stop(v_i)}: always 1, with the gradient of v_i. InfoNCE, ln(1 + e^{v_i}),
//! has that gradient times e^{v_i}/(1 + e^{v_i}), which is 0 to f32 where the positive stands out.
//!
//! v_i is the decoupled loss: in exact arithmetic FlatNCE and [`dcl`](super::dcl) train alike, and differ in the value that they report.

use super::Loss;
use super::logits::{Logits, log_sum_exp, softplus};
use crate::error::Result;
use candle_core::Tensor;

/// FlatNCE of features \[2n, d\], averaged over the 2n anchors: **value and gradient belong to different functions**.
///
/// The value is that of InfoNCE, (1/2n) Σ ln(1 + e^{v_i}), as the authors' code (`Junya-Chen/FlatCLR`) logs it, since the loss itself
/// is constant; the gradient is that of (1/2n) Σ v_i. Each anchor has 2n−2 negatives, both views of the other samples; the
/// positive is in the denominator of the value only. No parameters but t. Identical features give the value ln(2n−1).
///
/// Accuracy: f32; finite for t = 0.01.
///
/// # Errors
/// Features that are not two views of at least two samples; a temperature that is not positive.
pub fn flat_nce(features: &Tensor, temperature: f64) -> Result<Loss> {
    let logits = Logits::new(features, temperature)?;
    let negatives = logits.negatives(1.0)?;
    let exponent = log_sum_exp(&negatives)?;
    let shares = negatives.broadcast_sub(&exponent)?.exp()?;
    logits.mean(&softplus(&exponent)?, &shares, None)
}
