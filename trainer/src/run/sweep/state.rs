//! What the folder of a run says about it.

use super::run_folder;
use crate::error::{Error, Result};
use crate::run::plan::PlannedRun;
use crate::run::train::{FAILED, ownership};
use crate::run::{Config, SamplesId};
use serde::{Deserialize, Serialize};
use std::path::Path;
use theory::files::{self, content, sha256};
use theory::losses::{self, LossComponents, Quantity};
use theory::terminal::one_line;

/// Written last: the run is trained, measured, and all of it is on the disk.
const DONE: &str = "done.json";
/// What was measured.
const LOSSES: &str = "losses.csv";

/// A run of a sweep, and what became of it.
#[derive(Debug, Clone)]
pub struct SweepRun {
    /// Its name: that of its folder under `runs/`, and `run_id` in `losses.csv`.
    pub name: String,
    /// Its settings.
    pub config: Config,
    /// How far it has come.
    pub state: RunState,
    /// Its rows of `losses.csv`; none until it is finished.
    pub rows: Vec<LossComponents>,
}

impl SweepRun {
    /// What the folder of a planned run says. What cannot be read or used is the reason why a run is not finished: one
    /// bad folder is not the end of a sweep.
    pub fn read(sweep: &Path, run: &PlannedRun) -> Self {
        let found = read(&run_folder(sweep, &run.name), run);
        let (state, rows) = found.unwrap_or_else(|error| {
            (RunState::Interrupted { reason: one_line(&error.to_string()) }, Vec::new())
        });
        Self { name: run.name.clone(), config: run.config.clone(), state, rows }
    }

    /// Why it failed, on one line.
    pub fn failure(&self) -> Option<&str> {
        match &self.state {
            RunState::Failed { reason, .. } => Some(reason),
            _ => None,
        }
    }
}

/// How far a run has come, as `runs.csv` says it.
#[derive(Debug, Clone, PartialEq)]
pub enum RunState {
    /// Nothing was done.
    Waiting,
    /// A process is at it: which, and how far it is.
    Running {
        /// Epochs done, as far as it is known.
        epoch: usize,
        /// What the process said last, such as its loss.
        said: String,
        /// The same, after the process and its machine.
        note: String,
    },
    /// Begun, and nobody is at it.
    Interrupted {
        /// What stands in the way of what there is, such as a damaged file; mostly empty.
        reason: String,
    },
    /// Trained and measured.
    Finished {
        /// The loss of the last epoch.
        loss: f64,
    },
    /// It ended with an error.
    Failed {
        /// The error.
        reason: String,
        /// Whether the same would happen again: then it is tried again only when asked.
        repeats: bool,
    },
}

impl RunState {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running { .. } => "running",
            Self::Interrupted { .. } => "interrupted",
            Self::Finished { .. } => "finished",
            Self::Failed { .. } => "failed",
        }
    }

    /// What there is to say beside the name.
    pub fn reason(&self) -> &str {
        match self {
            Self::Running { note: reason, .. }
            | Self::Interrupted { reason }
            | Self::Failed { reason, .. } => reason,
            Self::Waiting | Self::Finished { .. } => "",
        }
    }
}

/// What `done.json` holds.
#[derive(Serialize, Deserialize)]
struct Done {
    /// Settings and seed.
    id: String,
    /// The loss of the last epoch; none where it is not known.
    loss: Option<f64>,
    /// The samples that were evaluated.
    evaluated: SamplesId,
    /// SHA-256 of `losses.csv`.
    losses: String,
    /// SHA-256 of all that, with nothing in this place.
    #[serde(default)]
    sha256: String,
}

impl Done {
    /// The digest of what it says.
    fn digest(&self) -> String {
        let Self { id, loss, evaluated, losses, .. } = self;
        sha256(format!("{id} {loss:?} {} {} {losses}", evaluated.count, evaluated.checksum).as_bytes())
    }
}

/// What `failed.json` holds.
#[derive(Serialize, Deserialize)]
struct Failed {
    id: String,
    reason: String,
    repeats: bool,
}

fn read(folder: &Path, run: &PlannedRun) -> Result<(RunState, Vec<LossComponents>)> {
    let without_rows = |state| Ok((state, Vec::new()));
    let mut reason = String::new();
    if let Some(bytes) = content(&folder.join(DONE))? {
        match finished(folder, run, &bytes)? {
            Ok(found) => return Ok(found),
            Err(why) => reason = why,
        }
    }
    if let Some(lease) = ownership(folder)?
        && lease.is_alive(folder)?
    {
        let said = one_line(&lease.note);
        let after = if said.is_empty() { String::new() } else { format!(": {said}") };
        let note = one_line(&format!("process {} on {}{after}", lease.pid, lease.host));
        return without_rows(RunState::Running { epoch: lease.epoch as usize, said, note });
    }
    if let Some(bytes) = content(&folder.join(FAILED))?
        && let Ok(Failed { id, reason, repeats }) = serde_json::from_slice(&bytes)
        && id == run.id()
    {
        return without_rows(RunState::Failed { reason: one_line(&reason), repeats });
    }
    match reason.is_empty() && !files::exists(&folder.join("run.json"))? {
        true => without_rows(RunState::Waiting),
        false => without_rows(RunState::Interrupted { reason }),
    }
}

/// The rows of a run that is done, or why it counts as not done.
fn finished(
    folder: &Path,
    run: &PlannedRun,
    done: &[u8],
) -> Result<std::result::Result<(RunState, Vec<LossComponents>), String>> {
    let done = serde_json::from_slice::<Done>(done).ok().filter(|done| done.sha256 == done.digest());
    let Some(done) = done else { return Ok(Err(format!("{DONE} is damaged"))) };
    if done.id != run.id() {
        return Ok(Err(format!("{DONE} is of {}", done.id)));
    }
    if !files::exists(&folder.join("model.safetensors"))? {
        return Ok(Err("model.safetensors is missing".into()));
    }
    let path = folder.join(LOSSES);
    let Some(bytes) = content(&path)? else { return Ok(Err(format!("{LOSSES} is missing"))) };
    if sha256(&bytes) != done.losses {
        return Ok(Err(format!("{LOSSES} is not what the sweep measured")));
    }
    let rows = losses::read_from(&String::from_utf8_lossy(&bytes), &path.display().to_string())?;
    if rows.iter().any(|row| row.get(Quantity::LinearAccuracy).is_some() && row.linear_probe.is_empty()) {
        return Ok(Err(format!(
            "{LOSSES} is of an earlier version, whose linear probe was not at its optimum"
        )));
    }
    Ok(Ok((RunState::Finished { loss: done.loss.unwrap_or(f64::NAN) }, rows)))
}

/// Writes that a run is done, its rows having been written.
pub(super) fn write_done(folder: &Path, run: &PlannedRun, loss: f64, evaluated: SamplesId) -> Result<()> {
    let path = folder.join(LOSSES);
    let bytes = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
    let loss = loss.is_finite().then_some(loss);
    let mut done = Done { id: run.id(), loss, evaluated, losses: sha256(&bytes), sha256: String::new() };
    done.sha256 = done.digest();
    write(&folder.join(DONE), &done)?;
    Ok(files::remove(&folder.join(FAILED))?)
}

/// Writes why a run failed.
pub(super) fn write_failed(folder: &Path, run: &PlannedRun, error: &Error) -> Result<()> {
    // Other errors may be of the machine: there the same run may succeed the next time.
    let repeats = matches!(error, Error::NonFinite(_));
    files::create_folder(folder)?;
    write(&folder.join(FAILED), &Failed { id: run.id(), reason: one_line(&error.to_string()), repeats })
}

/// Forgets that a run was done: what it measured is not what it should be.
pub(super) fn forget(folder: &Path) -> Result<()> {
    files::remove(&folder.join(DONE))?;
    Ok(files::remove(&folder.join(FAILED))?)
}

/// The evaluated samples of a run that is done; `None` where nothing says so that can be read.
pub(super) fn evaluated(folder: &Path) -> Option<SamplesId> {
    let bytes = content(&folder.join(DONE)).ok()??;
    Some(serde_json::from_slice::<Done>(&bytes).ok()?.evaluated)
}

fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    // A struct of texts and numbers always has a JSON form.
    let text = serde_json::to_string_pretty(value).unwrap_or_default() + "\n";
    Ok(files::write_atomically(path, text.as_bytes())?)
}
