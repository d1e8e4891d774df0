//! What a run minimises: the settings `objective`, `negatives`, `selection`, `[queue]`, `loss` and `temperature`,
//! resolved into one value, so that everything after it asks that value and no pair of settings that does not fit comes
//! that far.

use super::negatives::MOST_KEYS;
use super::{Config, Negatives, ObjectiveKind, QueueSettings};
use crate::error::{Error, Result};
use crate::loss::{
    Candidates, Classes, Loss, LossKind, PendingCount, Queue, SelectedRanks, Selection, StepDraws,
    cross_entropy,
};
use candle_core::Tensor;

/// What a run minimises. [`Config::training_objective`] makes it.
#[derive(Debug, Clone, PartialEq)]
pub enum Objective {
    /// Softmax cross-entropy of the known classes.
    Supervised {
        /// n = K+1 at which the run is evaluated.
        evaluated_draws: u64,
    },
    /// A contrastive loss.
    Contrastive(Contrastive),
}

/// A contrastive loss over a selection of candidates that fit each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Contrastive {
    source: NegativeSource,
    selection: Option<Selection>,
    loss: LossKind,
    temperature: f64,
    /// n.
    batch_size: usize,
}

/// Where the candidates for an anchor's negatives come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NegativeSource {
    /// Both views of the other samples of the batch.
    Batch,
    /// This many views 2 of other samples of the batch, at random.
    Sampled(usize),
    /// The last keys of a momentum network.
    Queue(QueueSettings),
}

impl Config {
    /// What these settings minimise.
    ///
    /// # Errors
    /// Settings that are out of range or do not fit each other, named with their values.
    pub fn training_objective(&self) -> Result<Objective> {
        let Self { negatives, queue, loss, batch_size, temperature, .. } = *self;
        let refuse = |message: String| Err(Error::argument(message));
        loss.check()?;
        let supervised = self.objective == ObjectiveKind::CrossEntropy;
        let (source, written) = match (negatives, queue) {
            (Negatives::Count(k), _) if k == 0 || k >= batch_size => {
                let others = batch_size.saturating_sub(1);
                return refuse(format!(
                    "negatives = {k} cannot be drawn from the other {others} samples of a batch"
                ));
            }
            (Negatives::Batch | Negatives::Count(_), Some(_)) => {
                return refuse(format!(
                    "negatives = {negatives} beside [queue]: with a queue they are \"queue\" or a selection such as hardest:5%"
                ));
            }
            (Negatives::Queue, None) => {
                return refuse("negatives = queue needs [queue], such as queue.size = 4096".into());
            }
            (Negatives::Batch, None) => (NegativeSource::Batch, None),
            (Negatives::Count(k), None) => (NegativeSource::Sampled(k), None),
            (Negatives::Queue, Some(queue)) => (NegativeSource::Queue(queue), None),
            (Negatives::Selected(selection), None) => (NegativeSource::Batch, Some(selection)),
            (Negatives::Selected(selection), Some(queue)) => (NegativeSource::Queue(queue), Some(selection)),
        };
        if supervised {
            let selects = written.is_some() || self.selection.is_some();
            for (given, key) in [(queue.is_some(), "[queue]"), (selects, "selection")] {
                if given {
                    return refuse(format!("{key}: the objective cross-entropy has no negatives"));
                }
            }
            if loss != LossKind::default() {
                return refuse(format!(
                    "loss = {} is contrastive: objective = cross-entropy has a loss of its own",
                    loss.name()
                ));
            }
            return Ok(Objective::Supervised { evaluated_draws: source.evaluated_draws(batch_size) });
        }
        if let NegativeSource::Queue(QueueSettings { size, momentum }) = source {
            if !(batch_size..=MOST_KEYS).contains(&size) {
                return refuse(format!(
                    "queue.size = {size} is not between batch_size = {batch_size} and {MOST_KEYS}"
                ));
            }
            if !(0.0..1.0).contains(&momentum) {
                return refuse(format!("queue.momentum = {momentum} is not in [0, 1)"));
            }
            if loss.knows_classes() {
                return refuse(format!(
                    "loss = {} beside [queue]: it leaves out negatives of the anchor's class, and the first keys are random directions, of no class",
                    loss.name()
                ));
            }
        }
        let selection = match (written, self.selection) {
            (Some(one), Some(other)) => {
                return refuse(format!(
                    "negatives = {one} is a selection already, beside selection = {other}"
                ));
            }
            (one, other) => one.or(other),
        };
        let contrastive = Contrastive { source, selection, loss, temperature, batch_size };
        if let Some(selection) = selection {
            selection.require_kept(contrastive.num_negatives())?;
        }
        Ok(Objective::Contrastive(contrastive))
    }
}

impl NegativeSource {
    fn evaluated_draws(self, batch_size: usize) -> u64 {
        match self {
            Self::Sampled(k) => k as u64 + 1,
            Self::Batch | Self::Queue(_) => batch_size as u64,
        }
    }
}

impl Objective {
    fn contrastive(&self) -> Option<&Contrastive> {
        match self {
            Self::Supervised { .. } => None,
            Self::Contrastive(contrastive) => Some(contrastive),
        }
    }

    /// K in the training loss: 2n−2 over the batch, Q for a queue, 0 where there is none.
    pub fn train_negatives(&self) -> u64 {
        self.contrastive().map_or(0, |contrastive| contrastive.num_negatives() as u64)
    }

    /// The effective K: how many of [`train_negatives`](Self::train_negatives) a selection keeps; all without one. None
    /// for a loss whose anchors lose those of their own class, more or fewer by batch.
    pub fn effective_negatives(&self) -> Option<u64> {
        let all = self.train_negatives();
        match self.contrastive() {
            Some(contrastive) if contrastive.loss.knows_classes() => None,
            _ => Some(self.selection().map_or(all, |selection| selection.kept(all as usize) as u64)),
        }
    }

    /// Whether the loss of a step on a GPU asks nothing of the host: it has no classes to check or to upload.
    #[cfg(feature = "cuda")]
    pub(crate) fn stays_on_device(&self) -> bool {
        self.contrastive().is_some_and(|contrastive| !contrastive.loss.knows_classes())
    }

    /// Whether negatives are drawn, or kept at random.
    #[cfg(feature = "cuda")]
    pub(crate) fn is_random(&self) -> bool {
        self.contrastive().is_some_and(|Contrastive { source, selection, .. }| {
            matches!(source, NegativeSource::Sampled(_)) || selection.is_some_and(|s| s.is_random())
        })
    }

    /// The selection of negatives, where there is one.
    pub fn selection(&self) -> Option<Selection> {
        self.contrastive()?.selection
    }

    /// The queue, where there is one.
    pub fn queue(&self) -> Option<QueueSettings> {
        match self.contrastive()?.source {
            NegativeSource::Queue(settings) => Some(settings),
            NegativeSource::Batch | NegativeSource::Sampled(_) => None,
        }
    }

    /// n = K+1 at which the run is evaluated unless another is asked for: the batch size, or K+1 where K negatives are
    /// drawn.
    pub fn evaluated_draws(&self) -> u64 {
        match self {
            Self::Supervised { evaluated_draws } => *evaluated_draws,
            Self::Contrastive(contrastive) => contrastive.source.evaluated_draws(contrastive.batch_size),
        }
    }

    /// Name of the training loss with its source of negatives, and with the parameters that are not the loss's default
    /// ones.
    pub fn loss_name(&self) -> String {
        let Some(Contrastive { source, loss, .. }) = self.contrastive() else {
            return "cross_entropy".into();
        };
        let name = if let LossKind::NtXent {} = loss { "info_nce" } else { loss.name() };
        match source {
            NegativeSource::Batch => loss.describe(),
            NegativeSource::Sampled(_) => loss.describe_as(&format!("{name}_sampled")),
            NegativeSource::Queue(_) => loss.describe_as(&format!("{name}_queue")),
        }
    }

    /// The loss of a batch of n samples of these classes, from head features: \[2n, d\] of both views, or, with a
    /// queue, \[n, d\] of view 1, beside the unit keys \[n, d\] of view 2 and the queue of earlier ones. Sampled
    /// negatives and random selections are drawn by the numbers of the step, `draws`.
    ///
    /// # Errors
    /// Those of the loss; an objective with a queue, and none given.
    pub(crate) fn loss(
        &self,
        features: &Tensor,
        classes: Classes<'_>,
        keys: Option<(&Tensor, &Queue)>,
        draws: StepDraws<'_>,
    ) -> Result<(Loss, PendingCount)> {
        let Some(contrastive) = self.contrastive() else {
            let classes = classes.host();
            let classes: Vec<usize> = classes.iter().chain(classes).map(|&class| class as usize).collect();
            return Ok((cross_entropy(features, &classes)?, PendingCount::default()));
        };
        let candidates = match (contrastive.source, keys) {
            (NegativeSource::Batch, _) => Candidates::batch(features, classes)?,
            (NegativeSource::Sampled(k), _) => Candidates::sampled(features, classes, k, draws)?,
            (NegativeSource::Queue(_), Some((positives, queue))) => {
                Candidates::queue(features, classes, positives, queue)?
            }
            (NegativeSource::Queue(_), None) => {
                return Err(Error::argument("the objective has a queue of keys, and none was given"));
            }
        };
        let selected = match contrastive.selection {
            Some(selection) => SelectedRanks::of(selection, draws),
            None => SelectedRanks::all(),
        };
        contrastive.loss.mean(&candidates, &selected, contrastive.temperature)
    }
}

impl Contrastive {
    fn num_negatives(&self) -> usize {
        match self.source {
            NegativeSource::Batch => (2 * self.batch_size).saturating_sub(2),
            NegativeSource::Sampled(k) => k,
            NegativeSource::Queue(queue) => queue.size,
        }
    }
}
