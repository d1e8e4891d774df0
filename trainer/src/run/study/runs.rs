//! The runs of a sweep, side by side. Each is a row of `runs.csv`, whatever becomes of it.

use crate::data::Split;
use crate::error::{Error, Result};
use crate::run::{Config, EvaluationSettings, Folder, Progress, Session, Task, measure_run, run_jobs, train};
use measure::passes_for;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use theory::losses::{self, LossComponents, Quantity};
use theory::report::{Cell, Format, Section, Table};
use theory::usage::one_line;

/// A run of a sweep, and what became of it.
pub struct SweepRun {
    /// Its name: that of its folder under `runs/`, and `run_id` in `losses.csv`.
    pub id: String,
    /// Its settings.
    pub config: Config,
    /// Its rows of `losses.csv`, or why there are none.
    pub outcome: Result<Vec<LossComponents>>,
}

impl SweepRun {
    pub(super) fn new((id, config): (String, Config)) -> Self {
        Self { id, config, outcome: Ok(Vec::new()) }
    }

    /// Its rows of `losses.csv`; none where it failed.
    pub fn rows(&self) -> &[LossComponents] {
        self.outcome.as_deref().unwrap_or_default()
    }

    /// Why it failed, on one line.
    pub fn failure(&self) -> Option<String> {
        Some(one_line(&self.outcome.as_ref().err()?.to_string()))
    }
}

/// How far a run has come, as `runs.csv` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Finished,
    /// Finished by an earlier call.
    Kept,
    Failed,
    Interrupted,
}

impl State {
    const ALL: [Self; 6] =
        [Self::Waiting, Self::Running, Self::Finished, Self::Kept, Self::Failed, Self::Interrupted];

    /// That of a run in the file of an earlier call, which nothing runs any more.
    fn before(name: &str) -> Option<Self> {
        let state = Self::ALL.into_iter().find(|state| state.name() == name)?;
        Some(if state == Self::Running { Self::Interrupted } else { state })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Kept => "kept",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A row of `runs.csv`.
struct Entry {
    id: String,
    settings_id: String,
    seed: u64,
    state: State,
    reason: String,
}

/// `runs.csv`, written anew whenever a run changes its state, so that it is true of a sweep that was killed too.
struct Ledger {
    path: PathBuf,
    entries: Mutex<Vec<Entry>>,
}

impl Ledger {
    /// All runs as an earlier call left them; those that it did not know wait.
    fn new(path: PathBuf, runs: &[SweepRun]) -> Self {
        let before = Self::before(&path);
        let entries = runs.iter().map(|run| {
            let (id, settings_id) = (run.id.clone(), run.config.settings_id());
            let found = before
                .iter()
                .find(|record| record.get(0) == Some(&id) && record.get(1) == Some(&settings_id));
            let known =
                found.and_then(|record| Some((State::before(record.get(3)?)?, record.get(4)?.to_string())));
            let (state, reason) = known.unwrap_or((State::Waiting, String::new()));
            Entry { id, settings_id, seed: run.config.seed, state, reason }
        });
        let entries = Mutex::new(entries.collect());
        Self { path, entries }
    }

    /// The records of an earlier call; what is not read is not known, and the runs themselves tell what they hold.
    fn before(path: &Path) -> Vec<csv::StringRecord> {
        csv::Reader::from_path(path).map(|file| file.into_records().flatten().collect()).unwrap_or_default()
    }

    fn set(&self, index: usize, state: State, reason: &str) -> Result<()> {
        // A thread that panicked while it held the lock left whole entries.
        let mut entries = self.entries.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (entries[index].state, entries[index].reason) = (state, one_line(reason));
        let mut table = Table::new(["run_id", "settings_id", "seed", "state", "reason"]);
        for entry in entries.iter() {
            table.push(vec![
                Cell::text(&entry.id),
                Cell::text(&entry.settings_id),
                Cell::Decimal(entry.seed.to_string()),
                Cell::text(entry.state.name()),
                Cell::text(&entry.reason),
            ]);
        }
        Ok(theory::files::write_atomically(&self.path, table.to_text(Format::Csv).as_bytes())?)
    }
}

/// Trains and measures all runs, `jobs` at a time, in folders under `runs/`; `runs.csv` says how far each has come.
///
/// # Errors
/// An interruption, which ends all; `runs.csv` cannot be written. What else happens to a run stands in its outcome, and
/// the others go on.
pub(super) fn run_all(
    mut runs: Vec<SweepRun>,
    folder: &Folder,
    split: &Split,
    jobs: usize,
    session: &Session<'_>,
    progress: &Progress,
) -> Result<Vec<SweepRun>> {
    let inside = folder.file("runs");
    std::fs::create_dir_all(&inside).map_err(|e| Error::io(&inside, e))?;
    let ledger = Ledger::new(folder.file("runs.csv"), &runs);
    let outcomes = run_jobs(runs.len(), jobs, |index| {
        let run = &runs[index];
        let task = progress.task(&format!("[{}/{}] {}", index + 1, runs.len(), run.id), run.config.epochs);
        ledger.set(index, State::Running, "")?;
        let outcome = one_run(&inside.join(&run.id), &run.config, split, session, &task);
        let (state, message) = match &outcome {
            Ok(One { kept: true, message, .. }) => (State::Kept, format!("{message}, kept from before")),
            Ok(One { message, .. }) => (State::Finished, message.clone()),
            Err(Error::Interrupted(reason)) => (State::Interrupted, reason.clone()),
            Err(error) => (State::Failed, error.to_string()),
        };
        let failed = matches!(state, State::Failed | State::Interrupted);
        ledger.set(index, state, if failed { &message } else { "" })?;
        match outcome {
            Err(error @ Error::Interrupted(_)) => Err(error),
            outcome => {
                task.finish(&if failed { format!("failed: {message}") } else { message });
                Ok(outcome.map(|one| one.rows))
            }
        }
    })?;
    runs.iter_mut().zip(outcomes).for_each(|(run, outcome)| run.outcome = outcome);
    Ok(runs)
}

/// A run that is trained and measured.
struct One {
    rows: Vec<LossComponents>,
    /// Whether both the network and the rows are those of an earlier call.
    kept: bool,
    message: String,
}

fn one_run(path: &Path, config: &Config, split: &Split, session: &Session<'_>, task: &Task) -> Result<One> {
    if (session.stop)() {
        return Err(Error::Interrupted("interrupted; the same command goes on".into()));
    }
    let trained = train(config, &split.train, path, session, task)?;
    // A measurement of this run that somebody asked for with other settings is not the sweep's.
    let found = losses::read(&trained.folder.file("losses.csv")).ok();
    let (rows, kept) = match found.filter(|rows| trained.kept && is_default(rows, config, split)) {
        Some(rows) => (rows, true),
        None => {
            let measured = measure_run(path, split, &EvaluationSettings::default(), session)?;
            measured.write(trained.folder.path())?;
            (measured.rows, false)
        }
    };
    let accuracy = rows.first().and_then(|row| row.get(Quantity::LinearAccuracy)).unwrap_or(f64::NAN);
    let message = format!("loss {:.3}, linear accuracy {accuracy:.3}", trained.final_loss);
    Ok(One { rows, kept, message })
}

/// Whether rows are what [`measure_run`] gives without further settings: the run's own n, temperature, seed and passes.
fn is_default(rows: &[LossComponents], config: &Config, split: &Split) -> bool {
    let evaluated = split.evaluated.len();
    let settings = config.settings_id();
    let fits = |row: &LossComponents| {
        let per_pass = evaluated as u64 / row.num_draws.get();
        let passes = config.passes.or_else(|| passes_for(evaluated, row.num_draws).ok()).unwrap_or(0) as u64;
        config.training_objective().is_ok_and(|own| row.num_draws.get() == own.evaluated_draws())
            && row.temperature == config.temperature
            && row.run.seed == Some(config.seed)
            && row.run.settings_id == settings
            && row.num_batches == Some(per_pass * passes)
            && row.measure_seed.is_none()
    };
    matches!(rows, [row] if fits(row))
}

/// The runs that failed, with their reasons; `None` where none did.
pub(super) fn failures_section<'a>(runs: impl IntoIterator<Item = &'a SweepRun>) -> Option<Section> {
    let mut table = Table::new(["run", "reason"]);
    for (run, reason) in runs.into_iter().filter_map(|run| Some((run, run.failure()?))) {
        table.push(vec![Cell::text(&run.id), Cell::Text(reason)]);
    }
    (!table.rows().is_empty()).then(|| Section {
        title: "Runs that failed".into(),
        text: "They are in no table and no figure of this page.".into(),
        table,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{self, Request};
    use crate::run::{Manifest, Plan, Preset};
    use std::sync::atomic::{AtomicBool, Ordering};

    fn runs() -> Vec<SweepRun> {
        let set = ["epochs=1", "sweep.draws=[64]", "sweep.seeds=[7, 11, 13]"].map(String::from);
        let Preset { config: base, grid } = Preset::named("digits", &set).unwrap();
        let plan = Plan {
            base: Config { mean_views: 2, fbar_views: 1, passes: Some(1), ..base },
            grid: grid.unwrap(),
        };
        plan.runs().into_iter().map(SweepRun::new).collect()
    }

    fn states(folder: &Folder) -> Vec<String> {
        let text = std::fs::read_to_string(folder.file("runs.csv")).unwrap();
        text.lines().skip(1).map(|line| line.split(',').nth(3).unwrap().to_string()).collect()
    }

    #[test]
    fn a_run_that_fails_costs_that_run_alone() {
        let place = tempfile::tempdir().unwrap();
        let folder =
            Folder::create(place.path(), &Manifest::new("reproduce", &runs()[0].config).unwrap()).unwrap();
        let split = data::load(&Request::new("digits")).unwrap();
        let run = |wild: bool| {
            let mut runs = runs();
            if wild {
                runs[1].config.learning_rate = 1e30;
            }
            run_all(runs, &folder, &split, 2, &Session::CPU, &Progress::new(true)).unwrap()
        };
        let first = run(true);
        assert_eq!(states(&folder), ["finished", "failed", "finished"]);
        assert_eq!(first.iter().map(|run| run.rows().len()).collect::<Vec<_>>(), [1, 0, 1]);
        let reason = first[1].failure().unwrap();
        assert!(reason.contains("learning_rate"), "{reason}");
        let text = std::fs::read_to_string(folder.file("runs.csv")).unwrap();
        assert!(text.contains(&reason) && text.contains(&first[1].config.settings_id()), "{text}");
        let section = failures_section(&first).unwrap().table.to_text(Format::Csv);
        assert!(section.contains("n0064-s11") && section.contains("learning_rate"), "{section}");
        // With a rate that works it is trained, in a folder of its own.
        std::fs::remove_dir_all(folder.file("runs/n0064-s11")).unwrap();
        let second = run(false);
        assert_eq!(states(&folder), ["kept", "finished", "kept"]);
        assert!(second.iter().all(|run| run.failure().is_none()) && failures_section(&second).is_none());
        assert_eq!(second[2].rows(), first[2].rows());
        // Rows that are measured anew are not those of before.
        std::fs::remove_file(folder.file("runs/n0064-s13/losses.csv")).unwrap();
        let third = run(false);
        assert_eq!(states(&folder), ["kept", "kept", "finished"]);
        assert_eq!(third[2].rows(), first[2].rows());
    }

    #[test]
    fn runs_stay_as_an_earlier_call_left_them_until_they_are_reached() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("runs.csv");
        let mut runs = runs();
        let first = Ledger::new(path.clone(), &runs);
        first.set(0, State::Finished, "").unwrap();
        first.set(1, State::Failed, "a \"value\",\nand a place").unwrap();
        first.set(2, State::Running, "").unwrap();
        let after = |runs: &[SweepRun], index| {
            Ledger::new(path.clone(), runs).set(index, State::Running, "").unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text.lines().count(), 4, "{text}");
            let records = Ledger::before(&path);
            records.iter().map(|r| (r[3].to_string(), r[4].to_string())).collect::<Vec<_>>()
        };
        let said = |state: &str, reason: &str| (state.to_string(), reason.to_string());
        let failed = said("failed", "a \"value\", and a place");
        assert_eq!(after(&runs, 0), [said("running", ""), failed.clone(), said("interrupted", "")]);
        assert_eq!(after(&runs, 2), [said("interrupted", ""), failed, said("running", "")]);
        // What is known of a run of other settings is not known of this one.
        runs[1].config.learning_rate *= 2.0;
        assert_eq!(after(&runs, 0)[1], said("waiting", ""));
    }

    #[test]
    fn an_interruption_ends_all() {
        let place = tempfile::tempdir().unwrap();
        let folder =
            Folder::create(place.path(), &Manifest::new("reproduce", &runs()[0].config).unwrap()).unwrap();
        let split = data::load(&Request::new("digits")).unwrap();
        let asked = AtomicBool::new(true);
        let stop = || asked.load(Ordering::Relaxed);
        let session = Session { stop: &stop, ..Session::CPU };
        let stopped = run_all(runs(), &folder, &split, 1, &session, &Progress::new(true));
        assert!(matches!(stopped, Err(Error::Interrupted(_))));
        assert_eq!(states(&folder), ["interrupted", "waiting", "waiting"]);
        asked.store(false, Ordering::Relaxed);
        run_all(runs(), &folder, &split, 1, &session, &Progress::new(true)).unwrap();
        assert_eq!(states(&folder), ["finished"; 3]);
    }
}
