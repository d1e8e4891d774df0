//! `theory explain` on the committed results: the steps add up, the lines are narrow, bad input has one clear line.

use assert_cmd::Command;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use theory::bounds::{self, slack};
use theory::losses;

fn results() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/results")
}

fn run(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_theory")).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn steps_add_up_on_every_committed_row() {
    let mut met = 0;
    for folder in std::fs::read_dir(results()).unwrap() {
        let file = folder.unwrap().path().join("losses.csv");
        if !file.exists() {
            continue;
        }
        for row in losses::read(&file).unwrap() {
            for bound in bounds::all() {
                let Ok(slack) = slack::of(*bound, &row) else { continue };
                met += 1;
                let total: f64 = slack.links.iter().map(|link| link.supervised).sum();
                let size = slack.bound.abs().max(1.0);
                assert!((total - slack.total()).abs() <= 1e-12 * size, "{} {slack:?}", bound.key());
                let total: f64 = slack.links.iter().map(|link| link.info_nce).sum();
                assert!((total - (slack.info_nce - slack.least_info_nce)).abs() <= 1e-12, "{slack:?}");
                // What remains at φ(L_sup) is L_sup: the chain ends where it says.
                let mut least = row.clone();
                let end = losses::Estimate::exact(slack.least_info_nce);
                least.measures.insert(losses::Quantity::InfoNce, end);
                let end = bound.upper_bound(&least).value().unwrap();
                assert!((end - slack.supervised).abs() <= 1e-10 * size, "{} {end} {slack:?}", bound.key());
            }
        }
    }
    assert!(met > 1000, "{met}");
}

#[test]
fn tables_for_programs_add_up_over_seeds() {
    let digits = results().join("digits/losses.csv");
    let arguments = ["explain", digits.to_str().unwrap(), "--draws", "64,256", "--format", "json"];
    let (code, stdout, stderr) = run(&[&arguments[..], &["--bounds", "specht,nozawa_sato"]].concat());
    assert_eq!(code, 0, "{stderr}");
    let lines: Vec<serde_json::Value> = serde_json::from_str(&stdout).unwrap();
    let mean = |line: &serde_json::Value, name: &str| line[name]["mean"].as_f64().unwrap();
    let mut sums = BTreeMap::<(u64, String), (f64, f64)>::new();
    for line in &lines {
        let key = (line["n = K+1"].as_u64().unwrap(), line["bound"].as_str().unwrap().to_string());
        let entry = sums.entry(key).or_insert((0.0, mean(line, "L_sup ≤") - mean(line, "L_sup")));
        entry.0 += mean(line, "L_sup nats");
    }
    assert_eq!(sums.len(), 4, "{sums:?}");
    for (key, (steps, slack)) in sums {
        assert!((steps - slack).abs() < 1e-12, "{key:?}: {steps} {slack}");
    }
}

#[test]
fn people_read_a_hundred_columns() {
    for set in ["digits", "cifar10-small", "ag-news-erase"] {
        let file = results().join(set).join("losses.csv");
        let (code, stdout, stderr) = run(&["explain", file.to_str().unwrap(), "--bounds", "all"]);
        assert_eq!(code, 0, "{stderr}");
        assert!(stdout.contains("Largest step") && stdout.contains("Over all theorems"), "{stdout}");
        let tables = stdout.split("The steps\n").next().unwrap();
        let widest = tables.lines().max_by_key(|line| line.chars().count()).unwrap();
        assert!(widest.chars().count() <= 100, "{set}: {widest}");
    }
}

#[test]
fn bad_input_has_one_line() {
    let digits = results().join("digits/losses.csv");
    let digits = digits.to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("bounds.json");
    std::fs::write(&json, "{}").unwrap();
    for (arguments, words) in [
        (vec![digits, "--draws", "17"], "--draws 17 was not measured: the files have n = 16, 32"),
        (vec![digits, "--bounds", "spekht"], "'spekht' is no upper bound"),
        (vec![json.to_str().unwrap()], "bounds.json has no L_sup"),
    ] {
        let (code, stdout, stderr) = run(&[&["explain"], &arguments[..]].concat());
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        assert!(stderr.contains(words) && stderr.lines().count() == 1, "{stderr}");
    }
}

#[test]
fn a_report_holds_the_waterfalls() {
    let digits = results().join("digits/losses.csv");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report");
    let (code, _, stderr) = run(&["report", digits.to_str().unwrap(), "--out", out.to_str().unwrap(), "-q"]);
    assert_eq!(code, 0, "{stderr}");
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    let page = read("report.html");
    assert!(page.contains("<h2>Where the slack is</h2>") && page.matches("<figure><svg").count() == 2);
    assert!(read("explain.svg").contains("L_sup, measured"));
    assert!(read("explain.csv").lines().count() > 50 && out.join("explain.png").is_file());
}
