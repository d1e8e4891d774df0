//! Every command that takes long, and each signal that asks it to stop: it ends within two seconds, with exit code 75 and
//! one line.
//!
//! Each command gets one of the signals; with `TEST_ALL_SIGNALS` set, all four.

#![cfg(unix)]

use safetensors::tensor::{Dtype, TensorView};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SIGNALS: [&str; 4] = ["INT", "TERM", "HUP", "USR1"];

/// The most that a command may take to end.
const LIMIT: Duration = Duration::from_secs(2);

/// Settings of a run that trains for long, as a file of axes with two runs.
const LONG: &str = "preset = \"digits\"\nepochs = 100000\n[grid]\nseed = [7, 11]\n";

/// Features of random directions, as another program would write them.
fn write_features(path: &Path, samples: usize, dimension: usize) {
    let mut state = 1u64;
    let mut numbers = || -> Vec<u8> {
        let mut one = || {
            // Knuth's generator: any numbers do.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / (1 << 23) as f32 - 1.0).to_le_bytes()
        };
        (0..samples * dimension).flat_map(|_| one()).collect()
    };
    let (view1, view2) = (numbers(), numbers());
    let labels: Vec<u8> = (0..samples).flat_map(|sample| (sample as i64 % 10).to_le_bytes()).collect();
    let view = |bytes| TensorView::new(Dtype::F32, vec![samples, dimension], bytes).unwrap();
    let labels = TensorView::new(Dtype::I64, vec![samples], &labels).unwrap();
    let tensors = [("view1", view(&view1)), ("view2", view(&view2)), ("labels", labels)];
    std::fs::write(path, safetensors::serialize(tensors, None).unwrap()).unwrap();
}

/// Commands that would take longer than anybody waits, each after some time of work.
fn commands(place: &Path) -> Vec<(&'static str, Vec<String>)> {
    let path = |name: &str| place.join(name).to_str().unwrap().to_string();
    std::fs::write(path("long.toml"), LONG).unwrap();
    write_features(place.join("features.safetensors").as_path(), 12_000, 64);
    let trained = |name: &str, settings: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        command.args(["train", "--preset", "digits", "-q", "--set", "epochs=1", "--out", &path(name)]);
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
        assert!(command.status().unwrap().success());
        path(name)
    };
    let probed = trained("probed", &["probe_epochs=100000", "mean_views=2", "fbar_views=2", "passes=1"]);
    let viewed = trained("viewed", &["fbar_views=100000"]);
    let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
    let long = path("long.toml");
    vec![
        ("train", words(&format!("train --preset digits --set epochs=100000 --out {}", path("train")))),
        ("run", words(&format!("run --plan {long} --index 0 --out {}", path("run")))),
        ("sweep", words(&format!("sweep {long} --jobs 2 --out {}", path("sweep")))),
        (
            "reproduce",
            words(&format!("reproduce digits --set epochs=100000 --jobs 2 --out {}", path("page"))),
        ),
        ("measure, a probe", words(&format!("measure --run {probed} --out {}", path("probe")))),
        ("measure, views", words(&format!("measure --run {viewed} --out {}", path("views")))),
        (
            "measure, features",
            words(&format!(
                "measure --features {} --draws 512 --temperature 0.5 --passes 100000 --out {}",
                path("features.safetensors"),
                path("features")
            )),
        ),
        (
            "difficulty",
            words(&format!("difficulty --features {} --out {}", path("features.safetensors"), path("ranks"))),
        ),
        (
            "population",
            words(&format!(
                "population --classes 1000 --negatives 1,1023 --temperature 0.5 --steps 100000 --threads 1 --out {}",
                path("population")
            )),
        ),
    ]
}

#[test]
fn every_long_command_stops_within_two_seconds() {
    let place = tempfile::tempdir().unwrap();
    let all = std::env::var_os("TEST_ALL_SIGNALS").is_some();
    let mut failures = Vec::new();
    for (index, (name, words)) in commands(place.path()).into_iter().enumerate() {
        let signals = if all { SIGNALS.to_vec() } else { vec![SIGNALS[(index + 2) % SIGNALS.len()]] };
        for signal in signals {
            let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
            command.args(&words).process_group(0).stdin(Stdio::null());
            if words[0] == "train" {
                command.arg("--resume");
            }
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(900));
            if let Some(status) = child.try_wait().unwrap() {
                failures.push(format!("{name}: ended too early, {status}"));
                continue;
            }
            // A key of the terminal goes to the whole group; other signals come to one process.
            let to = if signal == "INT" { format!("-{}", child.id()) } else { child.id().to_string() };
            let sent = Command::new("kill").args(["-s", signal, "--", &to]).status().unwrap();
            assert!(sent.success());
            let begin = Instant::now();
            let output = child.wait_with_output().unwrap();
            let (time, text) = (begin.elapsed(), String::from_utf8_lossy(&output.stderr).into_owned());
            println!("{name}, SIG{signal}: {} after {:.2} s", output.status, time.as_secs_f64());
            let errors = text.lines().filter(|line| line.starts_with("error: ")).count();
            if output.status.code() != Some(75) || time > LIMIT || errors != 1 {
                failures.push(format!("{name}, SIG{signal}: {} after {time:?}: {text}", output.status));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
