//! One optimiser step on an NVIDIA GPU: launches of `kernel.cu`, where the formulas stand.
//!
//! `state` is \[w | v\] for SGD and LARS, \[w | m | v\] for AdamW, each part of P elements; the gradient has P. Rates
//! and the like are read from a buffer on the device, made by [`momentum_settings`] or [`adamw_settings`] and rewritten
//! before each step by [`set`], a kernel that carries them as arguments: nothing waits for a copy from the host.

use super::{Halves, Optimiser, Rule, Segment};
use crate::device::launch::{
    Argument, BLOCK, Module, NULL, check_length, int, launch, read, read_optional, uninitialised, whole,
    write,
};
use crate::device::operand::{self, Operand, Source, with};
use candle_core::backend::BackendStorage;
use candle_core::{CudaDevice, CudaStorage, Layout, Result, bail};
use cudarc::driver::{CudaSlice, CudaView, CudaViewMut, LaunchConfig};
use half::bf16;
use std::sync::PoisonError;

const MODULE: Module =
    Module { name: "optimiser", ptx: include_str!(concat!(env!("OUT_DIR"), "/optimiser.ptx")) };

/// Numbers in a buffer of settings.
pub const SETTINGS: usize = 9;

/// Elements of a block that has enough of them: 4 packs of 4 a thread.
const BLOCK_ELEMENTS: usize = 16 * BLOCK as usize;
/// Blocks of a segment, at most: each of them adds the partial sums of all.
const SEGMENT_BLOCKS: usize = 256;

/// The segments of a parameter vector, and how blocks share them out, on the device.
#[derive(Debug)]
pub struct Segments {
    /// \[S, 6\]: start, length, flags, first block, number of blocks, elements of a block.
    table: CudaSlice<u64>,
    /// \[B\]: the segment of each block.
    blocks: CudaSlice<u32>,
    /// B.
    count: usize,
    /// P.
    parameters: usize,
}

impl Segments {
    /// Uploads the table of a vector of this many parameters.
    ///
    /// # Errors
    /// A segment that ends beyond the vector or overlaps an earlier one, or no memory.
    pub fn new(device: &CudaDevice, segments: &[Segment], parameters: usize) -> Result<Self> {
        let mut end = 0;
        let (mut table, mut blocks) = (Vec::new(), Vec::new());
        for (index, segment) in segments.iter().enumerate() {
            if segment.start < end || segment.start + segment.length > parameters {
                candle_core::bail!(
                    "segment {index}, {segment:?}: overlaps the one before or ends beyond {parameters} parameters"
                );
            }
            end = segment.start + segment.length;
            let elements = segment.length.div_ceil(SEGMENT_BLOCKS).next_multiple_of(4).max(BLOCK_ELEMENTS);
            let count = segment.length.div_ceil(elements);
            let flags = u64::from(segment.decays)
                | u64::from(segment.adapts) << 1
                | u64::from(segment.half_gradient) << 2;
            let sizes = [segment.start, segment.length, blocks.len(), count, elements].map(|n| n as u64);
            table.extend([sizes[0], sizes[1], flags, sizes[2], sizes[3], sizes[4]]);
            blocks.extend(std::iter::repeat_n(index as u32, count));
        }
        int("blocks of an optimiser", blocks.len())?;
        // A block of no segment is never launched, but CUDA has no empty allocation.
        table.resize(table.len().max(6), 0);
        let count = blocks.len();
        blocks.resize(count.max(1), 0);
        let (table, blocks) = (device.clone_htod(&table)?, device.clone_htod(&blocks)?);
        Ok(Self { table, blocks, count, parameters })
    }

    fn config(&self) -> LaunchConfig {
        LaunchConfig { grid_dim: (self.count as u32, 1, 1), block_dim: (BLOCK, 1, 1), shared_mem_bytes: 0 }
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
    step: u64,
) -> [f32; SETTINGS] {
    let correction = |beta: f64| 1.0 - beta.powf(step as f64);
    [rate, decay, beta1, beta2, epsilon, correction(beta1), correction(beta2), 1.0 - beta1, 1.0 - beta2]
        .map(|v| v as f32)
}

/// Rewrites a buffer of settings, in the order of the stream.
///
/// # Errors
/// A buffer of another length, or the launch fails.
pub fn set(device: &CudaDevice, buffer: &mut CudaViewMut<f32>, settings: [f32; SETTINGS]) -> Result<()> {
    check_length("the settings of an optimiser", buffer.len(), SETTINGS)?;
    let mut arguments = vec![write(device, buffer)];
    arguments.extend(settings.map(Argument::F32));
    let one = LaunchConfig { grid_dim: (1, 1, 1), block_dim: (1, 1, 1), shared_mem_bytes: 0 };
    launch(device, MODULE, "optimiser_set", one, &arguments)
}

/// What a step reads and writes in bf16, \[P\] each: the values receive w (a view for reading, since the kernel's write is
/// all there is); the gradient is that of the segments that say so.
#[derive(Clone, Copy)]
pub struct HalfViews<'a> {
    /// w.
    pub values: &'a CudaView<'a, bf16>,
    /// The gradient.
    pub gradient: &'a CudaView<'a, bf16>,
}

fn check(
    segments: &Segments,
    state: usize,
    parts: usize,
    gradient: usize,
    settings: usize,
    half: Option<HalfViews>,
) -> Result<()> {
    check_length("the state of an optimiser", state, parts * segments.parameters)?;
    check_length("the gradient of an optimiser", gradient, segments.parameters)?;
    check_length("the settings of an optimiser", settings, SETTINGS)?;
    let Some(half) = half else { return Ok(()) };
    check_length("the bf16 parameters", half.values.len(), segments.parameters)?;
    check_length("the bf16 gradient", half.gradient.len(), segments.parameters)
}

/// SGD with momentum, or LARS, on \[w | v\].
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
    half: Option<HalfViews>,
) -> Result<()> {
    check(segments, state.len(), 2, gradient.len(), settings.len(), half)?;
    let (table, blocks) = (whole(device, &segments.table), whole(device, &segments.blocks));
    let gradient = read(device, gradient);
    let half_gradient = read_optional(device, half.map(|half| half.gradient));
    let (mut weights, mut velocity) = state.split_at_mut(segments.parameters);
    let weights = write(device, &mut weights);
    let partial = if lars {
        let partial = uninitialised::<f32>(device, 2 * segments.blocks.len())?;
        let arguments = [weights, gradient, half_gradient, table, blocks, whole(device, &partial)];
        launch(device, MODULE, "optimiser_square_sums", segments.config(), &arguments)?;
        Some(partial)
    } else {
        None
    };
    let partial_sums = partial.as_ref().map_or(NULL, |partial| whole(device, partial));
    let arguments = [
        weights,
        write(device, &mut velocity),
        gradient,
        half_gradient,
        table,
        blocks,
        read(device, settings),
        partial_sums,
        read_optional(device, half.map(|half| half.values)),
    ];
    launch(device, MODULE, "optimiser_momentum", segments.config(), &arguments)
}

/// AdamW on \[w | m | v\].
///
/// # Errors
/// Lengths that do not fit, or the launch fails.
pub fn adamw(
    device: &CudaDevice,
    segments: &Segments,
    state: &mut CudaViewMut<f32>,
    gradient: &CudaView<f32>,
    settings: &CudaView<f32>,
    half: Option<HalfViews>,
) -> Result<()> {
    check(segments, state.len(), 3, gradient.len(), settings.len(), half)?;
    let (mut weights, mut moments) = state.split_at_mut(segments.parameters);
    let (mut first, mut second) = moments.split_at_mut(segments.parameters);
    let arguments = [
        write(device, &mut weights),
        write(device, &mut first),
        write(device, &mut second),
        read(device, gradient),
        read_optional(device, half.map(|half| half.gradient)),
        whole(device, &segments.table),
        whole(device, &segments.blocks),
        read(device, settings),
        read_optional(device, half.map(|half| half.values)),
    ];
    launch(device, MODULE, "optimiser_adamw", segments.config(), &arguments)
}

/// What an optimiser keeps on its device.
#[derive(Debug)]
pub(super) struct Session {
    settings: CudaSlice<f32>,
    /// Uploaded by the first step.
    segments: Option<Segments>,
}

impl Optimiser {
    pub(super) fn prepare_cuda(&self, device: &CudaDevice, rate: f64, step: u64) -> Result<()> {
        if let Rule::Lars { clip: true, .. } = self.rule {
            bail!("optimiser: LARS clips on the CPU only")
        }
        let settings = match self.rule {
            Rule::Sgd { momentum } => momentum_settings(rate, self.weight_decay, momentum, 1.0),
            Rule::Lars { trust, momentum, .. } => momentum_settings(rate, self.weight_decay, momentum, trust),
            Rule::AdamW { beta1, beta2, epsilon } => {
                adamw_settings(rate, self.weight_decay, (beta1, beta2), epsilon, step)
            }
        };
        let mut session = self.device.lock().unwrap_or_else(PoisonError::into_inner);
        let session = match &mut *session {
            Some(session) => session,
            none => none.insert(Session { settings: uninitialised(device, SETTINGS)?, segments: None }),
        };
        set(device, &mut session.settings.as_view_mut(), settings)
    }

    pub(super) fn apply_cuda(
        &self,
        (state, layout): (&mut CudaStorage, &Layout),
        gradient: Source,
        half: Option<&Halves>,
    ) -> Result<()> {
        let device = gradient.0.device();
        let gradient = Operand::new(gradient)?;
        let gradient = gradient.view()?;
        let mut state = operand::overwritten("optimiser-step", state, layout)?;
        let mut session = self.device.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Session { settings, segments }) = &mut *session else {
            bail!("optimiser: no step was prepared")
        };
        let segments = match segments {
            Some(segments) => segments,
            none => none.insert(Segments::new(device, &self.segments, gradient.len())?),
        };
        let settings = settings.as_view();
        let mut step = |half: Option<HalfViews>| match self.rule {
            Rule::AdamW { .. } => adamw(device, segments, &mut state, &gradient, &settings, half),
            Rule::Lars { .. } => momentum(device, segments, &mut state, &gradient, &settings, true, half),
            Rule::Sgd { .. } => momentum(device, segments, &mut state, &gradient, &settings, false, half),
        };
        let Some(Halves { values, gradient }) = half else { return step(None) };
        if !values.is_contiguous() {
            bail!("optimiser: the parameters in bf16 must be contiguous")
        }
        with(values, |values| with(gradient, |gradient| step(Some(HalfViews { values, gradient }))))
    }
}
