//! `measure` as its users meet it: a file of features to tables, one clear line on bad input.

use assert_cmd::Command;
use measure::features::{Features, Request};
use measure::matrix::Matrix;
use std::path::{Path, PathBuf};
use theory::NumDraws;
use theory::losses::{self, Quantity};
use theory::report::figure::Style;
use theory::report::{self, Figure};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Exit code, standard output, standard error.
fn run(args: &[&str]) -> (i32, String, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_measure")).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code().unwrap(), text(&done.stdout), text(&done.stderr))
}

#[test]
fn the_document_measures_without_the_tensor_library() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("measured");
    let document = std::fs::read_to_string(repository().join("docs/features.md")).unwrap();
    let prefix = "cargo run --release -p measure -- ";
    let command = document.lines().find_map(|line| line.strip_prefix(prefix)).unwrap();
    let features = repository().join("trainer/tests/torch/features.npz");
    let arguments: Vec<&str> = command
        .split(' ')
        .map(|word| match word {
            "features.npz" => features.to_str().unwrap(),
            "measured-alone" => out.to_str().unwrap(),
            other => other,
        })
        .collect();
    let (code, printed, errors) = run(&arguments);
    assert_eq!((code, &errors[..]), (0, ""));
    assert!(
        printed.starts_with("The supervised loss L_sup is 1.268") && printed.ends_with("losses.csv\n"),
        "{printed}"
    );
    let rows = losses::read(&out.join("losses.csv")).unwrap();
    assert_eq!(rows.iter().map(|row| row.num_draws.get()).collect::<Vec<_>>(), [32, 64]);
    assert!(rows.iter().all(|row| row.get(Quantity::KnnAccuracy).is_some_and(|accuracy| accuracy > 0.4)));
    assert!(rows.iter().all(|row| row.run.settings_id == rows[0].run.settings_id));
    assert_eq!(rows[0].run.settings_id.len(), 16);
    for name in ["collision.csv", "collision.svg", "collision.png"] {
        assert!(out.join(name).is_file(), "{name}");
    }
    // What is there is not mixed with anything.
    let (code, _, errors) = run(&arguments);
    assert_eq!(code, 2);
    assert!(errors.contains("is not empty") && errors.lines().count() == 1, "{errors}");
}

#[test]
fn completions_and_a_manual_page_know_the_options() {
    let (code, bash, errors) = run(&["completions", "bash"]);
    assert!(code == 0 && bash.contains("--temperatures") && bash.contains("completions"), "{errors}");
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(&["man", folder.path().to_str().unwrap()]).0, 0);
    let page = std::fs::read_to_string(folder.path().join("measure.1")).unwrap();
    assert!(page.contains(".TH measure") && page.contains("temperatures"), "{page}");
    // What measuring needs is still asked for.
    let (code, _, errors) = run(&["features.npz", "--draws", "8"]);
    assert!(code == 2 && errors.contains("--out") && errors.contains("--temperature"), "{errors}");
}

/// Measured and reported with a picture, and the same numbers without.
#[test]
fn a_picture_of_the_features_stands_in_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let features = repository().join("trainer/tests/torch/features.npz");
    let measure = |out: &str, more: &[&str]| {
        let out = path(out);
        let fixed = ["--draws", "32", "--temperature", "0.5", "--out", out.to_str().unwrap()];
        let (code, printed, errors) = run(&[&[features.to_str().unwrap()], &fixed[..], more].concat());
        assert_eq!((code, &errors[..]), (0, ""));
        (printed, out)
    };
    let ((plain, without), (printed, with)) = (measure("without", &[]), measure("with", &["--picture"]));
    assert!(!plain.contains("picture") && printed.ends_with("picture.svg\n"), "{printed}");
    let read = |folder: &Path, name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(read(&with, "losses.csv"), read(&without, "losses.csv"));
    assert_eq!(read(&with, "picture.csv").lines().count(), 161);
    let report = |of: &Path, to: &str| {
        let rows = losses::read(&of.join("losses.csv")).unwrap();
        let picture = Figure::beside(&of.join("losses.csv")).unwrap();
        let to = path(to);
        report::write(&to, "Features", &rows, &[], &Style::default(), picture.as_ref()).unwrap();
        (read(&to, "report.html").matches("<img").count(), to.join("picture.png").is_file())
    };
    assert_eq!(report(&with, "report-with"), (1, true));
    assert_eq!(report(&without, "report-without"), (0, false));
}

/// A grid of draws and temperatures is what single calls measure, cell by cell.
#[test]
fn several_temperatures_are_measured_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let features = repository().join("tests/oracle/features.npz");
    let measure = |out: &str, draws: &str, temperatures: [&str; 2]| {
        let out = folder.path().join(out);
        let fixed = ["--draws", draws, "--out", out.to_str().unwrap(), "--quiet"];
        let (code, _, errors) = run(&[&[features.to_str().unwrap()], &fixed[..], &temperatures].concat());
        assert_eq!((code, &errors[..]), (0, ""));
        losses::read(&out.join("losses.csv")).unwrap()
    };
    let grid = measure("grid", "5,12", ["--temperatures", "0.2,1"]);
    let place = |row: &theory::LossComponents| (row.num_draws.get(), row.temperature);
    assert_eq!(grid.iter().map(place).collect::<Vec<_>>(), [(5, 0.2), (5, 1.0), (12, 0.2), (12, 1.0)]);
    for (index, draws, t) in [(0, "5", "0.2"), (1, "5", "1"), (3, "12", "1")] {
        let single = measure(&format!("single-{index}"), draws, ["--temperature", t]);
        assert_eq!(single, grid[index..=index]);
    }
    let certified = report::certify(&grid.iter().collect::<Vec<_>>(), Some(0.95)).unwrap();
    let table = certified.table(report::Format::Table).to_text(report::Format::Table);
    for claim in ["L_sup ", "error, L_Info", "error, L_sup", "error, moments"] {
        assert!(table.contains(claim), "{claim}: {table}");
    }
    assert!(table.contains("any law"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
}

/// Each option of the classifiers is what single numbers of the row follow, and the row says so.
#[test]
fn classifiers_have_settings() {
    let folder = tempfile::tempdir().unwrap();
    let features = repository().join("tests/oracle/features.npz");
    let measure = |out: &str, more: &[&str]| {
        let out = folder.path().join(out);
        let fixed = ["--draws", "5", "--temperature", "0.5", "--quiet", "--out", out.to_str().unwrap()];
        let (code, _, errors) = run(&[&[features.to_str().unwrap()], &fixed[..], more].concat());
        assert_eq!((code, &errors[..]), (0, ""));
        losses::read(&out.join("losses.csv")).unwrap().remove(0)
    };
    let plain = measure("plain", &[]);
    assert_eq!(
        (plain.knn_k, plain.knn_temperature, &plain.linear_probe[..]),
        (Some(20), Some(0.1), "ridge=0.0001")
    );
    assert_eq!(plain.get(Quantity::LinearRidge), Some(1e-4));
    assert!(plain.get(Quantity::LinearGradient).is_some_and(|gradient| gradient <= measure::PROBE_TOLERANCE));
    let other = measure(
        "other",
        &["--knn-k", "200", "--knn-temperature", "0.5", "--linear-ridge", "chosen", "--linear-standardise"],
    );
    assert_eq!((other.knn_k, other.knn_temperature), (Some(200), Some(0.5)));
    assert_eq!(other.linear_probe, "ridge=chosen standardised");
    // As tests/oracle/expected.json has them.
    assert_eq!(other.get(Quantity::LinearRidge), Some(1.0));
    let accuracies = |row: &theory::LossComponents| {
        [Quantity::LinearAccuracy, Quantity::KnnAccuracy].map(|quantity| row.get(quantity).unwrap())
    };
    assert_eq!(accuracies(&plain), [0.825, 0.8]);
    assert_eq!(accuracies(&other), [0.875, 0.85]);
    assert_eq!(plain.run.settings_id, other.run.settings_id);
}

/// `.npy` files, an array each, give what the same arrays give at hand.
#[test]
fn two_files_of_views_are_measured_with_the_arrays_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let Features { view1, view2, labels, train, mean, .. } =
        Features::read(&repository().join("tests/oracle/features.npz")).unwrap();
    let write = |name: &str, descr: &str, shape: String, bytes: Vec<u8>| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let length = (header.len() as u16).to_le_bytes();
        std::fs::write(path(name), [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &bytes].concat())
            .unwrap();
    };
    let matrix = |name: &str, m: &Matrix| {
        let bytes = m.data.iter().flat_map(|value| value.to_le_bytes()).collect();
        write(name, "<f8", format!("({}, {})", m.rows, m.cols), bytes);
    };
    let classes = |name: &str, labels: &[usize]| {
        let bytes = labels.iter().flat_map(|&label| (label as u16).to_le_bytes()).collect();
        write(name, "<u2", format!("({},)", labels.len()), bytes);
    };
    let (train, train_labels) = train.unwrap();
    matrix("view1.npy", &view1);
    matrix("view2.npy", &view2);
    classes("labels.npy", &labels);
    matrix("train.npy", &train);
    classes("train_labels.npy", &train_labels);
    matrix("mean.npy", mean.as_ref().unwrap());
    let views = [path("view1.npy"), path("view2.npy")];
    let beside = ["labels", "train", "train-labels", "mean"]
        .map(|name| [format!("--{name}"), path(&format!("{}.npy", name.replace('-', "_")))]);
    let fixed = ["--draws", "5", "--temperature", "0.5", "--quiet", "--out"].map(String::from);
    let measure = |files: &[String], out: &str| {
        let all = [files, &fixed[..], &[path(out)]].concat();
        run(&all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let (code, _, errors) = measure(&[&views[..], &beside.concat()[..]].concat(), "out");
    assert_eq!((code, &errors[..]), (0, ""));
    let request = Request::new(vec![NumDraws::new(5).unwrap()], 0.5);
    let features = Features::new(view1, view2, labels, Some((train, train_labels)), mean).unwrap();
    let expected = features.measure("view1", &request, &measure::never).unwrap().rows;
    assert_eq!(losses::read(Path::new(&path("out")).join("losses.csv").as_path()).unwrap(), expected);
    for (files, code, words) in [
        (views.to_vec(), 2, "two .npy files of views with --labels FILE.npy"),
        ([&views[..1], &beside[0][..]].concat(), 2, "two .npy files of views with --labels"),
        (views[..1].to_vec(), 1, "view1.npy: one .npy is one array: give two"),
        (
            [&[path("labels.npy"), path("view2.npy")], &beside[0][..]].concat(),
            1,
            "'view1' has shape [40], not",
        ),
    ] {
        let (found, _, errors) = measure(&files, "other");
        assert_eq!(found, code, "{errors}");
        assert!(errors.contains(words) && errors.lines().count() == 1, "{errors}");
    }
}

#[test]
fn bad_input_is_one_line_and_an_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let oracle = repository().join("tests/oracle/features.npz");
    let oracle = oracle.to_str().unwrap();
    let (out, cut, text) = (path("out"), path("cut.npz"), path("features.txt"));
    std::fs::write(&cut, &std::fs::read(oracle).unwrap()[..3000]).unwrap();
    std::fs::write(&text, "view1").unwrap();
    let (draws, temperature) = (["--draws", "5"], ["--temperature", "0.5"]);
    let with = |features: &str, draws: &[&str], temperature: &[&str], out: &str| {
        run(&[&[features], draws, temperature, &["--out", out]].concat())
    };
    for (features, draws, temperature, out, code, word) in [
        (oracle, &draws[..], &["--temperature", "0"][..], &out, 2, "--temperature 0"),
        (oracle, &draws[..], &["--temperatures", "1,0"][..], &out, 2, "--temperatures 0"),
        (oracle, &draws[..], &["--temperatures", "1,0.5,1"][..], &out, 2, "--temperatures names 1 twice"),
        (oracle, &["--draws", "5,5"][..], &temperature[..], &out, 2, "--draws names 5 twice"),
        (oracle, &["--draws", "5", "--knn-k", "0"][..], &temperature[..], &out, 2, "--knn-k 0"),
        (
            oracle,
            &["--draws", "5", "--knn-temperature", "0"][..],
            &temperature[..],
            &out,
            2,
            "--knn-temperature 0",
        ),
        (oracle, &["--draws", "41"][..], &temperature[..], &out, 2, "40 evaluated samples"),
        (oracle, &draws[..], &temperature[..], &text, 2, "is no folder"),
        (&cut, &draws[..], &temperature[..], &out, 1, "cut.npz: not readable"),
        (&text, &draws[..], &temperature[..], &out, 1, "must be a .npz or .safetensors file"),
        ("no/such.npz", &draws[..], &temperature[..], &out, 1, "no/such.npz"),
    ] {
        let (found, printed, errors) = with(features, draws, temperature, out);
        assert_eq!((found, &printed[..]), (code, ""), "{errors}");
        assert!(errors.contains(word) && errors.lines().count() == 1, "{errors}");
        assert!(!Path::new(&path("out")).exists());
    }
    for missing in ["--draws", "--temperature"] {
        let kept: Vec<&str> = [draws, temperature].concat();
        let kept: Vec<&str> = kept.chunks(2).filter(|pair| pair[0] != missing).flatten().copied().collect();
        let (code, _, errors) = with(oracle, &kept, &[], &out);
        assert_eq!(code, 2);
        assert!(errors.contains(missing), "{errors}");
    }
}

/// The first signal ends a measurement, wherever it stands.
#[test]
#[cfg(unix)]
fn a_signal_ends_it_within_seconds() {
    use std::time::{Duration, Instant};
    let folder = tempfile::tempdir().unwrap();
    // All pairs of 30,000 samples, and then their batches: many seconds.
    let (rows, cols) = (30_000, 32);
    let write = |name: &str, descr: &str, shape: String, bytes: Vec<u8>| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let length = (header.len() as u16).to_le_bytes();
        let all = [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &bytes].concat();
        std::fs::write(folder.path().join(name), all).unwrap();
    };
    for (name, seed) in [("view1.npy", 7919u32), ("view2.npy", 7907)] {
        let value = |i: u32| (i.wrapping_mul(seed) % 1009) as f32 / 1009.0 - 0.4;
        let bytes = (0..rows * cols).flat_map(|i| value(i).to_le_bytes()).collect();
        write(name, "<f4", format!("({rows}, {cols})"), bytes);
    }
    let bytes = (0..rows).map(|i| (i % 100) as u8).collect();
    write("labels.npy", "|u1", format!("({rows},)"), bytes);
    // Not SIGINT, which a shell has its background jobs ignore.
    for (signal, wait) in [("TERM", 1000), ("HUP", 2500)] {
        let mut running = std::process::Command::new(env!("CARGO_BIN_EXE_measure"))
            .args(["view1.npy", "view2.npy", "--labels", "labels.npy"])
            .args(["--draws", "8", "--temperature", "0.5", "--out", "out"])
            .current_dir(folder.path())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        let asked = Instant::now();
        let id = running.id().to_string();
        assert!(
            std::process::Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success()
        );
        let code = running.wait().unwrap().code();
        let took = asked.elapsed();
        assert!(code == Some(75) && took < Duration::from_secs(2), "{signal}: {code:?} after {took:?}");
        assert!(!folder.path().join("out").exists());
    }
}

#[test]
#[cfg(target_os = "linux")]
fn help_that_nobody_took_is_a_failure() {
    for word in ["--help", "--version"] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let done = std::process::Command::new(env!("CARGO_BIN_EXE_measure"))
            .arg(word)
            .stdout(full)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!((done.status.code(), said.lines().count()), (Some(1), 1), "{word}: {said}");
    }
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let features = repository().join("tests/oracle/features.npz");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_measure"))
        .arg(features)
        .args(["--draws", "5", "--temperature", "0.5", "--out"])
        .arg(folder.path().join("out"))
        .stdout(writer)
        .output()
        .unwrap();
    assert_eq!((done.status.code(), &done.stderr[..]), (Some(0), &b""[..]));
}
