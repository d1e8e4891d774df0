//! The least contrastive loss at several K as a table, beside the bounds evaluated there.

use super::{Cell, MeanAndDeviation, Table};
use crate::bounds::{self, Bound, Outcome, Standing};
use crate::error::{Error, Result};
use crate::losses::LossComponents;
use crate::optimum::{self, Optimum, gram};
use crate::prior::ClassPrior;
use crate::sampling::NumNegatives;

/// Values of K in one table.
const MAX_ROWS: usize = 10_000;

/// One line a K, and whether every program reached its tolerance (the column `gap` says how far it is at most).
///
/// `options` are for unequal classes, whose optimum is a program of its own; `stop` is asked between values of K and in
/// every step.
///
/// # Errors
/// A temperature that is not positive and finite; more than 10⁴ values of K; a law that the program refuses; `stop`
/// says so.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, NumNegatives, optimum::gram, report};
/// // Two classes, one negative, t = 1: ½ ln 2 + ½ ln(1 + e^{−2}) = 0.410.
/// let two = ClassPrior::uniform(2)?;
/// let one = [NumNegatives::new(1)?];
/// let (table, _) = report::optimum_table(&two, &one, 1.0, &gram::Options::default(), &|| false)?;
/// assert!(table.to_text(report::Format::Table).contains("0.410"));
/// # Ok::<(), theory::Error>(())
/// ```
pub fn optimum_table(
    prior: &ClassPrior,
    negatives: &[NumNegatives],
    temperature: f64,
    options: &gram::Options,
    stop: &dyn Fn() -> bool,
) -> Result<(Table, bool)> {
    let count = negatives.len();
    if count > MAX_ROWS {
        return Err(Error::argument(format!(
            "{count} values of K exceed the limit of {MAX_ROWS}: each costs a program or some coverage probabilities"
        )));
    }
    let (mut found, mut components, mut converged) = (Vec::new(), Vec::new(), true);
    for &negatives in negatives {
        let optimum = if prior.is_uniform() {
            if prior.num_classes() > 1 {
                let classes = prior.num_classes();
                components.push(optimum::simplex_components(classes, negatives, temperature)?);
            }
            optimum::solve(prior, negatives, temperature)?
        } else {
            let solution = gram::solve_until(prior, negatives, temperature, options, stop)?;
            // The bounds need class counts; of probabilities alone there is the optimum.
            if prior.counts().is_some() {
                components.push(optimum::gram_components(prior, negatives, temperature, &solution)?);
            }
            converged &= solution.converged;
            solution.optimum
        };
        if stop() {
            return Err(Error::argument("interrupted"));
        }
        found.push((negatives, optimum));
    }
    let mut headers =
        vec!["negatives", "draws", "classes", "temperature", "optimal_loss", "sup_loss", "accuracy"];
    headers.extend(["min_inner_product", "max_inner_product", "gap", "method"]);
    let classes = prior.num_classes();
    let mut rows: Vec<Vec<Cell>> =
        found.iter().map(|(negatives, optimum)| row(*negatives, classes, temperature, optimum)).collect();
    if !prior.is_uniform() {
        headers.push("iterations");
        for (cells, (_, optimum)) in rows.iter_mut().zip(&found) {
            cells.push(Cell::Integer(optimum.iterations as i64));
        }
    }
    if !components.is_empty() {
        // A form without verified constants is no bound to compare with; nor is what is not proved for unequal classes.
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
    let mut table = Table::new(headers);
    rows.into_iter().for_each(|cells| table.push(cells));
    Ok((table, converged))
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
        // Nothing was counted here: what stands for a counted share is its exact value.
        Outcome::Undefined(reason) => Cell::Note(format!("undefined: {}", reason.replace("counted ", ""))),
        Outcome::NotApplicable(reason) => Cell::Note(format!("n/a: {reason}")),
    }
}
