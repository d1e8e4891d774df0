//! `trainer difficulty` as its users meet it: a run and a file of features to tables and figures, one clear line on bad
//! input.

use assert_cmd::Command;
use std::path::Path;

fn run(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_trainer")).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_run_and_a_file_are_ranked() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let trained = path("run");
    let args = ["train", "--preset", "digits", "--set", "epochs=2", "--set", "batch_size=256", "-q", "--out"];
    assert_eq!(run(&[&args[..], &[&trained]].concat()).0, 0);
    let mut tables = Vec::new();
    for threads in ["1", "2"] {
        let out = path(threads);
        let args = ["difficulty", "--run", &trained, "--threads", threads, "--out", &out, "--format", "json"];
        let (code, stdout, stderr) = run(&args);
        assert_eq!(code, 0, "{stderr}");
        let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        // 450 evaluated digits, 45 a class: 44 of 449 negatives.
        let hardest = &json["difficulty"][0];
        assert_eq!((&hardest["bin_percent"], &hardest["ranks"]), (&"0-1".into(), &4.into()));
        assert!((hardest["same_class_chance"].as_f64().unwrap() - 44.0 / 449.0).abs() < 1e-15);
        // Even two epochs bring digits of one class together.
        assert!(hardest["ratio_to_chance"].as_f64().unwrap() > 3.0, "{hardest}");
        assert_eq!(json["extremes"].as_array().unwrap().len(), 20);
        assert!(json.get("semantics").is_none(), "digits stand in no tree");
        for file in ["difficulty.svg", "difficulty.png", "consistency.svg", "consistency.png", "run.json"] {
            assert!(Path::new(&out).join(file).exists(), "{file}");
        }
        let read = |name: &str| std::fs::read(Path::new(&out).join(name)).unwrap();
        tables.push(["difficulty.csv", "consistency.csv", "summary.csv"].map(read));
    }
    assert!(tables[0] == tables[1], "threads change no bit");

    let features = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/oracle/features.npz");
    let (tree, out) = (path("tree.csv"), path("features"));
    let classes: String = (0..CLASSES).map(|c| format!("c{c},all,{c}\n")).collect();
    std::fs::write(&tree, format!("node,parent,class\nall,,\n{classes}")).unwrap();
    let args = ["difficulty", "--features", features, "--hierarchy", &tree, "--bins", "0-10,10-100", "--out"];
    let (code, stdout, stderr) = run(&[&args[..], &[&out, "--queries", "8", "--seed", "3"]].concat());
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("wu_palmer") && stdout.contains("hierarchy"), "{stdout}");
    assert!(Path::new(&out).join("semantics.png").exists());

    let fails = |more: &[&str], words: &[&str]| {
        let into = path("none");
        let (code, _, stderr) =
            run(&[&["difficulty", "--features", features, "--out", &into][..], more].concat());
        assert!(code != 0 && stderr.trim_end().lines().count() == 1, "{more:?}: {stderr}");
        assert!(words.iter().all(|word| stderr.contains(word)), "{more:?}: {stderr}");
        assert!(!Path::new(&into).exists(), "nothing is left behind");
    };
    fails(&["--bins", "0-0.1"], &["0-0.1 %", "empty"]);
    fails(&["--queries", "100000"], &["100000 queries"]);
    fails(&["--hierarchy", "cifar100"], &["0 to 99"]);
    std::fs::write(&tree, "node,parent,class\na,b,0\nb,a,1\n").unwrap();
    fails(&["--hierarchy", &tree], &["tree.csv", "circle"]);
}

/// Classes of `tests/oracle/features.npz`.
const CLASSES: usize = 4;
