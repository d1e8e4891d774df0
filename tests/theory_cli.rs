//! The `theory` program: its formats, its JSON keys, and one clear line on bad input.

use assert_cmd::Command;
use std::path::Path;
use theory::losses::{self, Estimate, LossComponents, Quantity};
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

/// Exactly one line, on the standard error stream.
fn fails(args: &[&str], code: i32, words: &[&str]) {
    let (found, stdout, stderr) = run(args);
    assert_eq!(found, code, "{args:?}: {stderr}");
    assert!(stdout.is_empty(), "{stdout}");
    assert!(stderr.starts_with("error: ") && stderr.ends_with('\n'), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{args:?}: no '{word}' in: {stderr}");
    }
}

/// The same with `--out` in a folder of its own, which stays empty.
fn fails_and_writes_nothing(args: &[&str], code: i32, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("result");
    fails(&[args, &["--out", out.to_str().unwrap()]].concat(), code, words);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{args:?}");
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
    // Two of two items a class complete both with probability 2/3.
    let shuffled = ["collector", "--classes", "2", "--per-class", "2", "--without-replacement"];
    let collector = json(&shuffled);
    assert_eq!((&collector["quantile_0.5"], &collector["quantile_0.9"]), (&2.into(), &3.into()));
    assert!(collector["expected_draws"].as_str().unwrap().starts_with("2.33333333333"), "{collector}");
    let law = json(&[&shuffled[..], &["--draws", "2..3"]].concat());
    assert!(law[0]["completion"].as_str().unwrap().starts_with("0.6666666"), "{law}");
    assert!(law[1]["completion"].as_str().unwrap().starts_with("0.3333333"), "{law}");
    // More draws from first to last than a curve may have values, and fewer values.
    let (code, stdout, _) =
        run(&["curve", "--classes", "10", "--draws", "1..2000001:20000", "--format", "csv"]);
    assert_eq!((code, stdout.lines().count()), (0, 102));
    assert_eq!(run(&["curve", "--classes", "2", "--draws", "1..2000001:4", "-q"]).0, 0);
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
    let coverage = |args: &[&str], words: &[&str]| {
        fails_and_writes_nothing(&[&["coverage"], args].concat(), 2, words);
    };
    coverage(&["--classes", "5", "--draws", "9..3"], &["--draws '9..3'", "backwards"]);
    coverage(&["--classes", "5", "--draws", "0"], &["at least 1, got 0"]);
    coverage(&["--classes", "0", "--draws", "4"], &["got 0"]);
    coverage(&["--classes", "16777217", "--draws", "4"], &["16777217", "limit of 16777216"]);
    coverage(&["--classes", "5", "--draws", "9", "--without-replacement"], &["--per-class"]);
    let few = ["--classes", "5", "--per-class", "2", "--without-replacement", "--draws"];
    for draws in ["11", "9..11"] {
        coverage(&[&few[..], &[draws]].concat(), &["11 draws", "10 items"]);
        coverage(&[&few[..], &[draws, "--exact"]].concat(), &["11 draws", "10 items"]);
    }
    fails(&["collision", "--classes", "10", "--negatives", "2000000000000000"], 2, &["limit"]);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("counts.txt");
    let name = file.to_str().unwrap();
    let too_many = "1\n".repeat((1 << 24) + 1);
    for (content, words) in [
        ("3\nfour\n", ["line 2", "'four'"]),
        ("3\n-1\n", ["line 2", "'-1'"]),
        ("3\n0\n", ["line 2", "count 0"]),
        ("[3,\n0]", ["line 2", "count 0"]),
        ("3\n\n4\n", ["line 2", "empty"]),
        ("[3, 4.5]", ["line 1", "`4.5`"]),
        ("", ["at least 1 class", "got 0"]),
        (&too_many, ["line 16777217", "limit of 16777216"]),
        ("3\u{0}\n", ["line 1", "not a positive integer"]),
    ] {
        std::fs::write(&file, content).unwrap();
        let words = [&[name][..], &words].concat();
        fails_and_writes_nothing(&["coverage", "--counts", name, "--draws", "4"], 1, &words);
    }
    std::fs::write(&file, "[3,\n4.5]").unwrap();
    let (_, _, stderr) = run(&["coverage", "--counts", name, "--draws", "4"]);
    assert_eq!(stderr.matches("line").count(), 1, "{stderr}");
    // A byte order mark is no error.
    std::fs::write(&file, "\u{feff}3\r\n1\r\n").unwrap();
    assert_eq!(json(&["coverage", "--counts", name, "--draws", "4"])["classes"], 2);
}

#[test]
fn usage_errors_are_one_line() {
    let coverage = ["coverage", "--classes", "5", "--draws"];
    for (args, words) in [
        (&["-5"][..], &["--draws '-5' is not a non-negative integer"][..]),
        (&["-5..3"], &["--draws", "'-5'"]),
        (&["4,x"], &["--draws", "'x'"]),
        (&["1..2:0"], &["--draws", "at least 1, got 0"]),
        (&["1..1000001"], &["--draws", "limit of 1000000"]),
        (&["18446744073709551616"], &["--draws", "limit of 18446744073709551615"]),
        (&[], &["value is required for '--draws <LIST>'"]),
        (&["9", "-5"], &["'-5'"]),
        (&["9", "--format", "xml"], &["--format 'xml' is none of table"]),
        (&["9", "--format", "a\nb"], &["--format", "a b"]),
        (&["9", "--exact", "--digits", "0"], &["--digits '0'", "1..100000"]),
        (&["9", "--exact", "--digits", "x"], &["--digits 'x' is not"]),
        (&["9", "--digits", "5"], &["--exact"]),
        (&["9", "--counts", "x"], &["--classes", "--counts"]),
        (&["9", "--drawz"], &["--drawz"]),
    ] {
        fails_and_writes_nothing(&[&coverage[..], args].concat(), 2, words);
    }
    let simulate = ["simulate", "--classes", "5", "--draws", "9"];
    for (args, words) in [
        (&["--samples", "abc"][..], &["--samples 'abc' is not a non-negative integer"][..]),
        (&["--samples", "-3"], &["--samples '-3'"]),
        (&["--samples", "9", "--seed", "-1"], &["--seed '-1' is not a non-negative integer"]),
        (&["--samples", "9", "--level", "half"], &["--level 'half' is not a number"]),
        (&["--samples", "9", "--level", "-0.5"], &["-0.5"]),
        (&["--samples", "9", "--method", "slow"], &["--method", "'slow'", "plain, rare"]),
        (&[], &["--samples"]),
    ] {
        fails_and_writes_nothing(&[&simulate[..], args].concat(), 2, words);
    }
    fails(&["coverage", "--classes", "5"], 2, &["--draws <LIST>"]);
    fails(&["covrage"], 2, &["'covrage'", "'coverage'"]);
    fails(&["published", "--section", "no\nne"], 2, &["'no ne'"]);

    let (code, stdout, stderr) = run(&["--version"]);
    assert!(code == 0 && stdout.starts_with("theory ") && stderr.is_empty());
    let (code, stdout, stderr) = run(&["coverage", "--help"]);
    assert!(code == 0 && stdout.contains("Example: theory coverage") && stderr.is_empty());
    let (code, _, stderr) = run(&[]);
    assert!(code == 2 && stderr.contains("Usage: theory") && stderr.contains("published"), "{stderr}");
}

#[test]
fn refusals_of_the_system_name_the_path_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let (here, missing, below) = (path(""), path("none.txt"), path("none/x"));
    std::fs::write(path("utf16.txt"), b"\xff\xfe3\0\n\0").unwrap();
    std::fs::write(path("latin1.txt"), b"3\n\xe9\n").unwrap();
    let (utf16, latin1, file_below) = (path("utf16.txt"), path("latin1.txt"), path("utf16.txt/x"));
    let prior = ["coverage", "--classes", "5", "--draws", "9"];
    let once = |args: &[&str], named: &str, words: &[&str]| {
        fails(args, 1, words);
        let (_, _, stderr) = run(args);
        let counts = (stderr.matches(named).count(), stderr.matches("os error").count());
        assert!(counts.0 == 1 && counts.1 <= 1 && !stderr.contains(".partial"), "{stderr}");
    };
    for (out, words) in [(&here, "irectory"), (&below, "folder does not exist"), (&file_below, "directory")] {
        once(&[&prior[..], &["--out", out]].concat(), out, &[words]);
    }
    for (counts, words) in [
        (&missing, "No such file"),
        (&here, "irectory"),
        (&utf16, "line 1: the text is UTF-16"),
        (&latin1, "line 2: byte 0xe9 is not UTF-8"),
    ] {
        once(&["coverage", "--counts", counts, "--draws", "9"], counts, &[words]);
        once(&["published", "--counts", counts], counts, &[words]);
    }
    once(&["bounds", &missing], &missing, &["No such file"]);
    once(&["report", &missing, "--out", &path("report")], &missing, &["No such file"]);
    std::fs::write(path("losses.csv"), losses::write_to(&[sample(7)])).unwrap();
    once(&["report", &here, "--out", &file_below], &file_below, &["irectory"]);
    let huge = std::fs::File::create(path("huge.txt")).unwrap();
    huge.set_len((1 << 28) + 1).unwrap();
    once(&["coverage", "--counts", &path("huge.txt"), "--draws", "9"], &path("huge.txt"), &["268435456"]);
    let names = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(names, 4, "utf16.txt, latin1.txt, losses.csv, huge.txt and nothing else");
}

#[test]
fn exact_requests_are_refused_as_a_whole() {
    let range = ["coverage", "--classes", "1000", "--draws", "1000..30000", "--exact"];
    fails_and_writes_nothing(&range, 2, &["29001 exact values", "seconds of one core", "GB", "--force"]);
    // Each of them alone is allowed.
    let (code, _, stderr) = run(&["coverage", "--classes", "1000", "--draws", "30000", "--exact", "-q"]);
    assert_eq!(code, 0, "{stderr}");
    let one = ["coverage", "--classes", "1000000", "--draws", "9000000", "--exact"];
    fails_and_writes_nothing(&one, 2, &["the exact value", "seconds of one core"]);
    let long = ["coverage", "--classes", "1", "--draws", "4294967296", "--exact"];
    fails_and_writes_nothing(&long, 2, &["4294967296 draws exceed 2^32 - 1"]);
    fails_and_writes_nothing(&[&long[..], &["--force"]].concat(), 2, &["4294967296 draws exceed 2^32 - 1"]);
    let small = json(&["coverage", "--classes", "3", "--draws", "2..4", "--exact", "--force"]);
    assert_eq!((&small[0]["exact_numerator"], &small[2]["exact_numerator"]), (&"0".into(), &"36".into()));
}

#[test]
fn no_zero_is_negative() {
    for args in [
        &["coverage", "--classes", "1", "--draws", "3"][..],
        &["coverage", "--classes", "1", "--draws", "3", "--exact"],
        &["coverage", "--classes", "5", "--draws", "3", "--exact"],
        &["coverage", "--classes", "5", "--draws", "3"],
        &["collision", "--classes", "1", "--negatives", "3"],
        &["curve", "--classes", "1", "--draws", "1..3"],
        &["collector", "--classes", "1"],
        &["optimum", "--classes", "1", "--negatives", "3", "--temperature", "1"],
    ] {
        for format in ["csv", "json", "table"] {
            let (code, stdout, stderr) = run(&[args, &["--format", format]].concat());
            assert!(code == 0 && !stdout.contains("-0.0") && !stdout.contains("-0,"), "{stdout}{stderr}");
        }
    }
}

#[test]
fn a_curve_and_its_figure_are_written_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let curve = |figure: &str, out: &str| {
        ["curve", "--classes", "4", "--draws", "4..8", "--format", "csv", "--figure", figure, "--out", out]
            .map(String::from)
    };
    let fails = |args: [String; 11], code, words: &[&str]| {
        fails(&args.each_ref().map(String::as_str), code, words);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is written");
    };
    fails(curve(&path("g.svg"), &path("none/t.csv")), 1, &["none/t.csv", "folder does not exist"]);
    fails(curve(&path("none/g.svg"), &path("t.csv")), 1, &["none/g.svg", "folder does not exist"]);
    fails(curve(&path("g.svg"), &path("g.svg")), 2, &["--figure and --out", "g.svg"]);
    fails(curve(&path("g.svg"), &path("./g.svg")), 2, &["--figure and --out", "g.svg"]);
    let (code, stdout, _) = run(&curve(&path("g.svg"), &path("t.csv")).each_ref().map(String::as_str));
    assert_eq!((code, stdout.lines().count()), (0, 2));
    assert!(std::fs::read_to_string(path("t.csv")).unwrap().starts_with("draws,"));
    assert!(std::fs::read_to_string(path("g.svg")).unwrap().starts_with("<svg"));
    // An old file and a link to it are one.
    std::os::unix::fs::symlink("g.svg", path("t.svg")).unwrap();
    let (code, _, stderr) = run(&curve(&path("g.svg"), &path("t.svg")).each_ref().map(String::as_str));
    assert!(code == 2 && stderr.contains("--figure and --out"), "{stderr}");
}

#[test]
fn results_have_the_permissions_of_the_process_or_of_the_old_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("curve.csv");
    let write = |umask: &str| {
        let script = format!("umask {umask}; exec \"$0\" coverage --classes 3 --draws 4 -q --out \"$1\"");
        let done = Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_theory")]).arg(&file).output();
        assert!(done.unwrap().status.success());
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(write("077"), 0o600);
    assert_eq!(write("022"), 0o600, "a private file stays private");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(write("022"), 0o644);
    assert_eq!(write("077"), 0o644);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(write("002"), 0o664);
}

fn sample(seed: u64) -> LossComponents {
    let mut row =
        LossComponents::new(10, NumDraws::new(32).unwrap(), 0.5, Sampling::WithoutReplacement).unwrap();
    row.run.run_id = format!("n0032-s{seed}");
    row.run.seed = Some(seed);
    row.class_counts = Some(vec![45; 10]);
    row.num_batches = Some(112);
    for (measure, mean) in [
        (Quantity::InfoNce, 2.5),
        (Quantity::Coverage, 0.7142857142857143),
        (Quantity::Log1pCollisions, 1.31),
        (Quantity::JointSupLoss, 1.0 + 0.01 * seed as f64),
        (Quantity::JointSubLoss, 0.4),
        (Quantity::FullSupLoss, 1.5),
        (Quantity::Gap, -0.4),
        (Quantity::MeanAccuracy, 0.9),
    ] {
        row.set(measure, Estimate { standard_error: Some(0.01), ..Estimate::exact(mean) }).unwrap();
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
    // Its own folder is written again, whatever an interrupted run left of it; somebody else's is not.
    let again = || run(&["report", file.to_str().unwrap(), "--out", out.to_str().unwrap(), "-q"]);
    assert_eq!(again(), (0, String::new(), String::new()));
    for name in ["bounds.svg", "bounds.png", "bounds.csv", "bounds.md", "losses.csv"] {
        std::fs::remove_file(out.join(name)).unwrap();
    }
    assert_eq!(again().0, 0);
    assert!(out.join("bounds.png").exists());
    let unfinished = folder.path().join("unfinished");
    std::fs::create_dir(&unfinished).unwrap();
    std::fs::write(unfinished.join(".Ab3d5F.partial"), "half a page").unwrap();
    assert_eq!(run(&["report", file.to_str().unwrap(), "--out", unfinished.to_str().unwrap(), "-q"]).0, 0);
    let before = std::fs::read(&file).unwrap();
    fails(&["report", file.to_str().unwrap(), "--out", folder.path().to_str().unwrap()], 2, &["no report"]);
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn statements_with_confidence_stand_beside_the_estimates() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("losses.csv");
    let mut rows = [sample(7), sample(11)];
    for estimate in rows.iter_mut().flat_map(|row| row.measures.values_mut()) {
        *estimate = estimate.with_image_error(Some(0.02));
    }
    losses::write(&file, &rows).unwrap();
    assert_eq!(losses::read(&file).unwrap(), rows);
    let file = file.to_str().unwrap();
    let (plain, confident) = (json(&["bounds", file]), json(&["bounds", file, "--confidence", "0.95"]));
    let value =
        |key: &str| confident[0][key]["mean"].as_f64().unwrap_or_else(|| panic!("{key}: {confident}"));
    // Two seeds: each with a tail of 2.5 % and 111 degrees of freedom.
    assert!((value("L_Info ≤ (measured, 0.95 normal)") - (2.5 + 1.98157 * 0.02)).abs() < 1e-6);
    let specht =
        ["L_sup ≤ (specht)", "L_sup ≤ (specht, 0.95 normal)", "L_sup ≤ (specht, 0.95 assumption-free)"];
    let [estimate, normal, free] = specht.map(value);
    assert!(estimate < normal && normal < free, "{estimate} {normal} {free}");
    let keys = |table: &serde_json::Value| table[0].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let old = keys(&plain);
    assert_eq!(keys(&confident).iter().filter(|key| old.contains(key)).count(), old.len());
    assert!(keys(&confident).len() > old.len() && !old.iter().any(|key| key.contains("0.95")));
    let (code, text, _) = run(&["bounds", file, "--confidence", "0.95"]);
    assert!(code == 0 && text.contains("With 95 % confidence over images"), "{text}");
    let out = folder.path().join("report");
    let out = ["report", file, "--confidence", "0.9", "--out", out.to_str().unwrap(), "-q"];
    assert_eq!(run(&out), (0, String::new(), String::new()));
    let page = std::fs::read_to_string(folder.path().join("report/report.html")).unwrap();
    assert!(page.contains("With 90 % confidence over images"));
    // A file of an earlier version has no errors over images: said once. One without what anything needs: an error.
    losses::write(Path::new(file), &[sample(7)]).unwrap();
    let (code, text, note) = run(&["bounds", file, "--confidence", "0.95"]);
    assert!(code == 0 && text.contains("assumption-free") && note.contains("_image_se"), "{note}");
    losses::write(Path::new(file), &[LossComponents { class_counts: None, ..sample(7) }]).unwrap();
    fails(&["bounds", file, "--confidence", "0.95"], 2, &["losses.csv", "info_nce_image_se", "class_counts"]);
    fails(&["bounds", file, "--confidence", "95"], 2, &["95", "between 0.5 and 1"]);
}

/// Three seeds of the published code's result, whose settings are typed.
#[test]
fn bounds_from_the_published_codes_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (seed, loss) in [(7, 2.0), (11, 2.02), (13, 2.04)] {
        let path = folder.path().join(format!("seed-{seed}"));
        std::fs::create_dir(&path).unwrap();
        let numbers = format!(
            r#"{{"training-validation": {{"SimCLR_loss": {loss}, "upsilon": 0.69, "conflict_term": 1.32, "sup_loss": 1.26,
            "partial_sup_loss": 0.52, "assumption_value": -1.16}}}}"#
        );
        std::fs::write(path.join("bounds.json"), numbers).unwrap();
        // The file itself, or its folder.
        files.push(if seed == 7 { path.join("bounds.json") } else { path });
    }
    let files: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
    let typed = ["--classes", "10", "--per-class", "1000", "--draws", "32", "--temperature", "0.5"];
    let table = json(&[&["bounds"], &files[..], &typed].concat());
    let row = &table[0];
    assert_eq!((&row["n = K+1"], &row["seeds"]), (&32.into(), &3.into()), "{row}");
    let out = folder.path().join("report");
    let report = [&["report"], &files[..], &typed, &["--out", out.to_str().unwrap(), "-q"]].concat();
    assert_eq!(run(&report).0, 0);
    let rows = losses::read(&out.join("losses.csv")).unwrap();
    assert_eq!(rows.iter().map(|row| row.run.seed).collect::<Vec<_>>(), [Some(7), Some(11), Some(13)]);
    assert_eq!(rows[1].get(Quantity::InfoNce), Some(2.02));
    // The reports of several numbers of draws are one.
    let csv = out.join("losses.csv");
    let csv = csv.to_str().unwrap();
    assert_eq!(json(&["bounds", csv])[0]["seeds"], 3);
    for missing in 0..3 {
        let some: Vec<&str> = match missing {
            0 => vec!["--draws", "32", "--temperature", "0.5"],
            1 => vec!["--classes", "10", "--temperature", "0.5"],
            _ => vec!["--classes", "10", "--draws", "32"],
        };
        fails(&[&["bounds", files[0]], &some[..]].concat(), 2, &["bounds.json", "--classes C", "--draws N"]);
    }
    fails(&["bounds", csv, "--draws", "32"], 2, &["--draws", "losses.csv holds them itself"]);
    fails(&["bounds"], 2, &["LOSSES.csv|RUN_DIR|BOUNDS.json"]);
}

#[test]
fn bounds_above_the_range_of_floats_are_vacuous() {
    // 1000 classes of 50, 1024 draws: υ = 1e-380 or so, and so is the probability in the CURL bound.
    let mut row = sample(7);
    row.num_classes = 1000;
    row.class_counts = Some(vec![50; 1000]);
    row.num_draws = NumDraws::new(1024).unwrap();
    for measure in [Quantity::CurlJoint, Quantity::CurlJointSup] {
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
    let (_, text, _) = run(&["bounds", folder.path().to_str().unwrap(), "--all"]);
    assert!(text.contains("inf †") && text.contains("† vacuous") && !text.contains("NaN"), "{text}");
    let (_, text, _) = run(&["bounds", folder.path().to_str().unwrap()]);
    assert!(text.contains("ln 1000 = 6.908") && !text.contains("inf"), "{text}");
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

#[test]
fn the_bounds_of_a_figure_can_be_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let losses = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/results/digits/losses.csv");
    let svg = |name: &str, bounds: &[&str]| {
        let out = folder.path().join(name);
        let args = [&["report", losses, "--out", out.to_str().unwrap(), "-q"][..], bounds].concat();
        assert_eq!(run(&args).0, 0);
        std::fs::read_to_string(out.join("bounds.svg")).unwrap()
    };
    let (default, chosen) = (svg("default", &[]), svg("chosen", &["--bounds", "specht,bao"]));
    for (name, by_default) in [("nozawa_sato", true), (">\nbao\n<", false)] {
        assert_eq!((default.contains(name), chosen.contains(name)), (by_default, !by_default), "{name}");
    }
    let all = svg("all", &["--bounds", "all"]);
    assert!(all.contains("nozawa_sato") && all.contains(">\nbao\n<"));
    for (bounds, word) in [("master", "master"), ("specht,specht", "twice")] {
        let out = folder.path().join("none");
        fails(&["report", losses, "--out", out.to_str().unwrap(), "--bounds", bounds], 2, &[word]);
        assert!(!out.exists());
    }
}

/// What is said on standard error is never worth more than the exit code.
#[test]
#[cfg(target_os = "linux")]
fn nothing_depends_on_standard_error_being_there() {
    let theory = env!("CARGO_BIN_EXE_theory");
    for (line, code) in [
        ("coverage --classes 0 --draws 5", 2),
        ("coverage --classes three --draws 5", 2),
        ("bounds /nowhere/losses.csv", 1),
        ("coverage --classes 3 --draws 5", 0),
    ] {
        for place in ["2>/dev/full", "2>&-", "2>/dev/null"] {
            let status = std::process::Command::new("sh")
                .args(["-c", &format!("exec {theory} {line} {place} >/dev/null")])
                .status()
                .unwrap();
            assert_eq!(status.code(), Some(code), "{line} {place}");
        }
    }
}

/// A result that nobody took is a failure, unless who reads it has had enough.
#[test]
#[cfg(target_os = "linux")]
fn a_full_standard_output_is_an_error_and_a_closed_one_is_none() {
    let theory = env!("CARGO_BIN_EXE_theory");
    for line in [
        "coverage --classes 3 --draws 5",
        "curve --classes 3 --draws 3..9 --format json",
        "columns",
        "--help",
        "--version",
        "help curve",
        "collector --help",
    ] {
        let shell = |script: &str| std::process::Command::new("bash").args(["-c", script]).output().unwrap();
        let full = shell(&format!("exec {theory} {line} >/dev/full"));
        let said = String::from_utf8_lossy(&full.stderr);
        assert_eq!(full.status.code(), Some(1), "{said}");
        assert!(
            said.starts_with("error: standard output: No space left") && said.lines().count() == 1,
            "{said}"
        );
        let closed = shell(&format!("{theory} {line} | exec true; exit ${{PIPESTATUS[0]}}"));
        assert_eq!((closed.status.code(), closed.stderr.as_slice()), (Some(0), &[][..]), "{line}");
    }
}

/// What people call their runs is text in every file of a report.
#[test]
fn names_of_runs_are_no_markup() {
    let names = ["<script>alert(1)</script>", "a|b", "a&b", "\"quoted\"", "two\nlines", "\u{1}bell\u{7}"];
    let mut rows = Vec::new();
    for (seed, name) in names.into_iter().enumerate() {
        let mut row = sample(seed as u64);
        // Lines that agree are one line without a name.
        row.set(Quantity::FullSupLoss, Estimate::exact(1.5 + 0.1 * seed as f64)).unwrap();
        row.run.run_id = name.into();
        row.run.dataset = name.into();
        row.run.encoder = name.into();
        rows.push(row);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("losses.csv");
    losses::write(&file, &rows).unwrap();
    let out = folder.path().join("report");
    let (code, _, stderr) = run(&["report", file.to_str().unwrap(), "--out", out.to_str().unwrap(), "-q"]);
    assert_eq!(code, 0, "{stderr}");
    for name in ["report.html", "bounds.svg", "bounds.md"] {
        let text = std::fs::read_to_string(out.join(name)).unwrap();
        assert!(
            !text.contains("<script>alert") && text.contains("&lt;script>") | text.contains("&lt;script&gt;"),
            "{name}"
        );
        // The data of the page stands in its scripts as JSON, where no sign but `<` ends it.
        let markup = text.split("<script").next().unwrap();
        assert!(markup.contains("a&amp;b") && !markup.contains("a&b"), "{name}");
        assert!(!text.contains(|c: char| c.is_control() && c != '\n') || name == "report.html", "{name}");
    }
    let markdown = std::fs::read_to_string(out.join("bounds.md")).unwrap();
    assert!(markdown.contains("a\\|b") && markdown.contains("two lines"));
    // Every row of a table has as many cells as its header.
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    for table in markdown.split("\n\n").filter(|part| part.starts_with('|')) {
        let mut counts = table.lines().map(cells);
        let header = counts.next();
        assert!(counts.all(|count| Some(count) == header), "{table}");
    }
    assert_eq!(losses::read(&out.join("losses.csv")).unwrap(), rows);
    let (_, latex, _) = run(&["bounds", file.to_str().unwrap(), "--format", "latex"]);
    assert!(latex.contains("\\textless{}script") && latex.contains("a\\&b"), "{latex}");
}

/// A place that cannot be looked at is neither empty nor somebody else's, and a pipe is no page.
#[test]
fn what_cannot_be_looked_at_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    std::fs::write(path("losses.csv"), losses::write_to(&[sample(7)])).unwrap();
    let circle = path("circle");
    std::os::unix::fs::symlink("circle", &circle).unwrap();
    fails(&["report", &path("losses.csv"), "--out", &circle], 1, &["circle: Too many levels"]);
    fails(&["bounds", &circle], 1, &["circle: Too many levels"]);
    std::fs::create_dir(path("run")).unwrap();
    std::os::unix::fs::symlink("bounds.json", path("run/bounds.json")).unwrap();
    fails(&["bounds", &path("run")], 1, &["bounds.json: Too many levels"]);
    std::fs::create_dir(path("piped")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(path("piped/report.html")).status().unwrap().success());
    fails(&["report", &path("losses.csv"), "--out", &path("piped")], 2, &["holds no report"]);
}

#[test]
fn counts_of_a_folder_become_advice() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path).to_str().unwrap().to_string();
    for (class, number) in [("cat", 3), ("dog", 1)] {
        std::fs::create_dir_all(at(&format!("images/train/{class}"))).unwrap();
        for image in 0..number {
            std::fs::write(at(&format!("images/train/{class}/{image}.jpg")), b"").unwrap();
        }
    }
    let (code, stdout, stderr) = run(&["counts", &at("images")]);
    assert_eq!((code, stdout.as_str()), (0, "3\n1\n"));
    // T: 1/(3/4) + 1/(1/4) − 1.
    assert!(
        stderr.contains("4 samples of 2 classes, 1 to 3 a class") && stderr.contains("4.33 draws"),
        "{stderr}"
    );
    assert_eq!(
        run(&["counts", &at("images"), "--out", &at("counts.txt"), "-q"]),
        (0, String::new(), String::new())
    );
    let counts = at("counts.txt");
    let advice = json(&["advise", "--counts", &counts, "--negatives", "2", "--batch", "2"]);
    let rows = advice["negatives"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["negatives"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(rows[0]["upsilon"], 0.375);
    assert_eq!((&rows[1]["queue_misses"], &rows[1]["same_class"]), (&0.625.into(), &1.25.into()));
    for row in rows {
        assert!(row["least_loss"].as_f64() < row["class_least_loss"].as_f64(), "{row}");
    }
    let bounds = advice["bounds"].as_array().unwrap();
    let of = |key: &str| bounds.iter().find(|row| row["bound"] == key).unwrap();
    assert_eq!(of("submodular")["from"], 1);
    assert_eq!(of("submodular")["least_of_all"], "yes");
    assert!(of("ash")["from"].as_str().unwrap().contains("equally frequent"));
    let with = |arguments: &[&'static str]| [&["advise", "--classes", "10"], arguments].concat();
    fails_and_writes_nothing(&with(&["--batch", "1"]), 2, &["--batch 1"]);
    fails_and_writes_nothing(&with(&["--temperature", "0"]), 2, &["temperature 0"]);
    fails_and_writes_nothing(&["advise", "--classes", "1"], 2, &["at least 2"]);
    fails_and_writes_nothing(&["counts", &at("images/train/cat")], 2, &["no folders, one a class"]);
    fails_and_writes_nothing(&["counts", &at("nowhere")], 1, &["nowhere"]);
}

#[test]
fn counts_stand_in_a_file_or_on_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("counts.txt");
    std::fs::write(&file, "50\n30\n15\n").unwrap();
    let of = |counts: &str| {
        json(&["coverage", "--counts", counts, "--draws", "4,8..12:4", "--without-replacement"])
    };
    let inline = of("50,30,15");
    assert_eq!(inline, of(file.to_str().unwrap()));
    assert_eq!(inline.as_array().unwrap().len(), 3);
    fails(&["coverage", "--counts", "50,0,15", "--draws", "4"], 2, &["--counts 50,0,15"]);
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let (code, bash, _) = run(&["completions", "bash"]);
    assert!(code == 0 && bash.contains("optimum") && bash.contains("--temperature"), "{bash}");
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(&["man", folder.path().to_str().unwrap()]).0, 0);
    for name in ["theory.1", "theory-bounds.1", "theory-optimum.1"] {
        let page = std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(page.contains(".TH theory"), "{page}");
    }
}

#[test]
fn a_report_of_a_run_stands_in_its_folder_unless_another_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let losses = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/results/digits/losses.csv");
    std::fs::copy(losses, folder.path().join("losses.csv")).unwrap();
    let path = folder.path().to_str().unwrap();
    let page = folder.path().join("report/report.html");
    for _ in 0..2 {
        let (code, stdout, stderr) = run(&["report", path]);
        assert_eq!((code, stdout), (0, format!("wrote {}\n", page.display())), "{stderr}");
    }
    assert!(page.is_file());
    fails(&["report", path, losses], 2, &["--out DIR"]);
}

#[test]
fn the_bounds_are_one_screen_unless_all_are_asked_for() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/results/digits/losses.csv");
    let (_, short, _) = run(&["bounds", file]);
    let (_, all, _) = run(&["bounds", file, "--all"]);
    for text in [&short, &all] {
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(!text.contains('\u{1b}'), "no colours in a pipe: {text}");
    }
    assert!(short.lines().count() <= 30 && short.contains("specht_measured"), "{short}");
    assert!(!short.contains("van_elst") && all.contains("van_elst"), "{short}");
}
