//! Expectations over batches given the anchor: against enumeration of the class counts, recurrences and closed forms.

use theory::collision::{self, BatchLaw, ExpectedLogs};
use theory::{ClassPrior, NumDraws, NumNegatives, Sampling, coverage};

const WITH: Sampling = Sampling::WithReplacement;
const WITHOUT: Sampling = Sampling::WithoutReplacement;

fn k(negatives: u64) -> NumNegatives {
    NumNegatives::new(negatives).unwrap()
}

fn binomial(n: u64, k: u64) -> f64 {
    if k > n { 0.0 } else { (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product() }
}

/// Calls `visit(probability, counts of the negatives)` for every way to draw them.
fn for_each_batch(urn: &[u64], draws: u64, visit: &mut impl FnMut(f64, &[u64])) {
    fn choose(urn: &[u64], left: u64, ways: f64, m: &mut Vec<u64>, visit: &mut impl FnMut(f64, &[u64])) {
        let Some(&here) = urn.get(m.len()) else {
            if left == 0 {
                visit(ways, m);
            }
            return;
        };
        for own in 0..=here.min(left) {
            m.push(own);
            choose(urn, left - own, ways * binomial(here, own), m, visit);
            m.pop();
        }
    }
    let total = binomial(urn.iter().sum(), draws);
    choose(urn, draws, 1.0, &mut Vec::new(), &mut |ways, m| visit(ways / total, m));
}

#[test]
fn enumeration_of_small_populations() {
    let weights = [0.37, 1.9, 0.02, 1.0, 5.5];
    for counts in [vec![3u64, 2, 2], vec![1, 1], vec![4, 1, 1, 5], vec![2, 9], vec![3], vec![2, 3, 1, 2, 4]] {
        let total: u64 = counts.iter().sum();
        let prior = ClassPrior::from_counts(counts.clone()).unwrap();
        for negatives in 0..total {
            let law = BatchLaw::new(&counts, k(negatives)).unwrap();
            let draws = NumDraws::new(negatives + 1).unwrap();
            let given_alone = coverage::given_anchor_alone(&prior, WITHOUT, draws).unwrap();
            for anchor in 0..counts.len() {
                for scale in [1.0, 1e-5, 1e7] {
                    let w: Vec<f64> = weights[..counts.len()].iter().map(|w| w * scale).collect();
                    let mut urn = counts.clone();
                    urn[anchor] -= 1;
                    let mut expected = ExpectedLogs { all: 0.0, shown: 0.0, alone: 0.0 };
                    let (mut alone, mut cover_alone) = (0.0, 0.0);
                    for_each_batch(&urn, negatives, &mut |p, m| {
                        let others = || (0..m.len()).filter(|&c| c != anchor);
                        let mass: f64 = others().map(|c| m[c] as f64 * w[c]).sum();
                        let shown: f64 = others().filter(|&c| m[c] > 0).map(|c| w[c]).sum();
                        expected.all += p * (m[anchor] as f64 + mass).ln_1p();
                        expected.shown += p * shown.ln_1p();
                        if m[anchor] == 0 {
                            expected.alone += p * shown.ln_1p();
                            alone += p;
                            cover_alone += if others().all(|c| m[c] > 0) { p } else { 0.0 };
                        }
                    });
                    let given = law.given(anchor).unwrap();
                    let found = given.expected_logs(&w).unwrap();
                    let above = given.logs_of_means(&w).unwrap();
                    let jensen =
                        [above.all - found.all, above.shown - found.shown, above.alone - found.alone];
                    assert!(jensen.iter().all(|gap| *gap > -2e-13), "{counts:?} K={negatives} {jensen:?}");
                    let context = format!("{counts:?} K={negatives} anchor {anchor} scale {scale}");
                    for (a, b) in [
                        (found.all, expected.all),
                        (found.shown, expected.shown),
                        (found.alone, expected.alone),
                        (given.alone(), alone),
                    ] {
                        assert!((a - b).abs() < 2e-13, "{context}: {a} {b} {:e}", a - b);
                    }
                    let group = prior.groups().iter().position(|g| g.count == Some(counts[anchor])).unwrap();
                    let found = given_alone[group].value();
                    assert!((found - cover_alone).abs() < 1e-14, "{context}: {found} {cover_alone}");
                }
            }
        }
    }
    assert!(BatchLaw::new(&[3, 2], k(5)).is_err());
    let law = BatchLaw::new(&[3, 2], k(2)).unwrap();
    assert!(law.given(2).is_err());
    assert!(law.given(0).unwrap().expected_logs(&[1.0]).is_err());
    assert!(law.given(0).unwrap().expected_logs(&[1.0, f64::NAN]).is_err());
}

/// P(number of distinct classes) after `draws` draws without replacement from classes of `each` items, of which `drawn`
/// draws have shown `seen`.
fn distinct(classes: usize, each: usize, seen: usize, drawn: usize, draws: usize) -> Vec<f64> {
    let mut law = vec![0.0; classes + 1];
    law[seen] = 1.0;
    for n in drawn..drawn + draws {
        let left = (classes * each - n) as f64;
        for i in (0..=classes).rev() {
            let stay = law[i] * ((i * each).saturating_sub(n)) as f64 / left;
            let arrive = if i == 0 { 0.0 } else { law[i - 1] * ((classes - i + 1) * each) as f64 / left };
            law[i] = stay + arrive;
        }
    }
    law
}

#[test]
fn a_hundred_classes_of_a_hundred() {
    let (classes, each) = (100usize, 100usize);
    let prior = ClassPrior::from_counts(vec![each as u64; classes]).unwrap();
    let mut worst = 0.0f64;
    for negatives in [1usize, 127, 1023, 5000, 9999] {
        let law = BatchLaw::new(&vec![each as u64; classes], k(negatives as u64)).unwrap();
        let given = law.given(3).unwrap();
        let logs = given.expected_logs(&vec![1.0; classes]).unwrap();
        // Equal weights: K samples of weight 1; the number of classes by its recurrence, whose terms are positive.
        let shown = distinct(classes, each, 1, 1, negatives);
        let mean = |law: &[f64], add: f64| -> f64 {
            law.iter().enumerate().filter(|(_, p)| **p > 0.0).map(|(i, p)| p * (i as f64 + add).ln()).sum()
        };
        let mut expected = vec![(logs.all, (negatives as f64).ln_1p()), (logs.shown, mean(&shown, 0.0))];
        if negatives <= (classes - 1) * each {
            let alone = distinct(classes - 1, each, 0, 0, negatives);
            expected.push((logs.alone, given.alone() * mean(&alone, 1.0)));
        }
        // Weightless other classes: only collisions remain.
        let none = given.expected_logs(&vec![0.0; classes]).unwrap();
        expected.push((none.all, collision::expected_ln1p(&prior, WITHOUT, k(negatives as u64)).unwrap()));
        assert!(none.shown.max(none.alone) < 1e-12);
        for (a, b) in expected {
            worst = worst.max((a - b).abs());
            assert!((a - b).abs() < 1e-11, "K={negatives}: {a} {b} {:e}", a - b);
        }
    }
    println!("largest error {worst:e}");
}

#[test]
fn alone_and_covered_is_a_product() {
    // Independent draws from C equal classes: (1−1/C)^K υ_K of C−1 classes; far into the tail, within both error
    // bounds.
    for (classes, negatives) in
        [(10u64, 9u64), (10, 40), (100, 128), (100, 700), (1000, 1020), (2, 5), (10, 4000)]
    {
        let uniform = ClassPrior::uniform(classes).unwrap();
        let draws = NumDraws::new(negatives + 1).unwrap();
        let found = coverage::given_anchor_alone(&uniform, WITH, draws).unwrap()[0];
        let fewer = ClassPrior::uniform(classes - 1).unwrap();
        let cover = coverage::probability(&fewer, WITH, NumDraws::new(negatives).unwrap()).unwrap();
        let ln_alone = negatives as f64 * (-1.0 / classes as f64).ln_1p();
        let (m, d) = found.mantissa_exponent();
        let expected = cover.ln() + ln_alone;
        let difference = (m.ln() + d as f64 * std::f64::consts::LN_10 - expected).abs();
        let allowed =
            found.relative_error_bound() + cover.relative_error_bound() + 1e-15 * (2.0 + expected.abs());
        assert!(difference < allowed, "C={classes} K={negatives}: {difference:e} of {allowed:e}");
        assert!(found.relative_error_bound() < 1e-12, "C={classes} K={negatives}");
    }
    // Without replacement: exact integers for the classes that are left, times P(Col = 0).
    let counts = vec![40u64, 25, 25, 7, 60];
    let prior = ClassPrior::from_counts(counts.clone()).unwrap();
    for negatives in [4u64, 5, 30, 96, 97, 110, 120, 150, 156] {
        let draws = NumDraws::new(negatives + 1).unwrap();
        let found = coverage::given_anchor_alone(&prior, WITHOUT, draws).unwrap();
        for (group, p) in prior.groups().iter().zip(found) {
            let own = group.count.unwrap();
            let mut rest = counts.clone();
            rest.remove(counts.iter().position(|&m| m == own).unwrap());
            let others: u64 = rest.iter().sum();
            if negatives > others {
                assert_eq!(p.value(), 0.0);
                continue;
            }
            let rest = ClassPrior::from_counts(rest).unwrap();
            let cover =
                coverage::exact::probability(&rest, WITHOUT, NumDraws::new(negatives).unwrap()).unwrap();
            let ln_alone: f64 = (0..negatives).map(|i| ((others - i) as f64 / (156 - i) as f64).ln()).sum();
            let expected = (cover.ln() + ln_alone).exp();
            let allowed = p.relative_error_bound() + 1e-13;
            assert!((p.value() / expected - 1.0).abs() < allowed, "{own} K={negatives}: {p:?} {expected:e}");
        }
    }
}
