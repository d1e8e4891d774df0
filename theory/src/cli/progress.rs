//! How far a long command is: a line on standard error from the third second on, every ten seconds.

use std::time::{Duration, Instant};
use theory::terminal;

const FIRST: Duration = Duration::from_secs(3);
const NEXT: Duration = Duration::from_secs(10);

/// Says how far the work is, unless `quiet`.
pub(super) struct Progress {
    total: usize,
    what: &'static str,
    started: Instant,
    next: Option<Instant>,
}

impl Progress {
    /// Work of `total` equal parts, called `what`.
    pub(super) fn new(total: usize, what: &'static str, quiet: bool) -> Self {
        let started = Instant::now();
        Self { total, what, started, next: (!quiet).then(|| started + FIRST) }
    }

    /// `done` parts are done.
    pub(super) fn at(&mut self, done: usize) {
        // A look at the clock costs some 30 ns.
        if self.next.is_none_or(|next| Instant::now() < next) || done == 0 || done == self.total {
            return;
        }
        let elapsed = self.started.elapsed().as_secs_f64();
        let left = elapsed * (self.total - done) as f64 / done as f64;
        terminal::say(&format!(
            "note: {done} of {} {} after {elapsed:.0} s, some {left:.0} s to go; Ctrl-C ends it",
            self.total, self.what
        ));
        self.next = Some(Instant::now() + NEXT);
    }
}
