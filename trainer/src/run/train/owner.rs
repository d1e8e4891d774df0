//! Who works on a run's folder: one process at a time.
//!
//! Two marks say so, and a third party can read both:
//!
//! - `lock`, a file that the owner holds locked (`flock`). The operating system gives the lock back when its holder
//!   ends, however that happens. The file stays when nobody holds it: another process may have it open.
//! - `owner.json`, a [`Lease`]: host, boot and process of the owner, a number of its own, how far it has come, and a
//!   beat that changes every [`BEAT`]. It goes when the owner does in order. It is what speaks across hosts, and where
//!   the file system knows no locks.
//!
//! | lock | lease | the folder is |
//! |---|---|---|
//! | held | any | in use ([`Error::Busy`]) |
//! | free | none | free |
//! | free | of this boot of this host | free: its owner is dead |
//! | free | of another host or boot | in use, if the lease changes within [`LEASE`] of watching; else free |
//! | unknown to the file system | any | the same |
//!
//! A process that was suspended and comes back may find the folder taken over. So an owner [`verify`](Owner::verify)s
//! that the lease is still its own before it writes anything that matters.
//!
//! Taking over is safe against two that try: a lease is renamed away before a new one is created where none is, both of
//! which only one process can do; and what was renamed away is put back if it is not what was watched.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use theory::files::content;

/// The file that is locked.
pub(super) const LOCK: &str = "lock";
/// The file that holds the lease.
pub(super) const OWNER: &str = "owner.json";

/// Time between two changes of a lease whose owner lives.
pub const BEAT: Duration = Duration::from_secs(5);
/// A lease that did not change for so long has no owner.
pub const LEASE: Duration = Duration::from_secs(30);

/// Least time between two writings of what was reported.
const REPORT: Duration = Duration::from_secs(1);

/// A reader holds the lock for an instant to see whether somebody does; so often, and so long after, it is tried again.
const TRIES: usize = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// What `owner.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Name of the owner's machine.
    pub host: String,
    /// Which start of that machine.
    pub boot_id: String,
    /// The process there.
    pub pid: u32,
    /// Tells two owners apart that agree in all the rest.
    pub nonce: String,
    /// Grows while the owner lives.
    pub beat: u64,
    /// Epochs done.
    pub epoch: u64,
    /// Epochs in all.
    pub epochs: u64,
    /// What the owner is at, such as `loss 4.321`.
    pub note: String,
}

impl Lease {
    /// That of a folder; `None` if there is none, or none that is whole.
    fn read(folder: &Path) -> Result<Option<Self>> {
        Ok(content(&folder.join(OWNER))?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    fn to_bytes(&self) -> Vec<u8> {
        // A struct of texts and numbers always has a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether its owner works on `folder`: on this host the lock tells; of another, the age of the file.
    ///
    /// Clocks of hosts that differ by more than [`LEASE`] make the latter wrong; nothing but a display may depend on it.
    ///
    /// # Errors
    /// The operating system refuses to say.
    pub fn is_alive(&self, folder: &Path) -> Result<bool> {
        let here = Here::now();
        if (&self.host, &self.boot_id) == (&here.host, &here.boot_id) {
            match File::open(folder.join(LOCK)) {
                // Shared, so that two who look do not see each other.
                Ok(file) => match file.try_lock_shared() {
                    Ok(()) => return Ok(false),
                    Err(TryLockError::WouldBlock) => return Ok(true),
                    Err(TryLockError::Error(e)) if knows_no_locks(&e) => {}
                    Err(TryLockError::Error(e)) => return Err(Error::io(&folder.join(LOCK), e)),
                },
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(Error::io(&folder.join(LOCK), e)),
            }
        }
        let path = folder.join(OWNER);
        match std::fs::metadata(&path).and_then(|found| found.modified()) {
            Ok(time) => {
                // A time to come is of another clock: how far that is off says nothing.
                let off = |age: Duration| age < LEASE;
                Ok(SystemTime::now().duration_since(time).map_or_else(|e| off(e.duration()), off))
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::io(&path, e)),
        }
    }
}

/// The lease of a run's folder, whether its owner lives or not; `None` if nobody works on it.
///
/// # Errors
/// The operating system refuses to read it.
pub fn ownership(folder: &Path) -> Result<Option<Lease>> {
    Lease::read(folder)
}

/// This machine, and how long it waits.
#[derive(Debug, Clone)]
struct Here {
    host: String,
    boot_id: String,
    beat: Duration,
    lease: Duration,
    /// Whether locks are tried; tests act as if the file system knew none.
    locks: bool,
}

impl Here {
    fn now() -> Self {
        let kernel = |name: &str| {
            let text = std::fs::read_to_string(Path::new("/proc/sys/kernel").join(name));
            text.map_or("unknown".into(), |text| text.trim().to_string())
        };
        let (host, boot_id) = (kernel("hostname"), kernel("random/boot_id"));
        Self { host, boot_id, beat: BEAT, lease: LEASE, locks: true }
    }

    fn is_of(&self, lease: &Lease) -> bool {
        (&lease.host, &lease.boot_id) == (&self.host, &self.boot_id)
    }
}

/// The right to write to a run's folder; it ends when this is dropped, or the process ends.
#[derive(Debug)]
pub struct Owner {
    shared: Arc<Shared>,
    beating: Option<JoinHandle<()>>,
    /// Held until all else is done; `None` where the file system knows no locks.
    _lock: Option<File>,
}

/// What the owner and its heart have in common.
#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    lease: Lease,
    /// Whether something was reported that the file does not say yet.
    is_new: bool,
    ends: bool,
}

impl Owner {
    /// Takes a folder, which exists, and changes nothing else in it. `stop` ends the watching of another's lease.
    ///
    /// # Errors
    /// [`Error::Busy`] if somebody else works on the folder; an interruption; the operating system refuses.
    pub fn take(folder: &Path, stop: &dyn Fn() -> bool) -> Result<Self> {
        Self::take_as(&Here::now(), folder, stop)
    }

    fn take_as(here: &Here, folder: &Path, stop: &dyn Fn() -> bool) -> Result<Self> {
        let lock = if here.locks { lock(folder)? } else { None };
        let lease = Lease {
            host: here.host.clone(),
            boot_id: here.boot_id.clone(),
            pid: std::process::id(),
            nonce: nonce(),
            beat: 0,
            epoch: 0,
            epochs: 0,
            note: String::new(),
        };
        claim(here, folder, &lease, lock.is_some(), stop)?;
        let state = Mutex::new(State { lease, is_new: false, ends: false });
        let shared = Arc::new(Shared { folder: folder.to_path_buf(), state, changed: Condvar::new() });
        let (heart, beat) = (Arc::clone(&shared), here.beat);
        let beating =
            std::thread::Builder::new().name("owner".into()).spawn(move || heart.keep_beating(beat));
        let beating = Some(beating.map_err(|e| Error::io(folder, e))?);
        Ok(Self { shared, beating, _lock: lock })
    }

    /// Says how far the run has come, for [`ownership`]; it costs no time, and is written within a second or so.
    pub fn report(&self, epoch: u64, epochs: u64, note: &str) {
        let mut state = self.shared.state();
        (state.lease.epoch, state.lease.epochs, state.is_new) = (epoch, epochs, true);
        state.lease.note = note.to_string();
    }

    /// Whether the folder is still this owner's: to be asked before anything in it is written.
    ///
    /// # Errors
    /// [`Error::Busy`] if another process took it over, as after a suspension; the operating system refuses.
    pub fn verify(&self) -> Result<()> {
        self.shared.verify()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.state().ends = true;
        self.shared.changed.notify_all();
        if let Some(beating) = self.beating.take() {
            // It does not panic; and if it did, the lease would go stale by itself.
            let _ = beating.join();
        }
        let nonce = self.shared.state().lease.nonce.clone();
        if Lease::read(&self.shared.folder).is_ok_and(|found| found.is_some_and(|found| found.nonce == nonce))
        {
            // What stays is of a dead owner, and says so by staying as it is.
            let _ = std::fs::remove_file(self.shared.folder.join(OWNER));
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Who panicked while it held this left whole values.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the lease every `beat`, and what was reported every second, until the owner ends or has lost the folder.
    fn keep_beating(&self, beat: Duration) {
        let mut last = Instant::now();
        let tick = beat.min(REPORT);
        let mut state = self.state();
        while !state.ends {
            let waited = self.changed.wait_timeout(state, tick).unwrap_or_else(PoisonError::into_inner);
            state = waited.0;
            if state.ends || (last.elapsed() < beat && !(state.is_new && last.elapsed() >= tick)) {
                continue;
            }
            state.lease.beat += 1;
            state.is_new = false;
            let lease = state.lease.clone();
            drop(state);
            // Who cannot write looks dead to other hosts; the owner asks before it writes anything else.
            if self.verify().is_ok() {
                let _ = self.write(&lease);
            }
            last = Instant::now();
            state = self.state();
        }
    }

    /// In the place of the lease that is there. Not synchronised: after a failure of power nobody is an owner.
    fn write(&self, lease: &Lease) -> std::io::Result<()> {
        let beside = self.folder.join(format!(".owner.{}.partial", lease.nonce));
        let written = std::fs::write(&beside, lease.to_bytes());
        written.and_then(|()| std::fs::rename(&beside, self.folder.join(OWNER))).inspect_err(|_| {
            let _ = std::fs::remove_file(&beside);
        })
    }

    fn verify(&self) -> Result<()> {
        let own = self.state().lease.clone();
        holds(&self.folder, &own)?.map_err(|other| taken_over(&self.folder, other.as_ref()))
    }
}

/// Whether the lease in a folder is this one; else whose it is. One that is missing is put there again.
fn holds(folder: &Path, own: &Lease) -> Result<std::result::Result<(), Option<Lease>>> {
    for left in (0..TRIES).rev() {
        match content(&folder.join(OWNER))? {
            // Somebody removed it, or moved it for a moment to look at it; nobody has put another there.
            None => {
                if create(folder, own)? {
                    return Ok(Ok(()));
                }
            }
            Some(found) => match serde_json::from_slice::<Lease>(&found) {
                Ok(found) if found.nonce == own.nonce => return Ok(Ok(())),
                Ok(found) => return Ok(Err(Some(found))),
                // It is being created by somebody else, perhaps.
                Err(_) if left > 0 => std::thread::sleep(BETWEEN_TRIES),
                Err(_) => break,
            },
        }
    }
    Ok(Err(None))
}

/// Locks the folder; `None` where the file system knows no locks.
fn lock(folder: &Path) -> Result<Option<File>> {
    let path = folder.join(LOCK);
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(|e| Error::io(&path, e))?;
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => std::thread::sleep(BETWEEN_TRIES),
            Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Interrupted => {}
            Err(TryLockError::Error(e)) if knows_no_locks(&e) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(Error::io(&path, e)),
        }
    }
    Err(busy(folder, Lease::read(folder)?.as_ref()))
}

/// Whether the file system, not the state of the file, is why there is no lock.
fn knows_no_locks(error: &std::io::Error) -> bool {
    /// `ENOLCK` of Linux: a network file system without a server of locks.
    const NO_LOCKS: i32 = 37;
    matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidInput)
        || error.raw_os_error() == Some(NO_LOCKS)
}

/// Puts `own` in the place of no lease, or of one whose owner is dead.
fn claim(here: &Here, folder: &Path, own: &Lease, locked: bool, stop: &dyn Fn() -> bool) -> Result<()> {
    let path = folder.join(OWNER);
    for _ in 0..TRIES {
        if let Some(seen) = content(&path)? {
            let lease: Option<Lease> = serde_json::from_slice(&seen).ok();
            let is_dead = locked && lease.as_ref().is_some_and(|lease| here.is_of(lease));
            if !is_dead {
                watch(here, folder, &seen, lease.as_ref(), stop)?;
            }
            clear(folder, own, &seen)?;
        }
        // Read back: what counts is what others see. Another's lease is watched in turn: its owner may have given up, too.
        if create(folder, own)? && holds(folder, own)?.is_ok() {
            return Ok(());
        }
    }
    Err(busy(folder, Lease::read(folder)?.as_ref()))
}

/// Returns when a lease did not change for long enough, or is gone.
fn watch(
    here: &Here,
    folder: &Path,
    seen: &[u8],
    lease: Option<&Lease>,
    stop: &dyn Fn() -> bool,
) -> Result<()> {
    let whose = lease.map_or("somebody".into(), |lease| format!("process {} on {}", lease.pid, lease.host));
    theory::terminal::say(&format!(
        "{} was left by {whose}: watching for {} s whether that is alive",
        folder.display(),
        here.lease.as_secs_f64().ceil()
    ));
    let start = Instant::now();
    while start.elapsed() < here.lease {
        if stop() {
            let folder = folder.display();
            return Err(Error::Interrupted(format!(
                "interrupted while waiting for {folder}: nothing was done"
            )));
        }
        std::thread::sleep((here.lease / 60).min(REPORT / 2));
        match content(&folder.join(OWNER))? {
            Some(found) if found == seen => {}
            Some(found) => return Err(busy(folder, serde_json::from_slice(&found).ok().as_ref())),
            None => return Ok(()),
        }
    }
    Ok(())
}

/// Moves a dead lease away, of all who try by one only, and removes it; a living one goes back.
fn clear(folder: &Path, own: &Lease, seen: &[u8]) -> Result<()> {
    let path = folder.join(OWNER);
    let aside = folder.join(format!(".owner.{}.partial", own.nonce));
    match std::fs::rename(&path, &aside) {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io(&path, e)),
    }
    let moved = content(&aside)?.unwrap_or_default();
    let living = (moved != seen).then(|| serde_json::from_slice::<Lease>(&moved).ok());
    if living.is_some() {
        put_back(&path, &moved);
    }
    // The next owner removes what stays.
    let _ = std::fs::remove_file(&aside);
    living.map_or(Ok(()), |lease| Err(busy(folder, lease.as_ref())))
}

/// Gives a lease back that was moved by mistake, unless its owner, who misses it, was faster.
fn put_back(path: &Path, lease: &[u8]) {
    let open = OpenOptions::new().create_new(true).write(true).open(path);
    let _ = open.and_then(|mut file| file.write_all(lease));
}

/// Creates the file of the lease; whether it was this call that did.
fn create(folder: &Path, lease: &Lease) -> Result<bool> {
    let path = folder.join(OWNER);
    match OpenOptions::new().create_new(true).write(true).open(&path) {
        Ok(mut file) => {
            file.write_all(&lease.to_bytes()).map_err(|e| {
                // Half a lease would be watched by the next one.
                let _ = std::fs::remove_file(&path);
                Error::io(&path, e)
            })?;
            Ok(true)
        }
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(Error::io(&path, e)),
    }
}

/// A number that no other owner has: the standard library's random keys, with process and time.
fn nonce() -> String {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{:016x}", RandomState::new().hash_one((std::process::id(), time)))
}

fn whose(lease: Option<&Lease>) -> String {
    lease.map_or("another process".into(), |lease| format!("process {} on {}", lease.pid, lease.host))
}

fn busy(folder: &Path, lease: Option<&Lease>) -> Error {
    Error::Busy(format!("{} is in use by {}: try again when that has ended", folder.display(), whose(lease)))
}

fn taken_over(folder: &Path, lease: Option<&Lease>) -> Error {
    Error::Busy(format!("another process took over {}: it is {}", folder.display(), whose(lease)))
}

#[cfg(test)]
mod tests;
