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
use theory::error::ErrorKind as TheoryErrorKind;
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
        files::write_atomically(&unfinished, bytes).map_err(|e| self.unsaved(e))?;
        if files::exists(&self.last)? {
            files::rename(&self.last, &self.previous)?;
        }
        Ok(files::rename(&unfinished, &self.last)?)
    }

    /// A refusal to write, under the name that the file would have had.
    fn unsaved(&self, error: theory::Error) -> Error {
        match error.kind() {
            TheoryErrorKind::Io { source, .. } => {
                let reason = source.raw_os_error().map(std::io::Error::from_raw_os_error);
                Error::io(&self.last, reason.unwrap_or_else(|| source.kind().into()))
            }
            _ => error.into(),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sealed::{Notes, Part, seal};

    /// A file with checksums that says which it is.
    fn numbered(number: usize) -> Vec<u8> {
        seal(&[Part::text("number", &number.to_string())], &Notes::new()).unwrap()
    }

    fn newest(folder: &Path) -> Option<String> {
        let checkpoints = Checkpoints::new(folder);
        checkpoints.newest().unwrap().map(|(_, file)| file.text("number").unwrap().to_string())
    }

    #[test]
    fn wherever_the_process_ends_a_whole_one_is_left() {
        let place = tempfile::tempdir().unwrap();
        let file = |name: &str| place.path().join(name);
        let checkpoints = Checkpoints::new(place.path());
        assert!(!checkpoints.exist().unwrap() && newest(place.path()).is_none());
        for number in 1..=3 {
            checkpoints.put(&numbered(number)).unwrap();
            assert_eq!(newest(place.path()), Some(number.to_string()));
            assert!(!file(UNFINISHED).exists());
        }
        assert_eq!(std::fs::read(file(PREVIOUS)).unwrap(), numbered(2));
        // Half of the next one is written; all of it; the last has become the one before.
        for half in [numbered(4)[..9].to_vec(), numbered(4)] {
            std::fs::write(file(UNFINISHED), half).unwrap();
            assert_eq!(newest(place.path()).as_deref(), Some("3"));
        }
        files::rename(&file(CHECKPOINT), &file(PREVIOUS)).unwrap();
        assert_eq!(newest(place.path()).as_deref(), Some("3"));
        files::remove_unfinished(place.path()).unwrap();
        // Going on from there keeps the only whole one until there is another.
        checkpoints.put(&numbered(4)).unwrap();
        assert_eq!(std::fs::read(file(PREVIOUS)).unwrap(), numbered(3));
        // A damaged last one never takes the place of a whole one before.
        std::fs::write(file(CHECKPOINT), "nonsense").unwrap();
        assert_eq!(newest(place.path()).as_deref(), Some("3"));
        checkpoints.put(&numbered(5)).unwrap();
        assert_eq!(std::fs::read(file(PREVIOUS)).unwrap(), numbered(3));
        checkpoints.remove().unwrap();
        assert!(!checkpoints.exist().unwrap() && file("checkpoint.damaged.safetensors").exists());
    }

    #[test]
    fn one_that_cannot_be_written_takes_nothing_away() {
        let place = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(place.path());
        (1..=2).for_each(|number| checkpoints.put(&numbered(number)).unwrap());
        // A folder in the place of the unfinished file stands for a disk that is full.
        std::fs::create_dir(place.path().join(UNFINISHED)).unwrap();
        let error = checkpoints.put(&numbered(3)).unwrap_err().to_string();
        assert!(error.starts_with(place.path().join(CHECKPOINT).to_str().unwrap()), "{error}");
        assert_eq!(newest(place.path()).as_deref(), Some("2"));
        assert_eq!(std::fs::read(place.path().join(PREVIOUS)).unwrap(), numbered(1));
    }
}
