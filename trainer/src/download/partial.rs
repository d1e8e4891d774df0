//! A file that is not complete yet: `NAME.partial`, and in `NAME.partial.json` which version of which address it holds.

use crate::data::official::{OfficialFile, md5_of};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use theory::files::write_atomically;

/// Bytes of a note; an address and a tag need a few hundred.
const LONGEST_NOTE: u64 = 1 << 16;

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
    /// Bytes that came, those that were thrown away included.
    received: u64,
    resumed_at: u64,
    in_one_piece: bool,
    version: Option<Version>,
}

impl Partial {
    /// Opens or makes the partial file of `target`.
    ///
    /// # Errors
    /// Something else than a regular file has its name or that of its note: a link, whose target would be written over, a
    /// folder, a pipe; another process writes to it; the operating system refuses.
    pub(super) fn open(target: &Path) -> Result<Self> {
        let beside = |suffix: &str| {
            let mut name = target.as_os_str().to_os_string();
            name.push(suffix);
            PathBuf::from(name)
        };
        let (path, note) = (beside(".partial"), beside(".partial.json"));
        let io = |e| Error::io(&path, e);
        check_regular(&path)?;
        check_regular(&note)?;
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        // Nothing has been written yet: what was opened must be what has the name.
        check_same(&file, &path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                return Err(Error::data(&path, "another download is writing to it"));
            }
            // Some network file systems have no locks; a download is still possible there.
            Err(TryLockError::Error(_)) | Ok(()) => {}
        }
        let length = file.metadata().map_err(io)?.len();
        // Without a readable note the bytes may still be right: the checksum of the whole decides.
        let version = read_note(&note);
        let (received, in_one_piece) = (0, false);
        Ok(Self { file, path, note, length, received, resumed_at: length, in_one_piece, version })
    }

    /// Bytes that it has.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes that came since it was opened, those that were thrown away included.
    pub(super) fn received(&self) -> u64 {
        self.received
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
        self.received += bytes.len() as u64;
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

/// Checks that a name is that of a regular file or of nothing; a link is followed nowhere.
fn check_regular(path: &Path) -> Result<()> {
    let kind = match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        found => found.map_err(|e| Error::io(path, e))?.file_type(),
    };
    if kind.is_file() {
        return Ok(());
    }
    let what = if kind.is_symlink() { "a link" } else { "no regular file" };
    Err(Error::data(path, format!("it is {what}, where an unfinished download would grow; remove it")))
}

/// Checks that an open file is the one that has this name, and not what a link of this name leads to.
fn check_same(file: &File, path: &Path) -> Result<()> {
    check_regular(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let io = |e| Error::io(path, e);
        let (open, named) = (file.metadata().map_err(io)?, std::fs::symlink_metadata(path).map_err(io)?);
        if (open.dev(), open.ino()) != (named.dev(), named.ino()) {
            return Err(Error::data(path, "it was exchanged while it was opened"));
        }
    }
    let _ = file;
    Ok(())
}

/// What the note says, if it is one.
fn read_note(note: &Path) -> Option<Version> {
    let (file, length) = measure::input::open(note).ok()?;
    let mut text = Vec::new();
    (length <= LONGEST_NOTE).then_some(())?;
    file.take(LONGEST_NOTE).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// How a file differs from the published one, length first; `None` if it does not.
pub(super) fn difference(path: &Path, published: &OfficialFile) -> Result<Option<String>> {
    let (_, bytes) = measure::input::open(path)?;
    if bytes != published.bytes {
        return Ok(Some(format!("{bytes} bytes where {} are published", published.bytes)));
    }
    let found = md5_of(path)?;
    Ok((found != published.md5).then(|| format!("MD5 {found} where {} is published", published.md5)))
}
