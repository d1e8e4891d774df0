//! The spectral contrastive loss: HaoChen, Wei, Gaidon & Ma (NeurIPS 2021, arXiv 2106.04156).
//!
//! L = −2 E f(x)·f(x⁺) + E (f(x)·f(x′))², with x′ a view of a sample of its own; up to a constant ‖Ā − F Fᵀ‖² for the normalised
//! adjacency matrix Ā of views, so that the minimiser spans its leading eigenvectors.
//!
//! The paper's f is not normalised; the authors' code (`jhaochenz96/spectral_contrastive_learning`) shortens features longer than √μ
//! to that length and divides the loss by μ, default 1. Here all rows have one length, f = √μ u for unit rows u, like those of the
//! other losses, and nothing is divided: L = −2μ E s⁺ + μ² E s². μ matters: the paper's minimiser for C equal, perfectly separated
//! classes has ‖f‖² = C. The code pairs views 1 with views 2 only, n−1 for each anchor; here an anchor meets both views of the others.

use super::Loss;
use super::logits::Logits;
use crate::error::Result;
use candle_core::Tensor;

/// The spectral loss of features \[2n, d\] with rows of squared length μ = `scale` > 0, averaged over the 2n anchors.
///
/// −(2μ/2n) Σ_i s_{i i⁺} + μ²/(2n(2n−2)) Σ_i Σ_{j ≠ i, i⁺} s_ij². Each anchor has 2n−2 negatives, both views of the other samples; there
/// is no denominator and no temperature. Identical features give μ² − 2μ, orthogonal samples with equal views the minimum −2μ.
///
/// Accuracy: f32.
///
/// # Errors
/// Features that are not two views of at least two samples.
pub fn spectral(features: &Tensor, scale: f64) -> Result<Loss> {
    let logits = Logits::new(features, 1.0)?;
    let cosines = (logits.relative.broadcast_add(&logits.positive)? * &logits.is_negative)?;
    let weight = scale * scale / logits.num_negatives();
    let losses = ((cosines.sqr()?.sum_keepdim(1)? * weight)? - (&logits.positive * (2.0 * scale))?)?;
    let by_negative = (cosines * (2.0 * weight))?;
    // At t = 1 a cosine is s_ij = a_ij + b_i: ∂L_i/∂b_i = −2μ + Σ_j ∂L_i/∂s_ij.
    let by_positive = (by_negative.sum_keepdim(1)? - 2.0 * scale)?;
    logits.mean(&losses, &by_negative, Some(&by_positive))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{flat64, random};
    use nalgebra::DMatrix;

    #[test]
    fn it_is_the_distance_of_matrices() {
        let (n, width, scale) = (7, 4, 2.5);
        let features = random(8, &[2 * n, width]);
        let found = f64::from(spectral(&features, scale).unwrap().value.to_scalar::<f32>().unwrap());
        let mut u = DMatrix::from_row_slice(2 * n, width, &flat64(&features));
        u.row_iter_mut().for_each(|mut row| row /= row.norm());
        // Views as a graph with one edge from each to its other view: Ā is that permutation, and F = √(μ/2n) u.
        let views = 2.0 * n as f64;
        let adjacency = DMatrix::from_fn(2 * n, 2 * n, |i, j| f64::from(u8::from(j == (i + n) % (2 * n))));
        let f = u * (scale / views).sqrt();
        let products = &f * f.transpose();
        let distance = (&adjacency - &products).norm_squared();
        // ‖Ā − FFᵀ‖² = 2n − 2μ E s⁺ + (μ/2n)² Σ s², from which the pairs i = j and j = i⁺ are taken.
        let positive = products.component_mul(&adjacency);
        let pairs = products.norm_squared() - products.diagonal().norm_squared() - positive.norm_squared();
        let attraction = distance - views - products.norm_squared();
        let expected = attraction + pairs * views / (views - 2.0);
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }

    #[test]
    fn orthogonal_samples_are_the_minimum() {
        let view = Tensor::eye(5, candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
        let loss = spectral(&Tensor::cat(&[&view, &view], 0).unwrap(), 3.0).unwrap();
        assert_eq!(loss.value.to_scalar::<f32>().unwrap(), -6.0);
        assert!(flat64(&loss.gradient).iter().all(|g| g.abs() < 1e-6));
    }
}
