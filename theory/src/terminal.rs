//! What programs say: results on standard output, everything else on standard error. Neither has to be there.

use crate::error::{Error, Result};
use crate::report::wrap;
use std::io::{IsTerminal, Write};
use std::path::Path;
use terminal_size::terminal_size_of;

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
    let _ = writeln!(std::io::stderr().lock(), "{}", fitted(&one_line(line)));
}

/// A line as standard error shows it: a note is broken between words where that is a terminal and the note is wider.
/// Other lines may hold a command or the name of a file, which a reader copies: the terminal itself breaks these.
fn fitted(line: &str) -> String {
    let width = || terminal_size_of(std::io::stderr()).map(|(width, _)| usize::from(width.0));
    match std::io::stderr().is_terminal().then(width).flatten() {
        Some(width) if line.starts_with("note: ") => wrap(line, width).join("\n"),
        _ => line.to_string(),
    }
}

/// A text without line breaks and other control characters, which names of files and values may hold.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
