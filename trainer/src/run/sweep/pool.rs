//! The runs of a sweep on this machine: a process each, so many at a time.

use super::state::{RunState, SweepRun};
use super::{run_folder, worker};
use crate::error::{Error, Result};
use crate::run::plan::{FILE, Plan};
use crate::run::train::is_whole;
use crate::run::{Progress, Task};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use theory::interrupt::EXIT_CODE;

/// Time between two looks at the processes.
const TICK: Duration = Duration::from_millis(10);
/// Time between two looks at how far the runs are, and at those that another process is at.
const LOOK: Duration = Duration::from_millis(500);
/// How often a run is started again that something killed, with nothing saved in between.
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
    _lifeline: Option<ChildStdin>,
    said: Arc<Mutex<Vec<String>>>,
    reader: Option<std::thread::JoinHandle<()>>,
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
    /// Runs that another process is at, and when to look again.
    elsewhere: Vec<usize>,
    workers: Vec<Worker>,
    attempts: BTreeMap<usize, usize>,
    failures: BTreeMap<usize, String>,
}

impl Pool<'_> {
    /// Runs these lines of a plan in the folder of a sweep; why each failed that did, by its line.
    ///
    /// # Errors
    /// An interruption, after every process has saved where it stands; the program cannot be started.
    pub fn run(&self, plan: &Plan, sweep: &Path, indices: &[usize]) -> Result<BTreeMap<usize, String>> {
        let mut work = Work {
            pool: self,
            plan,
            sweep,
            waiting: indices.iter().copied().collect(),
            elsewhere: Vec::new(),
            workers: Vec::new(),
            attempts: BTreeMap::new(),
            failures: BTreeMap::new(),
        };
        let done = work.all();
        work.end();
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
            self.start()?;
            for worker in std::mem::take(&mut self.workers) {
                self.look_at(worker)?;
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.workers.iter().for_each(|worker| self.show(worker));
                self.waiting.extend(std::mem::take(&mut self.elsewhere));
            }
            std::thread::sleep(TICK);
        }
        Ok(())
    }

    /// Fills the free places.
    fn start(&mut self) -> Result<()> {
        while self.workers.len() < self.pool.resources.jobs.max(1)
            && let Some(index) = self.waiting.pop_front()
        {
            let run = SweepRun::read(self.sweep, self.plan.run(index)?)?;
            match run.state {
                // Another process did it meanwhile; where not, its model is damaged and it is done again.
                RunState::Finished { .. } if is_whole(&run_folder(self.sweep, &run.name), &run.config)? => {
                    let task = self.pool.progress.task(&self.plan.title(index), 1);
                    task.finish(&format!("{}, by another process", worker::message(&run)));
                }
                RunState::Running { .. } => self.elsewhere.push(index),
                _ => {
                    let worker = self.worker(index)?;
                    self.workers.push(worker);
                }
            }
        }
        Ok(())
    }

    fn worker(&self, index: usize) -> Result<Worker> {
        let Resources { threads, devices, .. } = &self.pool.resources;
        // The lowest place that is free: devices are shared by place.
        let slot = (0..).find(|slot| self.workers.iter().all(|w| w.slot != *slot)).unwrap_or(0);
        let program = &self.pool.program;
        let mut command = Command::new(program);
        command.arg("run").arg("--plan").arg(self.sweep.join(FILE)).args(["--index", &index.to_string()]);
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
        let said = Arc::new(Mutex::new(Vec::new()));
        let reader = child.stderr.take().map(|stderr| {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(std::result::Result::ok) {
                    said.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                }
            })
        });
        let run = &self.plan.runs()[index];
        let task = self.pool.progress.task(&self.plan.title(index), run.config.epochs);
        let (_lifeline, saved) = (child.stdin.take(), self.saved(index));
        Ok(Worker { index, slot, child, _lifeline, said, reader, task, saved })
    }

    /// When the run saved last.
    fn saved(&self, index: usize) -> Option<std::time::SystemTime> {
        let folder = run_folder(self.sweep, &self.plan.runs()[index].name);
        let when = |name: &str| std::fs::metadata(folder.join(name)).and_then(|found| found.modified()).ok();
        ["checkpoint.safetensors", "model.safetensors"].into_iter().filter_map(when).max()
    }

    fn show(&self, worker: &Worker) {
        let run = &self.plan.runs()[worker.index];
        if let Ok(SweepRun { state: RunState::Running { epoch, note }, .. }) = SweepRun::read(self.sweep, run)
        {
            worker.task.at(epoch, &note);
        }
    }

    /// Takes note of a process that has ended; else it goes on.
    fn look_at(&mut self, mut worker: Worker) -> Result<()> {
        let Some(status) = worker.child.try_wait().map_err(|e| Error::io(&self.pool.program, e))? else {
            self.workers.push(worker);
            return Ok(());
        };
        let said = worker.hear();
        let run = SweepRun::read(self.sweep, &self.plan.runs()[worker.index])?;
        let warnings = said.iter().filter(|line| !line.starts_with("error: "));
        warnings.for_each(|line| self.pool.progress.line(&format!("{}: {line}", run.name)));
        match (status.code(), &run.state) {
            (Some(0), RunState::Finished { .. }) => worker.task.finish(&worker::message(&run)),
            // Somebody else is at it, or asked this one process to stop.
            (Some(code), _) if code == i32::from(EXIT_CODE) => {
                worker.task.forget();
                self.elsewhere.push(worker.index);
            }
            (None, _) if self.is_worth_another(&worker) => {
                worker.task.forget();
                self.elsewhere.push(worker.index);
            }
            (code, _) => {
                let reason = match said.iter().rev().find_map(|line| line.strip_prefix("error: ")) {
                    Some(reason) if code.is_some() => reason.to_string(),
                    _ => ended(status),
                };
                worker.task.finish(&format!("failed: {reason}"));
                self.failures.insert(worker.index, reason);
            }
        }
        Ok(())
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
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        std::mem::take(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ask_to_stop(&mut self) {
        // The end of its standard input asks, too, where there are no signals.
        self._lifeline = None;
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
