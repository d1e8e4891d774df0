//! `explain`: where the slack of each bound is.

use super::OutputArgs;
use super::results::note;
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use theory::losses::{self, LossComponents};
use theory::report::figure::Selection;
use theory::report::{self, Format};

#[derive(Args)]
pub(super) struct ExplainArgs {
    /// losses.csv, or the folder of a run that was measured
    #[arg(value_name = "LOSSES.csv|RUN_DIR", required = true)]
    files: Vec<PathBuf>,
    /// Upper bounds of L_sup, by key as `theory bounds` prints them, or `all` [default: the best theorem, curl, nozawa_sato, ash, bao]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    bounds: Option<Vec<String>>,
    /// Only these numbers of draws n = K+1: 8, a list 8,16, a range 8..512 or 8..512:8, or a mixture [default: all that
    /// were measured]
    #[arg(long, value_name = "LIST", value_parser = super::parse_range)]
    draws: Option<super::Range>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn explain(args: &ExplainArgs) -> Result<()> {
    let selection = args.bounds.as_ref().map(|keys| Selection::of(keys)).transpose()?;
    let rows = load(args)?;
    let groups = losses::group(&rows)?;
    note(&groups);
    if let Some(left_out) = report::left_out(&groups, selection.as_ref()).filter(|_| !args.output.quiet) {
        theory::terminal::say(&format!("note: {left_out}"));
    }
    match args.output.format {
        Format::Csv | Format::Json => args.output.print(&report::slack_table(&groups, selection.as_ref())),
        _ => args.output.print_document(&report::slack_document(&groups, selection.as_ref())?),
    }
}

fn load(args: &ExplainArgs) -> Result<Vec<LossComponents>> {
    let mut rows = Vec::new();
    for path in &args.files {
        let file = losses::measured_file(path)?;
        if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            let message =
                format!("{}: bounds.json has no L_sup to start from: give losses.csv", file.display());
            return Err(theory::Error::argument(message).into());
        }
        rows.extend(losses::read(&file)?);
    }
    let Some(wanted) = &args.draws else { return Ok(rows) };
    let measured: std::collections::BTreeSet<u64> = rows.iter().map(|row| row.num_draws.get()).collect();
    if let Some(missing) = wanted.values.iter().find(|n| !measured.contains(n)) {
        let measured = measured.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        let message = format!("--draws {missing} was not measured: the files have n = {measured}");
        return Err(theory::Error::argument(message).into());
    }
    rows.retain(|row| wanted.values.contains(&row.num_draws.get()));
    Ok(rows)
}
