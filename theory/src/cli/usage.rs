//! Arguments that cannot be used: one line on the standard error stream, exit code 2.

use super::{Range, parse_number};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Parser};
use std::any::TypeId;
use std::process::ExitCode;

/// What was typed; or the exit code, once help, the version or an error is printed.
pub(super) fn parse<P: Parser>() -> Result<P, ExitCode> {
    let mut command = command::<P>();
    let parsed = command
        .try_get_matches_from_mut(std::env::args_os())
        .and_then(|mut matches| P::from_arg_matches_mut(&mut matches));
    parsed.map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // A reader that went away wants no help.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
        _ => {
            eprintln!("error: {}", message(&error));
            ExitCode::from(2)
        }
    })
}

/// The command, with numbers parsed here: `--draws -5` then names the argument and the value.
fn command<P: Parser>() -> Command {
    P::command().mut_subcommands(|command| command.mut_args(numeric))
}

fn numeric(arg: Arg) -> Arg {
    let id = arg.get_value_parser().type_id();
    if id == TypeId::of::<u64>() {
        arg.allow_hyphen_values(true).value_parser(parse_number)
    } else if id == TypeId::of::<f64>() {
        let parse = |text: &str| text.trim().parse::<f64>().map_err(|_| format!("'{text}' is not a number"));
        arg.allow_hyphen_values(true).value_parser(parse)
    } else if id == TypeId::of::<u32>() || id == TypeId::of::<Range>() {
        arg.allow_hyphen_values(true)
    } else {
        arg
    }
}

/// The message of an error as one line, without the usage and the pointer to the help.
fn message(error: &clap::Error) -> String {
    let text_of = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let reason = std::error::Error::source(error).map(ToString::to_string);
    if let (Some(arg), Some(value), Some(reason)) =
        (text_of(ContextKind::InvalidArg), text_of(ContextKind::InvalidValue), reason)
    {
        let name = arg.split_whitespace().next().unwrap_or(arg);
        let shown = format!("'{value}' ");
        let colon = if reason.starts_with(&shown) { "" } else { ":" };
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

/// A text without line breaks and other control characters, which names of files and values may hold.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
