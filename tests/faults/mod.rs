//! The program with chosen calls to the file layer failing (`shim.c`), and what must hold whichever they are.
//!
//! A job is a command that trains and measures small runs into a folder. With a fault it ends with 0 and the files of an
//! undisturbed job, or otherwise with one line that says what failed and where. Then the same command, undisturbed, ends
//! with 0 and those files, byte for byte.

// Each of its users needs a part of it.
#![allow(dead_code)]

pub mod kills;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Times that the clock goes faster, so that a checkpoint is due after every step.
const CLOCK: &str = "1000000";

/// What does not depend on when and how often a job was started.
const LASTING: [&str; 7] = [
    "losses.csv",
    "model.safetensors",
    "metrics.jsonl",
    "metrics.csv",
    "accuracies.json",
    "done.json",
    "plan.jsonl",
];

/// A plan of small runs with these axes.
macro_rules! small_runs {
    ($axes:literal) => {
        concat!(
            "preset = \"digits\"\nepochs = 2\nbatch_size = 96\ntrain_samples = 200\n",
            "mean_views = 2\nfbar_views = 2\npasses = 1\n[grid]\n",
            $axes
        )
    };
}
pub(crate) use small_runs;

/// Two runs of some tenths of a second each, with three checkpoints.
pub const PLAN: &str = small_runs!("seed = [7, 11]\n");

/// The kinds of faults with the bit of the calls that can have them, as the log of the shim says it.
const KINDS: [(&str, u8); 6] =
    [("eio", 15), ("enospc", 2), ("full", 2), ("short", 4), ("eintr", 8), ("kill", 15)];

/// A call that was counted.
pub struct Call {
    pub number: usize,
    pub name: String,
    does: u8,
    path: String,
}

/// Which calls fail, and how.
#[derive(Clone)]
pub struct Fault {
    pub kind: &'static str,
    pub at: Vec<usize>,
    name: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} ({})", self.kind, self.numbers(), self.name)
    }
}

impl Fault {
    fn numbers(&self) -> String {
        self.at.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
    }

    /// Every kind that each call can have.
    pub fn each(calls: &[Call]) -> Vec<Self> {
        let of = |call: &Call| {
            let (at, name, does) = (vec![call.number], call.name.clone(), call.does);
            let kinds = KINDS.into_iter().filter(move |(_, bits)| does & bits != 0);
            kinds.map(move |(kind, _)| Self { kind, at: at.clone(), name: name.clone() })
        };
        calls.iter().flat_map(of).collect()
    }

    /// Two calls that fail with EIO: the second where the first did not end the process.
    pub fn pairs(calls: &[Call]) -> Vec<Self> {
        let mut pairs = Vec::new();
        for (index, first) in calls.iter().enumerate() {
            for second in &calls[index + 1..] {
                let name = format!("{}, {}", first.name, second.name);
                pairs.push(Self { kind: "eio", at: vec![first.number, second.number], name });
            }
        }
        pairs
    }
}

/// What a job is.
#[derive(Clone, Copy, PartialEq)]
pub enum Job {
    /// `trainer run` of one run.
    Run,
    /// The same in a folder where it was killed after its last checkpoint.
    Resume,
    /// `trainer sweep` of two, one after the other; every process has the fault.
    Sweep,
}

/// How a job with a fault ended, where all was as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// With 0, and the files of an undisturbed job.
    Unharmed,
    /// With one line, and the files were complete after the next start.
    Told,
    /// By the signal that was the fault, and the files were complete after the next start.
    Killed,
}

/// A job, its undisturbed result, and the means to disturb it.
pub struct Harness {
    program: PathBuf,
    shim: PathBuf,
    place: tempfile::TempDir,
    job: Job,
    /// What each folder holds before the job.
    begun: Option<PathBuf>,
    expected: BTreeMap<PathBuf, Vec<u8>>,
    next: AtomicUsize,
}

/// Compiles the shim; `None`, with a line that says so, where there is no compiler of C.
pub fn build_shim(folder: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/faults/shim.c");
    let shim = folder.join("shim.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-std=gnu11", "-shared", "-fPIC", "-O2", "-o"]).arg(&shim).arg(source).arg("-ldl");
    match compiler.status() {
        Ok(status) if status.success() => Some(shim),
        Ok(status) => panic!("cc: {status}"),
        Err(error) => {
            println!("skipped: cc: {error}");
            None
        }
    }
}

impl Harness {
    /// `None` where there is no compiler of C.
    pub fn new(program: &Path, job: Job) -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let shim = build_shim(place.path())?;
        std::fs::write(place.path().join("plan.toml"), PLAN).unwrap();
        let (program, next) = (program.to_path_buf(), AtomicUsize::new(0));
        let mut harness = Self { program, shim, place, job, begun: None, expected: BTreeMap::new(), next };
        let folder = harness.folder();
        let output = harness.command(&folder).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        harness.expected = lasting(&folder);
        let runs = if job == Job::Sweep { 2 } else { 1 };
        let models = harness.expected.keys().filter(|path| path.ends_with("model.safetensors"));
        assert_eq!(models.count(), runs);
        if job == Job::Resume {
            harness.begin();
        }
        Some(harness)
    }

    /// Has every folder hold a run that was killed after its last checkpoint.
    fn begin(&mut self) {
        let calls = self.calls();
        let saved = |call: &Call| call.name == "rename" && call.path.ends_with("/checkpoint.safetensors");
        let last = calls.iter().rfind(|call| saved(call)).unwrap().number + 1;
        let folder = self.folder();
        let mut command = self.command(&folder);
        command.env("FAULT_KIND", "kill").env("FAULT_AT", last.to_string());
        assert_eq!(command.output().unwrap().status.code(), None);
        let there = lasting(&folder);
        let has = |name: &str| there.keys().any(|path| path.ends_with(name));
        assert!(has("checkpoint.safetensors") && has("checkpoint.previous.safetensors"), "{there:?}");
        self.begun = Some(folder);
    }

    /// A new folder.
    fn folder(&self) -> PathBuf {
        let folder = self.place.path().join(format!("f{}", self.next.fetch_add(1, Ordering::Relaxed)));
        match &self.begun {
            Some(begun) => copy(begun, &folder),
            None => std::fs::create_dir(&folder).unwrap(),
        }
        folder
    }

    /// The job without any fault, but with the fast clock.
    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        let plan = self.place.path().join("plan.toml");
        match self.job {
            Job::Run | Job::Resume => command.arg("run").arg("--plan").arg(plan).args(["--index", "0"]),
            Job::Sweep => command.arg("sweep").arg(plan).args(["--jobs", "1"]),
        };
        command.args(["--checkpoint-every", "1", "-q", "--out"]).arg(folder.join("sweep"));
        command.env("LD_PRELOAD", &self.shim).env("FAULT_CLOCK", CLOCK).env("FAULT_ROOT", folder);
        command.env_remove("FAULT_AT").env_remove("FAULT_LOG").stdin(Stdio::null());
        command
    }

    /// The calls of the process that makes most of them.
    pub fn calls(&self) -> Vec<Call> {
        let (folder, log) = (self.folder(), self.place.path().join("log"));
        let output = self.command(&folder).env("FAULT_LOG", &log).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let mut of_processes = BTreeMap::<String, Vec<Call>>::new();
        for line in std::fs::read_to_string(&log).unwrap().lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let call = Call {
                number: words[1].parse().unwrap(),
                name: words[2].into(),
                does: words[3].parse().unwrap(),
                path: words[4..].join(" "),
            };
            of_processes.entry(words[0].into()).or_default().push(call);
        }
        std::fs::remove_file(&log).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        of_processes.into_values().max_by_key(Vec::len).unwrap()
    }

    /// Does the job with a fault, and then without.
    ///
    /// # Errors
    /// What is not as it must be; the folder is then kept.
    pub fn check(&self, fault: &Fault) -> Result<Ended, String> {
        let folder = self.folder();
        let failed = |what: String| format!("{fault}: {what} [{}]", folder.display());
        let mut command = self.command(&folder);
        let output = command.env("FAULT_KIND", fault.kind).env("FAULT_AT", fault.numbers()).output().unwrap();
        let ended = match output.status.code() {
            Some(0) => {
                self.compare(&folder).map_err(|what| failed(format!("ended with 0, but {what}")))?;
                Ended::Unharmed
            }
            Some(1 | 75) => {
                self.require_told(&folder, &output).map_err(failed)?;
                Ended::Told
            }
            None if fault.kind == "kill" => Ended::Killed,
            _ => return Err(failed(format!("{}: {}", output.status, said(&output)))),
        };
        let output = self.command(&folder).output().unwrap();
        if output.status.code() != Some(0) {
            return Err(failed(format!("the next start: {}: {}", output.status, said(&output))));
        }
        self.compare(&folder).map_err(|what| failed(format!("after the next start {what}")))?;
        std::fs::remove_dir_all(&folder).unwrap();
        Ok(ended)
    }

    /// One line of an error, which names a file of the folder or a run.
    fn require_told(&self, folder: &Path, output: &Output) -> Result<(), String> {
        let text = said(output);
        let (errors, others): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.starts_with("error: "));
        if errors.len() != 1 || others.iter().any(|line| !line.contains("warning: ")) {
            return Err(format!("not one line of an error: {text}"));
        }
        match errors[0].contains(folder.to_str().unwrap()) {
            true => Ok(()),
            false => Err(format!("it names nothing: {text}")),
        }
    }

    fn compare(&self, folder: &Path) -> Result<(), String> {
        let found = lasting(folder);
        for (path, bytes) in &self.expected {
            match found.get(path) {
                None => return Err(format!("{} is missing", path.display())),
                Some(there) if there != bytes => return Err(format!("{} differs", path.display())),
                Some(_) => {}
            }
        }
        match found.keys().find(|path| !self.expected.contains_key(*path)) {
            Some(path) => Err(format!("{} is left", path.display())),
            None => Ok(()),
        }
    }

    /// Checks faults, `jobs` at a time: how many ended how, and what was not as it must be.
    pub fn check_all(&self, faults: &[Fault], jobs: usize) -> (BTreeMap<Ended, usize>, Vec<String>) {
        let (next, done) = (AtomicUsize::new(0), Mutex::new((BTreeMap::new(), Vec::new())));
        let work = || {
            while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                let checked = self.check(fault);
                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                match checked {
                    Ok(ended) => *done.0.entry(ended).or_insert(0) += 1,
                    Err(what) => done.1.push(what),
                }
            }
        };
        std::thread::scope(|scope| (0..jobs.max(1)).for_each(|_| drop(scope.spawn(work))));
        done.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, there) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).unwrap();
        match path.is_dir() {
            true => copy(&path, &there),
            false => drop(std::fs::copy(&path, &there).unwrap()),
        }
    }
}

/// What a process said on standard error.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim_end().to_string()
}

/// The files below a folder that must be the same in the end, and those that must not be there.
pub fn lasting(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn add(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(root, &path, found);
                continue;
            }
            let name = path.file_name().unwrap().to_str().unwrap();
            // The mark of an owner that was killed when all was done stays, and says that it is dead.
            let passing = name.contains("checkpoint") || name == "failed.json";
            if passing || LASTING.contains(&name) {
                found.insert(path.strip_prefix(root).unwrap().to_path_buf(), std::fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    add(folder, folder, &mut found);
    found
}

/// For examples: the program beside this one, built now.
pub fn built_program() -> PathBuf {
    let example = std::env::current_exe().unwrap();
    let profile = example.parent().and_then(Path::parent).unwrap();
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    build.args(["build", "-q", "-p", "trainer", "--bin", "trainer"]);
    if profile.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().is_ok_and(|status| status.success()), "the program cannot be built");
    profile.join("trainer")
}
