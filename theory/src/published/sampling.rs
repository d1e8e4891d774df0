//! Which sampling do the printed frequencies belong to: independent draws, or a shuffled loader's without replacement?
//!
//! Each is a mean over batches, with a standard deviation of its own under each law. υ̂ counts one Bernoulli trial a
//! batch: √(υ(1−υ)/batches), and its distance from each exact υ is also given in these. τ̂ and E ln(1+Col) average
//! Σ_c g(n_c)/n over the batches, n_c the batch's count of class c, g(m) = m for m ≥ 2 (else 0) and m ln m; the variance
//! of one batch is C Var g(n_1) + C(C−1) Cov(g(n_1), g(n_2)), over n², with the exact laws of one count and of a second
//! one given it. Batches of one pass share its images, an effect of order n/M that this leaves out.

use super::counts;
use super::notebook::{self, NotebookQuantity};
use super::{PASSES, ROUNDING, Row, printed};
use crate::error::Result;
use crate::report::{Cell, Section, Table};
use crate::{Sampling, collision};

/// Standard deviations that a counted value may lie off, beyond its rounding.
const TOLERANCE: f64 = 2.0;

const BOTH: [Sampling; 2] = [Sampling::WithReplacement, Sampling::WithoutReplacement];

/// One printed frequency.
struct Line<'a> {
    row: &'a Row,
    quantity: &'static str,
    printed: f64,
    text: Cell,
    /// Independent, without replacement.
    exact: [f64; 2],
    /// Batches behind the mean.
    batches: u64,
    /// Standard deviation of the mean: independent, without replacement.
    spread: [f64; 2],
    /// Whether one batch counts as 0 or 1.
    is_count: bool,
    /// Half a unit of the last printed decimal.
    rounding: f64,
}

impl Line<'_> {
    /// Distance of a count in standard deviations, where it can vary at all.
    fn deviations(&self, exact: f64, spread: f64) -> Cell {
        if self.is_count && self.batches as f64 * exact.min(1.0 - exact) > 1.0 {
            Cell::Decimal(format!("{:+.2}", (self.printed - exact) / spread))
        } else {
            Cell::Missing
        }
    }

    fn agrees(&self, exact: f64, spread: f64) -> bool {
        // The float 0.985 is not quite the decimal one.
        (self.printed - exact).abs() <= self.rounding + TOLERANCE * spread + 1e-9
    }

    /// Whether the value fits independent draws, and draws without replacement.
    fn verdict(&self) -> [bool; 2] {
        [0, 1].map(|law| self.agrees(self.exact[law], self.spread[law]))
    }

    fn cells(&self) -> Vec<Cell> {
        let [independent, without] = self.exact;
        let verdict = match self.verdict() {
            [true, true] => Cell::text("either"),
            [false, true] => Cell::Flag("without replacement only".into()),
            [true, false] => Cell::Flag("independent only".into()),
            [false, false] => Cell::Flag("neither".into()),
        };
        let mut cells = self.row.name_cells();
        cells.extend([
            Cell::text(self.quantity),
            self.text.clone(),
            Cell::Decimal(format!("{independent:.6}")),
            Cell::Decimal(format!("{without:.6}")),
            Cell::Integer(self.batches as i64),
            Cell::Decimal(format!("{:.6}", self.spread[0])),
            Cell::Decimal(format!("{:.6}", self.spread[1])),
            self.deviations(independent, self.spread[0]),
            self.deviations(without, self.spread[1]),
            verdict,
        ]);
        cells
    }
}

/// Printed frequencies of one row.
fn lines(row: &Row) -> Result<Vec<Line<'_>>> {
    let mut upsilon = [0.0; 2];
    let mut tau = [0.0; 2];
    let mut log1p = [0.0; 2];
    for (i, sampling) in BOTH.into_iter().enumerate() {
        upsilon[i] = row.upsilon(sampling)?.value();
        tau[i] = row.tau(sampling)?.value();
        log1p[i] = collision::expected_ln1p(&row.dataset.prior()?, sampling, row.num_draws.negatives())?;
    }
    let batches = row.dataset.batches(row.num_draws);
    let counted = |quantity, value: Option<f64>, exact: [f64; 2], of_batch: [f64; 2], is_count| {
        value.map(|v| Line {
            row,
            quantity,
            printed: v,
            text: printed(v),
            exact,
            batches,
            spread: of_batch.map(|deviation| deviation / (batches as f64).sqrt()),
            is_count,
            rounding: ROUNDING,
        })
    };
    let of_count = |upsilon: f64| (upsilon * (1.0 - upsilon)).max(0.0).sqrt();
    let shuffled = row.dataset.batches_of(PASSES, row.num_draws);
    let spread = |of_count: fn(u64) -> f64| {
        BOTH.map(|sampling| counts::deviation_of_batch(&row.dataset, sampling, row.num_draws.get(), of_count))
    };
    let simulated = notebook::value(row.dataset.name, row.num_draws.get(), NotebookQuantity::Simulated);
    let simulated = simulated.map(|v| Line {
        row,
        quantity: "υ simulated",
        printed: v,
        text: Cell::Decimal(format!("{v:.4}")),
        exact: upsilon,
        batches: shuffled,
        spread: upsilon.map(|upsilon| of_count(upsilon) / (shuffled as f64).sqrt()),
        is_count: true,
        rounding: 1e-12,
    });
    let lines = [
        counted("τ̂", row.tau_hat, tau, spread(|m| if m < 2 { 0.0 } else { m as f64 }), false),
        counted("υ̂", row.upsilon_hat, upsilon, upsilon.map(of_count), true),
        counted(
            "E ln(1+Col)",
            Some(row.log1p_collisions),
            log1p,
            spread(|m| m as f64 * (m.max(1) as f64).ln()),
            false,
        ),
        simulated,
    ];
    Ok(lines.into_iter().flatten().collect())
}

pub(super) fn section(rows: &[Row]) -> Result<(&'static str, Section)> {
    let mut table = Table::new([
        "data set",
        "n = K+1",
        "quantity",
        "printed",
        "exact, independent",
        "exact, without replacement",
        "batches",
        "sd, independent",
        "sd, without replacement",
        "z, independent",
        "z, without replacement",
        "printed value fits",
    ]);
    let (mut without_only, mut independent_only) = (0, 0);
    for row in rows {
        for line in lines(row)? {
            match line.verdict() {
                [false, true] => without_only += 1,
                [true, false] => independent_only += 1,
                _ => {}
            }
            table.push(line.cells());
        }
    }
    let text = format!(
        "The theory assumes independent labels; the batches were cut from a shuffled evaluated set, without replacement. Of \
         {} printed values {without_only} fit draws without replacement only, and {independent_only} fit independent draws \
         only: within the printed rounding and {TOLERANCE} standard deviations (sd) of the mean over batches that was \
         counted; the notebook's simulation has 10 shuffles. z: distance of a count in its sd.",
        table.rows().len()
    );
    Ok(("sampling", Section { title: "Independent or without replacement?".into(), text, table }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulated_values_are_whole_numbers_of_batches() {
        // Ten shuffles of the 10,000 evaluated labels, remainder dropped: 34 of 260, 110 of 190, 131 of 150, …
        for row in crate::published::rows().unwrap() {
            for line in lines(&row).unwrap().iter().filter(|l| l.quantity == "υ simulated") {
                let count = line.printed * line.batches as f64;
                assert!((count - count.round()).abs() < 1e-9, "{}: {count}", row.num_draws);
            }
        }
    }
}
