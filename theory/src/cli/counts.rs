//! `counts`: samples per class of a data set on disk, as the file that `--counts` reads.

use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use theory::class_counts::ClassCounts;
use theory::{ClassPrior, coverage, files, terminal};

#[derive(Args)]
pub(super) struct CountsArgs {
    /// A folder with a folder of images a class (or with such a folder `train`), a CSV file with a column `label`, or a
    /// .npy of integer labels
    #[arg(value_name = "DIR|FILE")]
    source: PathBuf,
    /// Write to this file instead of the terminal
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Say nothing but the result
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn counts(args: &CountsArgs) -> Result<()> {
    let found = ClassCounts::of(&args.source)?;
    let prior = ClassPrior::from_counts(found.counts.clone())?;
    let text: String = found.counts.iter().map(|count| format!("{count}\n")).collect();
    match &args.out {
        Some(path) => files::write_atomically(path, text.as_bytes())?,
        None => super::print(&text)?,
    }
    if !args.quiet {
        // Not on standard output, which may be the file.
        let expected = coverage::expected_draws(&prior);
        let least = found.counts.iter().min().copied().unwrap_or_default();
        let most = found.counts.iter().max().copied().unwrap_or_default();
        let passed_over = match found.passed_over {
            0 => String::new(),
            others => format!("; passed over: {others}"),
        };
        terminal::say(&format!(
            "{}: {} samples of {} classes, {least} to {most} a class{passed_over}; all classes are seen after {expected:.2} draws on average",
            found.place.display(),
            found.total(),
            found.counts.len(),
        ));
    }
    Ok(())
}
