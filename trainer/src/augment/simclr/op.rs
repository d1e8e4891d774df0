//! [`Augment`] on the CPU and on a GPU. There is no gradient: the images are integers.

use super::augment::{Augment, contiguous};
use super::{augment_batch, augment_batch_into};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, DType, InplaceOp3, Layout, Shape};

impl CustomOp2 for Augment {
    fn name(&self) -> &'static str {
        "augment-simclr"
    }

    fn cpu_fwd(
        &self,
        images: &CpuStorage,
        images_layout: &Layout,
        indices: &CpuStorage,
        indices_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let shape = self.shape(images_layout, indices_layout).map_err(candle_core::Error::wrap)?;
        let (images, indices) = inputs(images, images_layout, indices, indices_layout)?;
        let views = augment_batch(&self.sampler, images, indices, &self.counter, self.views);
        Ok((CpuStorage::F32(views.map_err(candle_core::Error::wrap)?), shape))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        images: &CudaStorage,
        images_layout: &Layout,
        indices: &CudaStorage,
        indices_layout: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        super::cuda::forward(self, [(images, images_layout), (indices, indices_layout)])
    }
}

impl InplaceOp3 for Augment {
    fn name(&self) -> &'static str {
        "augment-simclr"
    }

    fn cpu_fwd(
        &self,
        views: &mut CpuStorage,
        views_layout: &Layout,
        images: &CpuStorage,
        images_layout: &Layout,
        indices: &CpuStorage,
        indices_layout: &Layout,
    ) -> candle_core::Result<()> {
        let shape = self.shape(images_layout, indices_layout).map_err(candle_core::Error::wrap)?;
        let (start, end) = self.target(views_layout, &shape).map_err(candle_core::Error::wrap)?;
        let (images, indices) = inputs(images, images_layout, indices, indices_layout)?;
        let CpuStorage::F32(views) = views else {
            candle_core::bail!("on the CPU views are {:?}, not {:?}", DType::F32, views.dtype());
        };
        let out = &mut views[start..end];
        augment_batch_into(&self.sampler, images, indices, &self.counter, self.views, out)
            .map_err(candle_core::Error::wrap)
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        views: &mut CudaStorage,
        views_layout: &Layout,
        images: &CudaStorage,
        images_layout: &Layout,
        indices: &CudaStorage,
        indices_layout: &Layout,
    ) -> candle_core::Result<()> {
        let inputs = [(images, images_layout), (indices, indices_layout)];
        super::cuda::forward_into(self, views, views_layout, inputs)
    }
}

fn inputs<'a>(
    images: &'a CpuStorage,
    images_layout: &Layout,
    indices: &'a CpuStorage,
    indices_layout: &Layout,
) -> candle_core::Result<(&'a [u8], &'a [u32])> {
    let ((i, j), (k, l)) = (contiguous(images_layout)?, contiguous(indices_layout)?);
    match (images, indices) {
        (CpuStorage::U8(images), CpuStorage::U32(indices)) => Ok((&images[i..j], &indices[k..l])),
        _ => {
            let (found, expected) = ((images.dtype(), indices.dtype()), (DType::U8, DType::U32));
            candle_core::bail!("augment takes images and indices of {expected:?}, not {found:?}")
        }
    }
}
