//! Progress: bars on a terminal, plain lines otherwise, nothing when asked to be quiet. All on standard error.

use indicatif::{FormattedDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Mutex;
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
        let bar = self.bars.add(ProgressBar::new(steps as u64)).with_prefix(name.to_string());
        let template = "{prefix:28} {bar:24} {pos}/{len} {msg} [{elapsed}, {eta} left]";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Task { bar, progress: self.clone(), last_line: Mutex::new(Instant::now()) }
    }
}

/// One task among others.
#[derive(Debug)]
pub struct Task {
    bar: ProgressBar,
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
            let (bar, left) = (&self.bar, FormattedDuration(self.bar.eta()));
            let (done, all) = (bar.position(), bar.length().unwrap_or_default());
            self.progress.line(&format!("{}: {done}/{all}, {message}, {left} left", bar.prefix()));
        }
    }

    /// A line about the task.
    pub fn remark(&self, text: &str) {
        self.progress.line(&format!("{}: {text}", self.bar.prefix()));
    }

    /// This many steps were done before: they do not count as speed.
    pub fn advance(&self, steps: usize) {
        self.bar.inc(steps as u64);
        self.bar.reset_eta();
    }

    /// So many steps are done, as somebody else reports.
    pub fn at(&self, steps: usize, message: &str) {
        self.bar.set_position(steps as u64);
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
