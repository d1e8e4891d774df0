//! One optimiser step on an NVIDIA GPU: launches of `kernel.cu`, where the formulas stand.
//!
//! `state` is \[w | v\] for SGD and LARS, \[w | m | v\] for AdamW, each part of P elements; the gradient has P. Rates and the like
//! are read from a buffer on the device, made by [`momentum_settings`] or [`adamw_settings`] and rewritten before each step.

use crate::cuda::launch::{
    Argument, BLOCK, Module, check_length, int, launch, read, uninitialised, whole, write,
};
use candle_core::{CudaDevice, Result};
use cudarc::driver::{CudaSlice, CudaView, CudaViewMut, LaunchConfig};
use half::bf16;

const MODULE: Module =
    Module { name: "optimiser", ptx: include_str!(concat!(env!("OUT_DIR"), "/optimiser.ptx")) };

/// Numbers in a buffer of settings.
pub const SETTINGS: usize = 9;

/// A run of parameters that are treated alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Its first element.
    pub start: usize,
    /// Its elements.
    pub length: usize,
    /// Whether weight decay applies.
    pub decays: bool,
    /// Whether LARS adapts its rate.
    pub adapts: bool,
}

/// The segments of a parameter vector, on the device.
pub struct Segments {
    table: CudaSlice<u64>,
    count: usize,
    parameters: usize,
    blocks: u32,
}

impl Segments {
    /// Uploads the table of a vector of this many parameters.
    ///
    /// # Errors
    /// A segment that ends beyond the vector or overlaps an earlier one, or no memory.
    pub fn new(device: &CudaDevice, segments: &[Segment], parameters: usize) -> Result<Self> {
        let mut end = 0;
        for (index, segment) in segments.iter().enumerate() {
            if segment.start < end || segment.start + segment.length > parameters {
                candle_core::bail!(
                    "segment {index}, {segment:?}: overlaps the one before or ends beyond {parameters} parameters"
                );
            }
            end = segment.start + segment.length;
        }
        int("segments", segments.len())?;
        let row =
            |s: &Segment| [s.start as u64, s.length as u64, u64::from(s.decays) | u64::from(s.adapts) << 1];
        let table: Vec<u64> = segments.iter().flat_map(row).collect();
        let longest = segments.iter().map(|s| s.length).max().unwrap_or(0);
        // 4 elements a thread, at most 128 blocks a segment.
        let blocks = longest.div_ceil(4 * BLOCK as usize).clamp(1, 128) as u32;
        let table = device.clone_htod(&table)?;
        Ok(Self { table, count: segments.len(), parameters, blocks })
    }

    fn config(&self) -> LaunchConfig {
        LaunchConfig {
            grid_dim: (self.blocks, self.count as u32, 1),
            block_dim: (BLOCK, 1, 1),
            shared_mem_bytes: 0,
        }
    }
}

/// The settings of an SGD or LARS step; `trust` is η of LARS.
pub fn momentum_settings(rate: f64, decay: f64, momentum: f64, trust: f64) -> [f32; SETTINGS] {
    let mut settings = [0.0; SETTINGS];
    for (place, value) in settings.iter_mut().zip([rate, decay, momentum, trust]) {
        *place = value as f32;
    }
    settings
}

/// The settings of an AdamW step; `step` counts from 1.
pub fn adamw_settings(
    rate: f64,
    decay: f64,
    (beta1, beta2): (f64, f64),
    epsilon: f64,
    step: u32,
) -> [f32; SETTINGS] {
    let correction = |beta: f64| 1.0 - beta.powf(f64::from(step));
    [rate, decay, beta1, beta2, epsilon, correction(beta1), correction(beta2), 1.0 - beta1, 1.0 - beta2]
        .map(|v| v as f32)
}

fn check(
    segments: &Segments,
    state: usize,
    parts: usize,
    gradient: usize,
    settings: usize,
    half: Option<usize>,
) -> Result<()> {
    check_length("the state of an optimiser", state, parts * segments.parameters)?;
    check_length("the gradient of an optimiser", gradient, segments.parameters)?;
    check_length("the settings of an optimiser", settings, SETTINGS)?;
    half.map_or(Ok(()), |half| check_length("the bf16 parameters", half, segments.parameters))
}

/// SGD with momentum, or LARS, on \[w | v\]; `half` receives w in bf16.
///
/// # Errors
/// Lengths that do not fit, or a launch fails.
pub fn momentum(
    device: &CudaDevice,
    segments: &Segments,
    state: &mut CudaViewMut<f32>,
    gradient: &CudaView<f32>,
    settings: &CudaView<f32>,
    lars: bool,
    half: Option<&mut CudaViewMut<bf16>>,
) -> Result<()> {
    check(segments, state.len(), 2, gradient.len(), settings.len(), half.as_ref().map(|h| h.len()))?;
    let table = whole(device, &segments.table);
    let gradient = read(device, gradient);
    let (mut weights, mut velocity) = state.split_at_mut(segments.parameters);
    let weights = write(device, &mut weights);
    let partial = if lars {
        let partial = uninitialised::<f32>(device, 2 * segments.count * segments.blocks as usize)?;
        let arguments = [weights, gradient, table, whole(device, &partial)];
        launch(device, MODULE, "optimiser_square_sums", segments.config(), &arguments)?;
        Some(partial)
    } else {
        None
    };
    let partial_sums = partial.as_ref().map_or(Argument::Address(0), |partial| whole(device, partial));
    let half = half.map_or(Argument::Address(0), |half| write(device, half));
    let arguments =
        [weights, write(device, &mut velocity), gradient, table, read(device, settings), partial_sums, half];
    launch(device, MODULE, "optimiser_momentum", segments.config(), &arguments)
}

/// AdamW on \[w | m | v\]; `half` receives w in bf16.
///
/// # Errors
/// Lengths that do not fit, or the launch fails.
pub fn adamw(
    device: &CudaDevice,
    segments: &Segments,
    state: &mut CudaViewMut<f32>,
    gradient: &CudaView<f32>,
    settings: &CudaView<f32>,
    half: Option<&mut CudaViewMut<bf16>>,
) -> Result<()> {
    check(segments, state.len(), 3, gradient.len(), settings.len(), half.as_ref().map(|h| h.len()))?;
    let (mut weights, mut moments) = state.split_at_mut(segments.parameters);
    let (mut first, mut second) = moments.split_at_mut(segments.parameters);
    let arguments = [
        write(device, &mut weights),
        write(device, &mut first),
        write(device, &mut second),
        read(device, gradient),
        whole(device, &segments.table),
        read(device, settings),
        half.map_or(Argument::Address(0), |half| write(device, half)),
    ];
    launch(device, MODULE, "optimiser_adamw", segments.config(), &arguments)
}
