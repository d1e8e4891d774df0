//! `theory --shard` and `theory merge` as processes: the bytes of one machine, also after signals; what is refused.

#![cfg(unix)]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const THEORY: &str = env!("CARGO_BIN_EXE_theory");

fn theory(folder: &Path, line: &str) -> Output {
    Command::new(THEORY).args(line.split_whitespace()).current_dir(folder).output().unwrap()
}

fn prints(folder: &Path, line: &str) -> String {
    let output = theory(folder, line);
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// One line of an error with this exit code, in which these words stand.
fn fails(folder: &Path, line: &str, code: i32, words: &[&str]) {
    let output = theory(folder, line);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{line}: {said}");
    assert!(output.stdout.is_empty() && said.starts_with("error: ") && said.lines().count() == 1, "{said}");
    assert!(words.iter().all(|word| said.contains(word)), "{line}: {words:?} in {said}");
}

/// Writes the shards of a request to `FOLDER/i.json`; their names.
fn shards(folder: &Path, line: &str, count: u64) -> String {
    let names: Vec<String> = (0..count).map(|index| format!("{index}.json")).collect();
    for (index, name) in names.iter().enumerate() {
        let _ = std::fs::remove_file(folder.join(name));
        prints(folder, &format!("{line} --shard {index}/{count} --out {name}"));
    }
    names.join(" ")
}

#[test]
fn shards_say_together_what_one_machine_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("counts"), "7\n1\n2\n5\n5\n3\n").unwrap();
    for (line, counts) in [
        ("simulate --classes 10 --draws 27 --samples 50000", &[1, 2, 3, 7][..]),
        // 1026 blocks are 1024 chunks.
        ("simulate --classes 3 --draws 3 --samples 4200000 --collisions", &[3]),
        ("simulate --counts counts --draws 4..30:5 --samples 9000 --collisions", &[2, 7]),
        ("simulate --counts counts --without-replacement --draws 5..23:3 --samples 9000", &[3]),
        ("simulate --classes 40 --draws 39..60:3 --samples 30000 --method rare --level 0.9", &[3, 7]),
        // More shards than parts.
        ("simulate --classes 5 --draws 9 --samples 10", &[1, 3]),
        ("coverage --classes 20 --draws 18..40:3", &[3]),
        ("coverage --classes 4 --draws 4 --exact --digits 9", &[2]),
        ("curve --classes 20 --draws 10..60", &[1, 7]),
        ("curve --classes 20 --draws 10..9000:1000", &[2]),
        ("collision --counts counts --without-replacement --negatives 3..9", &[3]),
        ("collision --classes 4 --negatives 3", &[2]),
    ] {
        for &count in counts {
            let names = shards(folder, line, count);
            for format in ["csv", "json"] {
                let merged = prints(folder, &format!("merge {names} --format {format}"));
                assert_eq!(merged, prints(folder, &format!("{line} --format {format}")), "{line} {count}");
            }
        }
    }
    prints(folder, "merge 0.json 1.json --format markdown --out merged.md -q");
    let whole = prints(folder, "collision --classes 4 --negatives 3 --format markdown");
    assert_eq!(std::fs::read_to_string(folder.join("merged.md")).unwrap(), whole);
}

#[test]
fn an_interrupted_shard_goes_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let line = "simulate --classes 100 --draws 1000 --samples 1500000 --collisions --shard 0/2 --out";
    let start = |line: &str| {
        let mut command = Command::new(THEORY);
        command.args(line.split_whitespace()).current_dir(folder).env("RAYON_NUM_THREADS", "1");
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let stop = |line: &str, name: &str, signal: &str| {
        let process = start(line);
        while !folder.join(name).exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        // At least one wave of parts, unless the machine is busy.
        std::thread::sleep(Duration::from_millis(400));
        let sent = Instant::now();
        Command::new("kill").args([signal, &process.id().to_string()]).status().unwrap();
        let output = process.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap(), sent.elapsed())
    };
    prints(folder, &format!("{line} whole.json"));
    let (code, said, _) = stop(&format!("{line} part.json"), "part.json", "-TERM");
    // A fast machine may have been ready before.
    if code != Some(0) {
        assert_eq!(code, Some(75), "{said}");
        assert!(said.contains("SIGTERM: part.json keeps ") && said.lines().count() == 1, "{said}");
        fails(folder, "merge part.json", 1, &["missing: shard 1/2", "unfinished: part.json has"]);
    }
    prints(folder, &format!("{line} part.json"));
    let bytes = |name: &str| std::fs::read(folder.join(name)).unwrap();
    assert_eq!(bytes("part.json"), bytes("whole.json"));
    let kept = prints(folder, &format!("{line} part.json"));
    assert_eq!(kept, "part.json: shard 0/2 is complete, kept\n");
    // One part takes half an hour: nobody waits for it.
    let long =
        "simulate --classes 10 --draws 1000000000000 --samples 2 --collisions --shard 0/1 --out long.json";
    for signal in ["-INT", "-HUP", "-USR1"] {
        let _ = std::fs::remove_file(folder.join("long.json"));
        let (code, said, took) = stop(long, "long.json", signal);
        assert_eq!(code, Some(75), "{said}");
        assert!(said.contains("keeps 0 of 2 parts") && took < Duration::from_secs(2), "{said} {took:?}");
    }
}

#[test]
fn a_shard_that_lacks_some_parts_computes_those() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let line = "simulate --classes 40 --draws 30..60:5 --samples 30000 --method rare --shard 1/2 --out";
    prints(folder, &format!("{line} a.json"));
    let whole: theory::shard::File<theory::simulate::Part> =
        theory::shard::File::read(&folder.join("a.json")).unwrap();
    for lacking in [1, 2, 3] {
        let mut part = whole.clone();
        part.parts.retain(|number, _| number / 2 % 4 != lacking);
        assert!(!part.is_complete());
        part.write(&folder.join("b.json")).unwrap();
        prints(folder, &format!("{line} b.json"));
        let bytes = |name: &str| std::fs::read(folder.join(name)).unwrap();
        assert_eq!(bytes("a.json"), bytes("b.json"));
    }
}

#[test]
fn without_a_shard_a_signal_ends_every_long_command() {
    let folder = tempfile::tempdir().unwrap();
    let counts = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/counts/imagenet_like.txt");
    for line in [
        "simulate --classes 10 --draws 1000000000000 --samples 2 --collisions",
        "coverage --classes 1000000 --draws 9000000 --exact --force",
        &format!("curve --counts {counts} --draws 1000..1000000 --out x"),
        &format!("optimum --counts {counts} --negatives 31..9000 --temperature 0.5"),
    ] {
        let mut command = Command::new(THEORY);
        command.args(line.split_whitespace()).current_dir(folder.path()).stderr(Stdio::piped());
        let process = command.stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let sent = Instant::now();
        Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap();
        let output = process.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(75), "{line}: {output:?}");
        assert!(sent.elapsed() < Duration::from_secs(2), "{line}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn damaged_and_wrong_shards_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let line = "simulate --classes 10 --draws 27 --samples 30000";
    shards(folder, line, 3);
    let good = std::fs::read(folder.join("1.json")).unwrap();
    for place in (0..good.len()).step_by(37).chain([good.len() - 1]) {
        let mut bad = good.clone();
        bad[place] ^= 1;
        std::fs::write(folder.join("1.json"), &bad).unwrap();
        fails(folder, "merge 0.json 1.json 2.json", 1, &["1.json"]);
    }
    std::fs::write(folder.join("1.json"), &good[..good.len() / 2]).unwrap();
    fails(folder, "merge 0.json 1.json 2.json", 1, &["1.json: the file is damaged", "SHA-256"]);
    fails(folder, &format!("{line} --shard 1/3 --out 1.json"), 1, &["1.json: the file is damaged"]);
    std::fs::write(folder.join("1.json"), "{}").unwrap();
    fails(folder, &format!("{line} --shard 1/3 --out 1.json"), 1, &["1.json: it is no file of a shard"]);
    fails(folder, "merge 0.json none.json", 1, &["none.json: No such file"]);

    std::fs::write(folder.join("1.json"), &good).unwrap();
    fails(folder, "merge 0.json 2.json", 1, &["missing: shard 1/3"]);
    fails(folder, "merge 2.json", 1, &["missing: shard 0/3, 1/3"]);
    fails(folder, "merge 0.json 1.json 2.json 1.json", 1, &["1.json: shard 1/3 stands in 1.json, too"]);
    fails(folder, "merge 0.json 1.json 2.json --out 1.json", 2, &["overwrite the shard 1.json"]);
    for (other, difference) in [
        ("simulate --classes 10 --draws 27 --samples 30000 --seed 8 --shard 1/3", "seed: 8 and 7"),
        ("simulate --classes 11 --draws 27 --samples 30000 --shard 1/3", "classes: 11 and 10"),
        ("simulate --classes 10 --draws 27 --samples 30000 --level 0.9 --shard 1/3", "level: 0.9 and 0.95"),
        ("simulate --classes 10 --draws 27 --samples 30000 --shard 1/4", "number of shards: 4 and 3"),
        ("curve --classes 10 --draws 27 --shard 1/3", "command: curve and simulate"),
    ] {
        let _ = std::fs::remove_file(folder.join("other.json"));
        prints(folder, &format!("{other} --out other.json"));
        fails(folder, "merge 0.json other.json", 1, &["other.json: not of the same request", difference]);
        let again = format!("{other} --out 1.json");
        fails(folder, &again, 2, &["1.json holds shard 1/3 of another request", "remove it"]);
    }
    fails(folder, &format!("{line} --shard 0/3 --out 1.json"), 2, &["1.json holds shard 1/3: remove it"]);
    assert_eq!(std::fs::read(folder.join("1.json")).unwrap(), good);

    fails(folder, &format!("{line} --shard 8/8 --out x"), 2, &["--shard '8/8'", "count from 0/8 to 7/8"]);
    fails(folder, &format!("{line} --shard 1/8"), 2, &["--out <FILE>"]);
    fails(folder, &format!("{line} --shard 1/8 --out x --format csv"), 2, &["--shard", "--format"]);
    fails(folder, &format!("{line} --shard 1/8 --out /dev/null"), 2, &["/dev/null is no file"]);
    fails(folder, &format!("{line} --shard 1/8 --out none/x"), 1, &["none/x: its folder does not exist"]);
    fails(folder, "curve --classes 3 --draws 3..9 --figure f.svg --shard 0/2 --out x", 2, &["--figure"]);
}

#[test]
fn the_limit_of_labels_is_that_of_a_shard() {
    let folder = tempfile::tempdir().unwrap();
    // 6.7·10¹³ labels: too many for one machine, and for one of two.
    let line = "simulate --classes 1000 --draws 7709 --samples 9000000000";
    fails(folder.path(), line, 2, &["6.7e13 labels", "1335921304 samples or 7 shards"]);
    let half = format!("{line} --shard 1/2 --out x");
    fails(folder.path(), &half, 2, &["of which shard 1/2 has its share: 3.4e13 labels", "or 7 shards"]);
    let (ten, n) = (theory::ClassPrior::uniform(1000).unwrap(), theory::NumDraws::new(7709).unwrap());
    let plan = theory::simulate::Plan::new(9_000_000_000, 7).unwrap();
    let (with, coverage) = (theory::Sampling::WithReplacement, theory::simulate::Estimator::Coverage);
    let simulation = theory::simulate::Simulation::new(coverage, &ten, with, &[n], plan).unwrap();
    for shard in 0..7 {
        simulation.check(theory::shard::Shard::new(shard, 7).unwrap()).unwrap();
    }
    assert!(simulation.check(theory::shard::Shard::new(0, 6).unwrap()).is_err());
}
