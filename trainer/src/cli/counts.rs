//! `counts`: samples per class of images of one's own, as the file that `theory advise --counts` reads.

use super::print;
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use theory::{files, terminal};
use trainer::data::own;

#[derive(Args)]
pub(super) struct CountsArgs {
    /// The folder of the images; those to be trained on are counted
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// shards (tar files) or folder; nothing is decoded
    #[arg(long, value_name = "NAME", default_value = own::SHARDS)]
    dataset: String,
    /// Write to this file instead of the terminal
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print nothing but the result
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn counts(args: &CountsArgs) -> Result<()> {
    let found = own::class_counts(&args.dataset, &args.data)?;
    let summary = found.summary()?;
    match &args.out {
        Some(path) => files::write_atomically(path, found.to_text().as_bytes())?,
        None => print(&found.to_text())?,
    }
    if !args.quiet {
        // Not on standard output, which may be the file.
        terminal::say(&summary);
    }
    Ok(())
}
