//! Folders that this program owns, known by a manifest file `run.json`.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use theory::files::write_atomically;

const MANIFEST: &str = "run.json";
const PROGRAM: &str = "trainer";

/// What `run.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always `trainer`.
    pub program: String,
    /// Version of the program.
    pub version: String,
    /// `train`, `measure`, `difficulty`, `population` or `reproduce`.
    pub kind: String,
    /// The command as it was typed.
    pub command: Vec<String>,
    /// The resolved settings, as TOML.
    pub settings: String,
    /// The folder of the data sets' files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// What the settings do not fix: the samples, the device. Where both folder and command say it, it must be the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<String>,
}

impl Manifest {
    /// A manifest of this program for the running command.
    pub fn new(kind: &str, settings: String) -> Self {
        let command = std::env::args().collect();
        Self {
            program: PROGRAM.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            kind: kind.into(),
            command,
            settings,
            data: None,
            provenance: None,
        }
    }

    /// The same with the folder of the data sets' files, which says where, not what: another one is no other run.
    #[must_use]
    pub fn with_data(self, data: Option<&Path>) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        Self { data: data.map(absolute), ..self }
    }

    /// The same with what the settings do not fix.
    #[must_use]
    pub fn with_provenance(self, provenance: String) -> Self {
        Self { provenance: Some(provenance), ..self }
    }
}

/// What stood in a folder before it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FolderState {
    /// Nothing.
    New,
    /// Results of the same program and settings, finished or not.
    Same,
}

/// A folder of this program.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
    /// What stood there before.
    pub state: FolderState,
}

impl Folder {
    /// Makes or opens a folder for `manifest`; nothing else in it is touched.
    ///
    /// # Errors
    /// The path is no folder; the folder holds something that is not ours, or results of other settings; the operating
    /// system refuses.
    pub fn create(path: &Path, manifest: &Manifest) -> Result<Self> {
        let state = Self::check(path, manifest)?;
        std::fs::create_dir_all(path).map_err(|e| Error::io(path, e))?;
        let moved = || read_manifest(path).is_ok_and(|found| found.data != manifest.data);
        if state == FolderState::New || moved() {
            let text = serde_json::to_string_pretty(manifest).unwrap_or_default() + "\n";
            write_atomically(&path.join(MANIFEST), text.as_bytes())?;
        }
        Ok(Self { path: path.to_path_buf(), state })
    }

    /// Whether [`create`](Self::create) would take the folder; nothing is written.
    ///
    /// # Errors
    /// As for `create`.
    pub fn check(path: &Path, manifest: &Manifest) -> Result<FolderState> {
        if path.exists() && !path.is_dir() {
            return Err(Error::argument(format!("{} exists and is no folder", path.display())));
        }
        if !path.exists() {
            return Ok(FolderState::New);
        }
        let mut entries = std::fs::read_dir(path).map_err(|e| Error::io(path, e))?;
        if entries.next().is_none() {
            return Ok(FolderState::New);
        }
        let found = read_manifest(path)?;
        if let Some(difference) = difference(&found, manifest) {
            return Err(Error::argument(format!(
                "{} holds a '{}' of other settings ({difference}): choose another folder or remove it",
                path.display(),
                found.kind
            )));
        }
        Ok(FolderState::Same)
    }

    /// Opens a folder that holds results of `kind`.
    ///
    /// # Errors
    /// The folder does not exist or holds no such results.
    pub fn open(path: &Path, kind: &str) -> Result<(Self, Manifest)> {
        if !path.is_dir() {
            return Err(Error::argument(format!("there is no folder {}", path.display())));
        }
        let manifest = read_manifest(path)?;
        if manifest.kind != kind {
            return Err(Error::argument(format!(
                "{} holds a '{}', not a '{kind}'",
                path.display(),
                manifest.kind
            )));
        }
        Ok((Self { path: path.to_path_buf(), state: FolderState::Same }, manifest))
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

fn read_manifest(path: &Path) -> Result<Manifest> {
    let foreign = || {
        Error::argument(format!(
            "{} exists and was not made by this program (it has no {MANIFEST} of ours): choose another folder",
            path.display()
        ))
    };
    let text = std::fs::read_to_string(path.join(MANIFEST)).map_err(|_| foreign())?;
    let manifest: Manifest = serde_json::from_str(&text).map_err(|_| foreign())?;
    if manifest.program == PROGRAM { Ok(manifest) } else { Err(foreign()) }
}

/// The first thing in which two markers differ.
fn difference(found: &Manifest, wanted: &Manifest) -> Option<String> {
    if found.kind != wanted.kind {
        return Some(format!("it is no '{}'", wanted.kind));
    }
    if found.version != wanted.version {
        return Some(format!("made by version {}", found.version));
    }
    if found.settings != wanted.settings {
        return Some(setting(&found.settings, &wanted.settings));
    }
    match (&found.provenance, &wanted.provenance) {
        (Some(there), Some(here)) if there != here => Some(format!("made with {there}, now {here}")),
        _ => None,
    }
}

/// The first setting that differs, by its key where both are tables of settings.
fn setting(there: &str, here: &str) -> String {
    let tables = [there, here].map(str::parse::<toml::Table>);
    if let [Ok(there), Ok(here)] = tables {
        let mut keys: Vec<&String> =
            there.keys().chain(here.keys().filter(|k| !there.contains_key(*k))).collect();
        keys.sort();
        let show = |table: &toml::Table, key: &str| {
            table.get(key).map_or_else(|| "not set".into(), |value| format!("{key} = {value}"))
        };
        if let Some(key) = keys.into_iter().find(|key| there.get(*key) != here.get(*key)) {
            return match (there.get(key), here.get(key)) {
                (Some(toml::Value::Table(a)), Some(toml::Value::Table(b))) => {
                    format!("in {key}: {}", setting(&a.to_string(), &b.to_string()))
                }
                (Some(_), None) => format!("{} there, not set here", show(&there, key)),
                (None, _) => format!("{} asked for, not set there", show(&here, key)),
                _ => format!("{} there, {} asked for", show(&there, key), show(&here, key)),
            };
        }
    }
    let first = there.lines().zip(here.lines()).find(|(a, b)| a != b);
    first.map_or("other length".into(), |(a, b)| format!("{a} there, {b} asked for"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_folder_with_the_same_settings_is_reused() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = |settings: &str| Manifest::new("train", settings.into());
        let own = folder.path().join("own");
        assert_eq!(Folder::create(&own, &manifest("epochs = 3")).unwrap().state, FolderState::New);
        assert_eq!(Folder::create(&own, &manifest("epochs = 3")).unwrap().state, FolderState::Same);
        let error = Folder::create(&own, &manifest("epochs = 4")).unwrap_err().to_string();
        assert!(error.contains("epochs = 3 there, epochs = 4 asked for"), "{error}");
        let on_cpu = manifest("epochs = 3").with_provenance("cpu".into());
        let other = folder.path().join("other");
        Folder::create(&other, &on_cpu).unwrap();
        let error = Folder::create(&other, &on_cpu.clone().with_provenance("gpu".into())).unwrap_err();
        assert!(error.to_string().contains("made with cpu, now gpu"), "{error}");
        // Keys are compared, not lines.
        assert_eq!(
            setting("b = 1\n[t]\nx = 1", "a = 2\nb = 1\n[t]\nx = 1"),
            "a = 2 asked for, not set there"
        );
        assert_eq!(setting("[t]\nx = 1", "[t]\nx = 2"), "in t: x = 1 there, x = 2 asked for");
        let foreign = folder.path().join("foreign");
        std::fs::create_dir(&foreign).unwrap();
        std::fs::write(foreign.join("thesis.tex"), "x").unwrap();
        let error = Folder::create(&foreign, &manifest("")).unwrap_err().to_string();
        assert!(error.contains("was not made by this program"), "{error}");
        assert!(Folder::create(&foreign.join("thesis.tex"), &manifest("")).is_err());
        assert!(Folder::open(&own, "measure").is_err());
    }
}
