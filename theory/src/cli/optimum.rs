//! `optimum`: the least contrastive loss that any encoder can reach, beside the bounds evaluated there.

use super::{OutputArgs, PriorArgs, Range, parse_range};
use anyhow::Result;
use clap::Args;
use theory::optimum::gram;
use theory::report::{self, Format};
use theory::{NumNegatives, Sampling};

/// Values of K that stand beside each other; of more each has a line.
const MOST_COLUMNS: usize = 12;

#[derive(Args)]
pub(super) struct OptimumArgs {
    #[command(flatten)]
    prior: PriorArgs,
    /// Numbers of negatives K: 8, a list 8,16, a range 8..512 or 8..512:8, or a mixture
    #[arg(long, value_name = "LIST", value_parser = parse_range)]
    negatives: Range,
    /// Temperature t that divides the inner products
    #[arg(long, value_name = "T")]
    temperature: f64,
    /// Unequal classes: search until the loss is proved to exceed the least one by at most this many nats, relative to
    /// the weight of the negatives of other classes
    #[arg(long, value_name = "GAP", default_value_t = gram::Options::default().tolerance)]
    tolerance: f64,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn optimum(args: &OptimumArgs) -> Result<()> {
    let (prior, sampling) = args.prior.load()?;
    if sampling == Sampling::WithoutReplacement {
        return Err(theory::Error::argument("the optimum is that of negatives drawn with replacement").into());
    }
    let negatives = args.negatives.values.iter().map(|&k| NumNegatives::new(k));
    let negatives = negatives.collect::<theory::Result<Vec<_>>>()?;
    let options = gram::Options { tolerance: args.tolerance, ..gram::Options::default() };
    let (table, converged) =
        report::optimum_table(&prior, &negatives, args.temperature, &options, &|| false)?;
    let table = table.single(args.negatives.single);
    if !converged && !args.output.quiet {
        theory::terminal::say(
            "note: the program stopped before its tolerance; the column gap says how far from the optimum it is at most",
        );
    }
    // People read one column a K; programs keep one object a K.
    match args.output.format {
        Format::Table | Format::Latex if negatives.len() <= MOST_COLUMNS => {
            args.output.print(&table.transposed("K"))
        }
        _ => args.output.print(&table),
    }
}
