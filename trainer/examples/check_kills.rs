//! Kills sweeps at random moments, half of the times with all their processes, half of the times one run, and starts the
//! same command again until it ends with 0; exits with 1 where the result is not that of a sweep that nobody disturbed.
//!
//! Run: `cargo run --release -p trainer --example check_kills -- [KILLS] [SEED]`, 200 kills by default.
//! `tests/trainer_kills.rs` is a part of it.

#[path = "../../tests/faults/mod.rs"]
mod faults;

use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|word| word.parse::<u64>());
    let (Ok(kills), Ok(seed)) = (numbers.next().unwrap_or(Ok(200)), numbers.next().unwrap_or(Ok(1))) else {
        eprintln!("usage: check_kills [KILLS] [SEED]");
        return ExitCode::from(2);
    };
    let start = Instant::now();
    match faults::kills::check(&faults::built_program(), kills as usize, seed) {
        Ok(counts) => {
            println!("{counts:?}: all as undisturbed ({:.0} s)", start.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(what) => {
            println!("{what}");
            ExitCode::FAILURE
        }
    }
}
