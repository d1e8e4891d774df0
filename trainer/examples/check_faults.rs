//! Has every call to the file layer fail, one at a time and in every way, and checks what becomes of a run; exits with 1
//! where a fault is not told in one line, or the same command does not repair what it left.
//!
//! Run: `cargo run --release -p trainer --example check_faults -- [run|resume|sweep|pairs] [JOBS] [STEP]`
//!
//! | word | faults of |
//! |---|---|
//! | `run` | `trainer run`, the default |
//! | `resume` | the same where it was killed after its last checkpoint |
//! | `sweep` | `trainer sweep` of two runs: the same call of every process |
//! | `pairs` | `trainer run`: every two of its first fifty calls |
//!
//! JOBS at a time, and of the faults every STEP-th. It needs `cc`; TMPDIR=/dev/shm spares the disk. In the first two the
//! calls are always the same; how often a sweep looks at its runs depends on time. `tests/trainer_faults.rs` is a part
//! of it.

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
        eprintln!("usage: check_faults [run|resume|sweep|pairs] [JOBS] [STEP]");
        return ExitCode::from(2);
    };
    let program = faults::built_program();
    let job = match what.as_str() {
        "run" | "pairs" => Job::Run,
        "resume" => Job::Resume,
        "sweep" => Job::Sweep,
        _ => {
            eprintln!("{what} is none of run, resume, sweep, pairs");
            return ExitCode::from(2);
        }
    };
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
