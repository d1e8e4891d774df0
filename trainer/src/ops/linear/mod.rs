//! A linear layer with optional bias and ReLU: y = relu?(x wᵀ + b).
//!
//! x \[…, in\] of any rank ≥ 2 (m = product of the leading dimensions), w \[out, in\], b \[out\], y \[…, out\].
//! With g = dy·\[y > 0\] (dy without ReLU): dx = g w, dw = gᵀ x, db = Σ_rows g.

mod cpu;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;
mod op;
#[cfg(test)]
mod tests;

pub use op::Linear;

use super::storage::share_storage;
use super::sums::add_chunks;
use candle_core::{Result, Tensor, bail};
use op::{ColumnSums, InputGradient, Mask, WeightGradient};
use std::sync::Mutex;

/// y = relu?(x wᵀ + b).
///
/// # Errors
/// Shapes that do not fit.
///
/// # Examples
/// ```
/// # use {candle_core::{Device, Tensor}, trainer::ops::linear};
/// // 1·3 + 2·4 + 5 = 16.
/// let x = Tensor::new(&[[1f32, 2.0]], &Device::Cpu)?;
/// let weight = Tensor::new(&[[3f32, 4.0]], &Device::Cpu)?;
/// let bias = Tensor::new(&[5f32], &Device::Cpu)?;
/// assert_eq!(linear::forward(&x, &weight, Some(&bias), true)?.to_vec2::<f32>()?, [[16.0]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn forward(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, relu: bool) -> Result<Tensor> {
    let op = Linear { relu };
    match bias {
        Some(bias) => x.apply_op3_no_bwd(weight, bias, &op),
        None => x.apply_op2_no_bwd(weight, &op),
    }
}

/// What a backward pass needs of its forward pass.
#[derive(Debug, Clone, Copy)]
pub struct Forward<'a> {
    /// The input x.
    pub x: &'a Tensor,
    /// The weights w.
    pub weight: &'a Tensor,
    /// The output y where a ReLU followed.
    pub rectified_output: Option<&'a Tensor>,
}

/// dx if `input` asks for it; dw is written over `weight_gradient` \[out, in\] and db over `bias_gradient` \[out\].
///
/// With a ReLU, `dy` is masked in place and becomes g.
///
/// # Errors
/// Shapes that do not fit; a tensor to write that is not row-major; `dy` sharing its buffer with what is read.
pub fn backward(
    dy: &Tensor,
    forward: &Forward,
    weight_gradient: &Tensor,
    bias_gradient: Option<&Tensor>,
    input: bool,
) -> Result<Option<Tensor>> {
    let partial = match (forward.rectified_output, bias_gradient) {
        (Some(y), _) => Some(masked_sums(dy, y)?),
        (None, Some(_)) => Some(dy.apply_op1_no_bwd(&ColumnSums)?),
        (None, None) => None,
    };
    if let (Some(gradient), Some(partial)) = (bias_gradient, partial) {
        if share_storage(dy, gradient) {
            bail!("linear backward: dy shares its buffer with the bias gradient")
        }
        add_chunks(gradient, &partial)?;
    }
    weight_gradient.inplace_op3(dy, forward.x, &WeightGradient)?;
    input.then(|| dy.apply_op2_no_bwd(forward.weight, &InputGradient)).transpose()
}

/// dy ← dy·\[y > 0\] in place; partial sums of its columns \[chunks, out\].
fn masked_sums(dy: &Tensor, y: &Tensor) -> Result<Tensor> {
    let mask = Mask { partial: Mutex::new(None) };
    dy.inplace_op2(y, &mask)?;
    match mask.partial.into_inner() {
        Ok(Some(partial)) => Ok(partial),
        _ => bail!("linear backward: the device computed no sums"),
    }
}
