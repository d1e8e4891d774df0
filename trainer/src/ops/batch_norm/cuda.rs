//! Batch normalisation on an NVIDIA GPU: launches of `kernel.cu`, where the formulas stand.
//!
//! x, y, dy, dx \[rows, channels\], f32 or bf16; stats (mean, 1/√(var+ε)), affine (γ, β), gradients (dγ, dβ) and running
//! (mean, var) \[2, channels\], f32. A pass reads each tensor once; training takes two passes forward, two backward.

use crate::cuda::launch::{
    Argument, Element, Module, Tiles, check_length, combine, int, launch, linear, packs, read, read_optional,
    uninitialised, variant, whole, write,
};
use candle_core::{CudaDevice, Result};
use cudarc::driver::{CudaSlice, CudaView, CudaViewMut};

const MODULE: Module =
    Module { name: "batch_norm", ptx: include_str!(concat!(env!("OUT_DIR"), "/batch_norm.ptx")) };

/// Statistics of x; with `running`, those move by `momentum` towards the batch's mean and unbiased variance.
///
/// # Errors
/// Lengths that do not fit the shape, no rows, or the launch fails.
pub fn statistics<T: Element>(
    device: &CudaDevice,
    x: &CudaView<T>,
    (rows, channels): (usize, usize),
    running: Option<&mut CudaViewMut<f32>>,
    epsilon: f32,
    momentum: f32,
) -> Result<CudaSlice<f32>> {
    check_length("x of a batch normalisation", x.len(), rows * channels)?;
    if rows == 0 {
        candle_core::bail!("batch normalisation of no rows has no mean");
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
        None => Argument::Address(0),
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
    let packed = packs(channels, &[input, more]);
    let tiles = Tiles::new(rows, channels, if packed { T::PACK } else { 1 });
    let arguments = [
        input,
        read(device, stats),
        read(device, affine),
        more,
        whole(device, &y),
        Argument::I64(rows as i64),
        Argument::I32(int("channels", channels)?),
        Argument::I32(relu.into()),
    ];
    launch(device, MODULE, &variant::<T>("batch_norm_apply", packed), tiles.elements(), &arguments)?;
    Ok(y)
}

/// g = dy \[where y > 0\] over dy, and dγ = Σ g·x̂, dβ = Σ g. With `y` the layer ended in a ReLU; without it dy is only read.
///
/// # Errors
/// Lengths that do not fit the shape, or the launch fails.
pub fn reduce<T: Element>(
    device: &CudaDevice,
    x: &CudaView<T>,
    (rows, channels): (usize, usize),
    y: Option<&CudaView<T>>,
    gradient: &mut CudaViewMut<T>,
    stats: &CudaView<f32>,
) -> Result<CudaSlice<f32>> {
    check_length("x of a batch normalisation", x.len(), rows * channels)?;
    check_length("the gradient of a batch normalisation", gradient.len(), rows * channels)?;
    check_length("statistics", stats.len(), 2 * channels)?;
    if let Some(y) = y {
        check_length("y of a batch normalisation", y.len(), rows * channels)?;
    }
    let (input, output, gradient) = (read(device, x), read_optional(device, y), write(device, gradient));
    let packed = packs(channels, &[input, output, gradient]);
    let tiles = Tiles::new(rows, channels, if packed { T::PACK } else { 1 });
    let partial = uninitialised::<f32>(device, tiles.chunks * 2 * channels)?;
    let arguments = [
        input,
        output,
        gradient,
        read(device, stats),
        whole(device, &partial),
        Argument::I64(rows as i64),
        Argument::I32(int("channels", channels)?),
        Argument::I64(tiles.chunk_rows as i64),
        Argument::I32(y.is_some().into()),
    ];
    launch(device, MODULE, &variant::<T>("batch_norm_reduce", packed), tiles.sums(), &arguments)?;
    let sums = uninitialised::<f32>(device, 2 * channels)?;
    let (chunks, columns) = (int("chunks", tiles.chunks)?, int("channels", 2 * channels)?);
    let arguments =
        [whole(device, &partial), whole(device, &sums), Argument::I32(chunks), Argument::I32(columns)];
    launch(device, MODULE, "batch_norm_combine", combine(2 * channels), &arguments)?;
    Ok(sums)
}

/// dx = γ/√(var+ε) · (g − dβ/R − x̂·dγ/R), from what [`reduce`] left and returned.
///
/// # Errors
/// Lengths that do not fit the shape, or the launch fails.
pub fn input_gradient<T: Element>(
    device: &CudaDevice,
    x: &CudaView<T>,
    (rows, channels): (usize, usize),
    gradient: &CudaView<T>,
    stats: &CudaView<f32>,
    affine: &CudaView<f32>,
    sums: &CudaView<f32>,
) -> Result<CudaSlice<T>> {
    check_length("x of a batch normalisation", x.len(), rows * channels)?;
    check_length("the gradient of a batch normalisation", gradient.len(), rows * channels)?;
    check_length("statistics", stats.len(), 2 * channels)?;
    check_length("γ and β", affine.len(), 2 * channels)?;
    check_length("dγ and dβ", sums.len(), 2 * channels)?;
    let dx = uninitialised::<T>(device, rows * channels)?;
    let (input, gradient) = (read(device, x), read(device, gradient));
    let packed = packs(channels, &[input, gradient]);
    let tiles = Tiles::new(rows, channels, if packed { T::PACK } else { 1 });
    let arguments = [
        input,
        gradient,
        read(device, stats),
        read(device, affine),
        read(device, sums),
        whole(device, &dx),
        Argument::I64(rows as i64),
        Argument::I32(int("channels", channels)?),
    ];
    launch(device, MODULE, &variant::<T>("batch_norm_input_gradient", packed), tiles.elements(), &arguments)?;
    Ok(dx)
}
