//! Linear layers on an NVIDIA GPU: y = max(x·Wᵀ + b, 0), x \[rows, in\], W \[out, in\], products by cuBLAS.

use crate::cuda::gemm::{Matrix, gemm};
use crate::cuda::launch::{
    Argument, Element, Module, Tiles, check_length, combine, int, launch, packs, read_optional,
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

/// g = dy \[where y > 0\] over dy, and db = Σ g \[outputs\]. With `y` the layer ended in a ReLU; without it dy is only read.
///
/// # Errors
/// Lengths that do not fit the shape, or the launch fails.
pub fn reduce<T: Element>(
    device: &CudaDevice,
    (rows, outputs): (usize, usize),
    y: Option<&CudaView<T>>,
    gradient: &mut CudaViewMut<T>,
) -> Result<CudaSlice<f32>> {
    check_length("the gradient of a linear layer", gradient.len(), rows * outputs)?;
    if let Some(y) = y {
        check_length("y of a linear layer", y.len(), rows * outputs)?;
    }
    let (output, gradient) = (read_optional(device, y), write(device, gradient));
    let packed = packs(outputs, &[output, gradient]);
    let tiles = Tiles::new(rows, outputs, if packed { T::PACK } else { 1 });
    let partial = uninitialised::<f32>(device, tiles.chunks * outputs)?;
    let columns = Argument::I32(int("outputs", outputs)?);
    let arguments = [
        output,
        gradient,
        whole(device, &partial),
        Argument::I64(rows as i64),
        columns,
        Argument::I64(tiles.chunk_rows as i64),
        Argument::I32(y.is_some().into()),
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

/// dW = gᵀ·x \[outputs, inputs\], in f32.
///
/// # Errors
/// Lengths that do not fit the shape, or cuBLAS fails.
pub fn weight_gradient<T: Element>(
    device: &CudaDevice,
    shape: Shape,
    g: &CudaView<T>,
    x: &CudaView<T>,
) -> Result<CudaSlice<f32>> {
    let Shape { rows, inputs, outputs } = shape;
    let mut dw = uninitialised::<f32>(device, outputs * inputs)?;
    let (g, x) = (Matrix::new(g.slice(..), rows, outputs), Matrix::new(x.slice(..), rows, inputs));
    gemm(device, g.t(), x, 0.0, &mut dw.as_view_mut())?;
    Ok(dw)
}
