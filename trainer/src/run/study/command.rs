//! The command that repeats a sweep, from what its settings are.

use crate::error::{Error, Result};
use crate::loss::LossKind;
use crate::run::sweep::slurm::quoted;
use crate::run::{Grid, Preset, Sweep};
use serde::Serialize;
use std::fmt::Display;
use std::path::Path;
use toml::{Table, Value};

/// `trainer reproduce PRESET …`: the command that runs `sweep` into `out`, with an option for whatever differs from the
/// preset.
///
/// # Errors
/// There is no preset of this name, or it has no sweep; a setting of the preset that the sweep lacks, for which there is
/// no option.
///
/// # Examples
/// ```
/// use trainer::run::{Config, Grid, Sweep, Preset, study::command};
/// let Preset { config, grid } = Preset::named("digits", &[])?;
/// let grid = Grid { seeds: vec![7], supervised: true, ..grid.unwrap() };
/// let sweep = Sweep { base: Config { epochs: 10, ..config }, grid };
/// assert_eq!(
///     command("digits", &sweep, "runs/short".as_ref())?,
///     "trainer reproduce digits --seeds 7 --set epochs=10 --set sweep.supervised=true --out runs/short"
/// );
/// # Ok::<(), trainer::Error>(())
/// ```
pub fn command(preset: &str, sweep: &Sweep, out: &Path) -> Result<String> {
    let Preset { config, grid } = Preset::named(preset, &[])?;
    let grid = grid.ok_or_else(|| Error::argument(format!("the preset {preset} has no [sweep]")))?;
    let Grid { draws, seeds, temperatures, fixed_batch, .. } = &sweep.grid;
    let mut words = vec!["trainer".to_string(), "reproduce".into(), preset.into()];
    let mut option = |name: &str, value: String| words.extend([name.to_string(), quoted(&value)]);
    if *draws != grid.draws {
        option("--draws", list(draws));
    }
    if *seeds != grid.seeds {
        option("--seeds", list(seeds));
    }
    if *temperatures != grid.temperatures {
        option("--temperatures", list(temperatures));
    }
    if let Some(batch) = fixed_batch.filter(|_| *fixed_batch != grid.fixed_batch) {
        option("--fixed-batch", batch.to_string());
    }
    let mut items = Vec::new();
    overrides("", &table(&config)?, &table(&sweep.base)?, &mut items)?;
    // What has an option of its own is no override.
    let rest = |grid: &Grid| {
        let (draws, seeds, temperatures) = Default::default();
        table(&Grid { draws, seeds, temperatures, fixed_batch: None, ..grid.clone() })
    };
    overrides("sweep.", &rest(&grid)?, &rest(&sweep.grid)?, &mut items)?;
    items.into_iter().for_each(|item| option("--set", item));
    option("--out", out.display().to_string());
    Ok(words.join(" "))
}

fn list(values: &[impl Display]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn table(settings: &impl Serialize) -> Result<Table> {
    Table::try_from(settings).map_err(|e| Error::argument(format!("settings that are no TOML: {e}")))
}

/// `key=value` for every setting of `to` that is another one in `from`, or none.
fn overrides(prefix: &str, from: &Table, to: &Table, items: &mut Vec<String>) -> Result<()> {
    if let Some(key) = from.keys().find(|key| !to.contains_key(*key)) {
        return Err(Error::argument(format!("{prefix}{key} is set in the preset: no option takes it away")));
    }
    for (key, value) in to.iter().filter(|(key, value)| from.get(*key) != Some(*value)) {
        match (from.get(key), value) {
            // A table of another kind has other keys: it is set as a whole.
            (there, Value::Table(to)) if there.and_then(|there| there.get("kind")) == to.get("kind") => {
                let empty = Table::new();
                let from = there.and_then(Value::as_table).unwrap_or(&empty);
                overrides(&format!("{prefix}{key}."), from, to, items)?;
            }
            _ => items.push(format!("{prefix}{key}={}", written(value))),
        }
    }
    Ok(())
}

/// A value as one would type it: words bare, a loss with the parameters of its authors by its name.
fn written(value: &Value) -> String {
    let is_word = |text: &str| {
        let fits = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        // `true` and `inf` would be read as something else.
        fits && format!("v = {text}").parse::<Table>().is_err()
    };
    match value {
        Value::String(text) if is_word(text) => text.clone(),
        Value::Array(values) => {
            let named = values.iter().map(|value| loss_by_name(value).unwrap_or_else(|| value.clone()));
            Value::Array(named.collect()).to_string()
        }
        value => value.to_string(),
    }
}

/// The name of a loss whose parameters are all the default ones.
fn loss_by_name(value: &Value) -> Option<Value> {
    let kind = value.get("kind")?;
    let default: LossKind = Table::from_iter([("kind".to_string(), kind.clone())]).try_into().ok()?;
    (Value::try_from(default).ok()? == *value).then(|| kind.clone())
}
