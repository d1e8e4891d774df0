//! Hard negatives by importance weights: Robinson et al. (ICLR 2021, arXiv 2010.04592).
//!
//! Negatives count with weights w_j = e^{β s_j/t} of mean 1, and those of the anchor's class are subtracted in
//! expectation as in [`debiased`](super::debiased):
//!
//! R = Σ_j w_j e^{s_j/t} / ((1/N) Σ_j w_j),  g = max{ (R − N τ⁺ e^{s⁺/t}) / (1 − τ⁺), N e^{−1/t} },
//! L = −ln \[ e^{s⁺/t} / (e^{s⁺/t} + g) \].
//!
//! β acts on s/t, as in the authors' code (`joshr17/HCL`: powers of e^{s/t}), not on s. There, as here, the gradient
//! flows through the weights too: ∂ ln R/∂(s_j/t) = (1+β) softmax_j((1+β) s/t) − β softmax_j(β s/t).

use super::debiased::corrected;
use super::logits::{Logits, Weights, log_sum_exp};
use crate::error::Result;

/// The hard-negative loss with τ⁺ = `class_probability` in \[0, 1) and β = `beta` ≥ 0.
///
/// The positive stands in the denominator once, beside g. The authors' defaults: τ⁺ = 0.1, β = 1, t = 0.5. With β = 0
/// it is [`debiased`](super::debiased); identical features give ln(N+1) for every τ⁺, β and t.
///
/// Accuracy: f32; finite for t = 0.01.
///
/// # Errors
/// The tensor library fails.
pub fn hard(logits: &Logits, class_probability: f64, beta: f64) -> Result<Weights> {
    let (weighted, weights) = (logits.negatives(1.0 + beta)?, logits.negatives(beta)?);
    let (above, below) = (log_sum_exp(&weighted)?, log_sum_exp(&weights)?);
    let sum = ((&above - &below)? + logits.num_negatives().ln())?;
    let raised = (weighted.broadcast_sub(&above)?.exp()? * (1.0 + beta))?;
    let shares = (raised - (weights.broadcast_sub(&below)?.exp()? * beta)?)?;
    corrected(logits, &sum, &shares, class_probability)
}
