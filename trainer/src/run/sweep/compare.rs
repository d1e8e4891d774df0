//! Runs against a reference run of the same seed: which negatives, or which loss, makes a difference.

use super::accuracy::TOLD;
use std::collections::HashMap;
use theory::losses::{Group, LossComponents, Quantity, group};
use theory::report::{Cell, Table, descriptive, mean_and_deviation, mean_interval};

/// The accuracies that are compared.
const MEASURES: [(Quantity, &str); 3] = [
    (Quantity::LinearAccuracyEncoder, "linear, encoder"),
    (Quantity::LinearAccuracy, "linear, head"),
    (Quantity::KnnAccuracyEncoder, "kNN, encoder"),
];

/// Each group of runs that differ by seed alone beside the group of `reference`, which has the negatives and the loss
/// of the first run of the sweep, and beside the control of as many negatives at random, where the sweep has one: mean
/// accuracy over seeds with its 95 % interval (Student's t), and the mean differences to the runs *of the same seed*, n
/// and t, each with its own.
///
/// `others` names the settings of a row beside negatives and loss: only runs that agree in them are compared.
///
/// Seeds give the same initial weights, order and views to all runs of one n, so that a difference within seeds should
/// vary less than the accuracies do. The control is the group with a selection `random:…` whose effective K is the
/// same, or one off: `random:95%` keeps ⌊0.95 K⌋, `easiest:95%` ⌈0.95 K⌉. Intervals are empty for fewer than two seeds.
pub(super) fn comparison(
    rows: &[LossComponents],
    reference: &LossComponents,
    others: &dyn Fn(&LossComponents) -> String,
) -> theory::Result<Table> {
    let groups = group(rows)?;
    let told = ["dataset", "encoder"];
    let is_new = |name: &str| told.contains(&name) || !TOLD.contains(&name);
    let shown: Vec<_> =
        groups.differing_beside_draws().into_iter().filter(|column| is_new(column.name)).collect();
    let mut headers: Vec<String> = ["n = K+1", "t", "negatives", "loss"].map(String::from).to_vec();
    headers.extend(shown.iter().map(|column| column.heading.to_string()));
    headers.extend(["effective K", "accuracy", "seeds", "mean", "95 % interval"].map(String::from));
    let is_random = |row: &LossComponents| row.selection().is_some_and(|name| name.starts_with("random:"));
    let has_control = groups.iter().any(|group| is_random(group.rows[0]));
    for other in ["first", "random"].into_iter().take(1 + usize::from(has_control)) {
        headers.extend([format!("minus {other}"), format!("95 % interval of minus {other}")]);
    }
    let mut table = Table::new(headers);
    let same =
        |a: &LossComponents, b: &LossComponents| a.selection() == b.selection() && a.run.loss == b.run.loss;
    let place = |row: &LossComponents| (row.num_draws, row.temperature.to_bits(), others(row));
    for (measure, name) in MEASURES {
        for group in groups.iter() {
            let row = group.rows[0];
            let values: Vec<f64> = group.rows.iter().filter_map(|row| row.get(measure)).collect();
            if values.is_empty() {
                continue;
            }
            let first = groups.iter().find(|g| same(g.rows[0], reference) && place(g.rows[0]) == place(row));
            let near =
                |other: &LossComponents| match (other.run.effective_negatives, row.run.effective_negatives) {
                    (Some(other), Some(own)) => (other - own).abs() <= 1.0,
                    _ => false,
                };
            let control = groups.iter().find(|g| {
                let other = g.rows[0];
                let fits = is_random(other) && other.run.loss == row.run.loss && place(other) == place(row);
                !is_random(row) && row.selection().is_some() && fits && near(other)
            });
            let differences = |other: Option<&Group<'_>>| -> Vec<f64> {
                let Some(other) = other.filter(|other| !same(other.rows[0], row)) else { return Vec::new() };
                let of_seed: HashMap<_, f64> =
                    other.rows.iter().filter_map(|row| Some((row.run.seed, row.get(measure)?))).collect();
                let pair = |row: &&LossComponents| Some(row.get(measure)? - of_seed.get(&row.run.seed)?);
                group.rows.iter().filter_map(pair).collect()
            };
            let mut cells = vec![
                Cell::Integer(row.num_draws.get() as i64),
                Cell::number(row.temperature),
                Cell::text(row.selection().unwrap_or("all")),
                Cell::text(&row.run.loss),
            ];
            cells.extend(descriptive(&shown, row));
            cells.extend([
                row.run.effective_negatives.map_or(Cell::Missing, |k| Cell::Integer(k as i64)),
                Cell::text(name),
                Cell::Integer(values.len() as i64),
                mean(&values),
                interval(&values, 3),
            ]);
            for other in [first, control].into_iter().take(1 + usize::from(has_control)) {
                let differences = differences(other);
                cells.extend([mean(&differences), interval(&differences, 4)]);
            }
            table.push(cells);
        }
    }
    Ok(table)
}

fn mean(values: &[f64]) -> Cell {
    match values.is_empty() {
        true => Cell::Missing,
        false => Cell::number(mean_and_deviation(values).mean),
    }
}

fn interval(values: &[f64], digits: usize) -> Cell {
    mean_interval(values).map_or(Cell::Missing, |interval| {
        Cell::Decimal(format!("{:.digits$} to {:.digits$}", interval.low, interval.high))
    })
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
            row.set(Quantity::LinearAccuracyEncoder, Estimate::exact(accuracy)).unwrap();
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
        let text = comparison(&rows, &rows[0], &|_| String::new()).unwrap().to_text(Format::Csv);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[1].contains("dcl") && lines[1].contains(",3,"), "{text}");
        // 0.02 ± 12.706 · 0.01: seed 13 has no reference.
        assert!(lines[1].contains(",0.02") && lines[1].ends_with("-0.1071 to 0.1471"), "{text}");
        assert!(lines[2].contains("nt_xent") && lines[2].ends_with(",,"), "{text}");
    }

    #[test]
    fn a_selection_stands_beside_as_many_at_random() {
        let row = |selection: Option<&str>, kept: f64, seed, accuracy| {
            let draws = NumDraws::new(64).unwrap();
            let mut row = LossComponents::new(10, draws, 0.5, Sampling::WithoutReplacement).unwrap();
            (row.run.seed, row.run.effective_negatives) = (Some(seed), Some(kept));
            row.run.selection = selection.unwrap_or_default().to_string();
            row.set(Quantity::LinearAccuracyEncoder, Estimate::exact(accuracy)).unwrap();
            row
        };
        let rows: Vec<LossComponents> = [(7, 0.0), (11, 0.1)]
            .into_iter()
            .flat_map(|(seed, up)| {
                [
                    row(None, 512.0, seed, 0.8 + up),
                    row(Some("hardest:5%"), 25.0, seed, 0.7 + up),
                    row(Some("random:5%"), 25.0, seed, 0.75 + up),
                    row(Some("easiest:95%"), 487.0, seed, 0.6 + up),
                    row(Some("random:95%"), 486.0, seed, 0.79 + up),
                ]
            })
            .collect();
        let text = comparison(&rows, &rows[0], &|_| String::new()).unwrap().to_text(Format::Csv);
        let of = |name: &str| text.lines().find(|line| line.contains(name)).unwrap().to_string();
        assert!(of("hardest:5%").contains("-0.1000 to -0.1000,-0.05"), "{text}");
        assert!(of("easiest:95%").contains("-0.2000 to -0.2000,-0.19"), "{text}");
        assert!(of("random:5%").ends_with("-0.0500 to -0.0500,,"), "{text}");
        assert!(of(",all,").ends_with(",,,,"), "{text}");
    }
}
