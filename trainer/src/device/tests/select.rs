//! The negatives that count, on a CUDA device and on the CPU: the same bits for the same cosines.

use super::gpu;
use crate::device::Recording;
use crate::device::graph::Replay;
use crate::loss::{Candidates, Classes, PendingCount, Queue, SelectedRanks, StepDraws};
use crate::ops::testing::flat;
use candle_core::{CpuStorage, CudaStorage, DType, Device, InplaceOp1, Layout, Tensor};
use measure::rng::{Purpose, normal, stream};
use std::collections::HashMap;

const SELECTIONS: [Option<&str>; 7] = [
    None,
    Some("hardest:40%"),
    Some("easiest:60%"),
    Some("drop-hardest:0.1%"),
    Some("range:0-30%,60-100%"),
    Some("random:40%"),
    Some("hardest:100%"),
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum From {
    Batch,
    /// K.
    Sampled(usize),
    /// Q.
    Queue(usize),
}

const SEED: u64 = 7 + (3 << 32);
const STEP: u32 = 11;

/// Samples of three classes.
fn classes(n: usize) -> Vec<u32> {
    (0..n as u32).map(|i| (i * i + i / 5) % 3).collect()
}

/// A queue with keys of three classes and of none, as a checkpoint keeps it.
fn queue(size: usize, device: &Device) -> Queue {
    let classes = (0..size as u32).map(|j| if j % 7 == 0 { u32::MAX } else { j * j % 3 }).collect::<Vec<_>>();
    let keys = Tensor::zeros((size, 1), DType::F32, &Device::Cpu).unwrap();
    let tensors = HashMap::from([
        ("queue.keys", keys),
        ("queue.classes", Tensor::new(&classes[..], &Device::Cpu).unwrap()),
        ("queue.next", Tensor::new(&[0u32], &Device::Cpu).unwrap()),
    ]);
    Queue::new(size, 1, 7, device).unwrap().read(|name| tensors.get(name).cloned()).unwrap()
}

/// Anchors and candidates of n samples.
fn shape(from: From, n: usize) -> (usize, usize) {
    match from {
        From::Batch => (2 * n, 2 * n),
        From::Sampled(_) => (n, n),
        From::Queue(size) => (n, size),
    }
}

/// What candidates are made of, on one device.
struct Inputs {
    from: From,
    features: Tensor,
    positives: Tensor,
    queue: Queue,
}

impl Inputs {
    fn new(from: From, n: usize, device: &Device) -> Self {
        let zeros = |rows: usize| Tensor::zeros((rows, 1), DType::F32, device).unwrap();
        let rows = if let From::Queue(_) = from { n } else { 2 * n };
        let queue = queue(shape(from, n).1, device);
        Self { from, features: zeros(rows), positives: zeros(n), queue }
    }

    /// Both masks, where there are any, and the count.
    fn masks(
        &self,
        cosines: &Tensor,
        (other_classes, selection): (bool, Option<&str>),
        (draws, classes): (StepDraws<'_>, Classes<'_>),
    ) -> crate::Result<(Option<[Tensor; 2]>, PendingCount)> {
        let candidates = match self.from {
            From::Batch => Candidates::batch(&self.features, classes)?,
            From::Sampled(k) => Candidates::sampled(&self.features, classes, k, draws)?,
            From::Queue(_) => Candidates::queue(&self.features, classes, &self.positives, &self.queue)?,
        };
        let selected = match selection {
            Some(text) => SelectedRanks::of(text.parse()?, draws),
            None => SelectedRanks::all(),
        };
        let (mask, count) = candidates.mask(cosines, other_classes, &selected)?;
        Ok((mask.map(|mask| [mask.is_negative, mask.added]), count))
    }
}

/// Numbers, ties, zeros of both signs, or numbers of which some are none.
fn cosines(values: usize, (rows, columns): (usize, usize)) -> Tensor {
    let mut rng = stream(values as u64, Purpose::Evaluation, (rows * columns) as u64);
    let mut number = |k: usize| {
        let x = normal(&mut rng);
        match values {
            1 => (2.0 * x).round() / 2.0,
            2 => [0.0, -0.0, -0.0][k % 3],
            3 if k % (2 * columns) == columns - 1 => f32::NAN,
            3 if k.is_multiple_of(3 * columns) => -f32::NAN,
            _ => x,
        }
    };
    let values: Vec<f32> = (0..rows * columns).map(&mut number).collect();
    Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
}

fn bits(masks: Option<[Tensor; 2]>) -> Option<[Vec<u32>; 2]> {
    masks.map(|masks| masks.map(|mask| flat(&mask).into_iter().map(f32::to_bits).collect()))
}

#[test]
fn masks_have_the_bits_of_the_cpu() {
    let Some(device) = gpu() else { return };
    let device = Device::Cuda(device);
    let mut compared = 0;
    for (from, n) in [
        (From::Batch, 2),
        (From::Batch, 37),
        (From::Sampled(1), 2),
        (From::Sampled(9), 37),
        (From::Sampled(36), 37),
        (From::Queue(9), 5),
        (From::Queue(4999), 3),
    ] {
        let classes = classes(n);
        let draws = StepDraws::new(SEED, STEP.into()).unwrap();
        let (here, there) = (Inputs::new(from, n, &Device::Cpu), Inputs::new(from, n, &device));
        for (selection, values) in SELECTIONS.iter().flat_map(|s| (0..4).map(move |values| (*s, values))) {
            let cosines = cosines(values, shape(from, n));
            let on_device = cosines.to_device(&device).unwrap();
            // A loss that knows the classes is not for a queue.
            for other_classes in [false, true] {
                if other_classes && matches!(from, From::Queue(_)) {
                    continue;
                }
                let what = format!("{from:?}, n = {n}, {selection:?}, values {values}, {other_classes}");
                let of = |inputs: &Inputs, cosines: &Tensor| {
                    inputs.masks(cosines, (other_classes, selection), (draws, Classes::from(&classes)))
                };
                // Some anchor has too few negatives of other classes.
                let Ok((expected, count)) = of(&here, &cosines) else { continue };
                let (found, found_count) = of(&there, &on_device).unwrap();
                assert!(bits(found) == bits(expected), "{what}");
                assert_eq!(found_count.read().unwrap(), count.read().unwrap(), "{what}");
                compared += 1;
            }
        }
    }
    assert!(compared > 250, "{compared}");
}

#[test]
fn a_recorded_mask_draws_by_the_step_on_the_device_and_looks_at_the_classes_there() {
    let Some(cuda) = gpu() else { return };
    let device = Device::Cuda(cuda.clone());
    let n = 19;
    for (from, settings) in [
        (From::Sampled(6), (true, None)),
        (From::Batch, (false, Some("random:30%"))),
        (From::Queue(130), (false, Some("random:30%"))),
        (From::Queue(130), (false, Some("hardest:30%"))),
    ] {
        let (here, there) = (Inputs::new(from, n, &Device::Cpu), Inputs::new(from, n, &device));
        let cosines = cosines(0, shape(from, n));
        let on_device = cosines.to_device(&device).unwrap();
        let step = Tensor::new(&[0u32], &device).unwrap();
        let places = Tensor::new(&classes(n)[..], &device).unwrap();
        let result = on_device.zeros_like().unwrap();
        let mut replay = Replay::new(&cuda, Recording::Always);
        for run in 0..5u32 {
            // Of another step and of other classes than the host says, which differ from run to run.
            let now: Vec<u32> =
                classes(n).iter().map(|class| (class + run) % 3 + u32::from(*class == run)).collect();
            step.inplace_op1(&Overwrite(&[STEP + run])).unwrap();
            places.inplace_op1(&Overwrite(&now)).unwrap();
            let wrong = vec![0; n];
            let warning = replay.run(|| {
                let draws = StepDraws::new(SEED, 99)?.with_step_on_device(&step);
                let classes = Classes::from(&wrong).with_copy_on_device(&places);
                let (found, _) = there.masks(&on_device, settings, (draws, classes))?;
                Ok(found.map_or(Ok(()), |[is_negative, _]| result.slice_set(&is_negative, 0, 0))?)
            });
            let refuses = std::env::var_os("EMULATE_NO_GRAPHS").is_some();
            assert_eq!(
                (warning.unwrap().is_some(), replay.is_recorded()),
                (refuses && run == 2, !refuses && run >= 2)
            );
            let draws = StepDraws::new(SEED, (STEP + run).into()).unwrap();
            let (expected, _) = here.masks(&cosines, settings, (draws, Classes::from(&now))).unwrap();
            assert_eq!(flat(&result), flat(&expected.unwrap()[0]), "{from:?}, {settings:?}, run {run}");
        }
    }
}

/// Writes other words into the same memory.
struct Overwrite<'a>(&'a [u32]);

impl InplaceOp1 for Overwrite<'_> {
    fn name(&self) -> &'static str {
        "overwrite"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> candle_core::Result<()> {
        candle_core::bail!("for a GPU")
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, _: &Layout) -> candle_core::Result<()> {
        let device = storage.device.clone();
        device.memcpy_htod(self.0, storage.as_cuda_slice_mut::<u32>()?)
    }
}
