//! The logits of two views relative to the positive, and the way back from their gradients to the features.
//!
//! Features z \[2n, d\] with unit rows u = z/‖z‖, cosines s_ij = u_i·u_j; i⁺ = (i + n) mod 2n is the other view of anchor i's
//! sample. With b_i = s_{i i⁺}/t and a_ij = (s_ij − s_{i i⁺})/t for the negatives j of anchor i, a loss
//! L = (1/2n) Σ_i L_i(a_i1, a_i2, …, b_i) with W_ij = ∂(Σ L)/∂a_ij and B_i = ∂(Σ L)/∂b_i has
//!
//! - ∂L/∂s_ij = G_ij = W_ij / (2n t) and G_{i i⁺} = (B_i − Σ_j W_ij) / (2n t);
//! - du = (G + Gᵀ) u, dz = (du − u (u·du)) / ‖z‖.
//!
//! InfoNCE and its relatives depend on a alone (B = 0). Cosines are subtracted before they are scaled: the difference of
//! near ones is exact, and a small loss keeps its digits.

use super::Loss;
use crate::error::{Error, Result};
use crate::ops::normalise;
use candle_core::{D, Tensor};

/// What a loss of two views starts from.
pub(super) struct Logits {
    features: Tensor,
    unit: Tensor,
    /// s_{i i⁺}, \[2n, 1\].
    pub positive: Tensor,
    /// a_ij of every pair, also of those that are no negatives; \[2n, 2n\].
    pub relative: Tensor,
    /// 1 where j is a negative of anchor i, else 0; \[2n, 2n\].
    pub is_negative: Tensor,
    /// 0 where j is a negative of anchor i, else −∞; \[2n, 2n\].
    mask: Tensor,
    /// 1/t.
    pub inverse_temperature: f64,
}

impl Logits {
    /// The negatives of an anchor are both views of every other sample: N = 2n−2.
    pub fn new(features: &Tensor, temperature: f64) -> Result<Self> {
        let samples: Vec<usize> = (0..features.dim(0)? / 2).collect();
        Self::of_other_classes(features, &samples, temperature)
    }

    /// The negatives of an anchor are both views of every sample of another class.
    pub fn of_other_classes(features: &Tensor, classes: &[usize], temperature: f64) -> Result<Self> {
        let (rows, _) = features.dims2()?;
        let n = classes.len();
        if rows % 2 == 1 || rows != 2 * n {
            let shape = features.dims();
            return Err(Error::argument(format!("features {shape:?} are not two views of {n} samples")));
        }
        if classes.iter().all(|class| *class == classes[0]) {
            return Err(Error::argument(match n {
                0 | 1 => format!("a batch of {n} samples has no negatives"),
                _ => format!(
                    "a batch of {n} samples, all of class {}, has no negatives of another: raise batch_size",
                    classes[0]
                ),
            }));
        }
        let inverse_temperature = 1.0 / temperature;
        let inverse = inverse_temperature as f32;
        if !(inverse > 0.0 && inverse.is_finite()) {
            return Err(Error::argument(format!(
                "the temperature must be positive and 1/t a number of f32, not t = {temperature:e}"
            )));
        }
        let pairs = classes.iter().flat_map(|a| classes.iter().map(move |b| f32::from(u8::from(a != b))));
        // The same for both views of the anchor, and for both of the negative.
        let is_negative = Tensor::from_iter(pairs, features.device())?.reshape((n, n))?;
        let mask = is_negative.log()?.repeat((2, 2))?;
        let is_negative = is_negative.repeat((2, 2))?;
        let unit = normalise::forward(features)?;
        let positive = (unit.narrow(0, 0, n)? * unit.narrow(0, n, n)?)?.sum_keepdim(1)?;
        let positive = Tensor::cat(&[&positive, &positive], 0)?;
        let relative = (unit.matmul(&unit.t()?)?.broadcast_sub(&positive)? * inverse_temperature)?;
        let features = features.clone();
        Ok(Self { features, unit, positive, relative, is_negative, mask, inverse_temperature })
    }

    /// N = 2n−2: how many negatives an anchor has where all others are.
    pub fn num_negatives(&self) -> f64 {
        self.relative.dims()[0] as f64 - 2.0
    }

    /// factor·a_ij, −∞ where j is no negative of anchor i; \[2n, 2n\].
    pub fn negatives(&self, factor: f64) -> Result<Tensor> {
        Ok(((&self.relative * factor)? + &self.mask)?)
    }

    /// The mean of `losses` \[2n, 1\] with its gradient, from W = `by_negative` \[2n, 2n\] and B = `by_positive` \[2n, 1\].
    pub fn mean(self, losses: &Tensor, by_negative: &Tensor, by_positive: Option<&Tensor>) -> Result<Loss> {
        let pull = by_negative.sum_keepdim(1)?.neg()?;
        let pull = match by_positive {
            Some(by_positive) => (pull + by_positive)?,
            None => pull,
        };
        let pull = (&pull + other_views(&pull)?)?;
        let push = (by_negative + by_negative.t()?)?.matmul(&self.unit)?;
        let weight = self.inverse_temperature / self.unit.dims()[0] as f64;
        let du = ((push + other_views(&self.unit)?.broadcast_mul(&pull)?)? * weight)?;
        Ok(Loss { value: losses.mean_all()?, gradient: normalise::backward(&self.features, &du)? })
    }
}

/// Row i⁺ in place of row i.
fn other_views(rows: &Tensor) -> Result<Tensor> {
    let n = rows.dim(0)? / 2;
    Ok(Tensor::cat(&[rows.narrow(0, n, n)?, rows.narrow(0, 0, n)?], 0)?)
}

/// ln Σ_j e^{x_ij}, \[rows, 1\], shifted by the maximum of the row; a row needs one finite number.
pub(super) fn log_sum_exp(x: &Tensor) -> Result<Tensor> {
    let largest = x.max_keepdim(D::Minus1)?;
    Ok((x.broadcast_sub(&largest)?.exp()?.sum_keepdim(D::Minus1)?.log()? + largest)?)
}

/// ln(1 + e^x) to f32's relative accuracy, also where e^x is far below 1; finite for every finite x.
pub(super) fn softplus(x: &Tensor) -> Result<Tensor> {
    let small = x.abs()?.neg()?.exp()?;
    let above_one = (&small + 1.0)?;
    let excess = (&above_one - 1.0)?;
    // ln(1 + y) = y · ln(w)/(w − 1) for w = 1 + y as rounded, whose error cancels in the quotient (Kahan).
    let quotient = ((above_one.log()? * &small)? / &excess)?;
    let logarithm = excess.eq(0f32)?.where_cond(&small, &quotient)?;
    Ok((logarithm + x.relu()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn softplus_keeps_the_digits_of_small_values() {
        let points = [-80f32, -30.0, -16.5, -1.0, 0.0, 1e-3, 3.0, 200.0];
        let found = softplus(&Tensor::new(&points, &Device::Cpu).unwrap()).unwrap().to_vec1::<f32>().unwrap();
        for (x, found) in points.into_iter().zip(found) {
            let x = f64::from(x);
            let expected = x.max(0.0) + (-x.abs()).exp().ln_1p();
            assert!((f64::from(found) / expected - 1.0).abs() < 5e-7, "{x}: {found:e} {expected:e}");
        }
    }

    #[test]
    fn batches_without_negatives_are_refused() {
        let message = |rows: usize, classes: &[usize], t: f64| {
            let features = Tensor::ones((rows, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
            Logits::of_other_classes(&features, classes, t).err().map(|e| e.to_string()).unwrap_or_default()
        };
        assert!(message(4, &[3, 3], 0.5).contains("all of class 3"));
        assert!(message(2, &[0], 0.5).contains("1 samples has no negatives"));
        assert!(message(0, &[], 0.5).contains("0 samples"));
        assert!(message(5, &[0, 1], 0.5).contains("[5, 3]"));
        assert!(message(4, &[0, 1], -1.0).contains("-1e0"));
        assert!(message(4, &[0, 1], f64::NAN).contains("NaN"));
        assert_eq!(message(4, &[0, 1], 0.5), "");
    }
}
