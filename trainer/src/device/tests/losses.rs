//! Every loss over every source of negatives on a CUDA device beside the same on the CPU.

use super::gpu;
use super::network::{distance, flat};
use crate::loss::tests::KINDS;
use crate::loss::{
    Candidates, Loss, LossKind, Queue, SameClassCount, SelectedRanks, StepDraws, cross_entropy,
};
use crate::ops::normalise;
use candle_core::{Device, Tensor};
use measure::rng::{Purpose, normal, stream};

const SELECTIONS: [Option<&str>; 4] =
    [None, Some("hardest:60%"), Some("range:0-30%,60-100%"), Some("random:60%")];

#[derive(Debug, Clone, Copy, PartialEq)]
enum From {
    Batch,
    Sampled,
    Queue,
}

/// Samples of a batch.
const N: usize = 18;
const WIDTH: usize = 10;

/// The same normal numbers on every device.
fn random(index: u64, rows: usize, device: &Device) -> Tensor {
    let mut rng = stream(11, Purpose::Initialisation, index);
    let values: Vec<f32> = (0..rows * WIDTH).map(|_| normal(&mut rng)).collect();
    Tensor::from_vec(values, (rows, WIDTH), device).unwrap()
}

/// The loss at t = 0.5, and the negatives that were counted.
fn evaluate(kind: LossKind, from: From, selection: Option<&str>, device: &Device) -> (Loss, SameClassCount) {
    let classes: Vec<u32> = (0..N as u32).map(|i| i % 3).collect();
    let features = random(1, if from == From::Queue { N } else { 2 * N }, device);
    let positives = normalise::forward(&random(2, N, device)).unwrap();
    let mut queue = Queue::new(40, WIDTH, 7, device).unwrap();
    for index in 20..23 {
        // The third time around the end.
        queue.push(&normalise::forward(&random(index, N, device)).unwrap(), &classes).unwrap();
    }
    let draws = StepDraws::new(5, 3).unwrap();
    let candidates = match from {
        From::Batch => Candidates::batch(&features, &classes),
        From::Sampled => Candidates::sampled(&features, &classes, 12, draws),
        From::Queue => Candidates::queue(&features, &classes, &positives, &queue),
    }
    .unwrap();
    let selected =
        selection.map_or_else(SelectedRanks::all, |text| SelectedRanks::of(text.parse().unwrap(), draws));
    let (loss, count) = kind.mean(&candidates, &selected, 0.5).unwrap();
    (loss, count.read().unwrap())
}

fn assert_near(what: &str, found: &Loss, expected: &Loss) {
    let off = [
        distance(&flat(&found.value), &flat(&expected.value)),
        distance(&flat(&found.gradient), &flat(&expected.gradient)),
    ];
    assert!(off.iter().all(|&d| d < 1e-5), "{what}: {off:?}");
}

#[test]
fn losses_are_those_of_the_cpu() {
    let Some(device) = gpu() else { return };
    let device = Device::Cuda(device);
    for kind in KINDS {
        for from in [From::Batch, From::Sampled, From::Queue] {
            if kind.knows_classes() && from == From::Queue {
                continue; // there is none
            }
            for selection in SELECTIONS {
                let (found, found_count) = evaluate(kind, from, selection, &device);
                let (expected, expected_count) = evaluate(kind, from, selection, &Device::Cpu);
                let what = format!("{kind:?} {from:?} {selection:?}");
                assert_near(&what, &found, &expected);
                assert_eq!(
                    (found_count.same, found_count.known),
                    (expected_count.same, expected_count.known),
                    "{what}"
                );
            }
        }
    }
}

#[test]
fn cross_entropy_is_that_of_the_cpu() {
    let Some(device) = gpu() else { return };
    let classes: Vec<usize> = (0..70).map(|i| i * i % WIDTH).collect();
    let of = |device: &Device| cross_entropy(&random(3, classes.len(), device), &classes).unwrap();
    assert_near("cross-entropy", &of(&Device::Cuda(device)), &of(&Device::Cpu));
}
