//! The candle operations behind batch normalisation; formulas in the parent module.

use super::cpu::{self, Backward, Channels};
use super::{Forward, residual_sums};
use crate::ops::parallel::{contiguous, contiguous_mut, expect_shape, rows_and_columns, values};
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, Device, InplaceOp2, InplaceOp3, Layout, Result, Shape,
    Tensor, bail,
};
use std::sync::Mutex;

/// x -> \[2, C\].
pub(super) struct Statistics {
    pub epsilon: f64,
}

impl CustomOp1 for Statistics {
    fn name(&self) -> &'static str {
        "batch-norm-statistics"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, channels) = rows_and_columns(self.name(), layout)?;
        if rows < 2 {
            bail!("batch norm: training needs at least two rows per channel, not shape {:?}", layout.dims())
        }
        let statistics = cpu::statistics(&contiguous(storage, layout)?, channels, self.epsilon);
        Ok((CpuStorage::F32(statistics), (2, channels).into()))
    }
}

/// running \[2, C\] <- statistics \[2, C\].
pub(super) struct UpdateRunning {
    pub rows: usize,
    pub epsilon: f64,
    pub momentum: f64,
}

impl InplaceOp2 for UpdateRunning {
    fn name(&self) -> &'static str {
        "batch-norm-update-running"
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<()> {
        let (_, channels) = rows_and_columns(self.name(), l2)?;
        expect_shape(self.name(), "statistics", l2.dims(), &[2, channels])?;
        expect_shape(self.name(), "running", l1.dims(), &[2, channels])?;
        if self.rows < 2 {
            bail!("batch norm: the unbiased variance of {} rows does not exist", self.rows)
        }
        let running = contiguous_mut(self.name(), s1, l1)?;
        cpu::update_running(running, &contiguous(s2, l2)?, self.rows, self.epsilon, self.momentum);
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
}

/// (x, statistics, affine) -> y.
pub(super) struct Apply {
    pub relu: bool,
    pub residual: Option<Tensor>,
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
        let (_, channels) = rows_and_columns(self.name(), l1)?;
        expect_shape(self.name(), "statistics", l2.dims(), &[2, channels])?;
        expect_shape(self.name(), "affine", l3.dims(), &[2, channels])?;
        let coefficients = Channels::new(&contiguous(s2, l2)?, &contiguous(s3, l3)?);
        let x = contiguous(s1, l1)?;
        let y = match &self.residual {
            None => cpu::apply(&x, None, &coefficients, self.relu),
            Some(residual) => {
                expect_shape(self.name(), "residual", residual.dims(), l1.dims())?;
                let (storage, layout) = residual.storage_and_layout();
                let candle_core::Storage::Cpu(storage) = &*storage else {
                    bail!("batch norm: x lies on the CPU, its residual elsewhere")
                };
                cpu::apply(&x, Some(&contiguous(storage, layout)?), &coefficients, self.relu)
            }
        };
        Ok((CpuStorage::F32(y), l1.shape().clone()))
    }
}

fn channels_of(name: &str, x: &Layout, statistics: &Tensor, affine: &Tensor) -> Result<(usize, Channels)> {
    let (rows, channels) = rows_and_columns(name, x)?;
    expect_shape(name, "statistics", statistics.dims(), &[2, channels])?;
    expect_shape(name, "affine", affine.dims(), &[2, channels])?;
    Ok((rows, Channels::new(&values(statistics)?, &values(affine)?)))
}

/// (dy, x) -> (dγ; dβ), with the ReLU's mask recomputed from x.
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
        Ok((CpuStorage::F32(sums), (2, channels.mean.len()).into()))
    }
}

/// dy <- g by the sign of y, with sources x and y; leaves (dγ; dβ) in `sums`.
pub(super) struct MaskedReduce {
    pub statistics: Tensor,
    pub affine: Tensor,
    /// Second output: an in-place operation may write one tensor only.
    pub sums: Mutex<Option<Tensor>>,
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
        let sums = Tensor::from_vec(sums, (2, channels.mean.len()), &Device::Cpu)?;
        if let Ok(mut slot) = self.sums.lock() {
            *slot = Some(sums);
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
}

/// Batch normalisation for candle's autograd: (x, affine) -> y, or (x, affine, residual) -> y.
///
/// The backward pass computes the statistics again: one more read of x than [`backward`](super::backward).
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm {
    /// ε, added to the variance.
    pub epsilon: f64,
    /// Whether a ReLU follows.
    pub relu: bool,
}

impl BatchNorm {
    fn backward(
        &self,
        x: &Tensor,
        affine: &Tensor,
        residual: Option<(&Tensor, &Tensor)>,
        dy: &Tensor,
    ) -> Result<[Option<Tensor>; 3]> {
        let x_tracked = x.track_op();
        let (x, affine_values) = (x.detach(), affine.detach());
        let statistics = x.apply_op1_no_bwd(&Statistics { epsilon: self.epsilon })?;
        let (relu, y) = (self.relu && residual.is_none(), residual.map(|(_, y)| y.detach()));
        let forward = Forward {
            x: &x,
            statistics: &statistics,
            affine: &affine_values,
            relu: self.relu,
            residual_output: y.as_ref(),
        };
        let (g, sums) = match &y {
            // The graph may still need dy, so the mask goes over a copy.
            Some(y) => {
                let g = dy.force_contiguous()?;
                let sums = residual_sums(&g, &forward, y)?;
                (g, sums)
            }
            None => {
                let reduce = Reduce { relu, statistics: statistics.clone(), affine: affine_values.clone() };
                (dy.clone(), dy.apply_op2_no_bwd(&x, &reduce)?)
            }
        };
        let dx = InputGradient { relu, statistics, affine: affine_values.clone(), sums: sums.clone() };
        let residual_tracked = residual.is_some_and(|(residual, _)| residual.track_op());
        let dx = x_tracked.then(|| g.apply_op2_no_bwd(&x, &dx)).transpose()?;
        Ok([dx, affine.track_op().then_some(sums), residual_tracked.then_some(g)])
    }
}

impl CustomOp2 for BatchNorm {
    fn name(&self) -> &'static str {
        "batch-norm"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (statistics, shape) = Statistics { epsilon: self.epsilon }.cpu_fwd(s1, l1)?;
        let apply = Apply { relu: self.relu, residual: None };
        apply.cpu_fwd(s1, l1, &statistics, &Layout::contiguous(shape), s2, l2)
    }

    fn bwd(
        &self,
        x: &Tensor,
        affine: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [dx, gradient, _] = self.backward(x, affine, None, dy)?;
        Ok((dx, gradient))
    }
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        "batch-norm-residual"
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
        let (statistics, shape) = Statistics { epsilon: self.epsilon }.cpu_fwd(s1, l1)?;
        let (_, channels) = rows_and_columns("batch-norm", l1)?;
        expect_shape("batch-norm", "affine", l2.dims(), &[2, channels])?;
        expect_shape("batch-norm", "residual", l3.dims(), l1.dims())?;
        let coefficients =
            Channels::new(&contiguous(&statistics, &Layout::contiguous(shape))?, &contiguous(s2, l2)?);
        let y = cpu::apply(&contiguous(s1, l1)?, Some(&contiguous(s3, l3)?), &coefficients, self.relu);
        Ok((CpuStorage::F32(y), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        affine: &Tensor,
        residual: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dx, gradient, dr] = self.backward(x, affine, Some((residual, y)), dy)?;
        Ok((dx, gradient, dr))
    }
}
