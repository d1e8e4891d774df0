use super::*;
use crate::data;
use crate::run::{Preset, Progress};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn config(overrides: &[&str]) -> Config {
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    Preset::named("digits", &overrides).unwrap().config
}

fn quietly(config: &Config, path: &Path, session: &Session<'_>) -> Result<TrainedRun> {
    let split = data::load(&config.data(None)).unwrap();
    train(config, &split.train, path, session, &Progress::new(true).task("", config.epochs))
}

/// Trains in pieces of `steps` steps until the run is finished; how many pieces that took.
fn in_pieces(config: &Config, path: &Path, steps: usize) -> usize {
    for piece in 1.. {
        let looked = AtomicUsize::new(0);
        let stop = || looked.fetch_add(1, Ordering::Relaxed) + 1 == steps;
        match quietly(config, path, &Session { stop: &stop, ..Session::CPU }) {
            Ok(_) => return piece,
            Err(Error::Interrupted(message)) => {
                assert!(message.contains("checkpoint.safetensors"), "{message}")
            }
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("the loop ends with the run")
}

#[test]
fn an_interrupted_run_goes_on_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let sampled = ["epochs=3", "batch_size=256", "negatives=15", "warmup_epochs=1"];
    for (name, overrides) in [
        ("sgd", &sampled[..]),
        ("lars", &["epochs=3", "batch_size=256", "optimiser=lars", "encoder=conv"]),
        ("adamw", &["epochs=2", "batch_size=256", "optimiser=adamw", "learning_rate=0.001"]),
        ("selected", &["epochs=3", "batch_size=256", "negatives=random:20%"]),
        ("queue", &["epochs=3", "batch_size=256", "negatives=hardest:50%", "queue.size=600"]),
        (
            "fast-queue",
            &["epochs=3", "batch_size=256", "negatives=random:50%", "queue.size=257", "queue.momentum=0.5"],
        ),
        (
            "sampled-selected",
            &["epochs=2", "batch_size=256", "negatives=15", "selection=random:40%", "loss=dcl"],
        ),
        ("supervised", &["epochs=2", "batch_size=256", "objective=cross-entropy"]),
    ] {
        let config = config(overrides);
        let (whole, pieces) = (folder.path().join(format!("{name}-whole")), folder.path().join(name));
        quietly(&config, &whole, &Session::CPU).unwrap();
        // Five steps an epoch: pieces of two and of three end within epochs and at their ends.
        assert!(in_pieces(&config, &pieces, 3) >= 4, "{name}");
        for file in ["model.safetensors", "metrics.jsonl", "config.toml"] {
            let read = |path: &Path| std::fs::read(path.join(file)).unwrap();
            assert!(read(&whole) == read(&pieces), "{name}: {file} differs");
        }
        assert!(!pieces.join(CHECKPOINT).exists(), "the checkpoint goes when the run is finished");
    }
}

#[test]
fn a_record_says_how_many_negatives_counted_and_of_which_class() {
    let folder = tempfile::tempdir().unwrap();
    let rows = |overrides: &[&str], name: &str| {
        let path = folder.path().join(name);
        quietly(&config(overrides), &path, &Session::CPU).unwrap();
        metrics::jsonl::read(&path.join("metrics.jsonl")).unwrap()
    };
    let plain = rows(&["epochs=1"], "plain");
    assert_eq!(plain[0].get("effective_negatives"), None, "as before");
    let queue = rows(&["epochs=4", "negatives=hardest:5%", "queue.size=1000", "queue.momentum=0.9"], "queue");
    assert!(queue.iter().all(|row| row.get("effective_negatives") == Some(50.0)));
    // Of ten classes about a tenth of all keys; of the hardest many more once something is learnt.
    let same: Vec<f64> = queue.iter().map(|row| row.get("kept_same_class").unwrap()).collect();
    assert!(same.iter().all(|share| (0.05..0.99).contains(share)), "{same:?}");
    assert!(same[3] > 0.3, "{same:?}");
    let all = rows(&["epochs=2", "negatives=queue", "queue.size=1000"], "all");
    assert!((all[1].get("kept_same_class").unwrap() - 0.1).abs() < 0.02);
    assert_eq!(all[1].get("effective_negatives"), Some(1000.0));
    let batch = rows(&["epochs=1", "negatives=easiest:95%", "batch_size=64"], "batch");
    assert_eq!(batch[0].get("effective_negatives"), Some(120.0));
}

#[test]
fn a_checkpoint_is_refused_where_it_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let (config, once) = (config(&["epochs=2", "batch_size=256"]), AtomicUsize::new(0));
    let stop = || once.fetch_add(1, Ordering::Relaxed) == 2;
    assert!(quietly(&config, &path, &Session { stop: &stop, ..Session::CPU }).is_err());
    let message = |error: Result<TrainedRun>| error.err().map_or_else(String::new, |e| e.to_string());
    let refused = message(quietly(&config, &path, &Session { resume: false, ..Session::CPU }));
    assert!(refused.contains("--resume"), "{refused}");
    let file = path.join(CHECKPOINT);
    let bytes = std::fs::read(&file).unwrap();
    for damaged in [&bytes[..bytes.len() / 2], &bytes[..5], b"{}"] {
        std::fs::write(&file, damaged).unwrap();
        let refused = message(quietly(&config, &path, &Session::CPU));
        assert!(refused.contains("checkpoint.safetensors") && !refused.contains('\n'), "{refused}");
    }
    // Of another version: the header's text alone tells.
    let text = concat!("\"version\":\"", env!("CARGO_PKG_VERSION"), "\"").as_bytes();
    let at = bytes.windows(text.len()).position(|part| part == text).unwrap();
    let mut earlier = bytes.clone();
    earlier[at + text.len() - 2] = b'9';
    std::fs::write(&file, earlier).unwrap();
    let refused = message(quietly(&config, &path, &Session::CPU));
    assert!(refused.contains("was saved by version") && !refused.contains('\n'), "{refused}");
    // The checkpoint of another run, put in its place.
    let other = folder.path().join("other");
    let (settings, once) = (Config { seed: 8, ..config.clone() }, AtomicUsize::new(0));
    let stop = || once.fetch_add(1, Ordering::Relaxed) == 2;
    assert!(quietly(&settings, &other, &Session { stop: &stop, ..Session::CPU }).is_err());
    std::fs::copy(other.join(CHECKPOINT), &file).unwrap();
    let refused = message(quietly(&config, &path, &Session::CPU));
    assert!(refused.contains("of other settings"), "{refused}");
}

#[test]
fn numbers_that_are_not_finite_stop_the_run_and_name_the_step() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&["learning_rate=1e38", "warmup_epochs=0", "batch_size=256"]);
    let Err(Error::NonFinite(message)) = quietly(&config, folder.path(), &Session::CPU) else {
        panic!("the loss must leave the finite numbers")
    };
    assert!(message.contains("at step") && message.contains("there is no checkpoint yet"), "{message}");
    let session = Session { checkpoint_every: Duration::ZERO, ..Session::CPU };
    let Err(Error::NonFinite(message)) = quietly(&config, folder.path(), &session) else {
        panic!("the loss must leave the finite numbers")
    };
    assert!(message.contains("the last checkpoint is"), "{message}");
}

#[test]
fn a_run_that_ends_without_finite_weights_is_no_finished_run() {
    let folder = tempfile::tempdir().unwrap();
    // One step: the loss before it is finite, the weights after it are not.
    let config = config(&["learning_rate=1e300", "warmup_epochs=0", "batch_size=1300", "epochs=1"]);
    let Err(Error::NonFinite(message)) = quietly(&config, folder.path(), &Session::CPU) else {
        panic!("the weights must leave the finite numbers")
    };
    assert!(message.contains("a weight is not finite after step 1"), "{message}");
    assert!(!folder.path().join(MODEL).exists());
}

#[test]
fn a_run_goes_on_with_its_own_samples_only() {
    let folder = tempfile::tempdir().unwrap();
    let (config, once) = (config(&["epochs=2", "batch_size=256"]), AtomicUsize::new(0));
    let split = data::load(&config.data(None)).unwrap();
    let stop = || once.fetch_add(1, Ordering::Relaxed) == 2;
    let run = |samples: &Samples, session: &Session<'_>| {
        train(&config, samples, folder.path(), session, &Progress::new(true).task("", 2))
    };
    assert!(run(&split.train, &Session { stop: &stop, ..Session::CPU }).is_err());
    let mut others: Vec<usize> = (0..split.train.len()).collect();
    others.swap(0, 1);
    let error = run(&split.train.subset(&others), &Session::CPU).err().unwrap().to_string();
    assert!(error.contains("train.checksum: ") && error.contains(" here"), "{error}");
    assert!(run(&split.train, &Session::CPU).is_ok());
    let (settings, manifest) = run_config(folder.path()).unwrap();
    let (device, precision) = (Some("cpu".into()), Some("f32".into()));
    let expected = Provenance { device, precision, ..Provenance::of_training(&split.train) };
    assert_eq!((settings, manifest.provenance), (config.clone(), expected));
    // Rows that a crash lost are missed.
    std::fs::remove_file(folder.path().join(MODEL)).unwrap();
    let again = AtomicUsize::new(0);
    let stop = || again.fetch_add(1, Ordering::Relaxed) == 6;
    assert!(run(&split.train, &Session { stop: &stop, ..Session::CPU }).is_err());
    std::fs::write(folder.path().join("metrics.jsonl"), "").unwrap();
    let error = run(&split.train, &Session::CPU).err().unwrap().to_string();
    assert!(error.contains("metrics.jsonl") && error.contains("0 rows"), "{error}");
}

#[test]
fn every_loss_trains() {
    let folder = tempfile::tempdir().unwrap();
    for loss in ["debiased", "hard", "dcl", "dclw", "flat-nce", "nscl", "spectral", "eq-co"] {
        let config = config(&["epochs=4", "batch_size=128", "warmup_epochs=1", &format!("loss={loss}")]);
        let path = folder.path().join(loss);
        let trained = quietly(&config, &path, &Session::CPU).unwrap();
        let first = metrics::jsonl::read(&path.join("metrics.jsonl")).unwrap()[0].get("loss").unwrap();
        assert!(trained.final_loss < first, "{loss}: {first} to {}", trained.final_loss);
    }
}
