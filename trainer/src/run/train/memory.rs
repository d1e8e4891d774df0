//! The negatives of a run with a queue: the momentum network and its last keys, as MoCo (He et al. 2020).
//!
//! A step: queries are the head features of view 1 by the network that is trained, keys those of view 2 by the momentum
//! network, each batch normalised by its own statistics. The loss sees the keys of earlier batches as negatives; then the
//! batch's keys enter the queue, the optimiser takes its step, and the momentum network follows. The network that is trained is
//! the one that is evaluated.

use crate::data::Samples;
use crate::error::{Error, Result};
use crate::loss::{Choice, Kept, Loss, Queue, queue_info_nce};
use crate::model::{Input, Momentum, Network, Precision, Tape};
use crate::run::Config;
use candle_core::Tensor;
use std::collections::HashMap;
use std::path::Path;

/// The momentum network and the queue.
pub(super) struct Memory {
    momentum: Momentum,
    queue: Queue,
}

impl Memory {
    /// Where the settings have a queue: a copy of `network`, and the first keys.
    ///
    /// # Errors
    /// Texts; a device without room.
    pub fn new(
        config: &Config,
        samples: &Samples,
        network: &Network,
        precision: Precision,
    ) -> Result<Option<Self>> {
        let Some(settings) = config.queue else { return Ok(None) };
        let device = network.parameters().device();
        let copy = config.network(samples, device)?.in_precision(precision)?;
        let momentum = Momentum::new(copy, network, settings.momentum)?;
        let queue = Queue::new(settings.size, network.head_features(), config.seed, device)?;
        Ok(Some(Self { momentum, queue }))
    }

    /// K.
    pub fn num_negatives(&self) -> usize {
        self.queue.size()
    }

    /// The loss of a batch of two views of samples of these classes, with the tape of the queries' pass; its keys are in the
    /// queue afterwards.
    ///
    /// # Errors
    /// As the network's pass and the loss.
    pub fn loss(
        &mut self,
        network: &Network,
        views: &Input,
        classes: &[u32],
        choice: &Choice,
        temperature: f64,
    ) -> Result<(Loss, Kept, Tape)> {
        let (views, count) = (views.images()?, classes.len());
        let view = |index: usize| Ok::<_, Error>(Input::Images(views.narrow(0, index * count, count)?));
        let (output, tape) = network.forward_train(&view(0)?)?;
        let keys = self.momentum.keys(&view(1)?)?;
        let (loss, kept) = queue_info_nce(&output.head, &keys, &self.queue, classes, choice, temperature)?;
        self.queue.push(&keys, classes)?;
        Ok((loss, kept, tape))
    }

    /// After a step of the optimiser.
    ///
    /// # Errors
    /// The tensor library fails.
    pub fn follow(&self, network: &Network) -> Result<()> {
        self.momentum.follow(network)
    }

    /// What a checkpoint keeps.
    ///
    /// # Errors
    /// The tensor library fails.
    pub fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        let mut tensors = self.momentum.tensors()?;
        tensors.extend(self.queue.tensors()?.map(|(name, tensor)| (name.to_string(), tensor)));
        Ok(tensors)
    }

    /// Goes on from the tensors of a checkpoint.
    ///
    /// # Errors
    /// A tensor that is missing, or has another shape.
    pub fn resume(&mut self, path: &Path, tensors: &HashMap<String, Tensor>) -> Result<()> {
        let queue = self.queue.read(|name| tensors.get(name).cloned());
        let queue = queue.map_err(|e| Error::data(path, format!("is no checkpoint: {e}")))?;
        self.momentum.resume(path, tensors)?;
        self.queue = queue;
        Ok(())
    }
}
