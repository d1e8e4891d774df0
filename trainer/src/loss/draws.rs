//! The random numbers of one step: which negatives are drawn, which are kept at random.

use crate::error::{Error, Result};
use candle_core::Tensor;
use measure::rng::Purpose;
use measure::rng::philox::Counter;

/// The random numbers of one step of a run, by the index of anchor and candidate: they depend on nothing that was drawn
/// before.
#[derive(Debug, Clone, Copy)]
pub struct StepDraws<'a> {
    pub(super) counter: Counter,
    #[cfg_attr(not(feature = "cuda"), allow(dead_code))] // a GPU alone reads it
    step_on_device: Option<&'a Tensor>,
}

impl<'a> StepDraws<'a> {
    /// Those of a step, counted from 0 over the whole run.
    ///
    /// # Errors
    /// A step of 2³² or more.
    ///
    /// # Examples
    /// ```
    /// use trainer::loss::StepDraws;
    /// assert!(StepDraws::new(7, 0).is_ok());
    /// assert!(StepDraws::new(7, 1 << 32).is_err());
    /// ```
    pub fn new(seed: u64, step: u64) -> Result<Self> {
        let step = u32::try_from(step)
            .map_err(|_| Error::argument(format!("step {step} is beyond the last, 2^32 - 1")))?;
        Ok(Self { counter: Counter { seed, purpose: Purpose::Negatives, step }, step_on_device: None })
    }

    /// The same where a GPU reads the number of the step from a tensor there, u32 \[1\]: a recorded CUDA graph draws by
    /// what the tensor holds when it is replayed. What computes on the CPU draws by the step of [`new`](Self::new).
    #[must_use]
    pub fn with_step_on_device(self, step: &'a Tensor) -> Self {
        Self { step_on_device: Some(step), ..self }
    }

    /// The number of the step.
    #[cfg(feature = "cuda")]
    pub(crate) fn step(&self) -> u32 {
        self.counter.step
    }

    /// The number of the step in the memory of a GPU.
    ///
    /// # Errors
    /// No memory there.
    #[cfg(feature = "cuda")]
    pub(super) fn step_on(&self, device: &candle_core::Device) -> candle_core::Result<Tensor> {
        self.step_on_device.map_or_else(|| Tensor::new(&[self.counter.step], device), |step| Ok(step.clone()))
    }
}
