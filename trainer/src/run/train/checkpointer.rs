//! When a checkpoint is saved, and what must hold before: the record is on the disk, every weight is finite, and the
//! folder is still ours.

use super::checkpoints::Checkpoints;
use super::trained::model_notes;
use super::{Metrics, Owner, Run, checkpoint, plans};
use crate::error::{Error, Result};
use candle_core::{CpuStorage, Device, Storage, Tensor};
use std::path::Path;
use std::time::{Duration, Instant};

/// Writes what a run leaves.
pub(super) struct Checkpointer {
    checkpoints: Checkpoints,
    settings: String,
    every: Duration,
    last: Instant,
    metrics: Metrics,
    pub owner: Owner,
}

impl Checkpointer {
    /// The first checkpoint is due after the time between two.
    pub fn new(
        checkpoints: Checkpoints,
        settings: String,
        every: Duration,
        metrics: Metrics,
        owner: Owner,
    ) -> Self {
        Self { checkpoints, settings, every, last: Instant::now(), metrics, owner }
    }

    /// Whether it is time for the next.
    pub fn is_due(&self) -> bool {
        self.last.elapsed() >= self.every
    }

    /// Adds a row to the metrics.
    ///
    /// # Errors
    /// Another process took over the folder; the operating system refuses.
    pub fn record(&mut self, step: u64, epoch: u64, values: &[(&str, f64)]) -> Result<()> {
        self.owner.verify()?;
        self.metrics.record(step, epoch, values)
    }

    /// What was recorded so far.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Neither a checkpoint nor a finished run holds a number that is not finite.
    fn require_finite(&self, run: &Run<'_>) -> Result<()> {
        let parameters = run.network.parameters();
        let table_is_finite = parameters.table().is_none_or(|table| table.is_finite());
        if !table_is_finite || !all_finite_here(&parameters.flat().to_device(&Device::Cpu)?) {
            let (step, saved) = (run.position.step, self.describe());
            let rate = run.config.learning_rate;
            return Err(Error::NonFinite(format!(
                "a weight is not finite after step {step}: lower learning_rate = {rate:e}; {saved}"
            )));
        }
        Ok(())
    }

    /// Saves where the run stands.
    ///
    /// # Errors
    /// A weight that is not finite; another process took over the folder; the operating system refuses.
    pub fn save(&mut self, run: &Run<'_>) -> Result<()> {
        self.before(run)?;
        let (queue, metrics) = (run.queue.as_ref(), self.metrics.lines());
        let bytes = checkpoint::to_bytes(
            &run.network,
            queue,
            run.monitor.as_ref(),
            &self.settings,
            &run.position,
            metrics,
        )?;
        self.owner.verify()?;
        self.checkpoints.put(&bytes)?;
        self.last = Instant::now();
        Ok(())
    }

    /// What is on the disk before the weights are: the record, and how they were computed.
    fn before(&mut self, run: &Run<'_>) -> Result<()> {
        self.require_finite(run)?;
        self.owner.verify()?;
        self.metrics.flush()?;
        plans::save(&self.checkpoints.last().with_file_name(plans::PLANS), run.network.parameters().device())
    }

    /// What to say about the last checkpoint.
    pub fn describe(&self) -> String {
        let last = self.checkpoints.last();
        match theory::files::exists(last) {
            Ok(true) => format!("the last checkpoint is {}", last.display()),
            Ok(false) => "there is no checkpoint yet".into(),
            // The message that this becomes part of is about something worse.
            Err(error) => format!("whether there is a checkpoint is not known ({error})"),
        }
    }

    /// Where the last checkpoint is.
    pub fn path(&self) -> &Path {
        self.checkpoints.last()
    }

    /// Saves the weights of the finished run, whose checkpoints go when those are on the disk.
    ///
    /// # Errors
    /// A weight that is not finite; another process took over the folder; the operating system refuses.
    pub fn finish(&mut self, run: &Run<'_>, model: &Path) -> Result<()> {
        self.before(run)?;
        let bytes = run.network.parameters().to_bytes(&model_notes(run.config, run.position.last_loss))?;
        self.owner.verify()?;
        theory::files::write_atomically(model, &bytes)?;
        self.checkpoints.remove()
    }

    /// Has the tables hold what the record does, where a run ends before its end.
    pub fn give_up(&mut self) {
        // Why the run ended is worth more than why these were not written.
        let _ = self.owner.verify().and_then(|()| self.metrics.flush());
    }
}

/// Whether every number of an f32 tensor on the CPU is finite; on a GPU the losses and the checkpoints are looked at.
pub(super) fn all_finite_here(tensor: &Tensor) -> bool {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) => {
            values[start..end].iter().fold(true, |all, v| all & v.is_finite())
        }
        _ => true,
    }
}
