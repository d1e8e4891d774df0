//! `bench`: one training step of a standard network, timed per stage.
//!
//! A step: forward pass over both views of a batch, NT-Xent at t = 0.5, backward pass, AdamW. No augmentation; that is
//! timed by itself. Whole steps are timed in three rounds, of which the median counts; stages in further steps.
//!
//! On a GPU a round of whole steps is synchronised once, at its end, and steps are replays of a CUDA graph where that is
//! faster, as in training; stages are synchronised one by one. f32 is multiplied in TF32 there, as in the PyTorch
//! peer.

use super::print;
use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use clap::{Args, ValueEnum};
use cpu_time::ProcessTime;
use measure::gemm::{Matrix, Order, multiply};
use measure::rng::philox::Counter;
use measure::rng::{Purpose, normal, stream};
use serde::Serialize;
use std::time::Instant;
use theory::report::{Cell, Format, Table};
use trainer::Error;
use trainer::augment::simclr::{Augment, Augmentation, Sampler};
use trainer::device::DeviceChoice;
use trainer::loss::nt_xent;
use trainer::model::{Architecture, Input, Model, Network, Options, Precision, Stem};
use trainer::optim::{Optimiser, OptimiserKind};
use trainer::run;

/// A network of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Net {
    /// Linear layers; for images of 32×32×3: 3072-1024-512-512-128.
    Mlp,
    /// Convolutions 32-64-128-256.
    Small,
    /// ResNet-18 with a 3×3 stem.
    Resnet18,
    /// ResNet-50 with the stem of ImageNet, for images such as 96x96x3 and 224x224x3.
    Resnet50,
}

impl Net {
    fn model(self) -> Model {
        match self {
            Self::Mlp => Architecture::PlainMlp.into(),
            Self::Small => Architecture::Small.into(),
            Self::Resnet18 => Architecture::Resnet18.into(),
            Self::Resnet50 => {
                let options = Options { stem: Stem::Imagenet, ..Options::default() };
                Model { architecture: Architecture::Resnet50, options }
            }
        }
    }
}

/// Type of the activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Dtype {
    /// 32 bits; products on a GPU in TF32.
    F32,
    /// 16 bits, on a GPU.
    Bf16,
}

impl Dtype {
    fn precision(self) -> Precision {
        match self {
            Self::F32 => Precision::F32,
            Self::Bf16 => Precision::Bf16,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

#[derive(Args)]
pub(super) struct BenchArgs {
    /// Network, with its projection head to 128 features
    #[arg(long, value_enum)]
    net: Net,
    /// Height, width and channels of the images: 28x28x1 are those of Fashion-MNIST
    #[arg(long, value_name = "HxWxC", default_value = "32x32x3", value_parser = image)]
    image: Image,
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
    dtype: Dtype,
    /// Threads [default: all cores]
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// How the report is printed: table, csv, json, markdown, latex; json is one object on one line
    #[arg(long, value_name = "F", default_value = "json")]
    format: Format,
}

/// Height, width, channels.
type Image = [usize; 3];

/// An image as it is written: `28x28x1`.
fn image(text: &str) -> std::result::Result<Image, String> {
    let sides: Option<Vec<usize>> = text.split('x').map(|part| part.parse().ok()).collect();
    match sides.as_deref() {
        Some(&[height, width, channels])
            if height == width && (8..=512).contains(&height) && [1, 3].contains(&channels) =>
        {
            Ok([height, width, channels])
        }
        _ => {
            Err("an image is square, of 8 to 512 pixels a side, with 1 or 3 channels, such as 28x28x1".into())
        }
    }
}

impl BenchArgs {
    pub(super) fn threads(&self) -> usize {
        self.threads.map_or_else(run::available_threads, |t| t as usize)
    }
}

/// What `bench` prints: a JSON object on one line, or a table of one row.
#[derive(Serialize)]
struct Report {
    net: String,
    /// As it is written: `32x32x3`.
    image: String,
    batch: usize,
    device: &'static str,
    device_name: Option<String>,
    dtype: &'static str,
    /// Whether f32 is multiplied with 10 bits of significand.
    tf32: bool,
    /// Whether whole steps were replays of a CUDA graph.
    cuda_graph: bool,
    threads: usize,
    images_per_s: f64,
    images_per_cpu_s: f64,
    augment_ms: f64,
    forward_ms: f64,
    backward_ms: f64,
    optimiser_ms: f64,
    peak_memory_bytes: Option<u64>,
    /// On a GPU, where the library can be used.
    cudnn_version: Option<String>,
    /// FLOP/s of the step, products counted directly, over `gemm_gflops`.
    gemm_share: f64,
    gemm_gflops: f64,
}

/// How each convolution was computed; a table has no room for it.
#[derive(Serialize)]
struct WithPlans<'a> {
    #[serde(flatten)]
    report: &'a Report,
    plans: serde_json::Value,
}

impl Report {
    /// A column a field.
    fn table(&self) -> Result<Table> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(self)?;
        let text = writer.into_inner()?;
        let mut reader = csv::Reader::from_reader(&text[..]);
        let mut table = Table::new(reader.headers()?);
        let cell = |field: &str| match (field.parse(), field.parse()) {
            (Ok(integer), _) => Cell::Integer(integer),
            (_, Ok(number)) => Cell::number(number),
            _ => Cell::text(field),
        };
        for record in reader.records() {
            table.push(record?.iter().map(cell).collect());
        }
        Ok(table)
    }
}

/// A network and all that a step needs.
struct Step {
    network: Network,
    optimiser: Optimiser,
    images: Input,
}

/// Seconds of the stages of a step: forward with the loss, backward, optimiser.
type Stages = [f64; 3];

impl Step {
    fn new(net: Net, image: Image, batch: usize, device: &Device, precision: Precision) -> Result<Self> {
        let mut network = Network::new(net.model(), image, 7, device)?.in_precision(precision)?;
        let optimiser = Optimiser::new(OptimiserKind::AdamW, 0.0, 0.01, network.parameters_mut())?;
        let mut rng = stream(7, Purpose::Augmentation, 0);
        let [height, width, channels] = image;
        let pixels: Vec<f32> = (0..batch * height * width * channels).map(|_| normal(&mut rng)).collect();
        let images = Input::Images(Tensor::from_vec(pixels, (batch, height, width, channels), device)?);
        Ok(Self { network, optimiser, images })
    }

    /// What depends on the host: the learning rate.
    fn prepare(&mut self) -> trainer::Result<()> {
        self.optimiser.prepare(self.network.parameters_mut(), 1e-3)
    }

    /// The rest, which a CUDA graph can record; `mark` is called after each stage.
    fn work(&self, mark: &mut dyn FnMut() -> trainer::Result<()>) -> trainer::Result<()> {
        let (output, tape) = self.network.forward_train(&self.images)?;
        let loss = nt_xent(&output.head, 0.5)?;
        drop(output);
        mark()?;
        self.network.backward(tape, loss.gradient)?;
        mark()?;
        self.optimiser.apply(self.network.parameters())?;
        mark()
    }

    /// One step, waiting for the device after each stage.
    fn stages(&mut self) -> Result<Stages> {
        self.prepare()?;
        let device = self.network.parameters().device().clone();
        device.synchronize()?;
        let mut marks = vec![Instant::now()];
        self.work(&mut || {
            device.synchronize()?;
            marks.push(Instant::now());
            Ok(())
        })?;
        let seconds = |i: usize| marks[i + 1].duration_since(marks[i]).as_secs_f64();
        Ok([seconds(0), seconds(1), seconds(2)])
    }
}

/// Runs whole steps: eagerly, or as replays of a CUDA graph.
struct Runner {
    #[cfg(feature = "cuda")]
    replay: Option<trainer::device::graph::Replay>,
}

impl Runner {
    #[cfg(feature = "cuda")]
    fn new(device: &Device) -> Self {
        use trainer::device::{Recording, graph::Replay};
        let replay = match device {
            Device::Cuda(device) => Some(Replay::new(device, Recording::WhereFaster)),
            _ => None,
        };
        Self { replay }
    }

    #[cfg(not(feature = "cuda"))]
    fn new(_: &Device) -> Self {
        Self {}
    }

    /// Whether the next steps are as all later ones.
    fn is_settled(&self) -> bool {
        #[cfg(feature = "cuda")]
        return self.replay.as_ref().is_none_or(trainer::device::graph::Replay::is_settled);
        #[cfg(not(feature = "cuda"))]
        true
    }

    fn run(&mut self, step: &mut Step) -> Result<()> {
        step.prepare()?;
        #[cfg(feature = "cuda")]
        if let Some(replay) = &mut self.replay {
            if let Some(warning) = replay.run(|| step.work(&mut || Ok(())))? {
                theory::terminal::say(&format!("warning: {warning}"));
            }
            return Ok(());
        }
        Ok(step.work(&mut || Ok(()))?)
    }

    fn is_recorded(&self) -> bool {
        #[cfg(feature = "cuda")]
        return self.replay.as_ref().is_some_and(trainer::device::graph::Replay::is_recorded);
        #[cfg(not(feature = "cuda"))]
        false
    }
}

/// Milliseconds to make two random views of half a batch of images: the median of rounds, on a GPU of many launches
/// each.
fn augment_ms(
    [height, width, channels]: Image,
    batch: usize,
    steps: u64,
    device: &Device,
    dtype: DType,
) -> Result<f64> {
    let count = batch / 2;
    let pixels: Vec<u8> = (0..count * height * width * channels).map(|i| (i * 7919 % 251) as u8).collect();
    let images = Tensor::from_vec(pixels, (count, height, width, channels), device)?;
    let indices = Tensor::arange(0u32, count as u32, &Device::Cpu)?.to_device(device)?;
    let augmentation = Augmentation { size: height, ..Augmentation::default() };
    let sampler = Sampler::new(&augmentation, height, width)?.with_channels(channels)?;
    let views = Tensor::zeros((2 * count, height, width, channels), dtype, device)?;
    let launches = if device.is_cpu() { 1 } else { steps.clamp(1, 100) as u32 };
    let mut times = Vec::new();
    for round in 0..if device.is_cpu() { steps as u32 + 1 } else { 6 } {
        device.synchronize()?;
        let start = Instant::now();
        for launch in 0..launches {
            let step = round * launches + launch;
            let counter = Counter { seed: 7, purpose: Purpose::Augmentation, step };
            Augment::new(sampler, counter, 2)?.apply_into(&views, &images, &indices)?;
        }
        device.synchronize()?;
        times.push(1e3 * start.elapsed().as_secs_f64() / f64::from(launches));
    }
    times.remove(0); // the first one loads and warms
    Ok(median(times))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { 0.5 * (values[middle - 1] + values[middle]) }
}

/// FLOP/s of a product of two 1024×1024 matrices of f32 on the current pool: the best of several.
fn cpu_gemm_flops() -> f64 {
    const SIZE: usize = 1024;
    let (a, b) = (vec![0.5f32; SIZE * SIZE], vec![0.25f32; SIZE * SIZE]);
    let mut c = vec![0f32; SIZE * SIZE];
    let mut best = f64::INFINITY;
    for _ in 0..12 {
        let start = Instant::now();
        multiply(&mut c, Order::Rows, Matrix::new(&a, SIZE), Matrix::new(&b, SIZE), [SIZE; 3]);
        best = best.min(start.elapsed().as_secs_f64());
    }
    2.0 * (SIZE as f64).powi(3) / best
}

/// FLOP/s of a large product on the device, in the type of the activations.
fn gemm_flops(device: &Device, dtype: DType) -> Result<f64> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => {
            // The emulated device of trainer/cuda/emulate multiplies in loops.
            let size = if trainer::device::gauge::name(device)? == "emulated" { 64 } else { 8192 };
            Ok(trainer::device::gauge::gemm_rate(device, dtype, size)?)
        }
        _ => {
            debug_assert_eq!(dtype, DType::F32);
            Ok(cpu_gemm_flops())
        }
    }
}

/// Most memory in use at a time: of the GPU, or of this process where the operating system tells.
fn peak_memory(device: &Device) -> Result<Option<u64>> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => Ok(trainer::device::gauge::peak_memory(device)?),
        _ => Ok(std::fs::read_to_string("/proc/self/status").ok().and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
        })),
    }
}

/// What the driver calls the GPU.
fn device_name(device: &Device) -> Result<Option<String>> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => Ok(Some(trainer::device::gauge::name(device)?)),
        _ => Ok(None),
    }
}

pub(super) fn bench(args: &BenchArgs) -> Result<()> {
    let threads = args.threads();
    let (report, plans) = run::with_threads(threads, || Ok(measure(args, threads)))??;
    print(&match args.format {
        Format::Json => format!("{}\n", serde_json::to_string(&WithPlans { report: &report, plans })?),
        format => report.table()?.to_output(format),
    })
}

/// The version of cuDNN, and how each convolution so far was computed.
fn convolutions(device: &Device) -> Result<(Option<String>, serde_json::Value)> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => {
            let plans = serde_json::to_value(trainer::device::cudnn::records(device))?;
            Ok((trainer::device::cudnn::availability(device).ok(), plans))
        }
        _ => Ok((None, serde_json::Value::Array(Vec::new()))),
    }
}

fn measure(args: &BenchArgs, threads: usize) -> Result<(Report, serde_json::Value)> {
    let batch = args.batch as usize;
    if batch % 2 == 1 {
        return Err(Error::argument(format!(
            "--batch {batch} counts both views: it must be even, pairs of views"
        ))
        .into());
    }
    let device = super::open(args.device)?;
    let precision = args.dtype.precision();
    if precision == Precision::Bf16 && device.is_cpu() {
        return Err(Error::argument("--dtype bf16 needs a GPU: --device cuda").into());
    }
    let tf32 = !device.is_cpu() && precision == Precision::F32;
    #[cfg(feature = "cuda")]
    candle_core::cuda::set_gemm_reduced_precision_f32(tf32);
    let mut step = Step::new(args.net, args.image, batch, &device, precision)?;
    let mut runner = Runner::new(&device);
    for _ in 0..3 {
        runner.run(&mut step)?;
    }
    while !runner.is_settled() {
        runner.run(&mut step)?;
    }
    let (mut walls, mut cpus) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        device.synchronize()?;
        let (cpu, wall) = (ProcessTime::now(), Instant::now());
        for _ in 0..args.steps {
            runner.run(&mut step)?;
        }
        device.synchronize()?;
        walls.push(wall.elapsed().as_secs_f64() / args.steps as f64);
        cpus.push(cpu.elapsed().as_secs_f64() / args.steps as f64);
    }
    let cuda_graph = runner.is_recorded();
    let mut stages: [Vec<f64>; 3] = Default::default();
    for _ in 0..(args.steps / 2).max(3) {
        stages.iter_mut().zip(step.stages()?).for_each(|(all, one)| all.push(one));
    }
    let [forward, backward, optimiser] = stages.map(|values| 1e3 * median(values));
    let peak_memory_bytes = peak_memory(&device)?;
    let flops = 2.0 * step.network.multiplications_per_image()? * batch as f64;
    // The graph's memory and the network's make room for the matrices of the next two measurements.
    drop((runner, step));
    let augment_ms = augment_ms(args.image, batch, args.steps, &device, precision.dtype())?;
    let (wall, gemm) = (median(walls), gemm_flops(&device, precision.dtype())?);
    let name = args.net.to_possible_value().map_or(String::new(), |v| v.get_name().to_string());
    let (cudnn_version, plans) = convolutions(&device)?;
    let report = Report {
        net: name,
        image: args.image.map(|side| side.to_string()).join("x"),
        batch,
        device: if device.is_cpu() { "cpu" } else { "cuda" },
        device_name: device_name(&device)?,
        dtype: args.dtype.name(),
        tf32,
        cuda_graph,
        threads,
        images_per_s: batch as f64 / wall,
        images_per_cpu_s: batch as f64 / median(cpus),
        augment_ms,
        forward_ms: forward,
        backward_ms: backward,
        optimiser_ms: optimiser,
        peak_memory_bytes,
        cudnn_version,
        gemm_share: flops / wall / gemm,
        gemm_gflops: 1e-9 * gemm,
    };
    Ok((report, plans))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_read_as_they_are_written() {
        assert_eq!(image("28x28x1"), Ok([28, 28, 1]));
        for text in ["", "28", "28x28", "28x28x2", "28x30x1", "4x4x1", "28x28x1x1", "1024x1024x3", "-8x-8x3"]
        {
            assert!(image(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_table_has_the_fields_of_the_object() {
        let report = Report {
            net: "mlp".into(),
            image: "28x28x1".into(),
            batch: 4,
            device: "cpu",
            device_name: None,
            dtype: "f32",
            tf32: false,
            cuda_graph: false,
            threads: 2,
            images_per_s: 12.5,
            images_per_cpu_s: 6.25,
            augment_ms: 0.5,
            forward_ms: 1.0,
            backward_ms: 2.0,
            optimiser_ms: 0.25,
            peak_memory_bytes: Some(1 << 30),
            cudnn_version: None,
            gemm_share: 0.75,
            gemm_gflops: 100.0,
        };
        let table = report.table().unwrap();
        let object = serde_json::to_value(&report).unwrap();
        assert_eq!(table.headers().len(), object.as_object().unwrap().len());
        assert!(table.headers().iter().all(|name| object.get(name).is_some()));
        let csv = table.to_text(Format::Csv);
        let values = "mlp,28x28x1,4,cpu,,f32,false,false,2,12.5,6.25,0.5,1.0,2.0,0.25,1073741824,,0.75,100.0";
        assert_eq!(csv.lines().nth(1), Some(values), "{csv}");
    }
}
