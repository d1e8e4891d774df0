//! NSCL, negatives-only supervised contrastive learning: Luthra, Yang & Galanti (2025, arXiv 2506.04411).
//!
//! L_i = −s⁺_i/t + ln Σ_{j: y_j ≠ y_i} e^{s_ij/t}: DCL whose denominator leaves out the samples of the anchor's class.
//! It knows the labels: what self-supervised losses approach as classes become many (an oracle, not a competitor).
//!
//! That is the loss of the paper's first version, and the default. In its second the positive stands in the denominator
//! too, so that it is InfoNCE over the same negatives: `positive_in_denominator = true`. It is larger,
//! by ln(1 + e^{s⁺/t} / Σ_j e^{s_ij/t}) for each anchor, the less the more negatives there are. The theorem is about the
//! first.
//!
//! Theorem 1 there, in the form for unit rows and any t, with n samples of which n_max have the most frequent class:
//!
//! L_NSCL ≤ L_DCL ≤ L_NSCL + ln(1 + n_max e^{2/t} / (n − n_max)).
//!
//! n and n_max count samples: with two views of each, both double and the quotient stays. The anchor's own two views
//! are in neither denominator, so the bound holds with n_max − 1 in the numerator too: an anchor of a class of n_c
//! samples has 2n_c − 2 negatives of its class, each at most e^{1/t}, and 2(n − n_c) others, each at least e^{−1/t}.

use super::dcl::dcl;
use super::logits::{Logits, Weights};
use crate::error::Result;

/// NSCL, of logits whose negatives leave out the anchor's class: DCL of these.
pub(super) fn nscl(logits: &Logits) -> Result<Weights> {
    dcl(logits)
}

#[cfg(test)]
mod tests {
    use crate::loss::LossKind;
    use crate::ops::testing::random;
    use candle_core::Tensor;

    const NSCL: LossKind = LossKind::Nscl { positive_in_denominator: false };

    fn value(kind: LossKind, features: &Tensor, classes: &[u32], t: f64) -> f64 {
        f64::from(kind.evaluate(features, classes, t).unwrap().value.to_scalar::<f32>().unwrap())
    }

    /// Both versions at t = 0.5, of five samples with two views each on the unit circle, by numpy 2.4.6:
    ///
    /// ```python
    /// a = np.array([0.1, 0.5, 1.2, 2.0, 2.6, 0.2, 0.3, 1.5, 2.2, 2.4]); c = np.array([0, 1, 0, 2, 1] * 2)
    /// z = np.stack([np.cos(a), np.sin(a)], 1); s = z @ z.T / 0.5
    /// for with_positive in (0, 1):
    ///     positive = [s[i, (i + 5) % 10] for i in range(10)]
    ///     others = [np.exp(s[i][c != c[i]]).sum() + with_positive * np.exp(positive[i]) for i in range(10)]
    ///     print(np.mean(np.log(others) - positive))
    /// ```
    #[test]
    fn both_versions_have_the_value_of_numpy() {
        let angles = [0.1f32, 0.5, 1.2, 2.0, 2.6, 0.2, 0.3, 1.5, 2.2, 2.4];
        let rows: Vec<f32> = angles.iter().flat_map(|angle| [angle.cos(), angle.sin()]).collect();
        let features = Tensor::from_vec(rows, (10, 2), &candle_core::Device::Cpu).unwrap();
        for (positive_in_denominator, expected) in [(false, 1.010196220267225), (true, 1.3239676571125851)] {
            let found = value(LossKind::Nscl { positive_in_denominator }, &features, &[0, 1, 0, 2, 1], 0.5);
            assert!((found - expected).abs() < 1e-6, "{positive_in_denominator}: {found} {expected}");
        }
    }

    #[test]
    fn dcl_lies_between_nscl_and_the_bound() {
        let classes = [0, 1, 2, 0, 0, 1, 2, 3, 0, 1];
        let (n, largest) = (10.0, 4.0);
        for seed in 0..20 {
            let features = random(seed, &[20, 3]);
            for t in [0.2, 0.5, 1.0, 5.0] {
                let below = value(NSCL, &features, &classes, t);
                let between = value(LossKind::Dcl {}, &features, &classes, t);
                let excess = ((largest - 1.0) * (2.0 / t).exp() / (n - largest)).ln_1p();
                assert!(below <= between, "{seed} {t}: {below} {between}");
                assert!(between <= below + excess, "{seed} {t}: {between} {below} + {excess}");
            }
        }
    }

    #[test]
    fn the_bound_is_reached_to_its_constants() {
        // Every class at one point, two classes opposite each other: same-class logits 1/t, others −1/t.
        let t = 0.5;
        let side = |sign: f32| vec![sign, 0.0];
        let rows: Vec<f32> = [1.0, 1.0, 1.0, -1.0, -1.0, -1.0].iter().flat_map(|&s| side(s)).collect();
        let view = Tensor::from_vec(rows, (6, 2), &candle_core::Device::Cpu).unwrap();
        let features = Tensor::cat(&[&view, &view], 0).unwrap();
        let of = |kind: LossKind| value(kind, &features, &[0, 0, 0, 1, 1, 1], t);
        let gap = of(LossKind::Dcl {}) - of(NSCL);
        let expected = (2.0 * (2.0 / t).exp() / 3.0).ln_1p();
        assert!((gap - expected).abs() < 1e-5, "{gap} {expected}");
    }
}
