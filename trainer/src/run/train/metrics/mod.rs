//! Metrics of a run: rows (step s, epoch e, {name: value}) in three files of the run's folder.
//!
//! - `metrics.jsonl` is the record ([`jsonl`]): a row is in it as soon as it was recorded, and a run that was
//!   interrupted and resumed has the same bytes in it as one that was not. It holds no time of day.
//! - `metrics.csv` is made from it at checkpoints and at the end ([`csv`]).
//! - `events.out.tfevents.TIME.trainer` is for TensorBoard ([`tensorboard`]), written along and rewritten from the
//!   record on resuming.
//!
//! A step is the number of optimiser steps done. A name may have slashes, which TensorBoard groups by; a value that is
//! not finite survives in all three.

pub mod csv;
pub mod jsonl;
pub mod tensorboard;
#[cfg(test)]
mod tests;

pub use jsonl::Record;

use crate::error::Result;
use std::path::{Path, PathBuf};

/// File names in the run's folder.
const JSONL: &str = "metrics.jsonl";
const CSV: &str = "metrics.csv";

/// The open metrics of a run.
#[derive(Debug)]
pub struct Metrics {
    jsonl: jsonl::Writer,
    csv: PathBuf,
    events: tensorboard::Writer,
}

impl Metrics {
    /// Opens the metrics of the run in `folder`, which exists.
    ///
    /// `resume_at` is the step of the checkpoint that the run goes on from: rows of later steps are dropped, as is a
    /// row that a crash cut off. `None` begins anew, and what was there is dropped.
    ///
    /// # Errors
    /// A row other than the last cannot be read; the operating system refuses.
    pub fn open(folder: &Path, resume_at: Option<u64>) -> Result<Self> {
        let (jsonl, records) = jsonl::Writer::open(&folder.join(JSONL), resume_at)?;
        let events = tensorboard::Writer::rewrite(folder, &records)?;
        let metrics = Self { jsonl, csv: folder.join(CSV), events };
        csv::write(&metrics.csv, &records)?;
        Ok(metrics)
    }

    /// Records the values of a step; they are in the files when this returns.
    ///
    /// # Errors
    /// A name is `step`, `epoch`, empty, or there twice; the operating system refuses.
    pub fn record(&mut self, step: u64, epoch: u64, values: &[(&str, f64)]) -> Result<()> {
        let values = values.iter().map(|(name, value)| ((*name).to_string(), *value)).collect();
        let record = Record { step, epoch, values };
        self.jsonl.append(&record)?;
        self.events.append(&record)
    }

    /// Brings everything to the disk and writes `metrics.csv`: to be called before a checkpoint is.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn flush(&mut self) -> Result<()> {
        self.jsonl.synchronise()?;
        csv::write(&self.csv, &jsonl::read(self.jsonl.path())?)?;
        self.events.synchronise()
    }

    /// [`Metrics::flush`] for the last time.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn finish(mut self) -> Result<()> {
        self.flush()
    }
}
