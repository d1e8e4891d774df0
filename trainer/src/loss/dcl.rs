//! Decoupled contrastive losses: Yeh et al. (ECCV 2022, arXiv 2110.06848).
//!
//! - DCL: L_i = −s⁺_i/t + ln Σ_j e^{s_ij/t}: InfoNCE without the positive in the denominator.
//! - DCLW: L_i = −w_i s⁺_i/t + ln Σ_j e^{s_ij/t}, w_i = 2 − e^{s⁺_i/σ} / ((1/n) Σ_k e^{s⁺_k/σ}): weights of mean 1,
//!   larger for positives that are far apart.
//!
//! The widely used implementation (`raminnakhli/Decoupled-Contrastive-Learning`) sums the two directions: twice the
//! mean over anchors. Its weight is the one above, 2 − n·softmax, and gradients flow through it there and here; lightly has
//! the same weight and detaches it. That implementation also masks by adding −103 to a logit, so that at t = 0.01, where
//! an anchor's logit with itself is 100, the anchor takes part in its own denominator; a mask here is −∞.

use super::logits::{Logits, Weights, log_sum_exp};
use crate::error::Result;

/// DCL: the positive is not in the denominator.
///
/// No parameters but t (the paper's: 0.1). May be negative. Identical features give ln N.
///
/// Accuracy: f32; finite for t = 0.01.
///
/// # Errors
/// The tensor library fails.
pub fn dcl(logits: &Logits) -> Result<Weights> {
    let negatives = logits.negatives(1.0)?;
    let losses = log_sum_exp(&negatives)?;
    let by_negative = negatives.broadcast_sub(&losses)?.exp()?;
    Ok(Weights { losses, by_negative, by_positive: None })
}

/// DCLW with σ = `sigma` > 0.
///
/// The paper's default: σ = 0.5. The mean of the weights is over the anchors. The weight is differentiated like the
/// rest. Identical features have w = 1 and give ln N; σ → ∞ gives [`dcl`].
///
/// Accuracy: f32; finite for t = 0.01.
///
/// # Errors
/// The tensor library fails.
pub fn dclw(logits: &Logits, sigma: f64) -> Result<Weights> {
    let Weights { losses: sum, by_negative, .. } = dcl(logits)?;
    let positive = logits.positive();
    // p = 2 − w, whose mean over the anchors is 1.
    let scaled = (positive / sigma)?;
    let mass = scaled.broadcast_sub(&scaled.max_keepdim(0)?)?.exp()?;
    let p = mass.broadcast_div(&mass.mean_keepdim(0)?)?;
    // −w b + b = (p − 1) b, with b = s⁺/t.
    let excess = (&p - 1.0)?;
    let losses = (sum + (&excess * positive)?.affine(1.0 / logits.temperature(), 0.0)?)?;
    // Σ_i b_i ∂p_i/∂b_k = p_k (s⁺_k − mean_i p_i s⁺_i) / σ.
    let center = (&p * positive)?.mean_keepdim(0)?;
    let through_weight = (p * positive.broadcast_sub(&center)?)?.affine(1.0 / sigma, 0.0)?;
    Ok(Weights { losses, by_negative, by_positive: Some((excess + through_weight)?) })
}

#[cfg(test)]
mod tests {
    use crate::loss::LossKind;
    use crate::ops::testing::{assert_close, flat, flat64, random};

    #[test]
    fn a_wide_weight_is_none() {
        let features = random(4, &[12, 5]);
        let of = |kind: LossKind| kind.evaluate(&features, &[0; 6], 0.2).unwrap();
        let (wide, plain) = (of(LossKind::Dclw { sigma: 1e6 }), of(LossKind::Dcl {}));
        assert_close(&flat(&wide.value), &flat64(&plain.value), 1e-5, "value");
        assert_close(&flat(&wide.gradient), &flat64(&plain.gradient), 1e-5, "gradient");
    }
}
