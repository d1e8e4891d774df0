//! Fixed chunks on the current rayon pool.
//!
//! A chunk is a run of whole rows of about 2¹⁴ elements: 64 KiB, which stays in a core's second-level cache between the
//! two passes of a two-pass formula. The cut depends on the shape alone, and whatever is summed over chunks is summed
//! in their order: the number of threads changes no bit.

use crate::error::Error;
use rayon::prelude::*;

/// Says whether somebody asked for an end; it is asked between pieces of at most some tenths of a second, on any thread.
pub type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// A [`Stop`] that never says so, as `&never`.
pub fn never() -> bool {
    false
}

/// # Errors
/// `stop` says so; `doing` is what is given up.
pub(crate) fn check(stop: Stop<'_>, doing: &str) -> Result<(), Error> {
    if stop() { Err(Error::Interrupted(format!("interrupted while {doing}"))) } else { Ok(()) }
}

/// Elements of a chunk.
pub const CHUNK: usize = 1 << 14;

/// Runs `work` inside a pool of this many threads.
///
/// # Errors
/// No thread can be started, or what `work` returns.
pub fn with_threads<T: Send, E: From<Error> + Send>(
    threads: usize,
    work: impl FnOnce() -> Result<T, E> + Send,
) -> Result<T, E> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| Error::argument(format!("cannot start {threads} threads: {e}")))?;
    pool.install(work)
}

/// Rows of a chunk whose rows have this many elements: at least one.
pub fn rows_per_chunk(columns: usize) -> usize {
    (CHUNK / columns.max(1)).max(1)
}

/// Runs every job, on the current pool where there is more than one job and more than one thread.
pub fn for_each<T: Send>(jobs: impl Iterator<Item = T>, run: impl Fn(T) + Sync + Send) {
    let jobs: Vec<T> = jobs.collect();
    if jobs.len() < 2 || rayon::current_num_threads() == 1 {
        jobs.into_iter().for_each(run);
    } else {
        jobs.into_par_iter().with_max_len(1).for_each(run);
    }
}

/// What every job returns, in the order of the jobs.
pub fn map<T: Send, R: Send>(jobs: impl Iterator<Item = T>, run: impl Fn(T) -> R + Sync + Send) -> Vec<R> {
    let jobs: Vec<T> = jobs.collect();
    if jobs.len() < 2 || rayon::current_num_threads() == 1 {
        jobs.into_iter().map(run).collect()
    } else {
        jobs.into_par_iter().with_max_len(1).map(run).collect()
    }
}

/// Calls a kernel compiled for the widest vectors of this processor; the kernel must be `#[inline(always)]`.
#[inline(always)]
pub fn simd<R>(kernel: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(kernel)
}

/// Σ over chunks of their sums, in f64 and in the order of the chunks.
pub fn add_in_order(partial: &[Vec<f32>], length: usize) -> Vec<f32> {
    let mut total = vec![0f64; length];
    simd(|| partial.iter().for_each(|sums| add(&mut total, sums)));
    total.into_iter().map(|t| t as f32).collect()
}

#[inline(always)]
fn add(total: &mut [f64], sums: &[f32]) {
    for (t, s) in total.iter_mut().zip(sums) {
        *t += f64::from(*s);
    }
}
