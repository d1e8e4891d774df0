//! Checks the error bounds of the floating-point coverage probabilities against exact integers.
//!
//! `cargo run --release -p theory --example check_certificates [SEED [CASES]]` draws random cases (uniform priors,
//! counts, counts without replacement, integer weights, anchors left out), prints for both sides and by size of the
//! value how large errors and bounds are, and exits with 1 if any bound is violated.

mod cases;

use cases::{Case, Outcome};
use rayon::prelude::*;
use std::process::ExitCode;

/// Sizes of a value, in powers of ten.
const REGIONS: [(&str, f64, f64); 4] = [
    ("value > 1e-3", -3.0, f64::INFINITY),
    ("1e-30 .. 1e-3", -30.0, -3.0),
    ("1e-400 .. 1e-30", -400.0, -30.0),
    ("below 1e-400", f64::NEG_INFINITY, -400.0),
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let (Ok(seed), Ok(cases)) = (arguments.next().unwrap_or(Ok(1)), arguments.next().unwrap_or(Ok(12_000)))
    else {
        eprintln!("usage: check_certificates [SEED [CASES]], both non-negative integers");
        return ExitCode::from(2);
    };
    let outcomes: Vec<(u64, [Outcome; 2])> = (0..cases)
        .into_par_iter()
        .filter_map(|i| {
            let own = seed.wrapping_mul(1_000_000_007).wrapping_add(i);
            Case::random(own).check().ok().map(|sides| (own, sides))
        })
        .collect();
    println!("seed {seed}: {} cases, both sides", outcomes.len());
    println!(
        "{:<12} {:<16} {:>7} {:>10} {:>10} {:>10} {:>11} {:>10} {:>6}",
        "side", "region", "number", "max error", "p99 error", "max bound", "error/bound", "bound/p99", "bad"
    );
    let mut violated = outcomes.len() < cases as usize;
    for complement in [false, true] {
        for (name, low, high) in REGIONS {
            let all = outcomes.iter().flat_map(|(own, sides)| sides.iter().map(move |side| (*own, *side)));
            let region: Vec<(u64, Outcome)> = all
                .filter(|(_, o)| o.complement == complement && o.log10 > low && o.log10 <= high)
                .filter(|(_, o)| o.log10 > f64::NEG_INFINITY || o.error > 0.0)
                .collect();
            if region.is_empty() {
                continue;
            }
            let mut errors: Vec<f64> = region.iter().map(|(_, o)| o.error).collect();
            errors.sort_by(f64::total_cmp);
            let p99 = errors[(errors.len() - 1) * 99 / 100];
            let bound = region.iter().map(|(_, o)| o.bound).fold(0.0, f64::max);
            let tightest = region.iter().filter(|(_, o)| o.error > 0.0).map(|(_, o)| o.error / o.bound);
            let bad: Vec<_> = region
                .iter()
                .filter(|(_, o)| o.bound.is_nan() || o.error.is_nan() || o.error > o.bound)
                .collect();
            println!(
                "{:<12} {name:<16} {:>7} {:>10.1e} {p99:>10.1e} {bound:>10.1e} {:>11.2} {:>10.1} {:>6}",
                if complement { "1 - upsilon" } else { "upsilon" },
                region.len(),
                errors[errors.len() - 1],
                tightest.fold(0.0, f64::max),
                bound / p99,
                bad.len()
            );
            for (own, outcome) in bad.iter().take(5) {
                println!("  violated: {outcome:?} {:?}", Case::random(*own));
            }
            violated |= !bad.is_empty();
        }
    }
    if violated { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
