//! Arguments that cannot be used: one line on the standard error stream, exit code 2. For the programs of the
//! workspace, so that all report alike.

use crate::ClassPrior;
use crate::error::{Error, Result};
use crate::terminal::one_line;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, FromArgMatches, Parser};
use std::ffi::OsString;
use std::io::Write;
use std::num::{IntErrorKind, ParseFloatError, ParseIntError};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What was typed.
///
/// # Errors
/// The exit code, once help, the version or what is wrong is printed: 0, or 2; 1 where standard output refuses the help.
pub fn parse<P: Parser>() -> std::result::Result<P, ExitCode> {
    parse_as(P::command())
}

/// [`parse`], where the command is not quite that of the type.
///
/// # Errors
/// As [`parse`].
pub fn parse_as<P: FromArgMatches>(command: Command) -> std::result::Result<P, ExitCode> {
    let matches = command.try_get_matches_from(with_negative_values(std::env::args_os()));
    matches.and_then(|matches| P::from_arg_matches(&matches)).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
            match error.print().and_then(|()| std::io::stdout().flush()) {
                Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
                    crate::terminal::say(&format!("error: standard output: {e}"));
                    ExitCode::FAILURE
                }
                // A reader that went away wants no help.
                _ => code,
            }
        }
        _ => {
            crate::terminal::say(&format!("error: {}", message(&error)));
            ExitCode::from(2)
        }
    })
}

/// A whole number as typed.
///
/// # Errors
/// The text is no whole number of at least 0, or too large; the message says which.
pub fn parse_number(text: &str) -> std::result::Result<u64, String> {
    text.trim().parse::<u64>().map_err(|e| match e.kind() {
        std::num::IntErrorKind::PosOverflow => format!("'{text}' exceeds the limit of {}", u64::MAX),
        _ => format!("'{text}' is not a non-negative integer"),
    })
}

/// Numbers that one list may have: a row of a table takes up to a kilobyte.
const MOST_NUMBERS: u64 = 1_000_000;

/// Whole numbers as typed: `8`, `8,16`, `8..512`, `8..512:8` (from 8 to 512 in steps of 8, both ends included), or a
/// list of such parts with commas.
///
/// # Errors
/// A part that is no such number or range, a range that runs backwards, more than 10⁶ numbers.
///
/// # Examples
/// ```
/// use theory::usage::parse_list;
/// assert_eq!(parse_list("4,8..16:4,100")?, [4, 8, 12, 16, 100]);
/// assert!(parse_list("9..3").is_err());
/// # Ok::<(), String>(())
/// ```
pub fn parse_list(text: &str) -> std::result::Result<Vec<u64>, String> {
    let mut values = Vec::new();
    for part in text.split(',') {
        let Some((first, rest)) = part.split_once("..") else {
            values.push(parse_number(part)?);
            continue;
        };
        let (last, step) = rest.split_once(':').unwrap_or((rest, "1"));
        let (first, last, step) = (parse_number(first)?, parse_number(last)?, parse_number(step)?);
        if step == 0 {
            return Err("the step of a range must be at least 1, got 0".into());
        }
        if first > last {
            return Err(format!("the range {first}..{last} runs backwards"));
        }
        if (last - first) / step >= MOST_NUMBERS {
            return Err(format!("the range has more values than the limit of {MOST_NUMBERS}"));
        }
        values.extend((first..=last).step_by(usize::try_from(step).unwrap_or(usize::MAX)));
        if values.len() as u64 > MOST_NUMBERS {
            return Err(format!("the ranges have more values than the limit of {MOST_NUMBERS}"));
        }
    }
    Ok(values)
}

/// Decimal numbers as typed: `0.5`, `0.1,0.2`, `0.1..0.5:0.1` (a range needs its step), or a list of such parts with
/// commas.
///
/// # Errors
/// A part that is no such number or range, a step that is not positive, a range that runs backwards or has more than
/// 10⁶ numbers.
///
/// # Examples
/// ```
/// use theory::usage::parse_decimals;
/// assert_eq!(parse_decimals("0.1..0.3:0.1,1")?, [0.1, 0.2, 0.3, 1.0]);
/// # Ok::<(), String>(())
/// ```
pub fn parse_decimals(text: &str) -> std::result::Result<Vec<f64>, String> {
    let number = |text: &str| text.trim().parse::<f64>().map_err(|_| format!("'{text}' is not a number"));
    let mut values = Vec::new();
    for part in text.split(',') {
        let Some((first, rest)) = part.split_once("..") else {
            values.push(number(part)?);
            continue;
        };
        let Some((last, step)) = rest.split_once(':') else {
            return Err(format!("the range '{part}' needs its step, as in {part}:0.1"));
        };
        // The digits that were typed: 0.1 + 2 · 0.1 is 0.3.
        let digits = |text: &str| text.trim().split_once('.').map_or(0, |(_, digits)| digits.len());
        let places = digits(first).max(digits(step));
        let (first, last, step) = (number(first)?, number(last)?, number(step)?);
        if !(step > 0.0 && step.is_finite()) {
            return Err(format!("the step of a range must be positive, got {step}"));
        }
        if !(first <= last && first.is_finite() && last.is_finite()) {
            return Err(format!("the range {first}..{last} runs backwards"));
        }
        // A rounded quotient must not lose the last number.
        let count = ((last - first) / step + 1e-9).floor();
        if count >= MOST_NUMBERS as f64 {
            return Err(format!("the range has more values than the limit of {MOST_NUMBERS}"));
        }
        for i in 0..=count as u64 {
            values.push(number(&format!("{:.places$}", first + i as f64 * step))?);
        }
    }
    Ok(values)
}

/// Class counts as typed: numbers with commas, such as `5000,3000,1500`, or else the file that they stand in.
///
/// # Errors
/// As [`ClassPrior::from_counts`] and [`ClassPrior::read_counts`].
pub fn class_counts(typed: &Path) -> Result<ClassPrior> {
    let is_list = |text: &&str| text.contains(',') && text.chars().all(|c| c.is_ascii_digit() || c == ',');
    let Some(text) = typed.to_str().filter(is_list) else { return ClassPrior::read_counts(typed) };
    let named = |reason: String| Error::argument(format!("--counts {text}: {reason}"));
    let counts = text.split(',').map(parse_number).collect::<std::result::Result<_, _>>().map_err(named)?;
    ClassPrior::from_counts(counts).map_err(|e| named(e.to_string()))
}

/// `completions SHELL`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// Shell to print them for
    shell: clap_complete::Shell,
}

impl CompletionsArgs {
    /// Prints the completions of this command.
    ///
    /// # Errors
    /// Standard output refuses.
    pub fn print(&self, mut command: Command) -> Result<()> {
        let (mut text, name) = (Vec::new(), command.get_name().to_string());
        clap_complete::generate(self.shell, &mut command, name, &mut text);
        crate::terminal::print(&String::from_utf8_lossy(&text))
    }
}

/// `man DIR`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Folder for PROGRAM.1 and one PROGRAM-COMMAND.1 for each command, made if need be
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl ManArgs {
    /// Writes a page for this command and one for each of its subcommands.
    ///
    /// # Errors
    /// The operating system refuses to write.
    pub fn write(&self, mut command: Command) -> Result<()> {
        // Gives each subcommand its whole name, as in theory-bounds.
        command.build();
        let page = |command: &Command| {
            let name = command.get_display_name().unwrap_or(command.get_name()).to_string();
            let mut text = Vec::new();
            // Writing to memory cannot fail.
            let _ = clap_mangen::Man::new(command.clone()).render(&mut text);
            (self.folder.join(format!("{name}.1")), text)
        };
        let parts = command.get_subcommands().filter(|part| part.get_name() != "help");
        let pages: Vec<_> = std::iter::once(&command).chain(parts).map(page).collect();
        crate::files::create_folder(&self.folder)?;
        let pages: Vec<(&Path, &[u8])> =
            pages.iter().map(|(path, text)| (path.as_path(), text.as_slice())).collect();
        crate::files::write_all(&pages)
    }
}

/// The arguments with `--draws -5` as `--draws=-5`, so that the message names argument and value.
///
/// Left alone, clap takes −5 for an unknown option; told to allow hyphens, it takes the next option for a value that
/// was forgotten.
fn with_negative_values(typed: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    for argument in typed {
        let is_negative = argument
            .to_str()
            .and_then(|text| text.strip_prefix('-'))
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit() || c == '.'));
        let is_value = |last: &&mut OsString| {
            last.to_str().is_some_and(|name| name.len() > 2 && name.starts_with("--") && !name.contains('='))
        };
        match arguments.last_mut().filter(is_value).filter(|_| is_negative) {
            Some(last) => {
                last.push("=");
                last.push(argument);
            }
            None => arguments.push(argument),
        }
    }
    arguments
}

/// The message of an error as one line, without the usage and the pointer to the help.
fn message(error: &clap::Error) -> String {
    let text_of = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let reason = std::error::Error::source(error).map(reason);
    if let (Some(arg), Some(value), Some(reason)) =
        (text_of(ContextKind::InvalidArg), text_of(ContextKind::InvalidValue), reason)
    {
        let name = arg.split_whitespace().next().unwrap_or(arg);
        let shown = format!("'{value}' ");
        let says_what =
            reason.starts_with(&shown) || reason.starts_with("is not ") || reason.starts_with("exceeds ");
        let colon = if says_what { "" } else { ":" };
        return one_line(&format!(
            "{name} '{value}'{colon} {}",
            reason.strip_prefix(&shown).unwrap_or(&reason)
        ));
    }
    let text = error.to_string();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    let mut message = String::new();
    for line in lines {
        message += if message.is_empty() {
            ""
        } else if message.ends_with(':') {
            " "
        } else {
            ", "
        };
        message += line.strip_prefix("error: ").unwrap_or(line);
    }
    one_line(&message)
}

/// Why a value is refused; the messages of the standard library do not say what is wanted.
fn reason(source: &(dyn std::error::Error + 'static)) -> String {
    if let Some(error) = source.downcast_ref::<ParseIntError>() {
        return match error.kind() {
            IntErrorKind::PosOverflow => format!("exceeds the limit of {}", u64::MAX),
            _ => "is not a non-negative integer".into(),
        };
    }
    match source.is::<ParseFloatError>() {
        true => "is not a number".into(),
        false => source.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_include_both_ends() {
        assert_eq!(parse_list("4..10:3").unwrap(), [4, 7, 10]);
        assert_eq!(parse_list("16,32").unwrap(), [16, 32]);
        assert_eq!(parse_list("1..1000000").unwrap().len(), 1_000_000);
        for bad in ["1..1000001", "1..700000,1..300001", "9..3", "3..9:0", "a..b", "", "1..99999999"] {
            assert!(parse_list(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_decimals("0.05..0.2:0.05").unwrap(), [0.05, 0.1, 0.15, 0.2]);
        for bad in ["0.1..0.5", "0.5..0.1:0.1", "0.1..0.5:0", "x", "", "0..1e9:0.1", "0..inf:1"] {
            assert!(parse_decimals(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn counts_are_numbers_with_commas_or_a_file() {
        let counts = class_counts(Path::new("5000,3000,1500")).unwrap();
        assert_eq!(counts.counts(), Some(&[5000, 3000, 1500][..]));
        for (typed, word) in [("5,0", "--counts 5,0"), ("5,,3", "--counts 5,,3"), ("none.txt", "none.txt")] {
            assert!(class_counts(Path::new(typed)).unwrap_err().to_string().contains(word), "{typed}");
        }
    }
}
