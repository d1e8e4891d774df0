//! Whole training steps on a CUDA device beside the same steps on the CPU.

use super::gpu;
use crate::cuda::graph::Replay;
use crate::loss::nt_xent;
use crate::model::{Architecture, Network, Parameters, Precision};
use crate::optim::{Optimiser, OptimiserKind};
use crate::rng::{Purpose, normal, stream};
use candle_core::{CudaDevice, DType, Device, Tensor};

const ALL: [(Architecture, [usize; 3]); 6] = [
    (Architecture::Mlp, [4, 4, 1]),
    (Architecture::Conv, [8, 8, 1]),
    (Architecture::Conv, [7, 5, 3]),
    (Architecture::PlainMlp, [4, 4, 3]),
    (Architecture::Small, [8, 8, 3]),
    (Architecture::Resnet18, [4, 6, 3]),
];

/// Normal images \[8, height, width, channels\] on the CPU.
fn images([height, width, channels]: [usize; 3]) -> Tensor {
    let mut rng = stream(3, Purpose::Evaluation, 0);
    let values: Vec<f32> = (0..8 * height * width * channels).map(|_| normal(&mut rng)).collect();
    Tensor::from_vec(values, (8, height, width, channels), &Device::Cpu).unwrap()
}

/// A network in training.
struct Run {
    network: Network,
    optimiser: Optimiser,
    images: Tensor,
    loss: Tensor,
}

impl Run {
    fn new(
        (architecture, image): (Architecture, [usize; 3]),
        kind: OptimiserKind,
        device: &Device,
        precision: Precision,
    ) -> Self {
        let network = Network::new(architecture, image, 7, device).unwrap().in_precision(precision).unwrap();
        let optimiser = Optimiser::new(kind, 0.9, 0.01, network.parameters()).unwrap();
        let images = images(image).to_device(device).unwrap();
        Self { network, optimiser, images, loss: Tensor::zeros(1, DType::F32, device).unwrap() }
    }

    fn prepare(&mut self, rate: f64) {
        self.optimiser.prepare(self.network.parameters_mut(), rate).unwrap();
    }

    /// What a CUDA graph can record: everything but [`prepare`](Self::prepare).
    fn work(&self) -> crate::Result<()> {
        let (output, tape) = self.network.forward_train(&self.images)?;
        let loss = nt_xent(&output.head, 0.5)?;
        self.loss.slice_set(&loss.value.reshape(1)?, 0, 0)?;
        self.network.backward(tape, loss.gradient)?;
        self.optimiser.apply(self.network.parameters())
    }

    fn step(&mut self, rate: f64) -> Numbers {
        self.prepare(rate);
        self.work().unwrap();
        self.numbers()
    }

    fn numbers(&self) -> Numbers {
        let parameters = self.network.parameters();
        Numbers {
            loss: self.loss.to_vec1().unwrap(),
            gradients: parameters.gradients().to_vec1().unwrap(),
            values: parameters.flat().to_vec1::<f32>().unwrap()[..parameters.num_trained()].to_vec(),
            statistics: parameters.buffers().to_vec1().unwrap(),
        }
    }
}

/// What a step leaves.
#[derive(PartialEq)]
struct Numbers {
    loss: Vec<f32>,
    gradients: Vec<f32>,
    values: Vec<f32>,
    statistics: Vec<f32>,
}

/// ‖found − expected‖ / ‖expected‖.
fn distance(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let square = |v: f64| v * v;
    let norm: f64 = expected.iter().map(|&e| square(e.into())).sum();
    let off: f64 = found.iter().zip(expected).map(|(&f, &e)| square(f64::from(f) - f64::from(e))).sum();
    assert!(off.is_finite());
    if norm == 0.0 { off.sqrt() } else { (off / norm).sqrt() }
}

fn wrap(device: &CudaDevice) -> Device {
    Device::Cuda(device.clone())
}

#[test]
fn three_steps_are_those_of_the_cpu() {
    let Some(device) = gpu() else { return };
    for case in ALL {
        for (kind, rate) in [(OptimiserKind::Lars, 0.1), (OptimiserKind::AdamW, 1e-3)] {
            let mut here = Run::new(case, kind, &Device::Cpu, Precision::F32);
            let mut there = Run::new(case, kind, &wrap(&device), Precision::F32);
            for step in 0..3 {
                let rate = rate / f64::from(step + 1);
                let (expected, found) = (here.step(rate), there.step(rate));
                let off = [
                    distance(&found.loss, &expected.loss),
                    distance(&found.gradients, &expected.gradients),
                    distance(&found.values, &expected.values),
                    distance(&found.statistics, &expected.statistics),
                ];
                println!(
                    "{case:?} {kind:?} step {step}: loss {:e} gradients {:e} values {:e} statistics {:e}",
                    off[0], off[1], off[2], off[3]
                );
                assert!(off.iter().all(|&d| d < 1e-5), "{case:?} {kind:?} step {step}: {off:?}");
            }
        }
    }
}
