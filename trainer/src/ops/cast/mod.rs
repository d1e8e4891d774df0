//! Between f32 and bf16 on a GPU, rounded to nearest, ties to even: how mixed precision enters and leaves a network.

#[cfg(feature = "cuda")]
pub(crate) mod cuda;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, DType, InplaceOp2, Layout, Result, Shape, Tensor, bail};

/// x in another element type; x itself where it has that type already.
///
/// # Errors
/// Types other than f32 and bf16; tensors of another type on the CPU.
pub fn cast(x: &Tensor, dtype: DType) -> Result<Tensor> {
    if x.dtype() == dtype { Ok(x.clone()) } else { x.apply_op1_no_bwd(&Cast(dtype)) }
}

/// Writes x, in f32, over `copy` of the same shape in bf16.
///
/// # Errors
/// Other types or shapes; a copy that is not row-major; the CPU.
pub fn refresh(copy: &Tensor, x: &Tensor) -> Result<()> {
    copy.inplace_op2(x, &Refresh)
}

/// x -> x in this type.
struct Cast(DType);

impl CustomOp1 for Cast {
    fn name(&self) -> &'static str {
        "cast"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        bail!("cast to {:?}: on the CPU everything is f32", self.0)
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        Ok((cuda::cast((storage, layout), self.0)?, layout.shape().clone()))
    }
}

/// copy <- x.
struct Refresh;

impl InplaceOp2 for Refresh {
    fn name(&self) -> &'static str {
        "refresh"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<()> {
        bail!("a copy in bf16: on the CPU everything is f32")
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &mut CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<()> {
        super::storage::expect_shape(self.name(), "the copy", l1.dims(), l2.dims())?;
        cuda::refresh(s1, l1, (s2, l2))
    }
}
