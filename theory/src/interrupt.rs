//! Requests to stop: SIGINT, SIGTERM, SIGHUP, and SIGUSR1 and SIGUSR2, which Slurm and submitit send before the time
//! limit (`--signal=B:USR1@120`).
//!
//! Where there is nothing to save, a signal ends the process at once, with the exit code [`EXIT_CODE`] and no file
//! half-written. Between [`Interrupt::saving`] and the end of what that returns, it only sets a flag, which the work
//! polls to save where it stands first; a second SIGINT then ends the process at once, as if nothing had been installed.
//! A signal that the process was started to ignore, as by `nohup`, stays ignored. The handlers stay for the life of the
//! process: install them once, before the work.
//!
//! A file that exceeds the limit of the shell (`ulimit -f`) is an error of writing, not the end of the process.

use crate::error::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Exit code of a process that was interrupted (`EX_TEMPFAIL` of `sysexits.h`: try again later).
pub const EXIT_CODE: u8 = 75;

/// Whether somebody asked this process to stop.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The last signal, 0 if there was none.
    signal: AtomicUsize,
    /// How many parts of the program save their work when asked to stop.
    saving: AtomicUsize,
}

/// While this lives, a signal sets a flag and nothing else.
#[derive(Debug)]
pub struct Saving(Arc<State>);

impl Drop for Saving {
    fn drop(&mut self) {
        self.0.saving.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Interrupt {
    /// Installs the handlers.
    ///
    /// # Errors
    /// The operating system refuses.
    #[cfg(unix)]
    pub fn install() -> Result<Self> {
        unix::install()
    }

    /// Installs nothing: other systems have other ways to stop a process.
    ///
    /// # Errors
    /// None.
    #[cfg(not(unix))]
    pub fn install() -> Result<Self> {
        Ok(Self::default())
    }

    /// From now on the work polls [`requested`](Self::requested), until what is returned is dropped.
    #[must_use]
    pub fn saving(&self) -> Saving {
        self.state.saving.fetch_add(1, Ordering::SeqCst);
        Saving(Arc::clone(&self.state))
    }

    /// Whether a signal came.
    pub fn requested(&self) -> bool {
        self.state.signal.load(Ordering::SeqCst) != 0
    }

    /// The last signal that came, such as `SIGTERM`; `None` if none did.
    pub fn signal(&self) -> Option<&'static str> {
        match self.state.signal.load(Ordering::SeqCst) as i32 {
            0 => None,
            #[cfg(unix)]
            signal => signal_hook::low_level::signal_name(signal).or(Some("a signal")),
            #[cfg(not(unix))]
            _ => Some("a signal"),
        }
    }
}

#[cfg(unix)]
mod unix {
    use super::{EXIT_CODE, Interrupt};
    use crate::error::{Error, Result};
    use crate::{files, terminal};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    use signal_hook::{flag, iterator::Signals};
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    /// A file of a limited size was about to exceed the limit. Linux has this number on every common processor.
    const SIGXFSZ: i32 = 25;

    /// The longest time that an end waits for a file that is being written.
    const LAST_FILE: Duration = Duration::from_secs(1);

    pub(super) fn install() -> Result<Interrupt> {
        let refused = |e| Error::io(Path::new("signal handler"), e);
        let interrupt = Interrupt::default();
        let ignored = ignored();
        let heard = [SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2];
        let heard: Vec<i32> = heard.into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0).collect();
        if heard.contains(&SIGINT) {
            // In this order: the first SIGINT finds the flag unset and sets it, the second finds it set.
            let pressed = Arc::new(AtomicBool::new(false));
            flag::register_conditional_default(SIGINT, Arc::clone(&pressed)).map_err(refused)?;
            flag::register(SIGINT, pressed).map_err(refused)?;
        }
        flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).map_err(refused)?;
        let mut signals = Signals::new(heard).map_err(refused)?;
        let state = Arc::clone(&interrupt.state);
        let listen = move || {
            for signal in signals.forever() {
                state.signal.store(signal as usize, Ordering::SeqCst);
                if state.saving.load(Ordering::SeqCst) == 0 {
                    files::settle(LAST_FILE);
                    let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
                    terminal::say(&format!(
                        "error: interrupted by {name}: no file is half-written, the same command does the rest"
                    ));
                    signal_hook::low_level::exit(EXIT_CODE.into());
                }
            }
        };
        std::thread::Builder::new().name("signals".into()).spawn(listen).map_err(refused)?;
        Ok(interrupt)
    }

    /// The signals that this process was started to ignore, a bit each; none where the system does not say.
    fn ignored() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    }
}
