//! Arguments that cannot be used: one line on the standard error stream, exit code 2. For the programs of the
//! workspace, so that all report alike.

use crate::terminal::one_line;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, FromArgMatches, Parser};
use std::ffi::OsString;
use std::io::Write;
use std::num::{IntErrorKind, ParseFloatError, ParseIntError};
use std::process::ExitCode;

/// What was typed.
///
/// # Errors
/// The exit code, once help, the version or what is wrong is printed: 0, or 2; 1 where standard output refuses the help.
pub fn parse<P: Parser>() -> Result<P, ExitCode> {
    parse_as(P::command())
}

/// [`parse`], where the command is not quite that of the type.
///
/// # Errors
/// As [`parse`].
pub fn parse_as<P: FromArgMatches>(command: Command) -> Result<P, ExitCode> {
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
