//! Progress: bars on a terminal, plain lines otherwise, nothing when asked to be quiet. All on standard error.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Instant;

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
        Task { name: name.to_string(), bar, progress: self.clone(), start: Instant::now() }
    }
}

/// One task among others.
#[derive(Debug)]
pub struct Task {
    name: String,
    bar: Option<ProgressBar>,
    progress: Progress,
    start: Instant,
}

impl Task {
    /// One step is done.
    pub fn step(&self, message: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_message(message());
            bar.inc(1);
        }
    }

    /// This many steps were done before.
    pub fn advance(&self, steps: usize) {
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
