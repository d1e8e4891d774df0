//! Requests to stop: SIGINT, SIGTERM, and SIGUSR1, which Slurm sends before the time limit (`--signal=USR1@120`).
//!
//! A signal sets a number that the training loop polls; the loop then saves a checkpoint and ends with the exit code
//! [`EXIT_CODE`]. A second SIGINT ends the process at once, as if nothing had been installed. The handlers stay for the
//! life of the process: install them once, before the loop.

use crate::error::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Exit code of a process that was interrupted and saved a checkpoint (`EX_TEMPFAIL` of `sysexits.h`: try again later).
pub const EXIT_CODE: u8 = 75;

/// Whether somebody asked this process to stop.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    /// The last signal, 0 if there was none.
    signal: Arc<AtomicUsize>,
}

impl Interrupt {
    /// Installs the handlers.
    ///
    /// # Errors
    /// The operating system refuses.
    #[cfg(unix)]
    pub fn install() -> Result<Self> {
        use crate::error::Error;
        use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
        use signal_hook::flag;
        let interrupt = Self::default();
        let pressed = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let refused = |e| Error::io(std::path::Path::new("signal handler"), e);
        // In this order: the first SIGINT finds the flag unset and sets it, the second finds it set.
        flag::register_conditional_default(SIGINT, Arc::clone(&pressed)).map_err(refused)?;
        flag::register(SIGINT, pressed).map_err(refused)?;
        for signal in [SIGINT, SIGTERM, SIGUSR1] {
            flag::register_usize(signal, Arc::clone(&interrupt.signal), signal as usize).map_err(refused)?;
        }
        Ok(interrupt)
    }

    /// Installs nothing: other systems have other ways to stop a process.
    ///
    /// # Errors
    /// None.
    #[cfg(not(unix))]
    pub fn install() -> Result<Self> {
        Ok(Self::default())
    }

    /// Whether a signal came.
    pub fn requested(&self) -> bool {
        self.signal.load(Ordering::Relaxed) != 0
    }

    /// The last signal that came, such as `SIGTERM`; `None` if none did.
    pub fn signal(&self) -> Option<&'static str> {
        match self.signal.load(Ordering::Relaxed) as i32 {
            0 => None,
            signal => signal_hook::low_level::signal_name(signal).or(Some("a signal")),
        }
    }
}
