//! Independent jobs on a few threads, each job on one.
//!
//! Small networks gain little from several threads within a step; independent runs gain everything. Since a job runs on
//! one thread and draws only from its own streams, its result does not depend on how many run beside it.

use crate::error::{Error, Result};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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

/// Runs jobs 0..count, `threads` at a time, each on one thread; results are in the order of the jobs.
///
/// After the first failure no further job starts.
///
/// # Errors
/// The failure of the first job, in order, that failed.
pub fn run_jobs<T: Send>(
    count: usize,
    threads: usize,
    job: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let results: Mutex<Vec<Option<Result<T>>>> = Mutex::new((0..count).map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, count.max(1)) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    let result = with_threads(1, || job(index));
                    if result.is_err() {
                        failed.store(true, Ordering::Relaxed);
                    }
                    if let Ok(mut results) = results.lock() {
                        results[index] = Some(result);
                    }
                }
            });
        }
    });
    let mut done = Vec::with_capacity(count);
    let mut missing = false;
    for result in results.into_inner().unwrap_or_default() {
        match result {
            Some(result) => done.push(result?),
            None => missing = true,
        }
    }
    if missing { Err(Error::argument("a job was not run because another failed")) } else { Ok(done) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_and_the_first_failure_is_returned() {
        for threads in [1, 2, 5] {
            assert_eq!(run_jobs(7, threads, |i| Ok(i * i)).unwrap(), [0, 1, 4, 9, 16, 25, 36]);
            let failing = |i: usize| if i == 3 { Err(Error::argument("job 3")) } else { Ok(i) };
            assert_eq!(run_jobs(7, threads, failing).unwrap_err().to_string(), "job 3");
        }
        assert!(run_jobs(0, 2, Ok).unwrap().is_empty());
    }
}
