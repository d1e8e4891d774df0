//! `bounds` and `report`: what measured losses say.

use super::{OutputArgs, losses_file};
use anyhow::{Context, Result};
use clap::Args;
use std::path::PathBuf;
use theory::losses;
use theory::report;

#[derive(Args)]
pub(super) struct BoundsArgs {
    /// losses.csv, or the folder of a run
    #[arg(value_name = "LOSSES.csv|RUN_DIR")]
    losses: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn bounds(args: &BoundsArgs) -> Result<()> {
    let rows = losses::read(&losses_file(&args.losses))?;
    args.output.print(&report::bounds_table(&rows))
}

#[derive(Args)]
pub(super) struct ReportArgs {
    /// losses.csv, or the folder of a run
    #[arg(value_name = "LOSSES.csv|RUN_DIR")]
    losses: PathBuf,
    /// Folder for report.html, bounds.svg, bounds.csv, bounds.md and losses.csv; new, empty, or of an earlier report
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn report(args: &ReportArgs) -> Result<()> {
    let rows = losses::read(&losses_file(&args.losses))?;
    report::prepare_folder(&args.out)?;
    report::write(
        &args.out,
        "Bounds against the number of negatives",
        &rows,
        &report::standard_sections(&rows),
    )
    .with_context(|| format!("report in {}", args.out.display()))?;
    if !args.quiet {
        super::print(&format!("wrote {}\n", args.out.join("report.html").display()))?;
    }
    Ok(())
}
