//! The `measure` command: features of any encoder to `losses.csv`, without a tensor library.

use clap::{CommandFactory, Parser};
use measure::cli::{self, Options};
use measure::{Error, Result, pool};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use theory::usage;

/// Measures what the bounds need, from features that any program made.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 110,
    after_help = "Example: measure features.npz --draws 32,64 --temperature 0.5 --out measured"
)]
struct Cli {
    /// Arrays view1, view2, labels, and optionally train, train_labels, mean: .npz or .safetensors
    #[arg(value_name = "FEATURES")]
    features: PathBuf,
    #[command(flatten)]
    options: Options,
    /// New folder for losses.csv and collision.csv
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// What was typed: there is no run whose settings would be the default.
fn parse() -> std::result::Result<Cli, ExitCode> {
    let command = Cli::command()
        .mut_arg("draws", |arg| arg.required(true).help("Numbers of draws n = K+1, such as 16,64"))
        .mut_arg("temperature", |arg| arg.required(true).help("Temperature t of the training loss"))
        .mut_arg("seed", |arg| arg.help("Seed of the batches [default: 7]"));
    usage::parse_as(command)
}

fn run(Cli { features, options, out }: &Cli) -> Result<()> {
    options.check()?;
    check_new(out)?;
    let measured = pool::with_threads(options.threads(), || options.measure(features))?;
    std::fs::create_dir_all(out).map_err(|e| Error::io(out, e))?;
    measured.write(out)?;
    if options.quiet {
        return Ok(());
    }
    let text = format!("{}wrote {}\n", cli::text(&measured.rows)?, out.join("losses.csv").display());
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|e| Error::io(Path::new("standard output"), e))
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

/// 0 success, 1 bad content or failure, 2 bad arguments.
fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Io { reason, .. }) if reason.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", usage::one_line(&error.to_string()));
            if error.is_argument() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
