//! `collector`: the collector's time T.

use super::probabilities::{float, rounded_up, shown};
use super::progress::Progress;
use super::{OutputArgs, PriorArgs, Range, parse_range};
use anyhow::Result;
use clap::Args;
use theory::report::{Cell, Table};
use theory::{ClassPrior, NumDraws, Sampling, coverage, terminal};

#[derive(Args)]
pub(super) struct CollectorArgs {
    #[command(flatten)]
    prior: PriorArgs,
    /// Print instead the probability P(T = n) that draw n shows the last missing class, for these n: 8, a list 8,16,
    /// a range 8..512 or 8..512:8, or a mixture
    #[arg(long, value_name = "LIST", value_parser = parse_range)]
    draws: Option<Range>,
    #[command(flatten)]
    output: OutputArgs,
}

const LEVELS: [f64; 9] = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];

/// Distinct class sizes from which on the cost is said beforehand.
const MANY: usize = 20_000;

pub(super) fn collector(args: &CollectorArgs) -> Result<()> {
    let (prior, sampling) = args.prior.load()?;
    let table = match &args.draws {
        Some(draws) => law(&prior, sampling, draws, args.output.quiet)?,
        None => summary(&prior, sampling, args.output.quiet)?,
    };
    args.output.print(&table)
}

/// Expectation, deviation and quantiles.
fn summary(prior: &ClassPrior, sampling: Sampling, quiet: bool) -> theory::Result<Table> {
    let groups = prior.groups().len();
    if groups >= MANY && !quiet {
        terminal::say(&format!(
            "note: {groups} distinct class sizes: some 40 sums over all of them, about {:.0} s",
            (groups as f64 * 40e-6).ceil()
        ));
    }
    let headers = ["classes", "expected_draws", "standard_deviation"].map(String::from);
    let levels = LEVELS.map(|level| format!("quantile_{level}"));
    let mut table = Table::new(headers.into_iter().chain(levels)).single(true);
    let time = coverage::collector_time(prior, sampling)?;
    let mut row = vec![Cell::Integer(prior.num_classes() as i64)];
    row.extend([time.expected_draws, time.standard_deviation].map(float));
    let mut progress = Progress::new(LEVELS.len(), "quantiles", quiet);
    for (done, level) in LEVELS.into_iter().enumerate() {
        progress.at(done);
        row.push(Cell::Integer(coverage::collector_quantile(prior, sampling, level)? as i64));
    }
    table.push(row);
    Ok(table)
}

/// P(T = n).
fn law(prior: &ClassPrior, sampling: Sampling, draws: &Range, quiet: bool) -> theory::Result<Table> {
    let mut table = Table::new(["draws", "classes", "completion", "ln_completion", "relative_error_bound"]);
    let mut progress = Progress::new(draws.values.len(), "rows", quiet);
    for (done, &n) in draws.values.iter().enumerate() {
        let p = coverage::completion_probability(prior, sampling, NumDraws::new(n)?)?;
        let mut row = vec![Cell::Integer(n as i64), Cell::Integer(prior.num_classes() as i64)];
        row.extend([shown(p), float(p.ln()), rounded_up(p.relative_error_bound())]);
        table.push(row);
        progress.at(done + 1);
    }
    Ok(table.single(draws.single))
}
