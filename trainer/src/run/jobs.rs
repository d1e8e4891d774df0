//! Threads.

use crate::error::Result;

/// Threads of this machine.
pub fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// Runs `work` inside a pool of this many threads.
///
/// # Errors
/// No thread can be started, or what `work` returns.
pub fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    measure::pool::with_threads(threads, work)
}
