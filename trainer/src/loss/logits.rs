//! What a contrastive loss is a function of, and what it gives back.
//!
//! An anchor i has the cosine s_i⁺ with its positive and the cosines s_ij with its negatives. With b_i = s_i⁺/t and
//! a_ij = (s_ij − s_i⁺)/t a loss is L = mean_i L_i(a_i1, a_i2, …, b_i); it is written once, as a function from
//! [`Logits`] to [`Weights`], whatever the negatives are and whichever of them count ([`super::Candidates`],
//! [`super::SelectedRanks`]).
//!
//! InfoNCE and its relatives depend on a alone. Cosines are subtracted before they are scaled: the difference of near
//! ones is exact, and a small loss keeps its digits.

use crate::error::Result;
use candle_core::{D, Tensor};

/// Which candidates are negatives that count, \[A, M\].
#[derive(Debug, Clone)]
pub(crate) struct Mask {
    /// 1 where j is one of anchor i, else 0.
    pub is_negative: Tensor,
    /// 0 where j is one of anchor i, else −∞.
    pub added: Tensor,
}

/// Logits of A anchors with M candidates each, of which some are negatives.
#[derive(Debug, Clone)]
pub struct Logits {
    pub(super) positive: Tensor,
    /// a_ij of every pair, also of those that are no negatives; \[A, M\].
    pub(super) relative: Tensor,
    /// `None`: all are negatives that count.
    pub(super) mask: Option<Mask>,
    pub(super) num_negatives: usize,
    pub(super) temperature: f64,
}

impl Logits {
    /// The cosines s_i⁺ \[A, 1\] of anchors with their positives.
    pub fn positive(&self) -> &Tensor {
        &self.positive
    }

    /// t.
    pub fn temperature(&self) -> f64 {
        self.temperature
    }

    /// N: how many negatives of an anchor count.
    pub fn num_negatives(&self) -> f64 {
        self.num_negatives as f64
    }

    /// factor·a_ij, −∞ where j is no negative of anchor i; \[A, M\].
    ///
    /// # Errors
    /// The tensor library fails.
    pub fn negatives(&self, factor: f64) -> Result<Tensor> {
        let scaled = (&self.relative * factor)?;
        match &self.mask {
            Some(mask) => Ok((scaled + &mask.added)?),
            None => Ok(scaled),
        }
    }

    /// The cosines s_ij, 0 where j is no negative of anchor i; \[A, M\].
    ///
    /// # Errors
    /// The tensor library fails.
    pub fn cosines(&self) -> Result<Tensor> {
        let cosines = (&self.relative * self.temperature)?.broadcast_add(&self.positive)?;
        match &self.mask {
            Some(mask) => Ok((cosines * &mask.is_negative)?),
            None => Ok(cosines),
        }
    }
}

/// What a loss is at given logits, and how it moves with them.
#[derive(Debug, Clone)]
pub struct Weights {
    /// L_i, \[A, 1\].
    pub losses: Tensor,
    /// W_ij = ∂(Σ L)/∂a_ij, 0 where j is no negative of anchor i; \[A, M\].
    pub by_negative: Tensor,
    /// B_i = ∂(Σ L)/∂b_i at constant a, \[A, 1\]; `None`: 0.
    pub by_positive: Option<Tensor>,
}

/// ln Σ_j e^{x_ij}, \[rows, 1\], shifted by the maximum of the row; a row needs one finite number.
///
/// # Errors
/// The tensor library fails.
pub fn log_sum_exp(x: &Tensor) -> Result<Tensor> {
    let largest = x.max_keepdim(D::Minus1)?;
    Ok((x.broadcast_sub(&largest)?.exp()?.sum_keepdim(D::Minus1)?.log()? + largest)?)
}

/// ln(1 + e^x) to f32's relative accuracy, also where e^x is far below 1; finite for every finite x.
///
/// # Errors
/// The tensor library fails.
pub fn softplus(x: &Tensor) -> Result<Tensor> {
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
}
