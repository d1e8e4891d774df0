//! A file that is not complete yet: `NAME.partial`, and in `NAME.partial.json` which version of which address it holds.

use crate::data::official::{OfficialFile, md5_of};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use theory::files::write_atomically;

/// The version of a file that a server offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    /// Where it was offered.
    pub(super) address: String,
    /// Its strong ETag, or its Last-Modified: what `If-Range` accepts. A server need not give either.
    pub(super) validator: Option<String>,
}

/// An open partial file; the process that has it open is the only one that writes to it.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    path: PathBuf,
    note: PathBuf,
    length: u64,
    resumed_at: u64,
    in_one_piece: bool,
    version: Option<Version>,
}

impl Partial {
    /// Opens or makes the partial file of `target`.
    pub(super) fn open(target: &Path) -> Result<Self> {
        let beside = |suffix: &str| {
            let mut name = target.as_os_str().to_os_string();
            name.push(suffix);
            PathBuf::from(name)
        };
        let (path, note) = (beside(".partial"), beside(".partial.json"));
        let io = |e| Error::io(&path, e);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                return Err(Error::data(&path, "another download is writing to it"));
            }
            // Some network file systems have no locks; a download is still possible there.
            Err(TryLockError::Error(_)) | Ok(()) => {}
        }
        let length = file.metadata().map_err(io)?.len();
        // Without a readable note the bytes may still be right: the checksum of the whole decides.
        let version = std::fs::read(&note).ok().and_then(|text| serde_json::from_slice(&text).ok());
        Ok(Self { file, path, note, length, resumed_at: length, in_one_piece: false, version })
    }

    /// Bytes that it has.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes at its beginning that were there when it was opened.
    pub(super) fn resumed_at(&self) -> u64 {
        self.resumed_at
    }

    /// Whether all its bytes came in one answer, so that they cannot be of two versions.
    pub(super) fn in_one_piece(&self) -> bool {
        self.in_one_piece
    }

    /// What comes next is from another answer.
    pub(super) fn resume(&mut self) {
        self.in_one_piece = false;
    }

    /// The version that its bytes belong to, if it is known.
    pub(super) fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }

    /// Forgets all bytes; those that come are of `version`.
    pub(super) fn restart(&mut self, version: Option<Version>) -> Result<()> {
        self.file.set_len(0).map_err(|e| Error::io(&self.path, e))?;
        (self.length, self.resumed_at, self.in_one_piece) = (0, 0, true);
        if let Some(version) = &version {
            let text = serde_json::to_vec(version).unwrap_or_default();
            write_atomically(&self.note, &text)?;
        }
        self.version = version;
        Ok(())
    }

    /// Adds bytes at the end.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let io = |e| Error::io(&self.path, e);
        self.file.seek(SeekFrom::Start(self.length)).map_err(io)?;
        self.file.write_all(bytes).map_err(io)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// How it differs from the published file; `None` if it does not.
    pub(super) fn difference(&self, file: &OfficialFile) -> Result<Option<String>> {
        difference(&self.path, file)
    }

    /// Gives it its name.
    pub(super) fn publish(mut self, target: &Path) -> Result<()> {
        self.file.sync_all().map_err(|e| Error::io(&self.path, e))?;
        std::fs::rename(&self.path, target).map_err(|e| Error::io(target, e))?;
        // What remains is the note, and it is no use without the file.
        self.length = 0;
        Ok(())
    }
}

impl Drop for Partial {
    /// An empty partial file is no use to a later call.
    fn drop(&mut self) {
        if self.length == 0 {
            // A failure leaves a file that does no harm.
            let _ = std::fs::remove_file(&self.path);
            let _ = std::fs::remove_file(&self.note);
        }
    }
}

/// How a file differs from the published one, length first; `None` if it does not.
pub(super) fn difference(path: &Path, published: &OfficialFile) -> Result<Option<String>> {
    let bytes = std::fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
    if bytes != published.bytes {
        return Ok(Some(format!("{bytes} bytes where {} are published", published.bytes)));
    }
    let found = md5_of(path)?;
    Ok((found != published.md5).then(|| format!("MD5 {found} where {} is published", published.md5)))
}
