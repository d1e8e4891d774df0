//! Whether two files of results say the same:
//! `cargo run --release -p trainer --example compare_results -- OLD.csv NEW.csv`.
//!
//! Rows are matched by run_id, n = K+1 and t. Every column of the old file must stand in the new one with the same text
//! in every row; columns that are new are listed. Exit code 1 where something differs, with the first differences and
//! the largest relative one.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// The columns that tell the rows of a file apart.
const KEY: [&str; 3] = ["run_id", "num_draws", "temperature"];
/// Differences that are shown.
const SHOWN: usize = 10;

/// A file: its columns, and its rows by key, each with its cells by column.
struct Results {
    columns: Vec<String>,
    rows: BTreeMap<Vec<String>, BTreeMap<String, String>>,
}

fn read(path: &str) -> Result<Results> {
    let mut reader = csv::Reader::from_path(path).with_context(|| path.to_string())?;
    let columns: Vec<String> =
        reader.headers().with_context(|| path.to_string())?.iter().map(Into::into).collect();
    if let Some(missing) = KEY.iter().find(|name| !columns.iter().any(|column| column == *name)) {
        bail!("{path}: there is no column {missing}");
    }
    let mut rows = BTreeMap::new();
    for record in reader.records() {
        let record = record.with_context(|| path.to_string())?;
        let cells = columns.iter().cloned().zip(record.iter().map(String::from));
        let cells: BTreeMap<String, String> = cells.collect();
        let key: Vec<String> = KEY.iter().map(|name| cells[*name].clone()).collect();
        if rows.insert(key.clone(), cells).is_some() {
            bail!("{path}: two rows of {}", key.join(", "));
        }
    }
    Ok(Results { columns, rows })
}

/// |a − b| over the larger magnitude, where both are numbers.
fn relative(a: &str, b: &str) -> Option<f64> {
    let (a, b): (f64, f64) = (a.parse().ok()?, b.parse().ok()?);
    let scale = a.abs().max(b.abs());
    Some(if scale == 0.0 { 0.0 } else { (a - b).abs() / scale })
}

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [old, new] = &arguments[..] else { bail!("usage: compare_results OLD.csv NEW.csv") };
    let (before, after) = (read(old)?, read(new)?);
    let mut differences = Vec::new();
    let mut largest = 0f64;
    for (key, row) in &before.rows {
        let name = key.join(", ");
        let Some(found) = after.rows.get(key) else {
            differences.push(format!("{name}: the row is missing"));
            continue;
        };
        for column in &before.columns {
            let (there, here) = (&row[column], found.get(column));
            if here != Some(there) {
                let here = here.map_or("no column", String::as_str);
                largest = largest.max(relative(there, here).unwrap_or(0.0));
                differences.push(format!("{name}: {column}: '{there}' before, '{here}' after"));
            }
        }
    }
    let added = after.rows.keys().filter(|key| !before.rows.contains_key(*key));
    differences.extend(added.map(|key| format!("{}: the row is new", key.join(", "))));
    let is_new = |column: &&String| !before.columns.contains(column);
    let columns: Vec<&str> = after.columns.iter().filter(is_new).map(String::as_str).collect();
    println!("new columns: {}", if columns.is_empty() { "none".into() } else { columns.join(", ") });
    let (rows, old_columns) = (before.rows.len(), before.columns.len());
    if differences.is_empty() {
        println!("same: {rows} rows, {old_columns} columns, every cell to the letter");
        return Ok(ExitCode::SUCCESS);
    }
    differences.iter().take(SHOWN).for_each(|line| println!("{line}"));
    println!(
        "differs: {} cells or rows, largest relative difference of numbers {largest:e}",
        differences.len()
    );
    Ok(ExitCode::FAILURE)
}
