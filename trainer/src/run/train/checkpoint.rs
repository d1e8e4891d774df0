//! Where a training run stands: weights, running statistics, the optimiser's state, and the positions of all streams.
//!
//! One sealed file of tensors ([`sealed`](crate::model::sealed)): the network's, under their names, and
//! `optimiser.state`; with a queue also the momentum network's, as `momentum.NAME`, and `queue.keys`, `queue.classes`,
//! `queue.next`; the network's at the best look, as `best.NAME`, where they are kept; and `metrics`, the text of `metrics.jsonl` so far. Its notes are the position, the settings and the
//! version. The schedule is a function of the settings and the step, the order of an epoch of seed and epoch, so that
//! nothing else is needed to go on bit for bit.

use super::momentum_queue::MomentumQueue;
use super::monitor::Monitor;
use super::state::TrainState;
use crate::error::{Error, Result};
use crate::model::Network;
use crate::model::sealed::{Notes, Opened, Part, seal};
use crate::optim::Optimiser;
use candle_core::Tensor;
use serde_json::json;
use std::path::Path;

/// Another version may draw other numbers, and the run would be neither's.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The name of the tensor that holds the optimiser's state.
const OPTIMISER: &str = "optimiser.state";

/// The name of the tensor that holds the text of `metrics.jsonl`.
const METRICS: &str = "metrics";

/// The bytes of a checkpoint.
///
/// # Errors
/// The tensor library fails.
pub(super) fn to_bytes(
    network: &Network,
    queue: Option<&MomentumQueue>,
    monitor: Option<&Monitor>,
    settings: &str,
    position: &TrainState,
    metrics: &str,
) -> Result<Vec<u8>> {
    let parameters = network.parameters();
    let mut tensors: Vec<(String, Tensor)> = parameters.tensors()?;
    tensors.push((OPTIMISER.to_string(), parameters.optimiser_state()?));
    if let Some(table) = parameters.table() {
        tensors.extend(table.checkpoint()?);
    }
    if let Some(queue) = queue {
        tensors.extend(queue.tensors()?);
    }
    tensors.extend(monitor.into_iter().flat_map(Monitor::tensors));
    let parts: Result<Vec<Part>> = tensors.into_iter().map(|(name, t)| Part::new(name, &t)).collect();
    let mut parts = parts?;
    parts.push(Part::text(METRICS, metrics));
    let notes = [("position", json!(position)), ("settings", json!(settings)), ("version", json!(VERSION))];
    let notes: Notes = notes.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    seal(&parts, &notes).map_err(|e| Error::argument(format!("a checkpoint cannot be written: {e}")))
}

/// Reads a file that is or was a checkpoint.
///
/// # Errors
/// Why it is none any more, in words that follow its name.
pub(super) fn open(bytes: Vec<u8>) -> std::result::Result<Opened, String> {
    let file = Opened::new(bytes)?;
    match file.notes().is_some() || earlier_version(&file).is_some() {
        true => Ok(file),
        false => Err("it has no checksums".into()),
    }
}

/// The version that wrote a checkpoint without checksums.
fn earlier_version(file: &Opened) -> Option<&str> {
    file.plain("position").and(file.plain("version"))
}

/// Takes an [opened](open) checkpoint, read from `path`, over into a network, its optimiser and its queue; where the run
/// stood, and its `metrics.jsonl` until then.
///
/// # Errors
/// A checkpoint of other settings or another version; a tensor that is missing or has another shape. The run cannot go
/// on then.
pub(super) fn load(
    (path, file): (&Path, &Opened),
    network: &mut Network,
    optimiser: &mut Optimiser,
    queue: Option<&mut MomentumQueue>,
    monitor: Option<&mut Monitor>,
    settings: &str,
) -> Result<(TrainState, String)> {
    let broken = |e: &dyn std::fmt::Display| Error::data(path, format!("is no checkpoint: {e}"));
    let version = file.note("version").or(earlier_version(file)).unwrap_or("unknown");
    if version != VERSION {
        let message = format!("was saved by version {version}: version {VERSION} cannot go on from it");
        return Err(Error::data(path, message));
    }
    if file.note("settings") != Some(settings) {
        return Err(Error::data(path, "is a checkpoint of other settings"));
    }
    let position = file.notes().and_then(|notes| notes.get("position")).cloned();
    let position = position.ok_or_else(|| broken(&"it has no position"))?;
    let position: TrainState = serde_json::from_value(position).map_err(|e| broken(&e))?;
    let metrics = file.text(METRICS).ok_or_else(|| broken(&"it has no metrics"))?;
    let mut tensors = file.tensors(network.parameters().device()).map_err(|e| broken(&e))?;
    let state = tensors.remove(OPTIMISER).ok_or_else(|| broken(&format!("it has no '{OPTIMISER}'")))?;
    if let Some(queue) = queue {
        queue.resume(path, &tensors)?;
    }
    if let Some(monitor) = monitor {
        monitor.resume(&tensors)?;
    }
    network.parameters().resume(path, &tensors, &state, position.step as usize)?;
    optimiser.resume_at(position.step);
    Ok((position, metrics.to_string()))
}
