//! τ, the law of Col and E ln(1+Col): against enumeration, closed forms and published values.

use theory::{ClassPrior, NumNegatives, Sampling, collision};

const WITH: Sampling = Sampling::WithReplacement;
const WITHOUT: Sampling = Sampling::WithoutReplacement;

/// (m, mantissa, power of ten) of P(Col = m).
const LAW_OF_700: [(usize, f64, i64); 7] = [
    (0, 9.327_314_218_681_874, -33),
    (1, 7.254_577_725_641_458, -31),
    (70, 5.020_153_916_971_816, -2),
    (300, 6.151_313_876_117_932, -113),
    (500, 1.775_767_266_972_961_4, -329),
    (650, 5.074_123_823_643_745, -576),
    (700, 1.0, -700),
];
/// (m, mantissa, power of ten) of P(Col = m).
const LAW_OF_400_OF_1000: [(usize, f64, i64); 6] = [
    (0, 6.853_246_834_925_802, -184),
    (1, 1.354_364_424_011_079_3, -180),
    (150, 4.740_022_068_834_83, -11),
    (200, 5.146_246_972_492_867, -2),
    (390, 2.038_712_548_043_722, -158),
    (400, 1.370_649_366_985_160_4, -184),
];
/// (C, K, E ln(1+Col)).
const MANY: [(u64, u64, f64); 6] = [
    (2, 1_000_000, 13.122_364_877_403_579),
    (2, 1_000_000_000, 20.030_118_657_886_466),
    (2, 1_000_000_000_000, 26.937_873_935_370_103),
    (10, 1_000_000_000, 18.420_680_749_452_365),
    (1000, 100_000_000, 11.512_930_469_978_512),
    (100, 10_000, 4.610_228_100_950_503),
];

fn k(negatives: u64) -> NumNegatives {
    NumNegatives::new(negatives).unwrap()
}

#[test]
fn enumeration_of_small_cases() {
    for counts in [vec![1u64, 1], vec![2, 2], vec![3, 1], vec![2, 2, 2], vec![1, 2, 3], vec![4, 1, 1]] {
        let prior = ClassPrior::from_counts(counts.clone()).unwrap();
        let labels: Vec<usize> = counts.iter().enumerate().flat_map(|(c, &m)| vec![c; m as usize]).collect();
        let items = labels.len();
        for n in 1..=5usize {
            for sampling in [WITH, WITHOUT] {
                let words: Vec<Vec<usize>> = (0..items.pow(n as u32))
                    .map(|code| (0..n).map(|i| code / items.pow(i as u32) % items).collect::<Vec<_>>())
                    .filter(|w| sampling == WITH || (0..n).all(|i| !w[..i].contains(&w[i])))
                    .collect();
                if words.is_empty() {
                    continue;
                }
                let collisions =
                    |w: &Vec<usize>| w[1..].iter().filter(|&&i| labels[i] == labels[w[0]]).count();
                let mut histogram = vec![0u32; n];
                words.iter().for_each(|w| histogram[collisions(w)] += 1);
                let mean = |f: &dyn Fn(usize) -> f64| {
                    let weighted = histogram.iter().enumerate().map(|(m, &count)| f(m) * f64::from(count));
                    weighted.sum::<f64>() / words.len() as f64
                };
                let negatives = k(n as u64 - 1);
                let tau = collision::probability(&prior, sampling, negatives).unwrap();
                let context = format!("{counts:?} n={n} {sampling}");
                assert!((tau.value() - mean(&|m| f64::from(m > 0))).abs() < 1e-14, "{context}");
                assert!((tau.complement() - mean(&|m| f64::from(m == 0))).abs() < 1e-14, "{context}");
                let expected = collision::expected_ln1p(&prior, sampling, negatives).unwrap();
                assert!((expected - mean(&|m| (m as f64).ln_1p())).abs() < 1e-14, "{context}");
                let law = collision::law(&prior, sampling, negatives).unwrap();
                for (m, p) in law.iter().enumerate() {
                    assert!((p.value() - mean(&|x| f64::from(x == m))).abs() < 1e-14, "{context} m={m}");
                }
            }
        }
    }
}

#[test]
fn published_values() {
    let ten = ClassPrior::uniform(10).unwrap();
    let tau = collision::probability(&ten, WITH, k(511)).unwrap();
    assert!((tau.complement() / 4.148_798_318_6e-24 - 1.0).abs() < 1e-9);
    // CIFAR-100 validation images: the published collision row is 0.69, 2.24, 2.37, the without-replacement values.
    let cifar100 = ClassPrior::from_counts(vec![100; 100]).unwrap();
    for (n, tau, without, with) in [
        (128, 0.719_662_851_394_1, 0.692282586296, 0.696611371428),
        (896, 0.999_911_399_692_684, 2.244233903387, 2.249209646025),
        (1024, 0.999_978_356_874_585, 2.370564343450, 2.375534633233),
    ] {
        let negatives = k(n - 1);
        assert!((collision::probability(&cifar100, WITHOUT, negatives).unwrap().value() - tau).abs() < 1e-14);
        assert!((collision::expected_ln1p(&cifar100, WITHOUT, negatives).unwrap() - without).abs() < 1e-11);
        assert!((collision::expected_ln1p(&cifar100, WITH, negatives).unwrap() - with).abs() < 1e-11);
    }
}

#[test]
fn tails_do_not_saturate() {
    // ln(1−τ) = K ln(1−1/C) far below the float range; τ itself tiny where one class holds almost nothing.
    let four = ClassPrior::uniform(4).unwrap();
    let tau = collision::probability(&four, WITH, k(100_000)).unwrap();
    assert!((tau.ln_complement() / (1e5 * 0.75f64.ln()) - 1.0).abs() < 1e-14);
    let many = ClassPrior::uniform(1 << 20).unwrap();
    let tau = collision::probability(&many, WITH, k(1)).unwrap();
    assert!((tau.value() * (1u64 << 20) as f64 - 1.0).abs() < 1e-14);
    assert_eq!(collision::probability(&ClassPrior::uniform(1).unwrap(), WITH, k(3)).unwrap().value(), 1.0);
    assert_eq!(collision::probability(&four, WITH, k(0)).unwrap().value(), 0.0);
}

#[test]
fn without_replacement_tends_to_independent_draws() {
    let uniform = ClassPrior::uniform(7).unwrap();
    let large = ClassPrior::from_counts(vec![1 << 40; 7]).unwrap();
    let (a, b) = (
        collision::expected_ln1p(&uniform, WITH, k(300)).unwrap(),
        collision::expected_ln1p(&large, WITHOUT, k(300)).unwrap(),
    );
    assert!((a - b).abs() < 1e-9);
}

#[test]
fn error_bounds_hold_where_digits_could_be_lost() {
    // Exact 1−τ: one heavy class, (2·1e-12)² to leading order; and a product of rationals without replacement.
    let heavy = ClassPrior::from_counts(vec![1_000_000_000_000, 1, 1]).unwrap();
    let tau = collision::probability(&heavy, WITH, k(1)).unwrap();
    let m = 1e12 + 2.0;
    let exact = (1e12 / m) * (2.0 / m) + (2.0 / m) * ((1e12 + 1.0) / m);
    assert!((tau.complement() / exact - 1.0).abs() < 1e-15 + tau.complement_relative_error_bound());
    assert!(tau.complement_relative_error_bound() < 1e-13);
    // Four classes of 100: binom(300, K)/binom(399, K), by logarithms of integers.
    use num_bigint::BigUint;
    let four = ClassPrior::from_counts(vec![100; 4]).unwrap();
    for negatives in [3u64, 99, 100, 250, 299, 300] {
        let product = |from: u64| (0..negatives).fold(BigUint::from(1u32), |value, i| value * (from - i));
        let exact = theory::coverage::exact::ExactProbability::new(product(300), product(399));
        let tau = collision::probability(&four, WITHOUT, k(negatives)).unwrap();
        let error = (tau.ln_complement() - exact.ln()).abs();
        let oracle = 4.0 * f64::EPSILON * exact.ln().abs();
        assert!(error <= tau.complement_relative_error_bound() + oracle, "K={negatives}: {error:e}");
    }
}

#[test]
fn the_law_keeps_its_tails() {
    // Binomial(K, 1/10): both ends, and all of it summing to 1.
    let ten = ClassPrior::uniform(10).unwrap();
    for negatives in [31u64, 300, 700, 20_000] {
        let law = collision::law(&ten, WITH, k(negatives)).unwrap();
        let ends = [(0, 0.9f64.log10()), (negatives as usize, -1.0)];
        for (m, log10_of_one) in ends {
            let (mantissa, exponent) = law[m].mantissa_exponent();
            let log10 = negatives as f64 * log10_of_one;
            let off = mantissa.log10() + exponent as f64 - log10;
            assert!(off.abs() < 1e-15 * log10.abs() + 1e-13, "K={negatives} m={m}: {mantissa}e{exponent}");
        }
        let total: f64 = law.iter().map(|p| p.value()).sum();
        assert!((total - 1.0).abs() < 1e-13, "{total}");
    }
    // mpmath 1.3, 60 digits: binomial(700, m) 0.1^m 0.9^(700−m).
    let law = collision::law(&ten, WITH, k(700)).unwrap();
    for (m, mantissa, exponent) in LAW_OF_700 {
        let (found, place) = law[m].mantissa_exponent();
        let ratio = found / mantissa * 10f64.powi((place - exponent) as i32);
        assert!((ratio - 1.0).abs() < 1e-13, "{m}: {found}e{place}");
    }
    // Without replacement: 500 of each of two classes, K = 400.
    let law = collision::law(&ClassPrior::from_counts(vec![500; 2]).unwrap(), WITHOUT, k(400)).unwrap();
    for (m, mantissa, exponent) in LAW_OF_400_OF_1000 {
        let (found, place) = law[m].mantissa_exponent();
        let ratio = found / mantissa * 10f64.powi((place - exponent) as i32);
        assert!((ratio - 1.0).abs() < 1e-13, "{m}: {found}e{place}");
    }
}

#[test]
fn logarithm_of_very_many_collisions() {
    // ∫ e^{−s} (1 − φ(s))/s ds with φ(s) = (1 − p + p e^{−s})^K, 40 digits (mpmath 1.3).
    for (classes, negatives, expected) in MANY {
        let prior = ClassPrior::uniform(classes).unwrap();
        let found = collision::expected_ln1p(&prior, WITH, k(negatives)).unwrap();
        assert!((found / expected - 1.0).abs() < 1e-14, "C={classes} K={negatives}: {found}, not {expected}");
    }
}
