//! Progress: bars on a terminal, plain lines otherwise, nothing when asked to be quiet. All on standard error.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Least time between two plain lines of one task.
const LINE_EVERY: Duration = Duration::from_secs(30);

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
            steps,
            before: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            last_line: Mutex::new(start),
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
    steps: usize,
    /// Steps done before this start.
    before: AtomicUsize,
    done: AtomicUsize,
    last_line: Mutex<Instant>,
}

impl Task {
    /// One step is done.
    pub fn step(&self, message: impl FnOnce() -> String) {
        let done = self.done.fetch_add(1, Relaxed) + 1;
        if let Some(bar) = &self.bar {
            bar.set_message(message());
            bar.inc(1);
            return;
        }
        let Ok(mut last_line) = self.last_line.lock() else { return };
        if last_line.elapsed() >= LINE_EVERY {
            *last_line = Instant::now();
            let now = done - self.before.load(Relaxed);
            let left = remaining(self.start.elapsed(), now, self.steps.saturating_sub(done));
            let steps = self.steps;
            self.progress.line(&format!("{}: {done}/{steps}, {}, {left} left", self.name, message()));
        }
    }

    /// This many steps were done before.
    pub fn advance(&self, steps: usize) {
        self.before.store(steps, Relaxed);
        self.done.store(steps, Relaxed);
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

/// The time that `left` steps take if `done` took `elapsed`, such as `1 h 03 min` or `40 s`.
fn remaining(elapsed: Duration, done: usize, left: usize) -> String {
    let seconds = (elapsed.as_secs_f64() / done.max(1) as f64 * left as f64).round() as u64;
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min {:02} s", seconds % 60),
        (hours, minutes) => format!("{hours} h {minutes:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_in_words() {
        let after = |seconds| Duration::from_secs(seconds);
        assert_eq!(remaining(after(10), 2, 8), "40 s");
        assert_eq!(remaining(after(10), 1, 9), "1 min 30 s");
        assert_eq!(remaining(after(3600), 100, 105), "1 h 03 min");
        assert_eq!(remaining(after(5), 0, 3), "15 s");
    }
}
