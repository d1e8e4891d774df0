//! One run of a sweep, in this process.

use super::baselines::Baseline;
use super::state::{self, RunState, SweepRun};
use super::{check, run_folder};
use crate::data::{self, Split};
use crate::error::{Error, Result};
use crate::run::plan::PlannedRun;
use crate::run::train::is_whole;
use crate::run::{EvaluationSettings, Session, Task, measure_run, train};
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
/// compared with, unless another process computes them.
///
/// `training` is called when training begins, and what it returns dropped when the model is on the disk: until then an
/// interruption is saved, later there is nothing to save.
///
/// # Errors
/// A run that failed before and would fail again (`retry` tries); data that cannot be read, settings that they do not fit,
/// whatever ends the training: the reason is left in the folder. An interruption; another process that is at this run.
pub fn run_one<G>(
    sweep: &Path,
    run: &PlannedRun,
    session: &Session<'_>,
    retry: bool,
    task: &Task,
    training: impl FnOnce() -> G,
) -> Result<Finished> {
    let folder = run_folder(sweep, &run.name);
    let before = SweepRun::read(sweep, run);
    let baselines = Baseline::all_of(&run.config);
    match before.state {
        RunState::Finished { .. } if is_done(sweep, run)? => {
            return Ok(Finished { kept: true, message: message(&before) });
        }
        RunState::Failed { reason, repeats: true } if !retry => {
            return Err(Error::NonFinite(format!("{reason} (failed before; --retry tries again)")));
        }
        _ => {}
    }
    let done = (|| {
        let split = data::load(&run.config.data(session.data))?;
        check::check_run(run, &split, sweep)?;
        let done = match before.state {
            RunState::Finished { .. } if is_whole(&folder, &run.config).unwrap_or(false) => Ok(()),
            _ => train_and_measure(&folder, run, &split, session, task, training),
        };
        // What the others are compared with does not depend on whether this one succeeds.
        let compared =
            baselines.iter().try_for_each(|baseline| match baseline.compute(sweep, &split, session) {
                // Another process computes it, and is not done before it has.
                Err(Error::Busy(_)) => Ok(()),
                other => other,
            });
        done.and(compared)
    })();
    match done {
        Ok(()) => Ok(Finished { kept: false, message: message(&SweepRun::read(sweep, run)) }),
        Err(error @ (Error::Interrupted(_) | Error::Busy(_))) => Err(error),
        Err(error) => {
            // A run that is done has not failed, although a baseline has. A disk that is full may refuse this, too; the
            // first reason is the one that counts.
            if !matches!(SweepRun::read(sweep, run).state, RunState::Finished { .. }) {
                let _ = state::write_failed(&folder, run, &error);
            }
            Err(error)
        }
    }
}

fn train_and_measure<G>(
    folder: &Path,
    run: &PlannedRun,
    split: &Split,
    session: &Session<'_>,
    task: &Task,
    training: impl FnOnce() -> G,
) -> Result<()> {
    // What was done, or why it failed, is not what is done now.
    state::forget(folder)?;
    let trained = {
        let _training = training();
        let session = Session { tuning: run.config.tuning(split), ..*session };
        train(&run.config, &split.train, folder, &session, task)?
    };
    if (session.stop)() {
        return Err(Error::Interrupted(format!("interrupted; {} is trained", run.name)));
    }
    let measured = measure_run(folder, split, &EvaluationSettings::default(), session)?;
    trained.owner.verify()?;
    measured.write(folder)?;
    state::write_done(folder, run, trained.final_loss, (&split.evaluated).into())
}

/// Whether a run that is recorded as done needs no more work: its model is whole and its baselines are there.
///
/// # Errors
/// The model of another run; the operating system refuses.
pub(super) fn is_done(sweep: &Path, run: &PlannedRun) -> Result<bool> {
    let mut baselines = Baseline::all_of(&run.config).into_iter();
    Ok(baselines.try_fold(true, |all, baseline| Ok::<_, Error>(all && baseline.read(sweep)?.is_some()))?
        && is_whole(&run_folder(sweep, &run.name), &run.config)?)
}

/// What there is to say about a finished run.
pub(super) fn message(run: &SweepRun) -> String {
    let RunState::Finished { loss } = run.state else {
        let (name, reason) = (run.state.name(), run.state.reason());
        return if reason.is_empty() { name.into() } else { format!("{name}: {reason}") };
    };
    let accuracy = run.rows.first().and_then(|row| row.get(Quantity::LinearAccuracy));
    let accuracy = accuracy.map_or_else(String::new, |accuracy| format!(", linear accuracy {accuracy:.3}"));
    format!("loss {loss:.3}{accuracy}")
}
