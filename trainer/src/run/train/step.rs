//! The loss of one step, and what the steps of an epoch say about their negatives.

use super::Run;
use super::momentum_queue::MomentumQueue;
use super::state::TrainState;
use crate::error::Result;
use crate::loss::{Classes, Loss, StepDraws};
use crate::model::{Input, Tape};

impl Run<'_> {
    /// The loss of two views of a batch, and the tape of the trained network's pass; the batch's keys are in the queue
    /// afterwards.
    pub(super) fn forward(&mut self, input: &Input, batch: &[usize]) -> Result<(Loss, Tape)> {
        let labels = self.samples.labels();
        let classes: Vec<u32> = batch.iter().map(|&i| labels[i] as u32).collect();
        let (output, tape, keys) = match &self.queue {
            Some(queue) => {
                let (output, tape, keys) = queue.forward(&self.network, input)?;
                (output, tape, Some(keys))
            }
            None => {
                let (output, tape) = self.network.forward_train(input)?;
                (output, tape, None)
            }
        };
        let earlier = keys.as_ref().zip(self.queue.as_ref().map(MomentumQueue::queue));
        let (classes, draws) =
            (Classes::from(&classes), StepDraws::new(self.config.seed, self.position.step)?);
        let (loss, count) = self.objective.loss(&output.head, classes, earlier, draws)?;
        if let (Some(queue), Some(keys)) = (&mut self.queue, &keys) {
            queue.push(keys, classes)?;
        }
        self.kept += count;
        Ok((loss, tape))
    }

    /// What an epoch's record says of the negatives, where there is a queue or a selection: the effective K, and the
    /// share of kept negatives that had their anchor's class, among those whose class is known.
    pub(super) fn about_negatives(&self) -> Vec<(&'static str, f64)> {
        if self.queue.is_none() && self.objective.selection().is_none() {
            return Vec::new();
        }
        let effective = self.objective.effective_negatives().map(|k| ("effective_negatives", k as f64));
        let mut values: Vec<_> = effective.into_iter().collect();
        let TrainState { kept_same, kept_known, .. } = self.position;
        if kept_known > 0 {
            values.push(("kept_same_class", kept_same as f64 / kept_known as f64));
        }
        values
    }
}
