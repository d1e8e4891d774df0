//! `bounds` and `report`: what measured losses say.

use super::{OutputArgs, losses_file};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use theory::losses;
use theory::report::figure::Selection;
use theory::report::{self, Format};

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
    // One line a bound reads better; programs keep one object a measurement.
    let table = match args.output.format {
        Format::Csv | Format::Json => report::bounds_table(&rows),
        Format::Table | Format::Markdown | Format::Latex => report::bounds_by_draws(&rows),
    };
    args.output.print(&table)
}

#[derive(Args)]
pub(super) struct ReportArgs {
    /// losses.csv, or the folder of a run
    #[arg(value_name = "LOSSES.csv|RUN_DIR")]
    losses: PathBuf,
    /// Folder for report.html, bounds.svg, bounds.png, bounds.csv, bounds.md and losses.csv; new, empty, or of an earlier
    /// report
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Upper bounds of L_sup in the figure, by key, or `all` [default: the published ones beside the sharp ones]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    bounds: Option<Vec<String>>,
    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn report(args: &ReportArgs) -> Result<()> {
    let selection =
        args.bounds.as_ref().map_or_else(|| Ok(Selection::default()), |keys| Selection::of(keys))?;
    let rows = losses::read(&losses_file(&args.losses))?;
    report::check_folder(&args.out)?;
    report::write(
        &args.out,
        "Bounds against the number of negatives",
        &rows,
        &report::standard_sections(&rows),
        &selection,
    )?;
    if !args.quiet {
        super::print(&format!("wrote {}\n", args.out.join("report.html").display()))?;
    }
    Ok(())
}
