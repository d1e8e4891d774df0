//! NT-Xent on an NVIDIA GPU: the products z·zᵀ by cuBLAS, one kernel for losses and gradient, dz = (G + Gᵀ)·z by
//! cuBLAS.

use crate::device::gemm::{Matrix, gemm};
use crate::device::launch::{
    Argument, Element, Module, block_per_row, check_length, int, launch, uninitialised, whole, write,
};
use crate::device::operand::{self, Operand, Source, for_element};
use crate::ops::normalise::cuda as normalise;
use candle_core::backend::BackendStorage;
use candle_core::{CudaDevice, CudaStorage, Result};
use cudarc::driver::{CudaSlice, CudaView};

const MODULE: Module =
    Module { name: "info_nce", ptx: include_str!(concat!(env!("OUT_DIR"), "/info_nce.ptx")) };

/// The loss of each row of z \[2n, columns\], unit rows whose i-th and (i+n)-th are two views of one sample, and the
/// gradient \[2n, columns\] of the mean loss by z. Memory: one f32 matrix \[2n, 2n\].
///
/// # Errors
/// A length that does not fit, an odd or zero number of rows, a temperature that is not positive or whose inverse is
/// infinite in f32, or a launch fails.
pub fn losses_and_gradient(
    device: &CudaDevice,
    z: &CudaView<f32>,
    (rows, columns): (usize, usize),
    temperature: f32,
) -> Result<(CudaSlice<f32>, CudaSlice<f32>)> {
    check_length("z of a contrastive loss", z.len(), rows * columns)?;
    if rows == 0 || !rows.is_multiple_of(2) {
        candle_core::bail!("a contrastive loss of {rows} rows: expected two views of each sample");
    }
    if !(temperature > 0.0 && temperature.is_finite() && temperature.recip().is_finite()) {
        candle_core::bail!(
            "temperature {temperature:e}: expected a positive number whose inverse f32 can hold"
        );
    }
    let matrix = || Matrix::new(z.slice(..), rows, columns);
    let mut products = uninitialised::<f32>(device, rows * rows)?;
    gemm(device, matrix(), matrix().t(), 0.0, &mut products.as_view_mut())?;
    let losses = uninitialised::<f32>(device, rows)?;
    let arguments = [
        whole(device, &products),
        whole(device, &losses),
        Argument::I32(int("samples", rows / 2)?),
        Argument::F32(temperature),
    ];
    launch(device, MODULE, "info_nce_rows", block_per_row(rows, rows), &arguments)?;
    let mut gradient = uninitialised::<f32>(device, rows * columns)?;
    let shares = || Matrix::new(products.as_view(), rows, rows);
    gemm(device, shares(), matrix(), 0.0, &mut gradient.as_view_mut())?;
    gemm(device, shares().t(), matrix(), 1.0, &mut gradient.as_view_mut())?;
    Ok((losses, gradient))
}

/// The mean loss of rows z \[2n, columns\] that are normalised first, and its gradient: \[2n·columns + 1\], dz and then
/// the loss.
///
/// # Errors
/// As [`losses_and_gradient`].
pub fn loss_and_gradient<T: Element>(
    device: &CudaDevice,
    z: &CudaView<T>,
    shape: (usize, usize),
    temperature: f32,
) -> Result<CudaSlice<f32>> {
    let (rows, columns) = shape;
    let unit = normalise::forward(device, z, shape)?;
    let (losses, du) = losses_and_gradient(device, &unit.rows.as_view(), shape, temperature)?;
    let mut packed = uninitialised::<f32>(device, rows * columns + 1)?;
    let (mut dz, mut mean) = packed.split_at_mut(rows * columns);
    normalise::backward(device, &unit, shape, &du.as_view(), &mut dz)?;
    let arguments = [whole(device, &losses), write(device, &mut mean), Argument::I32(int("rows", rows)?)];
    launch(device, MODULE, "info_nce_mean", block_per_row(1, rows), &arguments)?;
    Ok(packed)
}

/// [`loss_and_gradient`] of a tensor.
pub(super) fn packed(shape: (usize, usize), z: Source, temperature: f64) -> Result<CudaStorage> {
    let device = z.0.device();
    for_element!(z.0, T => {
        let packed =
            loss_and_gradient(device, &Operand::<T>::new(z)?.view()?, shape, temperature as f32)?;
        Ok(operand::result(device, packed))
    })
}
