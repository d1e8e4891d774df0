//! One step: both passes and the update; and what the steps of an epoch say about their negatives.

use super::Run;
use super::momentum_queue::MomentumQueue;
use super::state::TrainState;
use crate::augment::ViewStream;
use crate::error::Result;
use crate::loss::Loss;
use crate::model::{Input, Tape};
use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;

impl Run<'_> {
    /// One step on these samples; its loss, \[1\].
    pub(super) fn step(
        &mut self,
        batch: &[usize],
        draw: &mut ViewStream,
        choose: &mut ChaCha8Rng,
    ) -> Result<Tensor> {
        let rate = self.schedule.rate(self.position.step as usize);
        #[cfg(feature = "cuda")]
        if let Some(recorded) = &mut self.recorded {
            let classes = vec![0; batch.len()];
            let of = |head: &Tensor| {
                let (loss, _) = self.objective.loss(head, &classes, None, &mut choose.clone())?;
                Ok(loss)
            };
            let loss =
                recorded.run((&self.views, batch, draw), &self.network, (&mut self.optimiser, rate), of)?;
            return Ok(loss.clone());
        }
        let input = self.views.random(batch, draw, 2)?;
        let (loss, tape) = self.forward(&input, batch, choose)?;
        self.network.backward(tape, loss.gradient)?;
        self.optimiser.step(self.network.parameters(), rate)?;
        if let Some(queue) = &self.queue {
            queue.follow(&self.network)?;
        }
        Ok(loss.value.reshape(1)?)
    }

    /// The loss of two views of a batch, and the tape of the trained network's pass; the batch's keys are in the queue
    /// afterwards.
    fn forward(&mut self, input: &Input, batch: &[usize], rng: &mut ChaCha8Rng) -> Result<(Loss, Tape)> {
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
        let (loss, count) = self.objective.loss(&output.head, &classes, earlier, rng)?;
        if let (Some(queue), Some(keys)) = (&mut self.queue, &keys) {
            queue.push(keys, &classes)?;
        }
        self.position.kept_same += count.same;
        self.position.kept_known += count.known;
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
