//! `certify`: the best that measured losses prove of L_sup and of the error.

use super::OutputArgs;
use super::results::{MeasuredArgs, note, note_image_errors};
use anyhow::Result;
use clap::Args;
use theory::report::{self, Format};
use theory::{losses, terminal};

#[derive(Args)]
pub(super) struct CertifyArgs {
    #[command(flatten)]
    measured: MeasuredArgs,
    /// Also print what holds with this confidence, such as 0.95, for all images of which the evaluated ones are a random
    /// sample
    #[arg(long, value_name = "LEVEL")]
    confidence: Option<f64>,
    /// Print a line for every claim of every run; csv and json always do
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn certify(args: &CertifyArgs) -> Result<()> {
    let rows = args.measured.load()?;
    let groups = losses::group(&rows)?;
    note(&groups);
    let certified = report::certify(groups.rows(), args.confidence)?;
    if args.confidence.is_some() {
        note_image_errors(&groups);
    }
    let is_brief = !args.all && !matches!(args.output.format, Format::Csv | Format::Json);
    let (table, notes) = match is_brief {
        true => (certified.overview(), certified.overview_notes()),
        false => (certified.table(args.output.format), certified.notes()),
    };
    args.output.print(&table)?;
    if !args.output.quiet {
        notes.iter().for_each(|note| terminal::say(&format!("note: {note}")));
    }
    Ok(())
}
