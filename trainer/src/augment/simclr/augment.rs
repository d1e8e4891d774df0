//! What an operation on candle tensors makes: images \[N, H, W, C\] of u8, indices \[B\] of u32 → views
//! \[views · B, size, size, C\], C = 3 or 1 channels.

use super::{Sampler, check_views};
use crate::error::{Error, Result};
use candle_core::{Layout, Shape, Tensor};
use measure::rng::philox::Counter;

/// [`augment_batch`](super::augment_batch) as an operation on tensors of one device.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use trainer::augment::simclr::{Augment, Augmentation, Sampler};
/// use measure::rng::{Purpose, philox::Counter};
/// let sampler = Sampler::new(&Augmentation { size: 8, ..Augmentation::default() }, 10, 12)?;
/// let counter = Counter { seed: 7, purpose: Purpose::Augmentation, step: 0 };
/// let images = Tensor::zeros((5, 10, 12, 3), DType::U8, &Device::Cpu)?;
/// let indices = Tensor::new(&[4u32, 0, 2], &Device::Cpu)?;
/// let views = Augment::new(sampler, counter, 2)?.apply(&images, &indices)?;
/// assert_eq!((views.dims(), views.dtype()), (&[6, 8, 8, 3][..], DType::F32));
/// # Ok::<(), trainer::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Augment {
    pub(super) sampler: Sampler,
    pub(super) counter: Counter,
    pub(super) views: u32,
}

impl Augment {
    /// The operation that makes this many views of each image.
    ///
    /// # Errors
    /// More than 2²⁴ views.
    pub fn new(sampler: Sampler, counter: Counter, views: u32) -> Result<Self> {
        check_views(views)?;
        Ok(Self { sampler, counter, views })
    }

    /// The views, f32: of `images` \[N, H, W, C\], those of the `indices` \[B\].
    ///
    /// # Errors
    /// Tensors of another shape or type; on the CPU an index outside the data set. On a GPU the views of such
    /// an index are NaN, since the indices are not seen here.
    pub fn apply(&self, images: &Tensor, indices: &Tensor) -> Result<Tensor> {
        Ok(images.contiguous()?.apply_op2_no_bwd(&indices.contiguous()?, self)?)
    }

    /// Writes the views into an existing contiguous tensor \[views · B, size, size, C\], f32, or bf16 on a
    /// GPU (rounded to nearest).
    ///
    /// # Errors
    /// As [`apply`](Self::apply); a tensor of views of another shape or type, or not contiguous.
    pub fn apply_into(&self, views: &Tensor, images: &Tensor, indices: &Tensor) -> Result<()> {
        Ok(views.inplace_op3(&images.contiguous()?, &indices.contiguous()?, self)?)
    }

    /// Checks both shapes; the shape of the result.
    pub(super) fn shape(&self, images: &Layout, indices: &Layout) -> Result<Shape> {
        let ([height, width], channels) = (self.sampler.image_sides(), self.sampler.channels());
        let fits = matches!(images.dims(), [_, h, w, c] if [*h, *w, *c] == [height, width, channels]);
        if !fits {
            return Err(Error::argument(format!(
                "the data set has shape {:?}, not [N, {height}, {width}, {channels}]",
                images.dims()
            )));
        }
        let &[count] = indices.dims() else {
            return Err(Error::argument(format!("the indices have shape {:?}, not [B]", indices.dims())));
        };
        let size = self.sampler.size();
        Ok((self.views as usize * count, size, size, channels).into())
    }

    /// Checks the layout of a tensor that is written into; where it starts and ends.
    pub(super) fn target(&self, views: &Layout, shape: &Shape) -> Result<(usize, usize)> {
        let place = (views.shape() == shape).then(|| views.contiguous_offsets()).flatten();
        place.ok_or_else(|| {
            let (found, expected) = (views.dims(), shape.dims());
            Error::argument(format!(
                "the views have shape {found:?}; they must be {expected:?} and contiguous"
            ))
        })
    }
}

/// Where a tensor starts and ends; [`Augment::apply`] makes its arguments contiguous.
pub(super) fn contiguous(layout: &Layout) -> candle_core::Result<(usize, usize)> {
    layout.contiguous_offsets().ok_or_else(|| {
        candle_core::Error::msg(format!(
            "augment reads contiguous tensors, not strides {:?}",
            layout.stride()
        ))
    })
}
