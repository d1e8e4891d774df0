//! The bounds at the population optimum, where L_sup may be 1e-40 beside an L_Info of 10: no theorem falls below L_sup,
//! and none is undefined because two nearly equal numbers were subtracted.

use theory::bounds::{self, Outcome, Standing};
use theory::losses::Quantity;
use theory::optimum::{self, gram};
use theory::{ClassPrior, LossComponents, NumNegatives};

/// Every theorem is at least L_sup, or undefined for a reason that is not rounding. Returns how many have a value.
fn holds(losses: &LossComponents, context: &str) -> usize {
    let supervised = losses.get(Quantity::FullSupLoss).unwrap();
    let mut evaluated = 0;
    for bound in bounds::all().iter().filter(|bound| bound.standing() == Standing::Theorem) {
        match bound.upper_bound(losses) {
            Outcome::Value(value) => {
                assert!(value >= supervised, "{context}, {}: {value} < {supervised}", bound.key());
                evaluated += 1;
            }
            Outcome::Undefined(reason) => {
                assert!(reason.contains("υ = 0") || reason.contains("1−τ = 0"), "{context}: {reason}");
            }
            Outcome::NotApplicable(_) => {}
        }
        if bound.supervised_lower_standing() == Standing::Theorem
            && let Outcome::Value(value) = bound.supervised_lower_bound(losses)
        {
            assert!(value <= supervised, "{context}, {}: {value} > {supervised}", bound.key());
        }
    }
    evaluated
}

#[test]
fn no_theorem_is_below_the_loss_of_the_simplex() {
    let mut evaluated = 0;
    for classes in [2, 3, 5, 10, 31, 100, 1000] {
        for k in [1, 2, 3, 7, 31, 127, 511, 4095, 65_535, 1_000_000, 1_000_000_000] {
            for t in [0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0] {
                let losses = optimum::simplex_components(classes, NumNegatives::new(k).unwrap(), t).unwrap();
                evaluated += holds(&losses, &format!("C = {classes}, K = {k}, t = {t}"));
            }
        }
    }
    assert!(evaluated > 5000, "{evaluated}");
}

#[test]
fn no_theorem_is_below_the_loss_of_the_gram_optimum() {
    let mut evaluated = 0;
    for counts in [
        vec![3u64, 1],
        vec![2, 1, 1],
        vec![1000, 1, 1],
        vec![9, 5, 5, 2, 1],
        vec![500, 400, 300, 200, 100, 50],
    ] {
        let prior = ClassPrior::from_counts(counts.clone()).unwrap();
        for k in [1, 2, 7, 31, 511, 65_535] {
            for t in [0.02, 0.05, 0.2, 0.5, 2.0] {
                let k = NumNegatives::new(k).unwrap();
                let solution = gram::solve(&prior, k, t, &gram::Options::default()).unwrap();
                let losses = optimum::gram_components(&prior, k, t, &solution).unwrap();
                let context = format!("{counts:?}, K = {k}, t = {t}");
                evaluated += holds(&losses, &context);
                let get = |quantity| losses.get(quantity).unwrap();
                let (found, stated) = (get(Quantity::FullSupLoss), solution.optimum.supervised_loss);
                assert!((found / stated - 1.0).abs() < 1e-13, "{context}: {found} {stated}");
                // One vector a class: no spread, so that this is reverse Jensen; telling one class from another costs no
                // more than telling it from all.
                let upper = |key: &str| bounds::find(key).unwrap().upper_bound(&losses).value().unwrap();
                assert!((upper("van_elst") / upper("reverse_jensen") - 1.0).abs() < 1e-13, "{context}");
                assert!((0.0..=found).contains(&get(Quantity::PairLoss)), "{context}");
                // What a batch shows has no more loss than all classes.
                assert!(
                    get(Quantity::JointSupLoss) + get(Quantity::JointSubLoss) <= found + 1e-13,
                    "{context}"
                );
                assert!(get(Quantity::CurlJoint) <= found * (1.0 + 1e-12), "{context}");
                for bound in bounds::all().iter().filter(|b| b.standing() == Standing::Theorem) {
                    if let Outcome::Value(value) = bound.lower_bound(&losses) {
                        let loss = get(Quantity::InfoNce);
                        assert!(
                            value <= loss * (1.0 + 1e-12),
                            "{context}, {}: {value} > {loss}",
                            bound.key()
                        );
                    }
                }
            }
        }
    }
    assert!(evaluated > 800, "{evaluated}");
}
