//! NT-Xent, the two-view loss of SimCLR (Chen et al. 2020) as the official code of Nozawa & Sato trains it.
//!
//! Each of the 2n views is an anchor with one positive (the other view of its sample) and 2n−2 negatives (both views of
//! the other n−1 samples).

use super::MASKED;
use crate::error::Result;
use candle_core::{D, Tensor};

/// NT-Xent of unit features `first`, `second` \[n, d\] at temperature t, averaged over the 2n anchors.
///
/// −ln \[ e^{z·z⁺/t} / Σ_{j ≠ anchor} e^{z·z_j/t} \], 2n−1 candidates each. Accuracy: f32; stable for any t, since the
/// log-sum-exp is shifted by its maximum.
///
/// # Errors
/// Shapes that differ.
pub fn nt_xent(first: &Tensor, second: &Tensor, temperature: f64) -> Result<Tensor> {
    let n = first.dim(0)?;
    let all = Tensor::cat(&[first, second], 0)?;
    let logits = (all.matmul(&all.t()?)? / temperature)?;
    let mut diagonal = vec![0f32; 4 * n * n];
    diagonal.iter_mut().step_by(2 * n + 1).for_each(|v| *v = MASKED);
    let mask = Tensor::from_vec(diagonal, (2 * n, 2 * n), first.device())?;
    let normaliser = (logits + mask)?.log_sum_exp(D::Minus1)?.mean_all()?;
    let positive = ((first * second)?.sum(1)?.mean_all()? / temperature)?;
    Ok((normaliser - positive)?)
}
