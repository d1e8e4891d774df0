//! `certify`: the best that measured losses prove of L_sup and of the error.

use super::OutputArgs;
use super::results::{MeasuredArgs, note};
use anyhow::Result;
use clap::Args;
use theory::{losses, report, terminal};

#[derive(Args)]
pub(super) struct CertifyArgs {
    #[command(flatten)]
    measured: MeasuredArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn certify(args: &CertifyArgs) -> Result<()> {
    let rows = args.measured.load()?;
    let groups = losses::group(&rows)?;
    note(&groups);
    let certified = report::certify(groups.rows());
    args.output.print(&certified.table(args.output.format))?;
    if !args.output.quiet {
        certified.notes().iter().for_each(|note| terminal::say(&format!("note: {note}")));
    }
    Ok(())
}
