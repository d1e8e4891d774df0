//! The table of accuracies: trained, supervised, untrained, raw pixels.

use crate::data::Split;
use crate::error::Result;
use crate::run::{Accuracies, Config, Plan, Session, evaluate, run_jobs};
use theory::losses::{self, LossComponents, Quantity};
use theory::report::{self, Cell, Table};

const CLASSIFIERS: [&str; 3] = ["mean classifier", "linear probe", "kNN"];

/// One line for each representation of each group of runs that differ by seed alone: mean ± standard deviation over
/// seeds.
pub(super) fn accuracy_table(
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
    let (trained, supervised) = (losses::group(rows)?, losses::group(references)?);
    let trained = trained.iter().map(|group| ("trained", group));
    let supervised = supervised.iter().map(|group| ("supervised", group));
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
