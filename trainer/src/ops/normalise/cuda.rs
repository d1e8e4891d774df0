//! Rows of unit length on an NVIDIA GPU: u = z/r, r = √(‖z‖² + 1e-24). z \[rows, columns\], f32 or bf16; u and r in f32.

use crate::cuda::launch::{
    Argument, Element, Module, block_per_row, check_length, int, launch, read, uninitialised, variant, whole,
};
use candle_core::{CudaDevice, Result};
use cudarc::driver::{CudaSlice, CudaView};

const MODULE: Module =
    Module { name: "normalise", ptx: include_str!(concat!(env!("OUT_DIR"), "/normalise.ptx")) };

/// u \[rows, columns\] and r \[rows\].
///
/// # Errors
/// A length that does not fit the shape, or the launch fails.
pub fn forward<T: Element>(
    device: &CudaDevice,
    z: &CudaView<T>,
    (rows, columns): (usize, usize),
) -> Result<(CudaSlice<f32>, CudaSlice<f32>)> {
    check_length("z of a normalisation", z.len(), rows * columns)?;
    let (unit, lengths) =
        (uninitialised::<f32>(device, rows * columns)?, uninitialised::<f32>(device, rows)?);
    let sizes = (Argument::I64(rows as i64), Argument::I32(int("columns", columns)?));
    let arguments = [read(device, z), whole(device, &unit), whole(device, &lengths), sizes.0, sizes.1];
    launch(
        device,
        MODULE,
        &variant::<T>("normalise_forward", false),
        block_per_row(rows, columns),
        &arguments,
    )?;
    Ok((unit, lengths))
}

/// dz = (du − u·⟨u, du⟩) / r.
///
/// # Errors
/// Lengths that do not fit the shape, or the launch fails.
pub fn backward<T: Element>(
    device: &CudaDevice,
    unit: &CudaView<f32>,
    (rows, columns): (usize, usize),
    lengths: &CudaView<f32>,
    gradient: &CudaView<f32>,
) -> Result<CudaSlice<T>> {
    check_length("unit rows", unit.len(), rows * columns)?;
    check_length("lengths of rows", lengths.len(), rows)?;
    check_length("the gradient of unit rows", gradient.len(), rows * columns)?;
    let dz = uninitialised::<T>(device, rows * columns)?;
    let arguments = [
        read(device, unit),
        read(device, lengths),
        read(device, gradient),
        whole(device, &dz),
        Argument::I64(rows as i64),
        Argument::I32(int("columns", columns)?),
    ];
    launch(
        device,
        MODULE,
        &variant::<T>("normalise_backward", false),
        block_per_row(rows, columns),
        &arguments,
    )?;
    Ok(dz)
}
