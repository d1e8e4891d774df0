//! υ as printed, as the notebook's float formula gives it, and exact for both samplings.
//!
//! The float formula is compared with the exact υ of independent draws, which is what it claims to be.

use super::notebook::{self, NotebookQuantity, float_formula, largest_term};
use super::{Row, cause, printed};
use crate::error::Result;
use crate::report::{Cell, Section, Table};
use crate::{NumDraws, Sampling, coverage};

const DIGITS: usize = 10;

pub(super) fn section(rows: &[Row]) -> Result<(&'static str, Section)> {
    let mut table = Table::new([
        "data set",
        "n = K+1",
        "υ̂ counted, printed",
        "float formula, printed",
        "float formula, here",
        "exact, independent",
        "exact, without replacement",
        "simulated, printed",
        "discrepancy",
    ]);
    let values = notebook::values()?;
    for row in rows {
        let draws = row.num_draws.get();
        let of = |quantity, n| {
            values
                .iter()
                .find(|v| v.dataset == row.dataset.name && (v.quantity, v.num_draws) == (quantity, n))
        };
        let independent = row.upsilon(Sampling::WithReplacement)?;
        // The notebook's cell for CIFAR-10 asks for 63 draws where the batches have 64.
        let formula = of(NotebookQuantity::FloatFormula, draws)
            .or_else(|| of(NotebookQuantity::FloatFormula, draws - 1));
        let discrepancy = match formula {
            Some(value) if value.num_draws != draws => {
                let prior = row.dataset.prior()?;
                let one_less = coverage::probability(
                    &prior,
                    Sampling::WithReplacement,
                    NumDraws::new(value.num_draws)?,
                )?;
                Some(format!(
                    "{} was computed for n = {}, where υ = {}; at n = {draws} it is {}",
                    value.text,
                    value.num_draws,
                    one_less.to_decimal(7),
                    independent.to_decimal(7)
                ))
            }
            Some(value) => {
                let decimals = value.text.split_once('.').map_or(0, |(_, d)| d.len()) as i32;
                let noise = value.value - independent.value();
                // Beyond the printed digits, and beyond what C·n float operations may lose without cancellation.
                (noise.abs() > 10f64.powi(-decimals) + 1e-9).then(|| {
                    format!(
                        "{} against {}: float terms up to {:.0e} cancel, negative sums are clamped to 0, and the \
                         noise {noise:+.1e} stays",
                        short(value.value),
                        short(independent.value()),
                        largest_term(row.dataset.num_classes)
                    )
                })
            }
            None => None,
        };
        let mut cells = row.name_cells();
        cells.extend([
            printed(row.upsilon_hat),
            formula.map_or(Cell::Missing, |v| Cell::Decimal(v.text.clone())),
            Cell::Decimal(significant(float_formula(row.dataset.num_classes, draws))),
            Cell::Decimal(independent.to_decimal(DIGITS)),
            Cell::Decimal(row.upsilon(Sampling::WithoutReplacement)?.to_decimal(DIGITS)),
            of(NotebookQuantity::Simulated, draws)
                .map_or(Cell::Missing, |v| Cell::Decimal(format!("{:.4}", v.value))),
            cause(discrepancy),
        ]);
        table.push(cells);
    }
    let text = "Probability that n draws show every class. The float formula is the official notebook's alternating sum in \
                float64; where it cancels, its digits depend on the mathematical library, so the printed and the recomputed \
                noise differ. Exact values: independent uniform draws, and draws without replacement from the evaluated set \
                (1000 images a class, 100 a class, 1900 articles a class).";
    Ok(("coverage", Section { title: "Coverage υ".into(), text: text.into(), table }))
}

fn significant(value: f64) -> String {
    if value < 1e-4 { format!("{value:.*e}", DIGITS - 1) } else { format!("{value:.DIGITS$}") }
}

fn short(value: f64) -> String {
    if value < 1e-2 { format!("{value:.2e}") } else { format!("{value:.5}") }
}
