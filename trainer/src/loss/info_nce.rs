//! InfoNCE with one positive and K negatives, drawn without replacement from view 2 of the other samples of the batch.
//!
//! With the batch fixed, K alone moves: every sample is seen equally often, and the number of steps and the learning rate
//! are the same for all K.

use super::{Loss, MASKED};
use crate::error::{Error, Result};
use crate::ops::normalise::Normalise;
use candle_core::{D, Device, Tensor, Var};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Which of the n samples are candidates of each anchor: 0 for the positive and K negatives, masked elsewhere; \[n, n\].
///
/// Each row is an independent uniform K-subset of the n−1 others.
///
/// # Errors
/// K = 0, or K ≥ n.
pub fn negative_mask(num_samples: usize, num_negatives: usize, rng: &mut ChaCha8Rng) -> Result<Tensor> {
    if num_negatives == 0 || num_negatives >= num_samples {
        return Err(Error::argument(format!(
            "K = {num_negatives} negatives cannot be drawn from the other {} samples of the batch",
            num_samples.saturating_sub(1)
        )));
    }
    let mut mask = vec![MASKED; num_samples * num_samples];
    let mut others: Vec<usize> = (1..num_samples).collect();
    for (anchor, row) in mask.chunks_mut(num_samples).enumerate() {
        row[anchor] = 0.0;
        // The first K places of a Fisher–Yates shuffle; offsets 1..n from the anchor are the other samples.
        for i in 0..num_negatives {
            others.swap(i, rng.random_range(i..num_samples - 1));
            row[(anchor + others[i]) % num_samples] = 0.0;
        }
    }
    Ok(Tensor::from_vec(mask, (num_samples, num_samples), &Device::Cpu)?)
}

/// InfoNCE of features \[2n, d\] at temperature t: anchors are the unit rows of view 1, candidates those of view 2 where
/// `mask` \[n, n\] is 0.
///
/// # Errors
/// Shapes that do not fit.
pub fn sampled_info_nce(features: &Tensor, mask: &Tensor, temperature: f64) -> Result<Loss> {
    let n = mask.dim(0)?;
    if features.dim(0)? != 2 * n {
        let found = features.dims();
        return Err(Error::argument(format!(
            "features {found:?} are not two views of the {n} samples of the mask"
        )));
    }
    if !(temperature > 0.0 && temperature.is_finite()) {
        return Err(Error::argument(format!("the temperature must be positive, not {temperature}")));
    }
    let features = Var::from_tensor(features)?;
    let unit = features.apply_op1(Normalise)?;
    let (first, second) = (unit.narrow(0, 0, n)?, unit.narrow(0, n, n)?);
    let logits = (first.matmul(&second.t()?)? / temperature)?;
    let normaliser = (logits + mask)?.log_sum_exp(D::Minus1)?.mean_all()?;
    let positive = ((first * second)?.sum(1)?.mean_all()? / temperature)?;
    Loss::from_graph(&(normaliser - positive)?, &features)
}
