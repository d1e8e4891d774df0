//! The CURL bar on AG News: where 1−τ is far below the resolution of a counted τ̂.
//!
//! The bar is numerator/(1−τ̂). With 4 classes and n = 64 no anchor was alone in its batch; τ̂ is then 1 up to the
//! rounding of an accumulated sum, and 1−τ̂ came out as 2⁻⁵³, the distance of the largest float below 1: the printed
//! logarithm is ln(numerator) + 53 ln 2 whatever K is. The analytic ln(1−τ) = K ln(1−1/C) has no such floor.
//!
//! Source: last rows of the AG News table in `bound.ipynb`; analysis here.

use super::{Row, cause, printed};
use crate::Sampling;
use crate::error::Result;
use crate::report::{Cell, Section, Table};
use std::f64::consts::LN_2;

/// A two-decimal numerator near 1.36 and a two-decimal logarithm: 4 · 0.005/1.36 + 0.005.
const ROUNDING: f64 = 0.02;

pub(super) fn section(rows: &[Row]) -> Result<(&'static str, Section)> {
    let mut table = Table::new([
        "data set",
        "n = K+1",
        "τ̂ printed",
        "1−τ exact",
        "numerator",
        "ln UB printed",
        "1−τ̂ it implies",
        "ln UB with 1−τ̂ = 2^-53",
        "ln UB, independent",
        "ln UB, without replacement",
        "discrepancy",
    ]);
    for row in rows {
        let Some(ln_printed) = row.ln_curl_upper else { continue };
        let ln_numerator = row.curl_numerator().ln();
        let independent = row.tau(Sampling::WithReplacement)?;
        let ln_upper = ln_numerator - independent.ln_complement();
        let without = ln_numerator - row.tau(Sampling::WithoutReplacement)?.ln_complement();
        let floor = ln_numerator + 53.0 * LN_2;
        let saturated = (ln_printed - floor).abs() <= ROUNDING;
        let discrepancy = saturated.then(|| {
            format!(
                "no anchor was alone, τ̂ is 1 up to rounding: the printed value is ln(numerator) + 53 ln 2 = {floor:.2}, not \
                 {ln_upper:.2}"
            )
        });
        let mut cells = row.name_cells();
        cells.extend([
            printed(row.tau_hat),
            Cell::Decimal(independent.opposite().to_decimal(6)),
            printed(row.curl_numerator()),
            printed(ln_printed),
            Cell::Decimal(format!("{:.2e}", (ln_numerator - ln_printed).exp())),
            Cell::Decimal(format!("{floor:.2}")),
            Cell::Decimal(format!("{ln_upper:.2}")),
            Cell::Decimal(format!("{without:.2}")),
            cause(discrepancy),
        ]);
        table.push(cells);
    }
    let text = "The logarithm of the CURL bar (L_Info − c_sub − E ln(1+Col) − d)/(1−τ̂) as printed, the 1−τ̂ that it implies \
                (2^-53 = 1.11e-16), and the same numerator over the exact 1−τ. For n = 16 and 32 a count can still resolve 1−τ.";
    Ok(("saturation", Section { title: "Saturation of τ̂ on AG News".into(), text: text.into(), table }))
}
