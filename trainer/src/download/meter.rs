//! How far a download is: a bar on a terminal, a line now and then elsewhere, nothing when quiet. On standard error.

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use std::time::{Duration, Instant};

/// Between two lines where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Bytes done out of bytes in all.
#[derive(Debug)]
pub(super) struct Meter {
    /// Draws nothing where there is no terminal, but knows rate and remaining time there too.
    bar: ProgressBar,
    quiet: bool,
    said: Instant,
}

impl Meter {
    /// A meter at zero.
    pub(super) fn new(name: &str, bytes: u64, quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(bytes), target).with_prefix(name.to_string());
        let template = "{prefix:28} {bar:24} {bytes}/{total_bytes} {bytes_per_sec} [{elapsed}, {eta} left]";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self { bar: bar.with_style(style).with_finish(ProgressFinish::AndClear), quiet, said: Instant::now() }
    }

    /// So many bytes are there.
    pub(super) fn set(&mut self, done: u64) {
        self.bar.set_position(done);
        if self.bar.is_hidden() && self.said.elapsed() >= BETWEEN_LINES {
            self.said = Instant::now();
            let (name, all, rate) = (self.bar.prefix(), self.bar.length().unwrap_or(0), self.bar.per_sec());
            let (rate, left) = (HumanBytes(rate as u64), HumanDuration(self.bar.eta()));
            self.line(&format!("{name}: {done} of {all} bytes, {rate}/s, {left} left"));
        }
    }

    /// A line of its own.
    pub(super) fn line(&self, text: &str) {
        if !self.quiet {
            self.bar.suspend(|| theory::terminal::say(text));
        }
    }
}
