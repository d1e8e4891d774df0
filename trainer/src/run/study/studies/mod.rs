//! `studies`: every study of the field on the digits that ship, and one page that sets them side by side.
//!
//! Four sweeps, two experiments without data and an analysis of one run, each of which a command of its own repeats:
//! bounds against n (Nozawa & Sato and what came before and after), K alone with the batch fixed and the population
//! loss (Awasthi et al.), selected negatives of a queue (Cai et al.), and the losses that people compare. What the page
//! says is computed from what they measured.

mod page;
mod sweeps;
mod works;

pub use sweeps::NamedSweep;

use super::command;
use crate::data;
use crate::error::{Error, Result};
use crate::population::{self, Training};
use crate::run::plan::Plan;
use crate::run::sweep::{Collected, Pool, Report, RunState, SweepRun, sweep};
use crate::run::{Config, Folder, Manifest, Session, two_views};
use measure::difficulty::{self, Difficulty};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use sweeps::PRESET;
use theory::losses::LossComponents;
use theory::report::{Cell, Format, Table, mean_and_deviation};
use theory::{ClassPrior, NumNegatives};

/// Temperature of the sweeps but the queue's, and of the population experiment.
const TEMPERATURE: f64 = 0.5;
/// K of the population experiment.
const POPULATION: [u64; 5] = [1, 31, 255, 1023, 100_000];
/// Imbalance of its unequal classes.
const IMBALANCE: f64 = 100.0;
/// n of the run whose negatives are ranked.
const RANKED_DRAWS: usize = 64;
/// Its seed, and that of the analysis.
const RANKED_SEED: u64 = 7;

/// A sweep that is done.
struct Study {
    command: String,
    /// Its folder.
    path: PathBuf,
    /// The settings that its runs share.
    base: Config,
    runs: Vec<SweepRun>,
    rows: Vec<LossComponents>,
    report: Report,
}

/// The population experiment of one prior.
struct Population {
    command: String,
    prior: ClassPrior,
    rows: Vec<population::Row>,
}

/// Ranks of all negatives of one run.
struct Analysis {
    command: String,
    found: Difficulty,
}

/// What the works are told from.
struct Found {
    quick: bool,
    bounds: Study,
    fixed_batch: Study,
    selections: Study,
    losses: Study,
    /// Equal classes, then unequal ones.
    population: [Population; 2],
    /// Of a run of `bounds`; `None` where it failed.
    difficulty: Option<Analysis>,
}

impl Found {
    fn sweeps(&self) -> [&Study; 4] {
        [&self.bounds, &self.fixed_batch, &self.selections, &self.losses]
    }
}

/// What `studies` left.
pub struct Studies {
    /// One line a work: question, what was measured, result, command.
    pub works: Table,
    /// `studies.html`.
    pub report: PathBuf,
    /// The runs that failed, each with its reason.
    pub failures: Vec<String>,
}

/// Runs all studies into `path`, each in a folder of its own that is kept when it is finished, and writes
/// `report/studies.html` (with `.md`, and each table as csv).
///
/// # Errors
/// A folder that is not ours; a sweep of which every run fails; an interruption.
pub fn studies(quick: bool, path: &Path, pool: &Pool<'_>, session: &Session<'_>) -> Result<Studies> {
    // Before anything is trained: a folder that is not ours is refused.
    Folder::create(path, &Manifest::new("studies", &BTreeMap::from([("quick", quick)]))?)?;
    let run = |NamedSweep { name, sweep: settings }: NamedSweep| -> Result<Study> {
        let path = path.join(name);
        let command = command(PRESET, &settings, &path)?;
        pool.progress.line(&format!("study {name}: {command}"));
        let collected = sweep(&Plan::of_sweep(&settings)?, &path, pool, session.data)?;
        collected.failures()?;
        let Collected { runs, rows, report, .. } = collected;
        let report = report.ok_or_else(|| Error::Failed(format!("the study {name} has no rows")))?;
        Ok(Study { command, path, base: settings.base, runs, rows, report })
    };
    let [bounds, fixed_batch, selections, losses] = NamedSweep::all(quick)?;
    let bounds = run(bounds)?;
    let difficulty = rank(&bounds, &path.join("difficulty"), session)?;
    let (fixed_batch, selections, losses) = (run(fixed_batch)?, run(selections)?, run(losses)?);
    let population = [population(1.0)?, population(IMBALANCE)?];
    let found = Found { quick, bounds, fixed_batch, selections, losses, population, difficulty };
    let document = found.document()?;
    let works = document.sections[0].1.table.clone();
    let report = document.write(&path.join("report"), "studies", Format::Csv, &found.figures()?)?;
    let runs = found.sweeps().into_iter().flat_map(|study| study.runs.iter());
    let failures = runs.filter_map(|run| Some(format!("{}: {}", run.name, run.failure()?))).collect();
    Ok(Studies { works, report, failures })
}

/// Settings of the analysis of a run, as `trainer difficulty` writes them.
#[derive(Serialize)]
struct RankedRun {
    run: PathBuf,
    seed: u64,
}

/// Ranks the negatives of the run at n = 64 with seed 7 into `out`; `None` where that run failed.
fn rank(study: &Study, out: &Path, session: &Session<'_>) -> Result<Option<Analysis>> {
    let wanted = Config { batch_size: RANKED_DRAWS, seed: RANKED_SEED, ..study.base.clone() };
    let is_wanted = |run: &&SweepRun| run.config == wanted && matches!(run.state, RunState::Finished { .. });
    let Some(run) = study.runs.iter().find(is_wanted) else { return Ok(None) };
    let path = study.path.join("runs").join(&run.name);
    let split = data::load(&run.config.data(session.data))?;
    let views = two_views(&path, &split, None, session)?;
    let request = difficulty::Request { seed: RANKED_SEED, ..difficulty::Request::default() };
    let evaluated = (split.evaluated.labels(), split.evaluated.num_classes());
    let found = difficulty::difficulty(&views, evaluated, &request, session.stop)?;
    let command =
        format!("trainer difficulty --run {} --seed {RANKED_SEED} --out {}", path.display(), out.display());
    let manifest = Manifest::new("difficulty", &RankedRun { run: path, seed: RANKED_SEED })?;
    found.write(Folder::create(out, &manifest)?.path())?;
    Ok(Some(Analysis { command, found }))
}

/// The population experiment on ten classes, the first of which is `imbalance` times as frequent as the last.
fn population(imbalance: f64) -> Result<Population> {
    let list = POPULATION.map(|k| k.to_string()).join(",");
    let equal = format!("trainer population --classes 10 --negatives {list} --temperature {TEMPERATURE}");
    let (prior, command) = match imbalance == 1.0 {
        true => (ClassPrior::uniform(10)?, equal),
        false => {
            let weights = (0..10).map(|c| imbalance.powf(-f64::from(c) / 9.0)).collect();
            (ClassPrior::from_weights(weights)?, format!("{equal} --imbalance {imbalance}"))
        }
    };
    let negatives = POPULATION.map(NumNegatives::new).into_iter().collect::<theory::Result<Vec<_>>>()?;
    let rows = population::experiment(&prior, &negatives, TEMPERATURE, &Training::default())?;
    Ok(Population { command, prior, rows })
}

/// A number for a sentence: three decimals, or scientific where that says nothing.
fn shown(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        1e-3..1e4 => format!("{value:.3}"),
        _ => format!("{value:.1e}"),
    }
}

/// Mean over seeds, with the standard deviation where they differ.
fn over_seeds(values: &[f64]) -> String {
    let found = mean_and_deviation(values);
    match found.spread() {
        Some(deviation) => format!("{} ± {}", shown(found.mean), shown(deviation)),
        None => shown(found.mean),
    }
}

/// A cell of words.
fn words(text: String) -> Cell {
    Cell::Text(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::sweep::check;

    #[test]
    fn every_sweep_can_run() {
        for quick in [false, true] {
            for NamedSweep { name, sweep } in NamedSweep::all(quick).unwrap() {
                let plan = Plan::of_sweep(&sweep).unwrap();
                let all: Vec<usize> = (0..plan.runs().len()).collect();
                check(&plan, &all, Path::new("out"), None, 2).unwrap_or_else(|e| panic!("{name}: {e}"));
                assert_eq!(sweep.base.epochs, if quick { 10 } else { 80 });
                if name == "bounds" {
                    let wanted = Config { batch_size: RANKED_DRAWS, seed: RANKED_SEED, ..sweep.base.clone() };
                    let ranked = plan.runs().iter().filter(|run| run.config == wanted);
                    assert_eq!(ranked.count(), 1, "the run that is ranked");
                }
            }
        }
    }

    #[test]
    fn numbers_of_any_size_are_readable() {
        assert_eq!(
            [0.0, 1.23456, 9999.0, 12345.6, 3.7e17, 0.00012, -2.5].map(shown),
            ["0", "1.235", "9999.000", "1.2e4", "3.7e17", "1.2e-4", "-2.500"]
        );
        assert_eq!(over_seeds(&[1.0, 2.0]), "1.500 ± 0.707");
        assert_eq!([over_seeds(&[0.996]), over_seeds(&[0.996; 3])], ["0.996", "0.996"]);
    }
}
