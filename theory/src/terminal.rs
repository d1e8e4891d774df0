//! What programs say: results on standard output, everything else on standard error. Neither has to be there.

use crate::error::{Error, Result};
use std::io::Write;
use std::path::Path;

/// Writes a result to standard output.
///
/// # Errors
/// Standard output refuses, as where its reader went away.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let done = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    done.map_err(|e| Error::io(Path::new("standard output"), e))
}

/// Writes a line to standard error, if that takes it: what is said there is never worth more than the work.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", one_line(line));
}

/// A text without line breaks and other control characters, which names of files and values may hold.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
