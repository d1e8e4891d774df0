//! Between f32 and bf16 on an NVIDIA GPU, rounded to nearest, ties to even.

use crate::cuda::launch::{Argument, Module, launch, linear, read, uninitialised, whole};
use candle_core::{CudaDevice, Result};
use cudarc::driver::{CudaSlice, CudaView};
use half::bf16;

const MODULE: Module = Module { name: "cast", ptx: include_str!(concat!(env!("OUT_DIR"), "/cast.ptx")) };

/// The nearest bf16 of each number.
///
/// # Errors
/// No memory, or the launch fails.
pub fn to_bf16(device: &CudaDevice, x: &CudaView<f32>) -> Result<CudaSlice<bf16>> {
    let out = uninitialised::<bf16>(device, x.len())?;
    let arguments = [read(device, x), whole(device, &out), Argument::I64(x.len() as i64)];
    launch(device, MODULE, "cast_f32_bf16", linear(x.len()), &arguments)?;
    Ok(out)
}

/// Each number in f32, exactly.
///
/// # Errors
/// No memory, or the launch fails.
pub fn to_f32(device: &CudaDevice, x: &CudaView<bf16>) -> Result<CudaSlice<f32>> {
    let out = uninitialised::<f32>(device, x.len())?;
    let arguments = [read(device, x), whole(device, &out), Argument::I64(x.len() as i64)];
    launch(device, MODULE, "cast_bf16_f32", linear(x.len()), &arguments)?;
    Ok(out)
}
