//! The last two checkpoints of a run: where one is damaged, the other still holds most of the work.
//!
//! | file | what |
//! |---|---|
//! | `checkpoint.safetensors` | the last one |
//! | `checkpoint.previous.safetensors` | the one before |
//! | `checkpoint.damaged.safetensors`, `checkpoint.previous.damaged.safetensors` | set aside when a run went on without them |
//!
//! Whenever the process ends, a whole one has one of the first two names, once there was one: the new one is on the disk
//! before the last one takes the name of the one before, and that before the new one takes the name of the last.

use super::checkpoint;
use crate::error::{Error, Result};
use crate::model::sealed::Opened;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use theory::files;

pub(super) const CHECKPOINT: &str = "checkpoint.safetensors";
pub(super) const PREVIOUS: &str = "checkpoint.previous.safetensors";
const DAMAGED: [&str; 2] = ["checkpoint.damaged.safetensors", "checkpoint.previous.damaged.safetensors"];

/// Where a new one is until it is whole: a name of an unfinished file, which the next owner removes.
const UNFINISHED: &str = ".checkpoint.partial";

/// Those of one run.
pub(super) struct Checkpoints {
    folder: PathBuf,
    last: PathBuf,
    previous: PathBuf,
}

impl Checkpoints {
    /// Those in a run's folder.
    pub fn new(folder: &Path) -> Self {
        let [last, previous] = [CHECKPOINT, PREVIOUS].map(|name| folder.join(name));
        Self { folder: folder.to_path_buf(), last, previous }
    }

    /// The last one, whether it is there or not.
    pub fn last(&self) -> &Path {
        &self.last
    }

    /// Whether there is any, damaged or not.
    ///
    /// # Errors
    /// The operating system refuses to say.
    pub fn exist(&self) -> Result<bool> {
        Ok(files::exists(&self.last)? || files::exists(&self.previous)?)
    }

    /// The newest one that is whole; a damaged one is set aside, with a warning.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn newest(&self) -> Result<Option<(&Path, Opened)>> {
        for (path, aside) in [&self.last, &self.previous].into_iter().zip(DAMAGED) {
            let bytes = match std::fs::read(path) {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => return Err(Error::io(path, e)),
            };
            match checkpoint::open(bytes) {
                Ok(file) => return Ok(Some((path, file))),
                Err(why) => self.set_aside(path, aside, &why)?,
            }
        }
        Ok(None)
    }

    fn set_aside(&self, path: &Path, aside: &str, why: &str) -> Result<()> {
        files::rename(path, &self.folder.join(aside))?;
        let next = match self.exist()? {
            true => "the run goes on from the one before",
            false => "there is no other, and the run begins anew",
        };
        let path = path.display();
        theory::terminal::say(&format!("warning: {path} is damaged ({why}): it is now {aside}; {next}"));
        Ok(())
    }

    /// Adds one; the last becomes the one before.
    ///
    /// # Errors
    /// The operating system refuses; what was there is then still there.
    pub fn put(&self, bytes: &[u8]) -> Result<()> {
        let unfinished = self.folder.join(UNFINISHED);
        files::write_atomically(&unfinished, bytes)?;
        if files::exists(&self.last)? {
            files::rename(&self.last, &self.previous)?;
        }
        Ok(files::rename(&unfinished, &self.last)?)
    }

    /// Removes them; the run is finished.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn remove(&self) -> Result<()> {
        files::remove(&self.previous)?;
        Ok(files::remove(&self.last)?)
    }
}
