//! The command line of `trainer`, which a program of one's own can have too, with its own encoders: trainings, sweeps
//! and measurements then know them by name.
//!
//! ```no_run
//! use candle_nn::{Module, VarBuilder, func_t, linear};
//! use trainer::data::InputKind;
//! use trainer::model::Architecture;
//!
//! fn main() -> std::process::ExitCode {
//!     let registered = Architecture::register("one-layer", |vb: VarBuilder<'_>, input: InputKind| {
//!         let InputKind::Images([height, width, channels]) = input else {
//!             candle_core::bail!("it reads images");
//!         };
//!         let layer = linear(height * width * channels, 32, vb)?;
//!         Ok(Box::new(func_t(move |x, _train| layer.forward(&x.flatten_from(1)?)?.relu())))
//!     });
//!     match registered {
//!         Ok(_) => trainer::cli::main(),
//!         Err(_) => std::process::ExitCode::FAILURE,
//!     }
//! }
//! ```

mod bench;
mod counts;
mod difficulty;
mod download;
mod export;
mod measure;
mod pool;
mod population;
mod reproduce;
mod run;
mod session;
mod sweep;
mod torch;
mod train;

use anyhow::Result;
use candle_core::Device;
use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;
use theory::error::ErrorKind;
use theory::interrupt::{EXIT_CODE, Interrupt};
use theory::{terminal, usage};
use trainer::Error;
use trainer::device::DeviceChoice;

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
    Reproduce(reproduce::ReproduceArgs),
    /// Train and measure every run of a plan, a file that lists values for any settings; on this machine or a Slurm cluster
    #[command(
        after_help = "Examples: trainer sweep trainer/plans/smoke.toml --out runs/smoke\n          trainer sweep plan.toml --out runs/plan --slurm --partition gpu --gres gpu:1"
    )]
    Sweep(Box<sweep::SweepArgs>),
    /// Train and measure one run of a plan: for schedulers that start the processes themselves, such as Ray or Kubernetes
    #[command(
        after_help = "Example: trainer run --plan runs/smoke/plan.jsonl --index 3\nExit codes: 0 done; 75 interrupted, or another process works on this run: repeat the command later; 1 or 2 failed"
    )]
    Run(run::RunArgs),
    /// Join the results of the runs of a sweep, also while some are missing: runs.csv, losses.csv, report.html
    #[command(after_help = "Example: trainer collect runs/smoke")]
    Collect(sweep::CollectArgs),
    /// Train one encoder, without measuring it
    #[command(after_help = "Example: trainer train --preset digits --set batch_size=128 --out runs/n128")]
    Train(train::TrainArgs),
    /// Measure losses and accuracies of a trained run, or of features that another program made
    #[command(
        after_help = "Example: trainer measure --run runs/n128 --draws 16,128 --temperature 0.5 --out runs/n128-measured"
    )]
    Measure(measure::MeasureArgs),
    /// Write the weights of a trained run for PyTorch, its network for onnxruntime, or its features for any program
    #[command(after_help = "Example: trainer export --run runs/n128 --to torch --out n128.pt")]
    Export(export::ExportArgs),
    /// Train one free vector for each class on the exact population loss, beside its optimum, for several K
    #[command(
        after_help = "Example: trainer population --classes 10 --negatives 1,31,1023,100000 --temperature 0.5 --out runs/population"
    )]
    Population(population::PopulationArgs),
    /// Rank the negatives of a trained run, or of features that another program made: which are hard, and are they of
    /// the same class?
    #[command(after_help = "Example: trainer difficulty --run runs/n128 --out runs/n128-difficulty")]
    Difficulty(difficulty::DifficultyArgs),
    /// Count the samples of each class of your own images, for `theory advise --counts`
    #[command(after_help = "Example: trainer counts --data DIR --out counts.txt")]
    Counts(counts::CountsArgs),
    /// Download a published data set and compare it with its published checksums
    #[command(after_help = "Example: trainer download fashion-mnist --data data/sets")]
    Download(download::DownloadArgs),
    /// Print the completions of the command line for a shell
    #[command(
        after_help = "Example: trainer completions bash > ~/.local/share/bash-completion/completions/trainer"
    )]
    Completions(usage::CompletionsArgs),
    /// Write the manual pages of all commands into a folder
    #[command(after_help = "Example: trainer man ~/.local/share/man/man1")]
    Man(usage::ManArgs),
    /// Time one training step, stage by stage
    #[command(after_help = "Example: trainer bench --net small --batch 128 --steps 10 --threads 2")]
    Bench(bench::BenchArgs),
}

/// Tells the tensor library how many threads to use, before it starts any.
///
/// Left alone, candle 0.11 keeps one spinning helper thread per core for element-wise operations, shared by everything
/// in the process, and reads /proc/cpuinfo at every product; two runs side by side then take longer than one after the
/// other. Values that the user set in the environment stay.
#[allow(unsafe_code)]
fn set_library_threads(threads: usize) {
    for name in ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"] {
        if std::env::var_os(name).is_none() {
            // SAFETY: `main` calls this before any other thread exists, so nothing reads the environment meanwhile.
            unsafe { std::env::set_var(name, threads.to_string()) };
        }
    }
}

/// Tells glibc to keep freed memory for the next allocation instead of giving it back to the system.
///
/// A step frees and allocates the same tensors of megabytes again and again; given back, each costs a page fault for
/// every 4 KiB, a tenth of a step of a small network. One arena, since tensors move between threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn keep_freed_memory() {
    const LARGEST_ON_THE_HEAP: libc::c_int = 32 << 20; // the most that glibc accepts
    // SAFETY: `main` calls this before any other thread exists; the settings take effect on later allocations only.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST_ON_THE_HEAP);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_freed_memory() {}

/// Opens a device; what its user should know goes to standard error.
fn open(choice: DeviceChoice) -> Result<Device> {
    let opened = choice.open()?;
    if let Some(warning) = &opened.warning {
        terminal::say(&format!("warning: {warning}"));
    }
    Ok(opened.device)
}

fn print(text: &str) -> Result<()> {
    Ok(terminal::print(text)?)
}

/// What to do about a failure of the GPU, in one line instead of the driver's words.
fn gpu_trouble(error: &anyhow::Error) -> Option<String> {
    match error.downcast_ref() {
        Some(Error::Tensor(_)) | None => trainer::device::explain(&format!("{error:?}")),
        Some(_) => None,
    }
}

/// Runs the command that the program's arguments name; 0 success, 1 bad content or failure, 2 bad arguments, 75
/// interrupted, or the folder is in use.
///
/// To be called before the program starts a thread: it sets variables of the environment.
pub fn main() -> ExitCode {
    let command = match usage::parse::<Cli>() {
        Ok(cli) => cli.command,
        Err(code) => return code,
    };
    keep_freed_memory();
    set_library_threads(match &command {
        // Runs are processes of their own.
        Command::Reproduce(_)
        | Command::Sweep(_)
        | Command::Collect(_)
        | Command::Counts(_)
        | Command::Completions(_)
        | Command::Man(_)
        | Command::Download(_) => 1,
        Command::Run(args) => session::threads(args.threads),
        Command::Train(args) => session::threads(args.threads),
        Command::Measure(args) => args.options.threads(),
        Command::Difficulty(args) => session::threads(args.threads),
        Command::Export(args) => session::threads(args.threads),
        Command::Bench(args) => args.threads(),
        Command::Population(args) => args.threads(),
    });
    let done = Interrupt::install().map_err(Into::into).and_then(|interrupt| dispatch(command, &interrupt));
    let Err(error) = done else { return ExitCode::SUCCESS };
    if error.chain().any(is_closed_pipe) {
        return ExitCode::SUCCESS;
    }
    let text = gpu_trouble(&error).unwrap_or_else(|| format!("{error:#}"));
    terminal::say(&format!("error: {text}"));
    match error.downcast_ref::<Error>() {
        Some(Error::Argument(_)) => ExitCode::from(2),
        Some(Error::Theory(e)) if matches!(e.kind(), ErrorKind::Argument(_)) => ExitCode::from(2),
        Some(Error::Interrupted(_) | Error::Busy(_)) => ExitCode::from(EXIT_CODE),
        _ => ExitCode::FAILURE,
    }
}

/// Whether the reader of what was printed went away.
fn is_closed_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    let found = error.downcast_ref::<theory::Error>().map(theory::Error::kind);
    matches!(found, Some(ErrorKind::Io { source, .. }) if source.kind() == std::io::ErrorKind::BrokenPipe)
}

fn dispatch(command: Command, interrupt: &Interrupt) -> Result<()> {
    match command {
        Command::Reproduce(args) => reproduce::reproduce(&args, interrupt),
        Command::Sweep(args) => sweep::run(&args, interrupt),
        Command::Run(args) => run::run(&args, interrupt),
        Command::Collect(args) => sweep::collect(&args),
        Command::Train(args) => train::train(&args, interrupt),
        Command::Measure(args) => measure::measure(&args),
        Command::Difficulty(args) => difficulty::rank(&args),
        Command::Export(args) => export::export(&args),
        Command::Counts(args) => counts::counts(&args),
        Command::Download(args) => download::download(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Population(args) => population::population(&args),
        Command::Completions(args) => Ok(args.print(Cli::command())?),
        Command::Man(args) => Ok(args.write(Cli::command())?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
