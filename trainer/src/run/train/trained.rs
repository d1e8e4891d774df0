//! A finished run: what training gives, and how its settings and network are read again.
//!
//! Finished is a run whose `model.safetensors` is there and whole. The file says of which run it is (`settings_id`,
//! `seed`), and the mean loss of its last epoch. Files of versions before 0.3 have no checksums: they are taken as they
//! are where `run.json` says that such a version made the folder, and nowhere else.

use super::{Folder, Manifest, Owner, metrics};
use crate::data::Samples;
use crate::error::{Error, Result};
use crate::model::Network;
use crate::model::sealed::{Notes, Opened};
use crate::run::Config;
use candle_core::Device;
use serde_json::json;
use std::path::Path;
use theory::files;

/// The weights; a folder that has them, whole, holds a finished run.
pub(super) const MODEL: &str = "model.safetensors";

/// The name of weights that were found damaged.
const DAMAGED: &str = "model.damaged.safetensors";

/// The first version whose models have checksums.
const FIRST_SEALED: [u64; 2] = [0, 3];

/// What a training run left.
pub struct TrainedRun {
    /// Its folder.
    pub folder: Folder,
    /// The right to go on writing to the folder, which nobody else has meanwhile.
    pub owner: Owner,
    /// Whether the folder held the finished run already.
    pub kept: bool,
    /// Mean loss of the last epoch; NaN where an earlier version did not keep it.
    pub final_loss: f64,
}

/// What the file of the weights says of its run.
pub(super) fn model_notes(config: &Config, final_loss: Option<f64>) -> Notes {
    let notes = [
        ("settings_id", json!(config.settings_id())),
        ("seed", json!(config.seed)),
        ("final_loss", json!(final_loss)),
    ];
    notes.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

/// The mean loss of the last epoch, if a folder of this program holds the finished run; a damaged model is set aside,
/// with a warning.
///
/// # Errors
/// The model of another run; the operating system refuses.
pub(super) fn finished(path: &Path, config: &Config) -> Result<Option<f64>> {
    let model = path.join(MODEL);
    if !files::exists(&model)? {
        return Ok(None);
    }
    match open_model(&model, config, &Manifest::read(path)?.version)? {
        Ok(file) => Ok(Some(final_loss(path, &file))),
        Err(why) => {
            files::rename(&model, &path.join(DAMAGED))?;
            theory::terminal::say(&format!(
                "warning: {} is damaged ({why}): it is now {DAMAGED}, and the run is trained anew",
                model.display()
            ));
            Ok(None)
        }
    }
}

/// Whether a folder holds the whole model of a run of these settings.
///
/// # Errors
/// The model of another run; the operating system refuses.
pub(in crate::run) fn is_whole(path: &Path, config: &Config) -> Result<bool> {
    let model = path.join(MODEL);
    Ok(files::exists(&model)? && open_model(&model, config, &Manifest::read(path)?.version)?.is_ok())
}

/// That of the model, or of the record where an earlier version made it.
fn final_loss(path: &Path, file: &Opened) -> f64 {
    if let Some(notes) = file.notes() {
        return notes.get("final_loss").and_then(serde_json::Value::as_f64).unwrap_or(f64::NAN);
    }
    // The model is what the run is there for; a record that was lost takes nothing from it.
    let records = metrics::jsonl::read(&path.join(metrics::JSONL)).unwrap_or_default();
    records.iter().rev().find_map(|record| record.get("loss")).unwrap_or(f64::NAN)
}

/// The model of a run of these settings, in a folder that this version made; or why it is damaged.
///
/// # Errors
/// The model of another run; the operating system refuses.
fn open_model(model: &Path, config: &Config, version: &str) -> Result<std::result::Result<Opened, String>> {
    let bytes = std::fs::read(model).map_err(|e| Error::io(model, e))?;
    let file = match Opened::new(bytes) {
        Ok(file) => file,
        Err(why) => return Ok(Err(why)),
    };
    let Some(notes) = file.notes() else {
        return Ok(if has_checksums(version) { Err("it has no checksums".into()) } else { Ok(file) });
    };
    for (name, here) in model_notes(config, None).iter().filter(|(name, _)| *name != "final_loss") {
        let there = notes.get(name).unwrap_or(&serde_json::Value::Null);
        if there != here {
            let message = format!("is the model of another run ({name}: {there} there, {here} here)");
            return Err(Error::data(model, message));
        }
    }
    Ok(Ok(file))
}

/// Whether models of a version have checksums; of one that is not known, they must.
fn has_checksums(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u64>);
    match [numbers.next(), numbers.next()] {
        [Some(Ok(major)), Some(Ok(minor))] => [major, minor] >= FIRST_SEALED,
        _ => true,
    }
}

/// The settings of a run folder, and its manifest.
///
/// # Errors
/// The folder is no run of this program.
pub fn run_config(path: &Path) -> Result<(Config, Manifest)> {
    let (_, manifest) = Folder::open(path, "train")?;
    Ok((Config::from_toml(&manifest.settings)?, manifest))
}

/// The trained network of a run folder, for samples like these.
///
/// # Errors
/// The folder holds no finished run; a model that is damaged, or of another run.
pub fn load_network(path: &Path, config: &Config, samples: &Samples, device: &Device) -> Result<Network> {
    let (_, manifest) = Folder::open(path, "train")?;
    let model = path.join(MODEL);
    if !files::exists(&model)? {
        return Err(Error::data(path, format!("holds an unfinished run: it has no {MODEL}")));
    }
    let file = open_model(&model, config, &manifest.version)?;
    let file = file.map_err(|why| Error::data(&model, format!("is damaged: {why}; train the run again")))?;
    let network = config.network(samples, device)?;
    network.parameters().load_from(&model, &file)?;
    Ok(network)
}
