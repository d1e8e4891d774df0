//! `examples/own_encoder.rs`, as its reader would run it, and its encoder in every command of the program.
//!
//! This is a program of its own, since a sweep starts it anew for every run: with `OWN_ENCODER` set, it is the example.

#[path = "../examples/own_encoder.rs"]
mod example;

use std::path::Path;
use std::process::{Command, ExitCode, Output};

fn main() -> ExitCode {
    if std::env::var_os("OWN_ENCODER").is_some() {
        return example::main();
    }
    let folder = tempfile::tempdir().unwrap();
    the_example_ends_with_losses(folder.path());
    every_command_knows_it(folder.path());
    those_that_ship_are_trained_and_measured(folder.path());
    println!("own_encoder: ok");
    ExitCode::SUCCESS
}

fn start(folder: &Path, args: &[&str]) -> Output {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.env("OWN_ENCODER", "1").current_dir(folder).args(args).output().unwrap()
}

fn succeeds(folder: &Path, args: &[&str]) {
    let output = start(folder, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn rows(path: &Path) -> Vec<theory::losses::LossComponents> {
    let rows = theory::losses::read(path).unwrap();
    assert!(rows.iter().all(|row| row.run.encoder == "gated-mixer"));
    rows
}

fn the_example_ends_with_losses(folder: &Path) {
    succeeds(folder, &[]);
    let rows = rows(&folder.join("runs/own-encoder/losses.csv"));
    let accuracy = rows[0].get(theory::losses::Quantity::LinearAccuracy).unwrap();
    println!("linear accuracy of the example: {accuracy:.3}");
    assert!(rows[0].run.head == "48-48-128" && accuracy > 0.6, "{accuracy}");
}

fn every_command_knows_it(folder: &Path) {
    let set = ["--set", "encoder=gated-mixer", "--set", "epochs=2", "--set", "mean_views=2"];
    let quick = ["--set", "fbar_views=2", "--set", "passes=1", "-q"];
    // A process for each run, and one for the encoder at initialisation.
    let sweep = ["reproduce", "digits-quick", "--draws", "32,64", "--seeds", "7", "--out", "sweep"];
    succeeds(folder, &[&sweep[..], &set, &quick].concat());
    assert_eq!(rows(&folder.join("sweep/losses.csv")).len(), 2);
    // The trainer that does not know it says so in one line, whatever it is asked about the folder.
    let trainer = env!("CARGO_BIN_EXE_trainer");
    for args in [
        &["train", "--preset", "digits", "--set", "encoder=gated-mixer", "--out", "new"][..],
        &["measure", "--run", "runs/own-encoder/run", "--out", "measured"],
        &["difficulty", "--run", "runs/own-encoder/run", "--out", "ranked"],
        &["collect", "sweep"],
    ] {
        let output = Command::new(trainer).current_dir(folder).args(args).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        assert!(
            matches!(code, Some(1 | 2)) && stderr.trim_end().lines().count() == 1,
            "{args:?}: {code:?} {stderr}"
        );
        assert!(stderr.contains("there is no encoder 'gated-mixer' in this program"), "{stderr}");
    }
    succeeds(folder, &["measure", "--run", "runs/own-encoder/run", "--draws", "16", "--out", "measured"]);
    succeeds(folder, &["difficulty", "--run", "runs/own-encoder/run", "--out", "ranked"]);
    succeeds(folder, &["collect", "sweep"]);
    let train =
        ["train", "--preset", "digits", "--set", "encoder=gated-mixer", "--set", "epochs=1", "-q", "--out"];
    let model = |out: &str, threads: &str| {
        succeeds(folder, &[&train[..], &[out, "--threads", threads]].concat());
        std::fs::read(folder.join(out).join("model.safetensors")).unwrap()
    };
    assert!(model("one", "1") == model("two", "2"), "other bits with two threads");
    assert_eq!(rows(&folder.join("measured/losses.csv")).len(), 1);
}

/// Runs the ordinary program; what it says.
fn trainer(folder: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_trainer")).current_dir(folder).args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {stderr}");
    stderr
}

fn those_that_ship_are_trained_and_measured(folder: &Path) {
    let texts = folder.join("texts/ag_news");
    std::fs::create_dir_all(&texts).unwrap();
    let lines = |repeats: usize| -> String {
        let articles = (0..repeats).flat_map(|i| (1..=4).map(move |class| (class, i % 3)));
        let line =
            |(class, i)| format!("\"{class}\",\"The news\",\"of class{class} and {i} class{class} more\"\n");
        articles.map(line).collect()
    };
    std::fs::write(texts.join("train.csv"), lines(16)).unwrap();
    std::fs::write(texts.join("test.csv"), lines(8)).unwrap();
    let quick = ["epochs=2", "warmup_epochs=0", "batch_size=32", "mean_views=2", "fbar_views=1", "passes=1"];
    let quick = [&quick[..], &["optimiser=adamw", "learning_rate=0.001"]].concat();
    for (preset, encoder, more, head) in [
        ("digits", "vit-tiny", &["train_samples=64"][..], "192-192-128"),
        ("ag-news-erase", "transformer", &["head=default"], "128-128-128"),
    ] {
        let encoder_set = format!("encoder={encoder}");
        let mut args = vec!["train", "--preset", preset, "--data", "texts", "--out", encoder, "-q"];
        for set in quick.iter().chain(more).chain(&[&encoder_set[..]]) {
            args.extend(["--set", set]);
        }
        assert_eq!(trainer(folder, &args), "");
        // The same bits with two threads.
        let again = format!("{encoder}-again");
        args[6] = &again;
        trainer(folder, &[&args[..], &["--threads", "2"]].concat());
        let model = |run: &str| std::fs::read(folder.join(run).join("model.safetensors")).unwrap();
        assert!(model(encoder) == model(&again), "{encoder}: other bits with two threads");
        trainer(folder, &["measure", "--run", encoder, "--data", "texts", "--draws", "16", "--out", encoder]);
        let rows = theory::losses::read(&folder.join(encoder).join("losses.csv")).unwrap();
        assert_eq!((&rows[0].run.encoder[..], &rows[0].run.head[..]), (encoder, head));
    }
    // A chunk of views at a time: where batch normalisation sees less than the batch, the run says so once.
    let note = trainer(
        folder,
        &[
            "train",
            "--preset",
            "digits-quick",
            "--set",
            "epochs=1",
            "--set",
            "micro_batch=50",
            "--out",
            "micro",
            "-q",
        ],
    );
    assert!(
        note.starts_with("note: micro_batch = 50: batch normalisation") && note.lines().count() == 1,
        "{note}"
    );
}
