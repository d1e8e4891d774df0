//! Batch normalisation on an NVIDIA GPU: launches of `kernel.cu`, where the formulas stand.
//!
//! x, y, dy, dx \[rows, channels\], f32 or bf16; stats (mean, 1/√(var+ε)), affine (γ, β), gradients (dγ, dβ) and
//! running (mean, var) \[2, channels\], f32. A pass reads each tensor once; training takes two passes forward, two
//! backward.

use crate::device::launch::{
    Argument, Element, Module, NULL, Tiles, check_length, combine, int, launch, linear, packs, read,
    read_optional, uninitialised, variant, whole, write,
};
use candle_core::{CudaDevice, Result};
use cudarc::driver::{CudaSlice, CudaView, CudaViewMut};

pub(super) mod op;

const MODULE: Module =
    Module { name: "batch_norm", ptx: include_str!(concat!(env!("OUT_DIR"), "/batch_norm.ptx")) };

/// Statistics of x; with `running`, those move by `momentum` towards the batch's mean and unbiased variance.
///
/// # Errors
/// Lengths that do not fit the shape, fewer than two rows, or the launch fails.
pub fn statistics<T: Element>(
    device: &CudaDevice,
    x: &CudaView<T>,
    (rows, channels): (usize, usize),
    running: Option<&mut CudaViewMut<f32>>,
    epsilon: f32,
    momentum: f32,
) -> Result<CudaSlice<f32>> {
    check_length("x of a batch normalisation", x.len(), rows * channels)?;
    if rows < 2 {
        candle_core::bail!(
            "batch norm: training needs at least two rows per channel, not {rows} of {channels} channels"
        );
    }
    let input = read(device, x);
    let packed = packs(channels, &[input]);
    let tiles = Tiles::new(rows, channels, if packed { T::PACK } else { 1 });
    let partial = uninitialised::<f32>(device, tiles.chunks * 2 * channels)?;
    let (count, columns) = (Argument::I64(rows as i64), Argument::I32(int("channels", channels)?));
    let chunk_rows = Argument::I64(tiles.chunk_rows as i64);
    let kernel = variant::<T>("batch_norm_moments", packed);
    launch(
        device,
        MODULE,
        &kernel,
        tiles.sums(),
        &[input, whole(device, &partial), count, columns, chunk_rows],
    )?;

    let stats = uninitialised::<f32>(device, 2 * channels)?;
    let running = match running {
        Some(running) => {
            check_length("running statistics", running.len(), 2 * channels)?;
            write(device, running)
        }
        None => NULL,
    };
    let chunks = Argument::I32(int("chunks", tiles.chunks)?);
    let (epsilon, momentum) = (Argument::F32(epsilon), Argument::F32(momentum));
    let arguments = [
        whole(device, &partial),
        whole(device, &stats),
        running,
        count,
        columns,
        chunk_rows,
        chunks,
        epsilon,
        momentum,
    ];
    launch(device, MODULE, "batch_norm_statistics", combine(channels), &arguments)?;
    Ok(stats)
}

/// Statistics for evaluation: those that the running buffers hold.
///
/// # Errors
/// Lengths that do not fit, or the launch fails.
pub fn running_statistics(
    device: &CudaDevice,
    running: &CudaView<f32>,
    channels: usize,
    epsilon: f32,
) -> Result<CudaSlice<f32>> {
    check_length("running statistics", running.len(), 2 * channels)?;
    let stats = uninitialised::<f32>(device, 2 * channels)?;
    let arguments = [
        read(device, running),
        whole(device, &stats),
        Argument::I32(int("channels", channels)?),
        Argument::F32(epsilon),
    ];
    launch(device, MODULE, "batch_norm_running_statistics", linear(channels), &arguments)?;
    Ok(stats)
}

/// y = γ·x̂ + β \[+ residual\] \[then max(·, 0)\].
///
/// # Errors
/// Lengths that do not fit the shape, or the launch fails.
pub fn apply<T: Element>(
    device: &CudaDevice,
    x: &CudaView<T>,
    (rows, channels): (usize, usize),
    stats: &CudaView<f32>,
    affine: &CudaView<f32>,
    residual: Option<&CudaView<T>>,
    relu: bool,
) -> Result<CudaSlice<T>> {
    check_length("x of a batch normalisation", x.len(), rows * channels)?;
    check_length("statistics", stats.len(), 2 * channels)?;
    check_length("γ and β", affine.len(), 2 * channels)?;
    if let Some(residual) = residual {
        check_length("the residual of a batch normalisation", residual.len(), rows * channels)?;
    }
    let y = uninitialised::<T>(device, rows * channels)?;
    let (input, more) = (read(device, x), read_optional(device, residual));
    let (stats, affine) = (read(device, stats), read(device, affine));
    let packed = packs(channels, &[input, more, stats, affine]);
    let tiles = Tiles::new(rows, channels, if packed { T::PACK } else { 1 });
    let arguments = [
        input,
        stats,
        affine,
        more,
        whole(device, &y),
        Argument::I64(rows as i64),
        Argument::I32(int("channels", channels)?),
        Argument::I32(relu.into()),
    ];
    launch(device, MODULE, &variant::<T>("batch_norm_apply", packed), tiles.elements(), &arguments)?;
    Ok(y)
}

/// What the backward pass needs of the forward pass.
#[derive(Clone, Copy)]
pub struct Forward<'a, T> {
    /// The input x.
    pub x: &'a CudaView<'a, T>,
    /// Rows and channels of x.
    pub shape: (usize, usize),
    /// The statistics that were applied.
    pub stats: &'a CudaView<'a, f32>,
    /// γ and β.
    pub affine: &'a CudaView<'a, f32>,
}

impl<T: Element> Forward<'_, T> {
    fn check(&self, gradient: usize) -> Result<()> {
        let (rows, channels) = self.shape;
        check_length("x of a batch normalisation", self.x.len(), rows * channels)?;
        check_length("the gradient of a batch normalisation", gradient, rows * channels)?;
        check_length("statistics", self.stats.len(), 2 * channels)?;
        check_length("γ and β", self.affine.len(), 2 * channels)
    }

    /// x, statistics, γ and β.
    fn arguments(&self, device: &CudaDevice) -> [Argument<'_>; 3] {
        [read(device, self.x), read(device, self.stats), read(device, self.affine)]
    }
}

/// Partial sums \[chunks, 2, channels\] of dγ = Σ g·x̂ and dβ = Σ g; with `relu`, g = dy where γ·x̂ + β > 0, as it was where no residual was added.
///
/// # Errors
/// Lengths that do not fit the shape, or the launch fails.
pub fn reduce<T: Element>(
    device: &CudaDevice,
    forward: Forward<T>,
    dy: &CudaView<T>,
    relu: bool,
) -> Result<CudaSlice<f32>> {
    forward.check(dy.len())?;
    partial_sums(device, forward, NULL, read(device, dy), relu)
}

/// Partial sums \[chunks, 2, channels\] of dγ = Σ g·x̂ and dβ = Σ g, where g = dy where y > 0, which is written over dy.
///
/// # Errors
/// Lengths that do not fit the shape, or the launch fails.
pub fn masked_reduce<T: Element>(
    device: &CudaDevice,
    forward: Forward<T>,
    y: &CudaView<T>,
    dy: &mut CudaViewMut<T>,
) -> Result<CudaSlice<f32>> {
    forward.check(dy.len())?;
    check_length("y of a batch normalisation", y.len(), dy.len())?;
    partial_sums(device, forward, read(device, y), write(device, dy), true)
}

fn partial_sums<T: Element>(
    device: &CudaDevice,
    forward: Forward<T>,
    y: Argument,
    dy: Argument,
    relu: bool,
) -> Result<CudaSlice<f32>> {
    let (rows, channels) = forward.shape;
    let [input, stats, affine] = forward.arguments(device);
    let packed = packs(channels, &[input, y, dy, stats, affine]);
    let tiles = Tiles::new(rows, channels, if packed { T::PACK } else { 1 });
    let partial = uninitialised::<f32>(device, tiles.chunks * 2 * channels)?;
    let arguments = [
        input,
        y,
        dy,
        stats,
        affine,
        whole(device, &partial),
        Argument::I64(rows as i64),
        Argument::I32(int("channels", channels)?),
        Argument::I64(tiles.chunk_rows as i64),
        Argument::I32(relu.into()),
    ];
    launch(device, MODULE, &variant::<T>("batch_norm_reduce", packed), tiles.sums(), &arguments)?;
    Ok(partial)
}

/// dx = γ/√(var+ε) · (g − dβ/R − x̂·dγ/R) from (dγ, dβ); with `relu`, g is dy masked by the sign that x gives, else dy
/// itself.
///
/// # Errors
/// Lengths that do not fit the shape, or the launch fails.
pub fn input_gradient<T: Element>(
    device: &CudaDevice,
    forward: Forward<T>,
    dy: &CudaView<T>,
    sums: &CudaView<f32>,
    relu: bool,
) -> Result<CudaSlice<T>> {
    forward.check(dy.len())?;
    let dx = uninitialised::<T>(device, dy.len())?;
    propagate(device, forward, read(device, dy), whole(device, &dx), sums, relu)?;
    Ok(dx)
}

/// As [`input_gradient`], written over dy.
///
/// # Errors
/// Lengths that do not fit the shape, or the launch fails.
pub fn input_gradient_in_place<T: Element>(
    device: &CudaDevice,
    forward: Forward<T>,
    dy: &mut CudaViewMut<T>,
    sums: &CudaView<f32>,
    relu: bool,
) -> Result<()> {
    forward.check(dy.len())?;
    let place = write(device, dy);
    propagate(device, forward, place, place, sums, relu)
}

fn propagate<T: Element>(
    device: &CudaDevice,
    forward: Forward<T>,
    dy: Argument,
    dx: Argument,
    sums: &CudaView<f32>,
    relu: bool,
) -> Result<()> {
    let (rows, channels) = forward.shape;
    check_length("dγ and dβ", sums.len(), 2 * channels)?;
    let ([input, stats, affine], sums) = (forward.arguments(device), read(device, sums));
    let packed = packs(channels, &[input, dy, dx, stats, affine, sums]);
    let tiles = Tiles::new(rows, channels, if packed { T::PACK } else { 1 });
    let arguments = [
        input,
        dy,
        stats,
        affine,
        sums,
        dx,
        Argument::I64(rows as i64),
        Argument::I32(int("channels", channels)?),
        Argument::I32(relu.into()),
    ];
    launch(device, MODULE, &variant::<T>("batch_norm_input_gradient", packed), tiles.elements(), &arguments)
}
