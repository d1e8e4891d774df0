//! NT-Xent, the two-view loss of SimCLR (Chen et al. 2020) as the official code of Nozawa & Sato trains it.
//!
//! Each of the 2n views is an anchor with one positive (the other view of its sample) and 2n−2 negatives (both views of
//! the other n−1 samples).

use super::Loss;
use crate::error::Result;
use crate::ops::info_nce::loss_and_gradient;
use candle_core::Tensor;

/// NT-Xent of features \[2n, d\] at temperature t, averaged over the 2n anchors.
///
/// −ln \[ e^{u·u⁺/t} / Σ_{j ≠ anchor} e^{u·u_j/t} \] with unit rows u, 2n−1 candidates each. Accuracy: f32; stable for any t,
/// since the log-sum-exp is shifted by its maximum.
///
/// # Errors
/// An odd number of rows; a temperature that is not positive.
pub fn nt_xent(features: &Tensor, temperature: f64) -> Result<Loss> {
    let (value, gradient) = loss_and_gradient(features, temperature)?;
    Ok(Loss { value, gradient })
}
