//! `counts`: samples per class of a data set on disk, as the file that `--counts` reads.

use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use theory::class_counts::ClassCounts;
use theory::{files, terminal};

#[derive(Args)]
pub(super) struct CountsArgs {
    /// A folder with a folder of images for each class (or with such a folder named `train`), a CSV file with a column
    /// `label`, or a .npy file of integer labels
    #[arg(value_name = "DIR|FILE")]
    source: PathBuf,
    /// Write to this file instead of the terminal
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print nothing but the result
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn counts(args: &CountsArgs) -> Result<()> {
    let found = ClassCounts::of(&args.source)?;
    let summary = found.summary()?;
    match &args.out {
        Some(path) => files::write_atomically(path, found.to_text().as_bytes())?,
        None => super::print(&found.to_text())?,
    }
    if !args.quiet {
        // Not on standard output, which may be the file.
        terminal::say(&summary);
    }
    Ok(())
}
