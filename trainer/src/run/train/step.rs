//! One step: both passes and the update; and what the steps of an epoch say about their negatives.

use super::Run;
use super::micro_batch::{embed, replay};
use super::momentum_queue::MomentumQueue;
use super::state::TrainState;
use crate::augment::ViewStream;
use crate::error::Result;
use crate::loss::{Classes, PendingCount, StepDraws};
use crate::model::{Input, Network};
use crate::optim::Optimiser;
use crate::run::Objective;
use candle_core::Tensor;

/// What a step leaves beside the weights.
pub(super) struct StepOutcome {
    /// \[1\].
    pub loss: Tensor,
    /// How often the negatives that counted were of their anchor's class.
    pub kept: PendingCount,
    /// With a queue, the batch's unit keys \[n, d\], which are not in it yet.
    pub keys: Option<Tensor>,
}

/// Both passes over two views of a batch, and the update by the rate that was prepared.
///
/// # Errors
/// Those of the passes, the loss and the update.
pub(super) fn work(
    (network, queue, optimiser): (&Network, Option<&MomentumQueue>, &Optimiser),
    objective: &Objective,
    (views, micro_batch): (&Input, Option<usize>),
    (classes, draws): (Classes<'_>, StepDraws<'_>),
) -> Result<StepOutcome> {
    // With a queue, view 1 are the queries, and view 2 of the momentum network the keys.
    let count = views.count()? / 2;
    let queries = queue.map(|_| views.rows(0, count)).transpose()?;
    let views_of_network = queries.as_ref().unwrap_or(views);
    let keys = queue.map(|queue| queue.keys(&views.rows(count, count)?, micro_batch)).transpose()?;
    let earlier = keys.as_ref().zip(queue.map(MomentumQueue::queue));
    let (loss, kept) = match micro_batch {
        None => {
            let (output, tape) = network.forward_train(views_of_network)?;
            let (loss, kept) = objective.loss(&output.head, classes, earlier, draws)?;
            drop(output);
            network.backward(tape, loss.gradient)?;
            (loss.value, kept)
        }
        Some(most) => {
            let head = embed(network, views_of_network, most)?;
            let (loss, kept) = objective.loss(&head, classes, earlier, draws)?;
            replay(network, views_of_network, &loss.gradient, most)?;
            (loss.value, kept)
        }
    };
    optimiser.apply(network.parameters())?;
    if let Some(queue) = queue {
        queue.follow(network)?;
    }
    Ok(StepOutcome { loss: loss.reshape(1)?, kept, keys })
}

impl Run<'_> {
    /// One step on these samples, whose keys are in the queue afterwards; its loss, \[1\].
    pub(super) fn step(&mut self, batch: &[usize], draw: &mut ViewStream) -> Result<Tensor> {
        let labels = self.samples.labels();
        let classes: Vec<u32> = batch.iter().map(|&i| labels[i] as u32).collect();
        let draws = StepDraws::new(self.config.seed, self.position.step)?;
        let rate = self.schedule.rate(self.position.step as usize);
        self.optimiser.prepare(self.network.parameters(), rate)?;
        let of = (&self.network, self.queue.as_ref(), &self.optimiser);
        let recorded: Option<StepOutcome> = None;
        #[cfg(feature = "cuda")]
        let recorded = match &mut self.recorded {
            Some(recorded) => {
                self.views.random_into(recorded.views(), batch, draw, 2)?;
                Some(recorded.run(of, &self.objective, (&classes, draws))?)
            }
            None => recorded,
        };
        let StepOutcome { loss, kept, keys } = match recorded {
            Some(outcome) => outcome,
            None => {
                let views = self.views.random(batch, draw, 2)?;
                work(of, &self.objective, (&views, self.config.micro_batch), ((&classes).into(), draws))?
            }
        };
        if let (Some(queue), Some(keys)) = (&mut self.queue, &keys) {
            queue.push(keys, (&classes).into())?;
        }
        self.kept += kept;
        Ok(loss)
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
