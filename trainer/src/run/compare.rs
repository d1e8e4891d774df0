//! Runs against a reference run of the same seed: which negatives, or which loss, makes a difference.

use std::collections::HashMap;
use theory::losses::{LossComponents, Measure};
use theory::report::{Cell, Table, group, mean_and_deviation, mean_interval};

/// The accuracies that are compared.
const MEASURES: [(Measure, &str); 3] = [
    (Measure::LinearAccuracyEncoder, "linear, encoder"),
    (Measure::LinearAccuracy, "linear, head"),
    (Measure::KnnAccuracyEncoder, "kNN, encoder"),
];

/// Each group of runs that differ by seed alone beside the group of `reference`, which has the negatives and the loss of the first run of
/// the sweep: mean accuracy over seeds with its 95 % interval (Student's t), and the mean difference to the reference *of the
/// same seed*, n and t, with its own.
///
/// Seeds give the same initial weights, order and views to all runs, so that a difference within seeds varies less than the accuracies do.
/// Intervals are empty for fewer than two seeds.
pub(super) fn comparison(rows: &[LossComponents], reference: &LossComponents) -> Table {
    let headers =
        ["n = K+1", "t", "negatives", "loss", "effective K", "accuracy", "seeds", "mean", "95 % interval"];
    let mut table = Table::new(headers.into_iter().chain(["difference", "95 % interval of the difference"]));
    let is_reference =
        |row: &LossComponents| row.selection() == reference.selection() && row.run.loss == reference.run.loss;
    let key = |row: &LossComponents| (row.run.seed, row.num_draws, row.temperature.to_bits());
    for (measure, name) in MEASURES {
        let by_seed: HashMap<_, f64> = rows
            .iter()
            .filter(|row| is_reference(row))
            .filter_map(|row| Some((key(row), row.get(measure)?)))
            .collect();
        for group in group(rows) {
            let row = group.rows[0];
            let values: Vec<f64> = group.rows.iter().filter_map(|row| row.get(measure)).collect();
            if values.is_empty() {
                continue;
            }
            let pair = |row: &&LossComponents| Some(row.get(measure)? - by_seed.get(&key(row))?);
            let differences: Vec<f64> =
                if is_reference(row) { Vec::new() } else { group.rows.iter().filter_map(pair).collect() };
            let mean = |values: &[f64]| match values.is_empty() {
                true => Cell::Missing,
                false => Cell::number(mean_and_deviation(values).mean),
            };
            let interval = |values: &[f64], digits: usize| {
                mean_interval(values).map_or(Cell::Missing, |interval| {
                    Cell::Decimal(format!("{:.digits$} to {:.digits$}", interval.low, interval.high))
                })
            };
            table.push(vec![
                Cell::Integer(row.num_draws.get() as i64),
                Cell::number(row.temperature),
                Cell::text(row.selection().unwrap_or("all")),
                Cell::text(&row.run.loss),
                row.run.effective_negatives.map_or(Cell::Missing, |k| Cell::Integer(k as i64)),
                Cell::text(name),
                Cell::Integer(values.len() as i64),
                mean(&values),
                interval(&values, 3),
                mean(&differences),
                interval(&differences, 4),
            ]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use theory::losses::Estimate;
    use theory::report::Format;
    use theory::{NumDraws, Sampling};

    #[test]
    fn differences_are_within_seeds() {
        let row = |loss: &str, seed, accuracy| {
            let draws = NumDraws::new(64).unwrap();
            let mut row = LossComponents::new(10, draws, 0.5, Sampling::WithoutReplacement).unwrap();
            (row.run.loss, row.run.seed) = (loss.into(), Some(seed));
            row.set(Measure::LinearAccuracyEncoder, Estimate::exact(accuracy)).unwrap();
            row
        };
        // Seeds differ by 0.2, the losses by 0.01 to 0.03 within each.
        let rows = [
            row("nt_xent", 7, 0.5),
            row("nt_xent", 11, 0.7),
            row("dcl", 11, 0.73),
            row("dcl", 7, 0.51),
            row("dcl", 13, 0.9),
        ];
        let text = comparison(&rows, &rows[0]).to_text(Format::Csv);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[1].contains("dcl") && lines[1].contains(",3,"), "{text}");
        // 0.02 ± 12.706 · 0.01: seed 13 has no reference.
        assert!(lines[1].contains(",0.02") && lines[1].ends_with("-0.1071 to 0.1471"), "{text}");
        assert!(lines[2].contains("nt_xent") && lines[2].ends_with(",,"), "{text}");
    }
}
