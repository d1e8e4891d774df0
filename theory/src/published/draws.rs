//! Table 3: the expected number of draws until every class was seen, and two figures quoted in a talk.
//!
//! Uniform: E\[K+1\] = C H_C. Any prior: ∫₀^∞ (1 − ∏_c (1 − e^{−π_c t})) dt. Printed rounded up.

use super::notebook::{self, NotebookQuantity};
use super::{cause, records};
use crate::error::Result;
use crate::prior::ClassPrior;
use crate::report::{Cell, Section, Table};
use crate::{NumDraws, Sampling, collision, coverage};

pub(super) fn section(counts: Option<&ClassPrior>) -> Result<(&'static str, Section)> {
    let mut table =
        Table::new(["data set", "classes", "quantity", "prior", "printed", "exact", "source", "discrepancy"]);
    let text = include_str!("../../../data/published/nozawa_expected_draws.csv");
    for record in records("nozawa_expected_draws.csv", text)? {
        let (classes, value) = (record.number("classes")? as u64, record.number("printed")?);
        let source = record.text("source")?;
        let uniform = record.text("prior")? == "uniform";
        let prior = if uniform { Some(ClassPrior::uniform(classes)?) } else { counts.cloned() };
        // To which unit the figure is quoted: 1, or 100 for "about".
        let unit = record.number("unit")?;
        let exact = prior.as_ref().map(coverage::expected_draws);
        // E[K+1] of two classes is the integer 3: a last digit too many must not round it up to 4.
        let rounded_up = exact.map(|e| (e * (1.0 - 1e-13)).ceil());
        let off = match (&prior, exact) {
            (Some(prior), _) if prior.num_classes() != classes => {
                Some(format!("the counts have {} classes, not {classes}", prior.num_classes()))
            }
            (_, Some(exact)) if unit > 1.0 => {
                ((exact - value).abs() > 0.5 * unit).then(|| format!("{exact:.0} is not about {value}"))
            }
            _ => rounded_up.filter(|&up| up != value).map(|up| format!("rounded up: {up}")),
        };
        table.push(vec![
            Cell::text(record.text("dataset")?),
            Cell::Integer(classes as i64),
            Cell::text("E[K+1], rounded up"),
            Cell::text(if uniform { "uniform" } else { "class counts" }),
            Cell::Integer(value as i64),
            exact.map_or_else(
                || Cell::Note("needs the class counts: --counts FILE".into()),
                |e| Cell::Decimal(format!("{e:.4}")),
            ),
            Cell::text(source),
            cause(off),
        ]);
    }
    let uniform = coverage::expected_draws(&ClassPrior::uniform(1000)?);
    table.push(vec![
        Cell::text("1000 equal classes"),
        Cell::Integer(1000),
        Cell::text("E[K+1]"),
        Cell::text("uniform"),
        Cell::Missing,
        Cell::Decimal(format!("{uniform:.4}")),
        Cell::text("for comparison with ImageNet"),
    ]);
    for quoted in notebook::values()?.into_iter().filter(|v| v.quantity == NotebookQuantity::QuotedTau) {
        let prior = ClassPrior::uniform(10)?;
        let negatives = NumDraws::new(quoted.num_draws)?.negatives();
        let tau = collision::probability(&prior, Sampling::WithReplacement, negatives)?.value();
        let off = ((tau - quoted.value).abs() > 0.005).then(|| format!("τ is {tau:.4}"));
        table.push(vec![
            Cell::text(&quoted.dataset),
            Cell::Integer(10),
            Cell::Text(format!("τ at K = {negatives}")),
            Cell::text("uniform"),
            Cell::Decimal(quoted.text),
            Cell::Decimal(format!("{tau:.6}")),
            Cell::text(&quoted.source),
            cause(off),
        ]);
    }
    let text = format!(
        "Expected number of draws until every class was seen, as printed (rounded up) and exact. ImageNet's classes are not equally \
         frequent: its line needs the counts of the training set; 1000 equal classes would need {} draws.",
        uniform.ceil()
    );
    Ok(("expected_draws", Section { title: "Table 3: expected draws".into(), text, table }))
}
