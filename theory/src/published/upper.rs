//! Every bound of the registry on the printed rows.

use super::{Row, losses, printed};
use crate::Sampling;
use crate::bounds::{self, Bound, Outcome, Standing};
use crate::error::Result;
use crate::report::{Cell, MeanAndDeviation, Section, Table};

fn cell(outcome: &Outcome, is_vacuous: impl Fn(f64) -> bool) -> Cell {
    match outcome {
        Outcome::Value(value) => {
            let estimate = MeanAndDeviation { mean: *value, deviation: None };
            if is_vacuous(*value) { Cell::Vacuous(estimate) } else { Cell::Estimate(estimate) }
        }
        Outcome::Undefined(reason) => Cell::Note(format!("undefined: {reason}")),
        Outcome::NotApplicable(reason) => Cell::Note(format!("n/a: {reason}")),
    }
}

/// Bounds that say something about at least one of these measurements.
fn telling<'a>(
    candidates: impl Iterator<Item = &'a &'static dyn Bound>,
    outcomes: impl Fn(&dyn Bound) -> Vec<Outcome>,
) -> Vec<(&'static dyn Bound, Vec<Outcome>)> {
    candidates
        .map(|&bound| (bound, outcomes(bound)))
        .filter(|(_, outcomes)| outcomes.iter().any(|o| o.value().is_some()))
        .collect()
}

pub(super) fn section(rows: &[Row], sampling: Sampling) -> Result<(&'static str, Section)> {
    let measured: Vec<_> = rows.iter().map(|row| losses(row, sampling)).collect::<Result<_>>()?;
    let columns =
        telling(bounds::all().iter(), |bound| measured.iter().map(|m| bound.upper_bound(m)).collect());
    let names = ["data set", "n = K+1", "ln C", "L_sup, estimated"].map(String::from);
    let mut table =
        Table::new(names.into_iter().chain(columns.iter().map(|(b, _)| format!("L_sup ≤ ({})", b.key()))));
    for (index, row) in rows.iter().enumerate() {
        let classes = row.dataset.num_classes;
        let mut cells = row.name_cells();
        cells.extend([printed((classes as f64).ln()), printed(row.full_sup_loss_estimate()?)]);
        cells.extend(columns.iter().map(|(_, o)| cell(&o[index], |v| bounds::is_vacuous(v, classes))));
        table.push(cells);
    }
    let (key, how) = match sampling {
        Sampling::WithReplacement => ("upper_bounds_independent", "independent draws"),
        Sampling::WithoutReplacement => ("upper_bounds_without_replacement", "draws without replacement"),
    };
    let text = format!(
        "Every bound of `theory bounds` that applies, rebuilt from the two-decimal rows with exact υ and τ of {how}. L_sup is not \
         printed: 2·(½ υ L_sup)/υ with υ without replacement, where υ ≥ 1/2, good to a few percent. A value above ln C is \
         vacuous. A bound 'as published' may lie below L_sup; here it too is given the exact υ and τ in place of counted ones (its \
         float constants stand in the section on the half-subtraction). `bao` is proved for equally frequent classes, as here."
    );
    Ok((key, Section { title: format!("Upper bounds of L_sup, {how}"), text, table }))
}

pub(super) fn lower(rows: &[Row]) -> Result<(&'static str, Section)> {
    let measured: Vec<_> =
        rows.iter().map(|row| losses(row, Sampling::WithoutReplacement)).collect::<Result<_>>()?;
    let theorems = bounds::all().iter().filter(|b| b.standing() == Standing::Theorem);
    let columns = telling(theorems, |bound| measured.iter().map(|m| bound.lower_bound(m)).collect());
    let names = ["data set", "n = K+1", "L_Info"].map(String::from);
    let mut table =
        Table::new(names.into_iter().chain(columns.iter().map(|(b, _)| format!("L_Info ≥ ({})", b.key()))));
    for (index, row) in rows.iter().enumerate() {
        let mut cells = row.name_cells();
        cells.push(printed(row.info_nce));
        cells.extend(columns.iter().map(|(_, outcomes)| cell(&outcomes[index], |_| false)));
        table.push(cells);
    }
    let text = "Lower bounds of L_Info that can be evaluated on the printed rows; all hold.".to_string();
    let broken = rows.iter().enumerate().any(|(i, row)| {
        columns.iter().any(|(_, o)| o[i].value().is_some_and(|v| v > row.info_nce + super::ROUNDING))
    });
    let text = if broken { text.replace("; all hold", "; NOT all hold") } else { text };
    Ok(("lower_bounds", Section { title: "Lower bounds of L_Info".into(), text, table }))
}
