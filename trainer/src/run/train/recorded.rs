//! The step of a run on a GPU as a CUDA graph.
//!
//! Before each replay the host puts into buffers that stay where they are what changes from step to step: the views of
//! the batch and the rate. Recorded are both passes of the network, the loss and the update.

use crate::augment::{ViewStream, Views};
use crate::data::Samples;
use crate::device::graph::Replay;
use crate::device::warn;
use crate::error::Result;
use crate::loss::Loss;
use crate::model::{Input, Network};
use crate::optim::Optimiser;
use crate::run::{Config, Objective, Session};
use candle_core::{DType, Device, Tensor};

/// What a recorded step works on.
pub(super) struct RecordedStep {
    replay: Replay,
    /// Both views of a batch, \[2n, H, W, C\], in the type of the activations.
    views: Tensor,
    /// \[1\].
    loss: Tensor,
}

impl RecordedStep {
    /// Where the network lives on a GPU and reads images, and the loss needs nothing of the host: neither the classes of
    /// a batch nor a queue, whose oldest place moves.
    ///
    /// # Errors
    /// The device has no room.
    pub fn new(
        config: &Config,
        objective: &Objective,
        samples: &Samples,
        session: &Session<'_>,
    ) -> Result<Option<Self>> {
        let (Device::Cuda(device), Samples::Images(images), true) =
            (session.device, samples, objective.needs_features_alone())
        else {
            return Ok(None);
        };
        let [height, width, channels] = images.shape();
        let shape = (2 * config.batch_size, height, width, channels);
        let views = Tensor::zeros(shape, session.precision.dtype(), session.device)?;
        let loss = Tensor::zeros(1, DType::F32, session.device)?;
        Ok(Some(Self { replay: Replay::new(device, session.recording), views, loss }))
    }

    /// One step on these samples; its loss, \[1\], which the next step overwrites.
    ///
    /// # Errors
    /// Those of the passes, the loss and the update.
    pub fn run(
        &mut self,
        (views, batch, draw): (&Views<'_>, &[usize], &mut ViewStream),
        network: &Network,
        (optimiser, rate): (&mut Optimiser, f64),
        loss: impl Fn(&Tensor) -> Result<Loss>,
    ) -> Result<&Tensor> {
        views.random_into(&self.views, batch, draw, 2)?;
        optimiser.prepare(network.parameters(), rate)?;
        let (input, place) = (Input::Images(self.views.clone()), &self.loss);
        let warning = self.replay.run(|| {
            let (output, tape) = network.forward_train(&input)?;
            let Loss { value, gradient } = loss(&output.head)?;
            place.slice_set(&value.reshape(1)?, 0, 0)?;
            network.backward(tape, gradient)?;
            optimiser.apply(network.parameters())
        })?;
        if let Some(warning) = warning {
            warn(&warning);
        }
        Ok(&self.loss)
    }
}
