//! `losses.csv` in and out. Every error names the file, the line and the column.

use super::{Estimate, LossComponents, Positives, Quantity, RunInfo};
use crate::error::{Error, Place, Result};
use crate::files;
use crate::sampling::{NumDraws, Sampling};
use std::path::Path;
use std::str::FromStr;

const PAIRED_PREFIX: &str = "info_nce_minus_";
const SE_SUFFIX: &str = "_se";

/// Columns that are no measures, in the order of the file.
const DESCRIPTION: &[&str] = &[
    "run_id",
    "dataset",
    "encoder",
    "head",
    "loss",
    "seed",
    "epochs",
    "batch_size",
    "train_negatives",
    "effective_negatives",
    "num_classes",
    "class_counts",
    "num_draws",
    "temperature",
    "sampling",
    "positives",
    "num_batches",
    "fbar_views",
    "class_sup_loss",
];

/// Columns without which no row means anything.
const REQUIRED: &[&str] = &["num_classes", "num_draws", "temperature", "sampling"];

/// The largest `losses.csv` that is read, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// Reads a `losses.csv`.
///
/// # Errors
/// Unreadable file; a missing or doubled column; a cell that is no number, not finite or outside its domain; a cut
/// row. The message names the line and the column.
pub fn read(path: &Path) -> Result<Vec<LossComponents>> {
    read_from(&files::read_text(path, MAX_BYTES)?, &path.display().to_string())
}

/// [`read`] from a text; `name` stands in error messages.
///
/// # Errors
/// As for `read`.
pub fn read_from(text: &str, name: &str) -> Result<Vec<LossComponents>> {
    let at = |line: u64, column: Option<&str>, message: String| {
        Error::data(Place { file: name.into(), line: Some(line), column: column.map(Into::into) }, message)
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let csv_error = |e: csv::Error| {
        let line = e.position().map_or(1, csv::Position::line);
        at(line, None, e.to_string())
    };
    let headers = reader.headers().map_err(csv_error)?.clone();
    let mut seen = std::collections::BTreeSet::new();
    for header in &headers {
        if !seen.insert(header) {
            return Err(at(1, Some(header), "the column stands twice in the header".into()));
        }
    }
    if let Some(missing) = REQUIRED.iter().find(|name| !seen.contains(**name)) {
        return Err(at(1, Some(missing), "the column is missing from the header".into()));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(csv_error)?;
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != headers.len() {
            let column = headers.get(record.len()).unwrap_or("beyond the header");
            let message = format!("{} fields where the header has {}", record.len(), headers.len());
            return Err(at(line, Some(column), message));
        }
        let cells = headers.iter().zip(record.iter().map(str::trim));
        rows.push(parse_row(cells.collect()).map_err(|(column, e)| at(line, Some(&column), e.to_string()))?);
    }
    if !text.ends_with('\n') {
        let line = text.lines().count() as u64;
        return Err(at(
            line,
            headers.iter().next_back(),
            "the last line has no line break: the file seems cut off".into(),
        ));
    }
    if rows.is_empty() {
        return Err(at(1, None, "the file has a header but no row".into()));
    }
    Ok(rows)
}

type ColumnError = (String, Error);

struct Cells<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Cells<'a> {
    /// The cell's text, unless the column is absent or the cell empty.
    fn text(&self, column: &str) -> Option<&'a str> {
        self.0.iter().find(|(name, _)| *name == column).map(|&(_, cell)| cell).filter(|cell| !cell.is_empty())
    }

    fn parse<T: FromStr>(&self, column: &str, what: &str) -> std::result::Result<Option<T>, ColumnError> {
        self.text(column).map(|cell| parse_cell(column, cell, what)).transpose()
    }

    fn require<T: FromStr>(&self, column: &str, what: &str) -> std::result::Result<T, ColumnError> {
        self.parse(column, what)?.ok_or_else(|| (column.into(), Error::argument("the cell is empty")))
    }

    fn list<T: FromStr>(&self, column: &str, what: &str) -> std::result::Result<Option<Vec<T>>, ColumnError> {
        self.text(column)
            .map(|cell| cell.split(';').map(|part| parse_cell(column, part.trim(), what)).collect())
            .transpose()
    }
}

fn parse_cell<T: FromStr>(column: &str, cell: &str, what: &str) -> std::result::Result<T, ColumnError> {
    cell.parse().map_err(|_| (column.to_string(), Error::argument(format!("'{cell}' is not {what}"))))
}

const INTEGER: &str = "a non-negative integer";
const NUMBER: &str = "a number";

fn parse_row(cells: Vec<(&str, &str)>) -> std::result::Result<LossComponents, ColumnError> {
    let cells = Cells(cells);
    let on = |column: &str| {
        let column = column.to_string();
        move |e: Error| (column, e)
    };
    let draws = NumDraws::new(cells.require("num_draws", INTEGER)?).map_err(on("num_draws"))?;
    let sampling: String = cells.require("sampling", "a name")?;
    let sampling = Sampling::from_str(&sampling).map_err(on("sampling"))?;
    let num_classes: u64 = cells.require("num_classes", INTEGER)?;
    if num_classes == 0 {
        return Err(("num_classes".into(), Error::argument("0 is not a positive integer")));
    }
    let temperature = cells.require("temperature", NUMBER)?;
    let mut row =
        LossComponents::new(num_classes, draws, temperature, sampling).map_err(on("temperature"))?;
    let text = |column: &str| cells.text(column).unwrap_or_default().to_string();
    row.run = RunInfo {
        run_id: text("run_id"),
        dataset: text("dataset"),
        encoder: text("encoder"),
        head: text("head"),
        loss: text("loss"),
        seed: cells.parse("seed", INTEGER)?,
        epochs: cells.parse("epochs", INTEGER)?,
        batch_size: cells.parse("batch_size", INTEGER)?,
        train_negatives: cells.parse("train_negatives", INTEGER)?,
        effective_negatives: cells.parse("effective_negatives", NUMBER)?,
    };
    if let Some(name) = cells.text("positives") {
        row.positives = Positives::from_str(name).map_err(on("positives"))?;
    }
    row.num_batches = cells.parse("num_batches", INTEGER)?;
    row.fbar_views = cells.parse("fbar_views", INTEGER)?;
    row.class_counts = cells.list("class_counts", INTEGER)?;
    row.class_sup_loss = cells.list("class_sup_loss", NUMBER)?;
    let lengths = [
        ("class_counts", row.class_counts.as_ref().map(Vec::len)),
        ("class_sup_loss", row.class_sup_loss.as_ref().map(Vec::len)),
    ];
    for (column, length) in lengths {
        if let Some(length) = length.filter(|&length| length as u64 != num_classes) {
            let message = format!("{length} values where num_classes is {num_classes}");
            return Err((column.into(), Error::argument(message)));
        }
    }
    if let Some(counts) = &row.class_counts {
        crate::ClassPrior::from_counts(counts.clone()).map_err(on("class_counts"))?;
    }
    if let Some(losses) = &row.class_sup_loss
        && let Some(bad) = losses.iter().find(|v| !(v.is_finite() && **v >= 0.0))
    {
        return Err((
            "class_sup_loss".into(),
            Error::argument(format!("{bad} is not a number of at least 0")),
        ));
    }
    if let Some(bad) = row.run.effective_negatives.filter(|v| !(v.is_finite() && *v >= 0.0)) {
        return Err((
            "effective_negatives".into(),
            Error::argument(format!("{bad} is not a number of at least 0")),
        ));
    }
    if row.num_batches == Some(0) {
        return Err(("num_batches".into(), Error::argument("0 is not a positive integer")));
    }
    for &(column, cell) in &cells.0 {
        if cell.is_empty() || DESCRIPTION.contains(&column) {
            continue;
        }
        let stem = column.strip_suffix(SE_SUFFIX).unwrap_or(column);
        let key = stem.strip_prefix(PAIRED_PREFIX);
        let measure = Quantity::from_name(stem);
        if measure.is_none() && key.is_none() {
            row.extra.push((column.to_string(), cell.to_string()));
            continue;
        }
        if stem != column {
            if cells.text(stem).is_none() {
                return Err((
                    column.into(),
                    Error::argument(format!("a standard error without its mean {stem}")),
                ));
            }
            continue;
        }
        let mean: f64 = parse_cell(column, cell, NUMBER)?;
        let standard_error: Option<f64> = cells.parse(&format!("{column}{SE_SUFFIX}"), NUMBER)?;
        let estimate = Estimate { mean, standard_error };
        match (measure, key) {
            (Some(measure), _) => row.set(measure, estimate).map_err(on(column))?,
            (None, Some(_))
                if !mean.is_finite() || standard_error.is_some_and(|e| !(e.is_finite() && e >= 0.0)) =>
            {
                return Err((column.into(), Error::argument(format!("{cell} is not a finite number"))));
            }
            (None, key) => drop(row.paired.insert(key.unwrap_or_default().to_string(), estimate)),
        }
    }
    Ok(row)
}

/// Writes rows as `losses.csv`, atomically: the old file stays until the new one is complete.
///
/// # Errors
/// The operating system refuses.
pub fn write(path: &Path, rows: &[LossComponents]) -> Result<()> {
    files::write_atomically(path, write_to(rows).as_bytes())
}

/// The text of `losses.csv`: known columns that any row has, then paired differences, then unknown columns.
pub fn write_to(rows: &[LossComponents]) -> String {
    let cells: Vec<Vec<(String, String)>> = rows.iter().map(row_cells).collect();
    let mut columns: Vec<String> = DESCRIPTION.iter().map(ToString::to_string).collect();
    for measure in Quantity::ALL {
        columns.extend([measure.to_string(), format!("{measure}{SE_SUFFIX}")]);
    }
    for (name, _) in cells.iter().flatten() {
        if !columns.contains(name) {
            columns.push(name.clone());
        }
    }
    columns.retain(|c| REQUIRED.contains(&c.as_str()) || cells.iter().flatten().any(|(name, _)| name == c));
    let mut writer = csv::Writer::from_writer(Vec::new());
    let lookup = |row: &[(String, String)], column: &str| {
        row.iter().find(|(name, _)| name == column).map_or(String::new(), |(_, value)| value.clone())
    };
    // Writing to memory cannot fail.
    let _ = writer.write_record(&columns);
    for row in &cells {
        let _ = writer.write_record(columns.iter().map(|c| lookup(row, c)));
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

fn row_cells(row: &LossComponents) -> Vec<(String, String)> {
    let mut cells: Vec<(String, String)> = Vec::new();
    let mut put = |name: &str, value: String| {
        if !value.is_empty() {
            cells.push((name.to_string(), value));
        }
    };
    let integer = |v: Option<u64>| v.map_or(String::new(), |v| v.to_string());
    let join = |v: Vec<String>| v.join(";");
    let run = &row.run;
    put("run_id", run.run_id.clone());
    put("dataset", run.dataset.clone());
    put("encoder", run.encoder.clone());
    put("head", run.head.clone());
    put("loss", run.loss.clone());
    put("seed", integer(run.seed));
    put("epochs", integer(run.epochs));
    put("batch_size", integer(run.batch_size));
    put("train_negatives", integer(run.train_negatives));
    put("effective_negatives", run.effective_negatives.map_or(String::new(), |v| v.to_string()));
    put("num_classes", row.num_classes.to_string());
    put("class_counts", row.class_counts.iter().flatten().map(u64::to_string).collect::<Vec<_>>().join(";"));
    put("num_draws", row.num_draws.to_string());
    put("temperature", row.temperature.to_string());
    put("sampling", row.sampling.to_string());
    if row.positives != Positives::default() {
        put("positives", row.positives.name().to_string());
    }
    put("num_batches", integer(row.num_batches));
    put("fbar_views", integer(row.fbar_views));
    put("class_sup_loss", join(row.class_sup_loss.iter().flatten().map(|v| number(*v)).collect()));
    let estimates = row.measures.iter().map(|(m, e)| (m.to_string(), e));
    let paired = row.paired.iter().map(|(key, e)| (format!("{PAIRED_PREFIX}{key}"), e));
    for (name, estimate) in estimates.chain(paired) {
        put(&name, number(estimate.mean));
        if let Some(error) = estimate.standard_error {
            put(&format!("{name}{SE_SUFFIX}"), number(error));
        }
    }
    for (name, value) in &row.extra {
        put(name, value.clone());
    }
    cells
}

/// The shortest text that reads back as the same number.
fn number(value: f64) -> String {
    format!("{value:?}")
}
