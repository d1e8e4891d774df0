//! Sweeps whose processes are killed at random moments: the same command, started again until it ends with 0, gives the
//! files of a sweep that nobody disturbed.

use super::{lasting, said, small_runs};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Four runs of some tenths of a second each.
pub const PLAN: &str = small_runs!("epochs = [2, 20]\nseed = [7, 11]\n");

/// Starts after which a sweep that does not end with 0 never will.
const MOST_STARTS: usize = 20;

/// Kills in one folder, before the sweep is let end.
const IN_ONE_FOLDER: usize = 10;

/// What became of the kills.
#[derive(Debug, Default)]
pub struct Counts {
    /// Folders of sweeps, each complete in the end.
    pub sweeps: usize,
    /// Process groups that were killed at work.
    pub groups: usize,
    /// Single processes of a run that were killed at work.
    pub workers: usize,
    /// Times that there was nothing left to kill, or no worker at work at that moment.
    pub misses: usize,
}

/// Starts `trainer sweep` of the plan, a process group of its own.
pub fn start(program: &Path, plan: &Path, folder: &Path, jobs: &str) -> Child {
    let mut command = Command::new(program);
    command.arg("sweep").arg(plan).arg("--out").arg(folder);
    command.args(["--jobs", jobs, "--checkpoint-every", "1"]).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The processes that a process started and that are still at work.
pub fn children(parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some((state, of)) = stat(id)
            && of == parent
            && state != "Z"
        {
            found.push(id);
        }
    }
    found
}

/// The state of a process and its parent; `None` if it is gone.
fn stat(id: u32) -> Option<(String, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut words = text.rsplit_once(") ")?.1.split(' ');
    Some((words.next()?.into(), words.next()?.parse().ok()?))
}

/// Whether a process is at work.
pub fn is_alive(id: u32) -> bool {
    stat(id).is_some_and(|(state, _)| state != "Z")
}

pub fn kill(id: u32) -> bool {
    Pid::from_raw(id as i32).is_some_and(|id| kill_process(id, Signal::KILL).is_ok())
}

fn kill_group(leader: u32) -> bool {
    Pid::from_raw(leader as i32).is_some_and(|id| kill_process_group(id, Signal::KILL).is_ok())
}

/// What a sweep leaves that nobody disturbs, and the time that it takes.
pub fn undisturbed(program: &Path, plan: &Path, folder: &Path) -> (BTreeMap<PathBuf, Vec<u8>>, Duration) {
    let begin = Instant::now();
    let output = start(program, plan, folder, "2").wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let found = lasting(folder);
    assert_eq!(found.keys().filter(|path| path.ends_with("model.safetensors")).count(), 4);
    (found, begin.elapsed())
}

/// Kills so many times, half of them whole process groups, half single runs.
///
/// # Errors
/// What is not as it must be; the folder is then kept.
pub fn check(program: &Path, kills: usize, seed: u64) -> Result<Counts, String> {
    let place = tempfile::tempdir().unwrap();
    let plan = place.path().join("plan.toml");
    std::fs::write(&plan, PLAN).unwrap();
    let (expected, time) = undisturbed(program, &plan, &place.path().join("whole"));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut counts = Counts::default();
    while counts.groups + counts.workers < kills {
        let folder = place.path().join(counts.sweeps.to_string());
        let done = disturb(program, &plan, &folder, time, kills, &mut rng, &mut counts);
        let found = done.and_then(|()| match lasting(&folder) == expected {
            true => Ok(()),
            false => Err("its files differ".to_string()),
        });
        if let Err(what) = found {
            return Err(format!("seed {seed}, sweep {}: {what} [{}]", counts.sweeps, place.keep().display()));
        }
        std::fs::remove_dir_all(&folder).unwrap();
        counts.sweeps += 1;
    }
    Ok(counts)
}

/// One sweep: killed some times, then started until it ends with 0.
fn disturb(
    program: &Path,
    plan: &Path,
    folder: &Path,
    time: Duration,
    kills: usize,
    rng: &mut ChaCha8Rng,
    counts: &mut Counts,
) -> Result<(), String> {
    let most = counts.groups + counts.workers + IN_ONE_FOLDER;
    for _ in 0..MOST_STARTS {
        let mut child = start(program, plan, folder, "2");
        let mut killed = false;
        while !killed && counts.groups + counts.workers < most.min(kills) {
            std::thread::sleep(time.mul_f64(rng.random_range(0.0..0.5)));
            if child.try_wait().unwrap().is_some() {
                counts.misses += 1;
                break;
            }
            // Alternately, so that both are half of all; a sweep goes on without the one run.
            if counts.groups <= counts.workers {
                killed = kill_group(child.id());
                counts.groups += usize::from(killed);
                continue;
            }
            let workers = children(child.id());
            let chosen = (!workers.is_empty()).then(|| workers[rng.random_range(0..workers.len())]);
            match chosen.is_some_and(kill) {
                true => counts.workers += 1,
                false => counts.misses += 1,
            }
        }
        let output = child.wait_with_output().unwrap();
        match output.status.code() {
            Some(0) => return Ok(()),
            None if killed => {}
            code => return Err(format!("ended with {code:?}: {}", said(&output))),
        }
    }
    Err(format!("{MOST_STARTS} starts did not end it"))
}
