//! Rows of unit length on an NVIDIA GPU: u = z/‖z‖. z \[rows, columns\], f32 or bf16; u in f32.
//!
//! A zero row stays zero and gets a zero gradient; a row whose sum of squares is infinite or NaN becomes NaN.

use crate::device::launch::{
    Argument, Element, Module, block_per_row, check_length, int, launch, read, uninitialised, variant, whole,
    write,
};
use crate::device::operand::{self, Operand, Source, for_element};
use candle_core::backend::BackendStorage;
use candle_core::{CudaDevice, CudaStorage, Result};
use cudarc::driver::{CudaSlice, CudaView, CudaViewMut};

const MODULE: Module =
    Module { name: "normalise", ptx: include_str!(concat!(env!("OUT_DIR"), "/normalise.ptx")) };

/// Unit rows u \[rows, columns\] and the inverse lengths of z \[rows\], 0 for a zero row.
pub struct Unit {
    /// u.
    pub rows: CudaSlice<f32>,
    /// 1/‖z‖.
    pub inverses: CudaSlice<f32>,
}

/// u = z/‖z‖.
///
/// # Errors
/// A length that does not fit the shape, or the launch fails.
pub fn forward<T: Element>(
    device: &CudaDevice,
    z: &CudaView<T>,
    (rows, columns): (usize, usize),
) -> Result<Unit> {
    check_length("z of a normalisation", z.len(), rows * columns)?;
    let unit = Unit {
        rows: uninitialised::<f32>(device, rows * columns)?,
        inverses: uninitialised::<f32>(device, rows)?,
    };
    let sizes = (Argument::I64(rows as i64), Argument::I32(int("columns", columns)?));
    let arguments =
        [read(device, z), whole(device, &unit.rows), whole(device, &unit.inverses), sizes.0, sizes.1];
    launch(
        device,
        MODULE,
        &variant::<T>("normalise_forward", false),
        block_per_row(rows, columns),
        &arguments,
    )?;
    Ok(unit)
}

/// dz = (du − u·⟨u, du⟩) / ‖z‖, over what `dz` holds.
///
/// # Errors
/// Lengths that do not fit the shape, or the launch fails.
pub fn backward<T: Element>(
    device: &CudaDevice,
    unit: &Unit,
    (rows, columns): (usize, usize),
    du: &CudaView<f32>,
    dz: &mut CudaViewMut<T>,
) -> Result<()> {
    check_length("unit rows", unit.rows.len(), rows * columns)?;
    check_length("inverse lengths of rows", unit.inverses.len(), rows)?;
    check_length("the gradient of unit rows", du.len(), rows * columns)?;
    check_length("the gradient of rows", dz.len(), rows * columns)?;
    let arguments = [
        whole(device, &unit.rows),
        whole(device, &unit.inverses),
        read(device, du),
        write(device, dz),
        Argument::I64(rows as i64),
        Argument::I32(int("columns", columns)?),
    ];
    launch(
        device,
        MODULE,
        &variant::<T>("normalise_backward", false),
        block_per_row(rows, columns),
        &arguments,
    )
}

/// u of a tensor.
pub(super) fn unit_rows(shape: (usize, usize), z: Source) -> Result<CudaStorage> {
    let device = z.0.device();
    for_element!(z.0, T => {
        Ok(operand::result(device, forward(device, &Operand::<T>::new(z)?.view()?, shape)?.rows))
    })
}

/// dz of tensors, in the type of z.
pub(super) fn gradient(shape: (usize, usize), z: Source, du: Source) -> Result<CudaStorage> {
    let (device, du) = (z.0.device(), Operand::new(du)?);
    for_element!(z.0, T => {
        let unit = forward(device, &Operand::<T>::new(z)?.view()?, shape)?;
        let mut dz = uninitialised::<T>(device, shape.0 * shape.1)?;
        backward(device, &unit, shape, &du.view()?, &mut dz.as_view_mut())?;
        Ok(operand::result(device, dz))
    })
}
