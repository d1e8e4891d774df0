//! Are the counted frequencies those of the sampling that the loader claims? And do the bounds hold on the data?

use super::{Cell, Table, descriptive};
use crate::collision;
use crate::coverage;
use crate::losses::{Estimate, Groups, LossComponents, Quantity};
use crate::probability::Probability;
use statrs::distribution::{Binomial, DiscreteCDF};

/// Two-sided p-values below this are flagged.
pub const SIGNIFICANCE: f64 = 1e-4;

/// A counted frequency beside its exact probability.
#[derive(Debug, Clone, PartialEq)]
pub struct BinomialCheck {
    /// What was counted.
    pub measure: Quantity,
    /// How often it was seen.
    pub successes: u64,
    /// Out of how many batches.
    pub trials: u64,
    /// The exact probability.
    pub exact: Probability,
    /// Two-sided exact binomial p-value.
    pub p_value: f64,
}

impl BinomialCheck {
    /// Whether the disagreement is too large for chance.
    pub fn is_flagged(&self) -> bool {
        self.p_value < SIGNIFICANCE
    }
}

/// Two-sided exact binomial p-value: twice the smaller tail, at most 1.
///
/// The test runs on the rarer of the event and its opposite, so that p = 1 − 1e-20 is no different from 1e-20.
///
/// # Examples
/// ```
/// use theory::{Probability, report::binomial_two_sided};
/// // No success in 10 fair trials: 2/1024.
/// let fair = Probability::from_ln(0.5f64.ln(), 0.0);
/// assert!((binomial_two_sided(0, 10, fair) - 2.0 / 1024.0).abs() < 1e-12);
/// ```
pub fn binomial_two_sided(successes: u64, trials: u64, exact: Probability) -> f64 {
    if exact.ln() > exact.ln_complement() {
        return binomial_two_sided(trials - successes, trials, exact.opposite());
    }
    // `exact` is at most 1/2 here, so its value does not round to 1.
    let Ok(law) = Binomial::new(exact.value(), trials) else { return 1.0 };
    let at_most = law.cdf(successes);
    let at_least = if successes == 0 { 1.0 } else { law.sf(successes - 1) };
    (2.0 * at_most.min(at_least)).min(1.0)
}

/// The checks that a row's columns allow: coverage, and the collision of each batch's first anchor.
///
/// Both count one Bernoulli trial a batch. Anchors of one batch collide together, so the share over all anchors has no
/// binomial law and is not tested. Batches that share a pass over the data are not quite independent either: they
/// cannot reuse each other's samples, an effect of order n/M.
pub fn checks(row: &LossComponents) -> Vec<BinomialCheck> {
    let (Some(prior), Some(trials)) = (row.prior(), row.num_batches) else { return Vec::new() };
    let upsilon = coverage::probability(&prior, row.sampling, row.num_draws);
    let tau = collision::probability(&prior, row.sampling, row.num_draws.negatives());
    [(Quantity::Coverage, upsilon), (Quantity::FirstAnchorCollision, tau)]
        .into_iter()
        .filter_map(|(measure, exact)| {
            let (exact, share) = (exact.ok()?, row.get(measure)?);
            let successes = (share * trials as f64).round() as u64;
            let p_value = binomial_two_sided(successes, trials, exact);
            Some(BinomialCheck { measure, successes, trials, exact, p_value })
        })
        .collect()
}

/// Counted frequencies beside exact probabilities, one line per row and quantity.
pub fn checks_table(groups: &Groups<'_>) -> Table {
    per_row(groups, &["quantity", "counted", "batches", "exact", "p-value", "verdict"], |row| {
        let mut lines = Vec::new();
        for check in checks(row) {
            let verdict = if check.is_flagged() { "DISAGREES" } else { "agrees" };
            lines.push(vec![
                Cell::Text(check.measure.to_string()),
                Cell::number(check.successes as f64 / check.trials as f64),
                Cell::Integer(check.trials as i64),
                Cell::number(check.exact.value()),
                Cell::number(check.p_value),
                Cell::text(verdict),
            ]);
        }
        if let (Some(share), Some(exact)) = (row.get(Quantity::Collision), row.get(Quantity::CollisionExact))
        {
            lines.push(vec![
                Cell::Text(Quantity::Collision.to_string()),
                Cell::number(share),
                row.num_batches.map_or(Cell::Missing, |n| Cell::Integer(n as i64)),
                Cell::number(exact),
                Cell::Missing,
                Cell::text("not tested"),
            ]);
        }
        lines
    })
}

/// L_Info minus each bound's right-hand side, paired batch by batch, with its standard error.
pub fn margins_table(groups: &Groups<'_>) -> Table {
    per_row(groups, &["bound", "L_Info − bound", "standard error", "in standard errors"], |row| {
        let line = |(key, difference): (&String, &Estimate)| {
            let error = difference.standard_error;
            vec![
                Cell::text(key),
                Cell::number(difference.mean),
                error.map_or(Cell::Missing, Cell::number),
                error.filter(|e| *e > 0.0).map_or(Cell::Missing, |e| Cell::number(difference.mean / e)),
            ]
        };
        row.paired.iter().map(line).collect()
    })
}

/// A table of some lines a row, which is told by its run, n, and what else that takes.
fn per_row(
    groups: &Groups<'_>,
    headers: &[&str],
    lines: impl Fn(&LossComponents) -> Vec<Vec<Cell>>,
) -> Table {
    let shown = groups.differing_beside_runs();
    let told = ["run", "n = K+1"].into_iter().chain(shown.iter().map(|column| column.heading));
    let mut table = Table::new(told.chain(headers.iter().copied()));
    for row in groups.rows() {
        for line in lines(row) {
            let mut cells = vec![Cell::text(&row.run.run_id), Cell::Integer(row.num_draws.get() as i64)];
            cells.extend(descriptive(&shown, row));
            cells.extend(line);
            table.push(cells);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certain_event_that_fails_is_flagged() {
        let nearly_one = Probability::from_ln_complement(-40.0, 0.0);
        assert_eq!(binomial_two_sided(100, 100, nearly_one), 1.0);
        assert!(binomial_two_sided(99, 100, nearly_one) < 1e-14);
        assert_eq!(binomial_two_sided(0, 100, Probability::ZERO), 1.0);
        assert!(binomial_two_sided(1, 100, Probability::ZERO) < 1e-14);
        assert!(binomial_two_sided(50, 100, Probability::from_ln(0.5f64.ln(), 0.0)) > 0.9);
    }
}
