//! One run of a sweep, in this process.

use super::baselines::Baseline;
use super::state::{self, RunState, SweepRun};
use super::{check, run_folder};
use crate::data;
use crate::error::{Error, Result};
use crate::run::plan::PlannedRun;
use crate::run::train::is_whole;
use crate::run::{EvaluationSettings, Session, Task, TrainedRun, measure_run, train};
use std::path::Path;
use theory::losses::Quantity;

/// What [`run_one`] did.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// Whether an earlier call had done it all.
    pub kept: bool,
    /// The last loss and what the encoder is worth.
    pub message: String,
}

/// Trains and measures a run in its folder under `sweep`, unless that is done, and then the baselines that it is
/// compared with, unless another process is at them.
///
/// `training` is called when training begins, and what it returns dropped when the model is on the disk: until then an
/// interruption is saved, later there is nothing to save.
///
/// # Errors
/// A run that failed before and would fail again (`retry` tries); settings that the data do not fit; whatever ends the
/// training, the reason of which is left in the folder; an interruption; another process that is at this run.
pub fn run_one<G>(
    sweep: &Path,
    run: &PlannedRun,
    session: &Session<'_>,
    retry: bool,
    task: &Task,
    training: impl FnOnce() -> G,
) -> Result<Finished> {
    let folder = run_folder(sweep, &run.name);
    let before = SweepRun::read(sweep, run)?;
    match before.state {
        RunState::Finished { .. } if is_whole(&folder, &run.config)? => {
            return Ok(Finished { kept: true, message: message(&before) });
        }
        RunState::Running { note, .. } => {
            return Err(Error::Busy(format!("{} is in use by {note}", folder.display())));
        }
        RunState::Failed { reason, repeats: true } if !retry => {
            return Err(Error::NonFinite(format!("{reason} (failed before; --retry tries again)")));
        }
        _ => {}
    }
    let split = data::load(&run.config.data(session.data))?;
    check::check_run(run, &split, sweep)?;
    let done = (|| {
        if retry {
            state::forget(&folder)?;
        }
        let trained = {
            let _training = training();
            train(&run.config, &split.train, &folder, session, task)?
        };
        if (session.stop)() {
            return Err(Error::Interrupted(format!("interrupted; {} is trained", run.name)));
        }
        let measured = measure_run(&folder, &split, &EvaluationSettings::default(), session)?;
        measured.write(&folder)?;
        Ok(trained)
    })();
    // What the others are compared with does not depend on whether this one succeeds.
    let compared = Baseline::all_of(&run.config).iter().try_for_each(|baseline| {
        match baseline.compute(sweep, &split, session) {
            // Another process computes it, and is not done before it has.
            Err(Error::Busy(_)) => Ok(()),
            other => other,
        }
    });
    match done {
        Ok(trained) => {
            compared?;
            let TrainedRun { final_loss, .. } = &trained;
            state::write_done(&folder, run, *final_loss, (&split.evaluated).into())?;
            Ok(Finished { kept: false, message: message(&SweepRun::read(sweep, run)?) })
        }
        Err(error @ (Error::Interrupted(_) | Error::Busy(_))) => Err(error),
        Err(error) => {
            // A disk that is full may refuse this, too; the first reason is the one that counts.
            let _ = state::write_failed(&folder, run, &error);
            Err(error)
        }
    }
}

/// What there is to say about a finished run.
pub(super) fn message(run: &SweepRun) -> String {
    let RunState::Finished { loss } = run.state else {
        let (name, reason) = (run.state.name(), run.state.reason());
        return if reason.is_empty() { name.into() } else { format!("{name}: {reason}") };
    };
    let accuracy = run.rows.first().and_then(|row| row.get(Quantity::LinearAccuracy)).unwrap_or(f64::NAN);
    format!("loss {loss:.3}, linear accuracy {accuracy:.3}")
}
