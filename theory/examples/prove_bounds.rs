//! Enumerates random finite worlds and prints the tightest margin of every bound and certificate; exits with 1 if one is violated.
//!
//! Run: `cargo run --release -p theory --example prove_bounds [WORLDS] [SEED]`, 6000 worlds by default. Every fourth
//! world's features are then moved by an adversary towards violating a bound, and enumerated again.

#[path = "../tests/worlds/mod.rs"]
mod worlds;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::process::ExitCode;
use theory::bounds::Standing;
use theory::losses::Positives;
use theory::{Sampling, bounds, certificates};
use worlds::claims::{attack, is_claimed, is_violated, margins, standing};
use worlds::{Truth, World, two_points};

/// Strata of worlds, each with equal and unequal classes: independent draws with positives of one image and of one
/// class, and distinct images.
const STRATA: usize = 6;

/// Finite cases per stratum, violations and the smallest margin of one side of one bound.
#[derive(Clone, Copy)]
struct Record {
    cases: [usize; STRATA],
    violations: usize,
    tightest: f64,
}

impl Default for Record {
    fn default() -> Self {
        Self { cases: [0; STRATA], violations: 0, tightest: f64::INFINITY }
    }
}

type Records = BTreeMap<(&'static str, &'static str), Record>;

fn note(records: &mut Records, truth: &Truth) {
    let losses = &truth.losses;
    let unequal = usize::from(!losses.prior().is_some_and(|p| p.is_uniform()));
    let law = match (losses.sampling, losses.positives) {
        (Sampling::WithReplacement, Positives::SameImage) => 0,
        (Sampling::WithReplacement, Positives::SameClass) => 1,
        (Sampling::WithoutReplacement, _) => 2,
    };
    for (key, side, margin) in margins(truth) {
        let record = records.entry((key, side)).or_default();
        record.cases[2 * law + unequal] += usize::from(margin.is_finite());
        record.violations += usize::from(is_violated(margin));
        record.tightest = record.tightest.min(margin);
    }
}

/// World number `round` and, for every fourth, what an adversary makes of it.
fn examine(round: usize, seed: u64) -> (usize, Records) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(round as u64);
    let mut records = Records::new();
    let mut world = World::random(&mut rng, round);
    if !world.is_enumerable() {
        return (0, records);
    }
    note(&mut records, &world.enumerate());
    if !round.is_multiple_of(4) {
        return (1, records);
    }
    let targets: Vec<_> = bounds::all()
        .iter()
        .flat_map(|b| {
            let sides = [
                ("L_Info ≥", b.lower_needs()),
                ("L_sup ≤", b.upper_needs()),
                ("L_sup ≥", b.supervised_lower_needs()),
                ("other", b.other_needs()),
            ];
            sides.into_iter().filter(|(_, needs)| !needs.is_empty()).map(|(side, _)| (b.key(), side))
        })
        // What is measured, not bounded, has nothing to violate.
        .filter(|&(key, side)| is_claimed(key, side) && key != "nscl_gap_measured")
        .chain(certificates::all().iter().map(|c| (c.key(), "error ≤")))
        .collect();
    let (key, side) = targets[round / 4 % targets.len()];
    world.num_negatives = world.num_negatives.min(3);
    attack(&mut world, key, side, 25, &mut rng);
    note(&mut records, &world.enumerate());
    (2, records)
}

/// Two classes of one vector each, with up to 10⁴ negatives.
fn many_negatives() -> (usize, Records) {
    let mut records = Records::new();
    let mut count = 0;
    for counts in [[1, 1], [3, 1], [19, 1], [9997, 3]] {
        for k in [1, 3, 10, 100, 1000, 10_000] {
            for t in [0.05, 0.1, 0.3, 1.0, 2.0, 4.0] {
                for inner in [-1.0, -0.3, 0.5, 0.99, 1.0] {
                    note(&mut records, &two_points(counts, k, t, inner));
                    count += 1;
                }
            }
        }
    }
    (count, records)
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<u64>());
    let (Ok(rounds), Ok(seed)) =
        (arguments.next().unwrap_or(Ok(6000)), arguments.next().unwrap_or(Ok(20_221_123)))
    else {
        eprintln!("usage: prove_bounds [WORLDS] [SEED], both non-negative integers");
        return ExitCode::from(2);
    };
    let mut examined: Vec<_> =
        (0..rounds as usize).into_par_iter().map(|round| examine(round, seed)).collect();
    examined.push(many_negatives());
    let mut all = Records::new();
    let mut worlds = 0;
    for (count, records) in examined {
        worlds += count;
        for (key, found) in records {
            let record = all.entry(key).or_default();
            record.cases.iter_mut().zip(found.cases).for_each(|(total, cases)| *total += cases);
            record.violations += found.violations;
            record.tightest = record.tightest.min(found.tightest);
        }
    }
    println!(
        "{worlds} worlds enumerated, seed {seed}; margin: how far the bound is from violation, in nats or as a share"
    );
    println!(
        "cases: independent draws with positives of one image, of one class, and distinct images; each with equal/unequal classes"
    );
    println!(
        "{:28} {:9} {:26} {:>11} {:>11} {:>11} {:>10} {:>11}",
        "bound", "side", "standing", "image", "class", "distinct", "violations", "tightest"
    );
    let mut refuted = false;
    let keys = bounds::all().iter().map(|b| b.key()).chain(certificates::all().iter().map(|c| c.key()));
    for key in keys {
        let mut claimed_cases = 0;
        for ((_, side), record) in all.iter().filter(|((found, _), _)| *found == key) {
            if is_claimed(key, side) {
                refuted |= record.violations > 0;
                claimed_cases += record.cases.iter().sum::<usize>();
            }
            let stratum = |i: usize| format!("{}/{}", record.cases[2 * i], record.cases[2 * i + 1]);
            println!(
                "{key:28} {side:9} {:26} {:>11} {:>11} {:>11} {:10} {:11.3e}",
                standing(key, side).name(),
                stratum(0),
                stratum(1),
                stratum(2),
                record.violations,
                record.tightest
            );
        }
        // What is measured, not bounded, has nothing to violate.
        let claims = matches!(standing(key, ""), Standing::Theorem | Standing::Unproved(_));
        if claimed_cases < 100 && claims && key != "nscl_gap_measured" {
            println!("{key}: only {claimed_cases} cases, nothing is shown");
            refuted = true;
        }
    }
    if refuted { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
