//! The `trainer` program as its users meet it: one command to a report, the same bits again, one clear line on bad
//! input.

use assert_cmd::Command;
use std::path::{Path, PathBuf};
use theory::losses::{self, Quantity};
use theory::report;

fn trainer() -> Command {
    Command::new(env!("CARGO_BIN_EXE_trainer"))
}

fn run(args: &[&str]) -> (i32, String, String) {
    let output = trainer().args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_string()
}

/// Runs and expects failure with `code` and exactly one line on standard error that has all of `words`.
fn fails(args: &[&str], code: i32, words: &[&str]) {
    let (found, _, stderr) = run(args);
    assert_eq!(found, code, "{args:?}: {stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "{args:?}: {stderr}");
    for word in words {
        assert!(stderr.contains(word), "{args:?}: no '{word}' in: {stderr}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
}

/// After a training one screen says what was trained, how good it is as far as that is known, and what comes next.
#[test]
fn a_training_ends_with_what_is_known_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let train = |name: &str, more: &[&str]| {
        let out = path(folder.path(), name);
        let settings = ["train", "--preset", "digits-quick", "--out", &out, "--set", "epochs=2"];
        let (code, _, stderr) = run(&[&settings[..], more].concat());
        assert_eq!(code, 0, "{stderr}");
        assert!(stderr.lines().all(|line| line.chars().count() <= 80 || line.contains(&out)), "{stderr}");
        (out, stderr)
    };
    let (out, plain) = train("plain", &[]);
    for text in
        ["mlp on digits, 1347 samples", "n = K+1 = 64 (in training 126 negatives", "t = 0.5", "seed 7"]
    {
        assert!(plain.contains(text), "{text}: {plain}");
    }
    assert!(plain.contains("not measured yet") && plain.contains("trainer measure --run"), "{plain}");
    assert_eq!(run(&["measure", "--run", &out, "-q"]).0, 0);
    let row = &losses::read(&Path::new(&out).join("losses.csv")).unwrap()[0];
    let (_, measured) = train("plain", &[]);
    let of = |quantity| format!("{:.3}", row.get(quantity).unwrap());
    let head = format!(
        "mean classifier {}, kNN {}, linear probe {} (head",
        of(Quantity::MeanAccuracy),
        of(Quantity::KnnAccuracy),
        of(Quantity::LinearAccuracy)
    );
    let part = format!("accuracy  on the {} samples:", row.evaluated_split);
    assert!(
        measured.contains(&head) && measured.contains("(encoder)") && measured.contains(&part),
        "{measured}"
    );
    assert!(!measured.contains("trainer measure") && measured.contains("theory report"), "{measured}");

    // Of a run that keeps its best weights, those count, not the last ones.
    let watch = ["--set", "monitor.every=1", "--set", "monitor.metric=mean_accuracy", "--keep-best"];
    let (out, watched) = train("watched", &watch);
    let metrics = std::fs::read_to_string(Path::new(&out).join("metrics.jsonl")).unwrap();
    let records = metrics.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let best = records.filter_map(|record| record["monitor/mean_accuracy"].as_f64()).fold(0.0, f64::max);
    assert!(watched.contains(&format!("mean classifier {best:.3}, kNN")), "{watched}{metrics}");
}

#[test]
fn one_command_to_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(folder.path(), "out");
    let (code, stdout, stderr) = run(&[
        "reproduce",
        "digits",
        "--draws",
        "16,64",
        "--seeds",
        "7,11",
        "--set",
        "epochs=6",
        "--out",
        &out,
    ]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("L_sup ≤ specht_measured"), "what was found stands on stdout: {stdout}");
    assert!(std::fs::read_to_string(Path::new(&out).join("accuracy.csv")).unwrap().contains("raw pixels"));
    assert_eq!(
        stderr.lines().filter(|line| line.contains("linear accuracy")).count(),
        4,
        "a line a run: {stderr}"
    );
    let rows = losses::read(&PathBuf::from(&out).join("losses.csv")).unwrap();
    assert_eq!(rows.len(), 4);
    for row in &rows {
        assert!(row.num_batches.unwrap() >= 100);
        assert_eq!(row.class_counts.as_deref(), Some(&[45; 10][..]));
        // The bounds hold in the real run, by their own standard error.
        for (key, difference) in &row.paired {
            let error = difference.standard_error.unwrap();
            assert!(difference.mean > 5.0 * error, "{} {key}: {} ± {error}", row.run.run_id, difference.mean);
        }
        // What was counted agrees with what the sampling says.
        let checks = report::checks(row);
        assert_eq!(checks.len(), 2);
        assert!(checks.iter().all(|check| !check.is_flagged()), "{checks:?}");
        assert!(row.get(Quantity::LinearAccuracy).unwrap() > 0.8);
        let upper = theory::bounds::find("nozawa_sato").unwrap().upper_bound(row).value().unwrap();
        assert!(upper > row.get(Quantity::FullSupLoss).unwrap());
    }
    for file in ["report.html", "bounds.svg", "bounds.csv", "bounds.md", "accuracy.csv", "run.json"] {
        assert!(Path::new(&out).join(file).exists(), "{file}");
    }
    let html = std::fs::read_to_string(Path::new(&out).join("report.html")).unwrap();
    assert!(html.contains("<svg"));
    for fetches in ["http-equiv", "<script src", "src=\"http", "href=\"http", "fetch(", "@import", "url("] {
        assert!(!html.contains(fetches), "{fetches}: the page needs nothing from outside");
    }

    // A second call keeps the finished runs; other settings are refused; `train` and `measure` alone give the same row.
    let before = std::fs::read(Path::new(&out).join("losses.csv")).unwrap();
    let again = ["reproduce", "digits", "--draws", "16,64", "--seeds", "7,11", "--out", &out, "--set"];
    let (code, _, stderr) = run(&[&again[..], &["epochs=6"]].concat());
    assert_eq!((code, stderr.matches("kept from before").count()), (0, 4), "{stderr}");
    assert_eq!(std::fs::read(Path::new(&out).join("losses.csv")).unwrap(), before);
    // A measurement of one of its runs with other settings does not slip into the sweep.
    let inside = format!("{out}/runs/n0016-s7");
    let foreign = ["measure", "--run", &inside, "--draws", "32", "--temperature", "5", "--passes", "1", "-q"];
    assert_eq!(run(&foreign).0, 0);
    assert_eq!(run(&[&again[..], &["epochs=6", "-q"]].concat()).0, 0);
    assert_eq!(std::fs::read(Path::new(&out).join("losses.csv")).unwrap(), before);
    fails(&[&again[..], &["epochs=7", "-q"]].concat(), 2, &["epochs: 6 there, 7 here"]);
    let own = path(folder.path(), "n0016-s7");
    let settings = ["--set", "batch_size=16", "--set", "seed=7", "--set", "epochs=6"];
    assert_eq!(run(&[&["train", "--preset", "digits", "--out", &own, "-q"][..], &settings].concat()).0, 0);
    assert_eq!(run(&["measure", "--run", &own, "-q"]).0, 0);
    let alone = losses::read(&Path::new(&own).join("losses.csv")).unwrap();
    assert_eq!(alone[0], rows[0]);
    // At another number of draws and temperature, into another folder.
    let other = path(folder.path(), "measured");
    let draws = ["--draws", "8,450", "--temperature", "0.2", "--passes", "2", "--out", &other];
    let (code, stdout, stderr) = run(&[&["measure", "--run", &own][..], &draws].concat());
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("L_Info"));
    let measured = losses::read(&Path::new(&other).join("losses.csv")).unwrap();
    assert_eq!(measured.iter().map(|r| r.num_draws.get()).collect::<Vec<_>>(), [8, 450]);
    assert_eq!(measured[1].num_batches, Some(2));
    // n = 8 cannot show 10 classes.
    let upper = theory::bounds::find("nozawa_sato").unwrap().upper_bound(&measured[0]);
    assert!(matches!(&upper, theory::bounds::Outcome::Undefined(why) if why.contains("υ = 0")), "{upper:?}");
    // What is asked for must fit the evaluated images.
    let into = path(folder.path(), "none");
    fails(&["measure", "--run", &own, "--draws", "451", "--out", &into, "-q"], 2, &["451", "450"]);
    assert!(!Path::new(&into).exists(), "nothing is left behind");
}

#[test]
fn the_same_bits_with_one_and_two_threads() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for threads in ["1", "2"] {
        let out = path(folder.path(), &format!("sweep{threads}"));
        let args = ["reproduce", "digits", "--draws", "32,128", "--seeds", "7", "--set", "epochs=2", "-q"];
        assert_eq!(run(&[&args[..], &["--threads", threads, "--out", &out]].concat()).0, 0);
        let single = path(folder.path(), &format!("single{threads}"));
        let args = ["train", "--preset", "digits", "--set", "epochs=2", "--set", "batch_size=256", "-q"];
        assert_eq!(run(&[&args[..], &["--threads", threads, "--out", &single]].concat()).0, 0);
        assert_eq!(run(&["measure", "--run", &single, "--threads", threads, "-q"]).0, 0);
        let read = |name: String| std::fs::read(name).unwrap();
        // The run's name is its folder's, so its row differs there alone.
        let row = losses::read(&Path::new(&single).join("losses.csv")).unwrap().remove(0);
        files.push((
            read(format!("{out}/losses.csv")),
            read(format!("{out}/accuracy.csv")),
            read(format!("{single}/model.safetensors")),
            read(format!("{single}/metrics.jsonl")),
            (row.measures, row.paired, row.class_sup_loss),
        ));
    }
    assert!(files[0] == files[1]);
}

#[test]
fn a_fixed_batch_moves_k_alone() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(folder.path(), "fixed");
    let args = [
        "reproduce",
        "digits",
        "--fixed-batch",
        "64",
        "--draws",
        "4,64",
        "--seeds",
        "7",
        "--set",
        "epochs=2",
    ];
    assert_eq!(run(&[&args[..], &["-q", "--out", &out]].concat()).0, 0);
    let rows = losses::read(&Path::new(&out).join("losses.csv")).unwrap();
    let trained: Vec<_> =
        rows.iter().map(|r| (r.run.batch_size, r.run.train_negatives, r.num_draws.get())).collect();
    assert_eq!(trained, [(Some(64), Some(3), 4), (Some(64), Some(63), 64)]);
    let metrics =
        |name: &str| std::fs::read_to_string(Path::new(&out).join("runs").join(name).join("metrics.jsonl"));
    let rate = |text: String| -> Vec<serde_json::Value> {
        text.lines()
            .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["learning_rate"].clone())
            .collect()
    };
    assert_eq!(rate(metrics("n0004-s7").unwrap()), rate(metrics("n0064-s7").unwrap()));
}

#[test]
fn selections_of_negatives_are_an_axis() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(folder.path(), "selections");
    let args = [
        "reproduce",
        "digits",
        "--draws",
        "64",
        "--seeds",
        "7,11",
        "--set",
        "epochs=2",
        "--set",
        "queue.size=500",
    ];
    let selections = "sweep.selections=[\"queue\", \"hardest:5%\", \"range:0-40%,60-100%\"]";
    let args = [
        &args[..],
        &[
            "--set",
            selections,
            "--set",
            "queue.momentum=0.9",
            "--set",
            "negatives=queue",
            "-q",
            "--out",
            &out,
        ],
    ]
    .concat();
    assert_eq!(run(&args).0, 0);
    let rows = losses::read(&Path::new(&out).join("losses.csv")).unwrap();
    let found: Vec<_> = rows
        .iter()
        .map(|r| (r.run.run_id.as_str(), r.selection(), r.run.train_negatives, r.run.effective_negatives))
        .collect();
    let range = Some("range:0-40%,60-100%");
    assert_eq!(
        found,
        [
            ("n0064-queue-s7", None, Some(500), Some(500.0)),
            ("n0064-queue-s11", None, Some(500), Some(500.0)),
            ("n0064-hardest-5-s7", Some("hardest:5%"), Some(500), Some(25.0)),
            ("n0064-hardest-5-s11", Some("hardest:5%"), Some(500), Some(25.0)),
            ("n0064-range-0-40+60-100-s7", range, Some(500), Some(400.0)),
            ("n0064-range-0-40+60-100-s11", range, Some(500), Some(400.0)),
        ]
    );
    assert!(rows.iter().all(|row| row.run.loss == "info_nce_queue" && row.num_draws.get() == 64));
    // Groups of two seeds each.
    let groups: Vec<_> =
        losses::group(&rows).unwrap().iter().map(|g| (g.rows.len(), g.rows[0].selection())).collect();
    assert_eq!(groups, [(2, None), (2, Some("hardest:5%")), (2, range)]);
    let table = std::fs::read_to_string(Path::new(&out).join("accuracy.csv")).unwrap();
    assert_eq!(table.matches("hardest:5%").count(), 2, "head and encoder: {table}");
    // The same selection twice, or beside a fixed batch, is refused.
    let twice = "sweep.selections=[\"queue\", \"queue\"]";
    let base = ["reproduce", "digits", "--set", "queue.size=512", "--set", "negatives=queue", "--out", &out];
    fails(&[&base[..], &["--set", twice]].concat(), 2, &["negatives = queue", "twice"]);
    fails(&[&base[..], &["--set", selections, "--fixed-batch", "512"]].concat(), 2, &["512", "queue"]);
}

#[test]
fn features_of_another_program() {
    let folder = tempfile::tempdir().unwrap();
    let oracle = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/oracle/features.npz");
    let features = oracle.to_str().unwrap();
    let (out, none) = (path(folder.path(), "out"), path(folder.path(), "none"));
    let args = ["measure", "--features", features, "--draws", "5,12", "--temperature", "0.5", "-q"];
    assert_eq!(run(&[&args[..], &["--out", &out]].concat()).0, 0);
    let rows = losses::read(&Path::new(&out).join("losses.csv")).unwrap();
    assert_eq!(rows[0].class_counts.as_deref(), Some(&[14, 12, 8, 6][..]));
    // Classes are not equally frequent: a bound either has a form for that, or says so instead of a number.
    let upper = |key: &str| theory::bounds::find(key).unwrap().upper_bound(&rows[1]);
    assert!(
        matches!(upper("ash"), theory::bounds::Outcome::NotApplicable(why) if why.contains("equally frequent"))
    );
    let supervised = rows[1].get(theory::losses::Quantity::FullSupLoss).unwrap();
    for key in ["nozawa_sato", "lambda", "curl", "submodular", "coverage_collision", "specht"] {
        assert!(upper(key).value().is_some_and(|v| v > supervised), "{key}: {:?}", upper(key));
    }
    let too_many =
        ["measure", "--features", features, "--draws", "41", "--temperature", "0.5", "--out", &none, "-q"];
    fails(&too_many, 2, &["41", "40"]);
    assert!(!Path::new(&none).exists(), "nothing is left behind");
    // Another measurement does not take the folder, and says so before it measures.
    let args =
        ["measure", "--features", features, "--draws", "41", "--temperature", "0.5", "--out", &out, "-q"];
    fails(&args, 2, &["of other settings"]);
    let broken = path(folder.path(), "broken.npz");
    std::fs::write(&broken, &std::fs::read(&oracle).unwrap()[..3000]).unwrap();
    let target = path(folder.path(), "target");
    let args = ["measure", "--features", &broken, "--draws", "5", "--temperature", "0.5", "--out", &target];
    fails(&args, 1, &["broken.npz"]);
    assert!(!Path::new(&target).exists());
}

#[test]
fn bad_features_name_the_array() {
    use candle_core::{Device, Tensor};
    let folder = tempfile::tempdir().unwrap();
    let target = path(folder.path(), "target");
    let write = |name: &str, labels: Vec<i64>, poison: f32, view2_rows: usize| -> String {
        let file = path(folder.path(), name);
        let matrix = |rows: usize, first: f32| {
            let mut data: Vec<f32> = (0..rows * 2).map(|i| 1.0 + i as f32).collect();
            data[0] = first;
            Tensor::from_vec(data, (rows, 2), &Device::Cpu).unwrap()
        };
        let count = labels.len();
        let tensors = std::collections::HashMap::from([
            ("view1".to_string(), matrix(4, poison)),
            ("view2".to_string(), matrix(view2_rows, 1.0)),
            ("labels".to_string(), Tensor::from_vec(labels, count, &Device::Cpu).unwrap()),
        ]);
        candle_core::safetensors::save(&tensors, &file).unwrap();
        file
    };
    let cases = [
        (write("nan.safetensors", vec![0, 1, 0, 1], f32::NAN, 4), vec!["view1", "row 0", "NaN"]),
        (write("gap.safetensors", vec![0, 2, 0, 2], 1.0, 4), vec!["labels", "no sample of class 1"]),
        (write("negative.safetensors", vec![0, -1, 0, 1], 1.0, 4), vec!["labels", "entry 1", "-1"]),
        (write("short.safetensors", vec![0, 1, 0], 1.0, 4), vec!["labels", "3 entries for 4 rows"]),
        (write("shape.safetensors", vec![0, 1, 0, 1], 1.0, 3), vec!["view2", "[3, 2]", "[4, 2]"]),
    ];
    for (file, words) in cases {
        let args =
            ["measure", "--features", &file, "--draws", "2", "--temperature", "0.5", "--out", &target, "-q"];
        fails(&args, 1, &words);
        assert!(!Path::new(&target).exists());
    }
}

/// A folder in which nobody may write: for root, permissions do not count, so one of the kernel's.
fn read_only(folder: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let inside = folder.join("read-only");
    std::fs::create_dir(&inside).unwrap();
    std::fs::set_permissions(&inside, std::fs::Permissions::from_mode(0o555)).unwrap();
    let writable = std::fs::write(inside.join("probe"), "x").is_ok();
    if writable { PathBuf::from("/sys") } else { inside }
}

#[test]
fn bad_input_gets_one_line_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(folder.path(), "out");
    let sweep = ["reproduce", "digits", "--out", &out, "-q"];
    let with = |more: &[&'static str]| [&sweep[..], more].concat();
    fails(&with(&["--draws", "451"]), 2, &["451", "450"]);
    fails(&with(&["--draws", "1"]), 2, &["n = K+1 = 1"]);
    fails(&with(&["--draws", "64", "--fixed-batch", "32"]), 2, &["64", "32"]);
    fails(&with(&["--fixed-batch", "5000"]), 2, &["5000", "1347"]);
    fails(&with(&["--draws", "16,32,16"]), 2, &["n = K+1 = 16", "twice"]);
    fails(&with(&["--seeds", "7,7"]), 2, &["seed = 7", "twice"]);
    fails(&with(&["--seeds", "18446744073709551615"]), 2, &["seed"]);
    fails(&with(&["--set", "epochs=0"]), 2, &["epochs = 0"]);
    fails(&with(&["--set", "epoch=5"]), 2, &["epoch"]);
    fails(&with(&["--set", "learning_rate=-1"]), 2, &["learning_rate = -1"]);
    let train = ["train", "--preset", "digits", "--out", &out, "-q", "--set"];
    fails(&[&train[..], &["batch_size=1400"]].concat(), 2, &["1400", "1347"]);
    fails(&[&train[..], &["negatives=99"]].concat(), 2, &["99", "63"]);
    fails(&["measure", "--run", &out, "-q"], 1, &["there is no such folder"]);
    assert!(!Path::new(&out).exists(), "nothing was made");

    std::fs::create_dir(&out).unwrap();
    std::fs::write(Path::new(&out).join("thesis.tex"), "years of work").unwrap();
    fails(&sweep, 2, &["was not made by this program"]);
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1);

    let closed = read_only(folder.path()).join("run");
    fails(&["reproduce", "digits", "--quick", "-q", "--out", closed.to_str().unwrap()], 1, &["run"]);

    // A diverging run says where, and leaves no checkpoint.
    let wild = path(folder.path(), "wild");
    let args = ["train", "--preset", "digits", "--set", "learning_rate=1e30", "--out", &wild, "-q"];
    fails(&args, 1, &["step", "learning_rate"]);
    assert!(!Path::new(&wild).join("model.safetensors").exists());
}

#[test]
fn a_run_that_fails_is_a_row_and_the_others_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(folder.path(), "out");
    // Gradients of cosines over 10⁻³⁷ leave the range of f32.
    let args = ["reproduce", "digits", "--draws", "64", "--seeds", "7", "--temperatures", "0.5,1e-37", "-q"];
    let args = [&args[..], &["--set", "epochs=1", "--threads", "1", "--out", &out]].concat();
    let name = format!("n0064-t{}-s7", 1e-37);
    for _ in 0..2 {
        fails(&args, 1, &["1 of 2 runs failed", &name, "the loss is"]);
        let rows = losses::read(&Path::new(&out).join("losses.csv")).unwrap();
        assert_eq!(rows.iter().map(|row| row.run.run_id.as_str()).collect::<Vec<_>>(), ["n0064-t0.5-s7"]);
        let runs = std::fs::read_to_string(Path::new(&out).join("runs.csv")).unwrap();
        let lines: Vec<&str> = runs.lines().collect();
        assert_eq!(lines[0], "run_id,settings_id,seed,state,reason,settings");
        assert!(lines[1].contains(&format!(",{},7,finished,,", rows[0].run.settings_id)), "{runs}");
        assert!(lines[2].contains(",7,failed,") && lines[2].contains("the loss is"), "{runs}");
        let report = std::fs::read_to_string(Path::new(&out).join("report.html")).unwrap();
        assert!(report.contains("Runs that failed or are missing") && report.contains("the loss is"));
    }
}

#[test]
fn usage_errors_are_one_line_and_exit_with_2() {
    fails(&["reproduce", "imagenet"], 2, &["imagenet"]);
    fails(&["measure"], 2, &["--run"]);
    fails(
        &["reproduce", "digits", "--fixed-batch", "-5"],
        2,
        &["--fixed-batch '-5' is not a non-negative integer"],
    );
    fails(&["measure", "--run", "x", "--temperature", "warm"], 2, &["--temperature 'warm' is not a number"]);
    fails(
        &["train", "--preset", "digits", "--out", "x", "--threads", "0"],
        2,
        &["--threads '0'", "1..=1024"],
    );
    fails(&["trian"], 2, &["trian"]);
    assert_eq!(run(&["--help"]).0, 0);
}

#[test]
fn bench_prints_one_object_with_the_agreed_keys() {
    let (code, stdout, stderr) =
        run(&["bench", "--net", "mlp", "--batch", "4", "--steps", "1", "--threads", "2"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((report["net"].as_str(), report["batch"].as_u64()), (Some("mlp"), Some(4)));
    for key in [
        "images_per_s",
        "images_per_cpu_s",
        "augment_ms",
        "forward_ms",
        "backward_ms",
        "optimiser_ms",
        "peak_memory_bytes",
        "gemm_share",
    ] {
        assert!(report[key].as_f64().is_some_and(|value| value > 0.0), "{key}: {report}");
    }
}

#[test]
fn devices_and_types_that_cannot_be_had_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(folder.path(), "out");
    if cfg!(not(feature = "cuda")) {
        let words = ["no CUDA support", "trainer/cuda/build.sh", "--device cpu"];
        fails(&["bench", "--net", "mlp", "--device", "cuda"], 2, &words);
        fails(&["train", "--preset", "digits", "--device", "cuda:1", "--out", &out], 2, &words);
        assert!(!Path::new(&out).exists(), "nothing is written before the device is open");
    }
    fails(&["bench", "--net", "mlp", "--dtype", "bf16"], 2, &["bf16", "--device cuda"]);
    // An odd batch is no set of pairs.
    fails(&["bench", "--net", "mlp", "--batch", "3", "--steps", "1"], 2, &["--batch 3", "pairs"]);
}

#[test]
fn adamw_trains_and_a_bad_momentum_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(folder.path(), "out");
    let adamw = ["--set", "optimiser=adamw", "--set", "learning_rate=0.001", "--set", "epochs=2"];
    let (code, _, stderr) = run(&[&["train", "--preset", "digits", "--out", &out], &adamw[..]].concat());
    assert_eq!(code, 0, "{stderr}");
    let bad = path(folder.path(), "bad");
    fails(&["train", "--preset", "digits", "--set", "momentum=1.5", "--out", &bad], 2, &["momentum", "1.5"]);
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_run_with_a_checkpoint_and_the_same_bits_follow() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, pieces) = (path(folder.path(), "whole"), path(folder.path(), "pieces"));
    let settings = ["--preset", "digits", "--set", "epochs=60", "--set", "batch_size=32", "-q"];
    assert_eq!(run(&[&["train", "--out", &whole][..], &settings].concat()).0, 0);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_trainer"));
    let mut child = command.args(["train", "--out", &pieces]).args(settings).spawn().unwrap();
    // As soon as there are metrics, there is something to save.
    let metrics = Path::new(&pieces).join("metrics.jsonl");
    while std::fs::metadata(&metrics).map_or(0, |m| m.len()) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it could be interrupted");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let kill = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), Some(75));
    assert!(Path::new(&pieces).join("checkpoint.safetensors").exists());
    fails(&[&["train", "--out", &pieces][..], &settings].concat(), 2, &["--resume"]);
    assert_eq!(run(&[&["train", "--out", &pieces, "--resume"][..], &settings].concat()).0, 0);
    for file in ["model.safetensors", "metrics.jsonl", "metrics.csv"] {
        let read = |run: &str| std::fs::read(Path::new(run).join(file)).unwrap();
        assert!(read(&whole) == read(&pieces), "{file} differs");
    }
}

#[test]
fn settings_that_cannot_run_claim_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(folder.path(), "out");
    for (set, word) in [
        ("encoder=embedding-bag", "texts"),
        ("stem_padding=3", "stem_padding"),
        ("passes=0", "passes = 0"),
        ("temperature=1e-300", "temperature"),
        ("augmentation.kind=simclr", "max_"),
        ("train_samples=5", "5"),
    ] {
        for command in [&["train", "--preset", "digits"][..], &["reproduce", "digits-quick"]] {
            let mut args = [command, &["--out", &out, "-q", "--set", set]].concat();
            if set.starts_with("augmentation") {
                args = [command, &["--out", &out, "-q", "--set", "augmentation={kind=\"erase\"}"]].concat();
            }
            let word = if set.starts_with("augmentation") { "images" } else { word };
            fails(&args, 2, &[word]);
            assert!(!Path::new(&out).exists(), "{args:?}");
        }
    }
    let config = path(folder.path(), "bad.toml");
    std::fs::write(&config, "epochs = 3\nbatch_size = [1\n").unwrap();
    fails(&["train", "--config", &config, "--out", &out], 2, &["bad.toml", "line "]);
    fails(&["train", "--preset", "cifar10", "--out", &out], 2, &["--data"]);
    fails(&["reproduce", "cifar11", "--out", &out], 2, &["cifar11", "cifar100"]);
    assert!(!Path::new(&out).exists());
}

#[test]
fn a_sweep_has_references_and_temperatures_and_keeps_its_own_measurements() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(folder.path(), "out");
    let sweep = [
        "reproduce",
        "digits-quick",
        "--draws",
        "64",
        "--temperatures",
        "0.2,0.5",
        "--set",
        "epochs=2",
        "--set",
        "sweep.supervised=true",
        "--set",
        "probe_epochs=3",
        "--out",
        &out,
        "-q",
    ];
    let (code, stdout, stderr) = run(&sweep);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("supervised"), "{stdout}");
    let rows = losses::read(&Path::new(&out).join("losses.csv")).unwrap();
    assert_eq!(rows.iter().map(|row| row.temperature).collect::<Vec<_>>(), [0.2, 0.5]);
    for row in &rows {
        for measure in [Quantity::Alignment, Quantity::EffectiveRank, Quantity::LinearAccuracySgd] {
            assert!(row.get(measure).is_some(), "{measure}");
        }
        assert_eq!(row.run.train_samples, Some(1347));
        assert_eq!((row.run.optimiser.as_str(), row.run.learning_rate), ("sgd", Some(0.5)));
        assert_eq!((row.run.augmentation.as_str(), row.evaluated_split.as_str()), ("digits", "validation"));
        assert!(row.run.imbalance.is_some_and(|ratio| ratio > 1.0 && ratio < 1.1), "{:?}", row.run.imbalance);
    }
    let references = losses::read(&Path::new(&out).join("supervised.csv")).unwrap();
    assert_eq!((references.len(), references[0].run.loss.as_str()), (1, "cross_entropy"));
    assert!(references[0].get(Quantity::LinearAccuracyEncoder).unwrap() > 0.8);
    let inside = Path::new(&out).join("runs/n0064-t0.5-s7");
    for file in ["collision.csv", "collision.svg", "collision.png", "metrics.csv"] {
        assert!(inside.join(file).exists(), "{file}");
    }
    let before = std::fs::read(Path::new(&out).join("losses.csv")).unwrap();
    assert_eq!(run(&["measure", "--run", inside.to_str().unwrap(), "--seed", "99", "-q"]).0, 0);
    assert_eq!(run(&sweep).0, 0);
    assert!(std::fs::read(Path::new(&out).join("losses.csv")).unwrap() == before);
}

#[test]
fn weights_of_another_network_name_what_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(folder.path(), "out");
    // A narrow ResNet-18, where the full one is wanted.
    let weights = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/torch/published.pt");
    let set = ["--preset", "digits", "--set", "encoder=resnet18", "--set", "head=paper"];
    let args = [&["measure", "--torch", weights, "--draws", "32", "--out", &out, "-q"][..], &set].concat();
    fails(&args, 1, &["published.pt", "shape"]);
    assert!(!Path::new(&out).exists());
    let args = ["measure", "--torch", weights, "--draws", "32", "--out", &out];
    assert_eq!(run(&args).0, 2, "--torch needs --preset");
}
