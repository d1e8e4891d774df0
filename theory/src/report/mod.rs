//! Tables and figures of bounds against K, from measured `LossComponents`.
//!
//! [`write`] makes a folder: `report.html` (one file, figure inline), `bounds.svg`, `losses.csv`, `bounds.csv`,
//! `bounds.md`.

mod aggregate;
mod checks;
mod figure;
pub mod files;
mod html;
mod table;

pub use aggregate::{Group, MeanAndDeviation, group, mean_and_deviation};
pub use checks::{BinomialCheck, binomial_two_sided, checks, checks_table, margins_table};
pub use figure::bounds_against_draws;
pub use html::page;
pub use table::{Cell, Format, Table};

use crate::bounds;
use crate::error::{Error, Result};
use crate::losses::{self, LossComponents, Measure};
use std::path::Path;

/// A titled table that stands in the report beside the bounds.
#[derive(Debug, Clone)]
pub struct Section {
    /// Heading.
    pub title: String,
    /// One paragraph that says what the table shows.
    pub text: String,
    /// The table.
    pub table: Table,
}

/// Every bound per number of draws, aggregated over seeds: mean ± standard deviation.
pub fn bounds_table(rows: &[LossComponents]) -> Table {
    let mut headers =
        vec!["dataset", "encoder", "train K", "n = K+1", "seeds", "L_Info", "d(f)", "E ln(1+Col)"];
    headers.extend(["υ exact", "τ exact", "L_sup"]);
    let mut headers: Vec<String> = headers.into_iter().map(String::from).collect();
    let lower: Vec<_> = bounds::all().iter().filter(|b| b.standing() == bounds::Standing::Theorem).collect();
    headers.extend(lower.iter().map(|b| format!("L_Info ≥ ({})", b.key())));
    let upper: Vec<_> = bounds::all().iter().filter(|b| b.key() != "master").collect();
    headers.extend(upper.iter().map(|b| format!("L_sup ≤ ({})", b.key())));
    headers.extend(["mean acc.", "linear acc.", "kNN acc."].map(String::from));
    let mut table = Table::new(headers);
    for group in group(rows) {
        let first = group.rows[0];
        let measure = |m: Measure| statistic(&group, |row| row.get(m));
        let mut cells = vec![
            Cell::text(&first.run.dataset),
            Cell::text(&first.run.encoder),
            first.run.train_negatives.map_or(Cell::Missing, |k| Cell::Integer(k as i64)),
            Cell::Integer(first.num_draws.get() as i64),
            Cell::Integer(group.rows.len() as i64),
            measure(Measure::InfoNce),
            measure(Measure::Gap),
            measure(Measure::Log1pCollisions),
            measure(Measure::CoverageExact),
            measure(Measure::CollisionExact),
            measure(Measure::FullSupLoss),
        ];
        cells.extend(lower.iter().map(|b| bound_cell(&group, |row| b.lower_bound(row), false)));
        cells.extend(upper.iter().map(|b| bound_cell(&group, |row| b.upper_bound(row), true)));
        cells.extend([Measure::MeanAccuracy, Measure::LinearAccuracy, Measure::KnnAccuracy].map(measure));
        table.push(cells);
    }
    table
}

fn statistic(group: &Group<'_>, of: impl Fn(&LossComponents) -> Option<f64>) -> Cell {
    let values: Option<Vec<f64>> = group.rows.iter().map(|row| of(row)).collect();
    values.map_or(Cell::Missing, |values| Cell::Estimate(mean_and_deviation(&values)))
}

fn bound_cell(group: &Group<'_>, of: impl Fn(&LossComponents) -> bounds::Outcome, upper: bool) -> Cell {
    let outcomes: Vec<_> = group.rows.iter().map(|row| of(row)).collect();
    let values: Option<Vec<f64>> = outcomes.iter().map(bounds::Outcome::value).collect();
    match values {
        Some(values) => {
            let value = mean_and_deviation(&values);
            let vacuous = upper && bounds::is_vacuous(value.mean, group.rows[0].num_classes);
            if vacuous { Cell::Vacuous(value) } else { Cell::Estimate(value) }
        }
        None => {
            let outcome = outcomes.iter().find(|o| o.value().is_none());
            match outcome {
                Some(bounds::Outcome::Undefined(reason)) => Cell::Note(format!("undefined: {reason}")),
                Some(o) => Cell::Note(format!("n/a: {}", o.reason())),
                None => Cell::Missing,
            }
        }
    }
}

/// The two sections that any measurement can have: counted against exact frequencies, and paired margins.
pub fn standard_sections(rows: &[LossComponents]) -> Vec<Section> {
    let sections = [
        Section {
            title: "Counted against exact".into(),
            text: "Counted frequencies beside the exact probabilities of the sampling that was used, with a two-sided \
                   exact binomial test over batches; a p-value below 1e-4 is flagged."
                .into(),
            table: checks_table(rows),
        },
        Section {
            title: "Do the lower bounds of L_Info hold?".into(),
            text: "L_Info minus each bound's right-hand side, paired batch by batch. A theorem's difference is positive."
                .into(),
            table: margins_table(rows),
        },
    ];
    sections.into_iter().filter(|s| !s.table.rows().is_empty()).collect()
}

/// Writes the report on `rows` into `folder`, which must exist.
///
/// # Errors
/// No rows; the figure cannot be drawn; the operating system refuses to write.
pub fn write(folder: &Path, title: &str, rows: &[LossComponents], sections: &[Section]) -> Result<()> {
    if rows.is_empty() {
        return Err(Error::argument("a report needs at least one row of losses"));
    }
    let figure = bounds_against_draws(rows)?;
    let table = bounds_table(rows);
    let markdown = std::iter::once(format!("# {title}\n\n{}", table.to_text(Format::Markdown)))
        .chain(
            sections
                .iter()
                .map(|s| format!("## {}\n\n{}\n\n{}", s.title, s.text, s.table.to_text(Format::Markdown))),
        )
        .collect::<Vec<_>>()
        .join("\n");
    let html = page(title, &figure, rows, &table, sections);
    losses::write(&folder.join("losses.csv"), rows)?;
    let outputs = [
        ("bounds.svg", figure),
        ("bounds.csv", table.to_text(Format::Csv)),
        ("bounds.md", markdown),
        ("report.html", html),
    ];
    for (name, content) in outputs {
        files::write_atomically(&folder.join(name), content.as_bytes())?;
    }
    Ok(())
}
