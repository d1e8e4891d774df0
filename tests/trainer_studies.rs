//! The studies' commands as their users meet them: the population experiment, a sweep over losses, one clear line on
//! bad input.

use assert_cmd::Command;

fn run(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_trainer")).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// One line that names the value, and nothing left behind.
fn refused(args: &[&str], words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("none");
    let (code, _, stderr) = run(&[args, &["--out", out.to_str().unwrap()]].concat());
    assert_eq!(code, 2, "{args:?}: {stderr}");
    assert!(stderr.trim_end().lines().count() == 1, "{args:?}: {stderr}");
    assert!(words.iter().all(|word| stderr.contains(word)), "{args:?}: {stderr}");
    assert!(!out.exists(), "nothing is left behind");
}

#[test]
fn free_class_vectors_reach_the_optimum() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("population");
    let out = out.to_str().unwrap();
    let args =
        ["population", "--classes", "4", "--imbalance", "9", "--negatives", "1,100000", "--temperature"];
    let (code, stdout, stderr) = run(&[&args[..], &["0.5", "--format", "json", "--out", out]].concat());
    assert_eq!(code, 0, "{stderr}");
    let rows: Vec<serde_json::Value> =
        serde_json::from_str(&stdout[..stdout.rfind(']').unwrap() + 1]).unwrap();
    for (row, k) in rows.iter().zip([1, 100_000]) {
        let number = |key: &str| match &row[key] {
            serde_json::Value::String(text) => text.parse().unwrap(),
            other => other.as_f64().unwrap(),
        };
        assert_eq!(number("negatives"), f64::from(k));
        assert!((number("trained_loss") - number("optimal_loss")).abs() < 1e-6, "{row}");
        assert!(number("optimal_loss") > 0.1 && number("trained_accuracy") == 1.0, "{row}");
    }
    assert_eq!(rows.len(), 2);
    for name in ["population.csv", "population.svg", "population.png", "run.json"] {
        assert!(folder.path().join("population").join(name).exists(), "{name}");
    }
    refused(
        &["population", "--classes", "0", "--negatives", "3", "--temperature", "0.5"],
        &["--classes", "0"],
    );
    refused(&["population", "--classes", "3", "--negatives", "3,3", "--temperature", "0.5"], &["3 twice"]);
    refused(&["population", "--classes", "3", "--negatives", "0", "--temperature", "0.5"], &["K", "0"]);
    refused(&["population", "--classes", "3", "--negatives", "3", "--temperature=-1"], &["-1"]);
    let imbalance = ["--imbalance", "0.5", "--temperature", "0.5"];
    refused(&[&["population", "--classes", "3", "--negatives", "3"][..], &imbalance].concat(), &["0.5"]);
}

#[test]
fn losses_are_an_axis() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("losses");
    let losses = "sweep.losses=[\"nt-xent\", \"dcl\", { kind = \"hard\", beta = 2 }]";
    let args =
        ["reproduce", "digits", "--draws", "256", "--seeds", "7", "--set", "epochs=1", "--set", losses];
    let (code, stdout, stderr) = run(&[&args[..], &["-q", "--out", out.to_str().unwrap()]].concat());
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("hard, beta = 2") && stdout.contains("minus first"), "{stdout}");
    let comparison = std::fs::read_to_string(out.join("comparison.csv")).unwrap();
    // Three accuracies of three losses.
    assert_eq!(comparison.lines().count(), 10, "{comparison}");
    assert!(out.join("runs/n0256-hard+beta-2-s7/model.safetensors").exists());
    let twice = "sweep.losses=[\"dcl\", \"dcl\"]";
    refused(&["reproduce", "digits", "--draws", "256", "--set", twice], &["dcl", "twice"]);
    refused(&["reproduce", "digits", "--draws", "256", "--set", "sweep.losses=[\"dlc\"]"], &["dlc"]);
    refused(&["reproduce", "studies", "--draws", "3"], &["--draws"]);
}
