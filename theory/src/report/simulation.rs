//! What a simulation found as a table: one line a quantity and n, with its interval.

use super::{Cell, Table};
use crate::error::Result;
use crate::probability::decimal_from_ln;
use crate::sampling::NumDraws;
use crate::simulate::{Estimate, Mean, Proportion, Totals};

/// Digits of a value known through its logarithm.
const LOG_DIGITS: usize = 12;

/// What was simulated, as the lines repeat it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Simulated {
    /// C.
    pub classes: u64,
    /// Independent samples (batches).
    pub samples: u64,
    /// Seed.
    pub seed: u64,
    /// Confidence level of the intervals.
    pub level: f64,
}

/// One line a quantity and n: υ, of batches with anchors also τ and E ln(1+Col).
///
/// # Errors
/// A level outside (0, 1); parts are missing.
pub fn simulation_table(said: Simulated, totals: &Totals) -> Result<Table> {
    let headers = [
        "quantity",
        "draws",
        "classes",
        "samples",
        "seed",
        "estimate",
        "interval",
        "level",
        "relative_standard_error",
        "method",
    ];
    let mut table = Table::new(headers);
    for (num_draws, estimate) in totals.estimates()? {
        for found in found(estimate, said.level)? {
            table.push(row(said, num_draws, found));
        }
    }
    Ok(table)
}

fn row(said: Simulated, num_draws: NumDraws, found: Found) -> Vec<Cell> {
    let error = found.relative_standard_error;
    vec![
        Cell::text(found.quantity),
        Cell::Integer(num_draws.get() as i64),
        Cell::Integer(said.classes as i64),
        Cell::Integer(said.samples as i64),
        Cell::Decimal(said.seed.to_string()),
        Cell::Decimal(found.estimate),
        Cell::Interval(found.interval),
        Cell::Decimal(format!("{:?}", said.level)),
        if error.is_finite() { Cell::Decimal(format!("{error:.2e}")) } else { Cell::Missing },
        Cell::text(found.method),
    ]
}

/// One quantity: estimate, both ends of the interval, relative standard error, method.
struct Found {
    quantity: &'static str,
    estimate: String,
    interval: [String; 2],
    relative_standard_error: f64,
    method: &'static str,
}

impl Found {
    fn proportion(quantity: &'static str, found: Proportion, level: f64) -> Result<Self> {
        let (low, high) = found.interval(level)?;
        let estimate = found.estimate();
        // What never or always occurred says nothing about its error.
        let sure = estimate == 0.0 || estimate == 1.0;
        let error = if sure { f64::NAN } else { found.standard_error() };
        let method = "plain, Clopper-Pearson";
        Ok(Self::plain(quantity, estimate, (low, high), error, method))
    }

    fn mean(quantity: &'static str, found: Mean, level: f64) -> Result<Self> {
        let (estimate, error) = (found.estimate(), found.standard_error());
        Ok(Self::plain(quantity, estimate, found.interval(level)?, error, "plain, Student"))
    }

    fn plain(
        quantity: &'static str,
        estimate: f64,
        (low, high): (f64, f64),
        error: f64,
        method: &'static str,
    ) -> Self {
        let interval = [low, high].map(|end| format!("{end:?}"));
        let relative_standard_error = error / estimate;
        Self { quantity, estimate: format!("{estimate:?}"), interval, relative_standard_error, method }
    }
}

/// The quantities of one estimate.
fn found(estimate: Estimate, level: f64) -> Result<Vec<Found>> {
    match estimate {
        Estimate::Batches(found) => Ok(vec![
            Found::proportion("upsilon", found.coverage, level)?,
            Found::proportion("tau", found.collision, level)?,
            Found::mean("expected_log1p_collisions", found.ln1p_collisions, level)?,
        ]),
        Estimate::Coverage(found) => Ok(vec![Found::proportion("upsilon", found, level)?]),
        Estimate::Rare(found) => {
            let (low, high) = found.ln_interval(level)?;
            Ok(vec![Found {
                quantity: "upsilon",
                estimate: decimal_from_ln(found.ln(), LOG_DIGITS),
                interval: [low, high].map(|ln| decimal_from_ln(ln, LOG_DIGITS)),
                relative_standard_error: found.relative_standard_error(),
                method: if found.is_certain() { "certain, not simulated" } else { "tilted counts, Student" },
            }])
        }
    }
}
