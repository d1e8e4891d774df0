//! Linear layers on an NVIDIA GPU: y = max(x·Wᵀ + b, 0), x \[rows, in\], W \[out, in\], products by cuBLAS.

use crate::device::gemm::{Matrix, gemm};
use crate::device::launch::{
    Argument, Element, Module, NULL, Tiles, check_length, int, launch, packs, read, read_optional,
    uninitialised, variant, whole, write,
};
use crate::device::operand::{self, Operand, Source, for_element};
use candle_core::backend::BackendStorage;
use candle_core::{CudaDevice, CudaStorage, Layout, Result, Tensor};
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
    let (output, bias) = (whole(device, &y), read_optional(device, bias));
    let packed = packs(outputs, &[output, bias]);
    let tiles = Tiles::new(rows, outputs, if packed { T::PACK } else { 1 });
    let arguments = [
        output,
        bias,
        Argument::I64(rows as i64),
        Argument::I32(int("outputs", outputs)?),
        Argument::I32(relu.into()),
    ];
    launch(device, MODULE, &variant::<T>("linear_add_bias", packed), tiles.elements(), &arguments)?;
    Ok(y)
}

/// Partial sums \[chunks, outputs\] of db = Σ g.
///
/// # Errors
/// Lengths that do not fit the shape, or the launch fails.
pub fn column_sums<T: Element>(
    device: &CudaDevice,
    shape: (usize, usize),
    g: &CudaView<T>,
) -> Result<CudaSlice<f32>> {
    check_length("the gradient of a linear layer", g.len(), shape.0 * shape.1)?;
    partial_sums::<T>(device, shape, NULL, read(device, g))
}

/// g = dy where y > 0, written over dy, and partial sums \[chunks, outputs\] of db = Σ g.
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
    partial_sums::<T>(device, shape, read(device, y), write(device, dy))
}

/// Partial column sums; where y is not null dy is masked first.
fn partial_sums<T: Element>(
    device: &CudaDevice,
    (rows, outputs): (usize, usize),
    y: Argument,
    dy: Argument,
) -> Result<CudaSlice<f32>> {
    let packed = packs(outputs, &[y, dy]);
    let tiles = Tiles::new(rows, outputs, if packed { T::PACK } else { 1 });
    let partial = uninitialised::<f32>(device, tiles.chunks * outputs)?;
    let columns = Argument::I32(int("outputs", outputs)?);
    let masked = !y.is_null();
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
    Ok(partial)
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

/// y of tensors.
pub(super) fn layer(
    [rows, outputs, inputs]: [usize; 3],
    x: Source,
    weight: Source,
    bias: Option<Source>,
    relu: bool,
) -> Result<CudaStorage> {
    let device = x.0.device();
    let bias = bias.map(Operand::new).transpose()?;
    let bias = bias.as_ref().map(Operand::view).transpose()?;
    for_element!(x.0, T => {
        let (x, weight) = (Operand::<T>::new(x)?, Operand::<T>::new(weight)?);
        let shape = Shape { rows, inputs, outputs };
        let y = forward(device, shape, &x.view()?, &weight.view()?, bias.as_ref(), relu)?;
        Ok(operand::result(device, y))
    })
}

/// dx of tensors.
pub(super) fn new_input_gradient(
    [rows, outputs, inputs]: [usize; 3],
    g: Source,
    weight: Source,
) -> Result<CudaStorage> {
    let device = g.0.device();
    for_element!(g.0, T => {
        let (g, weight) = (Operand::<T>::new(g)?, Operand::<T>::new(weight)?);
        let shape = Shape { rows, inputs, outputs };
        Ok(operand::result(device, input_gradient(device, shape, &g.view()?, &weight.view()?)?))
    })
}

/// dw <- dw of tensors.
pub(super) fn weight_gradient_into(
    [rows, outputs, inputs]: [usize; 3],
    (dw, layout): (&mut CudaStorage, &Layout),
    g: Source,
    x: Source,
) -> Result<()> {
    let device = g.0.device();
    let mut dw = operand::overwritten("linear-weight-gradient", dw, layout)?;
    for_element!(g.0, T => {
        let (g, x) = (Operand::<T>::new(g)?, Operand::<T>::new(x)?);
        weight_gradient(device, Shape { rows, inputs, outputs }, &g.view()?, &x.view()?, &mut dw)
    })
}

/// Partial sums of db of a tensor, and how many.
pub(super) fn bias_gradient(shape: (usize, usize), g: Source) -> Result<(CudaStorage, usize)> {
    let device = g.0.device();
    for_element!(g.0, T => {
        let partial = column_sums(device, shape, &Operand::<T>::new(g)?.view()?)?;
        let chunks = partial.len() / shape.1;
        Ok((operand::result(device, partial), chunks))
    })
}

/// dy <- dy·\[y > 0\]; partial sums of its columns \[chunks, outputs\].
pub(super) fn mask(
    shape: (usize, usize),
    (dy, layout): (&mut CudaStorage, &Layout),
    y: Source,
) -> Result<Tensor> {
    let device = y.0.device();
    for_element!(y.0, T => {
        let y = Operand::<T>::new(y)?;
        let mut dy = operand::overwritten::<T>("linear-mask", dy, layout)?;
        let partial = masked_sums(device, shape, &y.view()?, &mut dy)?;
        let chunks = partial.len() / shape.1;
        Ok(operand::tensor(device, partial, (chunks, shape.1)))
    })
}
