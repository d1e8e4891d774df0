use super::*;
use crate::NumDraws;
use crate::bounds;

/// Digits-like: 10 classes of 36 images, batches of 16, 5 passes.
fn row() -> LossComponents {
    let mut row =
        LossComponents::new(10, NumDraws::new(16).unwrap(), 0.5, Sampling::WithoutReplacement).unwrap();
    row.class_counts = Some(vec![36; 10]);
    row.num_batches = Some(110);
    for (quantity, mean, error) in [
        (Quantity::InfoNce, 1.5, 0.02),
        (Quantity::Gap, -0.3, 0.01),
        (Quantity::LogitVariance, 0.6, 0.02),
        (Quantity::FullSupLoss, 1.7, 0.03),
        (Quantity::JointSubLoss, 0.9, 0.03),
        (Quantity::Log1pCollisions, 0.8, 0.01),
    ] {
        let (standard_error, image_error) = (Some(error), Some(error));
        row.set(quantity, Estimate { mean, standard_error, image_error }).unwrap();
    }
    row.set(Quantity::MeanAccuracy, Estimate::share(0.9, 360)).unwrap();
    row
}

#[test]
fn every_need_of_a_theorem_has_a_range() {
    for bound in bounds::all() {
        for &quantity in bound.upper_needs().iter().chain(bound.supervised_lower_needs()) {
            let known = of_labels(&row(), quantity).unwrap().is_some() || terms(&row(), quantity).is_ok();
            assert!(known, "{}: {quantity}", bound.key());
        }
    }
}

#[test]
fn limits_are_ordered_and_within_their_ranges() {
    let row = row();
    for &quantity in row.measures.keys() {
        let mean = row.get(quantity).unwrap();
        for kind in Kind::ALL {
            let (low, high) = interval(&row, quantity, 0.95, kind).unwrap();
            let wider = interval(&row, quantity, 0.99, kind).unwrap();
            if quantity == Quantity::Log1pCollisions {
                // Known from the shares, for independent labels.
                assert!(low == high && (low - 0.75).abs() < 0.1, "{low}");
                continue;
            }
            assert!(low < mean && mean < high, "{quantity} {low} {high}");
            assert!(wider.0 < low && high < wider.1, "{quantity} {kind:?}");
        }
    }
    let free = interval(&row, Quantity::MeanAccuracy, 0.95, Kind::AssumptionFree).unwrap();
    assert_eq!(free, Proportion::new(324, 360).unwrap().interval(0.95).unwrap());
}

#[test]
fn what_one_image_can_change_is_reached() {
    // n = 2, t: the anchor's own loss runs over its whole range; as the only negative of the other anchor, with
    // positive similarity −1, from ln(1+e^0) to ln(1+e^{2/t}).
    let mut row = row();
    row.num_draws = NumDraws::new(2).unwrap();
    row.num_batches = Some(180);
    let Ok(Terms::Bounded(bounded)) = terms(&row, Quantity::InfoNce) else { panic!() };
    let (low, high) = ((-4f64).exp().ln_1p(), 4f64.exp().ln_1p());
    let error = Estimate { mean: low, standard_error: None, image_error: None };
    let reached = (high - low) + (high - 2f64.ln());
    let expected = low + reached * (20f64.ln() / 720.0).sqrt();
    // Another form may be the one that is taken; none is looser than this one by choice.
    let found = bounded.limit(error, Extreme::Largest, 0.05);
    assert!(found <= expected + 1e-12 && found > low, "{found} {expected}");
}

#[test]
fn the_worst_corner_is_that_of_a_monotone_bound() {
    let row = row();
    let specht = bounds::find("specht_measured").unwrap();
    let at = |kind| {
        worst(&row, specht.upper_needs(), 0.95, kind, Extreme::Largest, &|row| specht.upper_bound(row))
    };
    let mut corner = population(&row).unwrap();
    let tail = 0.05 / 3.0;
    for (quantity, end) in [
        (Quantity::InfoNce, Extreme::Largest),
        (Quantity::Gap, Extreme::Smallest),
        (Quantity::LogitVariance, Extreme::Largest),
    ] {
        let value = limit(&row, quantity, end, tail, Kind::Normal).unwrap();
        corner.set(quantity, Estimate::exact(value)).unwrap();
    }
    assert_eq!(at(Kind::Normal), specht.upper_bound(&corner));
    assert!(at(Kind::AssumptionFree).value() > at(Kind::Normal).value());
}

#[test]
fn what_is_lacking_is_named() {
    let reason =
        |row: &LossComponents, kind| interval(row, Quantity::InfoNce, 0.95, kind).unwrap_err().to_string();
    let mut old = row();
    let estimate = Estimate { image_error: None, ..old.measures[&Quantity::InfoNce] };
    old.set(Quantity::InfoNce, estimate).unwrap();
    assert_eq!(reason(&old, Kind::Normal), "needs info_nce_image_se: measure again");
    // Assuming nothing needs no error over images.
    interval(&old, Quantity::InfoNce, 0.95, Kind::AssumptionFree).unwrap();
    old.num_batches = Some(111);
    assert!(reason(&old, Kind::AssumptionFree).contains("111 batches of 16"));
    old.class_counts = None;
    assert_eq!(reason(&old, Kind::AssumptionFree), "needs class_counts");
    assert!(interval(&row(), Quantity::InfoNce, 1.0, Kind::Normal).is_err());
}
