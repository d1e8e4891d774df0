//! Enumerates random finite worlds and prints the tightest margin of every bound; exits with 1 if one is violated.
//!
//! Run: `cargo run --release -p theory --example prove_bounds [WORLDS] [SEED]`, 6000 worlds by default. Every fourth world's
//! features are then moved by an adversary towards violating a bound, and enumerated again.

#[path = "../tests/worlds/mod.rs"]
mod worlds;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::process::ExitCode;
use theory::bounds;
use worlds::{ROUNDING, World, attack, is_claimed, margins};

/// Cases, violations and the smallest margin of one side of one bound.
#[derive(Clone, Copy)]
struct Record {
    cases: usize,
    violations: usize,
    tightest: f64,
}

type Records = BTreeMap<(&'static str, &'static str), Record>;

fn note(records: &mut Records, world: &World) {
    for (key, side, margin) in margins(&world.enumerate()) {
        let record =
            records.entry((key, side)).or_insert(Record { cases: 0, violations: 0, tightest: f64::INFINITY });
        record.cases += 1;
        record.violations += usize::from(margin < -ROUNDING);
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
    note(&mut records, &world);
    if !round.is_multiple_of(4) {
        return (1, records);
    }
    let upper: Vec<_> =
        bounds::all().iter().filter(|b| is_claimed(b.key()) && !b.upper_needs().is_empty()).collect();
    let target = upper[round / 4 % upper.len()];
    world.num_negatives = world.num_negatives.min(3);
    attack(&mut world, target.key(), "L_sup ≤", 25, &mut rng);
    note(&mut records, &world);
    (2, records)
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<u64>());
    let (Ok(rounds), Ok(seed)) =
        (arguments.next().unwrap_or(Ok(6000)), arguments.next().unwrap_or(Ok(20_221_123)))
    else {
        eprintln!("usage: prove_bounds [WORLDS] [SEED], both non-negative integers");
        return ExitCode::from(2);
    };
    let examined: Vec<_> = (0..rounds as usize).into_par_iter().map(|round| examine(round, seed)).collect();
    let mut all = Records::new();
    let mut worlds = 0;
    for (count, records) in examined {
        worlds += count;
        for (key, found) in records {
            let record =
                all.entry(key).or_insert(Record { cases: 0, violations: 0, tightest: f64::INFINITY });
            record.cases += found.cases;
            record.violations += found.violations;
            record.tightest = record.tightest.min(found.tightest);
        }
    }
    println!("{worlds} worlds enumerated, seed {seed}; margin: how far the bound is from violation, in nats");
    println!(
        "{:28} {:9} {:26} {:>7} {:>10} {:>12}",
        "bound", "side", "standing", "cases", "violations", "tightest"
    );
    let mut refuted = false;
    for bound in bounds::all() {
        for ((_, side), record) in all.iter().filter(|((key, _), _)| *key == bound.key()) {
            refuted |= is_claimed(bound.key()) && record.violations > 0;
            println!(
                "{:28} {side:9} {:26} {:7} {:10} {:12.3e}",
                bound.key(),
                bound.standing().name(),
                record.cases,
                record.violations,
                record.tightest
            );
        }
    }
    if refuted { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
