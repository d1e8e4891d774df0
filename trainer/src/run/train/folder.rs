//! Folders that this program owns, known by their [`Manifest`].

use super::Manifest;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

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
        std::fs::create_dir_all(path).map_err(|e| Error::io(path, e))?;
        manifest.write(path)?;
        Ok(Self { path: path.to_path_buf() })
    }

    /// Opens a folder whose results are those of `manifest`, and stay; it goes on to say who made them.
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

    /// Whether results of `manifest` may go to this folder: it is not there, is empty, or holds such results.
    ///
    /// # Errors
    /// The path is no folder; the folder holds something that is not ours, or results of another kind, of other
    /// settings or samples.
    pub fn check(path: &Path, manifest: &Manifest) -> Result<()> {
        if !path.exists() {
            return Ok(());
        }
        if !path.is_dir() {
            return Err(Error::argument(format!("{} exists and is no folder", path.display())));
        }
        let mut entries = std::fs::read_dir(path).map_err(|e| Error::io(path, e))?;
        if entries.next().is_none() {
            return Ok(());
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
    /// The folder does not exist or holds no such results.
    pub fn open(path: &Path, kind: &str) -> Result<(Self, Manifest)> {
        if !path.is_dir() {
            return Err(Error::argument(format!("there is no folder {}", path.display())));
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
}
