//! Contrastive losses of head features, in nats, averaged over anchors, each with its gradient.
//!
//! Features \[2n, d\] are view 1 of n samples, then view 2 of the same; a loss normalises their rows. Where nothing else is
//! said, all 2n views are anchors, and an anchor's negatives are both views of the n−1 other samples.
//!
//! | | denominator, or its place | negatives of the anchor's class |
//! |---|---|---|
//! | [`nt_xent`] | positive and negatives | count |
//! | [`debiased`] | positive and corrected sum | are subtracted in expectation |
//! | [`hard`] | positive and corrected sum, weighted towards near negatives | are subtracted in expectation |
//! | [`dcl`], [`dclw`] | negatives | count |
//! | [`flat_nce`] | negatives (value: positive and negatives) | count |
//! | [`nscl`] | negatives | are left out: it knows the classes |
//! | [`spectral`] | none: mean square of the negatives' cosines | count |
//! | [`eq_co`] | positive and negatives, these weighted as α of them | count |
//! | [`sampled_info_nce`] | positive and K sampled negatives | count |

mod anchor;
mod cross_entropy;
mod dcl;
mod debiased;
mod eq_co;
mod flat_nce;
mod hard;
mod info_nce;
mod kind;
mod logits;
mod nscl;
mod nt_xent;
#[cfg(test)]
mod properties;
mod queue;
mod selected;
mod selection;
mod spectral;

pub use anchor::Kept;
pub use cross_entropy::cross_entropy;
pub use dcl::{dcl, dclw};
pub use debiased::debiased;
pub use eq_co::eq_co;
pub use flat_nce::flat_nce;
pub use hard::hard;
pub use info_nce::{negative_mask, sampled_info_nce};
pub use kind::LossKind;
pub use nscl::nscl;
pub use nt_xent::nt_xent;
pub use queue::{Queue, queue_info_nce};
pub use selected::selected_nt_xent;
pub use selection::{Choice, Selection};
pub use spectral::spectral;

use crate::error::{Error, Result};
use candle_core::{Tensor, Var};

/// A loss and its gradient.
#[derive(Debug, Clone)]
pub struct Loss {
    /// A scalar.
    pub value: Tensor,
    /// With respect to the features, of their shape.
    pub gradient: Tensor,
}

impl Loss {
    /// A loss that candle's autograd differentiates.
    fn from_graph(value: &Tensor, features: &Var) -> Result<Self> {
        let mut gradients = value.backward()?;
        let gradient = match gradients.remove(features) {
            Some(gradient) => gradient,
            None => features.zeros_like()?,
        };
        Ok(Self { value: value.detach(), gradient })
    }
}

/// 1/t.
fn inverse(temperature: f64) -> Result<f32> {
    let inverse = (1.0 / temperature) as f32;
    match inverse > 0.0 && inverse.is_finite() {
        true => Ok(inverse),
        false => Err(Error::argument(format!(
            "the temperature must be positive, and 1/t a number of f32, not t = {temperature:e}"
        ))),
    }
}

/// What stands in place of a logit that does not take part; finite, so that no gradient becomes NaN.
const MASKED: f32 = -1e9;

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use measure::rng::{Purpose, normal, stream};

    fn features(rows: usize, seed: u64) -> Vec<Vec<f64>> {
        let mut rng = stream(seed, Purpose::Evaluation, 0);
        (0..rows)
            .map(|_| {
                let v: Vec<f64> = (0..5).map(|_| f64::from(normal(&mut rng))).collect();
                let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
                v.iter().map(|x| x / norm).collect()
            })
            .collect()
    }

    fn tensor(rows: &[Vec<f64>]) -> Tensor {
        let flat: Vec<f32> = rows.iter().flatten().map(|&v| v as f32).collect();
        Tensor::from_vec(flat, (rows.len(), rows[0].len()), &Device::Cpu).unwrap()
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    }

    fn value(loss: &Tensor) -> f64 {
        f64::from(loss.to_scalar::<f32>().unwrap())
    }

    #[test]
    fn nt_xent_is_the_double_loop() {
        let (first, second) = (features(6, 1), features(6, 2));
        let all: Vec<_> = first.iter().chain(&second).cloned().collect();
        for t in [0.1, 0.5, 2.0] {
            let mut sum = 0.0;
            for i in 0..12 {
                let denominator: f64 =
                    (0..12).filter(|&j| j != i).map(|j| (dot(&all[i], &all[j]) / t).exp()).sum();
                sum -= dot(&all[i], &all[(i + 6) % 12]) / t - denominator.ln();
            }
            let found = value(&nt_xent(&tensor(&all), t).unwrap().value);
            assert!((found - sum / 12.0).abs() < 1e-5, "t={t}: {found} {}", sum / 12.0);
        }
    }

    #[test]
    fn identical_features_give_the_logarithm_of_the_candidates() {
        let same = vec![vec![0.6, 0.8]; 8];
        let both = tensor(&[same.clone(), same].concat());
        let found = value(&nt_xent(&both, 0.5).unwrap().value);
        assert!((found - 15f64.ln()).abs() < 1e-5); // 2n−1 candidates
        let mut rng = stream(1, Purpose::Negatives, 0);
        let mask = negative_mask(8, 3, &mut rng).unwrap();
        let found = value(&sampled_info_nce(&both, &mask, 0.5).unwrap().value);
        assert!((found - 4f64.ln()).abs() < 1e-5); // K+1 candidates
    }

    #[test]
    fn sampled_info_nce_is_the_double_loop() {
        let (first, second) = (features(7, 3), features(7, 4));
        let mask = negative_mask(7, 2, &mut stream(5, Purpose::Negatives, 0)).unwrap();
        let kept = mask.to_vec2::<f32>().unwrap();
        let t = 0.3;
        let mut sum = 0.0;
        for i in 0..7 {
            let candidates: Vec<usize> = (0..7).filter(|&j| kept[i][j] == 0.0).collect();
            assert_eq!(candidates.len(), 3, "the positive and K = 2 negatives");
            assert!(candidates.contains(&i));
            let denominator: f64 = candidates.iter().map(|&j| (dot(&first[i], &second[j]) / t).exp()).sum();
            sum -= dot(&first[i], &second[i]) / t - denominator.ln();
        }
        let both = tensor(&[first, second].concat());
        let found = value(&sampled_info_nce(&both, &mask, t).unwrap().value);
        assert!((found - sum / 7.0).abs() < 1e-5);
    }

    #[test]
    fn negatives_are_uniform_over_the_others() {
        let mut counts = vec![0u32; 5];
        let mut rng = stream(9, Purpose::Negatives, 0);
        for _ in 0..4000 {
            let kept = negative_mask(5, 2, &mut rng).unwrap().to_vec2::<f32>().unwrap();
            (1..5).filter(|&j| kept[0][j] == 0.0).for_each(|j| counts[j] += 1);
        }
        // Each of the 4 others is drawn with probability 1/2: 2000 ± 4.5 standard deviations of 31.6.
        assert!(counts[1..].iter().all(|&c| (1858..2142).contains(&c)), "{counts:?}");
        assert!(negative_mask(5, 5, &mut rng).is_err());
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let features = [features(4, 6), features(4, 7)].concat();
        let mask = negative_mask(4, 2, &mut stream(5, Purpose::Negatives, 0)).unwrap();
        type Function<'a> = &'a dyn Fn(&Tensor) -> Loss;
        let losses: [Function<'_>; 2] =
            [&|z| nt_xent(z, 0.5).unwrap(), &|z| sampled_info_nce(z, &mask, 0.5).unwrap()];
        for loss in losses {
            let gradient = loss(&tensor(&features)).gradient.to_vec2::<f32>().unwrap();
            for (i, j) in [(0, 0), (1, 3), (3, 4), (6, 1)] {
                let shifted = |h: f64| {
                    let mut rows = features.clone();
                    rows[i][j] += h;
                    value(&loss(&tensor(&rows)).value)
                };
                let numeric = (shifted(1e-2) - shifted(-1e-2)) / 2e-2;
                assert!((numeric - f64::from(gradient[i][j])).abs() < 1e-3, "{numeric} {}", gradient[i][j]);
            }
        }
    }

    #[test]
    fn a_small_temperature_does_not_overflow() {
        let both = tensor(&[features(6, 1), features(6, 2)].concat());
        assert!(value(&nt_xent(&both, 0.01).unwrap().value).is_finite());
    }
}
