//! FlatNCE: Chen et al. (2021, arXiv 2107.01152), whose gradient does not vanish as InfoNCE's does where the loss is
//! small.
//!
//! With v_i = ln Σ_j e^{(s_ij − s⁺_i)/t}, the loss is e^{v_i − stop(v_i)}: always 1, with the gradient of v_i. InfoNCE,
//! ln(1 + e^{v_i}), has that gradient times e^{v_i}/(1 + e^{v_i}), which is 0 to f32 where the positive stands out.
//!
//! v_i is the decoupled loss: in exact arithmetic FlatNCE and [`dcl`](super::dcl) train alike, and differ in the value
//! that they report.

use super::dcl::dcl;
use super::logits::{Logits, Weights, softplus};
use crate::error::Result;

/// FlatNCE: **value and gradient belong to different functions**.
///
/// The value is that of InfoNCE, mean_i ln(1 + e^{v_i}), as the authors' code (`Junya-Chen/FlatCLR`) logs it, since the
/// loss itself is constant; the gradient is that of mean_i v_i. The positive is in the denominator of the value only.
/// No parameters but t. Identical features give the value ln(N+1).
///
/// Accuracy: f32; finite for t = 0.01.
///
/// # Errors
/// The tensor library fails.
pub fn flat_nce(logits: &Logits) -> Result<Weights> {
    let exponent = dcl(logits)?;
    Ok(Weights { losses: softplus(&exponent.losses)?, ..exponent })
}
