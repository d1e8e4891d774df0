//! A sweep as an array of jobs of Slurm.
//!
//! [`Submission::write`] leaves two scripts in the folder of the sweep, `slurm/array.sh` and `slurm/collect.sh`;
//! [`Submission::submit`] gives them to `sbatch`. A task does one run of the plan. Asked to stop, as before the time
//! limit, the run saves a checkpoint and ends with 75, and the script asks for its task to be queued again.

use super::{RunState, to_do};
use crate::error::{Error, Result};
use crate::run::plan::{FILE, Plan};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use theory::files;

/// Tasks of one array: Slurm counts them up to `MaxArraySize`, 1001 unless somebody changed it.
const TASKS: usize = 1000;

/// How often a task queues itself again: a run that never comes to a checkpoint within its time must end.
const MOST_RESTARTS: usize = 1000;

/// Seconds before the time limit at which a run is asked to save.
const WARNING: u64 = 120;

/// The folder of scripts, logs and the list of jobs.
const FOLDER: &str = "slurm";
/// Which jobs were submitted, a line `JOB OFFSET` each.
const JOBS: &str = "jobs.txt";

/// How options of `sbatch` begin that say who asks, and where; the job that collects needs them, too.
const OF_ANY_JOB: [&str; 10] =
    ["--partition", "--account", "--qos", "--clusters", "--reservation", "-p", "-A", "-q", "-M", "--wckey"];

/// What is asked of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Options of `sbatch`, such as `--partition=gpu`; each a line `#SBATCH` of the script.
    pub options: Vec<String>,
    /// Tasks at a time; `None`: as many as Slurm likes.
    pub throttle: Option<usize>,
}

impl Request {
    /// Whether every option is one.
    ///
    /// # Errors
    /// An option with a line break, which would be a line of the script.
    fn check(&self) -> Result<()> {
        match self.options.iter().find(|option| option.contains(char::is_control) || !option.starts_with('-'))
        {
            Some(option) => Err(Error::argument(format!("{option:?} is no option of sbatch"))),
            None => Ok(()),
        }
    }
}

/// The jobs of the runs that are missing in a sweep.
pub struct Submission<'a> {
    /// The folder of the sweep.
    pub sweep: &'a Path,
    /// The program.
    pub program: PathBuf,
    /// Options of `trainer run` that all runs share.
    pub run_options: Vec<OsString>,
    /// What is asked of the cluster.
    pub request: &'a Request,
    /// The runs, by their index in the plan, ascending.
    pub missing: Vec<usize>,
}

impl Submission<'_> {
    /// The script of a task.
    ///
    /// # Errors
    /// A path that is no text.
    pub fn array_script(&self) -> Result<String> {
        let sweep = absolute(self.sweep)?;
        self.request.check()?;
        let mut text = String::from("#!/bin/bash\n#SBATCH --job-name=trainer\n");
        // Infallible: the target is a text.
        let _ = writeln!(text, "#SBATCH --output=\"{}/{FOLDER}/%A_%a.log\"", pattern(&sweep));
        let _ = writeln!(text, "#SBATCH --open-mode=append\n#SBATCH --requeue");
        let _ = writeln!(text, "#SBATCH --signal=B:USR1@{}", WARNING);
        for option in &self.request.options {
            let _ = writeln!(text, "#SBATCH {option}");
        }
        let mut command = vec![quoted_path(&self.program)?, "run".into(), "--plan".into()];
        command.push(quoted(&format!("{sweep}/{FILE}")));
        for option in &self.run_options {
            command.push(quoted(text_of(Path::new(option))?));
        }
        let _ = write!(
            text,
            r#"
# One run of the sweep. Asked to stop, it saves a checkpoint and ends with 75; its task is then queued again.
run=
trap '[ -z "$run" ] || kill -USR1 "$run" 2>/dev/null' USR1 TERM INT HUP
{} --index $((${{TRAINER_OFFSET:-0}} + SLURM_ARRAY_TASK_ID)) &
run=$!
# A signal ends a wait early: wait until the run itself has ended, and then for its code.
wait "$run"
while kill -0 "$run" 2>/dev/null; do wait "$run"; done
wait "$run"
code=$?
task=${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}
# Not where the task was cancelled: its state is another one then. A controller that is busy says nothing.
state=$(squeue --noheader --format=%T --jobs="$task" 2>/dev/null)
if [ "$code" -eq 75 ] && [ "${{state:-RUNNING}}" = RUNNING ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {} ]; then
    echo "$task: queued again"
    # Which ends this script, a moment later.
    scontrol requeue "$task" && sleep 60
fi
exit "$code"
"#,
            command.join(" "),
            MOST_RESTARTS
        );
        Ok(text)
    }

    /// The script that joins the runs.
    ///
    /// # Errors
    /// A path that is no text.
    pub fn collect_script(&self) -> Result<String> {
        let sweep = absolute(self.sweep)?;
        let mut text = String::from("#!/bin/bash\n#SBATCH --job-name=trainer-collect\n");
        self.request.check()?;
        let _ = writeln!(text, "#SBATCH --output=\"{}/{FOLDER}/collect_%j.log\"", pattern(&sweep));
        let is_of_any_job = |option: &&String| OF_ANY_JOB.iter().any(|name| option.starts_with(name));
        for option in self.request.options.iter().filter(is_of_any_job) {
            let _ = writeln!(text, "#SBATCH {option}");
        }
        let _ = writeln!(text, "{} collect {}", quoted_path(&self.program)?, quoted(&sweep));
        Ok(text)
    }

    /// The arrays: the offset of each, and its tasks as `sbatch --array` takes them.
    pub fn arrays(&self) -> Vec<(usize, String)> {
        let mut blocks: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for index in &self.missing {
            blocks.entry(index / TASKS).or_default().push(index % TASKS);
        }
        let throttle = self.request.throttle.map_or_else(String::new, |most| format!("%{most}"));
        let array = |(block, tasks): (usize, Vec<usize>)| (block * TASKS, ranges(&tasks) + &throttle);
        blocks.into_iter().map(array).collect()
    }

    /// Writes both scripts.
    ///
    /// # Errors
    /// A path that is no text; the operating system refuses.
    pub fn write(&self) -> Result<()> {
        let folder = self.sweep.join(FOLDER);
        files::create_folder(&folder)?;
        let [array, collect] = [self.array_script()?, self.collect_script()?];
        let [array_file, collect_file] = ["array.sh", "collect.sh"].map(|name| folder.join(name));
        Ok(files::write_all(&[(&array_file, array.as_bytes()), (&collect_file, collect.as_bytes())])?)
    }

    /// The command lines of `sbatch`: the arrays, then the job that joins, with `JOBS` for the jobs of the arrays.
    ///
    /// # Errors
    /// A path that is no text.
    pub fn commands(&self) -> Result<Vec<Vec<String>>> {
        let folder = format!("{}/{FOLDER}", absolute(self.sweep)?);
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut commands: Vec<Vec<String>> = self
            .arrays()
            .iter()
            .map(|(offset, tasks)| {
                let (array, export) =
                    (format!("--array={tasks}"), format!("--export=ALL,TRAINER_OFFSET={offset}"));
                words(&["sbatch", "--parsable", &array, &export, &format!("{folder}/array.sh")])
            })
            .collect();
        // After any end: a run that failed is a row of the result, too.
        commands.push(words(&[
            "sbatch",
            "--parsable",
            "--dependency=afterany:JOBS",
            &format!("{folder}/collect.sh"),
        ]));
        Ok(commands)
    }

    /// Writes the scripts and submits them; the jobs, that of the collection last.
    ///
    /// # Errors
    /// `sbatch` is not there or refuses; the operating system refuses.
    pub fn submit(&self) -> Result<Vec<String>> {
        self.write()?;
        let mut commands = self.commands()?;
        let collect = commands.pop().unwrap_or_default();
        let mut jobs = Vec::new();
        for (command, (offset, _)) in commands.iter().zip(self.arrays()) {
            let job = submitted(command)?;
            // At once: if the next is refused, this one is known.
            note(self.sweep, &job, offset)?;
            jobs.push(job);
        }
        let collect: Vec<String> = collect.iter().map(|word| word.replace("JOBS", &jobs.join(":"))).collect();
        jobs.push(submitted(&collect)?);
        Ok(jobs)
    }
}

/// The runs of a plan that are neither done nor at work nor in the queue of Slurm.
///
/// # Errors
/// The operating system refuses; `squeue` cannot be asked where jobs were submitted before.
pub fn missing(plan: &Plan, sweep: &Path, retry: bool) -> Result<Vec<usize>> {
    let queued = queued(sweep)?;
    let is_missing = |index: &usize| {
        let state = to_do(sweep, &plan.runs()[*index], retry);
        state.is_some_and(|state| !matches!(state, RunState::Running { .. })) && !queued.contains(index)
    };
    Ok((0..plan.runs().len()).filter(is_missing).collect())
}

/// The runs that Slurm has in its queue, or at work, of the jobs that were submitted for a sweep.
fn queued(sweep: &Path) -> Result<BTreeSet<usize>> {
    let path = sweep.join(FOLDER).join(JOBS);
    let Some(bytes) = files::content(&path)? else { return Ok(BTreeSet::new()) };
    let text = String::from_utf8_lossy(&bytes);
    let known = text.lines().filter_map(|line| line.split_once(' '));
    let offsets: BTreeMap<&str, usize> =
        known.filter_map(|(job, offset)| Some((job, offset.parse().ok()?))).collect();
    let said = output(Command::new("squeue").args(["--me", "--noheader", "--array", "--format=%F %K"]))?;
    let task = |line: &str| {
        let (job, task) = line.trim().split_once(' ')?;
        Some(offsets.get(job)? + task.trim().parse::<usize>().ok()?)
    };
    Ok(said.lines().filter_map(task).collect())
}

fn note(sweep: &Path, job: &str, offset: usize) -> Result<()> {
    let path = sweep.join(FOLDER).join(JOBS);
    let before = String::from_utf8_lossy(&files::content(&path)?.unwrap_or_default()).into_owned();
    Ok(files::write_atomically(&path, format!("{before}{job} {offset}\n").as_bytes())?)
}

/// The number of the job that `sbatch` prints: `JOB` or `JOB;CLUSTER`.
fn submitted(words: &[String]) -> Result<String> {
    let mut command = Command::new(&words[0]);
    let said = output(command.args(&words[1..]))?;
    Ok(said.trim().split(';').next().unwrap_or_default().to_string())
}

/// What a command prints.
fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let found = command.output().map_err(|e| {
        Error::Failed(format!(
            "{name} cannot be started ({e}): is this a machine of a Slurm cluster? --dry-run prints what would be submitted"
        ))
    })?;
    let text = |bytes: &[u8]| theory::terminal::one_line(String::from_utf8_lossy(bytes).trim());
    match found.status.success() {
        true => Ok(String::from_utf8_lossy(&found.stdout).into_owned()),
        false => Err(Error::Failed(format!("{name} refused: {}", text(&found.stderr)))),
    }
}

/// `0-3,7` for 0, 1, 2, 3, 7.
fn ranges(sorted: &[usize]) -> String {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for &value in sorted {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == value => *last = value,
            _ => found.push((value, value)),
        }
    }
    let word = |(first, last): (usize, usize)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    found.into_iter().map(word).collect::<Vec<_>>().join(",")
}

/// A path in a name of a log, where `%` begins a pattern.
fn pattern(path: &str) -> String {
    path.replace('%', "%%")
}

fn absolute(path: &Path) -> Result<String> {
    let path = std::path::absolute(path).map_err(|e| Error::io(path, e))?;
    text_of(&path).map(Into::into)
}

fn text_of(path: &Path) -> Result<&str> {
    let text = path.to_str().filter(|text| !text.contains(['\n', '"', '\\']));
    text.ok_or_else(|| Error::argument(format!("{}: no path for a script of Slurm", path.display())))
}

fn quoted_path(path: &Path) -> Result<String> {
    text_of(path).map(quoted)
}

/// A word of a command line: in single quotes where a shell would read more into it.
pub fn quoted(word: &str) -> String {
    match !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.,=/:+".contains(c)) {
        true => word.to_string(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submission(missing: Vec<usize>, request: &Request) -> Submission<'_> {
        let run_options = vec!["--data".into(), "/my data".into()];
        Submission {
            sweep: Path::new("/sweeps/one"),
            program: "/opt/trainer".into(),
            run_options,
            request,
            missing,
        }
    }

    #[test]
    fn arrays_hold_what_is_missing_and_no_more_tasks_than_slurm_counts() {
        let request = Request { throttle: Some(4), ..Request::default() };
        let missing = [0, 1, 2, 5, 999, 1000, 2001, 2002].to_vec();
        assert_eq!(
            submission(missing, &request).arrays(),
            [(0, "0-2,5,999%4".to_string()), (1000, "0%4".into()), (2000, "1-2%4".into())]
        );
    }

    #[test]
    fn scripts_say_all_that_the_cluster_must_know() {
        let options = ["--partition=gpu", "--gres=gpu:1"].map(String::from).to_vec();
        let request = Request { options, throttle: None };
        let one = submission(vec![3], &request);
        let script = one.array_script().unwrap();
        for line in [
            "#SBATCH --partition=gpu\n",
            "#SBATCH --gres=gpu:1\n",
            "#SBATCH --signal=B:USR1@120\n",
            "#SBATCH --requeue\n",
            "#SBATCH --output=\"/sweeps/one/slurm/%A_%a.log\"\n",
            "/opt/trainer run --plan /sweeps/one/plan.jsonl --data '/my data' --index $((${TRAINER_OFFSET:-0} + SLURM_ARRAY_TASK_ID)) &\n",
            "scontrol requeue",
        ] {
            assert!(script.contains(line), "{line} is not in {script}");
        }
        let collect = one.collect_script().unwrap();
        assert!(collect.contains("--partition=gpu") && !collect.contains("--gres"), "{collect}");
        assert!(collect.ends_with("/opt/trainer collect /sweeps/one\n"));
        for option in ["--partition=gpu\ntouch /tmp/x", "gpu"] {
            let request = Request { options: vec![option.into()], ..Request::default() };
            let message = submission(vec![3], &request).array_script().unwrap_err().to_string();
            assert!(message.contains("is no option of sbatch") && !message.contains('\n'), "{message}");
        }
        let commands = one.commands().unwrap();
        let lines: Vec<String> = commands.iter().map(|words| words.join(" ")).collect();
        assert_eq!(
            lines,
            [
                "sbatch --parsable --array=3 --export=ALL,TRAINER_OFFSET=0 /sweeps/one/slurm/array.sh",
                "sbatch --parsable --dependency=afterany:JOBS /sweeps/one/slurm/collect.sh"
            ]
        );
    }
}
