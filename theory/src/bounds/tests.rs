//! The registry as a whole: keys, and that each bound needs what it says.

use super::*;
use crate::losses::{Domain, Estimate, Positives};
use crate::{NumDraws, Sampling};
use std::collections::BTreeSet;

/// A measurement with these measures, all at a value that fits their domain.
fn with(measures: &[Quantity]) -> LossComponents {
    let mut losses =
        LossComponents::new(4, NumDraws::new(12).unwrap(), 0.5, Sampling::WithReplacement).unwrap();
    losses.class_counts = Some(vec![5; 4]);
    losses.class_sup_loss = Some(vec![0.4; 4]);
    losses.positives = Positives::SameClass;
    for &measure in measures {
        let value = match measure {
            Quantity::InfoNce => 3.0,
            _ if measure.domain() == Domain::NonPositive => -0.5,
            _ => 0.4,
        };
        losses.set(measure, Estimate::exact(value)).unwrap();
    }
    losses
}

#[test]
fn keys_are_distinct_and_found() {
    let keys: BTreeSet<_> = all().iter().map(|b| b.key()).collect();
    assert_eq!(keys.len(), all().len());
    for bound in all() {
        assert_eq!(find(bound.key()).unwrap().name(), bound.name());
        for standing in [bound.standing(), bound.supervised_lower_standing()] {
            assert_eq!(standing.caveat().is_empty(), standing == Standing::Theorem);
        }
    }
    assert!(find("no_such_bound").is_none());
}

#[test]
fn every_bound_needs_what_it_says() {
    let mut checked = 0;
    for bound in all() {
        type Evaluate = fn(&dyn Bound, &LossComponents) -> Outcome;
        let sides: [(&[Quantity], Evaluate); 2] =
            [(bound.lower_needs(), |b, l| b.lower_bound(l)), (bound.upper_needs(), |b, l| b.upper_bound(l))];
        for (needs, evaluate) in sides {
            if needs.is_empty() {
                let everything = with(Quantity::ALL);
                let outcome = evaluate(*bound, &everything);
                // The bound of the NSCL gap needs the class counts alone.
                assert!(
                    outcome.reason().starts_with("gives no") || bound.key() == "nscl_gap",
                    "{}: {outcome:?}",
                    bound.key()
                );
                continue;
            }
            let outcome = evaluate(*bound, &with(needs));
            assert!(outcome.value().is_some_and(f64::is_finite), "{}: {outcome:?}", bound.key());
            for missing in needs {
                let rest: Vec<_> = needs.iter().copied().filter(|m| m != missing).collect();
                assert_eq!(
                    evaluate(*bound, &with(&rest)).reason(),
                    format!("needs {missing}"),
                    "{}",
                    bound.key()
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 60, "{checked}");
}

#[test]
fn no_counts_no_negatives_one_class() {
    let mut losses = with(Quantity::ALL);
    losses.class_counts = None;
    assert_eq!(find("submodular").unwrap().upper_bound(&losses).reason(), "needs class_counts");
    let mut single =
        LossComponents::new(1, NumDraws::new(9).unwrap(), 0.5, Sampling::WithReplacement).unwrap();
    single.class_counts = Some(vec![5]);
    single.measures = with(Quantity::ALL).measures;
    let mut alone =
        LossComponents::new(4, NumDraws::new(1).unwrap(), 0.5, Sampling::WithReplacement).unwrap();
    alone.class_counts = Some(vec![5; 4]);
    alone.measures = single.measures.clone();
    for losses in [single, alone] {
        for bound in all().iter().filter(|b| b.standing() == Standing::Theorem && !b.upper_needs().is_empty())
        {
            let outcome = bound.upper_bound(&losses);
            assert!(outcome.reason().contains("at least 2 classes"), "{}: {outcome:?}", bound.key());
        }
    }
}

#[test]
fn sharper_bounds_are_sharper() {
    // Where one derivation weakens another, the values must be ordered, whatever was measured.
    for info_nce in [2.2, 3.0, 5.0] {
        let mut losses = with(Quantity::ALL);
        losses.set(Quantity::InfoNce, Estimate::exact(info_nce)).unwrap();
        let cost = crate::collision::expected_ln1p(
            &losses.prior().unwrap(),
            losses.sampling,
            losses.num_draws.negatives(),
        );
        losses.set(Quantity::Log1pCollisions, Estimate::exact(cost.unwrap())).unwrap();
        losses.set(Quantity::WithinClassDeviation, Estimate::exact(0.3)).unwrap();
        losses.set(Quantity::WithinClassVariance, Estimate::exact(0.09)).unwrap();
        let upper = |key: &str| find(key).unwrap().upper_bound(&losses).value().unwrap();
        assert!(upper("inverted") <= upper("submodular").min(upper("coverage_collision")));
        assert!(upper("coverage_collision") < upper("curl_coverage"));
        assert!(upper("coverage_collision") < upper("ash"));
        assert!(upper("specht") < upper("reverse_jensen"));
        assert!(upper("specht_positive") < upper("specht"));
        assert!(upper("specht_measured") <= upper("specht"));
        assert!((upper("bao") - upper("reverse_jensen")).abs() < 1e-12, "equal classes");
        assert!(upper("lambda") < upper("nozawa_sato"));
        // −d(f) ≤ σ/t ≤ √V/t.
        assert!(upper("specht") < upper("wang") && upper("wang") < upper("van_elst"));
        assert!(upper("reverse_jensen") < upper("van_elst"));
    }
}

#[test]
fn impossible_measurements_have_no_bound() {
    // More draws than items; counts of another number of classes; same-class positives from distinct images.
    let mut too_many = with(Quantity::ALL);
    too_many.sampling = Sampling::WithoutReplacement;
    too_many.positives = Positives::SameImage;
    too_many.class_counts = Some(vec![2; 4]);
    let mut other_counts = with(Quantity::ALL);
    other_counts.class_counts = Some(vec![5; 3]);
    let mut same_class = with(Quantity::ALL);
    same_class.sampling = Sampling::WithoutReplacement;
    for (losses, reason) in
        [(too_many, "only 8 items"), (other_counts, "3 class_counts"), (same_class, "independent")]
    {
        for bound in all().iter().filter(|b| b.standing() == Standing::Theorem && !b.upper_needs().is_empty())
        {
            let outcome = bound.upper_bound(&losses);
            assert!(outcome.reason().contains(reason), "{}: {outcome:?}", bound.key());
        }
    }
}

#[test]
fn the_nscl_bound_does_not_overflow() {
    let mut losses = with(&[]);
    losses.temperature = 0.002;
    losses.class_counts = Some(vec![1, 2, 5, 2]);
    let found = find("nscl_gap").unwrap().other(&losses).unwrap().outcome.value().unwrap();
    assert!((found - 1000.0).abs() < 1e-9, "ln(1 + e^1000) is 1000: {found}");
}
