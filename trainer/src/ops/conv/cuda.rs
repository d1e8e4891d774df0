//! Convolution on an NVIDIA GPU: by cuDNN where it can be loaded, else as matrix products by cuBLAS.
//!
//! x \[N, H, W, C_in\], w \[C_out, KH, KW, C_in\], y \[N, P, Q, C_out\], f32 or bf16, sums in f32. Without cuDNN, with
//! the columns col(x) \[N·P·Q, KH·KW·C_in\] of `kernel.cu`: y = col(x)·wᵀ, dw = dyᵀ·col(x), and dx gathers dy·w.

use crate::device::cudnn::{self, Pass, Product};
use crate::device::gemm::{Matrix, gemm};
use crate::device::launch::{
    Argument, Element, Geometry, Module, check_length, int, launch, linear, packs, read, uninitialised,
    variant, whole, write,
};
use crate::device::operand::{self, Operand, Source, for_element};
use crate::ops::cast::cuda as cast;
use candle_core::backend::BackendStorage;
use candle_core::{CudaDevice, CudaStorage, DType, Layout, Result};
use cudarc::driver::{CudaSlice, CudaView, CudaViewMut};
use half::bf16;

const MODULE: Module = Module { name: "conv", ptx: include_str!(concat!(env!("OUT_DIR"), "/conv.ptx")) };
/// Elements of the columns that the fallback holds at a time: 64 Mi, so 256 MiB in f32.
const MOST_COLUMNS: usize = 1 << 26;

/// The sizes of one convolution.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    geometry: Geometry,
    out_channels: usize,
}

impl Shape {
    /// x \[N, H, W, C_in\] with w \[C_out, KH, KW, C_in\]; `padding` zeros on every side.
    ///
    /// # Errors
    /// Channels that differ, a stride of 0, or a kernel larger than the padded image.
    pub fn new(x: [usize; 4], w: [usize; 4], stride: usize, padding: usize) -> Result<Self> {
        let ([batch, height, width, channels], [out_channels, kernel_height, kernel_width, inner]) = (x, w);
        if inner != channels
            || stride == 0
            || height + 2 * padding < kernel_height
            || width + 2 * padding < kernel_width
        {
            candle_core::bail!(
                "convolution of x {x:?} with w {w:?}, stride {stride}, padding {padding}: the shapes do not fit"
            );
        }
        let size = |value| int("a size of a convolution", value);
        let geometry = Geometry {
            batch: size(batch)?,
            height: size(height)?,
            width: size(width)?,
            channels: size(channels)?,
            out_height: size((height + 2 * padding - kernel_height) / stride + 1)?,
            out_width: size((width + 2 * padding - kernel_width) / stride + 1)?,
            kernel_height: size(kernel_height)?,
            kernel_width: size(kernel_width)?,
            stride: size(stride)?,
            padding: size(padding)?,
        };
        Ok(Self { geometry, out_channels })
    }

    fn of(geometry: &super::Geometry) -> Result<Self> {
        Self::new(geometry.input_shape(), geometry.weight_shape(), geometry.stride, geometry.padding)
    }

    /// N, P, Q, C_out of the result.
    pub fn output(&self) -> [usize; 4] {
        let g = self.geometry;
        [g.batch as usize, g.out_height as usize, g.out_width as usize, self.out_channels]
    }

    fn image(&self) -> usize {
        self.geometry.height as usize * self.geometry.width as usize * self.geometry.channels as usize
    }

    fn positions(&self) -> usize {
        self.geometry.out_height as usize * self.geometry.out_width as usize
    }

    /// Columns of col(x).
    fn taps(&self) -> usize {
        (self.geometry.kernel_height * self.geometry.kernel_width) as usize * self.geometry.channels as usize
    }

    fn check<T>(
        &self,
        x: Option<&CudaView<T>>,
        w: Option<&CudaView<T>>,
        y: Option<&CudaView<T>>,
    ) -> Result<()> {
        let batch = self.geometry.batch as usize;
        let expected = [
            batch * self.image(),
            self.out_channels * self.taps(),
            batch * self.positions() * self.out_channels,
        ];
        for ((what, view), expected) in [("x", x), ("w", w), ("dy", y)].into_iter().zip(expected) {
            if let Some(view) = view {
                check_length(&format!("{what} of a convolution"), view.len(), expected)?;
            }
        }
        Ok(())
    }

    /// Whether col(x) is x itself.
    fn is_pointwise(&self) -> bool {
        let g = self.geometry;
        g.kernel_height == 1 && g.kernel_width == 1 && g.stride == 1 && g.padding == 0
    }

    /// Runs of images (first, count) whose columns fit; the cut depends on the shape only.
    fn runs(&self) -> impl Iterator<Item = (usize, usize)> {
        let batch = self.geometry.batch as usize;
        let images =
            if self.is_pointwise() { batch } else { MOST_COLUMNS / (self.positions() * self.taps()).max(1) }
                .max(1);
        (0..batch).step_by(images).map(move |first| (first, images.min(batch - first)))
    }
}

/// y = x ∗ w.
///
/// # Errors
/// Lengths that do not fit the shape, no memory, or a library fails.
pub fn forward<T: Element>(
    device: &CudaDevice,
    shape: Shape,
    x: &CudaView<T>,
    w: &CudaView<T>,
) -> Result<CudaSlice<T>> {
    shape.check(Some(x), Some(w), None)?;
    let (image, positions, taps, channels) =
        (shape.image(), shape.positions(), shape.taps(), shape.out_channels);
    let mut y = uninitialised::<T>(device, shape.output().iter().product())?;
    let by_cudnn = (Pass::Forward, false);
    let done = cudnn::product(device, by_cudnn, shape.geometry, channels, [x, w], &mut y.as_view_mut())?;
    if let Product::Written = done {
        return Ok(y);
    }
    for (first, count) in shape.runs() {
        let columns = columns(device, shape, count, &x.slice(first * image..(first + count) * image))?;
        let columns = columns.as_ref().map_or_else(|| x.slice(..), CudaSlice::as_view);
        let rows = count * positions;
        let mut part = y.slice_mut(first * positions * channels..(first + count) * positions * channels);
        gemm(
            device,
            Matrix::new(columns, rows, taps),
            Matrix::new(w.slice(..), channels, taps).t(),
            0.0,
            &mut part,
        )?;
    }
    Ok(y)
}

/// dx of dy and w.
///
/// # Errors
/// Lengths that do not fit the shape, no memory, or a library fails.
pub fn backward_data<T: Element>(
    device: &CudaDevice,
    shape: Shape,
    w: &CudaView<T>,
    dy: &CudaView<T>,
) -> Result<CudaSlice<T>> {
    let mut dx = uninitialised::<T>(device, shape.geometry.batch as usize * shape.image())?;
    backward_data_into(device, shape, w, dy, &mut dx.as_view_mut(), false)?;
    Ok(dx)
}

/// dx of dy and w over what `dx` holds, or added to it.
///
/// # Errors
/// Lengths that do not fit the shape, no memory, or a library fails.
pub fn backward_data_into<T: Element>(
    device: &CudaDevice,
    shape: Shape,
    w: &CudaView<T>,
    dy: &CudaView<T>,
    dx: &mut CudaViewMut<T>,
    add: bool,
) -> Result<()> {
    shape.check(None, Some(w), Some(dy))?;
    check_length("dx of a convolution", dx.len(), shape.geometry.batch as usize * shape.image())?;
    match cudnn::product(device, (Pass::Data, add), shape.geometry, shape.out_channels, [w, dy], dx)? {
        Product::Written => return Ok(()),
        Product::Apart(product) => return add_to(device, dx, &product),
        Product::Refused => {}
    }
    let (image, positions, taps, channels) =
        (shape.image(), shape.positions(), shape.taps(), shape.out_channels);
    for (first, count) in shape.runs() {
        let rows = count * positions;
        let gradient = dy.slice(first * positions * channels..(first + count) * positions * channels);
        let (gradient, filter) =
            (Matrix::new(gradient, rows, channels), Matrix::new(w.slice(..), channels, taps));
        let mut part = dx.slice_mut(first * image..(first + count) * image);
        if shape.is_pointwise() {
            gemm(device, gradient, filter, if add { 1.0 } else { 0.0 }, &mut part)?;
            continue;
        }
        let mut columns = uninitialised::<T>(device, rows * taps)?;
        gemm(device, gradient, filter, 0.0, &mut columns.as_view_mut())?;
        let (from, to) = (whole(device, &columns), write(device, &mut part));
        let packed = packs(shape.geometry.channels as usize, &[from, to]);
        let items = count * image / if packed { T::PACK } else { 1 };
        let geometry = Geometry { batch: int("images", count)?, ..shape.geometry };
        let kernel = variant::<T>("conv_columns_to_image", packed);
        let arguments = [from, to, Argument::Geometry(geometry), Argument::I32(add.into())];
        launch(device, MODULE, &kernel, linear(items), &arguments)?;
    }
    Ok(())
}

/// dw of x and dy, in f32, over what `dw` holds (its place among all gradients). For bf16, cuDNN rounds the sums to
/// bf16 first; the matrix products keep them.
///
/// # Errors
/// Lengths that do not fit the shape, no memory, or a library fails.
pub fn backward_filter<T: Element>(
    device: &CudaDevice,
    shape: Shape,
    x: &CudaView<T>,
    dy: &CudaView<T>,
    dw: &mut CudaViewMut<f32>,
) -> Result<()> {
    shape.check(Some(x), None, Some(dy))?;
    let (image, positions, taps, channels) =
        (shape.image(), shape.positions(), shape.taps(), shape.out_channels);
    check_length("dw of a convolution", dw.len(), channels * taps)?;
    if filter_by_cudnn(device, shape, x, dy, dw)? {
        return Ok(());
    }
    for (first, count) in shape.runs() {
        let columns = columns(device, shape, count, &x.slice(first * image..(first + count) * image))?;
        let columns = columns.as_ref().map_or_else(|| x.slice(..), CudaSlice::as_view);
        let rows = count * positions;
        let gradient = dy.slice(first * positions * channels..(first + count) * positions * channels);
        let (gradient, columns) =
            (Matrix::new(gradient, rows, channels).t(), Matrix::new(columns, rows, taps));
        gemm(device, gradient, columns, if first == 0 { 0.0 } else { 1.0 }, dw)?;
    }
    Ok(())
}

/// As [`backward_filter`], in bf16: no more than cuDNN keeps of it anyway.
///
/// # Errors
/// As [`backward_filter`].
pub fn backward_filter_in_half(
    device: &CudaDevice,
    shape: Shape,
    x: &CudaView<bf16>,
    dy: &CudaView<bf16>,
    dw: &mut CudaViewMut<bf16>,
) -> Result<()> {
    shape.check(Some(x), None, Some(dy))?;
    check_length("dw of a convolution", dw.len(), shape.out_channels * shape.taps())?;
    let by_cudnn = (Pass::Filter, false);
    let done = cudnn::product(device, by_cudnn, shape.geometry, shape.out_channels, [x, dy], dw)?;
    if let Product::Written = done {
        return Ok(());
    }
    let mut wide = uninitialised::<f32>(device, dw.len())?;
    backward_filter(device, shape, x, dy, &mut wide.as_view_mut())?;
    cast::narrow_into(device, &wide.as_view(), dw)
}

/// dw by cuDNN, which writes it in the type of x; false where it cannot.
fn filter_by_cudnn<T: Element>(
    device: &CudaDevice,
    shape: Shape,
    x: &CudaView<T>,
    dy: &CudaView<T>,
    dw: &mut CudaViewMut<f32>,
) -> Result<bool> {
    let (length, by_cudnn) = (dw.len(), (Pass::Filter, false));
    if T::DTYPE == DType::F32 {
        // SAFETY: T is f32.
        #[allow(unsafe_code)] // the compiler does not know it
        let Some(mut place) = (unsafe { dw.transmute_mut::<T>(length) }) else { return Ok(false) };
        let done = cudnn::product(device, by_cudnn, shape.geometry, shape.out_channels, [x, dy], &mut place)?;
        return Ok(matches!(done, Product::Written));
    }
    if cudnn::availability(device).is_err() {
        return Ok(false);
    }
    let mut rounded = uninitialised::<T>(device, length)?;
    let out = &mut rounded.as_view_mut();
    let done = cudnn::product(device, by_cudnn, shape.geometry, shape.out_channels, [x, dy], out)?;
    let done = matches!(done, Product::Written);
    if done {
        cast::widen_into(device, &rounded.as_view(), dw)?;
    }
    Ok(done)
}

/// sum ← sum + more.
fn add_to<T: Element>(device: &CudaDevice, sum: &mut CudaViewMut<T>, more: &CudaSlice<T>) -> Result<()> {
    let count = sum.len();
    check_length("a product to be added", more.len(), count)?;
    let (to, from) = (write(device, sum), whole(device, more));
    let packed = packs(count, &[from, to]);
    let items = count / if packed { T::PACK } else { 1 };
    let kernel = variant::<T>("conv_add", packed);
    launch(device, MODULE, &kernel, linear(items), &[to, from, Argument::I64(items as i64)])
}

/// col(x) of some images; `None` where it is x itself.
fn columns<T: Element>(
    device: &CudaDevice,
    shape: Shape,
    count: usize,
    x: &CudaView<T>,
) -> Result<Option<CudaSlice<T>>> {
    if shape.is_pointwise() {
        return Ok(None);
    }
    let out = uninitialised::<T>(device, count * shape.positions() * shape.taps())?;
    let (from, to) = (read(device, x), whole(device, &out));
    let packed = packs(shape.geometry.channels as usize, &[from, to]);
    let items = out.len() / if packed { T::PACK } else { 1 };
    let geometry = Geometry { batch: int("images", count)?, ..shape.geometry };
    let kernel = variant::<T>("conv_image_to_columns", packed);
    launch(device, MODULE, &kernel, linear(items), &[from, to, Argument::Geometry(geometry)])?;
    Ok(Some(out))
}

/// y of tensors.
pub(super) fn convolve(geometry: &super::Geometry, x: Source, w: Source) -> Result<CudaStorage> {
    let device = x.0.device();
    for_element!(x.0, T => {
        let (x, w) = (Operand::<T>::new(x)?, Operand::new(w)?);
        Ok(operand::result(device, forward(device, Shape::of(geometry)?, &x.view()?, &w.view()?)?))
    })
}

/// dx of tensors.
pub(super) fn input_gradient(geometry: &super::Geometry, dy: Source, w: Source) -> Result<CudaStorage> {
    let device = dy.0.device();
    for_element!(dy.0, T => {
        let (dy, w) = (Operand::<T>::new(dy)?, Operand::new(w)?);
        Ok(operand::result(device, backward_data(device, Shape::of(geometry)?, &w.view()?, &dy.view()?)?))
    })
}

/// sum <- sum + dx of tensors.
pub(super) fn add_input_gradient(
    geometry: &super::Geometry,
    (sum, layout): (&mut CudaStorage, &Layout),
    dy: Source,
    w: Source,
) -> Result<()> {
    let device = dy.0.device();
    for_element!(dy.0, T => {
        let (dy, w) = (Operand::<T>::new(dy)?, Operand::new(w)?);
        let mut sum = operand::overwritten("convolution", sum, layout)?;
        backward_data_into(device, Shape::of(geometry)?, &w.view()?, &dy.view()?, &mut sum, true)
    })
}

/// dw of tensors, as a new one.
pub(super) fn new_weight_gradient(geometry: &super::Geometry, x: Source, dy: Source) -> Result<CudaStorage> {
    let device = x.0.device();
    let mut dw = uninitialised::<f32>(device, geometry.weight_shape().iter().product())?;
    for_element!(x.0, T => {
        let (x, dy) = (Operand::<T>::new(x)?, Operand::new(dy)?);
        backward_filter(device, Shape::of(geometry)?, &x.view()?, &dy.view()?, &mut dw.as_view_mut())?;
    });
    Ok(operand::result(device, dw))
}

/// dw <- dw of tensors.
pub(super) fn weight_gradient(
    geometry: &super::Geometry,
    (dw, layout): (&mut CudaStorage, &Layout),
    x: Source,
    dy: Source,
) -> Result<()> {
    let device = x.0.device();
    if dw.dtype() == DType::F32 {
        let mut dw = operand::overwritten("convolution", dw, layout)?;
        return for_element!(x.0, T => {
            let (x, dy) = (Operand::<T>::new(x)?, Operand::new(dy)?);
            backward_filter(device, Shape::of(geometry)?, &x.view()?, &dy.view()?, &mut dw)
        });
    }
    let mut dw = operand::overwritten::<bf16>("convolution", dw, layout)?;
    let (x, dy) = (Operand::<bf16>::new(x)?, Operand::new(dy)?);
    backward_filter_in_half(device, Shape::of(geometry)?, &x.view()?, &dy.view()?, &mut dw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_checked_and_images_cut_once() {
        let shape = Shape::new([1000, 32, 32, 64], [128, 3, 3, 64], 2, 1).unwrap();
        assert_eq!(shape.output(), [1000, 16, 16, 128]);
        let runs: Vec<_> = shape.runs().collect();
        assert_eq!(runs.iter().map(|r| r.1).sum::<usize>(), 1000);
        assert!(runs.windows(2).all(|r| r[0].0 + r[0].1 == r[1].0));
        assert!(runs.iter().all(|r| r.1 * 256 * 576 <= MOST_COLUMNS));
        for (w, stride) in [([8, 3, 3, 5], 1), ([8, 3, 3, 64], 0), ([8, 40, 3, 64], 1)] {
            let message = Shape::new([2, 32, 32, 64], w, stride, 1).unwrap_err().to_string();
            assert!(
                message.contains("[2, 32, 32, 64]") && message.contains(&format!("stride {stride}")),
                "{message}"
            );
        }
    }
}
