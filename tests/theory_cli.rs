//! The `theory` program: its formats, its JSON keys, and one clear line on bad input.

use assert_cmd::Command;
use std::path::Path;
use theory::losses::{self, Estimate, LossComponents, Measure};
use theory::{NumDraws, Sampling};

fn run(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_theory")).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn json(args: &[&str]) -> serde_json::Value {
    let (code, stdout, stderr) = run(&[args, &["--format", "json"]].concat());
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

fn fails(args: &[&str], code: i32, words: &[&str]) {
    let (found, stdout, stderr) = run(args);
    assert_eq!(found, code, "{args:?}: {stderr}");
    assert!(stdout.is_empty(), "{stdout}");
    // clap adds a pointer to --help after its line.
    let lines: Vec<&str> = stderr.lines().filter(|l| !l.is_empty() && !l.contains("--help")).collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{args:?}: no '{word}' in: {stderr}");
    }
}

#[test]
fn coverage_has_the_promised_keys() {
    let one = json(&["coverage", "--classes", "100", "--draws", "128"]);
    assert_eq!((&one["draws"], &one["classes"]), (&128.into(), &100.into()));
    assert!(one["upsilon"].as_str().unwrap().starts_with("1.50362050781"), "{one}");
    for key in [
        "complement",
        "ln_upsilon",
        "ln_complement",
        "relative_error_bound",
        "complement_relative_error_bound",
        "method",
    ] {
        assert!(one[key].is_string(), "{key}");
    }
    let exact = json(&["coverage", "--classes", "3", "--draws", "4", "--exact", "--digits", "6"]);
    assert_eq!((&exact["exact_numerator"], &exact["exact_denominator"]), (&"36".into(), &"81".into()));
    assert_eq!(exact["upsilon"], "4.44444e-1");
    let many = json(&["coverage", "--classes", "3", "--draws", "2..4"]);
    assert_eq!(many.as_array().unwrap().len(), 3);
    assert_eq!((&many[0]["upsilon"], &many[0]["ln_upsilon"]), (&"0".into(), &"-inf".into()));
    // Far below the float range.
    let deep = json(&["coverage", "--classes", "21841", "--draws", "65537"]);
    assert!(deep["upsilon"].as_str().unwrap().starts_with("6.9282001"), "{deep}");
    assert!(deep["upsilon"].as_str().unwrap().ends_with("e-530"), "{deep}");
}

#[test]
fn every_format_prints() {
    for format in ["table", "csv", "json", "markdown", "latex"] {
        let (code, stdout, _) = run(&["curve", "--classes", "4", "--draws", "4..8:2", "--format", format]);
        assert!(code == 0 && stdout.contains("upsilon"), "{format}: {stdout}");
    }
    let collector = json(&["collector", "--classes", "10"]);
    assert_eq!(collector["quantile_0.5"], 27);
    let collision = json(&["collision", "--classes", "2", "--negatives", "2"]);
    assert_eq!(collision["law"].as_array().unwrap().len(), 3);
    // A cell wider than any terminal, and a law too long to print.
    assert_eq!(run(&["coverage", "--classes", "100", "--draws", "128", "--exact", "--digits", "70000"]).0, 0);
    assert_eq!(run(&["collision", "--classes", "10", "--negatives", "1000000000000"]).0, 0);
    assert!(json(&["coverage", "--classes", "3", "--draws", "4..4"]).is_array());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("curve.csv");
    let args =
        ["curve", "--classes", "4", "--draws", "4", "--format", "csv", "-q", "--out", file.to_str().unwrap()];
    assert_eq!(run(&args), (0, String::new(), String::new()));
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("draws,upsilon,tau,"));
}

#[test]
fn bad_arguments_and_bad_counts() {
    fails(&["coverage", "--classes", "5", "--draws", "9..3"], 2, &["9..3", "backwards"]);
    fails(&["coverage", "--classes", "5", "--draws", "0"], 2, &["at least 1, got 0"]);
    fails(&["coverage", "--classes", "0", "--draws", "4"], 2, &["got 0"]);
    fails(&["coverage", "--classes", "5", "--draws", "9", "--without-replacement"], 2, &["--per-class"]);
    let few = ["coverage", "--classes", "5", "--per-class", "2", "--without-replacement", "--draws", "11"];
    fails(&few, 2, &["11 draws", "10 items"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("counts.txt");
    let name = file.to_str().unwrap();
    for (content, words) in [
        ("3\nfour\n", ["line 2", "four"]),
        ("3\n-1\n", ["line 2", "-1"]),
        ("3\n0\n", ["class 1", "count 0"]),
        ("3\n\n4\n", ["line 2", "empty"]),
        ("[3, 4.5]", ["line 1", "integers"]),
        ("", ["at least 1 class", "got 0"]),
    ] {
        std::fs::write(&file, content).unwrap();
        fails(&["coverage", "--counts", name, "--draws", "4"], 1, &words);
    }
    fails(
        &["coverage", "--classes", "1000000", "--draws", "9000000", "--exact"],
        2,
        &["seconds of one core"],
    );
    fails(&["collision", "--classes", "10", "--negatives", "2000000000000000"], 2, &["limit"]);
    fails(&["coverage", "--counts", "/nowhere/counts.txt", "--draws", "4"], 1, &["/nowhere/counts.txt"]);
}

fn sample(seed: u64) -> LossComponents {
    let mut row =
        LossComponents::new(10, NumDraws::new(32).unwrap(), 0.5, Sampling::WithoutReplacement).unwrap();
    row.run.run_id = format!("n0032-s{seed}");
    row.run.seed = Some(seed);
    row.class_counts = Some(vec![45; 10]);
    row.num_batches = Some(112);
    for (measure, mean) in [
        (Measure::InfoNce, 2.5),
        (Measure::Coverage, 0.7142857142857143),
        (Measure::Log1pCollisions, 1.31),
        (Measure::JointSupLoss, 1.0 + 0.01 * seed as f64),
        (Measure::JointSubLoss, 0.4),
        (Measure::FullSupLoss, 1.5),
        (Measure::Gap, -0.4),
        (Measure::MeanAccuracy, 0.9),
    ] {
        row.set(measure, Estimate { mean, standard_error: Some(0.01) }).unwrap();
    }
    row.extra.push(("comment".into(), "kept, with a comma".into()));
    row
}

#[test]
fn losses_survive_a_round_trip() {
    let rows = vec![sample(7), sample(11)];
    let text = losses::write_to(&rows);
    assert_eq!(losses::read_from(&text, "x").unwrap(), rows);
}

#[test]
fn bounds_and_report_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("losses.csv");
    losses::write(&file, &[sample(7), sample(11)]).unwrap();
    let table = json(&["bounds", folder.path().to_str().unwrap()]);
    let row = &table[0];
    assert_eq!(row["seeds"], 2);
    // ½ (1.0 + 0.01·seed + 0.4 + 1.31) − 0.4, mean over seeds 7 and 11.
    let lower = row["L_Info ≥ (nozawa_sato)"]["mean"].as_f64().unwrap();
    assert!((lower - (0.5 * (1.09 + 0.4 + 1.31) - 0.4)).abs() < 1e-12);
    assert!(row["L_sup ≤ (curl)"].as_str().unwrap().contains("needs curl_joint"), "{row}");
    let out = folder.path().join("report");
    let (code, _, stderr) = run(&["report", file.to_str().unwrap(), "--out", out.to_str().unwrap(), "-q"]);
    assert_eq!(code, 0, "{stderr}");
    for name in ["report.html", "bounds.svg", "bounds.csv", "bounds.md", "losses.csv"] {
        assert!(out.join(name).exists(), "{name}");
    }
    assert_eq!(losses::read(&out.join("losses.csv")).unwrap(), [sample(7), sample(11)]);
    // Its own folder is written again; somebody else's is not.
    assert_eq!(run(&["report", file.to_str().unwrap(), "--out", out.to_str().unwrap(), "-q"]).0, 0);
    let before = std::fs::read(&file).unwrap();
    fails(&["report", file.to_str().unwrap(), "--out", folder.path().to_str().unwrap()], 2, &["no report"]);
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn bounds_above_the_range_of_floats_are_vacuous() {
    // 1000 classes of 50, 1024 draws: υ = 1e-380 or so, and so is the probability in the CURL bound.
    let mut row = sample(7);
    row.num_classes = 1000;
    row.class_counts = Some(vec![50; 1000]);
    row.num_draws = NumDraws::new(1024).unwrap();
    for measure in [Measure::CurlJoint, Measure::CurlJointSup] {
        row.set(measure, Estimate::exact(0.0)).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    losses::write(
        &folder.path().join("losses.csv"),
        &[row.clone(), {
            row.run.seed = Some(8);
            row
        }],
    )
    .unwrap();
    let table = json(&["bounds", folder.path().to_str().unwrap()]);
    for key in ["L_sup ≤ (curl)", "L_sup ≤ (nozawa_sato)"] {
        assert_eq!(table[0][key], "inf", "{table}");
    }
    let (_, text, _) = run(&["bounds", folder.path().to_str().unwrap()]);
    assert!(text.contains("inf (vacuous)") && !text.contains("NaN"), "{text}");
}

#[test]
fn a_damaged_losses_file_names_line_and_column() {
    let good = losses::write_to(&[sample(7), sample(11)]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("losses.csv");
    let cases: Vec<(String, Vec<&str>)> = vec![
        (good.replacen("2.5,", "NaN,", 1), vec!["line 2", "info_nce", "NaN"]),
        (good.replacen("0.9,", "1.9,", 1), vec!["line 2", "mean_accuracy", "1.9", "[0, 1]"]),
        (good.replacen("2.5,", "x,", 1), vec!["line 2", "info_nce", "'x'"]),
        (good.replacen("-0.4,", "0.4,", 1), vec!["line 2", "gap", "at most 0"]),
        (good.replacen("0.5,without", "0,without", 1), vec!["line 2", "temperature", "0"]),
        (good.replacen("without_replacement", "sorted", 1), vec!["line 2", "sampling", "sorted"]),
        (good.replacen("45;45", "45", 1), vec!["line 2", "class_counts", "9 values"]),
        (good.replacen("45;45", "45;0", 1), vec!["line 2", "class_counts", "count 0"]),
        (good.replacen("num_draws", "draws", 1), vec!["line 1", "num_draws", "missing"]),
        (good.replacen("coverage_se", "gap", 1), vec!["line 1", "gap", "twice"]),
        (good[..good.len() - 60].to_string(), vec!["line 3", "fields"]),
        (good[..good.len() - 3].to_string(), vec!["line 3"]),
        (good.lines().next().unwrap().to_string() + "\n", vec!["no row"]),
        (String::new(), vec!["line 1"]),
    ];
    for (text, words) in cases {
        assert_ne!(text, good, "{words:?}");
        std::fs::write(&file, &text).unwrap();
        let out = folder.path().join("report");
        let words = [&["losses.csv"][..], &words].concat();
        fails(&["report", file.to_str().unwrap(), "--out", out.to_str().unwrap()], 1, &words);
        assert!(!Path::new(&out).exists());
    }
}

#[test]
fn optimum_prints_the_simplex_with_bounds_and_the_gram_program() {
    let one = json(&["optimum", "--classes", "10", "--negatives", "31", "--temperature", "0.5"]);
    assert!((one["optimal_loss"].as_f64().unwrap() - 1.941667819025).abs() < 1e-12, "{one}");
    assert!((one["sup_loss"].as_f64().unwrap() - 0.680726466365).abs() < 1e-12, "{one}");
    assert_eq!((&one["gap"], &one["draws"], &one["method"]), (&0.0.into(), &32.into(), &"simplex".into()));
    // Whatever the registry holds: every theorem printed lies above L_sup.
    for bound in theory::bounds::all().iter().filter(|b| b.standing() == theory::bounds::Standing::Theorem) {
        if let Some(value) = one[bound.key()].as_f64() {
            assert!(value >= 0.680726466365, "{}: {value}", bound.key());
        }
    }
    assert!(one["nozawa_sato"].is_number() && one["curl"].is_number(), "{one}");
    let folder = tempfile::tempdir().unwrap();
    let counts = folder.path().join("counts.txt");
    std::fs::write(&counts, "5\n3\n1\n").unwrap();
    let counts = counts.to_str().unwrap();
    let many = json(&["optimum", "--counts", counts, "--negatives", "3..5:2", "--temperature", "0.5"]);
    assert_eq!(many.as_array().unwrap().len(), 2);
    assert!(many[0]["gap"].as_f64().unwrap() <= 1e-8 && many[0]["method"] == "gram program", "{many}");
    fails(
        &["optimum", "--classes", "3", "--negatives", "0", "--temperature", "1"],
        2,
        &["K must be at least 1"],
    );
    fails(
        &["optimum", "--counts", counts, "--without-replacement", "--negatives", "3", "--temperature", "1"],
        2,
        &["with replacement"],
    );
}
