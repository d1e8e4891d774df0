//! Which sampling do the printed frequencies belong to: independent draws, or a shuffled loader's without replacement?
//!
//! υ̂ counts one Bernoulli trial a batch, so its distance from each exact υ is also given in standard deviations
//! √(υ(1−υ)/batches); batches of one pass share its images, an effect of order n/M that this leaves out. τ̂ and
//! E ln(1+Col) average over all anchors of all batches, which moves their third decimal at most.

use super::notebook::{self, NotebookQuantity};
use super::{PASSES, ROUNDING, Row, printed};
use crate::error::Result;
use crate::report::{Cell, Section, Table};
use crate::{Sampling, collision};

/// Standard deviations that a counted υ̂ may lie off, beyond its rounding.
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
    /// Batches behind a counted υ̂.
    batches: Option<u64>,
    /// Half a unit of the last printed decimal.
    rounding: f64,
}

impl Line<'_> {
    /// Distance in standard deviations, where the count can vary at all.
    fn deviations(&self, exact: f64) -> Option<f64> {
        let batches = self.batches? as f64;
        let deviation = (exact * (1.0 - exact) / batches).sqrt();
        (batches * exact.min(1.0 - exact) > 1.0).then(|| (self.printed - exact) / deviation)
    }

    fn agrees(&self, exact: f64) -> bool {
        let spread = self.batches.map_or(0.0, |b| TOLERANCE * (exact * (1.0 - exact) / b as f64).sqrt());
        // The float 0.985 is not quite the decimal one.
        (self.printed - exact).abs() <= self.rounding + spread + 1e-9
    }

    fn cells(&self) -> Vec<Cell> {
        let [independent, without] = self.exact;
        let verdict = match (self.agrees(independent), self.agrees(without)) {
            (true, true) => Cell::text("either"),
            (false, true) => Cell::Flag("without replacement only".into()),
            (true, false) => Cell::Flag("independent only".into()),
            (false, false) => Cell::Flag("neither".into()),
        };
        let deviations =
            |exact| self.deviations(exact).map_or(Cell::Missing, |z| Cell::Decimal(format!("{z:+.2}")));
        let mut cells = self.row.name_cells();
        cells.extend([
            Cell::text(self.quantity),
            self.text.clone(),
            Cell::Decimal(format!("{independent:.6}")),
            Cell::Decimal(format!("{without:.6}")),
            self.batches.map_or(Cell::Missing, |b| Cell::Integer(b as i64)),
            deviations(independent),
            deviations(without),
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
    let counted = |quantity, value: Option<f64>, exact, batches| {
        value.map(|v| Line {
            row,
            quantity,
            printed: v,
            text: printed(v),
            exact,
            batches,
            rounding: ROUNDING,
        })
    };
    let batches = Some(row.dataset.batches(row.num_draws));
    let simulated = notebook::value(row.dataset.name, row.num_draws.get(), NotebookQuantity::Simulated);
    let simulated = simulated.map(|v| Line {
        row,
        quantity: "υ simulated",
        printed: v,
        text: Cell::Decimal(format!("{v:.4}")),
        exact: upsilon,
        batches: Some(row.dataset.batches_of(PASSES, row.num_draws)),
        rounding: 1e-12,
    });
    let lines = [
        counted("τ̂", row.tau_hat, tau, None),
        counted("υ̂", row.upsilon_hat, upsilon, batches),
        counted("E ln(1+Col)", Some(row.log1p_collisions), log1p, None),
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
        "z, independent",
        "z, without replacement",
        "printed value fits",
    ]);
    let (mut without_only, mut independent_only) = (0, 0);
    for row in rows {
        for line in lines(row)? {
            match line.exact.map(|exact| line.agrees(exact)) {
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
         only. τ̂ and E ln(1+Col): within the printed rounding. υ̂ and the notebook's simulation (10 shuffles): within \
         rounding and {TOLERANCE} standard deviations of the count, shown as z.",
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
                let count = line.printed * line.batches.unwrap() as f64;
                assert!((count - count.round()).abs() < 1e-9, "{}: {count}", row.num_draws);
            }
        }
    }
}
