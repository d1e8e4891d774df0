//! The training loop.

use super::{Config, Folder, FolderState, Marker, Negatives, Task};
use crate::augment::{Draw, Views};
use crate::data::{self, InputKind, Samples};
use crate::error::{Error, Result};
use crate::loss::{negative_mask, nt_xent, sampled_info_nce};
use crate::model::Network;
use crate::optim::{Optimiser, Schedule};
use crate::rng::{Purpose, permutation, stream};
use candle_core::Device;
use std::io::Write;
use std::path::Path;

const CHECKPOINT: &str = "model.safetensors";
const METRICS: &str = "metrics.jsonl";

/// What a training run left.
pub struct Trained {
    /// Its folder.
    pub folder: Folder,
    /// Whether the folder held the finished run already.
    pub kept: bool,
    /// Mean loss of the last epoch.
    pub final_loss: f64,
}

/// Trains one encoder into `path`: `run.json`, `config.toml`, `metrics.jsonl` (one line an epoch), `model.safetensors`.
///
/// A folder that holds the finished run of the same settings is kept as it is. Views are made on the CPU; the network
/// lives on `device`.
///
/// # Errors
/// A folder that is not ours; a batch larger than the training set; a loss that is not finite.
pub fn train(config: &Config, path: &Path, device: &Device, task: &Task) -> Result<Trained> {
    let split = data::load(&config.data(None))?;
    let batches = split.train.len() / config.batch_size;
    if batches == 0 {
        return Err(Error::argument(format!(
            "batch_size = {} exceeds the {} training images",
            config.batch_size,
            split.train.len()
        )));
    }
    let folder = Folder::create(path, &Marker::new("train", config.to_toml()))?;
    if folder.state == FolderState::Same && folder.file(CHECKPOINT).exists() {
        let final_loss = last_loss(&folder)?;
        return Ok(Trained { folder, kept: true, final_loss });
    }
    theory::files::write_atomically(&folder.file("config.toml"), config.to_toml().as_bytes())?;
    let mut network = Network::new(config.encoder, image_shape(&split.train)?, config.seed, device)?;
    let mut optimiser =
        Optimiser::new(config.optimiser, config.momentum, config.weight_decay, network.parameters_mut())?;
    let schedule = Schedule {
        peak: config.peak_rate(),
        warmup_steps: config.warmup_epochs.min(config.epochs) * batches,
        total_steps: config.epochs * batches,
    };
    let views = Views::new(&config.augmentation, &split.train, device)?;
    let metrics_path = folder.file(METRICS);
    let mut metrics = std::fs::File::create(&metrics_path).map_err(|e| Error::io(&metrics_path, e))?;
    let mut final_loss = f64::NAN;
    for epoch in 0..config.epochs {
        let order = permutation(split.train.len(), &mut stream(config.seed, Purpose::Shuffle, epoch as u64));
        let mut draw = Draw::new(config.seed, Purpose::Augmentation, epoch)?;
        let mut choose = stream(config.seed, Purpose::Negatives, epoch as u64);
        let mut sum = 0.0;
        for (step, batch) in order.chunks_exact(config.batch_size).enumerate() {
            let step = epoch * batches + step;
            let input = views.random(batch, &mut draw, 2)?;
            let (output, tape) = network.forward_train(input.images()?)?;
            let loss = match config.negatives {
                Negatives::Batch(_) => nt_xent(&output.head, config.temperature)?,
                Negatives::Count(k) => {
                    let mask = negative_mask(batch.len(), k, &mut choose)?.to_device(device)?;
                    sampled_info_nce(&output.head, &mask, config.temperature)?
                }
            };
            let value = f64::from(loss.value.to_scalar::<f32>()?);
            if !value.is_finite() {
                return Err(Error::NonFinite(format!(
                    "the loss is {value} at step {step} (epoch {epoch}) of {}: lower learning_rate = {}",
                    path.display(),
                    config.learning_rate
                )));
            }
            sum += value;
            network.backward(tape, loss.gradient)?;
            optimiser.step(network.parameters(), schedule.rate(step))?;
        }
        final_loss = sum / batches as f64;
        let rate = schedule.rate((epoch + 1) * batches - 1);
        let line = serde_json::json!({ "epoch": epoch, "loss": final_loss, "learning_rate": rate });
        writeln!(metrics, "{line}").map_err(|e| Error::io(&metrics_path, e))?;
        task.step(|| format!("loss {final_loss:.3}"));
    }
    network.parameters().save(&folder.file(CHECKPOINT))?;
    Ok(Trained { folder, kept: false, final_loss })
}

fn last_loss(folder: &Folder) -> Result<f64> {
    let path = folder.file(METRICS);
    let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
    let line = text.lines().last().unwrap_or_default();
    let value: serde_json::Value =
        serde_json::from_str(line).map_err(|e| Error::data(&path, format!("last line: {e}")))?;
    value["loss"].as_f64().ok_or_else(|| Error::data(&path, "the last line has no loss"))
}

/// The settings of a run folder.
///
/// # Errors
/// The folder is no run of this program.
pub fn run_config(path: &Path) -> Result<Config> {
    let (_, marker) = Folder::open(path, "train")?;
    Config::from_toml(&marker.settings, &[])
}

/// The trained network of a run folder, for images \[height, width, channels\].
///
/// # Errors
/// The folder holds no finished run.
pub fn load_network(path: &Path, config: &Config, image: [usize; 3]) -> Result<Network> {
    let checkpoint = path.join(CHECKPOINT);
    if !checkpoint.exists() {
        let message = format!("{} holds an unfinished run: it has no {CHECKPOINT}", path.display());
        return Err(Error::argument(message));
    }
    let network = Network::new(config.encoder, image, config.seed, &Device::Cpu)?;
    network.parameters().load(&checkpoint)?;
    Ok(network)
}

/// The shape of the images among samples.
///
/// # Errors
/// Texts.
pub fn image_shape(samples: &Samples) -> Result<[usize; 3]> {
    match samples.kind() {
        InputKind::Images(shape) => Ok(shape),
        InputKind::Texts { .. } => Err(Error::argument("an encoder of images cannot read texts")),
    }
}
