//! The runs of a sweep on this machine: a process each, so many at a time.

use super::state::{RunState, SweepRun};
use super::{run_folder, worker};
use crate::error::{Error, Result};
use crate::run::plan::{FILE, Plan};
use crate::run::{Progress, Task};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use theory::interrupt::EXIT_CODE;

/// Time between two looks at the processes.
const TICK: Duration = Duration::from_millis(10);
/// Time between two looks at how far the runs are, and at those that another process is at.
const LOOK: Duration = Duration::from_millis(500);
/// The pause before a run is tried again that gave itself up grows so often to twice its length: to half a minute.
const MOST_DOUBLINGS: u32 = 6;
/// How often a run may be killed, with nothing saved in between, before it counts as failed.
const ATTEMPTS: usize = 3;

/// What the processes may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resources {
    /// Processes at a time.
    pub jobs: usize,
    /// Threads of each.
    pub threads: usize,
    /// The devices that they take in turn, as `--device` names them; none: whatever `options` say.
    pub devices: Vec<String>,
}

/// Starts the processes of a sweep.
pub struct Pool<'a> {
    /// The program that runs one line of a plan: `trainer`.
    pub program: PathBuf,
    /// Options of `trainer run` that all processes share.
    pub options: Vec<OsString>,
    /// What they may use.
    pub resources: Resources,
    /// Whether runs are tried again that failed and would fail again.
    pub retry: bool,
    /// Whether somebody wants the program to stop.
    pub stop: &'a (dyn Fn() -> bool + Sync),
    /// Where progress goes.
    pub progress: &'a Progress,
}

/// A process at work.
struct Worker {
    index: usize,
    slot: usize,
    child: Child,
    /// Closed when this process ends, however that happens; the worker then saves and stops.
    lifeline: Option<ChildStdin>,
    /// Gives the lines of its standard error when that ends.
    said: Option<JoinHandle<Vec<String>>>,
    task: Task,
    /// What was saved when it began.
    saved: Option<std::time::SystemTime>,
}

/// The state of a pool at work.
struct Work<'a> {
    pool: &'a Pool<'a>,
    plan: &'a Plan,
    sweep: &'a Path,
    waiting: VecDeque<usize>,
    /// Runs that another process is at, or that ended without being done, and when to look again.
    elsewhere: Vec<(usize, Instant)>,
    workers: Vec<Worker>,
    attempts: BTreeMap<usize, usize>,
    /// How often a run was found to be somebody else's, or gave itself up.
    waits: BTreeMap<usize, u32>,
    failures: BTreeMap<String, String>,
    /// All runs as one task, in epochs.
    whole: Task,
    /// Epochs of the runs that ended.
    epochs: usize,
    /// How many those are.
    ended: usize,
}

impl Pool<'_> {
    /// Runs these lines of a plan in the folder of a sweep; why each failed that did, by its id.
    ///
    /// # Errors
    /// An interruption, after every process has saved where it stands.
    pub fn run(&self, plan: &Plan, sweep: &Path, indices: &[usize]) -> Result<BTreeMap<String, String>> {
        let epochs = indices.iter().map(|&index| plan.runs()[index].config.epochs).sum();
        let mut work = Work {
            pool: self,
            plan,
            sweep,
            waiting: indices.iter().copied().collect(),
            elsewhere: Vec::new(),
            workers: Vec::new(),
            attempts: BTreeMap::new(),
            waits: BTreeMap::new(),
            failures: BTreeMap::new(),
            whole: self.progress.task(&format!("{} runs", indices.len()), epochs),
            epochs: 0,
            ended: 0,
        };
        let done = work.all();
        work.end();
        work.whole.forget();
        done.map(|()| work.failures)
    }
}

impl Work<'_> {
    fn all(&mut self) -> Result<()> {
        let mut looked = Instant::now();
        while !(self.waiting.is_empty() && self.elsewhere.is_empty() && self.workers.is_empty()) {
            if (self.pool.stop)() {
                let left = self.waiting.len() + self.elsewhere.len() + self.workers.len();
                return Err(Error::Interrupted(format!(
                    "interrupted with {left} runs to do; the same command goes on"
                )));
            }
            self.start();
            for worker in std::mem::take(&mut self.workers) {
                self.look_at(worker);
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                let at: usize = self.workers.iter().map(|worker| self.show(worker)).sum();
                self.whole.at(self.epochs + at, &format!("{} ended", self.ended));
            }
            let now = Instant::now();
            for (index, when) in std::mem::take(&mut self.elsewhere) {
                match when <= now {
                    true => self.waiting.push_back(index),
                    false => self.elsewhere.push((index, when)),
                }
            }
            std::thread::sleep(TICK);
        }
        Ok(())
    }

    /// Fills the free places.
    fn start(&mut self) {
        while self.workers.len() < self.pool.resources.jobs.max(1)
            && let Some(index) = self.waiting.pop_front()
        {
            let planned = &self.plan.runs()[index];
            let run = SweepRun::read(self.sweep, planned);
            match run.state {
                // Another process did it meanwhile.
                RunState::Finished { .. } if worker::is_done(self.sweep, planned).unwrap_or(false) => {
                    let task = self.pool.progress.task(&self.plan.title(index), 1);
                    task.finish(&format!("{}, by another process", worker::message(&run)));
                    self.count(index);
                }
                RunState::Running { note, .. } => self.wait_for(index, &note),
                _ => match self.worker(index) {
                    Ok(worker) => self.workers.push(worker),
                    Err(error) => self.fail(index, error.to_string()),
                },
            }
        }
    }

    fn fail(&mut self, index: usize, reason: String) {
        self.failures.insert(self.plan.ids()[index].clone(), reason);
        self.count(index);
    }

    /// A run has ended.
    fn count(&mut self, index: usize) {
        self.epochs += self.plan.runs()[index].config.epochs;
        self.ended += 1;
    }

    /// Looks at a run again later, which another process is at; the first time it is said.
    fn wait_for(&mut self, index: usize, who: &str) {
        let times = self.waits.entry(index).or_insert(0);
        if *times == 0 {
            let title = self.plan.title(index);
            self.pool.progress.line(&format!("{title}: in use by {who}, which this sweep waits for"));
        }
        *times += 1;
        self.elsewhere.push((index, Instant::now() + LOOK));
    }

    fn worker(&self, index: usize) -> Result<Worker> {
        let Resources { threads, devices, .. } = &self.pool.resources;
        // The lowest place that is free: devices are shared by place.
        let slot = (0..).find(|slot| self.workers.iter().all(|w| w.slot != *slot)).unwrap_or(0);
        let program = &self.pool.program;
        let mut command = Command::new(program);
        command.arg("run").arg("--plan").arg(self.sweep.join(FILE)).args(["--index", &index.to_string()]);
        // The plan may have grown meanwhile; a line that is another run is refused.
        command.args(["--expect", &self.plan.ids()[index]]);
        // The share of this process, whatever the number of threads of the pool's own is.
        command.env("RAYON_NUM_THREADS", threads.to_string()).env("CANDLE_NUM_THREADS", threads.to_string());
        command.arg("--out").arg(self.sweep).args(["--threads", &threads.to_string()]);
        command.args(["--attended", "--quiet"]).args(&self.pool.options);
        if !devices.is_empty() {
            command.args(["--device", &devices[slot % devices.len()]]);
        }
        if self.pool.retry {
            command.arg("--retry");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| Error::io(program, e))?;
        let said = child.stderr.take().map(|stderr| {
            let lines = BufReader::new(stderr).split(b'\n').map_while(std::result::Result::ok);
            std::thread::spawn(move || {
                lines.map(|line| String::from_utf8_lossy(&line).into_owned()).collect()
            })
        });
        let run = &self.plan.runs()[index];
        let task = self.pool.progress.task(&self.plan.title(index), run.config.epochs);
        let (lifeline, saved) = (child.stdin.take(), self.saved(index));
        Ok(Worker { index, slot, child, lifeline, said, task, saved })
    }

    /// When the run saved last.
    fn saved(&self, index: usize) -> Option<std::time::SystemTime> {
        let folder = run_folder(self.sweep, &self.plan.runs()[index].name);
        let when = |name: &str| std::fs::metadata(folder.join(name)).and_then(|found| found.modified()).ok();
        ["checkpoint.safetensors", "model.safetensors"].into_iter().filter_map(when).max()
    }

    /// Shows how far a run is; its epochs.
    fn show(&self, worker: &Worker) -> usize {
        let run = &self.plan.runs()[worker.index];
        let RunState::Running { epoch, said, .. } = SweepRun::read(self.sweep, run).state else { return 0 };
        worker.task.at(epoch, &said);
        epoch
    }

    /// Takes note of a process that has ended; else it goes on.
    fn look_at(&mut self, mut worker: Worker) {
        let status = match worker.child.try_wait() {
            Ok(None) => return self.workers.push(worker),
            Ok(Some(status)) => Ok(status),
            Err(error) => Err(format!("its process is lost: {error}")),
        };
        let said = worker.hear();
        let planned = &self.plan.runs()[worker.index];
        let run = SweepRun::read(self.sweep, planned);
        let warnings = said.iter().filter(|line| !line.starts_with("error: "));
        warnings.for_each(|line| self.pool.progress.line(&format!("{}: {line}", run.name)));
        let code = status.as_ref().map_or(Some(1), ExitStatus::code);
        match (code, &run.state) {
            (Some(0), RunState::Finished { .. }) if worker::is_done(self.sweep, planned).unwrap_or(false) => {
                worker.task.finish(&worker::message(&run));
                self.count(worker.index);
            }
            // Somebody else is at it or at a baseline, or asked this one process to stop: the longer it lasts, the rarer
            // it is tried. Whoever had a baseline may end without it, so that it counts only when it stands.
            (Some(code), state)
                if code == i32::from(EXIT_CODE)
                    || (code == 0 && matches!(state, RunState::Finished { .. })) =>
            {
                worker.task.forget();
                let times = self.waits.entry(worker.index).or_insert(0);
                if *times == 0 && code == 0 {
                    self.pool.progress.line(&format!(
                        "{}: what it is compared with is in use by another process, which this sweep waits for",
                        run.name
                    ));
                }
                let pause = LOOK * 2u32.pow((*times).min(MOST_DOUBLINGS));
                *times += 1;
                self.elsewhere.push((worker.index, Instant::now() + pause));
            }
            (None, _) if self.is_worth_another(&worker) => {
                worker.task.forget();
                self.elsewhere.push((worker.index, Instant::now()));
            }
            (code, _) => {
                let reason = match said.iter().rev().find_map(|line| line.strip_prefix("error: ")) {
                    Some(reason) if code.is_some() => reason.to_string(),
                    _ => status.map_or_else(|lost| lost, ended),
                };
                worker.task.finish(&format!("failed: {reason}"));
                self.fail(worker.index, reason);
            }
        }
    }

    /// Whether a run that was killed is started again.
    fn is_worth_another(&mut self, worker: &Worker) -> bool {
        let saved = self.saved(worker.index);
        let attempts = self.attempts.entry(worker.index).or_insert(0);
        *attempts = if saved == worker.saved { *attempts + 1 } else { 0 };
        *attempts < ATTEMPTS
    }

    /// Has every process save and stop, and waits for it.
    fn end(&mut self) {
        for worker in &mut self.workers {
            worker.ask_to_stop();
        }
        for mut worker in std::mem::take(&mut self.workers) {
            let _ = worker.child.wait();
            let _ = worker.hear();
            worker.task.forget();
        }
    }
}

impl Worker {
    /// What it said, all of it: it has ended.
    fn hear(&mut self) -> Vec<String> {
        self.said.take().and_then(|said| said.join().ok()).unwrap_or_default()
    }

    fn ask_to_stop(&mut self) {
        // The end of its standard input asks, too, where there are no signals.
        self.lifeline = None;
        #[cfg(unix)]
        if let Ok(Some(id)) = i32::try_from(self.child.id()).map(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
    }
}

/// How a process ended that said nothing about it.
fn ended(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let memory = if signal == 9 { ", as when the memory is full" } else { "" };
        return format!("killed by signal {signal}{memory}");
    }
    format!("ended with {status}")
}
