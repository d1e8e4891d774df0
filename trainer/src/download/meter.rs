//! How far a download is: a bar on a terminal, a line now and then elsewhere, nothing when quiet. On standard error.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Between two lines where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Bytes done out of bytes in all.
#[derive(Debug)]
pub(super) struct Meter {
    name: String,
    bytes: u64,
    bar: Option<ProgressBar>,
    quiet: bool,
    said: Instant,
}

impl Meter {
    /// A meter at zero.
    pub(super) fn new(name: &str, bytes: u64, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(bytes);
            let style = ProgressStyle::with_template(
                "{prefix:28} {bar:24} {bytes}/{total_bytes} {bytes_per_sec} [{elapsed}, {eta} left]",
            );
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar.set_prefix(name.to_string());
            bar
        });
        Self { name: name.into(), bytes, bar, quiet, said: Instant::now() }
    }

    /// So many bytes are there.
    pub(super) fn set(&mut self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        } else if !self.quiet && self.said.elapsed() >= BETWEEN_LINES {
            self.said = Instant::now();
            eprintln!("{}: {done} of {} bytes", self.name, self.bytes);
        }
    }

    /// A line of its own.
    pub(super) fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None if !self.quiet => eprintln!("{text}"),
            None => {}
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
