//! `bench`: one training step of a standard network, timed per stage.
//!
//! A step: forward pass over both views of a batch, NT-Xent at t = 0.5, backward pass, AdamW. No augmentation; that is
//! timed by itself. Whole steps are timed in three rounds, of which the median counts; stages in further steps.

use super::print;
use anyhow::Result;
use candle_core::{Device, Tensor};
use clap::{Args, ValueEnum};
use cpu_time::ProcessTime;
use serde::Serialize;
use std::time::Instant;
use trainer::Error;
use trainer::augment::simclr::{Augment, Augmentation, Sampler};
use trainer::cuda::DeviceChoice;
use trainer::loss::nt_xent;
use trainer::model::{Architecture, Network};
use trainer::optim::{Optimiser, OptimiserKind};
use trainer::rng::philox::Counter;
use trainer::rng::{Purpose, normal, stream};
use trainer::run;

/// A network of the benchmark, for 32×32×3 images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Net {
    /// Linear layers 3072-1024-512-512-128.
    Mlp,
    /// Convolutions 32-64-128-256.
    Small,
    /// ResNet-18 with a 3×3 stem.
    Resnet18,
}

impl Net {
    fn architecture(self) -> Architecture {
        match self {
            Self::Mlp => Architecture::PlainMlp,
            Self::Small => Architecture::Small,
            Self::Resnet18 => Architecture::Resnet18,
        }
    }
}

/// Type of the activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Precision {
    /// 32 bits.
    F32,
    /// 16 bits, on a GPU.
    Bf16,
}

#[derive(Args)]
pub(super) struct BenchArgs {
    /// Network for 32×32×3 images, with its projection head to 128 features
    #[arg(long, value_enum)]
    net: Net,
    /// Images per step, both views counted: 64 is 32 pairs
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u64).range(2..=65536))]
    batch: u64,
    /// Steps per round
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    steps: u64,
    /// cpu, cuda or cuda:INDEX; auto takes a GPU where there is one
    #[arg(long, value_name = "D", default_value = "cpu")]
    device: DeviceChoice,
    /// Type of the activations; weights, statistics and sums are f32
    #[arg(long, value_enum, default_value = "f32")]
    dtype: Precision,
    /// Threads [default: all cores]
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
}

impl BenchArgs {
    pub(super) fn threads(&self) -> usize {
        self.threads.map_or_else(run::available_threads, |t| t as usize)
    }
}

/// What `bench` prints: one JSON line.
#[derive(Serialize)]
struct Report {
    net: String,
    batch: usize,
    device: &'static str,
    dtype: &'static str,
    threads: usize,
    images_per_s: f64,
    images_per_cpu_s: f64,
    augment_ms: f64,
    forward_ms: f64,
    backward_ms: f64,
    optimiser_ms: f64,
    peak_memory_bytes: Option<u64>,
    /// FLOP/s of the step, products counted directly, over `gemm_gflops`.
    gemm_share: f64,
    gemm_gflops: f64,
}

/// A network and all that a step needs.
struct Step {
    network: Network,
    optimiser: Optimiser,
    images: Tensor,
}

/// Seconds of the stages of a step: forward with the loss, backward, optimiser.
type Stages = [f64; 3];

impl Step {
    fn new(net: Net, batch: usize, device: &Device) -> Result<Self> {
        let image = [32, 32, 3];
        let mut network = Network::new(net.architecture(), image, 7, device)?;
        let optimiser = Optimiser::new(OptimiserKind::AdamW, 0.0, 0.01, network.parameters_mut())?;
        let mut rng = stream(7, Purpose::Augmentation, 0);
        let pixels: Vec<f32> = (0..batch * 32 * 32 * 3).map(|_| normal(&mut rng)).collect();
        let images = Tensor::from_vec(pixels, (batch, 32, 32, 3), device)?;
        Ok(Self { network, optimiser, images })
    }

    fn run(&mut self) -> Result<Stages> {
        let start = Instant::now();
        let (output, tape) = self.network.forward_train(&self.images)?;
        let loss = nt_xent(&output.head, 0.5)?;
        drop(output);
        let forward = start.elapsed().as_secs_f64();
        self.network.backward(tape, loss.gradient)?;
        let backward = start.elapsed().as_secs_f64();
        self.optimiser.step(self.network.parameters(), 1e-3)?;
        let all = start.elapsed().as_secs_f64();
        Ok([forward, backward - forward, all - backward])
    }
}

/// Milliseconds to make two random views of half a batch of images.
fn augment_ms(batch: usize, steps: u64, device: &Device) -> Result<f64> {
    let count = batch / 2;
    let pixels: Vec<u8> = (0..count * 32 * 32 * 3).map(|i| (i * 7919 % 251) as u8).collect();
    let images = Tensor::from_vec(pixels, (count, 32, 32, 3), device)?;
    let indices = Tensor::arange(0u32, count as u32, device)?;
    let sampler = Sampler::new(&Augmentation::default(), 32, 32)?;
    let mut times = Vec::new();
    for step in 0..steps as u32 + 1 {
        let counter = Counter { seed: 7, purpose: Purpose::Augmentation, step };
        let augment = Augment::new(sampler, counter, 2)?;
        let start = Instant::now();
        augment.apply(&images, &indices)?;
        device.synchronize()?;
        times.push(1e3 * start.elapsed().as_secs_f64());
    }
    times.remove(0); // the first one loads and warms
    Ok(median(times))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { 0.5 * (values[middle - 1] + values[middle]) }
}

/// FLOP/s of a product of two 1024×1024 matrices of f32 on this many threads: the best of several.
fn gemm_flops(threads: usize) -> f64 {
    const SIZE: usize = 1024;
    let (a, b) = (vec![0.5f32; SIZE * SIZE], vec![0.25f32; SIZE * SIZE]);
    let mut c = vec![0f32; SIZE * SIZE];
    let parallelism = if threads > 1 { gemm::Parallelism::Rayon(threads) } else { gemm::Parallelism::None };
    let mut best = f64::INFINITY;
    for _ in 0..12 {
        let start = Instant::now();
        let n = SIZE as isize;
        #[allow(unsafe_code)] // the interface of the `gemm` crate
        // SAFETY: three matrices of SIZE × SIZE values, row by row.
        unsafe {
            gemm::gemm(
                SIZE,
                SIZE,
                SIZE,
                c.as_mut_ptr(),
                1,
                n,
                false,
                a.as_ptr(),
                1,
                n,
                b.as_ptr(),
                1,
                n,
                0.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    2.0 * (SIZE as f64).powi(3) / best
}

/// Most memory this process has held, where the operating system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

pub(super) fn bench(args: &BenchArgs) -> Result<()> {
    let threads = args.threads();
    let report = run::with_threads(threads, || Ok(measure(args, threads)))??;
    print(&format!("{}\n", serde_json::to_string(&report)?))
}

fn measure(args: &BenchArgs, threads: usize) -> Result<Report> {
    let batch = args.batch as usize;
    if batch % 2 == 1 {
        return Err(Error::argument(format!(
            "--batch {batch} counts both views: it must be even, pairs of views"
        ))
        .into());
    }
    let device = super::open(args.device)?;
    if args.dtype == Precision::Bf16 && device.is_cpu() {
        return Err(Error::argument("--dtype bf16 needs a GPU: --device cuda").into());
    }
    let mut step = Step::new(args.net, batch, &device)?;
    for _ in 0..3 {
        step.run()?;
    }
    let (mut walls, mut cpus) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (cpu, wall) = (ProcessTime::now(), Instant::now());
        for _ in 0..args.steps {
            step.run()?;
        }
        walls.push(wall.elapsed().as_secs_f64() / args.steps as f64);
        cpus.push(cpu.elapsed().as_secs_f64() / args.steps as f64);
    }
    let mut stages: [Vec<f64>; 3] = Default::default();
    for _ in 0..(args.steps / 2).max(3) {
        stages.iter_mut().zip(step.run()?).for_each(|(all, one)| all.push(one));
    }
    let [forward, backward, optimiser] = stages.map(|values| 1e3 * median(values));
    let peak_memory_bytes = peak_memory();
    let flops = 2.0 * step.network.multiplications_per_image()? * batch as f64;
    drop(step.images);
    let augment_ms = augment_ms(batch, args.steps, &device)?;
    let (wall, gemm) = (median(walls), gemm_flops(threads));
    let name = args.net.to_possible_value().map_or(String::new(), |v| v.get_name().to_string());
    Ok(Report {
        net: name,
        batch,
        device: "cpu",
        dtype: "f32",
        threads,
        images_per_s: batch as f64 / wall,
        images_per_cpu_s: batch as f64 / median(cpus),
        augment_ms,
        forward_ms: forward,
        backward_ms: backward,
        optimiser_ms: optimiser,
        peak_memory_bytes,
        gemm_share: flops / wall / gemm,
        gemm_gflops: 1e-9 * gemm,
    })
}
