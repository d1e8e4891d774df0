//! Plans as files: settings that all runs share, and axes.
//!
//! ```toml
//! preset = "digits"            # or config = "FILE.toml"; or neither, and all settings stand here
//! epochs = 20                  # settings of every run, in place of those of the preset
//!
//! [grid]                       # each combination
//! temperature = [0.2, 0.5]
//! seed = [7, 11, 13]
//!
//! [[zip]]                      # settings that move together: the first of each, the second of each, …
//! batch_size = [64, 256]
//! learning_rate = [0.5, 0.7]
//!
//! [[list]]                     # one by one
//! loss = "dcl"
//! [[list]]
//! loss = { kind = "hard", beta = 2 }
//! ```
//!
//! The runs are all combinations of the values of `[grid]`, the rows of each `[[zip]]` and the entries of `[[list]]`, the
//! last axis fastest, within `[grid]` the last by name; a key may be dotted (`queue.size`). A table `[sweep]`, as in the presets, is a further axis. A
//! preset's own `[sweep]` counts where the file has no axis.

use super::{MOST_RUNS, Plan, PlannedRun, id};
use crate::error::{Error, Result};
use crate::run::config::preset::{self, Preset};
use crate::run::config::{Config, Sweep};
use std::path::Path;
use toml::{Table, Value};

/// Settings that one step along an axis sets.
type Step = Vec<(String, Value)>;

impl Plan {
    /// The plan of this name: a file of axes (`.toml`), a plan that was written (`.jsonl`), or a preset; with overrides
    /// `key=value`, as of `--set`, for all runs.
    ///
    /// # Errors
    /// No such file or preset; a setting that is unknown or out of range; axes that do not fit each other.
    pub fn load(name: &Path, overrides: &[String]) -> Result<Self> {
        match name.extension().and_then(|extension| extension.to_str()) {
            Some("jsonl") if overrides.is_empty() => Self::read(name),
            Some("jsonl") => {
                Err(Error::argument(format!("--set: the runs of {} have their settings", name.display())))
            }
            Some("toml") => {
                let text = preset::text_at(name)?;
                let folder = name.parent().unwrap_or(Path::new(""));
                Self::from_toml(&text, folder, overrides).map_err(|error| in_file(name, error))
            }
            _ => Self::of_tables(Preset::table(&name.to_string_lossy())?, overrides),
        }
    }

    /// The plan of a file of axes; `folder` is where a `config` of it is looked for.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_toml(text: &str, folder: &Path, overrides: &[String]) -> Result<Self> {
        let mut table = preset::whole_table(text)?;
        let base = match (text_of(&mut table, "preset")?, text_of(&mut table, "config")?) {
            (Some(_), Some(_)) => {
                return Err(Error::argument("a plan starts from a preset or from a config, not from both"));
            }
            (Some(name), None) => Preset::table(&name)?,
            (None, Some(file)) => {
                let path = folder.join(file);
                preset::table(&preset::text_at(&path)?).map_err(|error| in_file(&path, error))?
            }
            (None, None) => Table::new(),
        };
        let mut whole = base;
        let has_axis = ["grid", "zip", "list", "sweep"].iter().any(|axis| table.contains_key(*axis));
        if has_axis {
            whole.remove("sweep");
        }
        preset::merge(&mut whole, table);
        Self::of_tables(whole, overrides)
    }

    /// The plan of settings with axes among them.
    fn of_tables(mut table: Table, overrides: &[String]) -> Result<Self> {
        for item in overrides {
            preset::apply_override(&mut table, item)?;
        }
        let sweep = preset::grid(&mut table)?;
        let axes = axes(&mut table)?;
        let moved = axes.iter().flatten().flatten().map(|(key, _)| key.as_str());
        let set = |key: &&str| {
            overrides.iter().any(|item| item.split('=').next().is_some_and(|set| set.trim() == *key))
        };
        if let Some(key) = moved.clone().find(set) {
            return Err(Error::argument(format!(
                "--set {key}: it is an axis of the plan; --set grid.{key}=[…] gives that other values"
            )));
        }
        let count = axes.iter().try_fold(1usize, |all, axis| all.checked_mul(axis.len()));
        if count.is_none_or(|count| count > MOST_RUNS) {
            return Err(Error::argument(format!("the axes make more than {MOST_RUNS} runs")));
        }
        if axes.is_empty() {
            let base = Config::from_table(table)?;
            return match sweep {
                Some(grid) => Self::of_sweep(&Sweep { base, grid }),
                None => Self::new(vec![named(base)]),
            };
        }
        let mut runs = Vec::new();
        for index in 0..count.unwrap_or(0) {
            let mut table = table.clone();
            let mut rest = index;
            let mut steps: Vec<&Step> = Vec::new();
            for axis in axes.iter().rev() {
                steps.push(&axis[rest % axis.len()]);
                rest /= axis.len();
            }
            for (key, value) in steps.into_iter().rev().flatten() {
                preset::set(&mut table, key, value.clone())?;
            }
            let base = Config::from_table(table)?;
            match &sweep {
                Some(grid) => {
                    let sweep = Sweep { base, grid: grid.clone() };
                    sweep.check()?;
                    runs.extend(
                        sweep.runs().into_iter().chain(sweep.references()).map(|(_, run)| named(run)),
                    );
                }
                None => runs.push(named(base)),
            }
        }
        Self::new(runs)
    }
}

/// A run that is named by its id: whatever axes are added later, it keeps its name.
fn named(config: Config) -> PlannedRun {
    PlannedRun { name: id(&config), config }
}

/// Takes the axes out of a table.
fn axes(table: &mut Table) -> Result<Vec<Vec<Step>>> {
    let mut axes = Vec::new();
    if let Some(grid) = table.remove("grid") {
        let Value::Table(grid) = grid else { return Err(wrong("grid", "a table of lists")) };
        for (key, values) in columns("grid", &grid)? {
            axes.push(values.into_iter().map(|value| vec![(key.clone(), value)]).collect());
        }
    }
    for zip in tables(table, "zip")? {
        let columns = columns("zip", &zip)?;
        let rows = columns.first().map_or(0, |(_, values)| values.len());
        if let Some((key, values)) = columns.iter().find(|(_, values)| values.len() != rows) {
            let (first, other) = (&columns[0].0, values.len());
            return Err(Error::argument(format!(
                "[[zip]]: {first} has {rows} values and {key} has {other}: settings that move together have as many"
            )));
        }
        let row =
            |row: usize| columns.iter().map(|(key, values)| (key.clone(), values[row].clone())).collect();
        axes.push((0..rows).map(row).collect());
    }
    let list = tables(table, "list")?;
    if !list.is_empty() {
        axes.push(list.iter().map(|entry| step("", entry)).collect());
    }
    match axes.iter().any(Vec::is_empty) {
        true => Err(Error::argument("an axis of the plan has no values")),
        false => Ok(axes),
    }
}

/// Every setting of an entry; a table with a `kind`, such as a loss, is one, of other tables each key is.
fn step(prefix: &str, entry: &Table) -> Step {
    let mut found = Step::new();
    for (key, value) in entry {
        match value {
            Value::Table(inner) if !inner.contains_key("kind") => {
                found.extend(step(&format!("{prefix}{key}."), inner));
            }
            value => found.push((format!("{prefix}{key}"), value.clone())),
        }
    }
    found
}

/// Every key of a table of lists, with its list; tables within tables by dotted keys.
fn columns(axis: &str, table: &Table) -> Result<Vec<(String, Vec<Value>)>> {
    let mut found = Vec::new();
    for (key, value) in table {
        match value {
            Value::Array(values) => found.push((key.clone(), values.clone())),
            Value::Table(inner) => {
                let inner = columns(axis, inner)?;
                found.extend(inner.into_iter().map(|(below, values)| (format!("{key}.{below}"), values)));
            }
            other => return Err(wrong(&format!("{axis}.{key} = {other}"), "a list of values")),
        }
    }
    Ok(found)
}

/// Takes a list of tables out of a table; one table counts as a list of one.
fn tables(table: &mut Table, key: &str) -> Result<Vec<Table>> {
    let of = |value: Value| match value {
        Value::Table(table) => Ok(table),
        _ => Err(wrong(key, "a list of tables")),
    };
    match table.remove(key) {
        None => Ok(Vec::new()),
        Some(Value::Array(values)) => values.into_iter().map(of).collect(),
        Some(value) => Ok(vec![of(value)?]),
    }
}

fn text_of(table: &mut Table, key: &str) -> Result<Option<String>> {
    match table.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong(&format!("{key} = {other}"), "a text")),
    }
}

fn wrong(what: &str, wanted: &str) -> Error {
    Error::argument(format!("plan: {what} is not {wanted}"))
}

/// The same with the name of the file.
fn in_file(path: &Path, error: Error) -> Error {
    match error {
        Error::Argument(message) => Error::argument(format!("{}: {message}", path.display())),
        other => other,
    }
}
