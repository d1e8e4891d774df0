//! Progress: bars on a terminal, plain lines otherwise, nothing when asked to be quiet. All on standard error.

use super::eta::{self, Eta};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Least time between two plain lines of one task.
const LINE_EVERY: Duration = Duration::from_secs(30);
/// The time over which the speed is measured.
const WINDOW: Duration = Duration::from_secs(120);

/// Where progress goes.
#[derive(Debug, Clone)]
pub struct Progress {
    quiet: bool,
    bars: Option<MultiProgress>,
}

impl Progress {
    /// Bars if standard error is a terminal, lines if not, nothing if `quiet`.
    pub fn new(quiet: bool) -> Self {
        let bars = (!quiet && std::io::stderr().is_terminal()).then(MultiProgress::new);
        Self { quiet, bars }
    }

    /// A line of its own.
    pub fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => drop(bars.println(text)),
            None if !self.quiet => eprintln!("{text}"),
            None => {}
        }
    }

    /// A task of this many steps.
    pub fn task(&self, name: &str, steps: usize) -> Task {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new(steps as u64));
            let style = ProgressStyle::with_template(
                "{prefix:28} {bar:24} {pos}/{len} {msg} [{elapsed}, {eta} left]",
            );
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar.set_prefix(name.to_string());
            bar
        });
        let start = Instant::now();
        Task {
            name: name.to_string(),
            bar,
            progress: self.clone(),
            start,
            steps: steps as u64,
            state: Mutex::new(State { done: 0, eta: Eta::new(steps as u64, 0, WINDOW), last_line: start }),
        }
    }
}

/// One task among others.
#[derive(Debug)]
pub struct Task {
    name: String,
    bar: Option<ProgressBar>,
    progress: Progress,
    start: Instant,
    steps: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    done: u64,
    eta: Eta,
    last_line: Instant,
}

impl Task {
    /// One step is done.
    pub fn step(&self, message: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_message(message());
            bar.inc(1);
            return;
        }
        let Ok(mut state) = self.state.lock() else { return };
        state.done += 1;
        let done = state.done;
        state.eta.update(self.start.elapsed(), done);
        if state.last_line.elapsed() >= LINE_EVERY {
            state.last_line = Instant::now();
            let left =
                state.eta.left().map_or_else(String::new, |left| format!(", {} left", eta::text(left)));
            self.progress.line(&format!("{}: {done}/{}, {}{left}", self.name, self.steps, message()));
        }
    }

    /// This many steps were done before.
    pub fn advance(&self, steps: usize) {
        if let Ok(mut state) = self.state.lock() {
            state.done = steps as u64;
            state.eta = Eta::new(self.steps, steps as u64, WINDOW);
        }
        if let Some(bar) = &self.bar {
            bar.inc(steps as u64);
            bar.reset_eta();
        }
    }

    /// The task is done; its bar gives way to a line.
    pub fn finish(self, message: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.progress.line(&format!(
            "{}: {message} ({:.1} s)",
            self.name,
            self.start.elapsed().as_secs_f64()
        ));
    }
}
