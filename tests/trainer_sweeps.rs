//! Sweeps as their users meet them: a plan from a file, a process a run, kept, continued, collected whole or in part.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use theory::losses;

fn trainer(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.args(args).env_remove("RUST_BACKTRACE");
    command
}

fn run(args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = trainer(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// A plan of tiny runs in a folder of its own.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(axes: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Self { folder };
        place.plan(axes);
        place
    }

    fn plan(&self, axes: &str) {
        let text =
            format!("preset = \"digits\"\nepochs = 1\nmean_views = 2\nfbar_views = 1\npasses = 1\n{axes}");
        std::fs::write(self.path("plan.toml"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().into()
    }

    fn sweep(&self, out: &str, more: &[&str]) -> (i32, String, String) {
        run(&[&["sweep", &self.text("plan.toml"), "--out", &self.text(out)][..], more].concat())
    }

    /// The states of `runs.csv`.
    fn states(&self, out: &str) -> Vec<String> {
        let mut rows = csv::Reader::from_path(self.path(out).join("runs.csv")).unwrap();
        rows.records().map(|row| row.unwrap()[3].to_string()).collect()
    }

    fn names(&self, out: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path(out).join("plan.jsonl")).unwrap();
        let name = |line: &str| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["name"].as_str().unwrap().into()
        };
        text.lines().map(name).collect()
    }
}

const FOUR: &str = "[grid]\nbatch_size = [64, 256]\nseed = [7, 11]\n";

#[test]
fn a_plan_is_run_kept_and_continued() {
    let place = Place::new("[grid]\nbatch_size = [256]\nseed = [7]\n");
    let (code, stdout, stderr) = place.sweep("out", &[]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("raw pixels") && stderr.contains("report: "), "{stdout}{stderr}");
    let first = std::fs::read(place.path("out/losses.csv")).unwrap();
    // More values: what was run is kept.
    place.plan(FOUR);
    let (code, _, stderr) = place.sweep("out", &[]);
    assert_eq!((code, stderr.matches("kept from before").count()), (0, 1), "{stderr}");
    assert!(stderr.contains("batch_size = 64, seed = 11"), "runs are told by what differs: {stderr}");
    assert_eq!(place.states("out"), ["finished"; 4]);
    let rows = losses::read(&place.path("out/losses.csv")).unwrap();
    assert_eq!(rows.len(), 4);
    let kept = losses::read_from(&String::from_utf8(first).unwrap(), "first").unwrap();
    assert_eq!(rows.iter().filter(|row| **row == kept[0]).count(), 1);
    // Fewer: another sweep.
    place.plan("[grid]\nbatch_size = [64]\nseed = [7]\n");
    let (code, _, stderr) = place.sweep("out", &[]);
    assert!(code == 2 && stderr.contains("holds a sweep of other settings"), "{stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1);
}

#[test]
fn runs_by_index_are_the_runs_of_the_pool() {
    let place = Place::new(FOUR);
    let (code, stdout, stderr) = place.sweep("out", &["--plan-only"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("4 runs: "), "{stdout}");
    let plan = place.text("out/plan.jsonl");
    // As engines start them, each with its own variable.
    for (index, variable) in [(0, None), (1, Some("SLURM_ARRAY_TASK_ID")), (2, Some("JOB_COMPLETION_INDEX"))]
    {
        let mut command = trainer(&["run", "--plan", &plan]);
        match variable {
            Some(name) => command.env(name, index.to_string()),
            None => command.args(["--index", &index.to_string()]),
        };
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("linear accuracy"));
    }
    let (code, stdout, _) = run(&["collect", &place.text("out"), "-q"]);
    assert_eq!((code, stdout.as_str()), (0, "4 runs: 3 finished, 1 waiting\n"));
    assert_eq!(losses::read(&place.path("out/losses.csv")).unwrap().len(), 3);
    let report = std::fs::read_to_string(place.path("out/report.html")).unwrap();
    assert!(report.contains("Runs that are missing"));
    let (code, stdout, _) = place.sweep("out", &["--dry-run"]);
    assert!(code == 0 && stdout.matches("finished").count() == 3 && stdout.contains("waiting"), "{stdout}");
    assert_eq!(place.sweep("out", &["-q"]).0, 0);
    assert_eq!(place.sweep("local", &["-q", "--jobs", "1"]).0, 0);
    for file in ["losses.csv", "accuracy.csv", "runs.csv", "report.html"] {
        let [a, b] = ["out", "local"].map(|out| std::fs::read(place.path(out).join(file)).unwrap());
        assert!(a == b, "{file}");
    }
    let fails = |args: &[&str], words: &str| {
        let (code, _, stderr) = run(args);
        assert!(
            code != 0 && stderr.contains(words) && stderr.trim_end().lines().count() == 1,
            "{args:?}: {stderr}"
        );
    };
    fails(&["run", "--plan", &plan, "--index", "4"], "has 4 runs, counted from 0");
    fails(&["run", "--plan", &plan], "--index I is needed");
    fails(&["run", "--plan", &place.text("plan.toml"), "--index", "0"], "--out DIR is needed");
    fails(&["collect", &place.text("nowhere")], "there is no folder");
}

#[test]
fn what_is_damaged_is_done_again_and_nothing_else() {
    let place = Place::new(FOUR);
    assert_eq!(place.sweep("out", &["-q"]).0, 0);
    let before = std::fs::read(place.path("out/losses.csv")).unwrap();
    let names = place.names("out");
    let file = |run: usize, name: &str| place.path("out/runs").join(&names[run]).join(name);
    let flip = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    flip(&file(0, "losses.csv"));
    flip(&file(1, "model.safetensors"));
    flip(&file(2, "done.json"));
    let (code, stdout, _) = run(&["collect", &place.text("out"), "-q"]);
    // The model is looked at before anything is done with it.
    assert_eq!((code, stdout.as_str()), (0, "4 runs: 2 finished, 2 interrupted\n"));
    let (code, _, stderr) = place.sweep("out", &[]);
    assert_eq!((code, stderr.matches("kept from before").count()), (0, 1), "{stderr}");
    assert!(stderr.contains("model.damaged.safetensors"), "{stderr}");
    assert!(std::fs::read(place.path("out/losses.csv")).unwrap() == before, "the same bytes again");
}

#[test]
fn a_run_that_diverges_is_a_row_until_it_is_tried_again() {
    let place = Place::new("[grid]\nlearning_rate = [0.5, 1e30]\nseed = [7]\n");
    for _ in 0..2 {
        let (code, _, stderr) = place.sweep("out", &["-q"]);
        assert!(
            code == 1 && stderr.contains("1 of 2 runs failed") && stderr.contains("learning_rate"),
            "{stderr}"
        );
        assert_eq!(place.states("out"), ["finished", "failed"]);
        assert_eq!(losses::read(&place.path("out/losses.csv")).unwrap().len(), 1);
    }
    let failed = place.path("out/runs").join(&place.names("out")[1]).join("failed.json");
    let when = || std::fs::metadata(&failed).unwrap().modified().unwrap();
    let before = when();
    assert_eq!(place.sweep("out", &["-q"]).0, 1);
    assert_eq!(when(), before, "what would fail again is left alone");
    assert_eq!(place.sweep("out", &["-q", "--retry"]).0, 1);
    assert_ne!(when(), before);
    // The rows of the record are in the table, too.
    let metrics = failed.with_file_name("metrics.csv");
    assert!(std::fs::read_to_string(metrics).unwrap().starts_with("step,epoch"));
}

#[test]
fn two_sweeps_share_one_folder() {
    let place = Place::new(FOUR);
    let start = || {
        let mut command =
            trainer(&["sweep", &place.text("plan.toml"), "--out", &place.text("out"), "--jobs", "1"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start(), start()].map(|child| child.wait_with_output().unwrap());
    let said: Vec<String> =
        both.iter().map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).collect();
    assert!(both.iter().all(|output| output.status.success()), "{said:?}");
    assert_eq!(place.states("out"), ["finished"; 4]);
    for name in place.names("out") {
        let metrics =
            std::fs::read_to_string(place.path("out/runs").join(name).join("metrics.jsonl")).unwrap();
        assert_eq!(metrics.lines().count(), 1, "one epoch, once");
    }
    assert_eq!(place.sweep("alone", &["-q"]).0, 0);
    let [shared, alone] =
        ["out", "alone"].map(|out| std::fs::read(place.path(out).join("losses.csv")).unwrap());
    assert!(shared == alone);
}

/// Each of these takes under a second, although a run has a folder of its own.
#[test]
fn a_plan_of_ten_thousand_runs_is_listed_and_collected() {
    let values: Vec<String> = (0..100).map(|value| value.to_string()).collect();
    let values = values.join(",");
    let place = Place::new(&format!("[grid]\nwarmup_epochs = [{values}]\nseed = [{values}]\n"));
    assert_eq!(place.sweep("out", &["--plan-only"]).0, 0);
    let (code, stdout, _) = place.sweep("out", &["--dry-run"]);
    assert!(code == 0 && stdout.lines().count() > 10_000);
    let (code, stdout, _) = run(&["collect", &place.text("out"), "-q"]);
    assert_eq!((code, stdout.as_str()), (0, "10000 runs: 10000 waiting\n"));
}

#[test]
fn settings_with_a_sweep_of_ones_own_are_reproduced() {
    let place = Place::new("");
    let own = place.path("own.toml");
    let config =
        trainer::run::Preset::named("digits", &["epochs=1".into(), "mean_views=2".into()]).unwrap().config;
    std::fs::write(&own, config.to_toml() + "\n[sweep]\ndraws = [64]\nseeds = [7]\n").unwrap();
    let args = ["reproduce", "--config", own.to_str().unwrap(), "--out", &place.text("out"), "-q"];
    let (code, _, stderr) = run(&args);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(place.names("out"), ["n0064-s7"]);
    let (code, _, stderr) = run(&["reproduce", "digits", "--config", own.to_str().unwrap()]);
    assert!(code == 2 && stderr.contains("--config"), "{stderr}");
}

#[test]
fn what_slurm_would_get_is_printed() {
    let place = Place::new(FOUR);
    let more = [
        "--slurm",
        "--dry-run",
        "--partition",
        "gpu",
        "--gres",
        "gpu:1",
        "--throttle",
        "2",
        "--time",
        "1:00:00",
    ];
    let (code, stdout, stderr) = place.sweep("out", &more);
    assert_eq!(code, 0, "{stderr}");
    for words in [
        "#SBATCH --partition=gpu",
        "#SBATCH --gres=gpu:1",
        "--array=0-3%2",
        "--dependency=afterany:",
        "scontrol requeue",
    ] {
        assert!(stdout.contains(words), "{words}: {stdout}");
    }
    assert!(!place.path("out").exists(), "nothing is made");
}
