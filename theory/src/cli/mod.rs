//! The command line of `theory`: what was typed is parsed here, what it means is computed by the library.

mod advise;
mod certify;
mod collector;
mod columns;
mod counts;
mod explain;
mod optimum;
mod probabilities;
mod progress;
mod published;
mod results;
mod shard;
mod simulate;

use anyhow::Result;
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use theory::error::ErrorKind;
use theory::files;
use theory::report::{Document, Format, Screen, Table};
use theory::usage;
use theory::{ClassPrior, Sampling, interrupt, terminal};

/// How many negative samples, and which? Exact probabilities and published bounds.
#[derive(Parser)]
#[command(version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Coverage υ: the probability that n = K+1 draws show every class
    #[command(
        after_help = "Example: theory coverage --classes 100 --draws 128 --exact --digits 20 --format json"
    )]
    Coverage(probabilities::CoverageArgs),
    /// υ, τ and E ln(1+Col) for every number of draws in a range
    #[command(after_help = "Example: theory curve --classes 10 --draws 16..256:16 --format csv")]
    Curve(probabilities::CurveArgs),
    /// The number T of draws until every class was seen (coupon collector): mean, standard deviation, quantiles, P(T = n)
    #[command(
        after_help = "Examples: theory collector --classes 1000\n          theory collector --classes 100 --per-class 100 --without-replacement --draws 400..1000:100"
    )]
    Collector(collector::CollectorArgs),
    /// Collision τ: the probability that some of K negatives has the anchor's class
    #[command(after_help = "Example: theory collision --classes 10 --negatives 31")]
    Collision(probabilities::CollisionArgs),
    /// υ, τ and E ln(1+Col) by Monte Carlo, with confidence intervals
    #[command(
        after_help = "Examples: theory simulate --classes 1000 --draws 7709 --samples 10000 --seed 7\n          theory simulate --classes 1000 --draws 1100 --samples 10000 --method rare"
    )]
    Simulate(simulate::SimulateArgs),
    /// Join the shards (--shard i/N) of simulate, coverage, curve or collision into the table that one machine would print
    #[command(
        after_help = "Example: for i in 0 1 2; do theory simulate --classes 1000 --draws 7709 --samples 10000 --shard $i/3 --out part-$i.json; done\n         theory merge part-*.json"
    )]
    Merge(shard::MergeArgs),
    /// Every bound on measured losses, side by side, aggregated over seeds
    #[command(
        after_help = "Examples: theory bounds data/results/digits/losses.csv --format markdown\n          theory bounds data/results/digits/losses.csv --confidence 0.95\n          theory bounds seed-*/bounds.json --classes 10 --per-class 1000 --draws 32 --temperature 0.5"
    )]
    Bounds(results::BoundsArgs),
    /// The best that measured losses prove: least upper bounds of L_sup at each t, and of the mean classifier's error
    #[command(
        after_help = "Example: measure features.npz --draws 16,64,256 --temperatures 0.1,0.2,0.5,1 --out grid\n         theory certify grid"
    )]
    Certify(certify::CertifyArgs),
    /// Where each bound is loose: every inequality between L_Info and L_sup, and how many nats it gives away on these losses
    #[command(
        after_help = "Examples: theory explain data/results/digits/losses.csv --draws 256\n          theory explain data/results/cifar10-small/losses.csv --bounds all --format csv"
    )]
    Explain(explain::ExplainArgs),
    /// Write a report on measured losses: report.html, figure, tables
    #[command(
        after_help = "Examples: theory report data/results/digits/losses.csv --out report\n          theory report n32/losses.csv n64/losses.csv --out figure    # several reports in one, such as of bounds.json at each --draws"
    )]
    Report(results::ReportArgs),
    /// The least contrastive loss that any encoder can reach, its classifier, and the bounds there
    #[command(
        after_help = "Example: theory optimum --classes 10 --negatives 31,127,511,1023 --temperature 0.5"
    )]
    Optimum(optimum::OptimumArgs),
    /// Count the samples per class of a data set on disk, as a file for --counts
    #[command(
        after_help = "Examples: theory counts imagenet --out counts.txt    # imagenet/train/CLASS/*.JPEG\n          theory counts labels.npy --out counts.txt"
    )]
    Counts(counts::CountsArgs),
    /// What the classes alone say about K, before training: probabilities, the least loss, which bounds can be below ln C
    #[command(
        after_help = "Examples: theory advise --classes 10 --batch 256\n          theory advise --counts counts.txt --negatives 65536 --temperature 0.2"
    )]
    Advise(advise::AdviseArgs),
    /// Every column of losses.csv: its values, its meaning, and whether rows that differ in it are different settings
    #[command(after_help = "Example: theory columns --format markdown")]
    Columns(columns::ColumnsArgs),
    /// Print the completions of the command line for a shell
    #[command(
        after_help = "Example: theory completions bash > ~/.local/share/bash-completion/completions/theory"
    )]
    Completions(usage::CompletionsArgs),
    /// Write the manual pages of all commands into a folder
    #[command(after_help = "Example: theory man ~/.local/share/man/man1")]
    Man(usage::ManArgs),
    /// The published tables recomputed; where exact arithmetic disagrees, both numbers and the cause
    #[command(after_help = "Example: theory published --section coverage --format markdown")]
    Published(published::PublishedArgs),
}

/// Which classes, and how their labels are drawn.
#[derive(Args)]
#[group(skip)]
struct PriorArgs {
    /// Number of equally likely classes C
    #[arg(long, value_name = "C", conflicts_with = "counts", required_unless_present = "counts")]
    classes: Option<u64>,
    /// Samples of each class: numbers such as 5000,3000,1500, or a file with one integer a line or a JSON array
    #[arg(long, value_name = "FILE|LIST")]
    counts: Option<PathBuf>,
    /// Samples of each class, the same number for all; with --classes
    #[arg(long, value_name = "M", requires = "classes")]
    per_class: Option<u64>,
    /// Draw without replacement from the samples of --counts or --per-class, as a shuffled batch does [default: with
    /// replacement]
    #[arg(long)]
    without_replacement: bool,
}

impl PriorArgs {
    fn load(&self) -> theory::Result<(ClassPrior, Sampling)> {
        let source =
            PriorSource { counts: self.counts.as_deref(), classes: self.classes, per_class: self.per_class };
        let prior = source.load()?;
        if self.without_replacement && prior.population().is_none() {
            return Err(theory::Error::argument(
                "--without-replacement needs --counts FILE or --per-class M",
            ));
        }
        let sampling =
            if self.without_replacement { Sampling::WithoutReplacement } else { Sampling::WithReplacement };
        Ok((prior, sampling))
    }
}

/// The classes as typed.
struct PriorSource<'a> {
    counts: Option<&'a Path>,
    classes: Option<u64>,
    per_class: Option<u64>,
}

impl PriorSource<'_> {
    fn is_given(&self) -> bool {
        self.counts.is_some() || self.classes.is_some()
    }

    fn load(&self) -> theory::Result<ClassPrior> {
        match (self.counts, self.classes, self.per_class) {
            (Some(counts), ..) => usage::class_counts(counts),
            (None, Some(classes), Some(items)) => {
                ClassPrior::uniform(classes)?; // refuses a C that would not fit in memory
                ClassPrior::from_counts(vec![items; classes as usize])
            }
            (None, classes, None) => ClassPrior::uniform(classes.unwrap_or(0)),
            (None, None, Some(_)) => Err(theory::Error::argument("--per-class needs --classes")),
        }
    }
}

/// Where figures go.
#[derive(Args)]
struct OutputArgs {
    /// table, csv, json, markdown or latex. A table fits the terminal; csv and json have every digit and column. In json
    /// exact and simulated values are strings: a number of 64 bits could not hold all of them (1e-400)
    #[arg(long, default_value = "table", value_parser = |s: &str| s.parse::<Format>().map_err(|e| e.to_string()))]
    format: Format,
    /// Write to this file instead of the terminal
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print nothing but the result
    #[arg(short, long)]
    quiet: bool,
}

impl OutputArgs {
    fn print(&self, table: &Table) -> Result<()> {
        match self.screen() {
            Some(screen) => print(&table.to_screen(screen)),
            None => self.write(&table.to_text(self.format)),
        }
    }

    fn print_document(&self, document: &Document) -> Result<()> {
        match self.screen() {
            Some(screen) => print(&document.to_screen(screen)),
            None => self.write(&document.to_text(self.format)),
        }
    }

    /// Where people read the result at once.
    fn screen(&self) -> Option<Screen> {
        (self.format == Format::Table && self.out.is_none()).then(Screen::of_standard_output)
    }

    fn write(&self, text: &str) -> Result<()> {
        match &self.out {
            Some(path) => {
                files::write_atomically(path, text.as_bytes())?;
                self.say(&format!("wrote {}", path.display()))
            }
            None => print(text),
        }
    }

    fn say(&self, line: &str) -> Result<()> {
        if self.quiet { Ok(()) } else { print(&format!("{line}\n")) }
    }
}

fn print(text: &str) -> Result<()> {
    Ok(terminal::print(text)?)
}

/// The numbers of a list, as [`usage::parse_list`] reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    values: Vec<u64>,
    /// Whether it was typed as one number.
    single: bool,
}

fn parse_range(text: &str) -> std::result::Result<Range, String> {
    let single = text.trim().parse::<u64>().is_ok();
    Ok(Range { values: usage::parse_list(text)?, single })
}

/// Runs the command; 0 success, 1 bad content or failure, 2 bad arguments, 75 interrupted.
pub(crate) fn main() -> ExitCode {
    let cli = match usage::parse::<Cli>() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let done = interrupt::Interrupt::install()
        .map_err(Into::into)
        .and_then(|interrupt| run(cli.command, &interrupt));
    let Err(error) = done else { return ExitCode::SUCCESS };
    let kind = error.downcast_ref::<theory::Error>().map(theory::Error::kind);
    if let Some(ErrorKind::Io { source, .. }) = kind
        && source.kind() == std::io::ErrorKind::BrokenPipe
    {
        return ExitCode::SUCCESS;
    }
    terminal::say(&format!("error: {error:#}"));
    match kind {
        Some(ErrorKind::Argument(_)) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}

fn run(command: Command, interrupt: &interrupt::Interrupt) -> Result<()> {
    match command {
        Command::Coverage(args) => probabilities::coverage(&args, interrupt),
        Command::Curve(args) => probabilities::curve(&args, interrupt),
        Command::Collector(args) => collector::collector(&args),
        Command::Collision(args) => probabilities::collision(&args, interrupt),
        Command::Simulate(args) => simulate::simulate(&args, interrupt),
        Command::Merge(args) => shard::merge(&args),
        Command::Bounds(args) => results::bounds(&args),
        Command::Certify(args) => certify::certify(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Report(args) => results::report(&args),
        Command::Optimum(args) => optimum::optimum(&args),
        Command::Counts(args) => counts::counts(&args),
        Command::Advise(args) => advise::advise(&args),
        Command::Columns(args) => columns::columns(&args),
        Command::Completions(args) => Ok(args.print(Cli::command())?),
        Command::Man(args) => Ok(args.write(Cli::command())?),
        Command::Published(args) => published::published(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_no_list() {
        assert_eq!(parse_range("5").unwrap(), Range { values: vec![5], single: true });
        assert!(!parse_range("5..5").unwrap().single);
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
