//! Looks at a network while it trains: see [`MonitorSettings`].

use super::{Config, Metrics, Session};
use crate::augment::{ViewStream, Views};
use crate::data::{Samples, tuning};
use crate::error::{Error, Result};
use crate::model::{Network, Parameters};
use crate::run::config::{MOST_REFERENCES, Metric, MonitorSettings};
use crate::run::evaluate::{features, has_classes};
use candle_core::{Device, Tensor};
use measure::rng::{Purpose, stream};
use measure::{Evaluation, Knn, class_means, components, geometry, mean_accuracy};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use theory::NumDraws;
use theory::losses::Quantity;

/// Before the names of the best look's tensors in a checkpoint.
const PREFIX: &str = "best.";

/// What looks, and what it found best.
pub(super) struct Monitor {
    settings: MonitorSettings,
    /// What the classifiers learn from.
    reference: Samples,
    /// What is looked at.
    watched: Samples,
    draws: NumDraws,
    /// The weights at the best look, where they are kept.
    best: BTreeMap<String, Tensor>,
}

impl Monitor {
    /// What the settings ask for; none where they do not.
    ///
    /// # Errors
    /// Samples without classes; a class too small to hold a tenth of it out; an encoder of texts whose best weights shall
    /// be kept.
    pub fn new(
        config: &Config,
        evaluated_draws: u64,
        samples: &Samples,
        network: &Network,
        session: &Session<'_>,
    ) -> Result<Option<Self>> {
        let Some(settings) = config.monitor else { return Ok(None) };
        if settings.keep_best && network.parameters().table().is_some() {
            let message =
                "monitor.keep_best = true needs an encoder of images: the embeddings of texts are not kept";
            return Err(Error::argument(message));
        }
        if !has_classes(samples) {
            return Err(Error::argument(
                "[monitor] compares classes, and the samples have none: leave it out",
            ));
        }
        let (reference, watched) = match session.tuning {
            Some(watched) => (samples.clone(), watched.clone()),
            None => tuning(samples)?,
        };
        let reference = reference.limited(MOST_REFERENCES.max(samples.num_classes()))?;
        let draws = NumDraws::new(evaluated_draws.min(watched.len() as u64))?;
        Ok(Some(Self { settings, reference, watched, draws, best: BTreeMap::new() }))
    }

    /// Whether the network is looked at after so many of all epochs.
    pub fn is_due(&self, epoch: usize, epochs: usize) -> bool {
        epoch.is_multiple_of(self.settings.every) || epoch == epochs
    }

    /// What there is to see after an epoch, by name.
    ///
    /// # Errors
    /// An interruption; the tensor library fails.
    pub fn look(
        &self,
        network: &Network,
        config: &Config,
        epoch: usize,
        session: &Session<'_>,
    ) -> Result<Vec<(&'static str, f64)>> {
        let (stop, device) = (session.stop, session.device);
        let views = |samples| Views::new(&config.augmentation, samples, device);
        let (reference, watched) = (views(&self.reference)?, views(&self.watched)?);
        let plain = |views: &Views<'_>| features(network, views.len(), stop, |chunk| views.plain(chunk));
        let (learnt, seen) = (plain(&reference)?.head, plain(&watched)?.head);
        let mut draw = ViewStream::new(config.seed, Purpose::Monitor, epoch)?;
        let first = features(network, watched.len(), stop, |chunk| watched.random(chunk, &mut draw, 1))?.head;
        draw.second_half();
        let second =
            features(network, watched.len(), stop, |chunk| watched.random(chunk, &mut draw, 1))?.head;
        let both = measure::Views { first, second };
        let (classes, labels) = (self.reference.num_classes(), self.watched.labels());
        let means = class_means(&learnt, self.reference.labels(), classes)?;
        let evaluation = Evaluation {
            labels,
            class_means: &means,
            sample_means: None,
            temperature: config.temperature,
            num_draws: self.draws,
            passes: Some(1),
        };
        let mut order = stream(config.seed, Purpose::Monitor, epoch as u64);
        let row = components(&evaluation, &mut order, stop, |_| Ok::<_, Error>(both.clone()))?;
        let shape = geometry(&both, stop)?;
        let learnt = (&learnt, self.reference.labels());
        let knn = Knn::default().accuracy(learnt, (&seen, labels), classes, stop)?;
        let info_nce = row.get(Quantity::InfoNce).unwrap_or(f64::NAN);
        Ok(vec![
            (Metric::KnnAccuracy.key(), knn),
            (Metric::MeanAccuracy.key(), mean_accuracy(&means, &seen, labels)?),
            (Metric::InfoNce.key(), info_nce),
            ("monitor/negatives", self.draws.negatives().get() as f64),
            (Metric::Alignment.key(), shape.alignment),
            (Metric::Uniformity.key(), shape.uniformity),
            (Metric::EffectiveRank.key(), shape.effective_rank),
        ])
    }

    /// Keeps the weights if the last look is the best so far.
    ///
    /// # Errors
    /// The tensor library fails.
    pub fn keep_if_best(&mut self, parameters: &Parameters, metrics: &Metrics) -> Result<()> {
        if !self.settings.keep_best || !History::of(self.settings.metric, metrics).is_best() {
            return Ok(());
        }
        let copied = |(name, tensor): (String, Tensor)| Ok((name, tensor.to_device(&Device::Cpu)?.copy()?));
        self.best = parameters.tensors()?.into_iter().map(copied).collect::<Result<_>>()?;
        Ok(())
    }

    /// Whether the last looks were no better than an earlier one for as long as the settings allow.
    pub fn stops(&self, metrics: &Metrics) -> bool {
        let history = History::of(self.settings.metric, metrics);
        self.settings.early_stop.is_some_and(|patience| history.since_best >= patience)
    }

    /// What there is to say in the end, after `epoch` of `epochs`, where the best look decided something.
    pub fn remark(&self, metrics: &Metrics, epoch: usize, epochs: usize) -> Option<String> {
        let history = History::of(self.settings.metric, metrics);
        let (name, best) = (self.settings.metric.key(), history.epoch? + 1);
        let value = history.best;
        let stopped = (epoch < epochs).then(|| format!("stopped after epoch {epoch} of {epochs}; "));
        let kept = if self.settings.keep_best { ", whose weights are the run's" } else { "" };
        let decided = stopped.is_some() || self.settings.keep_best;
        let stopped = stopped.unwrap_or_default();
        decided.then(|| format!("{stopped}{name} was best, {value:.4}, after epoch {best}{kept}"))
    }

    /// The mean training loss of the epoch whose weights are kept, after they were given to the network again.
    ///
    /// # Errors
    /// The tensor library fails.
    pub fn restore(&self, parameters: &Parameters, metrics: &Metrics) -> Result<Option<f64>> {
        if self.best.is_empty() {
            return Ok(None);
        }
        let tensors: Result<HashMap<String, Tensor>> = self
            .best
            .iter()
            .map(|(name, tensor)| Ok((name.clone(), tensor.to_device(parameters.device())?)))
            .collect();
        parameters.set(Path::new("the best look"), &tensors?)?;
        Ok(History::of(self.settings.metric, metrics).loss)
    }

    /// What a checkpoint keeps.
    pub fn tensors(&self) -> impl Iterator<Item = (String, Tensor)> {
        self.best.iter().map(|(name, tensor)| (format!("{PREFIX}{name}"), tensor.clone()))
    }

    /// Takes over those among the tensors of a checkpoint.
    ///
    /// # Errors
    /// The tensor library fails.
    pub fn resume(&mut self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        let own = tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(PREFIX)?, tensor)));
        let own = own.map(|(name, tensor)| Ok((name.to_string(), tensor.to_device(&Device::Cpu)?)));
        self.best = own.collect::<Result<_>>()?;
        Ok(())
    }
}

/// How a metric went, look by look.
struct History {
    /// Looks since the best.
    since_best: usize,
    /// The best value, its epoch counted from 0, and that epoch's mean training loss.
    best: f64,
    epoch: Option<u64>,
    loss: Option<f64>,
}

impl History {
    fn of(metric: Metric, metrics: &Metrics) -> Self {
        let mut history = Self { since_best: 0, best: f64::NAN, epoch: None, loss: None };
        for record in metrics.records() {
            let Some(value) = record.get(metric.key()) else { continue };
            history.since_best += 1;
            if metric.is_better(value, history.best) {
                let (epoch, loss) = (Some(record.epoch), record.get("loss"));
                history = Self { since_best: 0, best: value, epoch, loss };
            }
        }
        history
    }

    /// Whether the last look is better than all before.
    fn is_best(&self) -> bool {
        self.epoch.is_some() && self.since_best == 0
    }
}
