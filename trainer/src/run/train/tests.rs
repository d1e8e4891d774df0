use super::checkpoints::{CHECKPOINT, PREVIOUS};
use super::*;
use crate::data;
use crate::model::sealed::Opened;
use crate::run::{Preset, Progress};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

mod watched;

fn config(overrides: &[&str]) -> Config {
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    Preset::named("digits", &overrides).unwrap().config
}

fn quietly(config: &Config, path: &Path, session: &Session<'_>) -> Result<TrainedRun> {
    // The digits are shown in any order of shards' images: they are one shard.
    let images = data::ImageSettings::default();
    let split = data::load(&data::Request { images, ..config.data(None) }).unwrap();
    train(config, &split.train, path, session, &Progress::new(true).task("", config.epochs))
}

/// Trains in pieces of `steps` steps until the run is finished; how many pieces that took.
fn in_pieces(config: &Config, path: &Path, steps: usize) -> usize {
    for piece in 1..1000 {
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
    panic!("{steps} steps are too few to come to an end")
}

/// A linear layer and batch normalisation, written with `candle-nn`.
fn register_encoder() {
    use candle_nn::{Module, ModuleT, batch_norm, func_t, linear};
    let registered = crate::model::Architecture::register("own-in-runs", |vb, _| {
        let (layer, norm) = (linear(64, 32, vb.pp("layer"))?, batch_norm(32, 1e-5, vb.pp("norm"))?);
        Ok(Box::new(func_t(move |x, train| {
            norm.forward_t(&layer.forward(&x.flatten_from(1)?)?, train)?.relu()
        })))
    });
    registered.unwrap();
}

#[test]
fn an_interrupted_run_goes_on_with_the_same_bits() {
    register_encoder();
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
        (
            "own",
            &["epochs=2", "batch_size=256", "optimiser=adamw", "learning_rate=0.001", "encoder=own-in-runs"],
        ),
        (
            "own-queue-in-chunks",
            &[
                "epochs=2",
                "batch_size=256",
                "encoder=own-in-runs",
                "negatives=queue",
                "queue.size=300",
                "micro_batch=99",
            ],
        ),
        ("in-chunks", &["epochs=2", "batch_size=256", "micro_batch=100"]),
        ("through-a-buffer", &["epochs=3", "batch_size=256", "images.shuffle_buffer=100"]),
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

/// What LARS is told changes what is learned, and what it is not told does not.
#[test]
fn settings_of_lars_reach_the_steps() {
    let folder = tempfile::tempdir().unwrap();
    let weights = |set: &[&str]| {
        let path = folder.path().join(set.concat());
        let lars = ["epochs=1", "batch_size=256", "optimiser=lars"];
        quietly(&config(&[&lars[..], set].concat()), &path, &Session::CPU).unwrap();
        std::fs::read(path.join("model.safetensors")).unwrap()
    };
    let sets: [&[&str]; 4] =
        [&[], &["lars_adapt_bias_and_norm=false"], &["lars_clip=true"], &["lars_adapt_bias_and_norm=true"]];
    let [default, plain, clipped, spelled] = sets.map(weights);
    assert!(default != plain && default != clipped && plain != clipped);
    assert!(default == spelled);
    let refused =
        crate::run::Preset::named("digits", &["lars_clip=true".to_string()]).unwrap_err().to_string();
    assert!(refused.contains("lars_clip = true: only with optimiser = lars"), "{refused}");
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

/// Trains until the stop was looked at so often.
fn until(config: &Config, path: &Path, looks: usize, every: Duration) {
    let looked = AtomicUsize::new(0);
    let stop = || looked.fetch_add(1, Ordering::Relaxed) + 1 == looks;
    let session = Session { stop: &stop, checkpoint_every: every, ..Session::CPU };
    assert!(matches!(quietly(config, path, &session), Err(Error::Interrupted(_))));
}

fn message(result: Result<TrainedRun>) -> String {
    let message = result.err().map_or_else(String::new, |e| e.to_string());
    assert!(!message.contains('\n'), "{message}");
    message
}

#[test]
fn a_checkpoint_is_refused_where_it_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let config = config(&["epochs=2", "batch_size=256"]);
    until(&config, &path, 3, Duration::MAX);
    let refused = message(quietly(&config, &path, &Session { resume: false, ..Session::CPU }));
    assert!(refused.contains("--resume"), "{refused}");
    let file = path.join(CHECKPOINT);
    // As version 0.2 wrote them: it is not damaged, and stays.
    let metadata = ["position", "settings", "version"].map(|name| (name.to_string(), "0.2.0".to_string()));
    let tensor = candle_core::Tensor::new(&[1.0_f32], &candle_core::Device::Cpu).unwrap();
    let earlier = safetensors::serialize([("w", &tensor)], Some(metadata.into())).unwrap();
    std::fs::write(&file, &earlier).unwrap();
    let refused = message(quietly(&config, &path, &Session::CPU));
    assert!(refused.contains("was saved by version 0.2.0"), "{refused}");
    assert_eq!(std::fs::read(&file).unwrap(), earlier);
    // The checkpoint of another run, put in its place.
    let other = folder.path().join("other");
    until(&Config { seed: 8, ..config.clone() }, &other, 3, Duration::MAX);
    std::fs::copy(other.join(CHECKPOINT), &file).unwrap();
    let refused = message(quietly(&config, &path, &Session::CPU));
    assert!(refused.contains("of other settings"), "{refused}");
    // What the operating system does not read is neither damaged nor absent.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let refused = message(quietly(&config, &path, &Session::CPU));
    assert!(refused.contains(CHECKPOINT) && file.is_dir(), "{refused}");
}

/// What becomes of the bytes of a file.
type Damage = fn(&[u8]) -> Vec<u8>;

#[test]
fn a_damaged_checkpoint_costs_no_more_than_the_time_between_two() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&["epochs=3", "batch_size=256"]);
    let whole = folder.path().join("whole");
    quietly(&config, &whole, &Session::CPU).unwrap();
    let same = |path: &Path| {
        for file in ["model.safetensors", "metrics.jsonl", "metrics.csv"] {
            let read = |path: &Path| std::fs::read(path.join(file)).unwrap();
            assert!(read(&whole) == read(path), "{}: {file} differs", path.display());
        }
        for gone in [CHECKPOINT, PREVIOUS] {
            assert!(!path.join(gone).exists(), "{gone}");
        }
    };
    let damages: [(&str, Damage); 4] = [
        ("truncated", |bytes| bytes[..bytes.len() / 2].to_vec()),
        ("empty", |_| Vec::new()),
        ("zeros", |bytes| vec![0; bytes.len()]),
        ("flipped", |bytes| [&bytes[..bytes.len() - 1], &[!bytes[bytes.len() - 1]]].concat()),
    ];
    for (name, damage) in damages {
        let path = folder.path().join(name);
        until(&config, &path, 8, Duration::ZERO);
        let [last, previous] = [CHECKPOINT, PREVIOUS].map(|file| path.join(file));
        let [good, before] = [&last, &previous].map(|file| std::fs::read(file).unwrap());
        std::fs::write(&last, damage(&good)).unwrap();
        // A record that is lost or damaged takes nothing from a checkpoint.
        std::fs::write(path.join("metrics.jsonl"), damage(&good)).unwrap();
        let damaged = Checkpoints::new(&path);
        let (found, file) = damaged.newest().unwrap().unwrap();
        assert_eq!((found, Opened::new(before.clone()).unwrap().notes()), (&*previous, file.notes()));
        assert!(path.join("checkpoint.damaged.safetensors").exists() && !last.exists());
        quietly(&config, &path, &Session::CPU).unwrap();
        same(&path);
    }
    // Without a whole one it begins anew, if that is asked for.
    let path = folder.path().join("both");
    until(&config, &path, 8, Duration::ZERO);
    for file in [CHECKPOINT, PREVIOUS] {
        std::fs::write(path.join(file), "nonsense").unwrap();
    }
    let refused = message(quietly(&config, &path, &Session { resume: false, ..Session::CPU }));
    assert!(refused.contains("--resume"), "{refused}");
    quietly(&config, &path, &Session::CPU).unwrap();
    same(&path);
}

#[test]
fn every_flipped_byte_of_checkpoint_and_model_is_seen() {
    use rand::{Rng, SeedableRng};
    let folder = tempfile::tempdir().unwrap();
    let config = config(&["epochs=2", "batch_size=256", "encoder=conv"]);
    let path = folder.path();
    until(&config, path, 7, Duration::MAX);
    let checkpoint = std::fs::read(path.join(CHECKPOINT)).unwrap();
    quietly(&config, path, &Session::CPU).unwrap();
    let model = std::fs::read(path.join(MODEL)).unwrap();
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    for mut bytes in [checkpoint, model] {
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let body = (0..1000).map(|i| header + i * ((bytes.len() - header) / 1000));
        let places: Vec<usize> = (0..header).chain(body).collect();
        for at in places {
            let flip = rng.random_range(1..=255_u8);
            bytes[at] ^= flip;
            let taken = Opened::new(bytes.clone()).is_ok_and(|file| file.notes().is_some());
            assert!(!taken, "byte {at} ^ {flip:#04x}");
            bytes[at] ^= flip;
        }
        assert!(Opened::new(bytes).unwrap().notes().is_some());
    }
}

#[test]
fn a_damaged_model_is_trained_anew_and_that_of_another_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&["epochs=2", "batch_size=256"]);
    let split = data::load(&config.data(None)).unwrap();
    let [path, other] = ["run", "other"].map(|name| folder.path().join(name));
    let first = quietly(&config, &path, &Session::CPU).unwrap().final_loss;
    quietly(&Config { seed: 8, ..config.clone() }, &other, &Session::CPU).unwrap();
    let model = path.join(MODEL);
    let bytes = std::fs::read(&model).unwrap();
    let measured = || load_network(&path, &config, &split.train, &candle_core::Device::Cpu).err();
    // The record is not needed.
    std::fs::remove_file(path.join("metrics.jsonl")).unwrap();
    let kept = quietly(&config, &path, &Session::CPU).unwrap();
    assert!(kept.kept && kept.final_loss == first && measured().is_none());
    drop(kept);
    // Nor what a crash left beside the model.
    std::fs::write(path.join(CHECKPOINT), "x").unwrap();
    assert!(quietly(&config, &path, &Session { resume: false, ..Session::CPU }).unwrap().kept);
    assert!(!path.join(CHECKPOINT).exists());
    for damaged in [&bytes[..bytes.len() - 9], &[], &[0; 4096], &[&bytes[..1], &[9], &bytes[2..]].concat()] {
        std::fs::write(&model, damaged).unwrap();
        let error = measured().unwrap().to_string();
        assert!(error.contains(MODEL) && error.contains("is damaged") && !error.contains('\n'), "{error}");
        let again = quietly(&config, &path, &Session::CPU).unwrap();
        assert!(!again.kept && again.final_loss == first);
        assert!(std::fs::read(&model).unwrap() == bytes, "the same bits");
        assert_eq!(std::fs::read(path.join("model.damaged.safetensors")).unwrap(), damaged);
    }
    std::fs::copy(other.join(MODEL), &model).unwrap();
    for error in [message(quietly(&config, &path, &Session::CPU)), measured().unwrap().to_string()] {
        assert!(error.ends_with("is the model of another run (seed: 8 there, 7 here)"), "{error}");
    }
    // Without checksums only where an earlier version made the folder.
    let tensors = candle_core::safetensors::load_buffer(&bytes, &candle_core::Device::Cpu).unwrap();
    candle_core::safetensors::save(&tensors, &model).unwrap();
    assert!(measured().unwrap().to_string().contains("it has no checksums"));
    let manifest = std::fs::read_to_string(path.join("run.json")).unwrap();
    let version = concat!("\"version\": \"", env!("CARGO_PKG_VERSION"), "\"");
    assert!(manifest.contains(version));
    std::fs::write(path.join("run.json"), manifest.replace(version, "\"version\": \"0.2.0\"")).unwrap();
    assert!(measured().is_none());
    let kept = quietly(&config, &path, &Session::CPU).unwrap();
    assert!(kept.kept && kept.final_loss == first, "from the record");
    drop(kept);
    std::fs::write(path.join("metrics.jsonl"), "nonsense\n\n").unwrap();
    assert!(quietly(&config, &path, &Session::CPU).unwrap().final_loss.is_nan());
    // Numbers of another type.
    let mut tensors = tensors;
    let name = tensors.keys().find(|name| name.ends_with(".weight")).unwrap().clone();
    let whole = tensors[&name].to_dtype(candle_core::DType::I64).unwrap();
    tensors.insert(name.clone(), whole);
    candle_core::safetensors::save(&tensors, &model).unwrap();
    let error = measured().unwrap().to_string();
    assert!(error.ends_with(&format!("'{name}' holds numbers of type i64 instead of f32")), "{error}");
}

#[test]
fn a_folder_in_use_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&["epochs=1", "batch_size=256"]);
    let path = folder.path().join("run");
    let trained = quietly(&config, &path, &Session::CPU).unwrap();
    let lease = ownership(&path).unwrap().unwrap();
    assert!(lease.is_alive(&path).unwrap(), "until the caller has measured it");
    let Err(Error::Busy(message)) = quietly(&config, &path, &Session::CPU) else { panic!("it is in use") };
    assert!(message.contains("is in use by process"), "{message}");
    // Somebody else took it over meanwhile, as after a suspension.
    let lease = Lease { nonce: "other".into(), host: "elsewhere".into(), ..lease };
    std::fs::write(path.join("owner.json"), serde_json::to_vec(&lease).unwrap()).unwrap();
    let Err(Error::Busy(message)) = trained.owner.verify() else { panic!("it is lost") };
    assert!(message.contains("another process took over") && message.contains("elsewhere"), "{message}");
    drop(trained);
    assert_eq!(ownership(&path).unwrap(), Some(lease), "it is not ours to remove");
    std::fs::remove_file(path.join("owner.json")).unwrap();
    let again = quietly(&config, &path, &Session::CPU).unwrap();
    drop(again);
    assert!(!path.join("owner.json").exists());
}

#[test]
fn who_lost_the_folder_writes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let (config, path) = (config(&["epochs=3", "batch_size=256"]), folder.path().join("run"));
    let looked = AtomicUsize::new(0);
    let stop = || {
        if looked.fetch_add(1, Ordering::Relaxed) + 1 == 4 {
            let lease = Lease { nonce: "other".into(), ..ownership(&path).unwrap().unwrap() };
            std::fs::write(path.join("owner.json"), serde_json::to_vec(&lease).unwrap()).unwrap();
        }
        false
    };
    let lost = quietly(&config, &path, &Session { stop: &stop, ..Session::CPU });
    assert!(matches!(lost, Err(Error::Busy(_))));
    for (file, length) in [("metrics.jsonl", 0), ("metrics.csv", "step,epoch\n".len())] {
        assert_eq!(std::fs::read(path.join(file)).unwrap().len(), length, "{file}");
    }
    assert!(!path.join(MODEL).exists() && !path.join(CHECKPOINT).exists());
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
fn the_table_of_a_run_that_failed_holds_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    // A rate that grows over two epochs: the first is survived.
    let wild = ["learning_rate=1e38", "warmup_epochs=2", "epochs=4", "batch_size=1300"];
    assert!(matches!(quietly(&config(&wild), folder.path(), &Session::CPU), Err(Error::NonFinite(_))));
    let read = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap();
    let rows = read("metrics.jsonl").lines().count();
    assert!(rows > 0);
    assert_eq!(read("metrics.csv").lines().count(), rows + 1);
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

/// What is embedded in chunks, with and without a queue, learns what the whole batch would, but for roundings that
/// fifteen steps of SGD let grow.
#[test]
fn micro_batches_learn_as_whole_batches() {
    let folder = tempfile::tempdir().unwrap();
    for (name, overrides) in [
        ("batch", &["epochs=3", "warmup_epochs=0", "batch_size=256", "encoder=plain-mlp"][..]),
        (
            "queue",
            &[
                "epochs=3",
                "warmup_epochs=0",
                "batch_size=256",
                "encoder=plain-mlp",
                "negatives=queue",
                "queue.size=512",
            ],
        ),
    ] {
        let loss = |chunk: Option<usize>| {
            let config = Config { micro_batch: chunk, ..config(overrides) };
            let path = folder.path().join(format!("{name}-{chunk:?}"));
            quietly(&config, &path, &Session::CPU).unwrap().final_loss
        };
        let (whole, chunks) = (loss(None), loss(Some(60)));
        println!("{name}: losses {whole} and {chunks}");
        assert!((whole - chunks).abs() < 1e-4, "{name}: {whole} {chunks}");
    }
    let error = |overrides: &[&str], precision| {
        let session = Session { precision, ..Session::CPU };
        message(quietly(&config(overrides), &folder.path().join("none"), &session))
    };
    let refused = error(&["micro_batch=8"], Precision::Bf16);
    assert_eq!(refused, "micro_batch = 8 computes in f32, not in bf16");
    assert!(crate::run::Preset::named("digits", &["micro_batch=1".into()]).is_err());
}
