//! Everything that the runs of a sweep have left, joined: tables, report, and which runs are missing.

use super::accuracy::{accuracy_table, count_values, loss, negatives};
use super::state::{RunState, SweepRun};
use super::{compare, open, worker};
use crate::error::{Error, Result};
use crate::loss::LossKind;
use crate::run::{Config, Negatives, ObjectiveKind, available_threads, with_threads};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use theory::files;
use theory::losses::{self, LossComponents};
use theory::report::{self, Cell, Format, Section, Table};
use theory::terminal::one_line;

/// Groups of runs above which a report would be no page that anybody reads: tables as CSV are written all the same.
const MOST_GROUPS: usize = 500;

/// Files that are made from the rows of finished runs.
const OF_ROWS: [&str; 11] = [
    "losses.csv",
    "accuracy.csv",
    "comparison.csv",
    "report.html",
    "bounds.svg",
    "bounds.png",
    "bounds.csv",
    "bounds.md",
    "explain.svg",
    "explain.png",
    "explain.csv",
];

/// Failures that one message names.
const MOST_NAMED: usize = 5;

/// What there is of a sweep.
pub struct Collected {
    /// All runs, in the order of the plan.
    pub runs: Vec<SweepRun>,
    /// The rows of the contrastive runs that are finished.
    pub rows: Vec<LossComponents>,
    /// Tables and report; `None` where no contrastive run is finished.
    pub report: Option<Report>,
    /// Finished runs whose baselines could not be computed, and why.
    lacking: Vec<String>,
}

/// The tables of a report.
pub struct Report {
    /// The bounds per number of draws.
    pub bounds: Table,
    /// Trained against untrained against raw pixels.
    pub accuracies: Table,
    /// Where the sweep has several selections of negatives, or several losses: each beside the first.
    pub compared: Option<Table>,
    /// `report.html`; `None` for a sweep of too many settings for a page.
    pub page: Option<PathBuf>,
    /// What looks wrong in the measured rows, a line each.
    pub warnings: Vec<String>,
}

impl Collected {
    /// Reads the folder of a sweep, complete or not, and writes into it `runs.csv` and, where a run is finished,
    /// `losses.csv`, `accuracy.csv`, `report.html`, `bounds.svg`, `bounds.csv`, `bounds.md`, and `comparison.csv` where
    /// the sweep has several selections of negatives, or losses.
    ///
    /// `failures` are those of runs, by their id, that a caller knows of and the folders need not.
    ///
    /// # Errors
    /// The folder holds no sweep; the operating system refuses to read or write.
    pub fn new(path: &Path, failures: &BTreeMap<String, String>) -> Result<Self> {
        let plan = open(path)?;
        let read = || Ok(plan.runs().par_iter().map(|run| SweepRun::read(path, run)).collect());
        let mut runs: Vec<SweepRun> = with_threads(available_threads(), read)?;
        let mut lacking = Vec::new();
        for ((run, id), planned) in runs.iter_mut().zip(plan.ids()).zip(plan.runs()) {
            let Some(reason) = failures.get(id) else { continue };
            match run.state {
                RunState::Failed { .. } => {}
                // Another run of the same baselines may have computed them since.
                RunState::Finished { .. } if worker::is_done(path, planned).unwrap_or(false) => {}
                RunState::Finished { .. } => lacking.push(format!("{}: {}", run.name, one_line(reason))),
                _ => run.state = RunState::Failed { reason: one_line(reason), repeats: false },
            }
        }
        write(path, "runs.csv", &runs_table(&runs, plan.ids()).to_text(Format::Csv))?;
        let of = |supervised: bool| -> Vec<LossComponents> {
            let is_wanted = |run: &&SweepRun| is_reference(&run.config) == supervised;
            runs.iter().filter(is_wanted).flat_map(|run| run.rows.iter().cloned()).collect()
        };
        let (rows, references) = (of(false), of(true));
        match references.is_empty() {
            true => files::remove(&path.join("supervised.csv"))?,
            false => losses::write(&path.join("supervised.csv"), &references)?,
        }
        let report = match rows.is_empty() {
            true => {
                // What an earlier call joined is of runs that are not finished any more.
                OF_ROWS.iter().try_for_each(|name| files::remove(&path.join(name)))?;
                None
            }
            false => Some(Report::new(path, &runs, &rows, &references)?),
        };
        Ok(Self { runs, rows, report, lacking })
    }

    /// How many runs are in each state, as `6 runs: 4 finished, 1 failed, 1 waiting`.
    pub fn summary(&self) -> String {
        let mut counts = BTreeMap::new();
        self.runs.iter().for_each(|run| *counts.entry(run.state.name()).or_insert(0) += 1);
        let order = ["finished", "failed", "running", "interrupted", "waiting"];
        let counts: Vec<String> =
            order.iter().filter_map(|name| Some(format!("{} {name}", counts.get(name)?))).collect();
        format!("{} runs: {}", self.runs.len(), counts.join(", "))
    }

    /// What to tell the user who wanted all runs done; `None` where they are.
    ///
    /// # Errors
    /// Every run failed, or all are finished but not what they are compared with: the first reason.
    pub fn failures(&self) -> Result<Option<String>> {
        let told = |run: &SweepRun| Some(format!("{}: {}", run.name, run.failure()?));
        let failures: Vec<String> = self.runs.iter().filter_map(told).collect();
        let (failed, all) = (failures.len(), self.runs.len());
        match failures.first() {
            None => match self.lacking.first() {
                None => Ok(None),
                Some(first) => Err(Error::Failed(format!(
                    "the runs are finished, but what they are compared with failed: {first}"
                ))),
            },
            Some(first) if failed == all => {
                Err(Error::Failed(format!("all {all} runs failed (runs.csv): {first}")))
            }
            Some(_) => {
                let named = failures[..failed.min(MOST_NAMED)].join("; ");
                let more = failed.saturating_sub(MOST_NAMED);
                let more = if more > 0 { format!("; and {more} more") } else { String::new() };
                Ok(Some(format!(
                    "{failed} of {all} runs failed (runs.csv), the others are reported: {named}{more}"
                )))
            }
        }
    }
}

/// Whether a run is a supervised reference.
fn is_reference(config: &Config) -> bool {
    config.objective == ObjectiveKind::CrossEntropy
}

fn write(path: &Path, name: &str, text: &str) -> Result<()> {
    Ok(files::write_atomically(&path.join(name), text.as_bytes())?)
}

/// `runs.csv`: every run, whatever became of it.
fn runs_table(runs: &[SweepRun], ids: &[String]) -> Table {
    let mut table = Table::new(["run_id", "settings_id", "seed", "state", "reason", "settings"]);
    for (run, id) in runs.iter().zip(ids) {
        let settings_id = id.rsplit_once("-s").map_or(id.as_str(), |(settings_id, _)| settings_id);
        // A struct of numbers and texts always has a JSON form.
        let settings = serde_json::to_string(&run.config).unwrap_or_default();
        table.push(vec![
            Cell::text(&run.name),
            Cell::text(settings_id),
            Cell::Decimal(run.config.seed.to_string()),
            Cell::text(run.state.name()),
            Cell::text(run.state.reason()),
            Cell::Text(settings),
        ]);
    }
    table
}

/// The runs that are not finished, with what there is to say; `None` where all are.
pub(in crate::run) fn missing_section<'a>(runs: impl IntoIterator<Item = &'a SweepRun>) -> Option<Section> {
    let mut table = Table::new(["run", "state", "reason"]);
    let mut failed = false;
    for run in runs.into_iter().filter(|run| !matches!(run.state, RunState::Finished { .. })) {
        failed |= run.failure().is_some();
        table.push(vec![Cell::text(&run.name), Cell::text(run.state.name()), Cell::text(run.state.reason())]);
    }
    (!table.rows().is_empty()).then(|| Section {
        title: if failed { "Runs that failed or are missing" } else { "Runs that are missing" }.into(),
        text: "They are in no table and no figure of this page.".into(),
        table,
    })
}

impl Report {
    fn new(
        path: &Path,
        runs: &[SweepRun],
        rows: &[LossComponents],
        references: &[LossComponents],
    ) -> Result<Self> {
        losses::write(&path.join("losses.csv"), rows)?;
        let configs: Vec<&Config> = runs.iter().map(|run| &run.config).collect();
        let accuracies = accuracy_table(path, &configs, rows, references)?;
        write(path, "accuracy.csv", &accuracies.to_text(Format::Csv))?;
        let compared = compared(runs, rows)?;
        match &compared {
            Some(table) => write(path, "comparison.csv", &table.to_text(Format::Csv))?,
            None => files::remove(&path.join("comparison.csv"))?,
        }
        let groups = losses::group(rows)?;
        let bounds = report::bounds_table(&groups, theory::bounds::all());
        let page = match groups.iter().count() > MOST_GROUPS {
            true => {
                write(path, "bounds.csv", &bounds.to_text(Format::Csv))?;
                None
            }
            false => {
                let mut sections = vec![Section {
                    title: "Trained and not trained".into(),
                    text: format!(
                        "Accuracy on the evaluated samples{}. Supervised: the same encoder, trained by cross-entropy \
                         with known classes, its head one linear layer. Untrained: the same encoder at initialisation.",
                        if groups.has_several_seeds() {
                            ": mean ± standard deviation over seeds"
                        } else {
                            ""
                        }
                    ),
                    table: accuracies.clone(),
                }];
                sections.extend(
                    compared.as_ref().map(|table| compared_section(table, runs, groups.has_several_seeds())),
                );
                sections.extend(missing_section(runs));
                sections.extend(report::standard_sections(&groups));
                let data: BTreeSet<&str> = runs.iter().map(|run| run.config.dataset.as_str()).collect();
                let data = data.into_iter().collect::<Vec<_>>().join(", ");
                let title = format!("{data}: bounds against the number of negatives");
                report::write(path, &title, rows, &sections, &report::figure::Style::default(), None)?;
                Some(path.join("report.html"))
            }
        };
        let warnings = rows.iter().flat_map(warnings).collect();
        Ok(Self { bounds, accuracies, compared, page, warnings })
    }
}

/// The run with which the others are compared: the first that is finished of those that have the negatives and the
/// loss of the first run.
fn reference(runs: &[SweepRun]) -> Option<&LossComponents> {
    let first = &runs.first()?.config;
    let is_like_it = |run: &&SweepRun| {
        let config = &run.config;
        let like = (config.negatives, config.selection, config.loss);
        !is_reference(config) && like == (first.negatives, first.selection, first.loss)
    };
    runs.iter().filter(is_like_it).find_map(|run| run.rows.first())
}

/// Accuracies beside those of the first selection of negatives, or loss, where there are several.
fn compared(runs: &[SweepRun], rows: &[LossComponents]) -> Result<Option<Table>> {
    let several = count_values(rows, negatives) > 1 || count_values(rows, loss) > 1;
    let Some(reference) = reference(runs).filter(|_| several) else { return Ok(None) };
    let others: HashMap<String, String> =
        runs.iter().map(|run| (run.config.settings_id(), beside_negatives_and_loss(&run.config))).collect();
    let others = |row: &LossComponents| others.get(&row.run.settings_id).cloned().unwrap_or_default();
    Ok(Some(compare::comparison(rows, reference, &others)?))
}

/// Names the settings but for negatives, selection, loss and seed.
fn beside_negatives_and_loss(config: &Config) -> String {
    let (negatives, selection, loss) = (Negatives::Batch, None, LossKind::default());
    Config { negatives, selection, loss, ..config.clone() }.settings_id()
}

fn compared_section(table: &Table, runs: &[SweepRun], several_seeds: bool) -> Section {
    let seeds = if several_seeds { ", mean over seeds with Student's 95 % interval" } else { "" };
    let (negatives, loss) = reference(runs).map_or(("all", ""), |row| (negatives(row), loss(row)));
    Section {
        title: "Compared with the first".into(),
        text: format!(
            "Accuracies on the evaluated samples{seeds}, and the difference to the runs with {negatives} negatives and the loss {loss} of the same seed."
        ),
        table: table.clone(),
    }
}

/// What was counted in a run and does not fit its exact probability.
fn warnings(row: &LossComponents) -> Vec<String> {
    let checks = report::checks(row).into_iter().filter(report::BinomialCheck::is_flagged);
    let told = checks.map(|check| {
        format!(
            "warning: {}: {} counted {}/{} times, exact probability {} (p = {:.1e})",
            row.run.run_id,
            check.measure,
            check.successes,
            check.trials,
            check.exact.to_decimal(4),
            check.p_value
        )
    });
    told.collect()
}
