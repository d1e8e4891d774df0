//! The spectral contrastive loss: HaoChen, Wei, Gaidon & Ma (NeurIPS 2021, arXiv 2106.04156).
//!
//! L = −2 E f(x)·f(x⁺) + E (f(x)·f(x′))², with x′ a view of a sample of its own; up to a constant ‖Ā − F Fᵀ‖² for the
//! normalised adjacency matrix Ā of views, so that the minimiser spans its leading eigenvectors.
//!
//! The paper's f is not normalised; the authors' code (`jhaochenz96/spectral_contrastive_learning`) shortens features
//! longer than √μ to that length and divides the loss by μ, default 1. Here all rows have one length, f = √μ u for unit
//! rows u, like those of the other losses, and nothing is divided: L = −2μ E s⁺ + μ² E s². μ matters: the paper's
//! minimiser for C equal, perfectly separated classes has ‖f‖² = C. The code pairs views 1 with views 2 only, n−1 for
//! each anchor; here an anchor meets both views of the others.

use super::logits::{Logits, Weights};
use crate::error::Result;

/// The spectral loss with rows of squared length μ = `scale` > 0.
///
/// L_i = −2μ s_i⁺ + (μ²/N) Σ_j s_ij²; there is no denominator, and no temperature: that of the logits does not matter.
/// Identical features give μ² − 2μ, orthogonal samples with equal views the minimum −2μ.
///
/// Accuracy: f32.
///
/// # Errors
/// The tensor library fails.
pub fn spectral(logits: &Logits, scale: f64) -> Result<Weights> {
    let (cosines, t) = (logits.cosines()?, logits.temperature());
    let weight = scale * scale / logits.num_negatives();
    let losses = ((cosines.sqr()?.sum_keepdim(1)? * weight)? - (logits.positive() * (2.0 * scale))?)?;
    let by_negative = (cosines * (2.0 * weight * t))?;
    // A cosine is s_ij = t (a_ij + b_i): ∂L_i/∂b_i = −2μt + Σ_j ∂L_i/∂a_ij.
    let by_positive = (by_negative.sum_keepdim(1)? - 2.0 * scale * t)?;
    Ok(Weights { losses, by_negative, by_positive: Some(by_positive) })
}

#[cfg(test)]
mod tests {
    use crate::loss::{Loss, LossKind};
    use crate::ops::testing::{flat64, random};
    use candle_core::{DType, Device, Tensor};
    use nalgebra::DMatrix;

    fn spectral(features: &Tensor, scale: f64) -> Loss {
        let classes = vec![0; features.dim(0).unwrap() / 2];
        LossKind::Spectral { scale }.evaluate(features, &classes, 0.5).unwrap()
    }

    #[test]
    fn it_is_the_distance_of_matrices() {
        let (n, width, scale) = (7, 4, 2.5);
        let features = random(8, &[2 * n, width]);
        let found = f64::from(spectral(&features, scale).value.to_scalar::<f32>().unwrap());
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
        let view = Tensor::eye(5, DType::F32, &Device::Cpu).unwrap();
        let loss = spectral(&Tensor::cat(&[&view, &view], 0).unwrap(), 3.0);
        assert_eq!(loss.value.to_scalar::<f32>().unwrap(), -6.0);
        assert!(flat64(&loss.gradient).iter().all(|g| g.abs() < 1e-6));
    }
}
