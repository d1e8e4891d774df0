//! `run.json`: which program made a folder, by which command, with which settings, from which samples.

use crate::data::Samples;
use crate::error::{Error, Result};
use crate::model::Precision;
use crate::run::config::difference::difference;
use candle_core::Device;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use theory::files::write_atomically;
use toml::Table;

/// The file's name.
const FILE: &str = "run.json";
const PROGRAM: &str = "trainer";

/// What `run.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always `trainer`.
    pub program: String,
    /// Version of the program.
    pub version: String,
    /// The commit that the program was built from; absent where it was not built in a git repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// `train`, `measure`, `difficulty`, `population`, `sweep` or `studies`.
    pub kind: String,
    /// The command as it was typed.
    pub command: Vec<String>,
    /// The resolved settings, as TOML.
    pub settings: String,
    /// The folder of the data sets' files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// What the settings do not fix; earlier versions did not write it.
    #[serde(default)]
    pub provenance: Provenance,
}

/// What tells two sets of samples of one name apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamplesId {
    /// Number of samples.
    pub count: usize,
    /// Checksum of samples and classes in their order, eight hexadecimal digits.
    pub checksum: String,
}

impl From<&Samples> for SamplesId {
    fn from(samples: &Samples) -> Self {
        Self { count: samples.len(), checksum: format!("{:08x}", samples.checksum()) }
    }
}

/// What a result depends on beside its settings; what is absent was not used, or is not known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The training samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<SamplesId>,
    /// The evaluated samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluated: Option<SamplesId>,
    /// Checksum of the neighbours of words that views are made with, eight hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<String>,
    /// Checksum of the lengths of the shards, eight hexadecimal digits: the order of an epoch through a buffer depends on
    /// them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<String>,
    /// `cpu` or `cuda`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// `f32` or `bf16`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
}

impl Provenance {
    /// Training samples alone.
    pub fn of_training(samples: &Samples) -> Self {
        Self { train: Some(samples.into()), ..Self::default() }
    }

    /// The same with where and in which numbers was computed.
    #[must_use]
    pub fn computed_on(self, device: &Device, precision: Precision) -> Self {
        let device = if device.is_cpu() { "cpu" } else { "cuda" };
        Self { device: Some(device.into()), precision: Some(precision.name().into()), ..self }
    }

    /// In what this, found in a folder, differs from what is at hand, as `train.checksum: 0a1b2c3d there, 4e5f6a7b
    /// here`; `None` where all that both say is the same.
    pub fn difference(&self, here: &Self) -> Option<String> {
        let [mut there, mut here] = [self, here].map(|one| Table::try_from(one).unwrap_or_default());
        there.retain(|key, _| here.contains_key(key));
        here.retain(|key, _| there.contains_key(key));
        difference(&there, &here)
    }
}

impl Manifest {
    /// A manifest of this program for the running command, of these settings.
    ///
    /// # Errors
    /// Settings that TOML cannot hold, such as a number above 2⁶³ − 1.
    pub fn new(kind: &str, settings: &impl Serialize) -> Result<Self> {
        // By way of a table, whose numbers are those that a reader of the file has.
        let settings = Table::try_from(settings)
            .map_err(|e| Error::argument(format!("the settings of '{kind}' cannot be written as TOML: {e}")))?
            .to_string();
        Ok(Self {
            program: PROGRAM.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            commit: option_env!("TRAINER_COMMIT").map(Into::into),
            kind: kind.into(),
            command: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
            settings,
            data: None,
            provenance: Provenance::default(),
        })
    }

    /// The same with the folder of the data sets' files, which says where, not what: another one is no other run.
    #[must_use]
    pub fn with_data(self, data: Option<&Path>) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        Self { data: data.map(absolute), ..self }
    }

    /// The same with what the settings do not fix.
    #[must_use]
    pub fn with_provenance(self, provenance: Provenance) -> Self {
        Self { provenance, ..self }
    }

    /// That of a folder.
    ///
    /// # Errors
    /// The folder has none of this program, or one of a format that an earlier version wrote; the operating system
    /// refuses to read it.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let foreign = || {
            Error::argument(format!(
                "{} exists and was not made by this program (it has no {FILE} of ours): choose another folder",
                folder.display()
            ))
        };
        let file = folder.join(FILE);
        let text = std::fs::read_to_string(&file).map_err(|e| match e.kind() {
            ErrorKind::NotFound | ErrorKind::InvalidData => foreign(),
            _ => Error::io(&file, e),
        })?;
        let value: serde_json::Value = serde_json::from_str(&text).map_err(|_| foreign())?;
        if value["program"] != PROGRAM {
            return Err(foreign());
        }
        let version = value["version"].as_str().unwrap_or("unknown").to_string();
        serde_json::from_value(value).map_err(|e| {
            Error::argument(format!(
                "{} was made by another version ({version}), whose {FILE} is not read ({e}): choose another folder or remove it",
                folder.display()
            ))
        })
    }

    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        // A struct of texts always has a JSON form.
        let text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        Ok(write_atomically(&folder.join(FILE), text.as_bytes())?)
    }

    /// In what results of this manifest differ from those of the same kind that `here` asks for: every setting, the
    /// provenance. Neither the version, the command nor the folder of the data makes a difference.
    pub(super) fn difference(&self, here: &Self) -> Option<String> {
        let settings = match [self, here].map(|manifest| manifest.settings.parse::<Table>()) {
            [Ok(there), Ok(here)] => difference(&there, &here),
            // Earlier versions wrote those of some commands in a form of their own.
            _ => (self.settings != here.settings).then(|| "its settings are of another format".into()),
        };
        let all: Vec<String> =
            settings.into_iter().chain(self.provenance.difference(&here.provenance)).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_does_not_say_makes_no_difference() {
        let id = |checksum: &str| Some(SamplesId { count: 3, checksum: checksum.into() });
        let of = |train, evaluated| Provenance { train, evaluated, ..Provenance::default() };
        let (a, b) = (of(id("aa"), None), of(id("bb"), id("cc")));
        assert_eq!(a.difference(&b).unwrap(), "train.checksum: aa there, bb here");
        assert_eq!(a.difference(&of(None, id("cc"))), None);
        let (cpu, on) = (Device::Cpu, |p| a.clone().computed_on(&Device::Cpu, p));
        assert_eq!(a.difference(&a.clone().computed_on(&cpu, Precision::F32)), None);
        assert_eq!(
            on(Precision::F32).difference(&on(Precision::Bf16)).unwrap(),
            "precision: f32 there, bf16 here"
        );
    }

    fn read(text: &str) -> Result<Manifest> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), text).unwrap();
        Manifest::read(folder.path())
    }

    #[test]
    fn a_file_of_an_earlier_version_is_compared_by_its_settings() {
        let text = r#"{"program":"trainer","version":"0.0.9","kind":"train","command":[],"settings":"a = 1","circumstances":"cpu"}"#;
        let earlier = read(text).unwrap();
        let here = |a: u64| {
            let here = Manifest::new("train", &std::collections::BTreeMap::from([("a", a)])).unwrap();
            here.with_provenance(Provenance { device: Some("cuda".into()), ..Provenance::default() })
        };
        assert_eq!((earlier.version.as_str(), &earlier.provenance), ("0.0.9", &Provenance::default()));
        assert_eq!(earlier.difference(&here(1)), None);
        assert_eq!(earlier.difference(&here(2)).unwrap(), "a: 1 there, 2 here");
    }

    #[test]
    fn settings_that_are_no_toml_are_compared_as_texts() {
        let of = |settings: &str| Manifest {
            settings: settings.into(),
            ..Manifest::new("measure", &Table::new()).unwrap()
        };
        let printed = r#"("digits", 7, None)"#;
        assert_eq!(of(printed).difference(&of(printed)), None);
        for (there, here) in
            [(printed, ""), ("", printed), (printed, "seed = 7"), (printed, r#"("digits", 8, None)"#)]
        {
            assert_eq!(of(there).difference(&of(here)).unwrap(), "its settings are of another format");
        }
    }

    #[test]
    fn a_file_that_is_not_read_is_told_in_one_line() {
        let text = r#"{"program":"trainer","version":"0.0.9","kind":"train"}"#;
        let message = read(text).unwrap_err().to_string();
        assert!(message.contains("another version (0.0.9)") && !message.contains('\n'), "{message}");
    }

    #[test]
    fn settings_of_any_command_are_toml() {
        #[derive(Serialize)]
        struct Settings {
            seed: u64,
            draws: Option<Vec<u64>>,
        }
        let manifest = Manifest::new("measure", &Settings { seed: 7, draws: None }).unwrap();
        assert_eq!(manifest.settings, "seed = 7\n");
        let message = Manifest::new("measure", &Settings { seed: u64::MAX, draws: None }).unwrap_err();
        assert!(message.to_string().contains("'measure'"), "{message}");
    }
}
