//! Where a training run stands: weights, running statistics, the optimiser's state, and the positions of all streams.
//!
//! One safetensors file. Its tensors are the network's, under their names, and `optimiser.state`; with a queue also the
//! momentum network's, as `momentum.NAME`, and `queue.keys`, `queue.classes`, `queue.next`. Its metadata hold the
//! position as JSON (`position`) and the settings (`settings`). The schedule is a function of the settings and the
//! step, the order of an epoch of seed and epoch, so that nothing else is needed to go on bit for bit.

use super::momentum_queue::MomentumQueue;
use super::state::TrainState;
use crate::error::{Error, Result};
use crate::model::Network;
use crate::optim::Optimiser;
use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use std::collections::HashMap;
use std::path::Path;

/// Another version may draw other numbers, and the run would be neither's.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The name of the tensor that holds the optimiser's state.
const OPTIMISER: &str = "optimiser.state";

/// Writes a checkpoint, atomically.
///
/// # Errors
/// The operating system refuses.
pub(super) fn save(
    path: &Path,
    network: &Network,
    queue: Option<&MomentumQueue>,
    settings: &str,
    position: &TrainState,
) -> Result<()> {
    let parameters = network.parameters();
    let mut tensors: Vec<(String, Tensor)> = parameters.tensors()?;
    tensors.push((OPTIMISER.to_string(), parameters.optimiser_state()?));
    if let Some(table) = parameters.table() {
        tensors.extend(table.checkpoint()?);
    }
    if let Some(queue) = queue {
        tensors.extend(queue.tensors()?);
    }
    let on_host: Result<Vec<(String, Tensor)>> =
        tensors.into_iter().map(|(name, t)| Ok((name, t.to_device(&Device::Cpu)?.contiguous()?))).collect();
    // A struct of numbers always has a JSON form.
    let position = serde_json::to_string(position).unwrap_or_default();
    let metadata = HashMap::from([
        ("position".to_string(), position),
        ("settings".to_string(), settings.to_string()),
        ("version".to_string(), VERSION.to_string()),
    ]);
    let bytes = safetensors::serialize(on_host?.iter().map(|(name, t)| (name.as_str(), t)), Some(metadata))
        .map_err(|e| Error::data(path, format!("cannot be written: {e}")))?;
    Ok(theory::files::write_atomically(path, &bytes)?)
}

/// Reads a checkpoint into a network, its optimiser and its queue; where the run stood.
///
/// # Errors
/// Unreadable file; a checkpoint of other settings or another version; a tensor that is missing or has another shape.
/// The run cannot go on then.
pub(super) fn load(
    path: &Path,
    network: &mut Network,
    optimiser: &mut Optimiser,
    queue: Option<&mut MomentumQueue>,
    settings: &str,
) -> Result<TrainState> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    let damaged = |e: &dyn std::fmt::Display| Error::data(path, format!("is no checkpoint: {e}"));
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(&e))?;
    let metadata = header.metadata().clone().unwrap_or_default();
    if metadata.get("settings").is_none_or(|found| found != settings) {
        return Err(Error::data(path, "is a checkpoint of other settings"));
    }
    if let Some(version) = metadata.get("version").filter(|version| *version != VERSION) {
        let message = format!("was saved by version {version}: version {VERSION} cannot go on from it");
        return Err(Error::data(path, message));
    }
    let position = metadata.get("position").ok_or_else(|| damaged(&"it has no position"))?;
    let position: TrainState = serde_json::from_str(position).map_err(|e| damaged(&e))?;
    let mut tensors = candle_core::safetensors::load_buffer(&bytes, network.parameters().device())
        .map_err(|e| damaged(&e))?;
    let state = tensors.remove(OPTIMISER).ok_or_else(|| damaged(&format!("it has no '{OPTIMISER}'")))?;
    if let Some(queue) = queue {
        queue.resume(path, &tensors)?;
    }
    network.parameters().resume(path, &tensors, &state, position.step as usize)?;
    optimiser.resume_at(position.step);
    Ok(position)
}
