//! Global average pooling: x \[N, H, W, C\] -> y \[N, C\], y_nc = (1/HW) Σ_hw x_nhwc and dx_nhwc = dy_nc/(HW).

mod cpu;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;

use super::storage::contiguous;
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

/// Mean over the pixels of every image.
///
/// # Errors
/// x not \[N, H, W, C\], or empty.
///
/// # Examples
/// ```
/// # use {candle_core::{Device, Tensor}, trainer::ops::pool};
/// // One image of 2×2 pixels and one channel.
/// let x = Tensor::new(&[1f32, 2.0, 3.0, 4.0], &Device::Cpu)?.reshape((1, 2, 2, 1))?;
/// assert_eq!(pool::forward(&x)?.to_vec2::<f32>()?, [[2.5]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn forward(x: &Tensor) -> Result<Tensor> {
    x.apply_op1_no_bwd(&GlobalAverage)
}

/// dx \[N, height, width, C\] from dy \[N, C\].
///
/// # Errors
/// dy not \[N, C\], or no pixels.
pub fn backward(dy: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    dy.apply_op1_no_bwd(&Gradient { height, width })
}

/// x -> y, also for candle's autograd.
#[derive(Debug, Clone, Copy)]
pub struct GlobalAverage;

impl GlobalAverage {
    /// N, H, W, C.
    fn sizes(layout: &Layout) -> Result<[usize; 4]> {
        let &[images, height, width, channels] = layout.dims() else {
            bail!("global average: images need shape [N, H, W, C], not {:?}", layout.dims())
        };
        if layout.shape().elem_count() == 0 {
            bail!("global average: no pixels in shape {:?}", layout.dims())
        }
        Ok([images, height, width, channels])
    }
}

impl CustomOp1 for GlobalAverage {
    fn name(&self) -> &'static str {
        "global-average"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let [images, height, width, channels] = Self::sizes(layout)?;
        let y = cpu::forward(&contiguous(storage, layout)?, height * width, channels);
        Ok((CpuStorage::F32(y), (images, channels).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let [images, height, width, channels] = Self::sizes(layout)?;
        let y = cuda::mean((storage, layout), (images, height * width, channels))?;
        Ok((y, (images, channels).into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (_, height, width, _) = x.dims4()?;
        x.track_op().then(|| backward(&dy.detach(), height, width)).transpose()
    }
}

/// dy -> dx.
struct Gradient {
    height: usize,
    width: usize,
}

impl Gradient {
    /// N and C.
    fn sizes(&self, layout: &Layout) -> Result<(usize, usize)> {
        let Self { height, width } = *self;
        let &[images, channels] = layout.dims() else {
            bail!("global average: gradients need shape [N, C], not {:?}", layout.dims())
        };
        if images * channels * height * width == 0 {
            bail!("global average: no pixels in {images} images of {height}×{width}×{channels}")
        }
        Ok((images, channels))
    }
}

impl CustomOp1 for Gradient {
    fn name(&self) -> &'static str {
        "global-average-gradient"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Self { height, width } = *self;
        let (images, channels) = self.sizes(layout)?;
        let dx = cpu::backward(&contiguous(storage, layout)?, height * width, channels);
        Ok((CpuStorage::F32(dx), (images, height, width, channels).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let Self { height, width } = *self;
        let (images, channels) = self.sizes(layout)?;
        let dx = cuda::spread((storage, layout), (images, height * width, channels))?;
        Ok((dx, (images, height, width, channels).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::*;
    use candle_core::Var;

    #[test]
    fn forward_and_backward_agree_with_candle() {
        for shape in [[1, 1, 1, 1], [3, 5, 7, 2], [2, 4, 4, 33], [40, 8, 8, 20]] {
            let x = Var::from_tensor(&random(1, &shape)).unwrap();
            let dy = random(2, &[shape[0], shape[3]]);
            let (ours, theirs) = (x.apply_op1(GlobalAverage).unwrap(), x.mean((1, 2)).unwrap());
            assert_close(&flat(&ours), &flat64(&theirs), 1e-6, "y");
            assert_eq!(flat(&ours), flat(&forward(&x).unwrap()));
            let gradient = |y: Tensor| {
                (y * &dy).unwrap().sum_all().unwrap().backward().unwrap().get(&x).unwrap().clone()
            };
            let (ours, theirs) = (gradient(ours), gradient(theirs));
            assert_eq!(ours.dims(), shape);
            assert_close(&flat(&ours), &flat64(&theirs), 1e-6, "dx");
        }
    }

    #[test]
    fn strides_and_threads_change_no_bit() {
        let (x, dy) = (random(1, &[40, 6, 7, 20]), random(2, &[40, 20]));
        let run = |x: &Tensor, dy: &Tensor| {
            [flat(&forward(x).unwrap()), flat(&backward(dy, 6, 7).unwrap())].concat()
        };
        assert_eq!(run(&x, &dy), run(&strided(&x), &strided(&dy)));
        assert_same_bits(|| run(&x, &dy));
    }

    #[test]
    fn refusals_name_the_shape() {
        assert!(forward(&random(1, &[4, 3])).unwrap_err().to_string().contains("[4, 3]"));
        assert!(backward(&random(1, &[4, 3]), 0, 2).unwrap_err().to_string().contains("0×2"));
    }
}
