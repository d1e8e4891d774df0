//! When a checkpoint is saved, and what must hold before: the record is on the disk, and every weight is finite.

use super::{Metrics, Run, checkpoint, plans};
use crate::error::{Error, Result};
use candle_core::{CpuStorage, Device, Storage, Tensor};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Writes checkpoints now and then.
pub(super) struct Checkpointer {
    pub path: PathBuf,
    settings: String,
    every: Duration,
    last: Instant,
    pub metrics: Metrics,
}

impl Checkpointer {
    /// The first checkpoint is due after the time between two.
    pub fn new(path: PathBuf, settings: String, every: Duration, metrics: Metrics) -> Self {
        Self { path, settings, every, last: Instant::now(), metrics }
    }

    /// Whether it is time for the next.
    pub fn is_due(&self) -> bool {
        self.last.elapsed() >= self.every
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
    /// A weight that is not finite; the operating system refuses.
    pub fn save(&mut self, run: &Run<'_>) -> Result<()> {
        self.require_finite(run)?;
        // First, so that the record never ends before the checkpoint.
        self.metrics.flush()?;
        self.save_plans(run)?;
        checkpoint::save(&self.path, &run.network, run.queue.as_ref(), &self.settings, &run.position)?;
        self.last = Instant::now();
        Ok(())
    }

    /// Before the weights that were computed so.
    fn save_plans(&self, run: &Run<'_>) -> Result<()> {
        plans::save(&self.path.with_file_name(plans::PLANS), run.network.parameters().device())
    }

    /// What to say about the last checkpoint.
    pub fn describe(&self) -> String {
        match self.path.exists() {
            true => format!("the last checkpoint is {}", self.path.display()),
            false => "there is no checkpoint yet".into(),
        }
    }

    /// Saves the weights of the finished run, whose checkpoint goes.
    ///
    /// # Errors
    /// A weight that is not finite; the operating system refuses.
    pub fn finish(mut self, run: &Run<'_>, model: &Path) -> Result<()> {
        self.require_finite(run)?;
        self.metrics.flush()?;
        self.save_plans(run)?;
        run.network.parameters().save(model)?;
        match self.path.exists() {
            true => std::fs::remove_file(&self.path).map_err(|e| Error::io(&self.path, e)),
            false => Ok(()),
        }
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
