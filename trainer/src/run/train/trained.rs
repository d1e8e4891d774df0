//! A finished run: what training gives, and how its settings and network are read again.

use super::{Folder, Manifest, metrics};
use crate::data::Samples;
use crate::error::{Error, Result};
use crate::model::Network;
use crate::run::Config;
use candle_core::Device;
use std::path::Path;

/// The weights; a folder that has them holds a finished run.
pub(super) const MODEL: &str = "model.safetensors";

/// What a training run left.
pub struct TrainedRun {
    /// Its folder.
    pub folder: Folder,
    /// Whether the folder held the finished run already.
    pub kept: bool,
    /// Mean loss of the last epoch.
    pub final_loss: f64,
}

impl TrainedRun {
    /// The run that a folder holds already.
    ///
    /// # Errors
    /// A folder without metrics.
    pub(super) fn kept(folder: Folder) -> Result<Self> {
        let records = metrics::jsonl::read(&folder.file("metrics.jsonl"))?;
        let final_loss = records.iter().rev().find_map(|record| record.get("loss")).unwrap_or(f64::NAN);
        Ok(Self { folder, kept: true, final_loss })
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
/// The folder holds no finished run.
pub fn load_network(path: &Path, config: &Config, samples: &Samples, device: &Device) -> Result<Network> {
    let model = path.join(MODEL);
    if !model.exists() {
        let message = format!("{} holds an unfinished run: it has no {MODEL}", path.display());
        return Err(Error::argument(message));
    }
    let network = config.network(samples, device)?;
    network.parameters().load(&model)?;
    Ok(network)
}
