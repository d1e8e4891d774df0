//! Values as they stand in a file: at hand, or read from it where they are asked for.
//!
//! A large array that is stored as it is (`.npy`, an entry of `.npz` that is not compressed, safetensors) stays in its
//! file and is read by position: a file that changes meanwhile gives an error or other numbers, where a memory map would
//! end the process.

use crate::error::{Error, Result};
use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// The bytes of an array.
#[derive(Debug)]
pub(super) enum Bytes {
    /// At hand, from a place on.
    Held(Vec<u8>, usize),
    /// In a file.
    Stored(Stored),
}

/// So many bytes of a file from a place on.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub file: Arc<File>,
    pub path: PathBuf,
    pub start: u64,
    pub length: usize,
}

impl Bytes {
    pub fn length(&self) -> usize {
        match self {
            Self::Held(bytes, start) => bytes.len() - start,
            Self::Stored(stored) => stored.length,
        }
    }

    /// Those of this range, which `buffer` holds where they were not at hand.
    ///
    /// # Errors
    /// The operating system refuses, or the file has become shorter.
    pub fn get<'a>(&'a self, range: Range<usize>, buffer: &'a mut Vec<u8>) -> Result<&'a [u8]> {
        match self {
            Self::Held(bytes, start) => Ok(&bytes[start + range.start..start + range.end]),
            Self::Stored(stored) => {
                buffer.resize(range.len(), 0);
                stored.read(range.start, buffer)?;
                Ok(buffer.as_slice())
            }
        }
    }
}

impl Stored {
    /// Fills `bytes` from place `start` of the array on.
    pub fn read(&self, start: usize, bytes: &mut [u8]) -> Result<()> {
        read_at(&self.file, bytes, self.start + start as u64).map_err(|e| Error::io(&self.path, e))
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], place: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, place)
}

/// Elsewhere a file has one place for all threads.
#[cfg(not(unix))]
fn read_at(mut file: &File, bytes: &mut [u8], place: u64) -> std::io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = ONE.lock();
    file.seek(SeekFrom::Start(place))?;
    file.read_exact(bytes)
}
