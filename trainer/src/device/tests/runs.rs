//! Whole runs on a CUDA device: trained, interrupted, resumed, measured.

use super::gpu;
use crate::augment::simclr;
use crate::data::{Images, Samples, Split};
use crate::device::Recording;
use crate::error::Error;
use crate::model::Precision;
use crate::run::{EvaluationSettings, Preset, Progress, Session, measure_run, train};
use candle_core::Device;
use measure::rng::{Purpose, stream};
use rand::Rng;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use theory::losses::Quantity;

/// Colour images of 8 × 8 in two classes, one brighter on top.
fn split() -> Split {
    let mut rng = stream(3, Purpose::Split, 0);
    let mut make = |count: usize| {
        let labels: Vec<usize> = (0..count).map(|i| i % 2).collect();
        let pixels = labels.iter().flat_map(|&label| (0..64).map(move |p| (label, p / 32)));
        let pixels: Vec<u8> = pixels
            .flat_map(|(label, half)| [if label == half { 150 } else { 40 }; 3])
            .map(|base| base + rng.random_range(0..60))
            .collect();
        Samples::Images(Images::new(pixels, labels, [8, 8, 3], 255, 2).unwrap())
    };
    Split { train: make(96), evaluated: make(32) }
}

/// Of an encoder, with these settings beside.
type Case<'a> = (&'a str, &'a [&'a str]);

fn run((name, more): Case<'_>, path: &Path, session: &Session<'_>, split: &Split) -> crate::Result<f64> {
    let settings =
        ["epochs=2", "batch_size=16", "warmup_epochs=1", "mean_views=2", "fbar_views=2", "passes=2"];
    let settings: Vec<String> = settings.iter().chain(more).map(ToString::to_string).collect();
    let mut config = Preset::named("cifar10-quick", &settings).unwrap().config;
    config.train_samples = None;
    config.encoder = serde_json::from_value(serde_json::json!(name)).unwrap();
    let augmentation = simclr::Augmentation { size: 8, ..simclr::Augmentation::default() };
    config.augmentation = crate::augment::Augmentation::Simclr(augmentation);
    train(&config, &split.train, path, session, &Progress::new(true).task("", 2)).map(|run| run.final_loss)
}

#[test]
fn a_run_on_the_device_is_that_of_the_cpu_and_goes_on_after_an_interruption() {
    let Some(device) = gpu() else { return };
    let device = Device::Cuda(device);
    let (folder, split) = (tempfile::tempdir().unwrap(), split());
    let here = run(("mlp", &[]), &folder.path().join("cpu"), &Session::CPU, &split).unwrap();
    for (precision, tolerance) in [(Precision::F32, 1e-3), (Precision::Bf16, 3e-2)] {
        let session = Session { device: &device, precision, ..Session::CPU };
        let path = folder.path().join(format!("{precision:?}"));
        let looked = AtomicUsize::new(0);
        let stop = || looked.fetch_add(1, Ordering::Relaxed) == 0;
        let interrupted = run(("mlp", &[]), &path, &Session { stop: &stop, ..session }, &split);
        assert!(matches!(interrupted, Err(Error::Interrupted(_))), "{:?}", interrupted.err());
        let there = run(("mlp", &[]), &path, &session, &split).unwrap();
        assert!((there - here).abs() < tolerance, "{precision:?}: {there} instead of {here}");
        let rows = measure_run(&path, &split, &EvaluationSettings::default(), &session).unwrap().rows;
        let again = measure_run(&path, &split, &EvaluationSettings::default(), &Session::CPU).unwrap().rows;
        for measure in [Quantity::InfoNce, Quantity::FullSupLoss, Quantity::MasterTerm] {
            let (found, expected) = (rows[0].get(measure).unwrap(), again[0].get(measure).unwrap());
            assert!((found - expected).abs() < 1e-4, "{measure}: {found} instead of {expected}");
        }
    }
}

/// A recorded run that was interrupted and went on has the bits of one that was neither: replays are the eager steps,
/// and the algorithms of the convolutions are those of before.
#[test]
fn a_recorded_run_goes_on_with_the_bits_of_a_whole_eager_one() {
    let Some(device) = gpu() else { return };
    let (folder, split) = (tempfile::tempdir().unwrap(), split());
    let cases: [(Case<'_>, Precision); 5] = [
        (("small", &[]), Precision::Bf16),
        (("mlp", &["negatives=5"]), Precision::F32),
        (("mlp", &["negatives=7", "selection=random:50%", "loss=dcl"]), Precision::Bf16),
        (("mlp", &["negatives=queue", "queue.size=48"]), Precision::F32),
        (("mlp", &["negatives=hardest:25%", "queue.size=48"]), Precision::F32),
    ];
    for (index, (case, precision)) in cases.into_iter().enumerate() {
        let name = case.0;
        let weights = |part: &str, recording: Recording, interruptions: usize| {
            let path = folder.path().join(format!("{index}-{part}"));
            // Another run chooses its algorithms by the clock; this one computes as the eager one did.
            let eager = folder.path().join(format!("{index}-eager"));
            if eager.join("plans.json").exists() {
                std::fs::create_dir(&path).unwrap();
                for file in ["run.json", "plans.json"] {
                    std::fs::copy(eager.join(file), path.join(file)).unwrap();
                }
            }
            for attempt in 0..=interruptions {
                // Another device each time, as another process has it.
                let device = Device::Cuda(gpu().unwrap());
                let stop = || attempt < interruptions;
                let session = Session { device: &device, precision, recording, stop: &stop, ..Session::CPU };
                match run(case, &path, &session, &split) {
                    Err(Error::Interrupted(_)) => assert!(attempt < interruptions),
                    other => assert!(other.is_ok() && attempt == interruptions, "{other:?}"),
                }
            }
            let has_plans = crate::device::cudnn::availability(&device).is_ok() && name == "small";
            assert_eq!(path.join("plans.json").exists(), has_plans);
            std::fs::read(path.join("model.safetensors")).unwrap()
        };
        let eager = weights("eager", Recording::Never, 0);
        assert!(eager == weights("recorded", Recording::Always, 0), "{case:?}");
        assert!(eager == weights("interrupted", Recording::Always, 1), "{case:?}");
    }
}
