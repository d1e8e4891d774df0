//! The step of a run on a GPU as a CUDA graph.
//!
//! Before each replay the host puts into buffers that stay where they are what changes from step to step: the views of
//! the batch, their classes, the number of the step, and (by the optimiser) the rate. Recorded are both passes of the
//! network, the loss with its drawn and selected negatives, the update and the momentum network. Afterwards the keys of
//! the batch go into the queue, at a place that the host knows.

use super::momentum_queue::MomentumQueue;
use super::step::{StepOutcome, work};
use crate::data::{InputKind, Samples};
use crate::device::graph::Replay;
use crate::device::warn;
use crate::error::Result;
use crate::loss::{Classes, PendingCount, StepDraws};
use crate::model::{Input, Network};
use crate::optim::Optimiser;
use crate::run::{Config, Objective, Session};
use candle_core::{DType, Device, Tensor};

/// A recorded step and the buffers that it works on.
pub(super) struct RecordedStep {
    replay: Replay,
    /// Both views of a batch, \[2n, H, W, C\], in the type of the activations.
    views: Tensor,
    /// Of the n samples, u32.
    classes: Tensor,
    /// The number of the step, u32 \[1\].
    step: Tensor,
    /// \[1\].
    loss: Tensor,
    /// Kept negatives of the anchor's and of any known class, i64 \[2\], where they are counted.
    kept: Option<Tensor>,
    /// \[n, d\], with a queue.
    keys: Option<Tensor>,
}

impl RecordedStep {
    /// Where the network lives on a GPU, reads images and has backward passes of its own, all views are embedded at
    /// once, and the loss asks nothing of the host.
    ///
    /// # Errors
    /// The device has no room.
    pub fn new(
        config: &Config,
        objective: &Objective,
        samples: &Samples,
        network: &Network,
        session: &Session<'_>,
    ) -> Result<Option<Self>> {
        let is_plain = !network.uses_autograd() && config.micro_batch.is_none();
        let input = config.augmentation.input(samples.kind());
        let (Device::Cuda(gpu), InputKind::Images([height, width, channels]), true) =
            (session.device, input, is_plain && objective.stays_on_device())
        else {
            return Ok(None);
        };
        let (n, device) = (config.batch_size, session.device);
        let has_queue = objective.queue().is_some();
        let counts = has_queue || objective.selection().is_some();
        let keys = has_queue.then(|| Tensor::zeros((n, network.head_features()), DType::F32, device));
        Ok(Some(Self {
            replay: Replay::new(gpu, session.recording),
            views: Tensor::zeros((2 * n, height, width, channels), session.precision.dtype(), device)?,
            classes: Tensor::zeros(n, DType::U32, device)?,
            step: Tensor::zeros(1, DType::U32, device)?,
            loss: Tensor::zeros(1, DType::F32, device)?,
            kept: counts.then(|| Tensor::zeros(2, DType::I64, device)).transpose()?,
            keys: keys.transpose()?,
        }))
    }

    /// Where the views of the next batch go.
    pub fn views(&self) -> &Tensor {
        &self.views
    }

    /// One step on those views by the rate that was prepared. What it returns is overwritten by the next one.
    ///
    /// # Errors
    /// Those of the passes, the loss and the update.
    pub fn run(
        &mut self,
        of: (&Network, Option<&MomentumQueue>, &Optimiser),
        objective: &Objective,
        (classes, draws): (&[u32], StepDraws<'_>),
    ) -> Result<StepOutcome> {
        let device = self.views.device();
        if self.kept.is_some() {
            self.classes.slice_set(&Tensor::new(classes, device)?, 0, 0)?;
        }
        if objective.is_random() {
            self.step.slice_set(&Tensor::new(&[draws.step()], device)?, 0, 0)?;
        }
        let Self { replay, views, classes: on_device, step, loss, kept, keys } = self;
        let input = Input::Images(views.clone());
        let classes = Classes::from(classes).with_copy_on_device(on_device);
        let draws = draws.with_step_on_device(step);
        let warning = replay.run(|| {
            let found = work(of, objective, (&input, None), (classes, draws))?;
            loss.slice_set(&found.loss, 0, 0)?;
            if let (Some(place), Some(count)) = (&*kept, found.kept.device_part()) {
                place.slice_set(count, 0, 0)?;
            }
            if let (Some(place), Some(found)) = (&*keys, &found.keys) {
                place.slice_set(found, 0, 0)?;
            }
            Ok(())
        })?;
        if let Some(warning) = warning {
            warn(&warning);
        }
        // The counts of several steps are read together, so each needs a place of its own.
        let count = kept.as_ref().map(Tensor::copy).transpose()?;
        let kept = count.map_or_else(PendingCount::default, PendingCount::on_device);
        Ok(StepOutcome { loss: loss.clone(), kept, keys: keys.clone() })
    }
}
