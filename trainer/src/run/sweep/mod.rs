//! A sweep: the runs of a [`Plan`] in one folder, one process each, on one machine or many.
//!
//! ```text
//! DIR/run.json                        whose folder it is
//!     plan.jsonl                      the runs
//!     runs/NAME/                      a folder each: train's files, then losses.csv, then done.json
//!     baselines/NAME/accuracies.json  what the trained encoders are compared with
//!     runs.csv, losses.csv, report.html, …   made from these by collect, as often as wanted
//! ```
//!
//! What has been done is read from the folders of the runs and from nowhere else ([`RunState`]), so that any number of
//! processes on any number of machines can work on a sweep, be killed, and be started again: [`run_one`] does one run,
//! unless it is done or another process is at it; a [`Pool`] starts a process for each that is missing; [`slurm`] has a
//! cluster do so; [`Collected`] joins what there is.

mod accuracy;
mod baselines;
mod check;
mod collect;
mod compare;
mod pool;
pub mod slurm;
mod state;
mod worker;

pub use baselines::{Baseline, BaselineKind};
pub use check::check;
pub(in crate::run) use collect::missing_section;
pub use collect::{Collected, Report};
pub use pool::{Pool, Resources};
pub use state::{RunState, SweepRun};
pub use worker::{Finished, run_one};

use super::plan::{self, Plan, PlannedRun};
use super::train::Owner;
use super::{Folder, Manifest, available_threads, with_threads};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long to wait while another process prepares the same folder, which takes milliseconds.
const CLAIM: Duration = Duration::from_secs(10);

/// What `run.json` says the folder is.
const KIND: &str = "sweep";

/// Makes or opens the folder of a sweep for this plan, and gives the plan that stands there now: the runs that it had, in
/// their places, and then those that are new.
///
/// # Errors
/// A folder that is not ours, or that holds runs which the plan does not have; another process that does not
/// let go of it; the operating system refuses.
pub fn claim(plan: &Plan, path: &Path, data: Option<&Path>) -> Result<Plan> {
    let manifest = Manifest::new(KIND, &toml::Table::new())?.with_data(data);
    Folder::check(path, &manifest)?;
    theory::files::create_folder(path)?;
    let start = Instant::now();
    let _owner = loop {
        match Owner::take(path, &|| false) {
            Err(Error::Busy(_)) if start.elapsed() < CLAIM => std::thread::sleep(CLAIM / 100),
            other => break other?,
        }
    };
    let folder = Folder::create(path, &manifest)?;
    let plan = plan.claim(path)?;
    theory::files::create_folder(&folder.file("runs"))?;
    Ok(plan)
}

/// The plan of a folder that holds a sweep.
///
/// # Errors
/// The folder holds none; its plan cannot be read.
pub fn open(path: &Path) -> Result<Plan> {
    let (folder, _) = Folder::open(path, KIND)?;
    Plan::read(&folder.file(plan::FILE))
}

/// Where the data of a sweep stand, as its folder says; `None` where it does not.
pub fn data_of(path: &Path) -> Option<PathBuf> {
    Folder::open(path, KIND).ok().and_then(|(_, manifest)| manifest.data)
}

/// The folder of a run.
fn run_folder(sweep: &Path, name: &str) -> PathBuf {
    sweep.join("runs").join(name)
}

/// Runs that are kept, each of which has a line; above that, all have one.
const MOST_LINES: usize = 100;

/// Says which runs are not done again.
fn tell_of_kept(plan: &Plan, path: &Path, missing: &[usize], pool: &Pool<'_>) {
    let kept: Vec<usize> =
        (0..plan.runs().len()).filter(|index| missing.binary_search(index).is_err()).collect();
    if kept.len() > MOST_LINES {
        pool.progress.line(&format!("{} runs kept from before", kept.len()));
        return;
    }
    for index in kept {
        let run = SweepRun::read(path, &plan.runs()[index]);
        pool.progress.line(&format!("{}: {}, kept from before", plan.title(index), worker::message(&run)));
    }
}

/// Does what is missing of a plan in the folder `path`, with the processes of `pool`, and joins everything.
///
/// # Errors
/// Runs that do not fit their data, before a folder is made; a folder that is not ours; an interruption; the
/// operating system refuses. Runs that fail are in the result.
pub fn sweep(plan: &Plan, path: &Path, pool: &Pool<'_>, data: Option<&Path>) -> Result<Collected> {
    let wanted = missing(plan, path, pool)?;
    check(plan, &wanted, path, data, pool.resources.jobs)?;
    // The lines of the folder's plan, which keep their places.
    let plan = &claim(plan, path, data)?;
    let missing = missing(plan, path, pool)?;
    tell_of_kept(plan, path, &missing, pool);
    let done = pool.run(plan, path, &missing);
    let failures = done.as_ref().map_or_else(|_| BTreeMap::new(), Clone::clone);
    let collected = Collected::new(path, &failures);
    // Also of what ended early there is joined what there is; why it did is what counts.
    done?;
    let collected = collected?;
    let warnings = collected.report.iter().flat_map(|report| &report.warnings);
    warnings.for_each(|warning| pool.progress.line(warning));
    Ok(collected)
}

/// How far a run is about which there is something to do; with `retry` also about one that would fail again.
fn to_do(path: &Path, run: &PlannedRun, retry: bool) -> Option<RunState> {
    let state = SweepRun::read(path, run).state;
    let is_wanted = match state {
        RunState::Failed { repeats, .. } => retry || !repeats,
        // What cannot be looked at is tried: the run itself then says what is wrong.
        RunState::Finished { .. } => !worker::is_done(path, run).unwrap_or(false),
        _ => true,
    };
    is_wanted.then_some(state)
}

/// The runs of a plan that are not done, by their index.
fn missing(plan: &Plan, path: &Path, pool: &Pool<'_>) -> Result<Vec<usize>> {
    let found = || Ok(plan.runs().par_iter().map(|run| to_do(path, run, pool.retry).is_some()).collect());
    let found: Vec<bool> = with_threads(available_threads(), found)?;
    Ok((0..found.len()).filter(|&index| found[index]).collect())
}
