//! `docs/features.md`: its Python is the script that made the file of features here, and its commands take that file.

use assert_cmd::Command;
use std::path::{Path, PathBuf};
use theory::bounds;
use theory::losses::{self, Quantity};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

#[test]
fn the_document_shows_the_script() {
    let (document, script) = (text("docs/features.md"), text("trainer/tests/torch/save_features.py"));
    assert!(document.contains(&format!("\n```python\n{script}```\n")), "copy the script into the document");
}

#[test]
fn what_the_script_writes_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let features = repository().join("trainer/tests/torch/features.npz");
    let command = text("docs/features.md");
    let command = command.lines().find_map(|line| line.strip_prefix("trainer measure ")).unwrap();
    let out = folder.path().join("measured");
    let arguments = command.split(' ').map(|word| match word {
        "features.npz" => features.to_str().unwrap(),
        "measured" => out.to_str().unwrap(),
        other => other,
    });
    let done = Command::new(env!("CARGO_BIN_EXE_trainer")).arg("measure").args(arguments).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let rows = losses::read(&out.join("losses.csv")).unwrap();
    assert_eq!(rows.iter().map(|row| row.num_draws.get()).collect::<Vec<_>>(), [32, 64]);
    for row in &rows {
        assert_eq!((row.num_classes, row.class_counts.as_deref()), (4, Some(&[40; 4][..])));
        // All arrays are used: those for training, and the mean.
        let accuracies = [Quantity::MeanAccuracy, Quantity::LinearAccuracy, Quantity::KnnAccuracy];
        assert!(accuracies.into_iter().all(|measure| row.get(measure).is_some_and(|v| v > 0.4)));
        assert_eq!(row.fbar_views, None);
        let (info_nce, supervised) =
            (row.get(Quantity::InfoNce).unwrap(), row.get(Quantity::FullSupLoss).unwrap());
        let upper = bounds::find("specht").unwrap().upper_bound(row).value().unwrap();
        let lower = bounds::find("specht").unwrap().lower_bound(row).value().unwrap();
        assert!(supervised <= upper && lower <= info_nce, "{supervised} {upper}, {lower} {info_nce}");
    }
}
