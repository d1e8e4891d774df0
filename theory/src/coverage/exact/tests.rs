//! Every route against the class-by-class reference, against each other, and against identities.

use super::*;
use crate::coverage::exact::multiply::{factorial, power};
use num_rational::BigRational;
use num_traits::One;
use proptest::prelude::*;

const BOTH: [Sampling; 2] = [Sampling::WithReplacement, Sampling::WithoutReplacement];

fn value(prior: &ClassPrior, sampling: Sampling, n: u64) -> ExactProbability {
    probability(prior, sampling, NumDraws::new(n).unwrap()).unwrap()
}

fn uniform(classes: u64) -> ClassPrior {
    ClassPrior::uniform(classes).unwrap()
}

fn groups(counts: &[u64]) -> Vec<(u64, u64)> {
    cost::groups(&ClassPrior::from_counts(counts.to_vec()).unwrap())
}

fn reference(counts: &[u64], n: u64, sampling: Sampling) -> BigUint {
    match sampling {
        Sampling::WithReplacement => reference::words(counts, n),
        Sampling::WithoutReplacement => reference::subsets(counts, n),
    }
}

/// Both routes for counts; the bits of all outcomes bound those that show every class.
fn assert_routes(counts: &[u64], n: u64) {
    let total: u64 = counts.iter().sum();
    for sampling in BOTH {
        if sampling == Sampling::WithoutReplacement && n > total {
            continue;
        }
        let expected = reference(counts, n, sampling);
        let bits = n as f64 * (total as f64).log2() + 2.0;
        assert_eq!(
            sums::outcomes(&groups(counts), n, sampling, bits),
            expected,
            "sums {counts:?} {n} {sampling}"
        );
        assert_eq!(
            series::outcomes(&groups(counts), n, sampling, bits),
            expected,
            "series {counts:?} {n} {sampling}"
        );
        let prior = ClassPrior::from_counts(counts.to_vec()).unwrap();
        let found = value(&prior, sampling, n);
        // Equal counts with replacement are counted as the uniform prior, over Cⁿ.
        let all = match sampling {
            Sampling::WithReplacement => power(total, n),
            Sampling::WithoutReplacement => multiply::binomial(total, n),
        };
        assert_eq!(found.numerator * all, expected * found.denominator, "{counts:?} {n} {sampling}");
    }
}

#[test]
fn routes_for_counts_agree() {
    assert_routes(&[1], 1);
    assert_routes(&[3], 2);
    assert_routes(&[1, 1], 2);
    assert_routes(&[2; 7], 9);
    assert_routes(&[4, 4, 1, 6], 15);
    assert_routes(&[5, 5, 5, 2, 2, 9], 6);
    // Dense sums (a table of powers), and sums far apart (falling products).
    assert_routes(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 20);
    assert_routes(&[1_000_000_007, 3, 2], 12);
    // Coefficients of two words.
    assert_routes(&[2; 70], 72);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn routes_for_random_counts_agree(counts in prop::collection::vec(1u64..30, 1..8), extra in 0u64..25) {
        assert_routes(&counts, counts.len() as u64 + extra);
    }

    #[test]
    fn lowest_terms_are_those_of_the_gcd(counts in prop::collection::vec(1u64..30, 1..6), extra in 0u64..15) {
        let prior = ClassPrior::from_counts(counts.clone()).unwrap();
        let n = prior.num_classes() + extra;
        for sampling in BOTH {
            if sampling.check(&prior, NumDraws::new(n).unwrap()).is_ok() {
                let p = value(&prior, sampling, n);
                let by_gcd = BigRational::new(p.numerator.clone().into(), p.denominator.clone().into());
                prop_assert_eq!(p.to_rational(), by_gcd);
            }
        }
    }

    #[test]
    fn stirling_recurrence(n in 1u64..3000, share in 0.0f64..1.0) {
        // S(n+1, C) = C S(n, C) + S(n, C−1), on both sides of every change of route.
        let c = ((n.min(600) as f64 * share) as u64).max(1);
        let expected = stirling_second(n, c) * c + stirling_second(n, c - 1);
        prop_assert_eq!(stirling_second(n + 1, c), expected, "{} {}", n, c);
    }
}

#[test]
fn stirling_recurrence_of_large_integers() {
    for (n, c) in [(7708, 1000), (20_000, 211), (4000, 3989), (5, 5), (6, 5)] {
        let expected = stirling_second(n, c) * c + stirling_second(n, c - 1);
        assert_eq!(stirling_second(n + 1, c), expected, "{n} {c}");
    }
}

#[test]
fn completion_is_the_difference_of_coverages() {
    for c in [1, 2, 5, 12] {
        for n in [2, c, c + 1, c + 20] {
            let at = |n| value(&uniform(c), Sampling::WithReplacement, n).to_rational();
            let found = probability_of_completion(&uniform(c), NumDraws::new(n).unwrap()).unwrap();
            assert_eq!(found.to_rational(), at(n) - if n == 1 { Zero::zero() } else { at(n - 1) }, "{c} {n}");
        }
    }
    // Three classes of 2, 1, 1 letters: the last class at draw 3 in 3!·2 of the 64 words.
    let prior = ClassPrior::from_counts(vec![2, 1, 1]).unwrap();
    let found = probability_of_completion(&prior, NumDraws::new(3).unwrap()).unwrap();
    assert_eq!((found.numerator, found.denominator), (12u32.into(), 64u32.into()));
    let first = probability_of_completion(&uniform(1), NumDraws::new(1).unwrap()).unwrap();
    assert!(first.numerator.is_one() && first.denominator.is_one());
}

#[test]
fn decimals_of_the_published_coverage() {
    // C = 100, n = 128: the value that the authors' notebook gives as 4.5e-4.
    let p = value(&uniform(100), Sampling::WithReplacement, 128);
    assert_eq!(p.to_decimal(8), "1.5036205e-22");
    assert_eq!(p.complement().to_decimal(3), "1.00e0");
    // C = n: n!/nⁿ, by hand.
    assert_eq!(value(&uniform(10), Sampling::WithReplacement, 10).to_decimal(5), "3.6288e-4");
}

#[test]
fn decimals_are_quotients_of_integers() {
    // The digits are the integer nearest to p·10^scale, whether found from leading bits or from all.
    for (c, n, digits) in [(2, 5, 3), (3, 40, 30), (50, 70, 20), (100, 2000, 25), (100, 110, 400)] {
        let p = value(&uniform(c), Sampling::WithReplacement, n);
        let text = p.to_decimal(digits);
        let (mantissa, exponent) = text.split_once('e').unwrap();
        let scale = digits as i64 - 1 - exponent.parse::<i64>().unwrap();
        let shown: BigUint = mantissa.replace('.', "").parse().unwrap();
        // |shown − p·10^scale| ≤ 1/2.
        let top = &p.numerator * power(10, scale as u64) * 2u32;
        let shown = shown * 2u32 * &p.denominator;
        let gap = if top > shown { top - shown } else { shown - top };
        assert!(gap <= p.denominator, "{text}");
        assert_eq!(mantissa.replace('.', "").len(), digits);
    }
    // A tie that no truncation decides: 1/4, and 1/4 − 2⁻³⁰⁰⁰.
    let half_way =
        |numerator: BigUint| ExactProbability::new(numerator, BigUint::one() << 3000).to_decimal(1);
    let quarter: BigUint = BigUint::one() << 2998;
    assert_eq!(half_way(quarter.clone()), "3e-1");
    assert_eq!(half_way(quarter - 1u32), "2e-1");
    assert_eq!(ExactProbability::new(999u32.into(), 1000u32.into()).to_decimal(2), "1.0e0");
    assert_eq!(ExactProbability::new(0u32.into(), 7u32.into()).to_decimal(2), "0");
}

#[test]
fn logarithms_near_one_and_near_zero() {
    let certain = value(&uniform(1), Sampling::WithReplacement, 3).ln();
    assert!(certain == 0.0 && certain.is_sign_positive());
    let p = value(&uniform(4), Sampling::WithReplacement, 512);
    assert!((p.ln() / -4.299588057062e-64 - 1.0).abs() < 1e-12, "{}", p.ln());
    let p = value(&uniform(1000), Sampling::WithReplacement, 1024);
    assert!((p.ln() - (5.703_143_192_380_313f64.ln() - 392.0 * std::f64::consts::LN_10)).abs() < 1e-11);
    for (c, n) in [(3, 3), (10, 40), (100, 600)] {
        let p = value(&uniform(c), Sampling::WithReplacement, n);
        let decimal: f64 = p.to_decimal(25).parse().unwrap();
        assert!((p.value() / decimal - 1.0).abs() <= f64::EPSILON, "{c} {n}");
    }
}

#[test]
fn fewer_draws_than_classes_never_cover() {
    let counts = ClassPrior::from_counts(vec![3, 2, 2]).unwrap();
    for (prior, sampling) in [(&uniform(3), BOTH[0]), (&counts, BOTH[0]), (&counts, BOTH[1])] {
        let p = value(prior, sampling, 2);
        assert!(p.numerator.is_zero() && !p.denominator.is_zero());
        assert_eq!((p.to_decimal(9), p.value(), p.reduced().denominator), ("0".into(), 0.0, 1u32.into()));
    }
    assert_eq!(factorial(0), 1u32.into());
}

#[test]
fn decimals_of_all_small_fractions() {
    for bottom in 1u64..=60 {
        for (top, digits) in (1..=bottom).flat_map(|top| (1..=4).map(move |digits| (top, digits))) {
            // The exponent by comparison, the digits by one rounded quotient.
            let mut exponent = 0u32;
            while top * 10u64.pow(exponent) < bottom {
                exponent += 1;
            }
            let scaled = top * 10u64.pow(exponent + digits - 1);
            let (mut shown, mut exponent) = ((2 * scaled + bottom) / (2 * bottom), -i64::from(exponent));
            if shown == 10u64.pow(digits) {
                (shown, exponent) = (shown / 10, exponent + 1);
            }
            let text = shown.to_string();
            let point = if digits > 1 { "." } else { "" };
            let expected = format!("{}{point}{}e{exponent}", &text[..1], &text[1..]);
            let found = ExactProbability::new(top.into(), bottom.into()).to_decimal(digits as usize);
            assert_eq!(found, expected, "{top}/{bottom}");
        }
    }
    // Counts 4 and 1, three draws: 1−υ = 65/125.
    assert_eq!(ExactProbability::new(65u32.into(), 125u32.into()).to_decimal(1), "5e-1");
}

#[test]
fn impossible_requests_say_their_cost() {
    let message = |prior: &ClassPrior, sampling, draws| {
        probability(prior, sampling, NumDraws::new(draws).unwrap()).unwrap_err().to_string()
    };
    let error = message(&uniform(100_000), Sampling::WithReplacement, 10_000_000);
    assert!(error.contains("seconds of one core") && error.contains("of memory"), "{error}");
    let unequal = ClassPrior::from_counts((1000..2000).collect()).unwrap();
    for sampling in BOTH {
        let error = message(&unequal, sampling, 200_000);
        assert!(error.contains("seconds of one core"), "{error}");
    }
    let weights = ClassPrior::from_weights(vec![1.0, 2.0]).unwrap();
    assert!(message(&weights, Sampling::WithReplacement, 5).contains("not real weights"));
    let error = probability_at_any_cost(&uniform(2), BOTH[0], NumDraws::new(1 << 40).unwrap()).unwrap_err();
    assert!(error.to_string().contains("2^32 - 1"), "{error}");
    let one = probability_of_completion(&uniform(1), NumDraws::new(1 << 40).unwrap()).unwrap_err();
    assert!(one.to_string().contains("2^32 - 1"), "{one}");
    let error =
        probability_at_any_cost(&uniform(1 << 20), BOTH[0], NumDraws::new(1 << 30).unwrap()).unwrap_err();
    assert!(error.to_string().contains("bits"), "{error}");
    let one = probability_at_any_cost(&uniform(1), BOTH[0], NumDraws::new(1 << 32).unwrap()).unwrap_err();
    assert_eq!(one.to_string(), "4294967296 draws exceed 2^32 - 1, the limit of exact values");
    // Too few draws cost nothing, whatever the classes.
    assert!(value(&unequal, Sampling::WithReplacement, 999).numerator.is_zero());
    assert!(value(&uniform(1 << 24), Sampling::WithReplacement, 2).numerator.is_zero());
}

#[test]
fn the_cost_of_a_range_is_the_sum() {
    let cost = |draws: &[u64], digits| {
        let draws = draws.iter().map(|&n| NumDraws::new(n).unwrap());
        Cost::new(&uniform(1000), Sampling::WithReplacement, draws, digits).unwrap()
    };
    let (one, other, both) = (cost(&[5000], 30), cost(&[9000], 30), cost(&[5000, 9000], 30));
    assert!((both.seconds - one.seconds - other.seconds).abs() < 1e-12 && both.values == 2);
    // Of the memory, what a value keeps: its integers, each of n log₁₀ C digits; what it works with is given back.
    assert!(both.bytes > other.bytes + 2.0 * 15_000.0 && both.bytes < one.bytes + other.bytes);
    assert!(cost(&[5000], 100_000).seconds > one.seconds && cost(&[5000], 100_000).bytes > one.bytes + 2e5);
    // An integer that is 0 is not printed: half of a sure one's.
    let few = |draws| Cost::new(&uniform(1 << 20), BOTH[0], [NumDraws::new(draws).unwrap()], 30).unwrap();
    assert!(few((1 << 20) - 1).seconds < 0.7 * few(1 << 20).seconds);
    // Every draw of a range is checked before the first is computed.
    let counts = ClassPrior::from_counts(vec![2; 5]).unwrap();
    let draws = [5, 11].map(|n| NumDraws::new(n).unwrap());
    let error = Cost::new(&counts, Sampling::WithoutReplacement, draws, 30).unwrap_err().to_string();
    assert!(error.contains("11 draws") && error.contains("10 items"), "{error}");
}

#[test]
fn the_memory_of_the_tables_is_that_of_their_elements() {
    // Every sum up to M occurs: a table of powers, of which only those of primes are stored.
    for total in [1000, 50_000] {
        let (shared, own) = sums::table_bytes(total as f64, total, 1000, BOTH[0]);
        let stored = 4 * (total + 1) + 40 * moduli::primes(total).len() as u64;
        assert!(shared >= stored as f64 && shared < 1.4 * stored as f64, "{total}: {shared} {stored}");
        assert_eq!(own, 32.0 * (total + 1) as f64);
    }
    // Sums far apart: one power and one residue of each.
    assert_eq!(sums::table_bytes(8.0, 1 << 40, 1000, BOTH[0]), (32.0 * 8.0, 32.0 * 8.0));
}
