//! Floating-point coverage: certificates against exact integers, curves, anchors, completion times, hard cases.

#[path = "../examples/check_certificates/cases.rs"]
mod cases;

use cases::Case;
use theory::coverage::{self, Method, exact};
use theory::{ClassPrior, NumDraws, Probability, Sampling};

const BOTH: [Sampling; 2] = [Sampling::WithReplacement, Sampling::WithoutReplacement];

/// (n, mantissa, power of ten).
const DEEP: [(u64, f64, i64); 4] = [
    (1001, 2.013_948_236_685_854, -430),
    (1010, 1.161_128_521_628_532_3, -412),
    (1024, 5.703_143_192_380_312, -392),
    (1100, 2.233_047_296_597_886, -318),
];
const COMPLEMENT: (f64, i64) = (8.711_150_452_182_428, -366);

fn draws(n: u64) -> NumDraws {
    NumDraws::new(n).unwrap()
}

fn upsilon(prior: &ClassPrior, sampling: Sampling, n: u64) -> Probability {
    coverage::probability(prior, sampling, draws(n)).unwrap()
}

/// Relative difference of a probability and a decimal with its power of ten.
fn error(p: Probability, mantissa: f64, exponent: i64) -> f64 {
    let (m, e) = p.mantissa_exponent();
    (m * 10f64.powi((e - exponent) as i32) / mantissa - 1.0).abs()
}

#[test]
fn certificates_of_random_cases() {
    let mut deep = [0, 0];
    for seed in 7_000..7_200 {
        let case = Case::random(seed);
        for side in case.check().unwrap() {
            assert!(side.error <= side.bound, "{seed}: {case:?} {side:?}");
            assert!(side.error < 4e-15 && side.bound < 5e-14, "{seed}: {case:?} {side:?}");
            deep[usize::from(side.complement)] += usize::from(side.log10 < -30.0);
        }
    }
    // The sample reaches the deep tails of both sides.
    assert!(deep[0] > 10 && deep[1] > 5, "{deep:?}");
}

#[test]
fn deep_tails_keep_their_digits() {
    // 60-digit inclusion and exclusion: C = 1000 at four n; the complement at C = 10, n = 8000.
    let thousand = ClassPrior::uniform(1000).unwrap();
    for (n, mantissa, exponent) in DEEP {
        let p = upsilon(&thousand, Sampling::WithReplacement, n);
        assert!(error(p, mantissa, exponent) < 2e-15, "{n} {:?}", p.mantissa_exponent());
    }
    // 1 − υ = 10·0.9^8000 up to 1e-409 of itself.
    let q = upsilon(&ClassPrior::uniform(10).unwrap(), Sampling::WithReplacement, 8000).opposite();
    assert!(error(q, COMPLEMENT.0, COMPLEMENT.1) < 2e-15, "{:?}", q.mantissa_exponent());
}

#[test]
fn curve_is_the_single_values() {
    for (prior, sampling, last) in [
        (ClassPrior::uniform(30).unwrap(), BOTH[0], 600),
        (ClassPrior::uniform(300).unwrap(), BOTH[0], 4000),
        (ClassPrior::from_counts(vec![7; 30]).unwrap(), BOTH[1], 210),
        (ClassPrior::from_counts(vec![1; 9]).unwrap(), BOTH[1], 9),
        (ClassPrior::from_counts(vec![5, 9, 2]).unwrap(), BOTH[1], 16),
        (ClassPrior::uniform(1).unwrap(), BOTH[0], 5),
    ] {
        let points = coverage::curve(&prior, sampling, 1..=last).unwrap();
        assert_eq!(points.len() as u64, last);
        let mut previous = 0.0;
        for (point, n) in points.iter().zip(1..) {
            let (p, single) = (point.probability, upsilon(&prior, sampling, n));
            for (ours, other) in [(p, single), (p.opposite(), single.opposite())] {
                let allowed = ours.relative_error_bound() + other.relative_error_bound() + 1e-15;
                let (m, e) = other.mantissa_exponent();
                assert!(m == 0.0 || error(ours, m, e) <= allowed.min(1e-12), "{n} {ours:?} {other:?}");
                assert_eq!(m == 0.0, ours.mantissa_exponent().0 == 0.0, "{n}");
            }
            assert!(point.draws == n && p.value() >= previous);
            previous = p.value();
        }
    }
    assert!(coverage::curve(&ClassPrior::uniform(2).unwrap(), BOTH[0], 0..=3).is_err());
    assert!(coverage::curve(&ClassPrior::uniform(2).unwrap(), BOTH[0], 1..=100_000_000).is_err());
}

#[test]
fn curve_of_a_thousand_classes() {
    let prior = ClassPrior::uniform(1000).unwrap();
    let points = coverage::curve(&prior, Sampling::WithReplacement, 1..=7709).unwrap();
    let mut recurrences = 0;
    for point in points.iter().filter(|point| point.draws % 97 == 0 || point.draws == 7709) {
        let single = upsilon(&prior, Sampling::WithReplacement, point.draws);
        recurrences += usize::from(point.method == Method::Recurrence);
        for (ours, other) in [(point.probability, single), (point.probability.opposite(), single.opposite())]
        {
            let (m, e) = other.mantissa_exponent();
            assert!(m == 0.0 || error(ours, m, e) < 1e-12, "{} {ours:?} {other:?}", point.draws);
            assert!(m == 0.0 || error(ours, m, e) <= ours.relative_error_bound() + 5e-14, "{}", point.draws);
        }
    }
    assert!(recurrences > 60);
}

#[test]
fn anchors_average_to_the_coverage() {
    for counts in [vec![5u64, 3, 3, 1], vec![2, 2, 2], vec![40, 7], vec![9, 8, 7, 6, 5, 4, 3, 2, 1]] {
        let prior = ClassPrior::from_counts(counts.clone()).unwrap();
        let total: u64 = counts.iter().sum();
        for sampling in BOTH {
            for n in 1..=total.min(30) {
                let given = coverage::given_anchor(&prior, sampling, draws(n)).unwrap();
                let groups = prior.groups();
                let share = |i: usize| groups[i].probability * groups[i].multiplicity as f64;
                let whole = upsilon(&prior, sampling, n);
                let mean: f64 = given.iter().enumerate().map(|(i, p)| share(i) * p.value()).sum();
                let missing: f64 = given.iter().enumerate().map(|(i, p)| share(i) * p.complement()).sum();
                let context = || format!("{counts:?} {sampling} {n}");
                assert!((mean - whole.value()).abs() <= 4e-15 * whole.value(), "{}", context());
                assert!((missing - whole.complement()).abs() <= 4e-15 * whole.complement(), "{}", context());
                let least = coverage::least_given_anchor(&prior, sampling, draws(n)).unwrap();
                assert!(given.iter().all(|p| p.value() >= least.value() * (1.0 - 1e-14)), "{}", context());
            }
        }
    }
}

#[test]
fn completion_times_add_up() {
    for prior in [
        ClassPrior::uniform(7).unwrap(),
        ClassPrior::from_counts(vec![6, 3, 3, 1]).unwrap(),
        ClassPrior::from_counts(vec![4; 5]).unwrap(),
        ClassPrior::from_counts(vec![1; 4]).unwrap(),
        ClassPrior::from_counts(vec![3]).unwrap(),
        ClassPrior::from_weights(vec![0.5, 0.3, 0.2]).unwrap(),
    ] {
        for sampling in BOTH {
            let last = match (sampling, prior.population()) {
                (Sampling::WithReplacement, _) => 40,
                (_, Some(total)) => total,
                _ => continue,
            };
            let mut sum = 0.0;
            for n in 1..=last {
                let own = coverage::completion_probability(&prior, sampling, draws(n)).unwrap();
                sum += own.value();
                let whole = upsilon(&prior, sampling, n).value();
                assert!((sum - whole).abs() <= 1e-14 * whole, "{:?} {sampling} {n}", prior.groups());
                // Against the difference of exact fractions, which does not cancel.
                if let (Ok(p), true) = (exact::probability(&prior, sampling, draws(n)), n > 1) {
                    let before = exact::probability(&prior, sampling, draws(n - 1)).unwrap();
                    let top = &p.numerator * &before.denominator - &before.numerator * &p.denominator;
                    let bottom = p.denominator * before.denominator;
                    let truth = exact::ExactProbability::new(top, bottom).value();
                    let allowed = own.relative_error_bound() + 2.0 * f64::EPSILON;
                    assert!((own.value() - truth).abs() <= allowed * truth, "{:?} {n}", prior.groups());
                }
            }
        }
    }
}

#[test]
fn recurrence_over_draws_and_classes() {
    // υ_C(n+1) = υ_C(n) + ((C−1)/C)^n·υ_{C−1}(n): the last draw is of the one class not seen before.
    for (classes, n) in [(5u64, 9u64), (40, 77), (40, 300), (200, 210), (1000, 7000)] {
        let of = |c: u64, n: u64| upsilon(&ClassPrior::uniform(c).unwrap(), Sampling::WithReplacement, n);
        let c = classes as f64;
        let step = (n as f64 * (-1.0 / c).ln_1p() + of(classes - 1, n).ln()).exp();
        let (next, expected) = (of(classes, n + 1).value(), of(classes, n).value() + step);
        assert!((next / expected - 1.0).abs() < 1e-12, "{classes} {n}: {next:e} {expected:e}");
    }
}

#[test]
fn extreme_requests() {
    let wr = Sampling::WithReplacement;
    // One draw, one class; far more draws than anyone makes; a class 10¹² times as heavy as the others.
    assert_eq!(upsilon(&ClassPrior::uniform(1).unwrap(), wr, 1), Probability::ONE);
    let p = upsilon(&ClassPrior::uniform(21_841).unwrap(), wr, 1_000_000_000);
    let ln = 21_841f64.ln() + 1e9 * (-1.0f64 / 21_841.0).ln_1p();
    assert!((p.ln_complement() / ln - 1.0).abs() < 1e-14 && p.value() == 1.0);
    let p = upsilon(&ClassPrior::uniform(100_000_000 / 8).unwrap(), wr, 200_000_000);
    assert!(p.relative_error_bound() < 1e-12 && p.ln_complement().is_finite());
    let heavy = ClassPrior::from_counts(vec![1_000_000_000_000, 1]).unwrap();
    let (n, light) = (1_000_000_000u64, 1.0f64 / (1e12 + 1.0));
    let expected = -(n as f64 * (-light).ln_1p()).exp_m1(); // the heavy class is never missed
    let p = upsilon(&heavy, wr, n);
    assert!((p.value() / expected - 1.0).abs() <= p.relative_error_bound() + 1e-15, "{p:?}");
    // All but one of the items: 90 classes of one item, of which one is left out 90 times of 93.
    let mut counts = vec![1; 90];
    counts.push(3);
    let p = upsilon(&ClassPrior::from_counts(counts).unwrap(), BOTH[1], 92);
    assert!((p.value() * 31.0 - 1.0).abs() < 4e-16 && (p.complement() * 31.0 / 30.0 - 1.0).abs() < 4e-16);
    assert!(ClassPrior::from_counts(vec![3, 0]).unwrap_err().to_string().contains("can never be drawn"));
    assert!(ClassPrior::from_weights(vec![1.0, 0.0]).unwrap_err().to_string().contains("must be positive"));
}

#[test]
fn zeros_of_a_class_factor_on_the_circle() {
    // 18 and 2 items, 9 draws: the circle has r = 1, and at a node t = 2π/3 the factor (1+z)^18 − 1 is exactly 0.
    for (counts, n) in [([18, 2], 9), ([12, 3], 7), ([30, 10], 20), ([6, 6], 5)] {
        let prior = ClassPrior::from_counts(counts.to_vec()).unwrap();
        let draws = NumDraws::new(n).unwrap();
        let found = coverage::probability(&prior, Sampling::WithoutReplacement, draws).unwrap();
        let truth = exact::probability(&prior, Sampling::WithoutReplacement, draws).unwrap().value();
        let bound = found.relative_error_bound();
        assert!(
            bound < 1e-13 && (found.value() / truth - 1.0).abs() <= bound + 1e-16,
            "{counts:?} {bound:e}"
        );
    }
}
