//! `optimum`: the least contrastive loss that any encoder can reach, beside the bounds evaluated there.

use super::{OutputArgs, PriorArgs, Range, parse_range};
use anyhow::Result;
use clap::Args;
use theory::bounds::{self, Bound, Outcome, Standing};
use theory::optimum::{self, Optimum, gram};
use theory::report::{Cell, MeanAndDeviation, Table};
use theory::{LossComponents, NumNegatives, Sampling};

/// Values of K in one call.
const MAX_ROWS: usize = 10_000;

#[derive(Args)]
pub(super) struct OptimumArgs {
    #[command(flatten)]
    prior: PriorArgs,
    /// Number of negatives K, or a range A..B[:STEP]
    #[arg(long, value_name = "K|RANGE", value_parser = parse_range)]
    negatives: Range,
    /// Temperature t that divides the inner products
    #[arg(long, value_name = "T")]
    temperature: f64,
    /// Unequal classes: the gap to reach, in nats, relative to the weight of the other classes' negatives
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
    let count = args.negatives.values.len();
    if count > MAX_ROWS {
        return Err(theory::Error::argument(format!(
            "{count} values of K exceed the limit of {MAX_ROWS}: each costs a program or some coverage probabilities"
        ))
        .into());
    }
    let (mut found, mut components, mut converged) = (Vec::new(), Vec::new(), true);
    for &k in &args.negatives.values {
        let negatives = NumNegatives::new(k)?;
        let optimum = if prior.is_uniform() {
            if prior.num_classes() > 1 {
                let classes = prior.num_classes();
                components.push(optimum::simplex_components(classes, negatives, args.temperature)?);
            }
            optimum::solve(&prior, negatives, args.temperature)?
        } else {
            let options = gram::Options { tolerance: args.tolerance, ..gram::Options::default() };
            let solution = gram::solve(&prior, negatives, args.temperature, &options)?;
            components.push(optimum::gram_components(&prior, negatives, args.temperature, &solution)?);
            converged &= solution.converged;
            solution.optimum
        };
        found.push((negatives, optimum));
    }
    let mut headers =
        vec!["negatives", "draws", "classes", "temperature", "optimal_loss", "sup_loss", "accuracy"];
    headers.extend(["min_inner_product", "max_inner_product", "gap", "method"]);
    let classes = prior.num_classes();
    let mut rows: Vec<Vec<Cell>> = found
        .iter()
        .map(|(negatives, optimum)| row(*negatives, classes, args.temperature, optimum))
        .collect();
    if !prior.is_uniform() {
        headers.push("iterations");
        for (cells, (_, optimum)) in rows.iter_mut().zip(&found) {
            cells.push(Cell::Integer(optimum.iterations as i64));
        }
    }
    if !components.is_empty() {
        // A form without verified constants is no bound to compare with; nor is, for unequal classes, what is not proved.
        let compared = |bound: &&&dyn Bound| match bound.standing() {
            Standing::Theorem => true,
            Standing::FormOnly(_) => false,
            Standing::Unproved(_) | Standing::AsPublished(_) => prior.is_uniform(),
        };
        for bound in bounds::all().iter().filter(compared) {
            let outcomes: Vec<Outcome> = components.iter().map(|losses| bound.upper_bound(losses)).collect();
            // A bound that says nothing about any row gets no column; one that is undefined says so.
            if outcomes.iter().any(|outcome| !matches!(outcome, Outcome::NotApplicable(_))) {
                headers.push(bound.key());
                for ((cells, outcome), losses) in rows.iter_mut().zip(outcomes).zip(&components) {
                    cells.push(bound_cell(outcome, losses));
                }
            }
        }
    }
    let mut table = Table::new(headers).single(args.negatives.single);
    rows.into_iter().for_each(|cells| table.push(cells));
    if !converged && !args.output.quiet {
        theory::terminal::say(
            "note: the program stopped before its tolerance; the column gap says how far from the optimum it is at most",
        );
    }
    args.output.print(&table)
}

fn row(negatives: NumNegatives, classes: u64, temperature: f64, optimum: &Optimum) -> Vec<Cell> {
    let product = |value: Option<f64>| value.map_or(Cell::Missing, Cell::number);
    vec![
        Cell::Integer(negatives.get() as i64),
        Cell::Integer(negatives.draws().get() as i64),
        Cell::Integer(classes as i64),
        Cell::number(temperature),
        Cell::number(optimum.loss),
        Cell::number(optimum.supervised_loss),
        Cell::number(optimum.accuracy),
        product(optimum.min_inner_product),
        product(optimum.max_inner_product),
        Cell::number(optimum.gap),
        Cell::text(optimum.method.name()),
    ]
}

fn bound_cell(outcome: Outcome, losses: &LossComponents) -> Cell {
    match outcome {
        Outcome::Value(mean) if bounds::is_vacuous(mean, losses.num_classes) => {
            Cell::Vacuous(MeanAndDeviation { mean, deviation: None })
        }
        Outcome::Value(mean) => Cell::number(mean),
        Outcome::Undefined(reason) => Cell::Note(format!("undefined: {reason}")),
        Outcome::NotApplicable(reason) => Cell::Note(format!("n/a: {reason}")),
    }
}
