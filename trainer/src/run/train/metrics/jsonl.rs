//! `metrics.jsonl`: a line `{"step":s,"epoch":e,"name":value,…}` a record, in the order of recording.
//!
//! A value is the shortest decimal that reads back as the same double. JSON has no others, so what is not finite is one
//! of the strings `"nan"`, `"inf"`, `"-inf"`.

use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use theory::files::write_atomically;
use theory::json::Unrepeated;

const STEP: &str = "step";
const EPOCH: &str = "epoch";

/// The values of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Optimiser steps done.
    pub step: u64,
    /// The epoch that the step belongs to.
    pub epoch: u64,
    /// Names and values, in the order of the line.
    pub values: Vec<(String, f64)>,
}

impl Record {
    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
    }

    fn to_line(&self) -> Result<String> {
        let mut map = Map::new();
        map.insert(STEP.into(), self.step.into());
        map.insert(EPOCH.into(), self.epoch.into());
        for (name, value) in &self.values {
            let value = if value.is_finite() { Value::from(*value) } else { text(*value).into() };
            if name.is_empty() || map.insert(name.clone(), value).is_some() {
                return Err(Error::argument(format!(
                    "metric '{name}' at step {}: a name must not be empty, '{STEP}', '{EPOCH}', or there twice",
                    self.step
                )));
            }
        }
        Ok(Value::Object(map).to_string() + "\n")
    }

    fn from_line(line: &str) -> std::result::Result<Self, String> {
        let Unrepeated(value) = serde_json::from_str(line).map_err(|e| e.to_string())?;
        let Value::Object(mut map) = value else { return Err("no JSON object".into()) };
        let mut whole = |name: &str| {
            let value = map.shift_remove(name).ok_or_else(|| format!("no '{name}'"))?;
            value.as_u64().ok_or_else(|| format!("'{name}' is {value}, not a whole number"))
        };
        let (step, epoch) = (whole(STEP)?, whole(EPOCH)?);
        let value = |name: String, value: Value| {
            let number = value.as_f64().or_else(|| match value.as_str()? {
                "nan" => Some(f64::NAN),
                "inf" => Some(f64::INFINITY),
                "-inf" => Some(f64::NEG_INFINITY),
                _ => None,
            });
            number
                .map(|number| (name.clone(), number))
                .ok_or_else(|| format!("'{name}' is {value}, not a number"))
        };
        let values =
            map.into_iter().map(|(name, v)| value(name, v)).collect::<std::result::Result<_, _>>()?;
        Ok(Self { step, epoch, values })
    }
}

/// A value as the files show it: the shortest decimal that reads back, or `nan`, `inf`, `-inf`.
pub(super) fn text(value: f64) -> String {
    match value {
        _ if value.is_finite() => Value::from(value).to_string(),
        _ if value.is_nan() => "nan".into(),
        _ if value > 0.0 => "inf".into(),
        _ => "-inf".into(),
    }
}

/// All records of a file; a last line that a crash cut off is none.
///
/// # Errors
/// The file cannot be read; a line other than the last is no record.
pub fn read(path: &Path) -> Result<Vec<Record>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    parse(&bytes).map_err(|message| Error::data(path, message))
}

/// All records of the bytes of a file.
///
/// # Errors
/// A line other than the last is no record, in words that follow the file's name.
pub(super) fn parse(bytes: &[u8]) -> std::result::Result<Vec<Record>, String> {
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    lines.pop_if(|line| !line.ends_with(b"\n"));
    let record = |line: &[u8]| {
        let line = std::str::from_utf8(line).map_err(|e| e.to_string())?;
        Record::from_line(line.trim_end())
    };
    let mut records = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        match record(line) {
            Ok(record) => records.push(record),
            // When the machine fails, the length of a file may reach the disk before its content.
            Err(_) if index + 1 == lines.len() => {}
            Err(message) => return Err(format!("line {}: {message}", index + 1)),
        }
    }
    Ok(records)
}

/// Appends records.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
}

impl Writer {
    /// Opens the file, which holds these lines and nothing else afterwards.
    ///
    /// # Errors
    /// The operating system refuses to read what is there, or to write.
    pub fn open(path: &Path, lines: &str) -> Result<Self> {
        let io = |e| Error::io(path, e);
        let is_same = match std::fs::read(path) {
            Ok(found) => found == lines.as_bytes(),
            Err(e) if e.kind() == ErrorKind::NotFound => false,
            Err(e) => return Err(io(e)),
        };
        if !is_same {
            write_atomically(path, lines.as_bytes())?;
        }
        let file = OpenOptions::new().append(true).open(path).map_err(io)?;
        Ok(Self { file, path: path.to_path_buf() })
    }

    /// Adds a line, with one call to the operating system; returns it.
    ///
    /// # Errors
    /// A name is `step`, `epoch`, empty, or there twice; the operating system refuses.
    pub fn append(&mut self, record: &Record) -> Result<String> {
        let line = record.to_line()?;
        self.file.write_all(line.as_bytes()).map_err(|e| Error::io(&self.path, e))?;
        Ok(line)
    }

    /// Waits until the lines are on the disk.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn synchronise(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| Error::io(&self.path, e))
    }
}
