//! The negatives of a run with a queue: the momentum network and its last keys, as MoCo (He et al. 2020).
//!
//! A step: queries are the head features of view 1 by the network that is trained, keys those of view 2 by the momentum
//! network, each batch normalised by its own statistics. The loss sees the keys of earlier batches as negatives; then
//! the optimiser takes its step, the momentum network follows, and the batch's keys enter the queue. The network that
//! is trained is the one that is evaluated.

use super::micro_batch::embed;
use crate::data::Samples;
use crate::error::{Error, Result};
use crate::loss::{Classes, Queue};
use crate::model::{Input, Momentum, Network, Precision};
use crate::ops::normalise;
use crate::run::{Config, Objective};
use candle_core::Tensor;
use std::collections::HashMap;
use std::path::Path;

/// The momentum network and the queue.
pub(super) struct MomentumQueue {
    momentum: Momentum,
    queue: Queue,
}

impl MomentumQueue {
    /// Where the objective has a queue: a copy of `network`, and the first keys.
    ///
    /// # Errors
    /// Texts; a device without room.
    pub fn new(
        objective: &Objective,
        config: &Config,
        samples: &Samples,
        network: &Network,
        precision: Precision,
    ) -> Result<Option<Self>> {
        let Some(settings) = objective.queue() else { return Ok(None) };
        let device = network.parameters().device();
        let copy = config.network(samples, device)?.in_precision(precision)?;
        let momentum = Momentum::new(copy, network, settings.momentum)?;
        let queue = Queue::new(settings.size, network.head_features(), config.seed, device)?;
        Ok(Some(Self { momentum, queue }))
    }

    /// The keys of earlier batches.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The unit keys of views, `micro_batch` at a time or all at once.
    ///
    /// # Errors
    /// As the network's pass.
    pub fn keys(&self, views: &Input, micro_batch: Option<usize>) -> Result<Tensor> {
        match micro_batch {
            None => self.momentum.keys(views),
            Some(most) => Ok(normalise::forward(&embed(self.momentum.network(), views, most)?)?),
        }
    }

    /// Puts the keys of a batch of samples of these classes in the places of the oldest.
    ///
    /// # Errors
    /// As [`Queue::push`].
    pub fn push(&mut self, keys: &Tensor, classes: Classes<'_>) -> Result<()> {
        self.queue.push(keys, classes)
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
