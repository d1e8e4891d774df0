//! Contrastive losses on unit features, in nats, averaged over anchors.

mod info_nce;
mod nt_xent;

pub use info_nce::{negative_mask, sampled_info_nce};
pub use nt_xent::nt_xent;

/// What stands in place of a logit that does not take part; finite, so that no gradient becomes NaN.
const MASKED: f32 = -1e9;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::normalise;
    use crate::rng::{Purpose, normal, stream};
    use candle_core::{Device, Tensor, Var};

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
            let found = value(&nt_xent(&tensor(&first), &tensor(&second), t).unwrap());
            assert!((found - sum / 12.0).abs() < 1e-5, "t={t}: {found} {}", sum / 12.0);
        }
    }

    #[test]
    fn identical_features_give_the_logarithm_of_the_candidates() {
        let same = vec![vec![0.6, 0.8]; 8];
        let found = value(&nt_xent(&tensor(&same), &tensor(&same), 0.5).unwrap());
        assert!((found - 15f64.ln()).abs() < 1e-5); // 2n−1 candidates
        let mut rng = stream(1, Purpose::Negatives, 0);
        let mask = negative_mask(8, 3, &mut rng).unwrap();
        let found = value(&sampled_info_nce(&tensor(&same), &tensor(&same), &mask, 0.5).unwrap());
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
        let found = value(&sampled_info_nce(&tensor(&first), &tensor(&second), &mask, t).unwrap());
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
        let (first, second) = (features(4, 6), features(4, 7));
        let mask = negative_mask(4, 2, &mut stream(5, Purpose::Negatives, 0)).unwrap();
        type Loss<'a> = &'a dyn Fn(&Tensor, &Tensor) -> Tensor;
        let losses: [Loss<'_>; 2] =
            [&|a, b| nt_xent(a, b, 0.5).unwrap(), &|a, b| sampled_info_nce(a, b, &mask, 0.5).unwrap()];
        for loss in losses {
            let run = |rows: &[Vec<f64>]| {
                loss(&normalise(&tensor(rows)).unwrap(), &normalise(&tensor(&second)).unwrap())
            };
            let var = Var::from_tensor(&tensor(&first)).unwrap();
            let total = loss(&normalise(var.as_tensor()).unwrap(), &normalise(&tensor(&second)).unwrap());
            let gradient = total.backward().unwrap().get(&var).unwrap().to_vec2::<f32>().unwrap();
            for (i, j) in [(0, 0), (1, 3), (3, 4)] {
                let shifted = |h: f64| {
                    let mut rows = first.clone();
                    rows[i][j] += h;
                    value(&run(&rows))
                };
                let numeric = (shifted(1e-2) - shifted(-1e-2)) / 2e-2;
                assert!((numeric - f64::from(gradient[i][j])).abs() < 1e-3, "{numeric} {}", gradient[i][j]);
            }
        }
    }

    #[test]
    fn a_small_temperature_does_not_overflow() {
        let (first, second) = (features(6, 1), features(6, 2));
        assert!(value(&nt_xent(&tensor(&first), &tensor(&second), 0.01).unwrap()).is_finite());
    }
}
