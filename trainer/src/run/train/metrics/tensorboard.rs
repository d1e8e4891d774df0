//! Event files of TensorBoard: a sequence of TFRecords, each an `Event` of protocol buffers.
//!
//! A TFRecord is length (u64) | m(length) | data | m(data), little-endian, with m(x) = rotr(c, 15) + 0xa282ead8 for the
//! CRC-32C c of x (`tensorflow/core/lib/io/record_writer.h`, `tensorflow/core/lib/hash/crc32c.h`). An `Event` has the
//! fields wall_time = 1 (double, seconds since 1970), step = 2 (int64), and one of file_version = 3 (string), summary =
//! 5, session_log = 7; a `Summary` repeats value = 1, with tag = 1 (string) and simple_value = 2 (float); a
//! `SessionLog` has status = 1, where 1 is START (`tensorboard/compat/proto/{event,summary}.proto`).
//!
//! Values are single precision here; `metrics.jsonl` has all digits. A run that is resumed gets a new file with all its
//! records, so that no step is there twice; it begins with START at step 0, upon which a running TensorBoard forgets
//! what it read from the old one.

use super::jsonl::Record;
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use theory::files::write_atomically;

/// Around the time in a file's name; TensorBoard looks for `tfevents`.
const PREFIX: &str = "events.out.tfevents.";
const SUFFIX: &str = ".trainer";

const FILE_VERSION: &str = "brain.Event:2";

/// Appends events.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
}

impl Writer {
    /// Writes all records to a new event file in `folder` and removes the older ones of ours; their times of day are
    /// kept.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn rewrite(folder: &Path, records: &[Record]) -> Result<Self> {
        let now = seconds();
        let old = event_files(folder)?;
        let mut times = HashMap::new();
        for (_, path) in &old {
            times.extend(wall_times(&std::fs::read(path).map_err(|e| Error::io(path, e))?));
        }
        let begin = records.first().and_then(|record| times.get(&record.step)).copied().unwrap_or(now);
        let mut bytes = frame(&version_event(begin));
        bytes.extend(frame(&start_event(begin)));
        for record in records {
            bytes.extend(frame(&summary_event(times.get(&record.step).copied().unwrap_or(now), record)));
        }
        // TensorBoard reads the files of a folder in the order of their names.
        let name = old.iter().map(|(time, _)| time + 1).max().unwrap_or(0).max(now as u64);
        let path = folder.join(format!("{PREFIX}{name:010}{SUFFIX}"));
        write_atomically(&path, &bytes)?;
        for (_, path) in &old {
            std::fs::remove_file(path).map_err(|e| Error::io(path, e))?;
        }
        let file = OpenOptions::new().append(true).open(&path).map_err(|e| Error::io(&path, e))?;
        Ok(Self { file, path })
    }

    /// Adds a record that was made now.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let bytes = frame(&summary_event(seconds(), record));
        self.file.write_all(&bytes).map_err(|e| Error::io(&self.path, e))
    }

    /// Waits until the events are on the disk.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn synchronise(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| Error::io(&self.path, e))
    }
}

/// Seconds since 1970.
fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Our event files with the times in their names, oldest first.
fn event_files(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let io = |e| Error::io(folder, e);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let time = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX)?.parse().ok());
        files.extend(time.map(|time| (time, path.clone())));
    }
    files.sort();
    Ok(files)
}

fn masked_checksum(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked_checksum(&length), data, &masked_checksum(data)].concat()
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field of bytes: its key (number·8 + 2), its length, the bytes.
fn bytes_field(number: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(number << 3 | 2);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// The fields that all events have.
fn event(wall_time: f64, step: u64) -> Vec<u8> {
    let mut out = vec![1 << 3 | 1];
    out.extend_from_slice(&wall_time.to_le_bytes());
    out.push(2 << 3);
    varint(step, &mut out);
    out
}

fn version_event(wall_time: f64) -> Vec<u8> {
    let mut out = event(wall_time, 0);
    bytes_field(3, FILE_VERSION.as_bytes(), &mut out);
    out
}

fn start_event(wall_time: f64) -> Vec<u8> {
    let mut out = event(wall_time, 0);
    bytes_field(7, &[1 << 3, 1], &mut out);
    out
}

fn summary_event(wall_time: f64, record: &Record) -> Vec<u8> {
    let mut summary = Vec::new();
    for (name, value) in &record.values {
        let mut entry = Vec::new();
        bytes_field(1, name.as_bytes(), &mut entry);
        entry.push(2 << 3 | 5);
        entry.extend_from_slice(&(*value as f32).to_le_bytes());
        bytes_field(1, &entry, &mut summary);
    }
    let mut out = event(wall_time, record.step);
    bytes_field(5, &summary, &mut out);
    out
}

/// The time of day of each step in an event file of ours, as far as its records are whole.
fn wall_times(mut bytes: &[u8]) -> HashMap<u64, f64> {
    let mut times = HashMap::new();
    while let Some((data, rest)) = next_record(bytes) {
        bytes = rest;
        // As `event` begins: a key, eight bytes of time, a key, the step.
        let (Some(time), Some(step)) = (data.get(1..9), data.get(10..)) else { continue };
        let mut value = 0;
        for (place, byte) in step.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                break;
            }
        }
        times.insert(value, f64::from_le_bytes(time.try_into().unwrap_or_default()));
    }
    times
}

/// The data of the first record, and what follows it; `None` if it is cut off or damaged.
fn next_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::try_from(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?)).ok()?;
    let end = length.checked_add(12)?;
    let (data, sum) = (bytes.get(12..end)?, bytes.get(end..end.checked_add(4)?)?);
    (masked_checksum(&bytes[..8]) == bytes[8..12] && masked_checksum(data) == *sum)
        .then(|| (data, &bytes[end + 4..]))
}
