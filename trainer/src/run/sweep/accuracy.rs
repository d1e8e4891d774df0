//! The table of accuracies: trained, supervised, untrained, raw pixels.

use super::baselines::{Baseline, BaselineKind};
use crate::error::Result;
use crate::run::{Accuracies, Config};
use std::collections::BTreeSet;
use std::path::Path;
use theory::losses::{self, LossComponents, Quantity};
use theory::report::{self, Cell, Table};

const CLASSIFIERS: [&str; 3] = ["mean classifier", "linear probe", "kNN"];

/// A column that tells runs apart, where they differ in it.
struct Axis {
    heading: &'static str,
    of: fn(&LossComponents) -> &str,
}

const AXES: [Axis; 4] = [
    Axis { heading: "data", of: |row| &row.run.dataset },
    Axis { heading: "encoder", of: |row| &row.run.encoder },
    Axis { heading: "negatives", of: |row| row.selection().unwrap_or("all") },
    Axis { heading: "loss", of: |row| &row.run.loss },
];

/// Columns of `losses.csv` that stand in the table already.
pub(super) const TOLD: [&str; 8] = [
    "temperature",
    "dataset",
    "encoder",
    "loss",
    "selection",
    "negatives",
    "train_negatives",
    "effective_negatives",
];

/// How many values an axis has in these rows.
pub(super) fn count_values(rows: &[LossComponents], of: fn(&LossComponents) -> &str) -> usize {
    rows.iter().map(of).collect::<BTreeSet<_>>().len()
}

/// The negatives of a row.
pub(super) fn negatives(row: &LossComponents) -> &str {
    (AXES[2].of)(row)
}

/// The loss of a row.
pub(super) fn loss(row: &LossComponents) -> &str {
    (AXES[3].of)(row)
}

/// The baselines of a group of runs that differ by seed alone.
struct Compared {
    label: &'static str,
    dataset: String,
    encoder: String,
    /// For each seed those of each kind of features.
    of_seeds: Vec<Vec<Accuracies>>,
}

/// One line for each representation of each group of runs that differ by seed alone: mean ± standard deviation over
/// seeds. What the folder of the sweep does not hold yet has no line.
///
/// # Errors
/// Rows that cannot stand side by side; the operating system refuses to read.
pub(super) fn accuracy_table(
    sweep: &Path,
    configs: &[&Config],
    rows: &[LossComponents],
    references: &[LossComponents],
) -> Result<Table> {
    let (trained, supervised) = (losses::group(rows)?, losses::group(references)?);
    let axes: Vec<&Axis> = AXES.iter().filter(|axis| count_values(rows, axis.of) > 1).collect();
    let others = trained.differing_beside_draws();
    let others: Vec<_> = others.into_iter().filter(|column| !TOLD.contains(&column.name)).collect();
    let headers = ["representation", "n = K+1", "t"].into_iter().chain(axes.iter().map(|axis| axis.heading));
    let headers = headers.chain(others.iter().map(|column| column.heading));
    let mut table = Table::new(headers.chain(["features", "seeds"]).chain(CLASSIFIERS));
    let mut push = |what: &str, told: Vec<Cell>, layer: &str, values: &[Accuracies]| {
        let cell = |of: fn(&Accuracies) -> f64| {
            Cell::Estimate(report::mean_and_deviation(&values.iter().map(of).collect::<Vec<_>>()))
        };
        let count = Cell::Integer(values.len() as i64);
        let mut line = vec![Cell::text(what)];
        line.extend(told);
        line.extend([Cell::text(layer), count, cell(|a| a.mean), cell(|a| a.linear), cell(|a| a.knn)]);
        table.push(line);
    };
    let trained = trained.iter().map(|group| ("trained", group));
    let supervised = supervised.iter().map(|group| ("supervised", group));
    // What is compared with has a place on the axes of data and encoder alone.
    let baseline = |dataset: &str, encoder: &str| -> Vec<Cell> {
        let known = |axis: &&Axis| match axis.heading {
            "data" => Cell::text(dataset),
            "encoder" if !encoder.is_empty() => Cell::text(encoder),
            _ => Cell::Missing,
        };
        let told = [Cell::Missing, Cell::Missing].into_iter().chain(axes.iter().map(known));
        told.chain(others.iter().map(|_| Cell::Missing)).collect()
    };
    for (what, group) in trained.chain(supervised) {
        let of = |mean, linear, knn| -> Option<Vec<Accuracies>> {
            let one = |row: &&LossComponents| {
                Some(Accuracies { mean: row.get(mean)?, linear: row.get(linear)?, knn: row.get(knn)? })
            };
            group.rows.iter().map(one).collect()
        };
        let row = group.rows[0];
        let told = || -> Vec<Cell> {
            if what != "trained" {
                return baseline(&row.run.dataset, &row.run.encoder);
            }
            let place = [Cell::Integer(row.num_draws.get() as i64), Cell::number(row.temperature)];
            let axes = axes.iter().map(|axis| Cell::text((axis.of)(row)));
            place.into_iter().chain(axes).chain(report::descriptive(&others, row)).collect()
        };
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
                push(what, told(), layer, &values);
            }
        }
    }
    for Compared { label, dataset, encoder, of_seeds } in compared(sweep, configs)? {
        let layers: &[&str] = if label == "untrained" { &["head", "encoder"] } else { &["pixels"] };
        for (index, layer) in layers.iter().enumerate() {
            let values: Vec<Accuracies> = of_seeds.iter().filter_map(|of| of.get(index).copied()).collect();
            if values.is_empty() {
                continue;
            }
            push(label, baseline(&dataset, &encoder), layer, &values);
        }
    }
    Ok(table)
}

/// The baselines of all runs: those of the encoders in the order of the runs, then those of pixels.
fn compared(sweep: &Path, configs: &[&Config]) -> Result<Vec<Compared>> {
    let (mut found, mut places) = (Vec::<Compared>::new(), Vec::<(BaselineKind, String)>::new());
    let mut seen = BTreeSet::new();
    for kind in [BaselineKind::Untrained, BaselineKind::Pixels] {
        for config in configs {
            let Some(baseline) = Baseline::all_of(config).into_iter().find(|found| found.kind == kind) else {
                continue;
            };
            let name = baseline.name();
            if !seen.insert(name.clone()) {
                continue;
            }
            let Some(accuracies) = baseline.read(sweep)? else { continue };
            // Those of an encoder differ by seed alone; those of pixels have none.
            let group = match kind {
                BaselineKind::Untrained => baseline.config.settings_id(),
                BaselineKind::Pixels => name,
            };
            let place =
                places.iter().position(|place| *place == (kind, group.clone())).unwrap_or_else(|| {
                    places.push((kind, group));
                    let label = if kind == BaselineKind::Untrained { "untrained" } else { "raw pixels" };
                    let has_encoder = kind == BaselineKind::Untrained;
                    let encoder = if has_encoder { config.encoder.name().to_string() } else { String::new() };
                    let dataset = config.dataset.clone();
                    found.push(Compared { label, dataset, encoder, of_seeds: Vec::new() });
                    found.len() - 1
                });
            found[place].of_seeds.push(accuracies);
        }
    }
    Ok(found)
}
