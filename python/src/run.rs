//! How work runs: without the interpreter's lock, on as many threads as asked for, stopped by Ctrl-C, and with every
//! panic turned into an exception.
//!
//! Every function of the package computes inside [`short`], [`polled`], [`long`] or [`owned`]; nothing else catches
//! panics, and nothing else starts threads.

use crate::errors::Failure;
use measure::Stop;
use pyo3::prelude::*;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// What work returns.
pub(crate) type Outcome<T> = std::result::Result<T, Failure>;

/// How often a waiting call asks Python for signals.
const POLL: Duration = Duration::from_millis(50);

/// How long [`owned`] waits for work that was asked to stop.
const PATIENCE: Duration = Duration::from_millis(300);

/// Runs work of well under a second on this thread. It must use no rayon: that pool does not survive a fork.
///
/// # Errors
/// What the work returns, or its panic.
pub(crate) fn short<T: Send>(py: Python<'_>, work: impl FnOnce() -> Outcome<T> + Send) -> PyResult<T> {
    Ok(py.detach(|| caught(work))?)
}

/// Runs work on this thread, without the third of a millisecond that a thread costs. As in [`short`] it must use no
/// rayon, and it must ask the function that it is given every few hundredths of a second: that is when Ctrl-C is heard.
///
/// # Errors
/// What the work returns, its panic, or what a signal handler raises.
pub(crate) fn polled<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&dyn Fn() -> bool) -> Outcome<T> + Send,
) -> PyResult<T> {
    let (outcome, signal) = py.detach(|| {
        let (asked, signal) = (Cell::new(Instant::now()), RefCell::new(None));
        let stop = || {
            if asked.get().elapsed() > POLL && signal.borrow().is_none() {
                asked.set(Instant::now());
                *signal.borrow_mut() = Python::attach(|py| py.check_signals()).err();
            }
            signal.borrow().is_some()
        };
        let outcome = caught(|| work(&stop));
        (outcome, signal.into_inner())
    });
    match signal {
        Some(signal) => Err(signal),
        None => Ok(outcome?),
    }
}

/// Runs work on a pool of `threads` threads (all processors if `None`), while this thread listens for Ctrl-C.
///
/// The work may borrow; it must ask the function that it is given every few tenths of a second, and end once that says
/// true: the call returns only then.
///
/// # Errors
/// What the work returns, its panic, what a signal handler raises (`KeyboardInterrupt`), or no thread.
pub(crate) fn long<T: Send>(
    py: Python<'_>,
    threads: Option<usize>,
    work: impl FnOnce(Stop<'_>) -> Outcome<T> + Send,
) -> PyResult<T> {
    let stop = AtomicBool::new(false);
    let (done, finished) = channel();
    let (outcome, signal) = py.detach(move || {
        std::thread::scope(|scope| {
            let stop = &stop;
            let worker = Builder::new().name("negatives".into()).spawn_scoped(scope, move || {
                pooled(threads, &done, || work(&|| stop.load(Ordering::Relaxed)))
            });
            let worker = match worker {
                Ok(worker) => worker,
                Err(e) => return (Err(no_thread(&e)), None),
            };
            let signal = wait(&finished, stop, None);
            (worker.join().unwrap_or_else(|panic| Err(message_of(&*panic))), signal)
        })
    });
    match signal {
        Some(signal) => Err(signal),
        None => Ok(outcome?),
    }
}

/// As [`long`], for work that owns what it needs: it is left behind where it does not stop within a third of a second,
/// and ends on its own.
///
/// # Errors
/// As for `long`.
pub(crate) fn owned<T: Send + 'static>(
    py: Python<'_>,
    threads: Option<usize>,
    work: impl FnOnce(Stop<'_>) -> Outcome<T> + Send + 'static,
) -> PyResult<T> {
    let stop = Arc::new(AtomicBool::new(false));
    let (done, finished) = channel();
    let own = Arc::clone(&stop);
    let worker = move || pooled(threads, &done, || work(&|| own.load(Ordering::Relaxed)));
    let (outcome, signal) = py.detach(move || match Builder::new().name("negatives".into()).spawn(worker) {
        Err(e) => (Err(no_thread(&e)), None),
        Ok(worker) => match wait(&finished, &stop, Some(PATIENCE)) {
            None => (worker.join().unwrap_or_else(|panic| Err(message_of(&*panic))), None),
            signal => (Err(Failure::Interrupted), signal),
        },
    });
    match signal {
        Some(signal) => Err(signal),
        None => Ok(outcome?),
    }
}

/// Waits until the worker is done; once a signal handler raised, asks it to stop, and waits at most `patience` more.
fn wait(finished: &Receiver<()>, stop: &AtomicBool, patience: Option<Duration>) -> Option<PyErr> {
    let mut raised: Option<(PyErr, Instant)> = None;
    // The worker says that it is done by dropping its end, also in a panic.
    while finished.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
        match &raised {
            None => {
                if let Err(error) = Python::attach(|py| py.check_signals()) {
                    stop.store(true, Ordering::Relaxed);
                    raised = Some((error, Instant::now()));
                }
            }
            Some((_, since)) if patience.is_some_and(|patience| since.elapsed() > patience) => break,
            Some(_) => {}
        }
    }
    raised.map(|(error, _)| error)
}

/// The work on a pool of its own: the shared pool of rayon has no threads in a forked process, where it would wait for
/// ever.
fn pooled<T: Send>(
    threads: Option<usize>,
    _done: &Sender<()>,
    work: impl FnOnce() -> Outcome<T> + Send,
) -> Outcome<T> {
    caught(|| {
        let mut pool = rayon::ThreadPoolBuilder::new();
        if let Some(threads) = threads {
            if threads == 0 || threads > MAX_THREADS {
                return Err(Failure::argument(format!("threads = {threads} is outside 1..{MAX_THREADS}")));
            }
            pool = pool.num_threads(threads);
        }
        let pool = pool.build().map_err(|e| Failure::argument(format!("cannot start threads: {e}")))?;
        pool.install(work)
    })
}

/// The most threads that can be asked for.
const MAX_THREADS: usize = 1024;

fn no_thread(error: &std::io::Error) -> Failure {
    Failure::argument(format!("cannot start a thread: {error}"))
}

fn caught<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(message_of(&*panic)))
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> Failure {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    Failure::Panic(format!("a defect of this package, please report it: {text}"))
}

/// Adds what the tests of this module need.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_wait, module)?)?;
    module.add_function(wrap_pyfunction!(_panic, module)?)
}

/// Waits so many seconds, heedless of requests to stop where `deaf`: for the tests of Ctrl-C.
#[pyfunction]
fn _wait(py: Python<'_>, seconds: f64, deaf: bool) -> PyResult<()> {
    let end = Instant::now() + Duration::from_secs_f64(seconds.clamp(0.0, 60.0));
    let nap = Duration::from_millis(10);
    let step = move |stop: Stop<'_>| {
        while Instant::now() < end && (deaf || !stop()) {
            std::thread::sleep(nap);
        }
        Ok(())
    };
    if deaf { owned(py, Some(1), step) } else { long(py, Some(1), step) }
}

/// Panics: for the test that no panic crosses.
#[pyfunction]
#[allow(clippy::panic)]
fn _panic(py: Python<'_>, kind: &str) -> PyResult<()> {
    match kind {
        "short" => short(py, || panic!("short")),
        "long" => long(py, Some(1), |_| panic!("long")),
        _ => owned(py, Some(1), |_| panic!("owned")),
    }
}
