//! The command line of `trainer`.

mod commands;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;
use theory::error::ErrorKind;
use trainer::Error;

/// How many negative samples, and which? Trains contrastive encoders and measures what the bounds need.
#[derive(Parser)]
#[command(version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train for several K and seeds, measure, and report bounds against K
    #[command(after_help = "Example: trainer reproduce digits --quick --out runs/quick")]
    Reproduce(commands::ReproduceArgs),
    /// Train one encoder
    #[command(after_help = "Example: trainer train --preset digits --set batch_size=128 --out runs/n128")]
    Train(commands::TrainArgs),
    /// Measure the loss components of a trained run, or of features that another program made
    #[command(
        after_help = "Example: trainer measure --run runs/n128 --draws 16,128 --temperature 0.5 --out runs/n128-measured"
    )]
    Measure(commands::MeasureArgs),
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Runs the command; 0 success, 1 bad content or failure, 2 bad arguments.
pub(crate) fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Reproduce(args) => commands::reproduce(&args),
        Command::Train(args) => commands::train(&args),
        Command::Measure(args) => commands::measure(&args),
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    let broken_pipe = |e: &std::io::Error| e.kind() == std::io::ErrorKind::BrokenPipe;
    if error.chain().filter_map(|e| e.downcast_ref()).any(broken_pipe) {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {error:#}");
    match error.downcast_ref::<Error>() {
        Some(Error::Argument(_)) => ExitCode::from(2),
        Some(Error::Theory(e)) if matches!(e.kind(), ErrorKind::Argument(_)) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
