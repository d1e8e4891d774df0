//! `columns`: the schema of `losses.csv`.

use super::OutputArgs;
use anyhow::Result;
use clap::Args;
use theory::report;

#[derive(Args)]
pub(super) struct ColumnsArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn columns(args: &ColumnsArgs) -> Result<()> {
    args.output.print_document(&report::columns())
}
