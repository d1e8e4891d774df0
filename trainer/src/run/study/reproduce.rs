//! `reproduce`: train for several K and seeds, measure, report.

use crate::augment::Views;
use crate::data::Split;
use crate::error::{Error, Result};
use crate::loss::LossKind;
use crate::optim::OptimiserKind;
use crate::run::{
    Accuracies, Config, EvaluationSettings, Folder, Grid, LearningRateRule, Manifest, Negatives,
    ObjectiveKind, Progress, Session, evaluate, measure_run, run_jobs, train,
};
use candle_core::Device;
use measure::passes_for;
use std::path::{Path, PathBuf};
use theory::losses::{self, LossComponents, Quantity};
use theory::report::{self, Cell, Section, Table};

/// Learning rate of the supervised references at a batch of 256.
const REFERENCE_RATE: f64 = 0.002;

/// What to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Settings that all runs share; seed, batch size, negatives and temperature are set per run.
    pub base: Config,
    /// The axes; n = K+1 is that of the evaluation, and of the training batch unless `fixed_batch` is set.
    pub grid: Grid,
    /// Train all K with this batch size and K sampled negatives per anchor.
    pub fixed_batch: Option<usize>,
}

impl Plan {
    /// The runs as (folder name, settings), the slowest first.
    fn runs(&self) -> Vec<(String, Config)> {
        let grid = &self.grid;
        let losses = if grid.losses.is_empty() { vec![self.base.loss] } else { grid.losses.clone() };
        let mut runs = Vec::new();
        for temperature in self.temperatures() {
            for &n in &grid.draws {
                let batch_size = self.fixed_batch.unwrap_or(n);
                for negatives in self.negatives(n) {
                    for &loss in &losses {
                        let mut axes = String::new();
                        if !grid.temperatures.is_empty() {
                            axes += &format!("-t{temperature}");
                        }
                        if !grid.selections.is_empty() {
                            axes += &format!("-{}", in_a_file_name(negatives));
                        }
                        if !grid.losses.is_empty() {
                            axes += &format!("-{}", loss.describe().replace(", ", "+").replace(" = ", "-"));
                        }
                        for &seed in &grid.seeds {
                            let base = self.base.clone();
                            let config = Config { seed, temperature, batch_size, negatives, loss, ..base };
                            runs.push((format!("n{n:04}{axes}-s{seed}"), config));
                        }
                    }
                }
            }
        }
        runs
    }

    /// The negatives of the runs at n = K+1.
    fn negatives(&self, n: usize) -> Vec<Negatives> {
        match (self.fixed_batch, self.base.negatives) {
            _ if !self.grid.selections.is_empty() => self.grid.selections.clone(),
            (Some(_), _) => vec![Negatives::Count(n - 1)],
            (None, own @ (Negatives::Queue | Negatives::Selected(_))) => vec![own],
            (None, Negatives::Batch | Negatives::Count(_)) => vec![Negatives::Batch],
        }
    }

    fn temperatures(&self) -> Vec<f64> {
        match self.grid.temperatures.is_empty() {
            true => vec![self.base.temperature],
            false => self.grid.temperatures.clone(),
        }
    }

    /// The supervised references, one a seed.
    fn references(&self) -> Vec<(String, Config)> {
        let seeds = self.grid.seeds.iter().filter(|_| self.grid.supervised);
        let reference = |&seed: &u64| {
            let objective = ObjectiveKind::CrossEntropy;
            let negatives = Negatives::Batch;
            // AdamW learns from labels whatever the encoder; the rates of contrastive losses, and of LARS, are others.
            let (optimiser, learning_rate) = (OptimiserKind::AdamW, REFERENCE_RATE);
            let learning_rate_rule = LearningRateRule::Sqrt;
            let (queue, selection, loss) = (None, None, LossKind::default());
            let base = Config {
                optimiser,
                learning_rate,
                learning_rate_rule,
                queue,
                selection,
                loss,
                ..self.base.clone()
            };
            (format!("supervised-s{seed}"), Config { seed, objective, negatives, ..base })
        };
        seeds.map(reference).collect()
    }

    pub(crate) fn check(&self, split: &Split) -> Result<()> {
        let grid = &self.grid;
        if grid.draws.is_empty() || grid.seeds.is_empty() {
            return Err(Error::argument("a sweep needs at least one K and one seed"));
        }
        let twice = |values: &[u64]| {
            let mut sorted = values.to_vec();
            sorted.sort_unstable();
            sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
        };
        let draws: Vec<u64> = grid.draws.iter().map(|&n| n as u64).collect();
        for (name, values) in [("n = K+1", &draws), ("seed", &grid.seeds)] {
            if let Some(value) = twice(values) {
                return Err(Error::argument(format!("{name} = {value} is asked for twice")));
            }
        }
        // Settings that make no network, or no views, claim no folder.
        self.base.network(&split.train, &Device::Cpu)?;
        Views::new(&self.base.augmentation, &split.train, &Device::Cpu)?;
        let temperatures = &grid.temperatures;
        if let Some(i) = (1..temperatures.len()).find(|&i| temperatures[..i].contains(&temperatures[i])) {
            return Err(Error::argument(format!("temperature = {} is asked for twice", temperatures[i])));
        }
        let selections = &grid.selections;
        if let Some(i) = (1..selections.len()).find(|&i| selections[..i].contains(&selections[i])) {
            return Err(Error::argument(format!("negatives = {} are asked for twice", selections[i])));
        }
        if let Some(Negatives::Count(k)) = selections.iter().find(|s| matches!(s, Negatives::Count(_))) {
            return Err(Error::argument(format!(
                "sweep.selections has the number {k}: K drawn negatives are an axis of their own, --draws with --fixed-batch"
            )));
        }
        if let (Some(batch), own @ (Negatives::Queue | Negatives::Selected(_))) =
            (self.fixed_batch, self.base.negatives)
        {
            return Err(Error::argument(format!(
                "with a fixed batch of {batch} samples K = n-1 negatives are drawn: negatives = {own} cannot be"
            )));
        }
        let losses = &grid.losses;
        if let Some(i) = (1..losses.len()).find(|&i| losses[..i].contains(&losses[i])) {
            return Err(Error::argument(format!("loss = {} is asked for twice", losses[i].describe())));
        }
        if let (Some(batch), Some(first)) = (self.fixed_batch, selections.first()) {
            return Err(Error::argument(format!(
                "with a fixed batch of {batch} samples K = n-1 negatives are drawn: sweep.selections, such as {first}, cannot be"
            )));
        }
        let (trained, evaluated) = (split.train.len(), split.evaluated.len());
        for &n in &grid.draws {
            if n < 2 || n > evaluated {
                return Err(Error::argument(format!(
                    "n = K+1 = {n} is not between 2 and the {evaluated} evaluated samples"
                )));
            }
            if let Some(batch) = self.fixed_batch.filter(|&batch| n > batch) {
                return Err(Error::argument(format!(
                    "n = K+1 = {n} exceeds the fixed batch of {batch} samples"
                )));
            }
        }
        for (_, config) in self.runs().into_iter().chain(self.references()) {
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

    fn describe(&self) -> String {
        // Lists of numbers, words and tables always have a TOML form.
        let grid = toml::to_string(&self.grid).unwrap_or_default();
        let fixed = self.fixed_batch.map_or_else(String::new, |batch| format!("fixed_batch = {batch}\n"));
        match self.grid.losses.is_empty() {
            true => format!("{fixed}{grid}{}", self.base.to_toml()),
            // Losses are tables, behind which no key of the settings could stand.
            false => {
                format!("{fixed}{}\n{}", self.base.to_toml(), grid.replace("[[losses]]", "[[sweep.losses]]"))
            }
        }
    }
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
    plan.check(split)?;
    let samples = format!("{}, evaluated {}", split.train.describe(), split.evaluated.describe());
    let manifest = Manifest::new("reproduce", plan.describe()).with_data(session.data);
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
        config.training_objective().is_ok_and(|own| row.num_draws.get() == own.evaluated_draws())
            && row.temperature == config.temperature
            && row.run.seed == Some(config.seed)
            && row.num_batches == Some(per_pass * passes)
            && row.extra.iter().all(|(name, _)| name != evaluate::MEASURE_SEED)
    };
    matches!(rows, [row] if fits(row))
}

/// `hardest-5`, `range-0-40+60-100`.
fn in_a_file_name(negatives: Negatives) -> String {
    negatives.to_string().replace(':', "-").replace(',', "+").replace('%', "")
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
