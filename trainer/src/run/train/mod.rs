//! The training loop.
//!
//! A run is a folder:
//!
//! | file | what |
//! |---|---|
//! | `run.json` | which program made it, with which settings, from which samples ([`Manifest`]) |
//! | `config.toml` | the settings |
//! | `metrics.jsonl`, `metrics.csv`, `events.out.tfevents.*` | [`metrics`] |
//! | `model.safetensors` | the weights; a folder that has them, whole, holds a finished run |
//! | `checkpoint.safetensors`, `checkpoint.previous.safetensors` | where the run stands, and where it stood before; they go when the model is on the disk |
//! | `plans.json` | on a GPU with cuDNN: how convolutions are computed |
//! | `lock`, `owner.json` | who works on it ([`Owner`]) |
//! | `*.damaged.safetensors` | what was found damaged, and set aside with a warning |
//!
//! What it promises:
//!
//! - One process at a time works on a folder ([`Owner`]); another one is told so and changes nothing.
//! - A run that was interrupted, at any moment and in any way, goes on from its last checkpoint; on the CPU with the
//!   same bits as one that was not, `metrics.jsonl` included, whatever became of that file meanwhile.
//! - Model and checkpoints have checksums over every byte. A damaged checkpoint is set aside, and the one before is
//!   used; without one, the run begins anew. A damaged model is set aside, and the run is trained anew.
//! - A file that cannot be read is an error. Only one that is not there is taken as not there.

mod checkpoint;
mod checkpointer;
mod checkpoints;
mod folder;
mod manifest;
pub mod metrics;
mod micro_batch;
mod momentum_queue;
mod monitor;
mod owner;
mod plans;
mod progress;
#[cfg(feature = "cuda")]
mod recorded;
mod session;
mod state;
mod step;
mod trained;

pub(super) use folder::FAILED;
pub use folder::Folder;
pub use manifest::{Manifest, Provenance, SamplesId};
pub use metrics::Metrics;
pub use owner::{BEAT, LEASE, Lease, Owner, ownership};
pub use progress::{Progress, Task};
pub use session::Session;
pub(super) use trained::is_whole;
pub use trained::{TrainedRun, load_network, run_config};

use super::config::Metric;
use super::{Config, Objective};
use crate::augment::{ViewStream, Views};
use crate::data::{Samples, shuffled};
use crate::error::{Error, Result};
use crate::loss::PendingCount;
use crate::model::{Network, Precision};
use crate::optim::{Optimiser, Schedule};
use candle_core::{DType, Tensor};
use checkpointer::{Checkpointer, all_finite_here};
use checkpoints::Checkpoints;
use measure::rng::{Purpose, permutation, stream};
use momentum_queue::MomentumQueue;
use monitor::Monitor;
use state::TrainState;
use std::path::Path;
use trained::MODEL;

/// Steps after which losses and gradients are looked at on a GPU; to look is to wait for it. On the CPU: every step.
const LOOK_EVERY: usize = 20;

/// Steps whose rates are kept in memory, where the optimiser of embeddings needs them beforehand.
const MOST_STEPS: usize = 100_000_000;

/// Trains one encoder on `samples` into `path`.
///
/// A folder that holds the finished run of the same settings is kept as it is. Nobody else may work on the folder
/// meanwhile, nor as long as the owner in what is returned lives.
///
/// # Errors
/// A folder that is not ours, that another process works on ([`Error::Busy`]), or that holds an unfinished run where
/// `resume` is not set; a batch larger than the training set; a loss or gradient that is not finite; an interruption,
/// after a checkpoint.
pub fn train(
    config: &Config,
    samples: &Samples,
    path: &Path,
    session: &Session<'_>,
    task: &Task,
) -> Result<TrainedRun> {
    let batches = samples.len() / config.batch_size;
    if batches == 0 {
        return Err(Error::argument(format!(
            "batch_size = {} exceeds the {} training samples",
            config.batch_size,
            samples.len()
        )));
    }
    config.check_classes(samples)?;
    let settings = config.to_toml();
    // Before the folder is made: whether a network and views can be made of the settings.
    let mut run = Run::new(config, samples, batches, session)?;
    let manifest = Manifest::new("train", config)?.with_data(session.data);
    let manifest = manifest.with_provenance(run.provenance(session));
    let owner = Folder::claim(path, &manifest, session.stop)?;
    let checkpoints = Checkpoints::new(path);
    if let Some(final_loss) = trained::finished(path, config)? {
        let folder = Folder::keep(path, &manifest)?;
        // Left where the process ended between the model and their end.
        checkpoints.remove()?;
        return Ok(TrainedRun { folder, owner, kept: true, final_loss });
    }
    if checkpoints.exist()? && !session.resume {
        return Err(Error::argument(format!(
            "{} holds an unfinished run: --resume continues it; to begin anew, remove the folder",
            path.display()
        )));
    }
    let found = checkpoints.newest()?;
    let folder = match found {
        Some(_) => Folder::keep(path, &manifest)?,
        None => Folder::create(path, &manifest)?,
    };
    let views = if config.queue.is_some() { config.batch_size } else { 2 * config.batch_size };
    let splits = |most: &usize| *most < views && run.network.parameters().has_running_statistics();
    if let Some(most) = config.micro_batch.filter(splits) {
        theory::terminal::say(&format!(
            "note: micro_batch = {most}: batch normalisation takes its statistics over at most {most} views, not over \
             the {views} of a batch"
        ));
    }
    if let Some(size) = config.queue.map(|queue| queue.size).filter(|&size| size > samples.len()) {
        let (count, older) = (samples.len(), size.div_ceil(samples.len()));
        theory::terminal::say(&format!(
            "note: queue.size = {size}: the queue holds more keys than there are training samples, {count}: up to {older} \
             negatives are older keys of the query's own sample"
        ));
    }
    if let Some(note) = config.note_of_views(samples) {
        theory::terminal::say(&note);
    }
    plans::restore(&folder.file(plans::PLANS), session.device)?;
    theory::files::write_atomically(&folder.file("config.toml"), settings.as_bytes())?;
    let mut lines = String::new();
    if let Some((path, file)) = &found {
        let (network, optimiser) = (&mut run.network, &mut run.optimiser);
        let (queue, monitor) = (run.queue.as_mut(), run.monitor.as_mut());
        (run.position, lines) =
            checkpoint::load((path, file), network, optimiser, queue, monitor, &settings)?;
        task.advance(run.position.epoch);
    }
    drop(found);
    let metrics = Metrics::open(folder.path(), &lines)?;
    let mut checkpointer = Checkpointer::new(checkpoints, settings, session.checkpoint_every, metrics, owner);
    let done = run.finish(&mut checkpointer, session, task);
    done.and_then(|()| checkpointer.finish(&run, &folder.file(MODEL)))
        .inspect_err(|_| checkpointer.give_up())?;
    let final_loss = run.position.last_loss.unwrap_or(f64::NAN);
    Ok(TrainedRun { folder, owner: checkpointer.owner, kept: false, final_loss })
}

/// A run in progress.
struct Run<'a> {
    config: &'a Config,
    samples: &'a Samples,
    views: Views<'a>,
    objective: Objective,
    network: Network,
    /// The queue of negatives, where there is one.
    queue: Option<MomentumQueue>,
    monitor: Option<Monitor>,
    optimiser: Optimiser,
    schedule: Schedule,
    batches: usize,
    position: TrainState,
    /// How often the negatives kept since the last look were of their anchor's class.
    kept: PendingCount,
    /// The losses of the steps since the last look.
    losses: Tensor,
    #[cfg(feature = "cuda")]
    recorded: Option<recorded::RecordedStep>,
}

impl<'a> Run<'a> {
    fn new(config: &'a Config, samples: &'a Samples, batches: usize, session: &Session<'_>) -> Result<Self> {
        let views = Views::new(&config.augmentation, samples, session.device)?;
        if let (Some(most), Precision::Bf16) = (config.micro_batch, session.precision) {
            return Err(Error::argument(format!("micro_batch = {most} computes in f32, not in bf16")));
        }
        let network = config.network(samples, session.device)?;
        let mut network = network.in_precision(session.precision)?;
        let objective = config.training_objective()?;
        let queue = MomentumQueue::new(&objective, config, samples, &network, session.precision)?;
        let monitor = Monitor::new(config, objective.evaluated_draws(), samples, &network, session)?;
        if config.lars_clip && !session.device.is_cpu() {
            return Err(Error::argument("lars_clip = true computes on the CPU only: leave the device cpu"));
        }
        let (momentum, decay) = (config.momentum, config.weight_decay);
        let optimiser = Optimiser::with_lars(
            (config.optimiser, config.lars()),
            momentum,
            decay,
            network.parameters_mut(),
        )?;
        let schedule = Schedule {
            peak: config.peak_rate(),
            warmup_steps: config.warmup_epochs.min(config.epochs) * batches,
            total_steps: config.epochs * batches,
        };
        if network.parameters().table().is_some() {
            if schedule.total_steps > MOST_STEPS {
                let steps = schedule.total_steps;
                return Err(Error::argument(format!(
                    "epochs = {} make {steps} steps; an encoder of texts takes {MOST_STEPS}",
                    config.epochs
                )));
            }
            let rates = (0..schedule.total_steps).map(|step| schedule.rate(step)).collect();
            optimiser.set_rates(network.parameters(), rates)?;
        }
        #[cfg(feature = "cuda")]
        let recorded = recorded::RecordedStep::new(config, &objective, samples, &network, session)?;
        Ok(Self {
            config,
            samples,
            views,
            objective,
            network,
            queue,
            monitor,
            optimiser,
            schedule,
            batches,
            position: TrainState::default(),
            kept: PendingCount::default(),
            losses: Tensor::zeros(LOOK_EVERY, DType::F32, session.device)?,
            #[cfg(feature = "cuda")]
            recorded,
        })
    }

    /// What the settings do not fix.
    fn provenance(&self, session: &Session<'_>) -> Provenance {
        let neighbours = self.views.neighbours_checksum().map(|checksum| format!("{checksum:08x}"));
        let shards = match (self.config.images.shuffle_buffer, self.samples) {
            (Some(_), Samples::Images(images)) => {
                let lengths: Vec<String> =
                    images.shards().iter().map(|shard| shard.len().to_string()).collect();
                Some(format!("{:08x}", crc32c::crc32c(lengths.join(" ").as_bytes())))
            }
            _ => None,
        };
        let samples = Provenance { neighbours, shards, ..Provenance::of_training(self.samples) };
        samples.computed_on(session.device, session.precision)
    }

    /// All epochs that are left.
    fn finish(&mut self, checkpointer: &mut Checkpointer, session: &Session<'_>, task: &Task) -> Result<()> {
        let epochs = self.config.epochs;
        checkpointer.owner.report(self.position.epoch as u64, epochs as u64, "training");
        while self.position.epoch < epochs || self.position.unrecorded {
            if !self.position.unrecorded {
                self.epoch(checkpointer, session)?;
                self.position.unrecorded = true;
            }
            let loss = self.position.last_loss.unwrap_or(f64::NAN);
            let rate = self.schedule.rate(self.position.step as usize - 1);
            let done = self.position.epoch as u64;
            let mut values = vec![("loss", loss), ("learning_rate", rate)];
            values.extend(self.about_negatives());
            let looked = self.look(checkpointer, session)?;
            values.extend(&looked);
            // Known and recorded: the next epoch counts anew.
            (self.position.kept_same, self.position.kept_known) = (0, 0);
            checkpointer.record(self.position.step, done - 1, &values)?;
            self.position.unrecorded = false;
            let mut message = format!("loss {loss:.3}");
            if let Some((_, accuracy)) = looked.iter().find(|(name, _)| *name == Metric::KnnAccuracy.key()) {
                message += &format!(", kNN accuracy {accuracy:.3}");
            }
            checkpointer.owner.report(done, epochs as u64, &message);
            task.step(|| message);
            if let Some(monitor) = self.monitor.as_mut().filter(|_| !looked.is_empty()) {
                monitor.keep_if_best(self.network.parameters(), checkpointer.metrics())?;
                if monitor.stops(checkpointer.metrics()) {
                    break;
                }
            }
            // After the record, so that the checkpoint never stands before it.
            if self.position.epoch < epochs {
                self.pause(checkpointer, session)?;
            }
        }
        if let Some(monitor) = &self.monitor {
            if let Some(remark) = monitor.remark(checkpointer.metrics(), self.position.epoch, epochs) {
                task.remark(&remark);
            }
            let restored = monitor.restore(self.network.parameters(), checkpointer.metrics())?;
            self.position.last_loss = restored.or(self.position.last_loss);
        }
        Ok(())
    }

    /// What `[monitor]` sees after the last epoch, if it is time; an interruption saves a checkpoint.
    fn look(
        &self,
        checkpointer: &mut Checkpointer,
        session: &Session<'_>,
    ) -> Result<Vec<(&'static str, f64)>> {
        let epoch = self.position.epoch;
        let due = |monitor: &&Monitor| monitor.is_due(epoch, self.config.epochs);
        let Some(monitor) = self.monitor.as_ref().filter(due) else { return Ok(Vec::new()) };
        let looked = monitor.look(&self.network, self.config, epoch, session);
        if matches!(&looked, Err(Error::Interrupted(_))) {
            checkpointer.save(self)?;
            return Err(self.interrupted(checkpointer));
        }
        looked
    }

    /// The rest of the epoch that the position is in; afterwards it is at the start of the next.
    fn epoch(&mut self, checkpointer: &mut Checkpointer, session: &Session<'_>) -> Result<()> {
        let (config, epoch) = (self.config, self.position.epoch);
        let order = self.order(epoch);
        let mut draw = ViewStream::new(config.seed, Purpose::Augmentation, epoch)?;
        draw.set_position(self.position.views);
        let look_every = if session.device.is_cpu() { 1 } else { LOOK_EVERY };
        let mut pending = 0;
        let mut batches = order.chunks_exact(config.batch_size).skip(self.position.step_of_epoch).peekable();
        if let Some(first) = batches.peek() {
            self.views.expect(first);
        }
        while let Some(batch) = batches.next() {
            if let Some(next) = batches.peek() {
                self.views.expect(next);
            }
            let loss = self.step(batch, &mut draw)?;
            self.losses.slice_set(&loss, 0, pending)?;
            pending += 1;
            let looks = pending == look_every || self.position.step_of_epoch + 1 == self.batches;
            if looks {
                self.position.loss_sum += self.sum_of_losses(pending, checkpointer)?;
                pending = 0;
                let kept = self.kept.take()?;
                self.position.kept_same += kept.same;
                self.position.kept_known += kept.known;
            }
            self.position.step += 1;
            self.position.step_of_epoch += 1;
            self.position.views = draw.position();
            if looks && self.position.step_of_epoch < self.batches {
                self.pause(checkpointer, session)?;
            }
        }
        let mean = self.position.loss_sum / self.batches as f64;
        let TrainState { step, kept_same, kept_known, .. } = self.position;
        let last_loss = Some(mean);
        self.position =
            TrainState { step, epoch: epoch + 1, last_loss, kept_same, kept_known, ..TrainState::default() };
        Ok(())
    }

    /// The samples of an epoch in their order, which depends on seed and epoch alone.
    fn order(&self, epoch: usize) -> Vec<usize> {
        let mut rng = stream(self.config.seed, Purpose::Shuffle, epoch as u64);
        match (self.config.images.shuffle_buffer, self.samples) {
            (Some(buffer), Samples::Images(images)) => shuffled(&images.shards(), buffer, &mut rng),
            _ => permutation(self.samples.len(), &mut rng),
        }
    }

    /// Saves a checkpoint if it is time, or if the program shall stop.
    fn pause(&self, checkpointer: &mut Checkpointer, session: &Session<'_>) -> Result<()> {
        let stops = (session.stop)();
        if !stops && !checkpointer.is_due() {
            return Ok(());
        }
        checkpointer.save(self)?;
        if stops { Err(self.interrupted(checkpointer)) } else { Ok(()) }
    }

    /// What there is to say after a checkpoint.
    fn interrupted(&self, checkpointer: &Checkpointer) -> Error {
        let (step, path) = (self.position.step, checkpointer.path().display());
        Error::Interrupted(format!(
            "interrupted after step {step}; {path} is saved: the same command goes on from there (train: with --resume)"
        ))
    }

    /// The sum of the losses of the last steps, all of which, and the last gradient, must be finite.
    fn sum_of_losses(&self, pending: usize, checkpointer: &Checkpointer) -> Result<f64> {
        let bad = |what: String, step: u64| {
            let (epoch, rate) = (self.position.epoch, self.config.learning_rate);
            let saved = checkpointer.describe();
            Error::NonFinite(format!(
                "{what} at step {step} (epoch {epoch}): lower learning_rate = {rate:e}; {saved}"
            ))
        };
        let first = self.position.step + 1 - pending as u64;
        let mut sum = 0.0;
        for (step, value) in (first..).zip(self.losses.narrow(0, 0, pending)?.to_vec1::<f32>()?) {
            let value = f64::from(value);
            if !value.is_finite() {
                return Err(bad(format!("the loss is {value}"), step));
            }
            sum += value;
        }
        if !all_finite_here(self.network.parameters().single_gradients()) {
            return Err(bad("the gradient is not finite".into(), self.position.step));
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests;
