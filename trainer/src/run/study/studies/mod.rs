//! `studies`: every study of the field on the digits that ship, and one page that sets them side by side.
//!
//! Four sweeps, two experiments without data and an analysis of one run, each of which a command of its own repeats: bounds against n (Nozawa & Sato and what came before and
//! after), K alone with the batch fixed and the population loss (Awasthi et al.), selected negatives of a queue (Cai et al.), and the
//! losses that people compare. What the page says is computed from what they measured.

mod works;

use super::{Plan, Reproduction, reproduce};
use crate::data;
use crate::error::{Error, Result};
use crate::population::{self, Training};
use crate::run::{Folder, Grid, Manifest, Preset, Progress, Session};
use measure::difficulty::{self, Difficulty};
use std::path::{Path, PathBuf};
use theory::losses::{Group, LossComponents, Quantity, group};
use theory::report::figure::{self, Lines, Selection, Series};
use theory::report::{Cell, Document, Figure, Format, Section, Table, mean_and_deviation};
use theory::{ClassPrior, NumNegatives};

/// Temperature of the sweeps but the queue's, and of the population experiment.
const TEMPERATURE: f64 = 0.5;
/// K of the population experiment.
const POPULATION: [u64; 5] = [1, 31, 255, 1023, 100_000];
/// Imbalance of its unequal classes.
const IMBALANCE: f64 = 100.0;

/// A sweep of the digits: its name, and how it differs from the preset.
struct Sweep {
    name: &'static str,
    draws: &'static [usize],
    fixed_batch: Option<usize>,
    set: Vec<String>,
}

impl Sweep {
    fn all(quick: bool) -> [Self; 4] {
        let epochs = quick.then(|| "epochs=10".to_string());
        let set =
            |items: &[&str]| items.iter().map(ToString::to_string).chain(epochs.clone()).collect::<Vec<_>>();
        let selections = [
            "negatives=queue",
            "queue.size=512",
            "queue.momentum=0.9",
            "temperature=0.2",
            "sweep.selections=[\"queue\", \"hardest:5%\", \"random:5%\", \"easiest:95%\", \"random:95%\", \"drop-hardest:1%\"]",
        ];
        let losses = "sweep.losses=[\"nt-xent\", \"debiased\", \"hard\", \"dcl\", \"dclw\", \"flat-nce\", \"eq-co\", \"spectral\", \"nscl\"]";
        let (draws, drawn): (&[usize], &[usize]) = match quick {
            true => (&[16, 64, 256], &[2, 16, 256]),
            false => (&[16, 32, 64, 128, 256], &[2, 4, 8, 16, 32, 64, 128, 256]),
        };
        [
            Self { name: "bounds", draws, fixed_batch: None, set: set(&["sweep.supervised=true"]) },
            Self { name: "fixed-batch", draws: drawn, fixed_batch: Some(256), set: set(&[]) },
            Self { name: "selections", draws: &[64], fixed_batch: None, set: set(&selections) },
            Self { name: "losses", draws: &[64], fixed_batch: None, set: set(&[losses]) },
        ]
    }

    fn plan(&self, quick: bool) -> Result<Plan> {
        let Preset { config: base, grid } = Preset::named("digits", &self.set)?;
        let grid = grid.ok_or_else(|| Error::argument("the preset digits has no [sweep]"))?;
        let seeds = if quick { vec![7] } else { grid.seeds };
        let grid = Grid { draws: self.draws.to_vec(), seeds, ..grid };
        Ok(Plan { base, grid, fixed_batch: self.fixed_batch })
    }

    /// The command that repeats it.
    fn command(&self, quick: bool, path: &Path) -> String {
        let list = self.draws.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let mut command = format!("trainer reproduce digits --draws {list}");
        if quick {
            command += " --seeds 7";
        }
        if let Some(batch) = self.fixed_batch {
            command += &format!(" --fixed-batch {batch}");
        }
        for item in &self.set {
            match item.contains(['"', '%']) {
                true => command += &format!(" --set '{item}'"),
                false => command += &format!(" --set {item}"),
            }
        }
        command + &format!(" --out {}", path.join(self.name).display())
    }
}

/// What the works are told from.
struct Found {
    quick: bool,
    bounds: Reproduction,
    fixed_batch: Reproduction,
    selections: Reproduction,
    losses: Reproduction,
    /// Equal classes, then unequal ones.
    population: [Vec<population::Row>; 2],
    /// Of the run at n = 64 of `bounds` with the first seed.
    difficulty: Difficulty,
    /// Commands: of the four sweeps, of the two experiments, of the analysis.
    commands: [String; 7],
}

/// What `studies` left.
pub struct Studies {
    /// One line a work: question, what was measured, result, command.
    pub works: Table,
    /// `studies.html`.
    pub report: PathBuf,
}

/// Runs all studies into `path`, each in a folder of its own that is kept when it is finished, and writes `report/studies.html` (with
/// `.md`, and each table as csv).
///
/// # Errors
/// A folder that is not ours; a run that fails; an interruption.
pub fn studies(
    quick: bool,
    path: &Path,
    jobs: usize,
    session: &Session<'_>,
    progress: &Progress,
) -> Result<Studies> {
    // Before anything is trained: a folder that is not ours is refused.
    Folder::create(path, &Manifest::new("studies", format!("quick = {quick}")))?;
    let mut sweeps = Vec::new();
    let mut commands = Vec::new();
    let mut difficulty = None;
    for sweep in Sweep::all(quick) {
        let command = sweep.command(quick, path);
        progress.line(&format!("study {}: {command}", sweep.name));
        let plan = sweep.plan(quick)?;
        let split = data::load(&plan.base.data(session.data))?;
        let folder = path.join(sweep.name);
        sweeps.push(reproduce(&plan, &split, &folder, jobs, session, progress)?);
        commands.push(command);
        if sweep.name == "bounds" {
            let run = folder.join("runs/n0064-s7");
            let views = crate::run::two_views(&run, &split, None, session)?;
            let request = difficulty::Request { seed: 7, ..difficulty::Request::default() };
            let evaluated = (split.evaluated.labels(), split.evaluated.num_classes());
            let found = difficulty::difficulty(&views, evaluated, &request, session.stop)?;
            let manifest = Manifest::new("difficulty", format!("{} seed 7", run.display()));
            found.write(Folder::create(&path.join("difficulty"), &manifest)?.path())?;
            difficulty = Some(found);
        }
    }
    let priors = [
        ClassPrior::uniform(10)?,
        ClassPrior::from_weights((0..10).map(|c| IMBALANCE.powf(-f64::from(c) / 9.0)).collect())?,
    ];
    let negatives = POPULATION.map(NumNegatives::new).into_iter().collect::<theory::Result<Vec<_>>>()?;
    let mut population = Vec::new();
    for prior in &priors {
        population.push(population::experiment(prior, &negatives, TEMPERATURE, &Training::default())?);
    }
    let list = POPULATION.map(|k| k.to_string()).join(",");
    let experiment =
        format!("trainer population --classes 10 --negatives {list} --temperature {TEMPERATURE}");
    commands.push(experiment.clone());
    commands.push(format!("{experiment} --imbalance {IMBALANCE}"));
    let run = path.join("bounds/runs/n0064-s7");
    commands.push(format!("trainer difficulty --run {} --out runs/difficulty", run.display()));
    // Four sweeps, two priors, one analysis: as many as were pushed.
    let missing = || Error::argument("a study is missing");
    let [bounds, fixed_batch, selections, losses] =
        <[Reproduction; 4]>::try_from(sweeps).map_err(|_| missing())?;
    let population = <[Vec<population::Row>; 2]>::try_from(population).map_err(|_| missing())?;
    let commands = <[String; 7]>::try_from(commands).map_err(|_| missing())?;
    let difficulty = difficulty.ok_or_else(missing)?;
    let found = Found { quick, bounds, fixed_batch, selections, losses, population, difficulty, commands };
    let document = found.document(&priors)?;
    let works = document.sections[0].1.table.clone();
    let report = document.write(&path.join("report"), "studies", Format::Csv, &found.figures(path)?)?;
    Ok(Studies { works, report })
}

impl Found {
    fn document(&self, priors: &[ClassPrior; 2]) -> Result<Document> {
        let section =
            |title: &str, text: &str, table: Table| Section { title: title.into(), text: text.into(), table };
        let seeds = if self.quick {
            "one seed, ten epochs: to see that all of it runs, not to conclude"
        } else {
            "three seeds"
        };
        let compared = |done: &Reproduction| done.compared.clone().unwrap_or_else(|| done.accuracies.clone());
        let [equal, unequal] = &self.population;
        let sections = vec![
            (
                "works",
                section(
                    "The works, and what was measured",
                    &format!(
                        "On 1,797 digits of 8 × 8 pixels, {seeds}, but where a line says otherwise. n = K+1 draws, losses in nats, ln C = {:.3}; \
                         accuracies on 450 evaluated images. Numbers of several seeds: mean ± standard deviation. All losses are trained with the \
                         settings that were chosen for NT-Xent.",
                        10f64.ln()
                    ),
                    works::table(self)?,
                ),
            ),
            ("bounds", section("Bounds against n", &self.commands[0], self.bounds.bounds.clone())),
            ("accuracy", section("Accuracy against n", &self.commands[0], self.bounds.accuracies.clone())),
            (
                "fixed-batch",
                section(
                    "K alone, the batch fixed at 256",
                    &self.commands[1],
                    self.fixed_batch.accuracies.clone(),
                ),
            ),
            (
                "population",
                section(
                    "Free class vectors on the population loss, equal classes",
                    &self.commands[4],
                    population::table(equal, &priors[0], TEMPERATURE),
                ),
            ),
            (
                "population-unequal",
                section(
                    "Free class vectors on the population loss, unequal classes",
                    &self.commands[5],
                    population::table(unequal, &priors[1], TEMPERATURE),
                ),
            ),
            (
                "selections",
                section("Selected negatives of a queue", &self.commands[2], compared(&self.selections)),
            ),
            ("difficulty", section("Which negatives are hard", &self.commands[6], self.difficulty.table())),
            ("loss-functions", section("Loss functions", &self.commands[3], compared(&self.losses))),
        ];
        Ok(Document { title: "How many negative samples, and which?".into(), sections })
    }

    fn figures(&self, path: &Path) -> Result<Vec<Figure>> {
        let (groups, selection) = (group(&self.bounds.rows)?, Selection::default());
        let bounds = Figure::of_bounds(
            "bounds-against-n",
            "Upper bounds of the supervised loss, and what was measured.",
            &groups,
            &selection,
        )?;
        let lines = |name: &str, caption: &str, drawing: &Lines| -> Result<Figure> {
            let svg = figure::lines(drawing, figure::Format::Svg)?;
            Ok(Figure {
                name: name.into(),
                caption: caption.into(),
                svg: String::from_utf8_lossy(&svg).into_owned(),
                png: figure::lines(drawing, figure::Format::Png)?,
            })
        };
        let fixed = lines(
            "accuracy-against-k",
            "The batch is fixed: K alone moves.",
            &against_k(&self.fixed_batch.rows)?,
        )?;
        let read = |name: &str| {
            let file = path.join("difficulty").join(name);
            std::fs::read(&file).map_err(|e| Error::io(&file, e))
        };
        let difficulty = Figure {
            name: "same-class".into(),
            caption: "Same-class share of the negatives against their difficulty.".into(),
            svg: String::from_utf8_lossy(&read("difficulty.svg")?).into_owned(),
            png: read("difficulty.png")?,
        };
        Ok(vec![bounds, fixed, difficulty])
    }
}

/// Accuracies of runs whose batch is fixed against K.
fn against_k(rows: &[LossComponents]) -> theory::Result<Lines> {
    let groups = group(rows)?;
    let series = |name: &str, measure: Quantity| {
        let point = |g: &Group<'_>| {
            let values: Option<Vec<f64>> = g.rows.iter().map(|row| row.get(measure)).collect();
            Some(((g.rows[0].num_draws.get() - 1) as f64, mean_and_deviation(&values?).mean))
        };
        Series { name: name.into(), points: groups.iter().filter_map(point).collect(), right: false }
    };
    Ok(Lines {
        title: "Accuracy against K, batch of 256".into(),
        x_label: "K negatives in the training loss".into(),
        y_label: "accuracy".into(),
        log_x: true,
        series: vec![
            series("mean classifier (head)", Quantity::MeanAccuracy),
            series("linear (head)", Quantity::LinearAccuracy),
            series("linear (encoder)", Quantity::LinearAccuracyEncoder),
        ],
        ..Lines::default()
    })
}

/// A number for a sentence: three decimals, or scientific where that says nothing.
fn shown(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        1e-3..1e4 => format!("{value:.3}"),
        _ => format!("{value:.1e}"),
    }
}

/// Mean over seeds, with the standard deviation where there are several.
fn over_seeds(values: &[f64]) -> String {
    let found = mean_and_deviation(values);
    match found.deviation {
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

    #[test]
    fn every_sweep_can_run_and_its_command_says_how() {
        for quick in [false, true] {
            for sweep in Sweep::all(quick) {
                let plan = sweep.plan(quick).unwrap();
                let split = data::load(&plan.base.data(None)).unwrap();
                plan.check(&split).unwrap();
                let command = sweep.command(quick, Path::new("runs/studies"));
                assert!(command.ends_with(&format!(" --out runs/studies/{}", sweep.name)));
                assert_eq!(command.matches(" --set ").count(), sweep.set.len(), "{command}");
                assert_eq!(command.contains("--seeds 7"), quick);
                assert_eq!(plan.base.epochs, if quick { 10 } else { 80 });
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
    }
}
