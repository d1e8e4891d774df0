//! A plan: the runs of a sweep, each with all of its settings.
//!
//! A plan is made from a preset's sweep or from a file of axes ([`Plan::load`]) and written as `plan.jsonl`: one run a
//! line, `{"id": …, "name": …, "settings": {…}}`. The id is [`Config::settings_id`] and the seed, the same on every
//! machine and whatever the other lines are, so that a plan can grow: what was run keeps its id. The name is that of the
//! run's folder, and `run_id` in its results.

mod file;

use super::config::difference::difference;
use super::config::preset::text_at;
use super::config::{Config, Sweep};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use theory::json::Unrepeated;

/// The file's name in the folder of a sweep.
pub const FILE: &str = "plan.jsonl";

/// Runs that a plan may have.
const MOST_RUNS: usize = 100_000;

/// One run of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRun {
    /// The name of its folder, and `run_id` in its results.
    pub name: String,
    /// Its settings.
    pub config: Config,
}

impl PlannedRun {
    /// Settings and seed, as `36dc94676015acd2-s7`.
    pub fn id(&self) -> String {
        id(&self.config)
    }
}

/// The id of a run of these settings.
fn id(config: &Config) -> String {
    format!("{}-s{}", config.settings_id(), config.seed)
}

/// The runs of a sweep, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    runs: Vec<PlannedRun>,
    ids: Vec<String>,
    /// The settings in which the runs differ.
    varied: Vec<String>,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    name: String,
    settings: Config,
}

impl Plan {
    /// A plan of these runs.
    ///
    /// # Errors
    /// No run; too many; two runs of one name or of the same settings and seed; settings out of range.
    pub fn new(runs: Vec<PlannedRun>) -> Result<Self> {
        if runs.is_empty() || runs.len() > MOST_RUNS {
            let count = runs.len();
            return Err(Error::argument(format!("a plan has 1 to {MOST_RUNS} runs, not {count}")));
        }
        let ids: Vec<String> = runs.iter().map(PlannedRun::id).collect();
        let (mut by_name, mut by_id) = (HashMap::new(), HashMap::new());
        for (run, id) in runs.iter().zip(&ids) {
            let PlannedRun { name, config } = run;
            config.check().map_err(|error| Error::argument(format!("{name}: {error}")))?;
            if let Some(other) = by_id.insert(id.as_str(), name) {
                let known =
                    if other == name { name.clone() } else { format!("{other}, also called {name},") };
                return Err(Error::argument(format!(
                    "{known} stands in the plan twice: the same settings and seed"
                )));
            }
            if by_name.insert(name.as_str(), ()).is_some() {
                return Err(Error::argument(format!("two runs of the plan are called {name}")));
            }
        }
        let varied = varied(&runs);
        Ok(Self { runs, ids, varied })
    }

    /// The runs of a preset's sweep, the supervised references last.
    ///
    /// # Errors
    /// Axes that do not fit each other; as for [`new`](Self::new).
    pub fn of_sweep(sweep: &Sweep) -> Result<Self> {
        sweep.check()?;
        let runs = sweep.runs().into_iter().chain(sweep.references());
        Self::new(runs.map(|(name, config)| PlannedRun { name, config }).collect())
    }

    /// The runs.
    pub fn runs(&self) -> &[PlannedRun] {
        &self.runs
    }

    /// Their ids, in the same order.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// The run of this index, which counts from 0.
    ///
    /// # Errors
    /// There are not so many.
    pub fn run(&self, index: usize) -> Result<&PlannedRun> {
        let count = self.runs.len();
        self.runs.get(index).ok_or_else(|| {
            Error::argument(format!("--index {index}: the plan has {count} runs, counted from 0"))
        })
    }

    /// The place of a run and its [label](Self::label), as progress shows them.
    pub fn title(&self, index: usize) -> String {
        format!("[{}/{}] {}", index + 1, self.runs.len(), self.label(index))
    }

    /// The name of a run, or, where that is its id, the settings in which the runs of the plan differ.
    pub fn label(&self, index: usize) -> String {
        let run = &self.runs[index];
        match run.name == self.ids[index] && !self.varied.is_empty() {
            true => {
                let values = flat(&run.config);
                let told = |key: &String| {
                    let value =
                        values.get(key).map_or("not set".into(), |value| value.trim_matches('"').to_string());
                    format!("{key} = {value}")
                };
                self.varied.iter().map(told).collect::<Vec<_>>().join(", ")
            }
            false => run.name.clone(),
        }
    }

    /// As it is written: one run a line.
    pub fn to_jsonl(&self) -> String {
        let mut text = String::new();
        for (PlannedRun { name, config }, id) in self.runs.iter().zip(&self.ids) {
            let line = Line { id: id.clone(), name: name.clone(), settings: config.clone() };
            // A struct of numbers and texts always has a JSON form.
            text += &serde_json::to_string(&line).unwrap_or_default();
            text.push('\n');
        }
        text
    }

    /// Reads what [`to_jsonl`](Self::to_jsonl) gives.
    ///
    /// # Errors
    /// The file cannot be read; a line that is no run, or whose id is not that of its settings.
    pub fn read(path: &Path) -> Result<Self> {
        let text = text_at(path)?;
        let lines = text.lines().enumerate();
        let runs = lines.map(|(index, line)| parsed(path, index, line)).collect::<Result<_>>()?;
        Self::new(runs).map_err(|error| Error::data(path, error.to_string()))
    }

    /// The run of this index, which counts from 0, of what [`to_jsonl`](Self::to_jsonl) gives.
    ///
    /// # Errors
    /// As [`read`](Self::read), but for the lines of other runs; there are not so many.
    pub fn read_run(path: &Path, index: usize) -> Result<PlannedRun> {
        let text = text_at(path)?;
        match text.lines().nth(index) {
            Some(line) => parsed(path, index, line),
            None => {
                let count = text.lines().count();
                Err(Error::argument(format!(
                    "--index {index}: {} has {count} runs, counted from 0",
                    path.display()
                )))
            }
        }
    }

    /// This plan as the folder of a sweep holds it, or would: the runs of a plan that stands there keep their lines, and
    /// those that are new come behind them.
    ///
    /// # Errors
    /// The folder holds a plan with other runs, or one that cannot be read.
    pub fn as_in(&self, folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        if !theory::files::exists(&path)? {
            return Ok(self.clone());
        }
        let there = Self::read(&path).map_err(|error| match error {
            Error::Data { path, message } => Error::data(
                &path,
                format!("{message}; the runs are safe: remove this file, and it is written anew"),
            ),
            other => other,
        })?;
        if let Some(difference) = there.is_continued_by(self) {
            return Err(Error::argument(format!(
                "{} holds a sweep of other settings ({difference}): choose another folder or remove it",
                folder.display()
            )));
        }
        let known: BTreeSet<&String> = there.ids.iter().collect();
        let new = self.runs.iter().zip(&self.ids).filter(|(_, id)| !known.contains(id));
        let new: Vec<PlannedRun> = new.map(|(run, _)| run.clone()).collect();
        Self::new(there.runs.into_iter().chain(new).collect())
    }

    /// Writes the plan into the folder of a sweep, as [`as_in`](Self::as_in) gives it.
    ///
    /// # Errors
    /// Those of [`as_in`](Self::as_in); the operating system refuses.
    pub(super) fn claim(&self, folder: &Path) -> Result<Self> {
        let plan = self.as_in(folder)?;
        theory::files::write_atomically(&folder.join(FILE), plan.to_jsonl().as_bytes())?;
        Ok(plan)
    }

    /// `None` if all runs are runs of `larger`, under the same names; else what is different about the first that is
    /// not.
    fn is_continued_by(&self, larger: &Self) -> Option<String> {
        let ids: HashMap<&str, &PlannedRun> =
            larger.ids.iter().map(String::as_str).zip(&larger.runs).collect();
        let lost = |(run, id): (&PlannedRun, &String)| {
            let found = ids.get(id.as_str());
            if found.is_some_and(|found| found.name == run.name) {
                return None;
            }
            if let Some(found) = found {
                return Some(format!("the run {id} is called {} there, {} here", run.name, found.name));
            }
            // The run of the same name, or else one that differs in little.
            let other = larger.runs.iter().find(|other| other.name == run.name).or(larger.runs.first())?;
            let table = |config: &Config| toml::Table::try_from(config).unwrap_or_default();
            let found = difference(&table(&run.config), &table(&other.config));
            Some(format!("{}: {}", run.name, found.unwrap_or_else(|| "not in this plan".into())))
        };
        self.runs.iter().zip(&self.ids).find_map(lost)
    }
}

/// Every setting, as `queue.size`, with its value as TOML.
fn flat(config: &Config) -> BTreeMap<String, String> {
    fn add(table: &toml::Table, prefix: &str, found: &mut BTreeMap<String, String>) {
        for (key, value) in table {
            match value {
                toml::Value::Table(inner) => add(inner, &format!("{prefix}{key}."), found),
                value => drop(found.insert(format!("{prefix}{key}"), value.to_string())),
            }
        }
    }
    let mut found = BTreeMap::new();
    // A struct of numbers and texts always has a TOML form.
    add(&toml::Table::try_from(config).unwrap_or_default(), "", &mut found);
    found
}

/// The settings in which runs differ.
fn varied(runs: &[PlannedRun]) -> Vec<String> {
    let mut all = runs.iter().map(|run| flat(&run.config));
    let Some(first) = all.next() else { return Vec::new() };
    let mut varied = BTreeSet::new();
    for other in all {
        let keys = first.keys().chain(other.keys());
        varied.extend(keys.filter(|key| first.get(*key) != other.get(*key)).cloned());
    }
    varied.into_iter().collect()
}

/// The run of a line.
fn parsed(path: &Path, index: usize, line: &str) -> Result<PlannedRun> {
    let bad = |message: String| Error::data(path, format!("line {}: {message}", index + 1));
    let Unrepeated(value) = serde_json::from_str(line).map_err(|e| bad(e.to_string()))?;
    let Line { id: said, name, settings: config } =
        serde_json::from_value(value).map_err(|e| bad(e.to_string()))?;
    let found = id(&config);
    if found != said {
        return Err(bad(format!("the id {said} is not that of its settings, which is {found}")));
    }
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
        return Err(bad(format!("'{name}' is no name of a folder")));
    }
    Ok(PlannedRun { name, config })
}

#[cfg(test)]
mod tests;
