//! Max pooling behind the stem of a residual network for large images: windows of 3×3, stride 2, padding 1.
//!
//! x \[N, H, W, C\] -> y \[N, ⌈H/2⌉, ⌈W/2⌉, C\], y_nijc = max x_nhvc over |h − 2i| ≤ 1, |v − 2j| ≤ 1 inside the image;
//! dx_nhvc = Σ dy_nijc over the windows whose largest value stands at (h, v). Of equal values the first counts, row by
//! row, and a NaN is larger than any number, both as in PyTorch.
//!
//! The backward pass finds the largest values again, so that nothing but x is kept.

mod cpu;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;

use super::storage::{contiguous, expect_shape};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};

/// Largest values of the windows of every image.
///
/// # Errors
/// x not \[N, H, W, C\], or empty.
///
/// # Examples
/// ```
/// # use {candle_core::{Device, Tensor}, trainer::ops::max_pool};
/// // One row of five pixels of one channel: windows around the pixels 0, 2 and 4.
/// let x = Tensor::new(&[1f32, 2.0, 0.0, 4.0, 3.0], &Device::Cpu)?.reshape((1, 1, 5, 1))?;
/// assert_eq!(max_pool::forward(&x)?.flatten_all()?.to_vec1::<f32>()?, [2.0, 4.0, 4.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn forward(x: &Tensor) -> Result<Tensor> {
    x.apply_op1_no_bwd(&MaxPool)
}

/// dx \[N, H, W, C\] from x and dy \[N, ⌈H/2⌉, ⌈W/2⌉, C\].
///
/// # Errors
/// Shapes that do not fit.
pub fn backward(x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    x.apply_op2_no_bwd(dy, &Gradient)
}

/// The side of the output for this side of the input.
pub fn pooled(side: usize) -> usize {
    side.div_ceil(2)
}

/// N, H, W, C of the input.
type Sizes = [usize; 4];

fn sizes(layout: &Layout) -> Result<Sizes> {
    let &[images, height, width, channels] = layout.dims() else {
        bail!("max pooling: images need shape [N, H, W, C], not {:?}", layout.dims())
    };
    if layout.shape().elem_count() == 0 {
        bail!("max pooling: no pixels in shape {:?}", layout.dims())
    }
    Ok([images, height, width, channels])
}

fn output([images, height, width, channels]: Sizes) -> Sizes {
    [images, pooled(height), pooled(width), channels]
}

/// x -> y, also for candle's autograd.
#[derive(Debug, Clone, Copy)]
pub struct MaxPool;

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max-pool"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let sizes = sizes(layout)?;
        let y = cpu::forward(&contiguous(x, layout)?, sizes);
        Ok((CpuStorage::F32(y), (&output(sizes)).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let sizes = sizes(layout)?;
        Ok((cuda::largest((x, layout), sizes)?, (&output(sizes)).into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        x.track_op().then(|| backward(&x.detach(), &dy.detach())).transpose()
    }
}

/// (x, dy) -> dx.
struct Gradient;

impl Gradient {
    fn sizes(x: &Layout, dy: &Layout) -> Result<Sizes> {
        let sizes = sizes(x)?;
        expect_shape("max pooling", "the output gradient", dy.dims(), &output(sizes))?;
        Ok(sizes)
    }
}

impl CustomOp2 for Gradient {
    fn name(&self) -> &'static str {
        "max-pool-gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        dy: &CpuStorage,
        dy_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let sizes = Self::sizes(x_layout, dy_layout)?;
        let dx = cpu::backward(&contiguous(x, x_layout)?, &contiguous(dy, dy_layout)?, sizes);
        Ok((CpuStorage::F32(dx), x_layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        dy: &CudaStorage,
        dy_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let sizes = Self::sizes(x_layout, dy_layout)?;
        Ok((cuda::scatter((x, x_layout), (dy, dy_layout), sizes)?, x_layout.shape().clone()))
    }
}

#[cfg(test)]
mod tests;
