//! Calls to the file layer that fail, one at a time: a part of what `trainer/examples/check_faults.rs` does.

#![cfg(target_os = "linux")]

mod faults;

use faults::{Fault, Harness, Job};
use std::path::Path;

/// Of all calls and kinds so many, evenly.
const CHECKED: usize = 8;

fn check(job: Job, checked: usize) {
    let Some(harness) = Harness::new(Path::new(env!("CARGO_BIN_EXE_trainer")), job) else { return };
    let all = Fault::each(&harness.calls());
    let some: Vec<Fault> = all.iter().step_by(all.len() / checked).cloned().collect();
    let (counts, failures) = harness.check_all(&some, 2);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(counts.values().sum::<usize>(), some.len());
    assert!(counts.len() > 1, "{counts:?}: faults happen");
}

#[test]
fn a_run_survives_calls_that_fail() {
    check(Job::Run, CHECKED);
}

#[test]
fn a_run_that_goes_on_survives_calls_that_fail() {
    check(Job::Resume, CHECKED);
}

#[test]
fn a_sweep_survives_calls_that_fail() {
    check(Job::Sweep, CHECKED / 2);
}
