//! Folders that this program owns, known by their [`Manifest`].

use super::Manifest;
use super::owner::{LOCK, OWNER, Owner};
use crate::error::{Error, Result};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use theory::files;

/// Why a run of a sweep failed; it may have failed before it could say whose folder this is.
pub(in crate::run) const FAILED: &str = "failed.json";

/// A folder of this program.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes or opens a folder for results of `manifest`, which is written; nothing else in it is touched.
    ///
    /// # Errors
    /// As for [`check`](Self::check); the operating system refuses.
    pub fn create(path: &Path, manifest: &Manifest) -> Result<Self> {
        Self::check(path, manifest)?;
        files::create_folder(path)?;
        manifest.write(path)?;
        Ok(Self { path: path.to_path_buf() })
    }

    /// Makes the folder of a run, if need be, and takes it; what an interruption left half-written goes.
    ///
    /// # Errors
    /// As for [`check`](Self::check), before anything is written, and [`Owner::take`].
    pub(super) fn claim(path: &Path, manifest: &Manifest, stop: &dyn Fn() -> bool) -> Result<Owner> {
        // A folder that is not ours gets no lock.
        Self::check(path, manifest)?;
        files::create_folder(path)?;
        let owner = Owner::take(path, stop)?;
        files::remove_unfinished(path)?;
        // Somebody else may have been faster, and be gone.
        Self::check(path, manifest)?;
        Ok(owner)
    }

    /// Opens a folder whose results are those of `manifest` and keeps them, with the record of the program that made them.
    ///
    /// # Errors
    /// As for [`check`](Self::check); the operating system refuses.
    pub(super) fn keep(path: &Path, manifest: &Manifest) -> Result<Self> {
        Self::check(path, manifest)?;
        let found = Manifest::read(path)?;
        if found.data != manifest.data {
            Manifest { data: manifest.data.clone(), ..found }.write(path)?;
        }
        Ok(Self { path: path.to_path_buf() })
    }

    /// Whether results of `manifest` may go to this folder: it is not there, is empty, or holds such results. Marks of an
    /// owner, the reason of a failure and half-written files of an interruption do not count.
    ///
    /// # Errors
    /// The path is no folder; the folder holds something that is not ours, or results of another kind, of other
    /// settings or samples; the operating system refuses to say.
    pub fn check(path: &Path, manifest: &Manifest) -> Result<()> {
        match is_folder(path)? {
            None => return Ok(()),
            Some(false) => {
                return Err(Error::argument(format!("{} exists and is no folder", path.display())));
            }
            Some(true) if is_empty(path)? => return Ok(()),
            Some(true) => {}
        }
        let found = Self::manifest(path, &manifest.kind)?;
        if let Some(difference) = found.difference(manifest) {
            return Err(Error::argument(format!(
                "{} holds a '{}' of other settings ({difference}): choose another folder or remove it",
                path.display(),
                found.kind
            )));
        }
        Ok(())
    }

    /// Opens a folder that holds results of `kind`.
    ///
    /// # Errors
    /// The folder does not exist or holds no such results; the operating system refuses.
    pub fn open(path: &Path, kind: &str) -> Result<(Self, Manifest)> {
        if is_folder(path)? != Some(true) {
            return Err(Error::data(path, "there is no such folder"));
        }
        let manifest = Self::manifest(path, kind)?;
        Ok((Self { path: path.to_path_buf() }, manifest))
    }

    fn manifest(path: &Path, kind: &str) -> Result<Manifest> {
        let found = Manifest::read(path)?;
        if found.kind != kind {
            let message = format!("{} holds a '{}', not a '{kind}'", path.display(), found.kind);
            return Err(Error::argument(message));
        }
        Ok(found)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Whether a path is that of a folder; `None` where nothing is.
fn is_folder(path: &Path) -> Result<Option<bool>> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(Some(found.is_dir())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(path, e)),
    }
}

/// Whether a folder holds nothing, or nothing but what does not count.
fn is_empty(path: &Path) -> Result<bool> {
    let io = |e| Error::io(path, e);
    for entry in std::fs::read_dir(path).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        if name != LOCK && name != OWNER && name != FAILED && !files::is_unfinished(&name) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(epochs: usize) -> Manifest {
        Manifest::new("train", &std::collections::BTreeMap::from([("epochs", epochs)])).unwrap()
    }

    #[test]
    fn only_our_own_folder_with_the_same_settings_is_reused() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own");
        Folder::create(&own, &manifest(3)).unwrap();
        Folder::create(&own, &manifest(3)).unwrap();
        let error = Folder::create(&own, &manifest(4)).unwrap_err().to_string();
        assert!(error.contains("(epochs: 3 there, 4 here)"), "{error}");
        let foreign = folder.path().join("foreign");
        std::fs::create_dir(&foreign).unwrap();
        std::fs::write(foreign.join("thesis.tex"), "x").unwrap();
        let error = Folder::create(&foreign, &manifest(3)).unwrap_err().to_string();
        assert!(error.contains("was not made by this program"), "{error}");
        assert!(Folder::create(&foreign.join("thesis.tex"), &manifest(3)).is_err());
        let measure = Manifest { kind: "measure".into(), ..manifest(3) };
        let refused = [Folder::check(&own, &measure).err(), Folder::open(&own, "measure").err()];
        let expected = format!("{} holds a 'train', not a 'measure'", own.display());
        assert_eq!(refused.map(|error| error.unwrap().to_string()), [expected.clone(), expected]);
    }

    #[test]
    fn another_version_or_place_of_the_data_is_no_other_run() {
        let folder = tempfile::tempdir().unwrap();
        let earlier = Manifest { version: "0.0.9".into(), commit: Some("c0ffee".into()), ..manifest(3) };
        Folder::create(folder.path(), &earlier).unwrap();
        let moved = manifest(3).with_data(Some(Path::new("/elsewhere")));
        Folder::keep(folder.path(), &moved).unwrap();
        let found = || Folder::open(folder.path(), "train").unwrap().1;
        assert_eq!(found(), Manifest { data: moved.data.clone(), ..earlier });
        // What is made anew is of this version.
        Folder::create(folder.path(), &moved).unwrap();
        assert_eq!(found(), moved);
    }

    #[test]
    fn what_a_process_that_ended_at_once_left_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for name in [LOCK, OWNER, FAILED, ".Ab12.partial", ".owner.1.partial"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        Folder::create(folder.path(), &manifest(3)).unwrap();
        // Where the manifest cannot be read, that is not where there is none.
        std::fs::remove_file(folder.path().join("run.json")).unwrap();
        std::fs::create_dir(folder.path().join("run.json")).unwrap();
        let error = Folder::check(folder.path(), &manifest(3)).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }
}
