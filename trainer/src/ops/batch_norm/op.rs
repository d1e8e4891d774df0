//! The candle operations behind batch normalisation; formulas in the parent module.

use super::cpu::{self, Backward, Channels};
use crate::ops::storage::{contiguous, contiguous_mut, expect_shape, rows_and_columns, values};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, Device, InplaceOp2, InplaceOp3, Layout, Result, Shape,
    Tensor, bail,
};
use std::sync::Mutex;

/// x -> \[2, C\].
pub(super) struct Statistics {
    pub epsilon: f64,
}

/// Rows and channels of x in training.
fn training_sizes(name: &str, x: &Layout) -> Result<(usize, usize)> {
    let (rows, channels) = rows_and_columns(name, x)?;
    if rows < 2 {
        bail!("batch norm: training needs at least two rows per channel, not shape {:?}", x.dims())
    }
    Ok((rows, channels))
}

impl CustomOp1 for Statistics {
    fn name(&self) -> &'static str {
        "batch-norm-statistics"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, channels) = training_sizes(self.name(), layout)?;
        let statistics = cpu::statistics(&contiguous(storage, layout)?, channels, self.epsilon);
        Ok((CpuStorage::F32(statistics), (2, channels).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let sizes = training_sizes(self.name(), layout)?;
        Ok((super::cuda::op::statistics((storage, layout), sizes, self.epsilon)?, (2, sizes.1).into()))
    }
}

/// running \[2, C\] <- running moved towards the batch, with source x; leaves the batch's \[2, C\] in `statistics`.
pub(super) struct TrainStatistics {
    pub epsilon: f64,
    pub momentum: f64,
    /// Second output: an in-place operation may write one tensor only.
    pub statistics: Mutex<Option<Tensor>>,
}

impl TrainStatistics {
    /// Rows and channels of x.
    fn sizes(&self, running: &Layout, x: &Layout) -> Result<(usize, usize)> {
        let (rows, channels) = training_sizes(self.name(), x)?;
        expect_shape(self.name(), "running", running.dims(), &[2, channels])?;
        Ok((rows, channels))
    }

    fn leave(&self, statistics: Tensor) {
        if let Ok(mut slot) = self.statistics.lock() {
            *slot = Some(statistics);
        }
    }
}

impl InplaceOp2 for TrainStatistics {
    fn name(&self) -> &'static str {
        "batch-norm-train-statistics"
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<()> {
        let (rows, channels) = self.sizes(l1, l2)?;
        let running = contiguous_mut(self.name(), s1, l1)?;
        let statistics = cpu::statistics(&contiguous(s2, l2)?, channels, self.epsilon);
        cpu::update_running(running, &statistics, rows, self.epsilon, self.momentum);
        self.leave(Tensor::from_vec(statistics, (2, channels), &Device::Cpu)?);
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &mut CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<()> {
        let sizes = self.sizes(l1, l2)?;
        let (running, x) = ((s1, l1), (s2, l2));
        self.leave(super::cuda::op::train_statistics(running, x, sizes, self.epsilon, self.momentum)?);
        Ok(())
    }
}

/// running \[2, C\] -> \[2, C\].
pub(super) struct Frozen {
    pub epsilon: f64,
}

impl CustomOp1 for Frozen {
    fn name(&self) -> &'static str {
        "batch-norm-frozen"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, channels) = rows_and_columns(self.name(), layout)?;
        expect_shape(self.name(), "running", layout.dims(), &[2, channels])?;
        Ok((CpuStorage::F32(cpu::frozen(&contiguous(storage, layout)?, self.epsilon)), (2, channels).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (_, channels) = rows_and_columns(self.name(), layout)?;
        expect_shape(self.name(), "running", layout.dims(), &[2, channels])?;
        let statistics = super::cuda::op::frozen((storage, layout), channels, self.epsilon)?;
        Ok((statistics, (2, channels).into()))
    }
}

/// (x, statistics, affine) -> y.
pub(super) struct Apply {
    pub relu: bool,
    pub residual: Option<Tensor>,
}

impl Apply {
    /// Rows and channels of x.
    fn sizes(&self, x: &Layout, statistics: &Layout, affine: &Layout) -> Result<(usize, usize)> {
        let (rows, channels) = rows_and_columns(self.name(), x)?;
        expect_shape(self.name(), "statistics", statistics.dims(), &[2, channels])?;
        expect_shape(self.name(), "affine", affine.dims(), &[2, channels])?;
        if let Some(residual) = &self.residual {
            expect_shape(self.name(), "residual", residual.dims(), x.dims())?;
        }
        Ok((rows, channels))
    }
}

impl CustomOp3 for Apply {
    fn name(&self) -> &'static str {
        "batch-norm-apply"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.sizes(l1, l2, l3)?;
        let coefficients = Channels::new(&contiguous(s2, l2)?, &contiguous(s3, l3)?);
        let x = contiguous(s1, l1)?;
        let y = match &self.residual {
            None => cpu::apply(&x, None, &coefficients, self.relu),
            Some(residual) => {
                let (storage, layout) = residual.storage_and_layout();
                let candle_core::Storage::Cpu(storage) = &*storage else {
                    bail!("batch norm: x lies on the CPU, its residual elsewhere")
                };
                cpu::apply(&x, Some(&contiguous(storage, layout)?), &coefficients, self.relu)
            }
        };
        Ok((CpuStorage::F32(y), l1.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
        s3: &CudaStorage,
        l3: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let sizes = self.sizes(l1, l2, l3)?;
        let y =
            super::cuda::op::apply((s1, l1), sizes, [(s2, l2), (s3, l3)], self.residual.as_ref(), self.relu)?;
        Ok((y, l1.shape().clone()))
    }
}

/// Rows and channels of x.
fn sizes(name: &str, x: &Layout, statistics: &Tensor, affine: &Tensor) -> Result<(usize, usize)> {
    let (rows, channels) = rows_and_columns(name, x)?;
    expect_shape(name, "statistics", statistics.dims(), &[2, channels])?;
    expect_shape(name, "affine", affine.dims(), &[2, channels])?;
    Ok((rows, channels))
}

fn channels_of(name: &str, x: &Layout, statistics: &Tensor, affine: &Tensor) -> Result<(usize, Channels)> {
    let (rows, _) = sizes(name, x, statistics, affine)?;
    Ok((rows, Channels::new(&values(statistics)?, &values(affine)?)))
}

/// (dy, x) -> partial sums of (dγ; dβ) \[chunks, 2, C\], with the ReLU's mask recomputed from x. The CPU adds its chunks
/// itself and leaves one.
pub(super) struct Reduce {
    pub relu: bool,
    pub statistics: Tensor,
    pub affine: Tensor,
}

impl CustomOp2 for Reduce {
    fn name(&self) -> &'static str {
        "batch-norm-reduce"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        expect_shape(self.name(), "dy", l1.dims(), l2.dims())?;
        let (_, channels) = channels_of(self.name(), l2, &self.statistics, &self.affine)?;
        let sums = cpu::reduce(&contiguous(s1, l1)?, &contiguous(s2, l2)?, &channels, self.relu);
        Ok((CpuStorage::F32(sums), (1, 2, channels.mean.len()).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        expect_shape(self.name(), "dy", l1.dims(), l2.dims())?;
        let sizes = sizes(self.name(), l2, &self.statistics, &self.affine)?;
        let forward = ((s2, l2), sizes, &self.statistics, &self.affine);
        let (partial, chunks) = super::cuda::op::reduce(forward, (s1, l1), self.relu)?;
        Ok((partial, (chunks, 2, sizes.1).into()))
    }
}

/// dy <- g by the sign of y, with sources x and y; leaves the partial sums of [`Reduce`] in `partial`.
pub(super) struct MaskedReduce {
    pub statistics: Tensor,
    pub affine: Tensor,
    /// Second output: an in-place operation may write one tensor only.
    pub partial: Mutex<Option<Tensor>>,
}

impl InplaceOp3 for MaskedReduce {
    fn name(&self) -> &'static str {
        "batch-norm-masked-reduce"
    }

    fn cpu_fwd(
        &self,
        s1: &mut CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<()> {
        expect_shape(self.name(), "dy", l1.dims(), l2.dims())?;
        expect_shape(self.name(), "y", l3.dims(), l2.dims())?;
        let (_, channels) = channels_of(self.name(), l2, &self.statistics, &self.affine)?;
        let dy = contiguous_mut(self.name(), s1, l1)?;
        let sums = cpu::masked_reduce(dy, &contiguous(s2, l2)?, &contiguous(s3, l3)?, &channels);
        let sums = Tensor::from_vec(sums, (1, 2, channels.mean.len()), &Device::Cpu)?;
        if let Ok(mut slot) = self.partial.lock() {
            *slot = Some(sums);
        }
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &mut CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
        s3: &CudaStorage,
        l3: &Layout,
    ) -> Result<()> {
        expect_shape(self.name(), "dy", l1.dims(), l2.dims())?;
        expect_shape(self.name(), "y", l3.dims(), l2.dims())?;
        let sizes = sizes(self.name(), l2, &self.statistics, &self.affine)?;
        let forward = ((s2, l2), sizes, &self.statistics, &self.affine);
        let partial = super::cuda::op::masked_reduce(forward, (s3, l3), (s1, l1))?;
        if let Ok(mut slot) = self.partial.lock() {
            *slot = Some(partial);
        }
        Ok(())
    }
}

/// (g, x) -> dx, in place over g or as a new tensor; `relu` masks g by the sign recomputed from x.
pub(super) struct InputGradient {
    pub relu: bool,
    pub statistics: Tensor,
    pub affine: Tensor,
    pub sums: Tensor,
}

impl InplaceOp2 for InputGradient {
    fn name(&self) -> &'static str {
        "batch-norm-input-gradient"
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<()> {
        let name = InplaceOp2::name(self);
        expect_shape(name, "g", l1.dims(), l2.dims())?;
        let (rows, channels) = channels_of(name, l2, &self.statistics, &self.affine)?;
        let g = contiguous_mut(name, s1, l1)?;
        Backward::new(&channels, &values(&self.sums)?, rows).in_place(g, &contiguous(s2, l2)?, self.relu);
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &mut CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<()> {
        let name = InplaceOp2::name(self);
        expect_shape(name, "g", l1.dims(), l2.dims())?;
        let sizes = sizes(name, l2, &self.statistics, &self.affine)?;
        let forward = ((s2, l2), sizes, &self.statistics, &self.affine);
        super::cuda::op::input_gradient_in_place(forward, (s1, l1), &self.sums, self.relu)
    }
}

impl CustomOp2 for InputGradient {
    fn name(&self) -> &'static str {
        "batch-norm-input-gradient"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let name = CustomOp2::name(self);
        expect_shape(name, "g", l1.dims(), l2.dims())?;
        let (rows, channels) = channels_of(name, l2, &self.statistics, &self.affine)?;
        let backward = Backward::new(&channels, &values(&self.sums)?, rows);
        let dx = backward.new_gradient(&contiguous(s1, l1)?, &contiguous(s2, l2)?, self.relu);
        Ok((CpuStorage::F32(dx), l1.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let name = CustomOp2::name(self);
        expect_shape(name, "g", l1.dims(), l2.dims())?;
        let sizes = sizes(name, l2, &self.statistics, &self.affine)?;
        let forward = ((s2, l2), sizes, &self.statistics, &self.affine);
        let dx = super::cuda::op::input_gradient(forward, (s1, l1), &self.sums, self.relu)?;
        Ok((dx, l1.shape().clone()))
    }
}
