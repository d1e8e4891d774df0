//! The mean over positions on an NVIDIA GPU: x \[batch, positions, channels\], y \[batch, channels\], f32 or bf16.

use crate::device::launch::{
    Argument, Element, Module, check_length, int, launch, linear, packs, read, uninitialised, variant, whole,
};
use crate::device::operand::{self, Operand, Source, for_element};
use candle_core::backend::BackendStorage;
use candle_core::{CudaDevice, CudaStorage, Result};
use cudarc::driver::{CudaSlice, CudaView};

const MODULE: Module = Module { name: "pool", ptx: include_str!(concat!(env!("OUT_DIR"), "/pool.ptx")) };

/// y\[n, c\] = Σ_p x\[n, p, c\] / positions.
///
/// # Errors
/// A length that does not fit the shape, no positions, or the launch fails.
pub fn forward<T: Element>(
    device: &CudaDevice,
    x: &CudaView<T>,
    shape: (usize, usize, usize),
) -> Result<CudaSlice<T>> {
    let (batch, positions, channels) = shape;
    check_length("x of a mean over positions", x.len(), batch * positions * channels)?;
    if positions == 0 {
        candle_core::bail!("the mean over no positions is not a number");
    }
    run(device, "pool_forward", x, shape, batch * channels)
}

/// dx\[n, p, c\] = dy\[n, c\] / positions.
///
/// # Errors
/// A length that does not fit the shape, or the launch fails.
pub fn backward<T: Element>(
    device: &CudaDevice,
    dy: &CudaView<T>,
    shape: (usize, usize, usize),
) -> Result<CudaSlice<T>> {
    let (batch, positions, channels) = shape;
    check_length("dy of a mean over positions", dy.len(), batch * channels)?;
    run(device, "pool_backward", dy, shape, batch * positions * channels)
}

fn run<T: Element>(
    device: &CudaDevice,
    kernel: &str,
    from: &CudaView<T>,
    (batch, positions, channels): (usize, usize, usize),
    count: usize,
) -> Result<CudaSlice<T>> {
    let out = uninitialised::<T>(device, count)?;
    let from = read(device, from);
    let packed = packs(channels, &[from]);
    let arguments = [
        from,
        whole(device, &out),
        Argument::I64(batch as i64),
        Argument::I32(int("positions", positions)?),
        Argument::I32(int("channels", channels)?),
    ];
    launch(
        device,
        MODULE,
        &variant::<T>(kernel, packed),
        linear(count / if packed { T::PACK } else { 1 }),
        &arguments,
    )?;
    Ok(out)
}

/// y of a tensor.
pub(super) fn mean(x: Source, shape: (usize, usize, usize)) -> Result<CudaStorage> {
    let device = x.0.device();
    for_element!(x.0, T => {
        Ok(operand::result(device, forward(device, &Operand::<T>::new(x)?.view()?, shape)?))
    })
}

/// dx of a tensor.
pub(super) fn spread(dy: Source, shape: (usize, usize, usize)) -> Result<CudaStorage> {
    let device = dy.0.device();
    for_element!(dy.0, T => {
        Ok(operand::result(device, backward(device, &Operand::<T>::new(dy)?.view()?, shape)?))
    })
}
