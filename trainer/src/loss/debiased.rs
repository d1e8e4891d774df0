//! The debiased loss of Chuang et al. (NeurIPS 2020, arXiv 2007.00224): negatives of the anchor's own class are
//! subtracted in expectation.
//!
//! A random sample has the anchor's class with probability τ⁺, so the sum over negatives of another class is estimated
//! as
//!
//! g = max{ (Σ_j e^{s_j/t} − N τ⁺ e^{s⁺/t}) / (1 − τ⁺), N e^{−1/t} },  L = −ln \[ e^{s⁺/t} / (e^{s⁺/t} + g) \].
//!
//! N e^{−1/t} is the least that N negatives can sum to. Computed as ln(1 + g e^{−s⁺/t}) with the logarithm of g: at t =
//! 0.01 the terms reach e¹⁰⁰, which f32 does not hold.
//!
//! The authors' code (`chingyaoc/DCL`) has this formula, and NT-Xent where nothing is debiased, as τ⁺ = 0 here.

use super::logits::{Logits, Weights, log_sum_exp, softplus};
use crate::error::Result;
use candle_core::Tensor;

/// The debiased loss with τ⁺ = `class_probability` in \[0, 1).
///
/// The positive stands in the denominator once, beside g. The authors' defaults: τ⁺ = 0.1, t = 0.5. Where g is at its
/// floor, the negatives get no gradient, the positive does. With τ⁺ = 0 it is [`info_nce`](super::info_nce); identical
/// features give ln(N+1) for every τ⁺ and t.
///
/// Accuracy: f32; finite for t = 0.01.
///
/// # Errors
/// The tensor library fails.
pub fn debiased(logits: &Logits, class_probability: f64) -> Result<Weights> {
    let negatives = logits.negatives(1.0)?;
    let sum = log_sum_exp(&negatives)?;
    let shares = negatives.broadcast_sub(&sum)?.exp()?;
    corrected(logits, &sum, &shares, class_probability)
}

/// ln(1 + g_i) with g_i = max{ (R_i − N τ⁺)/(1 − τ⁺), N e^{−(1 + s⁺)/t} }, where R_i estimates Σ_j e^{a_ij}.
///
/// From ln R = `sum` \[A, 1\] and ∂ ln R_i/∂a_ij = `shares` \[A, M\]; τ⁺ = `class_probability`.
pub(super) fn corrected(
    logits: &Logits,
    sum: &Tensor,
    shares: &Tensor,
    class_probability: f64,
) -> Result<Weights> {
    let (num_negatives, scale) = (logits.num_negatives(), (1.0 - class_probability).ln());
    let floor = ((logits.positive() + 1.0)? * -(1.0 / logits.temperature()))?;
    let floor = (floor + num_negatives.ln())?;
    // N τ⁺ / R: 1 or more where nothing is left.
    let expected = (sum.neg()? + (num_negatives * class_probability).ln())?.exp()?;
    let rest = ((expected.affine(-1.0, 1.0)?.log()? + sum)? - scale)?;
    let nothing = rest.ones_like()?.affine(0.0, f64::NEG_INFINITY)?;
    let rest = expected.lt(1f32)?.where_cond(&rest, &nothing)?;
    let above = rest.gt(&floor)?;
    let log_sum = above.where_cond(&rest, &floor)?;
    let losses = softplus(&log_sum)?;
    // ∂ ln(1 + g)/∂ ln R = R / ((1 − τ⁺)(1 + g)) ≤ 1 + N τ⁺/(1 − τ⁺).
    let zeros = losses.zeros_like()?;
    let weight = above.where_cond(&((sum - &losses)? - scale)?.exp()?, &zeros)?;
    let by_positive = above.where_cond(&zeros, &(log_sum - &losses)?.exp()?.neg()?)?;
    Ok(Weights { losses, by_negative: shares.broadcast_mul(&weight)?, by_positive: Some(by_positive) })
}
