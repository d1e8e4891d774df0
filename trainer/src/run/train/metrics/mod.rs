//! Metrics of a run: rows (step s, epoch e, {name: value}) in three files of the run's folder.
//!
//! - `metrics.jsonl` is the record ([`jsonl`]): a row is in it as soon as it was recorded, and a run that was
//!   interrupted and resumed has the same bytes in it as one that was not. It holds no time of day. A checkpoint keeps
//!   its lines, too, so that a file that was lost or damaged comes back with the checkpoint.
//! - `metrics.csv` is made from it at checkpoints and at the end, also where the run fails ([`csv`]).
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

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// File names in the run's folder.
pub(super) const JSONL: &str = "metrics.jsonl";
const CSV: &str = "metrics.csv";

/// The open metrics of a run.
#[derive(Debug)]
pub struct Metrics {
    jsonl: jsonl::Writer,
    csv: PathBuf,
    events: tensorboard::Writer,
    records: Vec<Record>,
    /// `metrics.jsonl`.
    lines: String,
}

impl Metrics {
    /// Opens the metrics of the run in `folder`, which exists.
    ///
    /// `lines` are those of `metrics.jsonl` up to the point that the run goes on from, as [`lines`](Self::lines) gave
    /// them; none where it begins anew. Whatever else was there is dropped.
    ///
    /// # Errors
    /// A line that is no record; the operating system refuses.
    pub fn open(folder: &Path, lines: &str) -> Result<Self> {
        let (path, csv) = (folder.join(JSONL), folder.join(CSV));
        let records = jsonl::parse(lines.as_bytes()).map_err(|message| Error::data(&path, message))?;
        let jsonl = jsonl::Writer::open(&path, lines)?;
        let events = tensorboard::Writer::rewrite(folder, &records)?;
        csv::write(&csv, &records)?;
        Ok(Self { jsonl, csv, events, records, lines: lines.to_string() })
    }

    /// What `metrics.jsonl` holds.
    pub fn lines(&self) -> &str {
        &self.lines
    }

    /// All records so far.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Records the values of a step; they are in the files when this returns.
    ///
    /// # Errors
    /// A name is `step`, `epoch`, empty, or there twice; the operating system refuses.
    pub fn record(&mut self, step: u64, epoch: u64, values: &[(&str, f64)]) -> Result<()> {
        let values = values.iter().map(|(name, value)| ((*name).to_string(), *value)).collect();
        let record = Record { step, epoch, values };
        self.lines += &self.jsonl.append(&record)?;
        self.events.append(&record)?;
        self.records.push(record);
        Ok(())
    }

    /// Brings everything to the disk and writes `metrics.csv`: to be called before a checkpoint is, and in the end.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn flush(&mut self) -> Result<()> {
        self.jsonl.synchronise()?;
        csv::write(&self.csv, &self.records)?;
        self.events.synchronise()
    }
}
