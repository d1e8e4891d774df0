//! Standard streams that are closed, full, or left by their reader, and names that are no text: the work is done all the
//! same, or one line says why not.

#![cfg(target_os = "linux")]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Options that make runs of the digits small.
const SMALL: &str = "--set epochs=1 --set batch_size=96 --set train_samples=200 --set mean_views=2 --set fbar_views=2 --set passes=1";

/// A plan of two such runs.
const PLAN: &str = r#"
preset = "digits"
epochs = 1
batch_size = 96
train_samples = 200
mean_views = 2
fbar_views = 2
passes = 1
[grid]
seed = [7, 11]
"#;

/// A line of bash, in which `trainer` is the program and whose folder is `place`.
fn bash(place: &Path, line: &str) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_trainer"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::iter::once(program.parent().unwrap().to_path_buf()).chain(std::env::split_paths(&path));
    let path = std::env::join_paths(folders).unwrap();
    Command::new("bash").args(["-c", line]).current_dir(place).env("PATH", path).output().unwrap()
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_string();
    (text(&output.stdout), text(&output.stderr))
}

/// The finished runs of a sweep.
fn finished(folder: &Path) -> usize {
    let runs = std::fs::read_dir(folder.join("runs")).unwrap();
    runs.filter(|run| run.as_ref().unwrap().path().join("done.json").exists()).count()
}

#[test]
fn a_reader_that_goes_away_stops_nothing() {
    let place = tempfile::tempdir().unwrap();
    let line = format!(
        "trainer reproduce digits --draws 64,96 --seeds 7,11 {} --out page 2>&1 | head -1; echo ${{PIPESTATUS[0]}}",
        SMALL.replace("--set batch_size=96 ", "")
    );
    let (said, _) = texts(&bash(place.path(), &line));
    assert_eq!(said.lines().last(), Some("0"), "{said}");
    assert!(finished(&place.path().join("page")) >= 4);
    assert!(place.path().join("page/report.html").exists());
}

#[test]
fn streams_that_are_closed_stop_nothing() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("plan.toml"), PLAN).unwrap();
    let closed = bash(place.path(), "trainer sweep plan.toml --out closed <&- >&- 2>&-");
    assert_eq!(closed.status.code(), Some(0));
    let open = bash(place.path(), "trainer sweep plan.toml --out open");
    assert_eq!(open.status.code(), Some(0));
    let losses = |name: &str| std::fs::read(place.path().join(name).join("losses.csv")).unwrap();
    assert!(losses("closed") == losses("open"));
}

#[test]
fn streams_that_are_full_cost_what_is_said_there_and_no_more() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("plan.toml"), PLAN).unwrap();
    let full = bash(place.path(), "trainer sweep plan.toml --out full 2>/dev/full");
    assert_eq!(full.status.code(), Some(0));
    assert_eq!(finished(&place.path().join("full")), 2);
    // A table that nobody gets is an error; all the files are there.
    let full = bash(place.path(), "trainer sweep plan.toml -q --out full >/dev/full");
    let (_, said) = texts(&full);
    assert_eq!(full.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: standard output: ") && said.lines().count() == 1, "{said}");
    let line = "trainer train --preset digits --set epochs=100000 --out train 2>/dev/full & \
                until [ -s train/metrics.jsonl ]; do sleep 0.05; done; kill -TERM $!; wait $!";
    assert_eq!(bash(place.path(), line).status.code(), Some(75));
    assert!(place.path().join("train/checkpoint.safetensors").exists());
}

#[test]
fn names_that_are_no_text_are_names() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("plan.toml"), PLAN).unwrap();
    std::fs::copy(oracle(), place.path().join("features.npz")).unwrap();
    let trained = bash(place.path(), &format!("trainer train --preset digits {SMALL} -q --out run"));
    assert_eq!(trained.status.code(), Some(0), "{}", texts(&trained).1);
    for (number, words) in [
        &format!("train --preset digits {SMALL} -q")[..],
        "sweep plan.toml -q",
        "sweep plan.toml --plan-only",
        "run --plan plan.toml --index 0 -q",
        &format!("reproduce digits --draws 96 --seeds 7 {} -q", SMALL.replace("--set batch_size=96 ", "")),
        "measure --run run -q",
        "measure --features features.npz --draws 5 --temperature 0.5 -q",
        "difficulty --run run",
        "population --classes 3 --negatives 1 --temperature 0.5 --steps 5",
    ]
    .into_iter()
    .enumerate()
    {
        let line = format!("trainer {words} --out $'{number}\\xff'");
        let output = bash(place.path(), &line);
        let (_, said) = texts(&output);
        assert!(!said.contains("panicked"), "{line}: {said}");
        match output.status.code() {
            Some(0) => {
                let name = [number.to_string().as_bytes(), b"\xff"].concat();
                assert!(place.path().join(OsStr::from_bytes(&name)).is_dir(), "{line}");
            }
            Some(1 | 2) => {
                assert!(said.starts_with("error: ") && said.lines().count() == 1, "{line}: {said}")
            }
            code => panic!("{line}: {code:?}: {said}"),
        }
        println!("{words}: {}", output.status);
    }
}

fn oracle() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/oracle/features.npz")
}
