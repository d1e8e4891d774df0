//! Optimiser steps over one flat tensor: parameters w, then the optimiser's state, \[w | v\] or \[w | m | v\].
//!
//! With the gradient ∇, decay λ (0 in segments that do not decay), rate η and step k = 1, 2, …:
//!
//! - SGD: v ← μv + (∇ + λw), w ← w − ηv.
//! - LARS (You et al. 2017, by the rule of apex's `LARC(clip=False)`): as SGD, but in a segment that adapts, with norms
//!   over the segment, ∇ + λw is replaced by (∇ + λw)·trust·‖w‖/(‖∇‖ + λ‖w‖ + 1e-8) where ‖w‖ ≠ 0 and ‖∇‖ ≠ 0, and by
//!   ∇ alone, *without decay*, where one of them is 0. With `clip` the factor trust·‖w‖/(…) is divided by η and taken
//!   as 1 where that is more (solo-learn's `LARSWrapper(clip=True)`, whose ε is the trust coefficient: here 1e-8).
//! - AdamW (Loshchilov & Hutter 2019, as `torch.optim.AdamW`): w ← (1 − ηλ)w, m ← β₁m + (1 − β₁)∇,
//!   v ← β₂v + (1 − β₂)∇², w ← w − η/(1 − β₁ᵏ) · m / (√(v/(1 − β₂ᵏ)) + ε).
//!
//! State starts at zero. Everything is one pass over memory; LARS reads w and ∇ once more for the norms.

mod cpu;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;
pub(crate) mod lazy;

use super::embedding_bag::SparseGradient;
use super::storage::{contiguous, contiguous_mut, expect_shape};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, Device, InplaceOp2, Layout, Result, Tensor, bail};
use std::sync::{Mutex, PoisonError};

/// How a gradient moves parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// SGD with momentum μ.
    Sgd {
        /// μ.
        momentum: f64,
    },
    /// SGD with momentum μ and layer-wise adapted rates.
    Lars {
        /// The trust coefficient.
        trust: f64,
        /// μ.
        momentum: f64,
        /// Whether the factor is divided by η and then at most 1; on the CPU only.
        clip: bool,
    },
    /// Adam with decoupled weight decay.
    AdamW {
        /// Decay of the mean gradient.
        beta1: f64,
        /// Decay of the mean square.
        beta2: f64,
        /// ε.
        epsilon: f64,
    },
}

impl Rule {
    /// Numbers of state per parameter.
    pub fn num_states(self) -> usize {
        match self {
            Self::Sgd { .. } | Self::Lars { .. } => 1,
            Self::AdamW { .. } => 2,
        }
    }
}

/// A run of parameters that are treated alike: one tensor of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Index of the first parameter.
    pub start: usize,
    /// How many.
    pub length: usize,
    /// Whether weight decay applies.
    pub decays: bool,
    /// Whether LARS adapts the rate.
    pub adapts: bool,
    /// Whether its gradient lies in [`Halves`], where a step is given those.
    pub half_gradient: bool,
}

/// What stands beside the state and the gradient where activations are bf16: two tensors of bf16 on the same GPU.
#[derive(Debug, Clone)]
pub struct Halves {
    /// \[P\]: a step writes the parameters here too.
    pub values: Tensor,
    /// \[P\]: the gradient of the segments with `half_gradient`; the rest is not read.
    pub gradient: Tensor,
}

/// A rule over the segments of one flat tensor; parameters outside every segment stay.
#[derive(Debug)]
pub struct Optimiser {
    rule: Rule,
    weight_decay: f64,
    segments: Vec<Segment>,
    /// Rate and number of the next step.
    next: Mutex<(f64, u64)>,
    #[cfg(feature = "cuda")]
    device: Mutex<Option<cuda::Session>>,
}

impl Optimiser {
    /// An optimiser of these segments.
    ///
    /// # Errors
    /// Segments that are not in order or overlap; coefficients outside their range (0 ≤ μ, β < 1; others not negative).
    pub fn new(rule: Rule, weight_decay: f64, segments: &[Segment]) -> Result<Self> {
        for pair in segments.windows(2) {
            if pair[0].start.checked_add(pair[0].length).is_none_or(|end| end > pair[1].start) {
                bail!("optimiser: segment {:?} does not end before {:?}", pair[0], pair[1])
            }
        }
        let fractions: &[(&str, f64)] = match &rule {
            Rule::Sgd { momentum } | Rule::Lars { momentum, .. } => &[("momentum", *momentum)],
            Rule::AdamW { beta1, beta2, .. } => &[("beta1", *beta1), ("beta2", *beta2)],
        };
        if let Some((name, value)) = fractions.iter().find(|(_, value)| !(0.0..1.0).contains(value)) {
            bail!("optimiser: {name} must be in [0, 1), not {value}")
        }
        let (name, value) = match rule {
            Rule::Sgd { .. } => ("momentum", 0.0),
            Rule::Lars { trust, .. } => ("trust", trust),
            Rule::AdamW { epsilon, .. } => ("epsilon", epsilon),
        };
        for (name, value) in [(name, value), ("weight decay", weight_decay)] {
            if !(value >= 0.0 && value.is_finite()) {
                bail!("optimiser: {name} must be at least 0, not {value}")
            }
        }
        Ok(Self {
            rule,
            weight_decay,
            segments: segments.to_vec(),
            next: Mutex::new((f64::NAN, 0)),
            #[cfg(feature = "cuda")]
            device: Mutex::new(None),
        })
    }

    /// The rule.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// Step number `step` = 1, 2, … at this rate: overwrites `state` \[P·(1 + states)\] using `gradient` \[P\].
    ///
    /// # Errors
    /// Shapes that do not fit each other or the segments; step 0; a rate that is not finite.
    ///
    /// # Examples
    /// ```
    /// # use {candle_core::{Device, Tensor}, trainer::ops::optimiser::{Optimiser, Rule, Segment}};
    /// // SGD with momentum 1/2 at rate 1/4 from w = 1, v = 0 with gradient 2: v = 2, w = 1/2; then v = 3, w = −1/4.
    /// let segment = Segment { start: 0, length: 1, decays: true, adapts: true, half_gradient: false };
    /// let sgd = Optimiser::new(Rule::Sgd { momentum: 0.5 }, 0.0, &[segment])?;
    /// let (state, gradient) = (Tensor::new(&[1f32, 0.0], &Device::Cpu)?, Tensor::new(&[2f32], &Device::Cpu)?);
    /// sgd.step(&state, &gradient, 0.25, 1)?;
    /// assert_eq!(state.to_vec1::<f32>()?, [0.5, 2.0]);
    /// sgd.step(&state, &gradient, 0.25, 2)?;
    /// assert_eq!(state.to_vec1::<f32>()?, [-0.25, 3.0]);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn step(&self, state: &Tensor, gradient: &Tensor, rate: f64, step: u64) -> Result<()> {
        self.prepare(state.device(), rate, step)?;
        self.apply(state, gradient, None)
    }

    /// Sets rate and number of the step that [`apply`](Self::apply) makes.
    ///
    /// On a GPU they go to a buffer on the device, so that a CUDA graph that recorded `apply` is replayed with new
    /// ones.
    ///
    /// # Errors
    /// Step 0; a rate that is not finite.
    pub fn prepare(&self, device: &Device, rate: f64, step: u64) -> Result<()> {
        if step == 0 || !rate.is_finite() {
            bail!("optimiser: step {step} at rate {rate}: steps count from 1, rates are finite")
        }
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = (rate, step);
        match device {
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => self.prepare_cuda(device, rate, step),
            _ => Ok(()),
        }
    }

    /// The decay λ.
    pub fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    /// The step that was prepared, on a table `state` = \[values | states…\] of rows of `columns` whose gradient is
    /// zero outside some rows: lazily where `lazy` is given, else over the whole table.
    ///
    /// # Errors
    /// As [`step`](Self::step); a rate that was not scheduled.
    pub(crate) fn apply_rows(
        &self,
        state: &mut [f32],
        gradient: &SparseGradient,
        columns: usize,
        lazy: Option<&mut lazy::Lazy>,
    ) -> Result<()> {
        let (rate, step) = *self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if step == 0 {
            bail!("optimiser: no step was prepared")
        }
        match lazy {
            None => lazy::dense(state, gradient, columns, (self.rule, self.weight_decay), (rate, step)),
            Some(lazy) => {
                let (values, velocities) = state.split_at_mut(state.len() / 2);
                lazy.step(gradient, rate, values, velocities)
            }
        }
    }

    /// The step that was prepared; `half` on a GPU only.
    ///
    /// # Errors
    /// As [`step`](Self::step); tensors in bf16 on the CPU, or of another length; no step prepared.
    pub fn apply(&self, state: &Tensor, gradient: &Tensor, half: Option<&Halves>) -> Result<()> {
        state.inplace_op2(gradient, &Step { optimiser: self, half })
    }
}

/// state <- one step, with source gradient.
struct Step<'a> {
    optimiser: &'a Optimiser,
    half: Option<&'a Halves>,
}

impl Step<'_> {
    fn check(&self, state: &Layout, gradient: &Layout) -> Result<()> {
        let Optimiser { rule, segments, .. } = self.optimiser;
        let parameters = gradient.shape().elem_count();
        expect_shape(self.name(), "the gradient", gradient.dims(), &[parameters])?;
        expect_shape(self.name(), "the state", state.dims(), &[parameters * (1 + rule.num_states())])?;
        if let Some(last) = segments.last().filter(|s| s.start + s.length > parameters) {
            bail!("optimiser: {last:?} ends outside {parameters} parameters")
        }
        Ok(())
    }
}

impl InplaceOp2 for Step<'_> {
    fn name(&self) -> &'static str {
        "optimiser-step"
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<()> {
        self.check(l1, l2)?;
        if self.half.is_some() {
            bail!("optimiser: tensors in bf16 need a GPU")
        }
        let Optimiser { rule, weight_decay, segments, next, .. } = self.optimiser;
        let (rate, step) = *next.lock().unwrap_or_else(PoisonError::into_inner);
        if step == 0 {
            bail!("optimiser: no step was prepared")
        }
        let state = contiguous_mut(self.name(), s1, l1)?;
        cpu::step(state, &contiguous(s2, l2)?, segments, *rule, *weight_decay, rate, step);
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &mut CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<()> {
        self.check(l1, l2)?;
        self.optimiser.apply_cuda((s1, l1), (s2, l2), self.half)
    }
}

#[cfg(test)]
mod tests;
