//! `certify`: the best that measured losses prove of L_sup and of the error.

use super::OutputArgs;
use super::results::{MeasuredArgs, note, note_image_errors};
use anyhow::Result;
use clap::Args;
use theory::{losses, report, terminal};

#[derive(Args)]
pub(super) struct CertifyArgs {
    #[command(flatten)]
    measured: MeasuredArgs,
    /// Also what holds with this confidence for all images, of which the evaluated ones are a sample, such as 0.95
    #[arg(long, value_name = "LEVEL")]
    confidence: Option<f64>,
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
    args.output.print(&certified.table(args.output.format))?;
    if !args.output.quiet {
        certified.notes().iter().for_each(|note| terminal::say(&format!("note: {note}")));
    }
    Ok(())
}
