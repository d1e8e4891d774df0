//! Progress: bars on a terminal, plain lines otherwise, nothing when asked to be quiet. All on standard error.

use indicatif::{
    FormattedDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressState,
    ProgressStyle,
};
use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Least time between two plain lines of one task.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Where progress goes.
#[derive(Debug, Clone)]
pub struct Progress {
    quiet: bool,
    /// Drawn on a terminal; elsewhere they only keep count and time.
    bars: MultiProgress,
}

impl Progress {
    /// Bars if standard error is a terminal, lines if not, nothing if `quiet`.
    pub fn new(quiet: bool) -> Self {
        let bars = MultiProgress::new();
        if quiet || !std::io::stderr().is_terminal() {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self { quiet, bars }
    }

    /// A line of its own.
    pub fn line(&self, text: &str) {
        match self.bars.is_hidden() {
            false => drop(self.bars.println(text)),
            true if !self.quiet => theory::terminal::say(text),
            true => {}
        }
    }

    /// A task of this many steps.
    pub fn task(&self, name: &str, steps: usize) -> Task {
        // What was interrupted leaves no bar behind.
        let bar = self.bars.add(ProgressBar::new(steps as u64)).with_finish(ProgressFinish::AndClear);
        let bar = bar.with_prefix(name.to_string());
        let pace = Arc::new(Mutex::new(Pace { since: Instant::now(), before: 0, is_reported: false }));
        // The message is cut where a terminal is narrow, so that no line wraps.
        let template = "{prefix:20!} {bar:10} {pos}/{len} [{elapsed}{left}] {wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            let pace = pace.clone();
            let left = move |state: &ProgressState, out: &mut dyn Write| {
                let all = state.len().unwrap_or_default();
                let _ = pace.lock().map(|pace| write!(out, "{}", pace.left(state.pos(), all)));
            };
            bar.set_style(style.with_key("left", left));
        }
        Task { bar, pace, progress: self.clone(), last_line: Mutex::new(Instant::now()) }
    }
}

/// The mean speed, from which the remaining time is estimated: steps may take minutes, where an average that forgets
/// (that of `indicatif`, within seconds) says years before the next one.
#[derive(Debug)]
struct Pace {
    since: Instant,
    /// Steps that were done then.
    before: u64,
    /// Whether the steps done have been reported by somebody else.
    is_reported: bool,
}

impl Pace {
    fn from(&mut self, steps: u64) {
        (self.since, self.before) = (Instant::now(), steps);
    }

    /// What stands behind the elapsed time; nothing before the first step.
    fn left(&self, done: u64, all: u64) -> String {
        let steps = done.saturating_sub(self.before);
        if steps == 0 {
            return String::new();
        }
        let left = self.since.elapsed().mul_f64(all.saturating_sub(done) as f64 / steps as f64);
        format!(", {} left", FormattedDuration(left))
    }
}

/// One task among others.
#[derive(Debug)]
pub struct Task {
    bar: ProgressBar,
    pace: Arc<Mutex<Pace>>,
    progress: Progress,
    last_line: Mutex<Instant>,
}

impl Task {
    /// One step is done.
    pub fn step(&self, message: impl FnOnce() -> String) {
        let message = message();
        self.bar.set_message(message.clone());
        self.bar.inc(1);
        self.say(&message);
    }

    /// A plain line now and then, where there is no bar.
    fn say(&self, message: &str) {
        let Ok(mut last) = self.last_line.lock() else { return };
        if self.progress.bars.is_hidden() && last.elapsed() >= LINE_EVERY {
            *last = Instant::now();
            let (done, all) = (self.bar.position(), self.bar.length().unwrap_or_default());
            let left = self.pace.lock().map(|pace| pace.left(done, all)).unwrap_or_default();
            self.progress.line(&format!("{}: {done}/{all}, {message}{left}", self.bar.prefix()));
        }
    }

    /// A line about the task.
    pub fn remark(&self, text: &str) {
        self.progress.line(&format!("{}: {text}", self.bar.prefix()));
    }

    /// This many steps were done before: they do not count as speed.
    pub fn advance(&self, steps: usize) {
        self.bar.inc(steps as u64);
        if let Ok(mut pace) = self.pace.lock() {
            pace.from(steps as u64);
        }
    }

    /// So many steps are done, as somebody else reports: those of the first report do not count as speed.
    pub fn at(&self, steps: usize, message: &str) {
        if let Ok(mut pace) = self.pace.lock()
            && !std::mem::replace(&mut pace.is_reported, true)
        {
            pace.from(steps as u64);
        }
        // While a run changes its state it may report nothing.
        self.bar.set_position((steps as u64).max(self.bar.position()));
        self.bar.set_message(message.to_string());
        self.say(message);
    }

    /// The task ends without a word.
    pub fn forget(self) {
        self.bar.finish_and_clear();
    }

    /// The task is done; its bar gives way to a line.
    pub fn finish(self, message: &str) {
        self.bar.finish_and_clear();
        let seconds = self.bar.elapsed().as_secs_f64();
        self.progress.line(&format!("{}: {message} ({seconds:.1} s)", self.bar.prefix()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remaining_time_is_that_of_the_mean_speed() {
        let since = Instant::now().checked_sub(Duration::from_secs(600)).unwrap();
        let pace = Pace { since, before: 10, is_reported: false };
        // Three steps in ten minutes, long after the last of them: 87 more take 290 minutes.
        assert_eq!(pace.left(13, 100), ", 04:50:00 left");
        assert_eq!(pace.left(10, 100), "");
        assert_eq!(pace.left(100, 100), ", 00:00:00 left");
    }
}
