//! Between f32 and bf16 on an NVIDIA GPU, rounded to nearest, ties to even.

use crate::device::launch::{
    Argument, Element, Module, check_length, launch, linear, read, uninitialised, whole, write,
};
use crate::device::operand::{self, Operand, Source};
use candle_core::backend::BackendStorage;
use candle_core::{CudaDevice, CudaStorage, DType, Layout, Result, bail};
use cudarc::driver::{CudaSlice, CudaView, CudaViewMut};
use half::bf16;

const MODULE: Module = Module { name: "cast", ptx: include_str!(concat!(env!("OUT_DIR"), "/cast.ptx")) };

/// The nearest bf16 of each number.
///
/// # Errors
/// No memory, or the launch fails.
pub fn to_bf16(device: &CudaDevice, x: &CudaView<f32>) -> Result<CudaSlice<bf16>> {
    let out = uninitialised::<bf16>(device, x.len())?;
    convert::<f32, bf16>(device, x, whole(device, &out))?;
    Ok(out)
}

/// Each number in f32, exactly.
///
/// # Errors
/// No memory, or the launch fails.
pub fn to_f32(device: &CudaDevice, x: &CudaView<bf16>) -> Result<CudaSlice<f32>> {
    let out = uninitialised::<f32>(device, x.len())?;
    convert::<bf16, f32>(device, x, whole(device, &out))?;
    Ok(out)
}

/// Writes each number of T, exactly, over what `out` holds.
///
/// # Errors
/// Lengths that differ, or the launch fails.
pub fn widen_into<T: Element>(
    device: &CudaDevice,
    x: &CudaView<T>,
    out: &mut CudaViewMut<f32>,
) -> Result<()> {
    check_length("numbers to be widened", x.len(), out.len())?;
    convert::<T, f32>(device, x, write(device, out))
}

/// Writes the nearest bf16 of each number over what `out` holds.
///
/// # Errors
/// Lengths that differ, or the launch fails.
pub fn narrow_into(device: &CudaDevice, x: &CudaView<f32>, out: &mut CudaViewMut<bf16>) -> Result<()> {
    check_length("numbers to be narrowed", x.len(), out.len())?;
    convert::<f32, bf16>(device, x, write(device, out))
}

/// One launch of the kernel between two different types.
fn convert<T: Element, U: Element>(device: &CudaDevice, x: &CudaView<T>, out: Argument) -> Result<()> {
    let arguments = [read(device, x), out, Argument::I64(x.len() as i64)];
    launch(device, MODULE, &format!("cast_{}_{}", T::NAME, U::NAME), linear(x.len()), &arguments)
}

/// A tensor in another type.
pub(super) fn cast(x: Source, dtype: DType) -> Result<CudaStorage> {
    let device = x.0.device().clone();
    match (x.0.dtype(), dtype) {
        (DType::F32, DType::BF16) => {
            Ok(operand::result(&device, to_bf16(&device, &Operand::new(x)?.view()?)?))
        }
        (DType::BF16, DType::F32) => {
            Ok(operand::result(&device, to_f32(&device, &Operand::new(x)?.view()?)?))
        }
        (from, to) => bail!("cast: between f32 and bf16 only, not from {from:?} to {to:?}"),
    }
}

/// copy <- x.
pub(super) fn refresh(copy: &mut CudaStorage, layout: &Layout, x: Source) -> Result<()> {
    let device = x.0.device().clone();
    let mut out = operand::overwritten::<bf16>("refresh", copy, layout)?;
    narrow_into(&device, &Operand::new(x)?.view()?, &mut out)
}
