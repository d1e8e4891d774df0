//! What becomes of a sweep when its processes are killed, and when two work on one folder.

#![cfg(target_os = "linux")]

mod faults;

use faults::kills::{PLAN, check, children, is_alive, kill, start, undisturbed};
use faults::{lasting, said};
use std::path::Path;
use std::time::{Duration, Instant};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_trainer"))
}

/// `trainer/examples/check_kills.rs` does so as often as one wants.
#[test]
fn a_sweep_that_is_killed_again_and_again_ends_as_one_that_was_not() {
    let counts = check(program(), 20, 5).unwrap();
    assert_eq!((counts.groups, counts.workers), (10, 10), "{counts:?}");
}

#[test]
fn runs_stop_by_themselves_when_their_sweep_is_killed() {
    let place = tempfile::tempdir().unwrap();
    // One trains for long; the other measures for long.
    for (name, setting, file) in [
        ("training", "epochs = 100000", "owner.json"),
        ("measuring", "epochs = 1\nfbar_views = 100000", "model.safetensors"),
    ] {
        let plan = place.path().join("plan.toml");
        let text = format!("preset = \"digits\"\nmean_views = 2\n{setting}\n[grid]\nseed = [7, 11]\n");
        std::fs::write(&plan, text).unwrap();
        let folder = place.path().join(name);
        let mut sweep = start(program(), &plan, &folder, "2");
        let begin = Instant::now();
        let begun = || {
            let runs = std::fs::read_dir(folder.join("runs")).into_iter().flatten().flatten();
            runs.filter(|run| run.path().join(file).exists()).count() == 2
        };
        while !begun() {
            assert!(begin.elapsed() < Duration::from_secs(60), "nothing began");
            std::thread::sleep(Duration::from_millis(20));
        }
        let workers = children(sweep.id());
        assert_eq!(workers.len(), 2);
        assert!(kill(sweep.id()));
        sweep.wait().unwrap();
        let begin = Instant::now();
        while workers.iter().any(|worker| is_alive(*worker)) {
            assert!(begin.elapsed() < Duration::from_secs(10), "{name}: a run goes on");
            std::thread::sleep(Duration::from_millis(20));
        }
        println!("{name}: both ended after {:.2} s", begin.elapsed().as_secs_f64());
    }
}

#[test]
fn two_sweeps_in_one_folder_do_each_run_once() {
    let place = tempfile::tempdir().unwrap();
    let plan = place.path().join("plan.toml");
    std::fs::write(&plan, PLAN).unwrap();
    let (expected, _) = undisturbed(program(), &plan, &place.path().join("whole"));
    let folder = place.path().join("both");
    let sweeps = [start(program(), &plan, &folder, "2"), start(program(), &plan, &folder, "2")];
    let outputs = sweeps.map(|sweep| sweep.wait_with_output().unwrap());
    let texts = outputs.each_ref().map(said);
    for (output, text) in outputs.iter().zip(&texts) {
        assert_eq!(output.status.code(), Some(0), "{text}");
    }
    assert!(lasting(&folder) == expected, "the files are those of one sweep");
    // Each run has a line of each sweep: that of the one that did it says nothing of another.
    let lines = texts
        .iter()
        .flat_map(|text| text.lines())
        .filter(|line| line.starts_with('[') && !line.contains("in use by"));
    let (elsewhere, own): (Vec<&str>, Vec<&str>) =
        lines.partition(|line| line.contains("by another process") || line.contains("kept from before"));
    assert_eq!((own.len(), elsewhere.len()), (4, 4), "{}\n--\n{}", texts[0], texts[1]);
}
