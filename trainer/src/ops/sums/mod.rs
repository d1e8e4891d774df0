//! The second level of a sum over many rows: partial sums, added in the order of their chunks into the place of the
//! result, such as a parameter's slot among all gradients.

#[cfg(feature = "cuda")]
pub(crate) mod cuda;

use super::storage::{contiguous, contiguous_mut, expect_shape};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor};

/// sums \[…\] ← Σ over the chunks of `partial` \[chunks, …\], in f64 on the CPU.
///
/// # Errors
/// Shapes that do not fit; `sums` not row-major.
pub fn add_chunks(sums: &Tensor, partial: &Tensor) -> Result<()> {
    sums.inplace_op2(partial, &AddChunks)
}

/// As [`add_chunks`], into a new tensor.
///
/// # Errors
/// A scalar; no memory.
pub fn new_sums(partial: &Tensor) -> Result<Tensor> {
    let sums = Tensor::zeros(&partial.dims()[1..], partial.dtype(), partial.device())?;
    add_chunks(&sums, partial)?;
    Ok(sums)
}

/// sums <- partial.
struct AddChunks;

impl AddChunks {
    fn check(&self, sums: &Layout, partial: &Layout) -> Result<()> {
        expect_shape(self.name(), "the place of the sums", sums.dims(), &partial.dims()[1..])
    }
}

impl InplaceOp2 for AddChunks {
    fn name(&self) -> &'static str {
        "add-chunks"
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<()> {
        self.check(l1, l2)?;
        let (sums, partial) = (contiguous_mut(self.name(), s1, l1)?, contiguous(s2, l2)?);
        let columns = sums.len();
        for (column, sum) in sums.iter_mut().enumerate() {
            let chunks = partial[column..].iter().step_by(columns);
            *sum = chunks.map(|&value| f64::from(value)).sum::<f64>() as f32;
        }
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &mut CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<()> {
        self.check(l1, l2)?;
        cuda::add_chunks_into((s1, l1), (s2, l2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn chunks_are_added_into_their_view_only() {
        let flat = Tensor::new(&[9f32; 6], &Device::Cpu).unwrap();
        let partial = Tensor::new(&[[1f32, 2.0], [10.0, 20.0], [100.0, 200.0]], &Device::Cpu).unwrap();
        add_chunks(&flat.narrow(0, 3, 2).unwrap(), &partial).unwrap();
        assert_eq!(flat.to_vec1::<f32>().unwrap(), [9.0, 9.0, 9.0, 111.0, 222.0, 9.0]);
        assert_eq!(new_sums(&partial).unwrap().to_vec1::<f32>().unwrap(), [111.0, 222.0]);
        assert!(add_chunks(&flat, &partial).is_err());
    }
}
