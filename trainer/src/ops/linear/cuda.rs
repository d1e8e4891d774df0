//! Linear layers on an NVIDIA GPU: y = max(x·Wᵀ + b, 0), x \[rows, in\], W \[out, in\], products by cuBLAS.

use crate::cuda::gemm::{Matrix, gemm};
use crate::cuda::launch::{
    Argument, Element, Module, Tiles, check_length, combine, int, launch, packs, read, read_optional,
    uninitialised, variant, whole, write,
};
use candle_core::{CudaDevice, Result};
use cudarc::driver::{CudaSlice, CudaView, CudaViewMut};

const MODULE: Module = Module { name: "linear", ptx: include_str!(concat!(env!("OUT_DIR"), "/linear.ptx")) };

/// Rows, inputs and outputs of a layer.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Rows of x and y.
    pub rows: usize,
    /// Columns of x.
    pub inputs: usize,
    /// Columns of y.
    pub outputs: usize,
}

/// y = x·Wᵀ \[+ b\] \[then max(·, 0)\].
///
/// # Errors
/// Lengths that do not fit the shape, or the launch fails.
pub fn forward<T: Element>(
    device: &CudaDevice,
    shape: Shape,
    x: &CudaView<T>,
    weight: &CudaView<T>,
    bias: Option<&CudaView<f32>>,
    relu: bool,
) -> Result<CudaSlice<T>> {
    let Shape { rows, inputs, outputs } = shape;
    let mut y = uninitialised::<T>(device, rows * outputs)?;
    let (x, weight) =
        (Matrix::new(x.slice(..), rows, inputs), Matrix::new(weight.slice(..), outputs, inputs));
    gemm(device, x, weight.t(), 0.0, &mut y.as_view_mut())?;
    if let Some(bias) = bias {
        check_length("the bias of a linear layer", bias.len(), outputs)?;
    } else if !relu {
        return Ok(y);
    }
    let output = whole(device, &y);
    let packed = packs(outputs, &[output]);
    let tiles = Tiles::new(rows, outputs, if packed { T::PACK } else { 1 });
    let arguments = [
        output,
        read_optional(device, bias),
        Argument::I64(rows as i64),
        Argument::I32(int("outputs", outputs)?),
        Argument::I32(relu.into()),
    ];
    launch(device, MODULE, &variant::<T>("linear_add_bias", packed), tiles.elements(), &arguments)?;
    Ok(y)
}

/// db = Σ g \[outputs\].
///
/// # Errors
/// Lengths that do not fit the shape, or the launch fails.
pub fn column_sums<T: Element>(
    device: &CudaDevice,
    shape: (usize, usize),
    g: &CudaView<T>,
) -> Result<CudaSlice<f32>> {
    check_length("the gradient of a linear layer", g.len(), shape.0 * shape.1)?;
    sums::<T>(device, shape, Argument::Address(0), read(device, g))
}

/// g = dy where y > 0, written over dy, and db = Σ g \[outputs\].
///
/// # Errors
/// Lengths that do not fit the shape, or the launch fails.
pub fn masked_sums<T: Element>(
    device: &CudaDevice,
    shape: (usize, usize),
    y: &CudaView<T>,
    dy: &mut CudaViewMut<T>,
) -> Result<CudaSlice<f32>> {
    check_length("the gradient of a linear layer", dy.len(), shape.0 * shape.1)?;
    check_length("y of a linear layer", y.len(), dy.len())?;
    sums::<T>(device, shape, read(device, y), write(device, dy))
}

/// Column sums; where y is not null dy is masked first.
fn sums<T: Element>(
    device: &CudaDevice,
    (rows, outputs): (usize, usize),
    y: Argument,
    dy: Argument,
) -> Result<CudaSlice<f32>> {
    let packed = packs(outputs, &[y, dy]);
    let tiles = Tiles::new(rows, outputs, if packed { T::PACK } else { 1 });
    let partial = uninitialised::<f32>(device, tiles.chunks * outputs)?;
    let columns = Argument::I32(int("outputs", outputs)?);
    let masked = !matches!(y, Argument::Address(0));
    let arguments = [
        y,
        dy,
        whole(device, &partial),
        Argument::I64(rows as i64),
        columns,
        Argument::I64(tiles.chunk_rows as i64),
        Argument::I32(masked.into()),
    ];
    launch(device, MODULE, &variant::<T>("linear_reduce", packed), tiles.sums(), &arguments)?;
    let sums = uninitialised::<f32>(device, outputs)?;
    let arguments =
        [whole(device, &partial), whole(device, &sums), Argument::I32(int("chunks", tiles.chunks)?), columns];
    launch(device, MODULE, "linear_combine", combine(outputs), &arguments)?;
    Ok(sums)
}

/// dx = g·W \[rows, inputs\].
///
/// # Errors
/// Lengths that do not fit the shape, or cuBLAS fails.
pub fn input_gradient<T: Element>(
    device: &CudaDevice,
    shape: Shape,
    g: &CudaView<T>,
    weight: &CudaView<T>,
) -> Result<CudaSlice<T>> {
    let Shape { rows, inputs, outputs } = shape;
    let mut dx = uninitialised::<T>(device, rows * inputs)?;
    let (g, weight) =
        (Matrix::new(g.slice(..), rows, outputs), Matrix::new(weight.slice(..), outputs, inputs));
    gemm(device, g, weight, 0.0, &mut dx.as_view_mut())?;
    Ok(dx)
}

/// dW = gᵀ·x \[outputs, inputs\], in f32, over what `dw` holds (its place among all gradients).
///
/// # Errors
/// Lengths that do not fit the shape, or cuBLAS fails.
pub fn weight_gradient<T: Element>(
    device: &CudaDevice,
    shape: Shape,
    g: &CudaView<T>,
    x: &CudaView<T>,
    dw: &mut CudaViewMut<f32>,
) -> Result<()> {
    let Shape { rows, inputs, outputs } = shape;
    gemm(device, Matrix::new(g.slice(..), rows, outputs).t(), Matrix::new(x.slice(..), rows, inputs), 0.0, dw)
}
