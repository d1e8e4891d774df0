//! Has every call to the file layer fail, one at a time and in every way, and checks what becomes of a run; exits with 1
//! where a fault is not told in one line, or the same command does not repair what it left.
//!
//! Run: `cargo run --release -p trainer --example check_faults -- [run|sweep|pairs] [JOBS] [STEP]`: faults of `trainer run`, of
//! `trainer sweep` (the same call of every process), or pairs of the first fifty calls of `trainer run`; JOBS at a time; of
//! the faults every STEP-th. It needs `cc`; TMPDIR=/dev/shm spares the disk. `tests/trainer_faults.rs` is a part of it.

#[path = "../../tests/faults/mod.rs"]
mod faults;

use faults::{Fault, Harness, Job};
use std::process::ExitCode;
use std::time::Instant;

/// Calls of which every pair is made to fail.
const PAIRED: usize = 50;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |index: usize, default: &str| words.get(index).map_or(default.to_string(), Clone::clone);
    let (what, jobs, step) = (word(0, "run"), word(1, "1").parse(), word(2, "1").parse());
    let (Ok(jobs), Ok(step @ 1..)) = (jobs, step) else {
        eprintln!("usage: check_faults [run|sweep|pairs] [JOBS] [STEP]");
        return ExitCode::from(2);
    };
    let program = faults::built_program();
    let job = if what == "sweep" { Job::Sweep } else { Job::Run };
    let Some(harness) = Harness::new(&program, job) else { return ExitCode::FAILURE };
    let calls = harness.calls();
    let all = match what.as_str() {
        "pairs" => Fault::pairs(&calls[..PAIRED.min(calls.len())]),
        _ => Fault::each(&calls),
    };
    let some: Vec<Fault> = all.iter().step_by(step).cloned().collect();
    println!("{what}: {} calls, {} faults, {} of them checked", calls.len(), all.len(), some.len());
    let start = Instant::now();
    let (counts, failures) = harness.check_all(&some, jobs);
    for (ended, count) in &counts {
        println!("{ended:?}: {count}");
    }
    println!("not as it must be: {} ({:.0} s)", failures.len(), start.elapsed().as_secs_f64());
    failures.iter().for_each(|failure| println!("  {failure}"));
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
