//! Batch normalisation as one operation of candle's autograd; formulas in the parent module.

use super::cpu::{self, Channels};
use super::op::{Apply, InputGradient, Statistics};
use super::{Forward, partial_sums};
use crate::ops::storage::{contiguous, expect_shape, rows_and_columns};
use crate::ops::sums::new_sums;
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

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
        // The graph may still need dy, so a mask goes over a copy.
        let g = if y.is_some() { dy.force_contiguous()? } else { dy.clone() };
        let sums = new_sums(&partial_sums(&g, &forward)?)?;
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

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (statistics, shape) = Statistics { epsilon: self.epsilon }.cuda_fwd(s1, l1)?;
        let apply = Apply { relu: self.relu, residual: None };
        apply.cuda_fwd(s1, l1, &statistics, &Layout::contiguous(shape), s2, l2)
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
        let (statistics, shape) = Statistics { epsilon: self.epsilon }.cuda_fwd(s1, l1)?;
        let sizes = rows_and_columns("batch-norm", l1)?;
        expect_shape("batch-norm", "affine", l2.dims(), &[2, sizes.1])?;
        expect_shape("batch-norm", "residual", l3.dims(), l1.dims())?;
        let coefficients = [(&statistics, &Layout::contiguous(shape)), (s2, l2)];
        let y = super::cuda::op::apply_with((s1, l1), sizes, coefficients, Some((s3, l3)), self.relu)?;
        Ok((y, l1.shape().clone()))
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
