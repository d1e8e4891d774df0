//! What becomes of a run's folder when processes are killed, suspended, or meet in it.

#![cfg(unix)]

use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A process in `folder`, resuming what is there.
fn start(folder: &Path, epochs: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.args(["train", "--preset", "digits", "-q", "--resume", "--checkpoint-every", "1", "--out"]);
    command.arg(folder).args(["--set", "batch_size=256", "--set", epochs]);
    command.stderr(Stdio::piped()).spawn().unwrap()
}

/// How it ended, and what it said.
fn end(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A process to its end.
fn run(folder: &Path, epochs: &str) -> (Option<i32>, String) {
    end(start(folder, epochs))
}

fn signal(child: &Child, name: &str) -> ExitStatus {
    Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap()
}

/// Waits until a process has recorded a row.
fn wait_for_rows(child: &mut Child, folder: &Path) {
    let start = Instant::now();
    while std::fs::metadata(folder.join("metrics.jsonl")).map_or(0, |m| m.len()) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "it ended too early");
        assert!(start.elapsed() < Duration::from_secs(30), "nothing was recorded");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Every file of a folder with its content.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|file| (file.clone(), std::fs::read(file).unwrap())).collect()
}

fn require_same(whole: &Path, other: &Path) {
    for file in ["model.safetensors", "metrics.jsonl", "metrics.csv"] {
        let read = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
        assert!(read(whole) == read(other), "{file} differs");
    }
    let names: Vec<_> = content(other).into_keys().map(|file| file.file_name().unwrap().to_owned()).collect();
    let passing = |name: &std::ffi::OsString| {
        let name = name.to_str().unwrap();
        name.contains("checkpoint") || name.contains("partial") || name == "owner.json"
    };
    assert!(!names.iter().any(passing), "{names:?}");
}

#[test]
fn of_two_processes_one_trains_and_the_other_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let [whole, both] = ["whole", "both"].map(|name| place.path().join(name));
    assert_eq!(run(&whole, "epochs=20").0, Some(0));
    let children = [start(&both, "epochs=20"), start(&both, "epochs=20")];
    let mut ends = children.map(end);
    ends.sort();
    assert_eq!([ends[0].0, ends[1].0], [Some(0), Some(75)], "{ends:?}");
    let said = &ends[1].1;
    assert!(said.contains("is in use by") && said.trim_end().lines().count() == 1, "{said}");
    require_same(&whole, &both);
}

#[test]
fn a_suspended_owner_keeps_the_folder_and_one_that_lost_it_stops() {
    let place = tempfile::tempdir().unwrap();
    let [whole, kept, lost] = ["whole", "kept", "lost"].map(|name| place.path().join(name));
    assert_eq!(run(&whole, "epochs=20").0, Some(0));
    for folder in [&kept, &lost] {
        let mut child = start(folder, "epochs=20");
        wait_for_rows(&mut child, folder);
        assert!(signal(&child, "STOP").success());
        let before = content(folder);
        let (code, said) = run(folder, "epochs=20");
        assert_eq!(code, Some(75), "{said}");
        assert!(said.contains(&format!("is in use by process {} on ", child.id())), "{said}");
        assert_eq!(content(folder), before, "nothing was changed");
        if folder == &lost {
            // As if another host had taken it over meanwhile.
            let path = folder.join("owner.json");
            let lease = std::fs::read_to_string(&path).unwrap();
            let at = lease.find("\"nonce\":\"").unwrap() + "\"nonce\":\"".len();
            std::fs::write(&path, format!("{}another{}", &lease[..at], &lease[at + 7..])).unwrap();
        }
        assert!(signal(&child, "CONT").success());
        let (code, said) = end(child);
        match folder == &lost {
            false => assert_eq!(code, Some(0), "{said}"),
            true => {
                assert_eq!(code, Some(75), "{said}");
                assert!(said.contains("another process took over"), "{said}");
                assert!(!folder.join("model.safetensors").exists());
            }
        }
    }
    require_same(&whole, &kept);
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_as_one_that_was_not() {
    let place = tempfile::tempdir().unwrap();
    let [whole, killed] = ["whole", "killed"].map(|name| place.path().join(name));
    assert_eq!(run(&whole, "epochs=20").0, Some(0));
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
    for round in 0..10 {
        let mut child = start(&killed, "epochs=20");
        // Some while they begin, some while they train; every other one saves where it stands first.
        std::thread::sleep(Duration::from_millis(rng.random_range(0..700)));
        if round % 2 == 1 {
            let _ = signal(&child, "TERM");
            std::thread::sleep(Duration::from_millis(rng.random_range(0..40)));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // What an instant of being placed may leave, whatever the rounds hit.
    std::fs::write(killed.join(".Ab12xy.partial"), "half").unwrap();
    let (code, said) = run(&killed, "epochs=20");
    assert_eq!(code, Some(0), "{said}");
    require_same(&whole, &killed);
}

#[test]
fn two_that_resume_and_are_killed_leave_a_run_that_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let [whole, both] = ["whole", "both"].map(|name| place.path().join(name));
    assert_eq!(run(&whole, "epochs=20").0, Some(0));
    for _ in 0..3 {
        let mut children = [start(&both, "epochs=20"), start(&both, "epochs=20")];
        std::thread::sleep(Duration::from_millis(400));
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    let (code, said) = run(&both, "epochs=20");
    assert_eq!(code, Some(0), "{said}");
    require_same(&whole, &both);
}
