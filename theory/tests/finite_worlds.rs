//! The bounds on worlds whose every batch is enumerated; `examples/prove_bounds.rs` runs many more.

mod worlds;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use theory::losses::Quantity;
use theory::{Sampling, bounds, certificates, collision, coverage};
use worlds::claims::{attack, is_claimed, is_violated, margins};
use worlds::{World, two_points};

#[test]
fn no_bound_is_violated_where_it_claims_validity() {
    let mut rng = ChaCha8Rng::seed_from_u64(20_210_611);
    let mut evaluated = BTreeMap::<(&str, &str), usize>::new();
    let mut violated = BTreeMap::<(&str, &str), f64>::new();
    for round in 0..240 {
        let world = World::random(&mut rng, round);
        if !world.is_enumerable() {
            continue;
        }
        for (key, side, margin) in margins(&world.enumerate()) {
            *evaluated.entry((key, side)).or_default() += 1;
            if is_claimed(key, side) {
                assert!(!is_violated(margin), "{key} {side} {margin} in {world:?}");
            } else {
                let worst = violated.entry((key, side)).or_insert(f64::INFINITY);
                *worst = worst.min(margin);
            }
        }
    }
    // Every side of every bound was met, and what is no bound was caught.
    for bound in bounds::all().iter().filter(|b| !b.upper_needs().is_empty()) {
        assert!(evaluated[&(bound.key(), "L_sup ≤")] >= 20, "{}: {evaluated:?}", bound.key());
    }
    for certificate in certificates::all() {
        assert!(evaluated[&(certificate.key(), "error ≤")] >= 20, "{}: {evaluated:?}", certificate.key());
    }
    for (key, side) in [
        ("collision_term", "other"),
        ("nscl_gap", "other"),
        ("mutual_information", "other"),
        ("arora_pairs", "other"),
        ("specht", "L_sup ≥"),
    ] {
        assert!(evaluated[&(key, side)] >= 20, "{key}: {evaluated:?}");
    }
    for caught in [("curl_as_published", "L_sup ≤"), ("wang", "L_sup ≥")] {
        assert!(violated[&caught] < -0.1, "{violated:?}");
    }
}

#[test]
fn adversarial_features_do_not_break_a_bound() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let upper = bounds::all().iter().filter(|b| !b.upper_needs().is_empty()).map(|b| (b.key(), "L_sup ≤"));
    let sides = upper.chain([("arora_pairs", "other")]).filter(|(key, side)| is_claimed(key, side));
    for (attacked, side) in sides.chain(certificates::all().iter().map(|c| (c.key(), "error ≤"))) {
        for round in 0..3 {
            let mut world = World::random(&mut rng, round);
            world.num_negatives = world.num_negatives.min(3);
            if world.is_enumerable() {
                attack(&mut world, attacked, side, 12, &mut rng);
                for (key, side, margin) in margins(&world.enumerate()) {
                    let refuted = is_claimed(key, side) && is_violated(margin);
                    assert!(!refuted, "{key} {side} {margin} in {world:?}");
                }
            }
        }
    }
}

#[test]
fn counted_frequencies_are_the_exact_probabilities() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut compared = 0;
    for round in 0..60 {
        let world = World::random(&mut rng, round);
        if !world.is_enumerable() {
            continue;
        }
        let losses = world.enumerate().losses;
        let prior = losses.prior().unwrap();
        let negatives = losses.num_draws.negatives();
        let upsilon = coverage::probability(&prior, world.sampling, losses.num_draws).unwrap().value();
        let tau = collision::probability(&prior, world.sampling, negatives).unwrap().value();
        let cost = collision::expected_ln1p(&prior, world.sampling, negatives).unwrap();
        assert!((losses.get(Quantity::Coverage).unwrap() - upsilon).abs() < 1e-12, "{world:?}");
        assert!((losses.get(Quantity::Collision).unwrap() - tau).abs() < 1e-12, "{world:?}");
        assert!((losses.get(Quantity::Log1pCollisions).unwrap() - cost).abs() < 1e-12, "{world:?}");
        compared += usize::from(world.sampling == Sampling::WithoutReplacement);
    }
    assert!(compared >= 10);
}

#[test]
fn two_points_and_many_negatives() {
    for counts in [[1, 1], [9, 1], [997, 3]] {
        for k in [1, 30, 3000] {
            for t in [0.05, 0.5, 2.0, 4.0] {
                for inner in [-1.0, 0.0, 0.99, 1.0] {
                    for (key, side, margin) in margins(&two_points(counts, k, t, inner)) {
                        assert!(
                            !(is_claimed(key, side) && is_violated(margin)),
                            "{key} {side} {margin} at {counts:?} K={k} t={t} inner={inner}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn views_that_hide_their_image_break_no_statement_about_information() {
    // Two images, each with one view of its own and views that both share: with distinct images ln(K+1) − L_Info
    // exceeds I(view 1; view 2) here, so the statement must be about I(view; image).
    use theory::losses::Positives;
    use worlds::View;
    let shared = 8;
    let mut views = Vec::new();
    for image in 0..2 {
        let basis = |place: usize, sign: f64| {
            let mut feature = vec![0.0; shared + 1];
            feature[place] = sign;
            View { image, class: 0, feature }
        };
        // The own view has probability ½: as many copies as shared views.
        views.extend((0..shared).map(|_| basis(0, if image == 0 { 1.0 } else { -1.0 })));
        views.extend((1..=shared).map(|place| basis(place, 1.0)));
    }
    let world = World {
        views,
        class_counts: vec![2],
        temperature: 0.3,
        num_negatives: 1,
        sampling: Sampling::WithoutReplacement,
        positives: Positives::SameImage,
    };
    let truth = world.enumerate();
    let certified = 2f64.ln() - truth.info_nce;
    assert!((certified - 0.1919).abs() < 5e-4, "{certified}");
    assert!(certified > 0.25 * 2f64.ln() + 0.01, "above I(view 1; view 2)");
    assert!(truth.mutual_information > certified, "{} {certified}", truth.mutual_information);
}

/// Where every expectation is exact, each step to a theorem is an inequality, and none is negative.
#[test]
fn every_step_of_a_theorem_is_an_inequality() {
    use theory::bounds::{Standing, Step, slack};
    use theory::losses::Estimate;
    let mut rng = ChaCha8Rng::seed_from_u64(20_261_130);
    let mut met = BTreeMap::<(&str, Vec<Step>), usize>::new();
    let mut truths: Vec<_> = (0..240)
        .map(|round| World::random(&mut rng, round))
        .filter(World::is_enumerable)
        .map(|world| (world.enumerate(), format!("{world:?}")))
        .collect();
    for (counts, k, t) in [([1, 1], 30, 0.5), ([9, 1], 100, 0.2), ([997, 3], 3000, 1.0)] {
        truths.push((two_points(counts, k, t, -0.3), format!("{counts:?} {k} {t}")));
    }
    for (truth, world) in &truths {
        for bound in bounds::all().iter().filter(|b| !b.upper_needs().is_empty()) {
            let Ok(slack) = slack::of(*bound, &truth.losses) else { continue };
            let total: f64 = slack.links.iter().map(|link| link.supervised).sum();
            let size = slack.bound.abs().max(slack.supervised).max(1.0);
            assert!((total - slack.total()).abs() <= 1e-12 * size, "{} {slack:?}", bound.key());
            let mut above = truth.losses.clone();
            above.measures.insert(Quantity::InfoNce, Estimate::exact(truth.info_nce + 1.0));
            let slope = bound.upper_bound(&above).value().unwrap() - slack.bound;
            for link in &slack.links {
                *met.entry((bound.key(), link.steps.clone())).or_default() += 1;
                if bound.standing() == Standing::Theorem {
                    let (key, name) = (bound.key(), link.name());
                    assert!(link.info_nce >= -1e-12, "{key}, {name}: {:e} in {world}", link.info_nce);
                    // Nats of L_sup are those of L_Info, and their rounding, over a probability that may be tiny.
                    let found = link.supervised;
                    assert!(
                        found >= -1e-12 * (size + slope),
                        "{key}, {name}: {found:e}, {slope:e} in {world}"
                    );
                }
            }
        }
    }
    // Every bound was met with the three steps to the master inequality, each apart.
    for bound in
        bounds::all().iter().filter(|b| !b.upper_needs().is_empty() && is_claimed(b.key(), "L_sup ≤"))
    {
        for step in [Step::ImageMean, Step::ClassMeans, Step::Gap] {
            assert!(
                met.get(&(bound.key(), vec![step])).is_some_and(|&n| n >= 20),
                "{}: {met:?}",
                bound.key()
            );
        }
    }
}
