//! υ in floating point and as exact integers: against each other, against enumeration, and against the literature.

use proptest::prelude::*;
use theory::coverage::{self, exact};
use theory::{ClassPrior, NumDraws, Probability, Sampling};

const BOTH: [Sampling; 2] = [Sampling::WithReplacement, Sampling::WithoutReplacement];

fn float(prior: &ClassPrior, sampling: Sampling, n: u64) -> Probability {
    coverage::probability(prior, sampling, NumDraws::new(n).unwrap()).unwrap()
}

fn integers(prior: &ClassPrior, sampling: Sampling, n: u64) -> exact::ExactProbability {
    exact::probability(prior, sampling, NumDraws::new(n).unwrap()).unwrap()
}

/// How far the floating value may stand from the exact one, relative to p: the accuracy and the value's own
/// bound.
fn assert_close(prior: &ClassPrior, sampling: Sampling, n: u64) {
    let (found, truth) = (float(prior, sampling, n), integers(prior, sampling, n));
    let sides = [
        (found.ln(), truth.ln(), found.relative_error_bound(), "upsilon"),
        (
            found.ln_complement(),
            truth.complement().ln(),
            found.complement_relative_error_bound(),
            "complement",
        ),
    ];
    for (ours, exact, bound, side) in sides {
        if exact == f64::NEG_INFINITY {
            assert_eq!(ours, exact, "{side} {sampling} n={n} {:?}", prior.counts());
            continue;
        }
        // |Δ ln p| is the relative error of p; the oracle's logarithm itself is rounded.
        let error = (ours - exact).abs();
        let oracle = 4.0 * f64::EPSILON * (1.0 + exact.abs());
        let allowed = if exact > -6.9 { 6e-15 } else { 1e-12 };
        let context = || format!("{side} {sampling} C={} n={n} {:?}", prior.num_classes(), prior.groups());
        assert!(error <= allowed + oracle, "{}: error {error:e}", context());
        assert!(error <= bound + oracle, "{}: error {error:e} above the bound {bound:e}", context());
        assert!(bound < 1e-10, "{}: useless bound {bound:e}", context());
    }
}

#[test]
fn uniform_grid_against_integers() {
    for classes in [2, 3, 4, 7, 10, 31, 100, 250] {
        for factor in [1.0, 1.02, 1.1, 1.28, 2.0, 3.5, 5.0, 7.0, 10.24, 20.0] {
            let n = (classes as f64 * factor).ceil() as u64;
            assert_close(&ClassPrior::uniform(classes).unwrap(), Sampling::WithReplacement, n);
        }
    }
}

#[test]
fn equal_counts_without_replacement_against_integers() {
    for (classes, items) in [(2, 1), (2, 3), (3, 8), (10, 45), (10, 1), (30, 5), (100, 20)] {
        let prior = ClassPrior::from_counts(vec![items; classes as usize]).unwrap();
        let total = classes * items;
        for n in [
            classes,
            classes + 1,
            (3 * classes).min(total),
            total / 2,
            total - items,
            total - items + 1,
            total,
        ]
        .into_iter()
        .filter(|&n| n >= 1 && n <= total)
        {
            assert_close(&prior, Sampling::WithoutReplacement, n);
        }
    }
}

#[test]
fn published_values() {
    let hundred = ClassPrior::uniform(100).unwrap();
    assert!(
        (float(&hundred, Sampling::WithReplacement, 128).value() / 1.503_620_507_819_779_9e-22 - 1.0).abs()
            < 1e-13
    );
    assert!(
        (float(&hundred, Sampling::WithReplacement, 512).value() / 0.552_681_043_728_518_6 - 1.0).abs()
            < 4e-15
    );
    let ten = ClassPrior::uniform(10).unwrap();
    assert!(
        (float(&ten, Sampling::WithReplacement, 512).ln_complement().exp() / 3.733918487410e-23 - 1.0).abs()
            < 1e-12
    );
    // The validation set of CIFAR-100: 100 classes of 100 images, batches without replacement.
    let cifar100 = ClassPrior::from_counts(vec![100; 100]).unwrap();
    for (n, expected) in
        [(128, 2.444561119012263e-22), (512, 0.596_732_873_851_326_8), (1024, 0.998_080_365_138_325_8)]
    {
        assert!(
            (float(&cifar100, Sampling::WithoutReplacement, n).value() / expected - 1.0).abs() < 5e-14,
            "{n}"
        );
    }
    // ln υ of a case far below the float range.
    let imagenet21k = ClassPrior::uniform(21841).unwrap();
    assert!((float(&imagenet21k, Sampling::WithReplacement, 65537).ln() + 1218.4344992280105).abs() < 1e-9);
    assert!((float(&imagenet21k, Sampling::WithReplacement, 250000).value() - 0.79183901657).abs() < 1e-11);
}

#[test]
fn enumeration_of_small_cases() {
    for counts in [vec![1u64, 1], vec![2, 2], vec![3, 1], vec![2, 2, 2], vec![1, 2, 3], vec![4, 1, 1]] {
        let prior = ClassPrior::from_counts(counts.clone()).unwrap();
        let labels: Vec<usize> = counts.iter().enumerate().flat_map(|(c, &m)| vec![c; m as usize]).collect();
        let items = labels.len();
        for n in 1..=5usize {
            // Every word of n items; for draws without replacement those with distinct items.
            let (mut all, mut distinct, mut covering, mut distinct_covering) = (0u64, 0u64, 0u64, 0u64);
            for code in 0..items.pow(n as u32) {
                let word: Vec<usize> = (0..n).map(|i| code / items.pow(i as u32) % items).collect();
                let covers = (0..counts.len()).all(|c| word.iter().any(|&i| labels[i] == c));
                let is_distinct = (0..n).all(|i| !word[..i].contains(&word[i]));
                all += 1;
                covering += u64::from(covers);
                distinct += u64::from(is_distinct);
                distinct_covering += u64::from(covers && is_distinct);
            }
            for (sampling, favourable, total) in
                [(BOTH[0], covering, all), (BOTH[1], distinct_covering, distinct)]
            {
                if total == 0 {
                    continue; // more draws than items
                }
                let expected = favourable as f64 / total as f64;
                assert!((integers(&prior, sampling, n as u64).value() - expected).abs() < 1e-15);
                assert!(
                    (float(&prior, sampling, n as u64).value() - expected).abs() < 2e-15,
                    "{counts:?} {n} {sampling}"
                );
            }
        }
    }
}

#[test]
fn hard_priors() {
    // One class heavier than the others by 1e12, n up to 1e7: P(cover) from the two light classes alone, which are
    // drawn n·1e-12 = 1e-5 times each on average: the square of that, to first order in n·1e-12.
    let prior = ClassPrior::from_counts(vec![1_000_000_000_000, 1, 1]).unwrap();
    let found = float(&prior, Sampling::WithReplacement, 10_000_000).value();
    let (n, p) = (1e7, 1.0 / (1e12 + 2.0));
    // 1 − 2(1−p)ⁿ + (1−2p)ⁿ in powers of p: binom(n,2)·2p² − binom(n,3)·6p³ + …
    let expected = n * (n - 1.0) * p * p - n * (n - 1.0) * (n - 2.0) * p * p * p;
    assert!((found / expected - 1.0).abs() < 1e-9, "{found:e} {expected:e}");
    let many = float(&ClassPrior::uniform(1000).unwrap(), Sampling::WithReplacement, 10_000_000);
    assert!((many.ln_complement() - (1000f64.ln() + 1e7 * (-1e-3f64).ln_1p())).abs() < 1e-8);
}

#[test]
fn out_of_range_requests_are_refused() {
    let prior = ClassPrior::from_counts(vec![2, 2]).unwrap();
    let five = NumDraws::new(5).unwrap();
    let error = coverage::probability(&prior, Sampling::WithoutReplacement, five).unwrap_err();
    assert_eq!(error.to_string(), "5 draws without replacement from only 4 items");
    assert!(
        coverage::probability(&ClassPrior::uniform(2).unwrap(), Sampling::WithoutReplacement, five).is_err()
    );
    assert!(NumDraws::new(0).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_counts_against_integers(counts in prop::collection::vec(1u64..40, 1..9), extra in 0u64..60) {
        let prior = ClassPrior::from_counts(counts.clone()).unwrap();
        let n = prior.num_classes() + extra;
        assert_close(&prior, Sampling::WithReplacement, n);
        if n <= prior.population().unwrap() {
            assert_close(&prior, Sampling::WithoutReplacement, n);
        }
    }
}

/// υ without replacement by inclusion and exclusion over sets of classes, in integers.
fn inclusion_exclusion(counts: &[u64], draws: u64) -> exact::ExactProbability {
    use num_bigint::{BigInt, BigUint};
    let binomial = |n: u64, k: u64| -> BigInt {
        if k > n {
            return BigInt::ZERO;
        }
        let small = k.min(n - k);
        BigInt::from((1..=small).fold(BigUint::from(1u32), |value, i| value * (n - i + 1) / i))
    };
    let total: u64 = counts.iter().sum();
    let mut sum = BigInt::ZERO;
    for set in 0..1u32 << counts.len() {
        let missing: u64 = (0..counts.len()).filter(|i| set >> i & 1 == 1).map(|i| counts[i]).sum();
        let term = binomial(total - missing, draws);
        if set.count_ones() % 2 == 0 { sum += term } else { sum -= term }
    }
    let (numerator, denominator) = (sum.to_biguint().unwrap(), binomial(total, draws).to_biguint().unwrap());
    exact::ExactProbability::new(numerator, denominator)
}

#[test]
fn large_populations_hold_their_error_bound() {
    // Cases that broke an earlier bound: few items left over, very unequal classes, long products.
    for (counts, draws) in [
        (vec![5000, 2, 1, 1], 4996),
        (vec![60000, 3, 3, 3], 59990),
        (vec![45, 45, 45, 45, 45, 45, 45, 45, 45, 1], 404),
        (vec![7, 62, 39, 92, 5222, 735], 6149),
        (vec![30000, 30000], 6000),
        (vec![20000, 5000], 900),
        (vec![40000, 10, 10], 39990),
        (vec![1000; 6], 4500),
    ] {
        let prior = ClassPrior::from_counts(counts.clone()).unwrap();
        let (found, truth) =
            (float(&prior, Sampling::WithoutReplacement, draws), inclusion_exclusion(&counts, draws));
        let sides = [
            (found.ln(), truth.ln(), found.relative_error_bound()),
            (found.ln_complement(), truth.complement().ln(), found.complement_relative_error_bound()),
        ];
        for (ours, exact, bound) in sides {
            let oracle = 4.0 * f64::EPSILON * exact.abs();
            assert!(
                (ours - exact).abs() <= bound + oracle,
                "{counts:?} {draws}: {ours} {exact} bound {bound:e}"
            );
            assert!(bound < 1e-9, "{counts:?} {draws}: {bound:e}");
        }
    }
}
