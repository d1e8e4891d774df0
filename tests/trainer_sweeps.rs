//! Sweeps as their users meet them: a plan from a file, a process a run, kept, continued, collected whole or in part.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
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

/// Every process may fail at the baselines alone: the runs stand, and yet the sweep has not done what it was asked for.
#[test]
fn finished_runs_without_what_they_are_compared_with_are_an_error() {
    let place = Place::new("[grid]\nbatch_size = [256]\nseed = [7]\n");
    assert_eq!(place.sweep("out", &[]).0, 0);
    let baselines = place.path("out/baselines");
    std::fs::remove_dir_all(&baselines).unwrap();
    std::fs::write(&baselines, "in the way").unwrap();
    let (code, _, stderr) = place.sweep("out", &[]);
    let last = stderr.lines().last().unwrap();
    assert!(
        code == 1 && last.contains("finished, but what they are compared with failed"),
        "{code} {stderr}"
    );
    assert_eq!(place.states("out"), ["finished"]);
    std::fs::remove_file(&baselines).unwrap();
    assert_eq!(place.sweep("out", &[]).0, 0);
    assert_eq!(std::fs::read_dir(&baselines).unwrap().count(), 2);
}

#[test]
fn a_plan_is_run_kept_and_continued() {
    let place = Place::new("[grid]\nbatch_size = [256]\nseed = [7]\n");
    let (code, stdout, stderr) = place.sweep("out", &[]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("L_sup, measured") && stderr.contains("report: "), "{stdout}{stderr}");
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
    fails(&["collect", &place.text("nowhere")], "there is no such folder");
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

/// Written, listed and collected before any of its runs has begun.
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

#[test]
fn a_sweep_waits_for_a_baseline_that_another_process_is_at() {
    let place = Place::new("[grid]\nbatch_size = [256]\nseed = [7]\n");
    assert_eq!(place.sweep("out", &[]).0, 0);
    let baselines = std::fs::read_dir(place.path("out/baselines")).unwrap();
    let folder = baselines.map(|entry| entry.unwrap().path()).find(|path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("pixels-"))
    });
    let folder = folder.unwrap();
    std::fs::remove_file(folder.join("accuracies.json")).unwrap();
    let lock = std::fs::File::options().write(true).create(true).truncate(false).open(folder.join("lock"));
    let lock = lock.unwrap();
    lock.lock().unwrap();
    let mut sweep = trainer(&["sweep", &place.text("plan.toml"), "--out", &place.text("out"), "--quiet"]);
    let mut sweep = sweep.stdout(std::process::Stdio::null()).spawn().unwrap();
    // Longer than a run that is kept takes; the holder of the lock ends without having computed anything.
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(sweep.try_wait().unwrap().is_none(), "the baseline does not stand yet");
    assert!(!folder.join("accuracies.json").exists(), "computed beside the process that holds the lock");
    drop(lock);
    assert!(sweep.wait().unwrap().success());
    assert!(folder.join("accuracies.json").exists());
}

/// `done.json` with the digests of these `losses.csv`, as the program writes them.
fn done_with(folder: &Path, losses: &str) {
    use theory::files::sha256;
    std::fs::write(folder.join("losses.csv"), losses).unwrap();
    let path = folder.join("done.json");
    let mut done: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    done["losses"] = sha256(losses.as_bytes()).into();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_string();
    let (id, loss, evaluated) = (text(&done["id"]), done["loss"].as_f64(), &done["evaluated"]);
    let (count, checksum) = (&evaluated["count"], text(&evaluated["checksum"]));
    let said = format!("{id} {loss:?} {count} {checksum} {}", text(&done["losses"]));
    done["sha256"] = sha256(said.as_bytes()).into();
    std::fs::write(path, done.to_string()).unwrap();
}

#[test]
fn rows_of_an_earlier_probe_are_measured_again_without_training() {
    let place = Place::new("[grid]\nbatch_size = [256]\nseed = [7]\n");
    assert_eq!(place.sweep("out", &[]).0, 0);
    let folder = place.path("out/runs").join(&place.names("out")[0]);
    let losses = std::fs::read_to_string(folder.join("losses.csv")).unwrap();
    let model = std::fs::read(folder.join("model.safetensors")).unwrap();
    // The digest is right, so that nothing but the missing word about the probe speaks against the rows.
    done_with(&folder, &losses);
    let (_, _, kept) = place.sweep("out", &[]);
    assert!(kept.contains("kept from before"), "{kept}");
    let earlier = losses.replace("ridge=0.0001", "");
    assert_ne!(earlier, losses);
    done_with(&folder, &earlier);
    let (code, _, stderr) = place.sweep("out", &[]);
    assert!(code == 0 && !stderr.contains("kept from before"), "{stderr}");
    assert_eq!(std::fs::read_to_string(folder.join("losses.csv")).unwrap(), losses);
    assert_eq!(std::fs::read(folder.join("model.safetensors")).unwrap(), model);
}

#[test]
fn one_bad_folder_is_not_the_end_of_a_sweep() {
    let place = Place::new(FOUR);
    assert_eq!(place.sweep("out", &["-q"]).0, 0);
    let before = std::fs::read(place.path("out/losses.csv")).unwrap();
    let names = place.names("out");
    let file = |run: usize, name: &str| place.path("out/runs").join(&names[run]).join(name);
    // Another run's model, a mark that is a folder, a baseline that somebody edited.
    std::fs::copy(file(0, "model.safetensors"), file(1, "model.safetensors")).unwrap();
    std::fs::remove_file(file(2, "done.json")).unwrap();
    std::fs::create_dir(file(2, "done.json")).unwrap();
    for entry in std::fs::read_dir(place.path("out/baselines")).unwrap() {
        let path = entry.unwrap().path().join("accuracies.json");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replacen("0.", "0.1", 1)).unwrap();
    }
    let accuracies = std::fs::read(place.path("out/accuracy.csv")).unwrap();
    let (code, _, stderr) = place.sweep("out", &["-q"]);
    assert!(
        code == 1 && stderr.contains("is the model of another run") && stderr.contains("done.json"),
        "{stderr}"
    );
    assert_eq!(place.states("out"), ["finished", "failed", "failed", "finished"]);
    assert!(std::fs::read(place.path("out/accuracy.csv")).unwrap() != accuracies, "two runs are missing");
    std::fs::remove_file(file(1, "model.safetensors")).unwrap();
    std::fs::remove_dir(file(2, "done.json")).unwrap();
    let (code, _, stderr) = place.sweep("out", &["-q"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(std::fs::read(place.path("out/losses.csv")).unwrap() == before);
    assert!(
        std::fs::read(place.path("out/accuracy.csv")).unwrap() == accuracies,
        "baselines are computed again"
    );
}

#[test]
fn runs_are_compared_with_runs_of_the_same_other_settings() {
    let place =
        Place::new("[grid]\nlearning_rate = [0.05, 0.5]\nloss = [\"nt-xent\", \"dcl\"]\nseed = [7]\n");
    let (code, _, stderr) = place.sweep("out", &["-q"]);
    assert_eq!(code, 0, "{stderr}");
    let rows = losses::read(&place.path("out/losses.csv")).unwrap();
    let value = |row: &losses::LossComponents| row.get(losses::Quantity::LinearAccuracyEncoder).unwrap();
    let of = |rate: usize, loss: usize| {
        rows.iter().position(|row| {
            let text = std::fs::read_to_string(place.path("out/plan.jsonl")).unwrap();
            let rate = ["\"learning_rate\":0.05", "\"learning_rate\":0.5,"][rate];
            let line = text.lines().find(|line| line.contains(&row.run.run_id)).unwrap();
            line.contains(rate) && (row.run.loss == "dcl") == (loss == 1)
        })
    };
    let mut csv = csv::Reader::from_path(place.path("out/comparison.csv")).unwrap();
    let difference = csv.headers().unwrap().iter().position(|name| name == "minus first").unwrap();
    let found: Vec<f64> = csv
        .records()
        .map(Result::unwrap)
        .filter(|row| {
            row.iter().any(|cell| cell == "linear, encoder") && row.iter().any(|cell| cell == "dcl")
        })
        .map(|row| row[difference].parse().unwrap())
        .collect();
    let mut expected: Vec<f64> =
        [0, 1].map(|rate| value(&rows[of(rate, 1).unwrap()]) - value(&rows[of(rate, 0).unwrap()])).into();
    let mut found_sorted = found.clone();
    found_sorted.sort_by(f64::total_cmp);
    expected.sort_by(f64::total_cmp);
    assert_eq!(found_sorted.len(), 2);
    for (a, b) in found_sorted.iter().zip(&expected) {
        assert!((a - b).abs() < 1e-9, "{found:?} {expected:?}");
    }
    // No two rows are alike: a column tells what differs.
    let accuracies = std::fs::read_to_string(place.path("out/accuracy.csv")).unwrap();
    let lines: std::collections::BTreeSet<&str> = accuracies.lines().collect();
    assert!(accuracies.lines().next().unwrap().contains("learning_rate"), "{accuracies}");
    assert_eq!(lines.len(), accuracies.lines().count());
}
