//! Weights out of a run and in again: `trainer export`, and `trainer measure --torch` of what it wrote.

use assert_cmd::Command;
use std::path::Path;
use theory::losses::{self, LossComponents, Quantity};

fn run(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_trainer")).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn succeeds(args: &[&str]) -> String {
    let (code, _, stderr) = run(args);
    assert_eq!(code, 0, "{args:?}: {stderr}");
    stderr
}

fn row(folder: &str) -> LossComponents {
    losses::read(&Path::new(folder).join("losses.csv")).unwrap().swap_remove(0)
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// Whatever is read, what is not there is a failure (1) that names it, and not a wrong argument (2).
#[test]
fn what_is_missing_fails_alike_in_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let (missing, out) = (path("missing"), path("out"));
    let measured = ["--draws", "16", "--temperature", "0.5", "--out", &out];
    for args in [
        &["export", "--run", &missing, "--to", "onnx"][..],
        &["export", "--run", &missing, "--to", "torch"],
        &["export", "--run", &missing, "--to", "features"],
        &["measure", "--run", &missing],
        &["measure", "--run", &missing, "--out", &out],
        &[&["measure", "--features", &missing], &measured[..]].concat(),
        &["measure", "--torch", &missing, "--preset", "digits", "--out", &out],
        &["difficulty", "--run", &missing, "--out", &out],
        &["difficulty", "--features", &missing, "--out", &out],
        &["collect", &missing],
        &["run", "--plan", &path("missing/plan.jsonl"), "--index", "0"],
        &["sweep", &path("missing.toml"), "--out", &out],
    ] {
        let (code, _, stderr) = run(args);
        assert!(
            code == 1 && stderr.contains(&missing) && stderr.lines().count() == 1,
            "{args:?} {code}: {stderr}"
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{args:?}");
    }
}

/// A ResNet-18 of the full width, for one step: what is measured of its run, of its weights as PyTorch has them, and of
/// its features is the same.
#[test]
fn what_goes_out_comes_in_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let set =
        ["encoder=resnet18", "head=paper", "epochs=1", "train_samples=40", "batch_size=32", "mean_views=2"];
    let set = set.into_iter().chain(["fbar_views=1", "passes=1"]).flat_map(|set| ["--set", set]);
    let preset: Vec<&str> = ["--preset", "digits"].into_iter().chain(set).collect();
    let trained = path("run");
    succeeds(&[&["train", "--out", &trained, "-q"], &preset[..]].concat());
    succeeds(&["measure", "--run", &trained, "--picture", "-q"]);
    let picture = std::fs::read_to_string(Path::new(&trained).join("picture.csv")).unwrap();
    assert_eq!(picture.lines().count(), 451);
    let expected = row(&trained);
    for (to, file) in [("torch", "weights.pt"), ("safetensors", "weights.safetensors")] {
        succeeds(&["export", "--run", &trained, "--to", to, "-q"]);
        let (file, out) = (Path::new(&trained).join(file), path(to));
        let of_weights = ["measure", "--torch", file.to_str().unwrap(), "--out", &out, "--threads", "2"];
        let said = succeeds(&[&of_weights[..], &preset].concat());
        let found = row(&out);
        assert_eq!(found.measures, expected.measures, "{to}");
        assert_eq!((found.run.encoder.as_str(), found.run.head.as_str()), ("resnet18", "512-512-128"));
        assert!(said.contains("is read as linear 512 + b, norm, ReLU, linear 128\n"), "{said}");
        assert!(
            said.contains("warning: pixels are taken as they are, in [0, 1], and the stem as padded by 1"),
            "{said}"
        );
    }
    let (file, out) = (Path::new(&trained).join("weights.pt"), path("normalised"));
    let normalised =
        ["--mean", "0.5", "--std", "0.25", "--stem-padding", "2", "--out", &out, "--threads", "2"];
    let of_weights = ["measure", "--torch", file.to_str().unwrap()];
    let said = succeeds(&[&of_weights[..], &normalised, &preset].concat());
    assert!(!said.contains("warning"), "{said}");
    let found = row(&out);
    assert_ne!(found.measures, expected.measures);
    assert_ne!(found.run.settings_id, expected.run.settings_id);
    assert_eq!(found.run.encoder, "resnet18 mean=0.5 std=0.25 stem_padding=2");
    let settings = std::fs::read_to_string(Path::new(&out).join("run.json")).unwrap();
    assert!(settings.contains("std = [0.25]\\nstem_padding = 2\\n"), "{settings}");
    // A model for onnxruntime: `trainer/tests/onnx/check.py` runs such files.
    succeeds(&["export", "--run", &trained, "--to", "onnx", "-q"]);
    let model = std::fs::read(Path::new(&trained).join("model.onnx")).unwrap();
    assert!(["images", "features", "projection"].iter().all(|name| contains(&model, name)));
    // An export takes the place of an earlier one, and of nothing else in the folder.
    succeeds(&["export", "--run", &trained, "--to", "onnx", "-q"]);
    let [own, before] = ["model.safetensors", "config.toml"].map(|name| Path::new(&trained).join(name));
    let bytes = std::fs::read(&own).unwrap();
    for own in [&own, &before] {
        let own = own.to_str().unwrap();
        let (code, _, stderr) = run(&["export", "--run", &trained, "--to", "onnx", "--out", own]);
        assert_eq!((code, stderr), (2, format!("error: --out {own} is a file of the run itself\n")));
    }
    assert!(std::fs::read(&own).unwrap() == bytes);
    succeeds(&["export", "--run", &trained, "--to", "features", "-q"]);
    let (features, out) = (Path::new(&trained).join("features.npz"), path("features"));
    let features = features.to_str().unwrap();
    succeeds(&[
        "measure",
        "--features",
        features,
        "--draws",
        "32",
        "--temperature",
        "0.5",
        "--out",
        &out,
        "-q",
    ]);
    // One pass over the same views in other batches; class means and f̄ are of the same views.
    let (found, value) = (row(&out), |row: &LossComponents, quantity| row.get(quantity).unwrap());
    for quantity in [Quantity::FullSupLoss, Quantity::Gap] {
        let (found, expected) = (value(&found, quantity), value(&expected, quantity));
        assert!((found - expected).abs() < 0.02 * expected.abs(), "{quantity:?}: {found} {expected}");
    }
}
