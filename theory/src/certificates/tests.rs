//! The registry as a whole, and values by hand.

use super::*;
use crate::losses::Estimate;
use crate::{ClassPrior, NumNegatives, Sampling, collision};
use std::collections::BTreeSet;

fn row(counts: &[u64], negatives: u64, sampling: Sampling, measures: &[(Quantity, f64)]) -> LossComponents {
    let draws = NumNegatives::new(negatives).unwrap().draws();
    let mut losses = LossComponents::new(counts.len() as u64, draws, 0.5, sampling).unwrap();
    losses.class_counts = Some(counts.to_vec());
    for &(quantity, value) in measures {
        losses.set(quantity, Estimate::exact(value)).unwrap();
    }
    losses
}

const ALL: [(Quantity, f64); 7] = [
    (Quantity::InfoNce, 2.3),
    (Quantity::Gap, -0.1),
    (Quantity::MeanMargin, 0.7),
    (Quantity::FullSupLoss, 0.9),
    (Quantity::SupervisedOdds, 0.9),
    (Quantity::CantelliError, 0.3),
    (Quantity::DirectionalError, 0.4),
];

fn bound(key: &str, losses: &LossComponents) -> f64 {
    let outcome = find(key).unwrap().error_bound(losses);
    outcome.value().unwrap_or_else(|| panic!("{key}: {}", outcome.reason()))
}

#[test]
fn keys_are_distinct_and_needs_are_what_they_say() {
    let keys: BTreeSet<_> = all().iter().map(|c| c.key()).collect();
    assert_eq!(keys.len(), all().len());
    let full = row(&[20; 4], 11, Sampling::WithReplacement, &ALL);
    for certificate in all() {
        assert_eq!(find(certificate.key()).unwrap().name(), certificate.name());
        assert!(certificate.error_bound(&full).value().is_some(), "{}", certificate.key());
        for need in certificate.needs() {
            let mut without = full.clone();
            without.measures.remove(need);
            let outcome = certificate.error_bound(&without);
            assert!(outcome.reason().contains(need.name()), "{}: {outcome:?}", certificate.key());
        }
    }
    assert!(find("no_such_certificate").is_none());
}

#[test]
fn equal_classes_by_the_formula() {
    for (classes, negatives) in [(10, 1), (10, 255), (3, 40)] {
        // Two classes together: a prior whose first class is as likely as both.
        let negatives = NumNegatives::new(negatives).unwrap();
        let cost = |together: u64| {
            let others = 100 * (classes as u64 - together);
            let prior = ClassPrior::from_counts(vec![100 * together, others]).unwrap();
            let law = |p: f64| {
                // E ln(1 + Bin(K, p)), factor by factor.
                let k = negatives.get();
                let mut weight = (1.0 - p).powi(k as i32);
                let mut sum = 0.0;
                for m in 0..=k {
                    sum += weight * (m as f64).ln_1p();
                    weight *= (k - m) as f64 / (m + 1) as f64 * p / (1.0 - p);
                }
                sum
            };
            law(prior.probability(0))
        };
        let (one, two) = (cost(1), cost(2));
        let uniform = ClassPrior::uniform(classes as u64).unwrap();
        let known = collision::expected_ln1p(&uniform, Sampling::WithReplacement, negatives).unwrap();
        assert!((one - known).abs() < 1e-12);
        let measures = [(Quantity::InfoNce, one + 0.4 * (two - one)), (Quantity::Gap, 0.0)];
        let losses = row(&vec![100; classes], negatives.get(), Sampling::WithReplacement, &measures);
        let expected = 0.4;
        let found = bound("contrastive", &losses);
        assert!(found >= expected && found - expected < 1e-7 * expected, "{found} {expected}");
    }
}

#[test]
fn unequal_classes_and_distinct_images_by_hand() {
    // Three images of class 0, one of class 1, one negative. Class 0: N_c = 1 with probability 2/3, N_c + N_1 always; an
    // error costs ⅓ ln 2. Class 1: N_c = 0, and an error costs ln 2, its negative being of class 0 always. The cheap
    // class is filled first: ¾·⅓ ln 2 = ¼ ln 2 is what errors of all of class 0 cost, beside ¾·⅔ ln 2 = ½ ln 2.
    let ln2 = 2f64.ln();
    let at = |loss: f64| {
        let measures = [(Quantity::InfoNce, loss), (Quantity::Gap, 0.0)];
        bound("contrastive", &row(&[3, 1], 1, Sampling::WithoutReplacement, &measures))
    };
    assert!((at(0.5 * ln2)).abs() < 1e-8);
    assert!((at(0.625 * ln2) - 0.375).abs() < 1e-8);
    assert!((at(0.75 * ln2) - 0.75).abs() < 1e-8);
    assert!((at(0.875 * ln2) - 0.875).abs() < 1e-8);
    assert!((at(ln2) - 1.0).abs() < 1e-8);
    assert!((at(1.5 * ln2) - 2.0).abs() < 1e-8);
    let low =
        row(&[3, 1], 1, Sampling::WithoutReplacement, &[(Quantity::InfoNce, 0.3), (Quantity::Gap, 0.0)]);
    let outcome = find("contrastive").unwrap().error_bound(&low);
    assert!(outcome.reason().contains("always right"), "{outcome:?}");
}

#[test]
fn certificates_are_monotone_and_the_margin_helps() {
    let mut helped = 0;
    for sampling in [Sampling::WithReplacement, Sampling::WithoutReplacement] {
        for counts in [[30, 30, 30], [60, 25, 5]] {
            for negatives in [1, 7, 60] {
                let most = (negatives as f64).ln_1p();
                let set = |quantity: Quantity, value: f64| {
                    let mut losses = row(&counts, negatives, sampling, &ALL);
                    losses.set(Quantity::InfoNce, Estimate::exact(0.9 * most)).unwrap();
                    losses.set(quantity, Estimate::exact(value)).unwrap();
                    losses
                };
                for key in ["contrastive", "contrastive_margin", "upper_bound", "upper_bound_margin"] {
                    if counts[0] != counts[1] && key == "upper_bound_margin" {
                        continue;
                    }
                    for (quantity, values, rises) in [
                        (Quantity::InfoNce, [0.8, 1.0, 1.3, 2.0].map(|share| share * most), true),
                        (Quantity::Gap, [-2.0, -1.0, -0.5, 0.0], false),
                        (Quantity::MeanMargin, [-0.5, 0.0, 0.3, 1.0], true),
                    ] {
                        let found = values.map(|value| {
                            let outcome = find(key).unwrap().error_bound(&set(quantity, value));
                            outcome.value().unwrap_or(f64::NEG_INFINITY)
                        });
                        let ordered =
                            found.windows(2).all(|w| if rises { w[0] <= w[1] } else { w[0] >= w[1] });
                        assert!(ordered, "{key} {quantity}: {found:?}");
                    }
                }
                let losses = set(Quantity::MeanMargin, 0.7);
                let (with, without) = (bound("contrastive_margin", &losses), bound("contrastive", &losses));
                assert!(with <= without);
                helped += usize::from(with < 0.98 * without);
            }
        }
    }
    assert!(helped > 3, "{helped}");
}

/// The dual that is computed is the best split of the mean logit between right and wrong anchors.
#[test]
fn the_margin_certificate_is_the_primal_optimum() {
    let (classes, negatives) = (5, 30);
    let law = |p: f64| -> Vec<f64> {
        let mut weight = (1.0 - p).powi(negatives);
        (0..=negatives)
            .map(|m| {
                let of_m = weight;
                weight *= f64::from(negatives - m) / f64::from(m + 1) * p / (1.0 - p);
                of_m
            })
            .collect()
    };
    let mean = |law: &[f64], x: f64| -> f64 {
        let terms = law.iter().enumerate();
        terms.map(|(s, p)| p * (s as f64 + f64::from(negatives - s as i32) * x.exp()).ln_1p()).sum()
    };
    let (right, wrong) = (law(1.0 / f64::from(classes)), law(2.0 / f64::from(classes)));
    let stretch = f64::from(classes - 1) / f64::from(classes - 2);
    for (loss, margin) in [(2.88, 0.4), (2.58, 0.7), (2.44, 0.9)] {
        let measures = [(Quantity::InfoNce, loss), (Quantity::Gap, 0.0), (Quantity::MeanMargin, margin)];
        let counts = vec![50; classes as usize];
        let losses = row(&counts, negatives as u64, Sampling::WithReplacement, &measures);
        let found = bound("contrastive_margin", &losses);
        let mean_logit = -margin / losses.temperature;
        // h(p): the least loss with an error of p.
        let least = |p: f64| {
            (0..6000)
                .map(|i| {
                    let y = -0.01 * f64::from(i);
                    let x = (mean_logit - p * y) / (1.0 - p);
                    let of_wrong = if y <= 0.0 { mean(&wrong, stretch * y) } else { mean(&right, y) };
                    (1.0 - p) * mean(&right, x) + p * of_wrong
                })
                .fold(f64::INFINITY, f64::min)
        };
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..30 {
            let p = 0.5 * (low + high);
            if least(p) <= loss { low = p } else { high = p }
        }
        assert!(found < 1.0 && found >= low - 1e-4 && found - low < 1e-3, "{found} {low}");
    }
}

#[test]
fn supervised_by_hand() {
    let losses = row(&[9; 3], 4, Sampling::WithReplacement, &ALL);
    assert!((bound("supervised", &losses) - 0.9 / 2f64.ln()).abs() < 1e-8);
    assert!(bound("supervised_margin", &losses) < bound("supervised", &losses));
    assert!((chance_error(&losses) - 2.0 / 3.0).abs() < 1e-15);
    assert!((chance_error(&row(&[6, 2], 1, Sampling::WithReplacement, &[])) - 0.25).abs() < 1e-15);
    // Two classes: an error has logit ≥ 0 and a loss of at least ln 2 + half of it; right anchors then lie lower.
    let mut two = row(&[5; 2], 1, Sampling::WithReplacement, &ALL);
    two.set(Quantity::FullSupLoss, Estimate::exact(0.4)).unwrap();
    assert!(bound("supervised_margin", &two) < bound("supervised", &two));
    assert!(power_mean::supervised_at(1.0, 1.0, 0.5, 10).is_err());
}
