//! `reproduce`: train for several K and seeds, measure, report.

use crate::augment::Views;
use crate::data::Split;
use crate::error::{Error, Result};
use crate::run::{
    Accuracies, Config, EvaluationSettings, Folder, Manifest, Plan, Progress, Provenance, Session, evaluate,
    measure_run, run_jobs, train,
};
use candle_core::Device;
use measure::passes_for;
use std::path::{Path, PathBuf};
use theory::losses::{self, LossComponents, Quantity};
use theory::report::{self, Cell, Section, Table};

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
        if config.evaluated_draws() > evaluated as u64 {
            let n = config.evaluated_draws();
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

/// What `reproduce` left.
pub struct Reproduction {
    /// One row per run.
    pub rows: Vec<LossComponents>,
    /// What was measured per number of draws.
    pub measured: Table,
    /// The bounds per number of draws.
    pub bounds: Table,
    /// TrainedRun against untrained against raw pixels.
    pub accuracies: Table,
    /// Where the sweep has several selections of negatives, or several losses: each beside the first.
    pub compared: Option<Table>,
    /// `report.html`.
    pub report: PathBuf,
}

/// Trains, measures and reports into `path`; runs that are finished there are kept.
///
/// Each run's folder stands under `runs/`; beside it `losses.csv`, `accuracy.csv`, `report.html`, `bounds.svg`,
/// `bounds.csv`, `bounds.md`, and `comparison.csv` where the sweep has several selections of negatives, or losses.
///
/// # Errors
/// A plan that cannot run, a folder that is not ours, a run that fails.
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
    let runs_folder = folder.file("runs");
    std::fs::create_dir_all(&runs_folder).map_err(|e| Error::io(&runs_folder, e))?;
    let (mut runs, references) = (plan.runs(), plan.references());
    let num_runs = runs.len();
    runs.extend(references);
    let mut results = run_jobs(runs.len(), jobs, |index| {
        let (name, config) = &runs[index];
        let label = format!("[{}/{}] {name}", index + 1, runs.len());
        one_run(&runs_folder.join(name), config, split, &label, session, progress)
    })?;
    let references: Vec<LossComponents> = results.split_off(num_runs).into_iter().flatten().collect();
    let rows: Vec<LossComponents> = results.into_iter().flatten().collect();
    let accuracies = accuracy_table(plan, split, &rows, &references, jobs, session)?;
    if !references.is_empty() {
        losses::write(&folder.file("supervised.csv"), &references)?;
    }
    let write =
        |name: &str, text: String| theory::files::write_atomically(&folder.file(name), text.as_bytes());
    write("accuracy.csv", accuracies.to_text(report::Format::Csv))?;
    let mut sections = vec![Section {
        title: "TrainedRun and not trained".into(),
        text: "Accuracy on the evaluated samples: mean ± standard deviation over seeds. Supervised: the same encoder, \
               trained by cross-entropy with known classes, its head one linear layer. Untrained: the same encoder at \
               initialisation."
            .into(),
        table: accuracies.clone(),
    }];
    let mut compared = None;
    if let Some(reference) = rows.first().filter(|_| plan.grid.selections.len() + plan.grid.losses.len() > 1)
    {
        let table = super::compare::comparison(&rows, reference);
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
    sections.extend(report::standard_sections(&rows));
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
    Ok(Reproduction {
        measured: report::measured_table(&rows),
        bounds: report::bounds_table(&rows),
        rows,
        accuracies,
        compared,
        report: folder.file("report.html"),
    })
}

fn one_run(
    path: &Path,
    config: &Config,
    split: &Split,
    name: &str,
    session: &Session<'_>,
    progress: &Progress,
) -> Result<Vec<LossComponents>> {
    if (session.stop)() {
        return Err(Error::Interrupted("interrupted; the same command goes on".into()));
    }
    let task = progress.task(name, config.epochs);
    let trained = train(config, &split.train, path, session, &task)?;
    let losses_path = trained.folder.file("losses.csv");
    // A measurement of this run that somebody asked for with other settings is not the sweep's.
    let kept = losses::read(&losses_path).ok().filter(|rows| trained.kept && is_default(rows, config, split));
    let rows = match kept {
        Some(rows) => rows,
        None => {
            let measured = measure_run(path, split, &EvaluationSettings::default(), session)?;
            measured.write(trained.folder.path())?;
            measured.rows
        }
    };
    let accuracy = rows.first().and_then(|row| row.get(Quantity::LinearAccuracy)).unwrap_or(f64::NAN);
    let kept = if trained.kept { ", kept from before" } else { "" };
    task.finish(&format!("loss {:.3}, linear accuracy {accuracy:.3}{kept}", trained.final_loss));
    Ok(rows)
}

/// Whether rows are what [`measure_run`] gives without further settings: the run's own n, temperature, seed and passes.
fn is_default(rows: &[LossComponents], config: &Config, split: &Split) -> bool {
    let evaluated = split.evaluated.len();
    let fits = |row: &LossComponents| {
        let per_pass = evaluated as u64 / row.num_draws.get();
        let passes = config.passes.or_else(|| passes_for(evaluated, row.num_draws).ok()).unwrap_or(0) as u64;
        row.num_draws.get() == config.evaluated_draws()
            && row.temperature == config.temperature
            && row.run.seed == Some(config.seed)
            && row.num_batches == Some(per_pass * passes)
            && row.measure_seed.is_none()
    };
    matches!(rows, [row] if fits(row))
}

const CLASSIFIERS: [&str; 3] = ["mean classifier", "linear probe", "kNN"];

fn accuracy_table(
    plan: &Plan,
    split: &Split,
    rows: &[LossComponents],
    references: &[LossComponents],
    jobs: usize,
    session: &Session<'_>,
) -> Result<Table> {
    let (selected, compared) = (!plan.grid.selections.is_empty(), !plan.grid.losses.is_empty());
    let axes = selected.then_some("negatives").into_iter().chain(compared.then_some("loss"));
    let headers = ["representation", "n = K+1", "t"].into_iter().chain(axes);
    let mut table = Table::new(headers.chain(["features", "seeds"]).chain(CLASSIFIERS));
    let mut push = |what: &str, of: Option<&LossComponents>, layer: &str, values: &[Accuracies]| {
        let cell = |of: fn(&Accuracies) -> f64| {
            Cell::Estimate(report::mean_and_deviation(&values.iter().map(of).collect::<Vec<_>>()))
        };
        let told = |cell: &dyn Fn(&LossComponents) -> Cell| of.map_or(Cell::Missing, cell);
        let mut line = vec![
            Cell::text(what),
            told(&|row| Cell::Integer(row.num_draws.get() as i64)),
            told(&|row| Cell::number(row.temperature)),
        ];
        if selected {
            line.push(told(&|row| Cell::text(row.selection().unwrap_or("all"))));
        }
        if compared {
            line.push(told(&|row| Cell::text(&row.run.loss)));
        }
        line.extend([
            Cell::text(layer),
            Cell::Integer(values.len() as i64),
            cell(|a| a.mean),
            cell(|a| a.linear),
            cell(|a| a.knn),
        ]);
        table.push(line);
    };
    let trained = report::group(rows).into_iter().map(|group| ("trained", group));
    let supervised = report::group(references).into_iter().map(|group| ("supervised", group));
    for (what, group) in trained.chain(supervised) {
        let of = |mean, linear, knn| -> Option<Vec<Accuracies>> {
            let one = |row: &&LossComponents| {
                Some(Accuracies { mean: row.get(mean)?, linear: row.get(linear)?, knn: row.get(knn)? })
            };
            group.rows.iter().map(one).collect()
        };
        let row = (what == "trained").then_some(group.rows[0]);
        let layers = [
            ("head", of(Quantity::MeanAccuracy, Quantity::LinearAccuracy, Quantity::KnnAccuracy)),
            (
                "encoder",
                of(
                    Quantity::MeanAccuracyEncoder,
                    Quantity::LinearAccuracyEncoder,
                    Quantity::KnnAccuracyEncoder,
                ),
            ),
        ];
        for (layer, values) in layers {
            if let Some(values) = values {
                push(what, row, layer, &values);
            }
        }
    }
    let seeds = &plan.grid.seeds;
    let untrained = run_jobs(seeds.len(), jobs, |index| {
        evaluate::untrained_accuracies(&Config { seed: seeds[index], ..plan.base.clone() }, split, session)
    })?;
    for (layer, index) in [("head", 0), ("encoder", 1)] {
        push("untrained", None, layer, &untrained.iter().map(|a| a[index]).collect::<Vec<_>>());
    }
    if let Some(pixels) = evaluate::pixel_accuracies(split)? {
        push("raw pixels", None, "pixels", &[pixels]);
    }
    Ok(table)
}
