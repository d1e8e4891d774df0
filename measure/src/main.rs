//! The `measure` command: features of any encoder to `losses.csv`, without a tensor library.

// It panics where standard error is closed or full; `theory::terminal::say` does not.
#![warn(clippy::print_stderr)]

use clap::{Command, CommandFactory, Parser, Subcommand};
use measure::cli::{self, ArrayFiles, Options};
use measure::{Error, Result, pool};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use theory::error::ErrorKind as TheoryError;
use theory::interrupt::Interrupt;
use theory::{terminal, usage};

/// Measures what the bounds need, from features that any program made.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 110,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Example: measure features.npz --draws 32,64 --temperature 0.5 --out measured"
)]
struct Cli {
    /// Arrays view1, view2, labels, and optionally train, train_labels, mean: .npz or .safetensors; or two .npy files,
    /// VIEW1.npy VIEW2.npy, with --labels
    #[arg(value_name = "FEATURES", required = true, num_args = 1..=2)]
    features: Vec<PathBuf>,
    #[command(flatten)]
    arrays: ArrayFiles,
    #[command(flatten)]
    options: Options,
    /// New folder for losses.csv and collision.csv
    #[arg(long, value_name = "DIR", required = true)]
    out: Option<PathBuf>,
    #[command(subcommand)]
    other: Option<Other>,
}

/// Commands in place of features.
#[derive(Subcommand)]
enum Other {
    /// Print the completions of the command line for a shell
    #[command(
        after_help = "Example: measure completions bash > ~/.local/share/bash-completion/completions/measure"
    )]
    Completions(usage::CompletionsArgs),
    /// Write the manual page into a folder
    #[command(after_help = "Example: measure man ~/.local/share/man/man1")]
    Man(usage::ManArgs),
}

/// The command line: there is no run whose settings would be the default.
fn command() -> Command {
    Cli::command()
        .mut_arg("draws", |arg| {
            arg.required(true)
                .help("Numbers of draws n = K+1: 8, a list 8,16, a range 8..512 or 8..512:8, or a mixture")
        })
        .mut_arg("temperature", |arg| {
            arg.required_unless_present("temperatures").help("Temperature t of the training loss")
        })
        .mut_arg("seed", |arg| arg.help("Seed of the batches [default: 7]"))
}

fn run(Cli { features, arrays, options, out, other }: &Cli) -> Result<()> {
    match other {
        Some(Other::Completions(args)) => return Ok(args.print(command())?),
        Some(Other::Man(args)) => return Ok(args.write(command())?),
        None => {}
    }
    let Some(out) = out else { return Err(Error::argument("--out DIR is needed")) };
    options.check()?;
    check_new(out)?;
    let named = features.first().map_or(Path::new(""), PathBuf::as_path);
    let measured =
        pool::with_threads(options.threads(), || options.measure_as(named, || arrays.open(features)))?;
    std::fs::create_dir_all(out).map_err(|e| Error::io(out, e))?;
    measured.write(out)?;
    if options.quiet {
        return Ok(());
    }
    let text = format!("{}{}", cli::text(&measured.rows, out)?, measured.written(out));
    Ok(terminal::print(&text)?)
}

/// Fails, before anything is computed, where files of something else would stand beside ours.
fn check_new(folder: &Path) -> Result<()> {
    let refuse = |why: &str| Err(Error::argument(format!("{} {why}", folder.display())));
    match std::fs::read_dir(folder).map(|mut entries| entries.next().is_some()) {
        Ok(true) => refuse("is not empty: choose another folder or remove it"),
        Ok(false) => Ok(()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == ErrorKind::NotADirectory => refuse("exists and is no folder"),
        Err(e) => Err(Error::io(folder, e)),
    }
}

/// 0 success, 1 bad content or failure, 2 bad arguments, 75 interrupted.
fn main() -> ExitCode {
    let cli: Cli = match usage::parse_as(command()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let done = Interrupt::install().map_err(Error::from).and_then(|_| run(&cli));
    let went_away = |error: &theory::Error| matches!(error.kind(), TheoryError::Io { source, .. } if source.kind() == ErrorKind::BrokenPipe);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Theory(error)) if went_away(&error) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::say(&format!("error: {error}"));
            if error.is_argument() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
