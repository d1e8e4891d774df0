//! `metrics.csv`: a row a record; columns `step`, `epoch`, then every name in the order of its first appearance.
//!
//! A record that lacks a name has an empty field there; what is not finite is `nan`, `inf` or `-inf`.

use super::jsonl::{Record, text};
use crate::error::{Error, Result};
use std::path::Path;
use theory::files::write_atomically;

/// Writes all records.
///
/// # Errors
/// The operating system refuses.
pub fn write(path: &Path, records: &[Record]) -> Result<()> {
    let mut names: Vec<&str> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for (name, _) in records.iter().flat_map(|record| &record.values) {
        if known.insert(name.as_str()) {
            names.push(name);
        }
    }
    let failed = |e: ::csv::Error| Error::data(path, e.to_string());
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(["step", "epoch"].iter().chain(&names)).map_err(failed)?;
    for record in records {
        let fixed = [record.step.to_string(), record.epoch.to_string()];
        let values = names.iter().map(|name| record.get(name).map_or(String::new(), text));
        writer.write_record(fixed.into_iter().chain(values)).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|e| Error::data(path, e.to_string()))?;
    Ok(write_atomically(path, &bytes)?)
}
