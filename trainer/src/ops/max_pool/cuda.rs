//! Max pooling on an NVIDIA GPU: x \[N, H, W, C\], y \[N, ⌈H/2⌉, ⌈W/2⌉, C\], f32 or bf16.

use super::{Sizes, output};
use crate::device::launch::{
    Argument, Element, Module, check_length, int, launch, linear, packs, read, uninitialised, variant, whole,
};
use crate::device::operand::{self, Operand, Source, for_element};
use candle_core::backend::BackendStorage;
use candle_core::{CudaDevice, CudaStorage, Result};
use cudarc::driver::{CudaSlice, CudaView};

const MODULE: Module =
    Module { name: "max_pool", ptx: include_str!(concat!(env!("OUT_DIR"), "/max_pool.ptx")) };

/// y.
///
/// # Errors
/// A length that does not fit the shape, or the launch fails.
pub fn forward<T: Element>(device: &CudaDevice, x: &CudaView<T>, sizes: Sizes) -> Result<CudaSlice<T>> {
    check_length("x of max pooling", x.len(), sizes.iter().product())?;
    let y = uninitialised::<T>(device, output(sizes).iter().product())?;
    run::<T>(device, "max_pool_forward", &[read(device, x), whole(device, &y)], sizes, y.len())?;
    Ok(y)
}

/// dx.
///
/// # Errors
/// A length that does not fit the shape, or the launch fails.
pub fn backward<T: Element>(
    device: &CudaDevice,
    x: &CudaView<T>,
    dy: &CudaView<T>,
    sizes: Sizes,
) -> Result<CudaSlice<T>> {
    check_length("x of max pooling", x.len(), sizes.iter().product())?;
    check_length("dy of max pooling", dy.len(), output(sizes).iter().product())?;
    let dx = uninitialised::<T>(device, x.len())?;
    let operands = [read(device, x), read(device, dy), whole(device, &dx)];
    run::<T>(device, "max_pool_backward", &operands, sizes, dx.len())?;
    Ok(dx)
}

/// One thread a pack of the `count` elements that are written.
fn run<T: Element>(
    device: &CudaDevice,
    kernel: &str,
    operands: &[Argument],
    [images, height, width, channels]: Sizes,
    count: usize,
) -> Result<()> {
    let packed = packs(channels, operands);
    let sizes = [
        Argument::I64(images as i64),
        Argument::I32(int("height", height)?),
        Argument::I32(int("width", width)?),
        Argument::I32(int("channels", channels)?),
    ];
    let arguments = [operands, &sizes].concat();
    let items = count / if packed { T::PACK } else { 1 };
    launch(device, MODULE, &variant::<T>(kernel, packed), linear(items), &arguments)
}

/// y of a tensor.
pub(super) fn largest(x: Source, sizes: Sizes) -> Result<CudaStorage> {
    let device = x.0.device();
    for_element!(x.0, T => {
        Ok(operand::result(device, forward(device, &Operand::<T>::new(x)?.view()?, sizes)?))
    })
}

/// dx of tensors.
pub(super) fn scatter(x: Source, dy: Source, sizes: Sizes) -> Result<CudaStorage> {
    let device = x.0.device();
    for_element!(x.0, T => {
        let (x, dy) = (Operand::<T>::new(x)?, Operand::new(dy)?);
        Ok(operand::result(device, backward(device, &x.view()?, &dy.view()?, sizes)?))
    })
}
