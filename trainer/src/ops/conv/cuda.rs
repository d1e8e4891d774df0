//! Convolution on an NVIDIA GPU: by cuDNN where it can be loaded, else as matrix products by cuBLAS.
//!
//! x \[N, H, W, C_in\], w \[C_out, KH, KW, C_in\], y \[N, P, Q, C_out\], f32 or bf16, sums in f32. Without cuDNN, with the columns
//! col(x) \[N·P·Q, KH·KW·C_in\] of `kernel.cu`: y = col(x)·wᵀ, dw = dyᵀ·col(x), and dx gathers dy·w.

use crate::cuda::cudnn;
use crate::cuda::gemm::{Matrix, gemm};
use crate::cuda::launch::{
    Argument, Element, Geometry, Module, check_length, int, launch, linear, packs, read, uninitialised,
    variant, whole, write,
};
use candle_core::{CudaDevice, Result};
use cudarc::driver::{CudaSlice, CudaView};

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

    /// The sizes as a kernel takes them.
    pub fn geometry(&self) -> Geometry {
        self.geometry
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
    if let Some(y) = cudnn::forward(device, shape.geometry, shape.out_channels, x, w)? {
        return Ok(y);
    }
    let (image, positions, taps, channels) =
        (shape.image(), shape.positions(), shape.taps(), shape.out_channels);
    let mut y = uninitialised::<T>(device, shape.output().iter().product())?;
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
    shape.check(None, Some(w), Some(dy))?;
    if let Some(dx) = cudnn::backward_data(device, shape.geometry, shape.out_channels, w, dy)? {
        return Ok(dx);
    }
    let (image, positions, taps, channels) =
        (shape.image(), shape.positions(), shape.taps(), shape.out_channels);
    let mut dx = uninitialised::<T>(device, shape.geometry.batch as usize * image)?;
    for (first, count) in shape.runs() {
        let rows = count * positions;
        let gradient = dy.slice(first * positions * channels..(first + count) * positions * channels);
        let (gradient, filter) =
            (Matrix::new(gradient, rows, channels), Matrix::new(w.slice(..), channels, taps));
        let mut part = dx.slice_mut(first * image..(first + count) * image);
        if shape.is_pointwise() {
            gemm(device, gradient, filter, 0.0, &mut part)?;
            continue;
        }
        let mut columns = uninitialised::<T>(device, rows * taps)?;
        gemm(device, gradient, filter, 0.0, &mut columns.as_view_mut())?;
        let (from, to) = (whole(device, &columns), write(device, &mut part));
        let packed = packs(shape.geometry.channels as usize, &[from, to]);
        let items = count * image / if packed { T::PACK } else { 1 };
        let geometry = Geometry { batch: int("images", count)?, ..shape.geometry };
        let kernel = variant::<T>("conv_columns_to_image", packed);
        launch(device, MODULE, &kernel, linear(items), &[from, to, Argument::Geometry(geometry)])?;
    }
    Ok(dx)
}

/// dw of x and dy, in f32. For bf16, cuDNN rounds the sums to bf16 first; the matrix products keep them.
///
/// # Errors
/// Lengths that do not fit the shape, no memory, or a library fails.
pub fn backward_filter<T: Element>(
    device: &CudaDevice,
    shape: Shape,
    x: &CudaView<T>,
    dy: &CudaView<T>,
) -> Result<CudaSlice<f32>> {
    shape.check(Some(x), None, Some(dy))?;
    if let Some(dw) = cudnn::backward_filter(device, shape.geometry, shape.out_channels, x, dy)? {
        return widen(device, dw);
    }
    let (image, positions, taps, channels) =
        (shape.image(), shape.positions(), shape.taps(), shape.out_channels);
    let mut dw = device.alloc_zeros::<f32>(channels * taps)?;
    for (first, count) in shape.runs() {
        let columns = columns(device, shape, count, &x.slice(first * image..(first + count) * image))?;
        let columns = columns.as_ref().map_or_else(|| x.slice(..), CudaSlice::as_view);
        let rows = count * positions;
        let gradient = dy.slice(first * positions * channels..(first + count) * positions * channels);
        let gradient = Matrix::new(gradient, rows, channels).t();
        gemm(device, gradient, Matrix::new(columns, rows, taps), 1.0, &mut dw.as_view_mut())?;
    }
    Ok(dw)
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

/// A gradient of parameters in f32; f32 itself is passed on.
fn widen<T: Element>(device: &CudaDevice, x: CudaSlice<T>) -> Result<CudaSlice<f32>> {
    let storage = T::wrap_cuda_slice(x, device.clone());
    match storage.slice {
        candle_core::cuda_backend::CudaStorageSlice::F32(slice) => Ok(slice),
        candle_core::cuda_backend::CudaStorageSlice::BF16(slice) => {
            super::cast::to_f32(device, &slice.as_view())
        }
        _ => Err(candle_core::Error::UnsupportedDTypeForOp(T::DTYPE, "convolution").bt()),
    }
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
