//! Decoupled contrastive losses: Yeh et al. (ECCV 2022, arXiv 2110.06848).
//!
//! - DCL: L_i = −s⁺_i/t + ln Σ_j e^{s_ij/t}: InfoNCE without the positive in the denominator.
//! - DCLW: L_i = −w_i s⁺_i/t + ln Σ_j e^{s_ij/t}, w_i = 2 − e^{s⁺_i/σ} / ((1/n) Σ_k e^{s⁺_k/σ}): weights of mean 1, larger for
//!   positives that are far apart.
//!
//! The widely used implementation (`raminnakhli/Decoupled-Contrastive-Learning`) sums the two directions: twice the mean over
//! anchors. Its weight is 2 − softmax, without the paper's mean, hence nearly 2 for every sample of a large batch; the paper's is
//! taken here. Gradients flow through the weight there and here. It also masks by adding −103 to a logit, so that at t = 0.01,
//! where an anchor's logit with itself is 100, the anchor takes part in its own denominator; a mask here is −∞.

use super::Loss;
use super::logits::{Logits, log_sum_exp};
use crate::error::Result;
use candle_core::Tensor;

/// DCL of features \[2n, d\], averaged over the 2n anchors.
///
/// Each anchor has 2n−2 negatives, both views of the other samples; the positive is not in the denominator. No parameters but t
/// (the paper's: 0.1). May be negative. Identical features give ln(2n−2).
///
/// Accuracy: f32; finite for t = 0.01.
///
/// # Errors
/// Features that are not two views of at least two samples; a temperature that is not positive.
pub fn dcl(features: &Tensor, temperature: f64) -> Result<Loss> {
    decoupled(Logits::new(features, temperature)?)
}

/// The mean of ln Σ_j e^{a_ij} over anchors.
pub(super) fn decoupled(logits: Logits) -> Result<Loss> {
    let negatives = logits.negatives(1.0)?;
    let sum = log_sum_exp(&negatives)?;
    let shares = negatives.broadcast_sub(&sum)?.exp()?;
    logits.mean(&sum, &shares, None)
}

/// DCLW of features \[2n, d\] with σ = `sigma` > 0, averaged over the 2n anchors.
///
/// Negatives as for [`dcl`]. The paper's default: σ = 0.5. The weight is differentiated like the rest. Identical features have
/// w = 1 and give ln(2n−2); σ → ∞ gives [`dcl`].
///
/// Accuracy: f32; finite for t = 0.01.
///
/// # Errors
/// Features that are not two views of at least two samples; a temperature that is not positive.
pub fn dclw(features: &Tensor, sigma: f64, temperature: f64) -> Result<Loss> {
    let logits = Logits::new(features, temperature)?;
    let negatives = logits.negatives(1.0)?;
    let sum = log_sum_exp(&negatives)?;
    let shares = negatives.broadcast_sub(&sum)?.exp()?;
    // p = 2 − w, whose mean over the 2n anchors is that over the n samples.
    let scaled = (&logits.positive / sigma)?;
    let mass = scaled.broadcast_sub(&scaled.max_keepdim(0)?)?.exp()?;
    let p = mass.broadcast_div(&mass.mean_keepdim(0)?)?;
    // −w b + b = (p − 1) b, with b = s⁺/t.
    let excess = (&p - 1.0)?;
    let losses = (sum + (&excess * &logits.positive)?.affine(logits.inverse_temperature, 0.0)?)?;
    // Σ_i b_i ∂p_i/∂b_k = p_k (s⁺_k − mean_i p_i s⁺_i) / σ.
    let center = (&p * &logits.positive)?.mean_keepdim(0)?;
    let through_weight = (p * logits.positive.broadcast_sub(&center)?)?.affine(1.0 / sigma, 0.0)?;
    logits.mean(&losses, &shares, Some(&(excess + through_weight)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{assert_close, flat, flat64, random};

    #[test]
    fn a_wide_weight_is_none() {
        let features = random(4, &[12, 5]);
        let (wide, plain) = (dclw(&features, 1e6, 0.2).unwrap(), dcl(&features, 0.2).unwrap());
        assert_close(&flat(&wide.value), &flat64(&plain.value), 1e-5, "value");
        assert_close(&flat(&wide.gradient), &flat64(&plain.gradient), 1e-5, "gradient");
    }
}
