//! Batch normalisation (Ioffe & Szegedy 2015) over all but the last dimension, fused with a residual sum and a ReLU.
//!
//! x \[…, C\] of any rank ≥ 2, R = product of the leading dimensions; `affine` \[2, C\] = (γ; β); `statistics` \[2,
//! C\] = (mean; inv_std = 1/√(var + ε)) with the biased variance; `running` \[2, C\] = (mean; unbiased variance).
//!
//! - x̂ = (x − mean)·inv_std, y = relu?(γ x̂ + β \[+ residual\]).
//! - g = dy·\[y > 0\] with ReLU, dy without; the residual's gradient is g.
//! - dγ = Σ g·x̂, dβ = Σ g, dx = γ·inv_std·(g − dβ/R − x̂·dγ/R).
//!
//! Without a residual y is a function of x, so the backward pass recomputes its sign and never reads y: five passes
//! over a tensor's memory (dy, x; dy, x, dx) instead of seven. Training on R = 1 is refused: the output would be β
//! whatever x is, and the unbiased variance would be 0/0.

mod autograd;
mod cpu;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;
mod op;
#[cfg(test)]
mod tests;

pub use autograd::BatchNorm;

use super::storage::share_storage;
use super::sums::add_chunks;
use candle_core::{Result, Tensor, bail};
use op::{Apply, Frozen, InputGradient, MaskedReduce, Reduce, Statistics, TrainStatistics};
use std::sync::Mutex;

/// Mean and 1/√(var + ε) per channel: x \[…, C\] -> \[2, C\].
///
/// Accuracy: chunks of about 2¹⁴ elements by two f32 passes, combined in f64. The mean is off by at most half an ulp,
/// its rounding to f32, plus 1e-6 standard deviations; 1/√(var + ε) by 1e-6 of itself, whatever the mean.
///
/// # Errors
/// Fewer than two dimensions, or only one row.
///
/// # Examples
/// ```
/// # use {candle_core::{Device, Tensor}, trainer::ops::batch_norm};
/// // Two rows of one channel, 1 and 3: mean 2, variance 1.
/// let x = Tensor::new(&[[1f32], [3.0]], &Device::Cpu)?;
/// assert_eq!(batch_norm::statistics(&x, 0.0)?.to_vec2::<f32>()?, [[2.0], [1.0]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn statistics(x: &Tensor, epsilon: f64) -> Result<Tensor> {
    x.apply_op1_no_bwd(&Statistics { epsilon })
}

/// The [`statistics`] of x, towards which `running` \[2, C\] moves in place:
/// running ← (1 − momentum)·running + momentum·(mean, unbiased variance).
///
/// On the CPU the variance is recovered from inv_std, so it is exact to about 1e-7·(var + ε).
///
/// # Errors
/// As [`statistics`]; running statistics of another shape.
///
/// # Examples
/// ```
/// # use {candle_core::{Device, Tensor}, trainer::ops::batch_norm};
/// // 1 and 3 have mean 2 and unbiased variance 2: from (0; 1) with momentum 1/2 to (1; 3/2).
/// let x = Tensor::new(&[[1f32], [3.0]], &Device::Cpu)?;
/// let running = Tensor::new(&[[0f32], [1.0]], &Device::Cpu)?;
/// batch_norm::train_statistics(&x, &running, 0.0, 0.5)?;
/// assert_eq!(running.to_vec2::<f32>()?, [[1.0], [1.5]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn train_statistics(x: &Tensor, running: &Tensor, epsilon: f64, momentum: f64) -> Result<Tensor> {
    let train = TrainStatistics { epsilon, momentum, statistics: Mutex::new(None) };
    running.inplace_op2(x, &train)?;
    second_output(train.statistics)
}

/// The statistics that evaluation applies: running \[2, C\] (mean; variance) -> (mean; 1/√(variance + ε)).
///
/// # Errors
/// Another shape.
pub fn frozen(running: &Tensor, epsilon: f64) -> Result<Tensor> {
    running.apply_op1_no_bwd(&Frozen { epsilon })
}

/// y = relu?(γ (x − mean)·inv_std + β \[+ residual\]).
///
/// # Errors
/// Shapes that do not fit.
///
/// # Examples
/// ```
/// # use {candle_core::{Device, Tensor}, trainer::ops::batch_norm};
/// // 1 and 3 with mean 2 and deviation 1 are −1 and 1; with γ = 2 and β = 1: −1, which ReLU makes 0, and 3.
/// let x = Tensor::new(&[[1f32], [3.0]], &Device::Cpu)?;
/// let statistics = Tensor::new(&[[2f32], [1.0]], &Device::Cpu)?;
/// let affine = Tensor::new(&[[2f32], [1.0]], &Device::Cpu)?;
/// let y = batch_norm::apply(&x, &statistics, &affine, None, true)?;
/// assert_eq!(y.to_vec2::<f32>()?, [[0.0], [3.0]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn apply(
    x: &Tensor,
    statistics: &Tensor,
    affine: &Tensor,
    residual: Option<&Tensor>,
    relu: bool,
) -> Result<Tensor> {
    x.apply_op3_no_bwd(statistics, affine, &Apply { relu, residual: residual.cloned() })
}

/// What a backward pass needs of its forward pass.
#[derive(Debug, Clone, Copy)]
pub struct Forward<'a> {
    /// The input x.
    pub x: &'a Tensor,
    /// The statistics that were applied.
    pub statistics: &'a Tensor,
    /// γ and β.
    pub affine: &'a Tensor,
    /// Whether a ReLU followed.
    pub relu: bool,
    /// The output y where a residual was added; its sign cannot be recomputed from x.
    pub residual_output: Option<&'a Tensor>,
}

/// dx; (dγ; dβ) is written over `gradient` \[2, C\], and `dy` is used up.
///
/// Without a residual the returned tensor is `dy`'s own buffer. With one, `dy` becomes the gradient g of the residual
/// and dx is a new tensor. `dy` must own its buffer: nothing else may still need it.
///
/// # Errors
/// Shapes that do not fit; `dy` not row-major, or sharing its buffer with another argument.
pub fn backward(dy: &Tensor, forward: &Forward, gradient: &Tensor) -> Result<Tensor> {
    // The operations below lock these while dy is locked for writing; a shared buffer would wait for itself.
    for (name, other) in
        [("statistics", forward.statistics), ("affine", forward.affine), ("gradient", gradient)]
    {
        if share_storage(dy, other) {
            bail!("batch norm backward: dy shares its buffer with {name}")
        }
    }
    let (statistics, affine) = (forward.statistics.clone(), forward.affine.clone());
    add_chunks(gradient, &partial_sums(dy, forward)?)?;
    let sums = gradient.clone();
    if forward.residual_output.is_some() {
        return dy.apply_op2_no_bwd(forward.x, &InputGradient { relu: false, statistics, affine, sums });
    }
    dy.inplace_op2(forward.x, &InputGradient { relu: forward.relu, statistics, affine, sums })?;
    Ok(dy.clone())
}

/// Partial sums of (dγ; dβ), \[chunks, 2, C\]; masks `dy` in place where a ReLU followed a residual.
fn partial_sums(dy: &Tensor, forward: &Forward) -> Result<Tensor> {
    let (statistics, affine) = (forward.statistics.clone(), forward.affine.clone());
    match forward.residual_output {
        Some(y) if forward.relu => {
            let reduce = MaskedReduce { statistics, affine, partial: Mutex::new(None) };
            dy.inplace_op3(forward.x, y, &reduce)?;
            second_output(reduce.partial)
        }
        _ => dy.apply_op2_no_bwd(forward.x, &Reduce { relu: forward.relu, statistics, affine }),
    }
}

/// What an in-place operation left beside the tensor it wrote.
fn second_output(output: Mutex<Option<Tensor>>) -> Result<Tensor> {
    match output.into_inner() {
        Ok(Some(output)) => Ok(output),
        _ => bail!("batch norm: the device computed nothing"),
    }
}
