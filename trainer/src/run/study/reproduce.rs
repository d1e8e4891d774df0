//! `reproduce`: train for several K and seeds, measure, report.

use super::accuracy::accuracy_table;
use super::runs::{SweepRun, failures_section, run_all};
use crate::augment::Views;
use crate::data::Split;
use crate::error::{Error, Result};
use crate::run::{Folder, Manifest, Plan, Progress, Provenance, Session};
use candle_core::Device;
use std::path::{Path, PathBuf};
use theory::losses::{self, LossComponents};
use theory::report::{self, Section, Table};

/// Whether the data can meet a plan: nothing is claimed, and nothing trained, before.
///
/// # Errors
/// Axes that do not fit each other; settings that do not fit the samples.
pub(super) fn check(plan: &Plan, split: &Split) -> Result<()> {
    plan.check()?;
    // Settings that make no network, or no views, claim no folder.
    plan.base.network(&split.train, &Device::Cpu)?;
    Views::new(&plan.base.augmentation, &split.train, &Device::Cpu)?;
    let (trained, evaluated) = (split.train.len(), split.evaluated.len());
    for &n in &plan.grid.draws {
        if n < 2 || n > evaluated {
            return Err(Error::argument(format!(
                "n = K+1 = {n} is not between 2 and the {evaluated} evaluated samples"
            )));
        }
    }
    for (_, config) in plan.runs().into_iter().chain(plan.references()) {
        config.check()?;
        let n = config.training_objective()?.evaluated_draws();
        if n > evaluated as u64 {
            return Err(Error::argument(format!(
                "n = K+1 = {n} of the supervised reference (batch_size) exceeds the {evaluated} evaluated samples"
            )));
        }
        if config.batch_size > trained {
            return Err(Error::argument(format!(
                "batch_size = {} exceeds the {trained} training samples",
                config.batch_size
            )));
        }
    }
    Ok(())
}

/// The first reason for which all runs failed.
fn nothing_to_report(runs: &[SweepRun]) -> Error {
    let all = runs.len();
    let reason =
        |run: &SweepRun| Some(format!("all {all} runs failed (runs.csv): {}: {}", run.id, run.failure()?));
    let message = runs.iter().find_map(reason).unwrap_or_else(|| "a sweep of no runs".into());
    match runs.iter().find_map(|run| run.outcome.as_ref().err()) {
        Some(Error::Argument(_)) | None => Error::Argument(message),
        Some(_) => Error::NonFinite(message),
    }
}

/// What `reproduce` left.
pub struct Reproduction {
    /// All runs, the supervised references last: settings, and what became of each.
    pub runs: Vec<SweepRun>,
    /// One row per run that did not fail, without the references.
    pub rows: Vec<LossComponents>,
    /// What was measured per number of draws.
    pub measured: Table,
    /// The bounds per number of draws.
    pub bounds: Table,
    /// Trained against untrained against raw pixels.
    pub accuracies: Table,
    /// Where the sweep has several selections of negatives, or several losses: each beside the first.
    pub compared: Option<Table>,
    /// `report.html`.
    pub report: PathBuf,
}

/// Trains, measures and reports into `path`; runs that are finished there are kept.
///
/// Each run's folder stands under `runs/`; beside it `runs.csv` ([`SweepRun`]), `losses.csv`, `accuracy.csv`,
/// `report.html`, `bounds.svg`, `bounds.csv`, `bounds.md`, and `comparison.csv` where the sweep has several selections
/// of negatives, or losses.
///
/// # Errors
/// A plan that cannot run, a folder that is not ours, an interruption; the first failure, with the name of its run, where every run fails. A run
/// that fails while another does not is named in the result.
pub fn reproduce(
    plan: &Plan,
    split: &Split,
    path: &Path,
    jobs: usize,
    session: &Session<'_>,
    progress: &Progress,
) -> Result<Reproduction> {
    check(plan, split)?;
    let evaluated = Some((&split.evaluated).into());
    let samples = Provenance { evaluated, ..Provenance::of_training(&split.train) };
    let manifest = Manifest::new("reproduce", plan)?.with_data(session.data);
    let folder = Folder::create(path, &manifest.with_provenance(samples))?;
    let (names, references) = (plan.runs(), plan.references());
    let num_runs = names.len();
    let runs: Vec<SweepRun> = names.into_iter().chain(references).map(SweepRun::new).collect();
    let runs = run_all(runs, &folder, split, jobs, session, progress)?;
    let rows_of = |runs: &[SweepRun]| runs.iter().flat_map(|run| run.rows().to_vec()).collect::<Vec<_>>();
    let (rows, references) = (rows_of(&runs[..num_runs]), rows_of(&runs[num_runs..]));
    if rows.is_empty() {
        return Err(nothing_to_report(&runs));
    }
    let accuracies = accuracy_table(plan, split, &rows, &references, jobs, session)?;
    if !references.is_empty() {
        losses::write(&folder.file("supervised.csv"), &references)?;
    }
    let write =
        |name: &str, text: String| theory::files::write_atomically(&folder.file(name), text.as_bytes());
    write("accuracy.csv", accuracies.to_text(report::Format::Csv))?;
    let mut sections = vec![Section {
        title: "Trained and not trained".into(),
        text: "Accuracy on the evaluated samples: mean ± standard deviation over seeds. Supervised: the same encoder, \
               trained by cross-entropy with known classes, its head one linear layer. Untrained: the same encoder at \
               initialisation."
            .into(),
        table: accuracies.clone(),
    }];
    let mut compared = None;
    let first = &runs[0].config;
    let like_the_first =
        |run: &&SweepRun| run.config.negatives == first.negatives && run.config.loss == first.loss;
    let reference = runs[..num_runs].iter().filter(like_the_first).find_map(|run| run.rows().first());
    if let Some(reference) = reference.filter(|_| plan.grid.selections.len() + plan.grid.losses.len() > 1) {
        let table = super::compare::comparison(&rows, reference)?;
        write("comparison.csv", table.to_text(report::Format::Csv))?;
        sections.push(Section {
            title: "Compared with the first".into(),
            text: format!(
                "Accuracies on the evaluated samples, mean over seeds with Student's 95 % interval, and the difference to the runs \
                 with {} negatives and the loss {} of the same seed.",
                reference.selection().unwrap_or("all"),
                reference.run.loss
            ),
            table: table.clone(),
        });
        compared = Some(table);
    }
    let groups = losses::group(&rows)?;
    sections.extend(failures_section(&runs));
    sections.extend(report::standard_sections(&groups));
    let title = format!("{}: bounds against the number of negatives", plan.base.dataset);
    report::write(folder.path(), &title, &rows, &sections, &report::figure::Selection::default())?;
    for check in rows.iter().flat_map(|row| report::checks(row).into_iter().map(move |c| (row, c))) {
        let (row, check) = check;
        if check.is_flagged() {
            progress.line(&format!(
                "warning: {}: {} counted {}/{} times, exact probability {} (p = {:.1e})",
                row.run.run_id,
                check.measure,
                check.successes,
                check.trials,
                check.exact.to_decimal(4),
                check.p_value
            ));
        }
    }
    let (measured, bounds) =
        (report::measured_table(&groups), report::bounds_table(&groups, theory::bounds::all()));
    Ok(Reproduction {
        measured,
        bounds,
        rows,
        runs,
        accuracies,
        compared,
        report: folder.file("report.html"),
    })
}
