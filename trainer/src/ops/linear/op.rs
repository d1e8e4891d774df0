//! The candle operations behind a linear layer; formulas in the parent module.

#[cfg(feature = "cuda")]
use super::cuda;
use super::{cpu, masked_sums};
use crate::ops::storage::{contiguous, contiguous_mut, expect_shape, overwritten, rows_and_columns};
use crate::ops::sums::new_sums;
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, Device, InplaceOp2, InplaceOp3, Layout, Result, Shape,
    Tensor, bail,
};
use std::sync::Mutex;

/// \[m, out, in\] of g \[…, out\] or y and x \[…, in\].
fn sizes(name: &str, outputs: &Layout, x: &Layout) -> Result<[usize; 3]> {
    let ((m, outputs_), (rows, inputs)) = (rows_and_columns(name, outputs)?, rows_and_columns(name, x)?);
    if m != rows {
        bail!("{name}: {m} rows of gradients for {rows} rows of inputs")
    }
    Ok([m, outputs_, inputs])
}

/// \[m, out, in\] of x \[…, in\] and w \[out, in\].
fn layer_sizes(x: &Layout, w: &Layout) -> Result<[usize; 3]> {
    let (m, inputs) = rows_and_columns("linear", x)?;
    let (outputs, _) = rows_and_columns("linear", w)?;
    expect_shape("linear", "the weight", w.dims(), &[outputs, inputs])?;
    Ok([m, outputs, inputs])
}

fn with_last(layout: &Layout, last: usize) -> Shape {
    let mut dims = layout.dims().to_vec();
    if let Some(dim) = dims.last_mut() {
        *dim = last;
    }
    dims.into()
}

/// A linear layer, (x, w) -> y or (x, w, b) -> y; also for candle's autograd.
#[derive(Debug, Clone, Copy)]
pub struct Linear {
    /// Whether a ReLU follows.
    pub relu: bool,
}

impl Linear {
    fn run(
        &self,
        (s1, l1): (&CpuStorage, &Layout),
        (s2, l2): (&CpuStorage, &Layout),
        bias: Option<&[f32]>,
    ) -> Result<(CpuStorage, Shape)> {
        let [m, outputs, inputs] = layer_sizes(l1, l2)?;
        if let Some(bias) = bias {
            expect_shape("linear", "the bias", &[bias.len()], &[outputs])?;
        }
        let (x, w) = (contiguous(s1, l1)?, contiguous(s2, l2)?);
        let y = cpu::forward(&x, &w, bias, [m, outputs, inputs], self.relu);
        Ok((CpuStorage::F32(y), with_last(l1, outputs)))
    }

    /// Gradients of x, w and b, each only where tracked.
    fn gradients(
        &self,
        x: &Tensor,
        w: &Tensor,
        bias: Option<&Tensor>,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<[Option<Tensor>; 3]> {
        let (g, partial) = if self.relu {
            // The graph may still need dy, so the mask goes over a copy.
            let g = dy.force_contiguous()?.detach();
            let partial = masked_sums(&g, &y.detach())?;
            (g, Some(partial))
        } else {
            (dy.detach(), None)
        };
        let dx = x.track_op().then(|| g.apply_op2_no_bwd(&w.detach(), &InputGradient)).transpose()?;
        let dw = w.track_op().then(|| {
            let dw = Tensor::zeros(w.shape(), w.dtype(), w.device())?;
            dw.inplace_op3(&g, &x.detach(), &WeightGradient)?;
            Ok::<_, candle_core::Error>(dw)
        });
        let db = bias.filter(|bias| bias.track_op()).map(|_| match partial {
            Some(partial) => new_sums(&partial),
            None => new_sums(&g.apply_op1_no_bwd(&ColumnSums)?),
        });
        Ok([dx, dw.transpose()?, db.transpose()?])
    }
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.run((s1, l1), (s2, l2), None)
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let sizes = layer_sizes(l1, l2)?;
        let y = cuda::layer(sizes, (s1, l1), (s2, l2), None, self.relu)?;
        Ok((y, with_last(l1, sizes[1])))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [dx, dw, _] = self.gradients(x, w, None, y, dy)?;
        Ok((dx, dw))
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear-bias"
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
        expect_shape("linear", "the bias", l3.dims(), &l2.dims()[..1.min(l2.dims().len())])?;
        self.run((s1, l1), (s2, l2), Some(&contiguous(s3, l3)?))
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
        let sizes = layer_sizes(l1, l2)?;
        expect_shape("linear", "the bias", l3.dims(), &[sizes[1]])?;
        let y = cuda::layer(sizes, (s1, l1), (s2, l2), Some((s3, l3)), self.relu)?;
        Ok((y, with_last(l1, sizes[1])))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dx, dw, db] = self.gradients(x, w, Some(b), y, dy)?;
        Ok((dx, dw, db))
    }
}

/// (g, w) -> dx.
pub(super) struct InputGradient;

impl CustomOp2 for InputGradient {
    fn name(&self) -> &'static str {
        "linear-input-gradient"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (m, outputs) = rows_and_columns(self.name(), l1)?;
        let (_, inputs) = rows_and_columns(self.name(), l2)?;
        expect_shape(self.name(), "the weight", l2.dims(), &[outputs, inputs])?;
        let dx = cpu::input_gradient(&contiguous(s1, l1)?, &contiguous(s2, l2)?, [m, outputs, inputs]);
        Ok((CpuStorage::F32(dx), with_last(l1, inputs)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (m, outputs) = rows_and_columns(self.name(), l1)?;
        let (_, inputs) = rows_and_columns(self.name(), l2)?;
        expect_shape(self.name(), "the weight", l2.dims(), &[outputs, inputs])?;
        Ok((cuda::new_input_gradient([m, outputs, inputs], (s1, l1), (s2, l2))?, with_last(l1, inputs)))
    }
}

/// dw <- gᵀ x, with sources g and x.
pub(super) struct WeightGradient;

impl InplaceOp3 for WeightGradient {
    fn name(&self) -> &'static str {
        "linear-weight-gradient"
    }

    #[allow(unsafe_code)] // The gradient is overwritten by the kernel that fills fresh vectors.
    fn cpu_fwd(
        &self,
        s1: &mut CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<()> {
        let sizes = sizes(self.name(), l2, l3)?;
        expect_shape(self.name(), "the weight gradient", l1.dims(), &sizes[1..])?;
        let dw = contiguous_mut(self.name(), s1, l1)?;
        // SAFETY: a matrix product writes numbers only.
        let dw = unsafe { overwritten(dw) };
        cpu::weight_gradient(dw, &contiguous(s2, l2)?, &contiguous(s3, l3)?, sizes);
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
        let sizes = sizes(self.name(), l2, l3)?;
        expect_shape(self.name(), "the weight gradient", l1.dims(), &sizes[1..])?;
        cuda::weight_gradient_into(sizes, (s1, l1), (s2, l2), (s3, l3))
    }
}

/// g \[…, out\] -> partial sums of its columns \[chunks, out\]. The CPU adds its chunks itself and leaves one.
pub(super) struct ColumnSums;

impl CustomOp1 for ColumnSums {
    fn name(&self) -> &'static str {
        "linear-bias-gradient"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, columns) = rows_and_columns(self.name(), layout)?;
        Ok((CpuStorage::F32(cpu::column_sums(&contiguous(storage, layout)?, columns)), (1, columns).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let sizes = rows_and_columns(self.name(), layout)?;
        let (partial, chunks) = cuda::bias_gradient(sizes, (storage, layout))?;
        Ok((partial, (chunks, sizes.1).into()))
    }
}

/// dy <- dy·\[y > 0\] with source y; leaves the partial sums of [`ColumnSums`] in `partial`.
pub(super) struct Mask {
    /// Second output: an in-place operation may write one tensor only.
    pub partial: Mutex<Option<Tensor>>,
}

impl InplaceOp2 for Mask {
    fn name(&self) -> &'static str {
        "linear-mask"
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<()> {
        expect_shape(self.name(), "dy", l1.dims(), l2.dims())?;
        let (_, columns) = rows_and_columns(self.name(), l1)?;
        let sums = cpu::mask(contiguous_mut(self.name(), s1, l1)?, &contiguous(s2, l2)?, columns);
        if let Ok(mut slot) = self.partial.lock() {
            *slot = Some(Tensor::from_vec(sums, (1, columns), &Device::Cpu)?);
        }
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &mut CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<()> {
        expect_shape(self.name(), "dy", l1.dims(), l2.dims())?;
        let partial = cuda::mask(rows_and_columns(self.name(), l1)?, (s1, l1), (s2, l2))?;
        if let Ok(mut slot) = self.partial.lock() {
            *slot = Some(partial);
        }
        Ok(())
    }
}
