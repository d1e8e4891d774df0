//! The bars of the published figure and the identities of the tables, each beside what the algebra gives.
//!
//! Identities: Eq. 8 and Eq. 10 added up again from their printed parts. Half-subtraction: `create_df` in `bound.ipynb`
//! halves (1−υ) L_sub before it is subtracted from 2 L_Info, although the bar is twice Eq. 10, which holds ½ (1−υ)
//! L_sub. CURL: the bar divides by 1−τ what is left of P(Col = 0 and cover) L_sup, see `bounds::curl_as_published`; two
//! valid forms stand beside it, the rearrangement `curl` and (L_Info − E ln(1+Col) − d) / ((1−1/C)^K (1 −
//! (1−1/(C−1))^K)), which needs no c_sub.

use super::{Row, cause, losses, printed};
use crate::bounds::{self, Outcome};
use crate::error::{Error, Result};
use crate::report::{Cell, Section, Table};
use crate::{LossComponents, Sampling};

/// Two decimals, two to four of them added.
const ROUNDING: f64 = 0.0101;

fn bound(key: &str) -> Result<&'static dyn bounds::Bound> {
    bounds::find(key).ok_or_else(|| Error::argument(format!("there is no bound '{key}'")))
}

pub(super) fn identities(rows: &[Row]) -> Result<(&'static str, Section)> {
    let mut table =
        Table::new(["data set", "n = K+1", "equation", "printed", "recomputed", "difference", "discrepancy"]);
    let mut largest: f64 = 0.0;
    for row in rows {
        let losses = losses(row, Sampling::WithoutReplacement)?;
        for (equation, key, value) in
            [("Eq. 8", "curl", row.curl_bound), ("Eq. 10", "nozawa_sato", row.proposed_bound)]
        {
            let found = bound(key)?.lower_bound(&losses).value();
            let difference = found.map(|f| f - value);
            largest = largest.max(difference.map_or(0.0, f64::abs));
            let off = difference.filter(|d| d.abs() > ROUNDING);
            let mut cells = row.name_cells();
            cells.extend([
                Cell::text(equation),
                printed(value),
                printed(found),
                difference.map_or(Cell::Missing, |d| Cell::Decimal(format!("{d:+.2}"))),
                cause(off.map(|d| format!("the printed parts add up to {d:+.2} more"))),
            ]);
            table.push(cells);
        }
    }
    let text = format!(
        "Eq. 8: c_sup + c_sub + E ln(1+Col) + d. Eq. 10: ½ υ L_sup + ½ (1−υ) L_sub + ½ E ln(1+Col) + d, where the printed rows \
         'L_sup' and 'L_sub' are already halved. Largest difference: {largest:.2}, the rounding of two decimals."
    );
    Ok(("identities", Section { title: "Eq. 8 and Eq. 10 from their printed parts".into(), text, table }))
}

fn number(value: Option<f64>) -> Cell {
    value.map_or(Cell::Missing, Cell::number)
}

pub(super) fn half_subtraction(rows: &[Row]) -> Result<(&'static str, Section)> {
    let mut table = Table::new([
        "data set",
        "n = K+1",
        "divisor of the notebook",
        "bar of the figure",
        "as coded, υ exact",
        "Eq. 10, υ exact",
        "coded / Eq. 10",
        "ln UB printed",
        "ln of the bar",
        "discrepancy",
    ]);
    for row in rows {
        let losses = losses(row, Sampling::WithReplacement)?;
        let upsilon = row.upsilon(Sampling::WithReplacement)?;
        let numerator = row.numerator_as_coded();
        let coded = (numerator.ln() - upsilon.ln()).exp();
        let correct = bound("nozawa_sato")?.upper_bound(&losses).value();
        let ratio = correct.map(|c| coded / c);
        let bar = row.divisor().map(|divisor| numerator / divisor);
        let mut causes = Vec::new();
        if let (Some(constant), Some(bar)) = (row.notebook_constant(), bar) {
            causes.push(format!(
                "υ̂ = 0 is replaced by the float noise {constant:.2e} (exact υ: {}), so the bar is {bar:.3e}",
                upsilon.to_decimal(3)
            ));
        }
        if let (Some(correct), true) = (correct, ratio.is_some_and(|r| r > 1.01)) {
            let digits = |v: f64| if v < 1e4 { format!("{v:.1}") } else { format!("{v:.2e}") };
            causes.push(format!(
                "half of (1−υ) L_sub is subtracted instead of all of it: {} against {}, valid but looser",
                digits(coded),
                digits(correct)
            ));
        }
        let mut cells = row.name_cells();
        cells.extend([
            row.notebook_constant().map_or_else(|| printed(row.divisor()), |d| Cell::Decimal(format!("{d}"))),
            number(bar),
            Cell::number(coded),
            number(correct),
            number(ratio),
            printed(row.ln_proposed_upper),
            number(row.ln_proposed_upper.and(bar).map(f64::ln)),
            cause((!causes.is_empty()).then(|| causes.join("; "))),
        ]);
        table.push(cells);
    }
    let text = "The Nozawa–Sato bar as create_df computes it, (2 L_Info − ½ (1−υ) L_sub − E ln(1+Col) − 2 d)/υ̂, and Eq. 10 \
                solved for L_sup, which subtracts all of (1−υ) L_sub; independent draws. The bar of the figure uses the counted υ̂ \
                (here to two decimals; not printed for every n), or a constant where υ̂ = 0.";
    Ok((
        "half_subtraction",
        Section { title: "Half of L_sub in the Nozawa–Sato bar".into(), text: text.into(), table },
    ))
}

pub(super) fn curl(rows: &[Row]) -> Result<(&'static str, Section)> {
    let mut table = Table::new([
        "data set",
        "n = K+1",
        "bar as coded, τ exact",
        "valid rearrangement",
        "valid, without c_sub",
        "P(cover | Col = 0)",
        "discrepancy",
    ]);
    let cell = |outcome: &Outcome| match outcome {
        Outcome::Value(value) => Cell::number(*value),
        other => Cell::Note(other.reason().into()),
    };
    for row in rows {
        let losses: LossComponents = losses(row, Sampling::WithReplacement)?;
        // In logarithms: a bar above 2^53 is no reason to stop.
        let ln_alone = row.tau(Sampling::WithReplacement)?.ln_complement();
        let coded = row.curl_numerator() / ln_alone.exp();
        let valid = bound("curl")?.upper_bound(&losses);
        let share = valid.value().map(|valid| coded / valid);
        let off = share.filter(|&s| s < 0.99).map(|share| {
            format!(
                "c_sub is subtracted, so P(Col = 0 and cover) L_sup is left; the bar divides by P(Col = 0) alone and is \
                 {} times too low to bound L_sup",
                if share > 1e-3 { format!("{:.2}", 1.0 / share) } else { format!("{:.1e}", 1.0 / share) }
            )
        });
        let mut cells = row.name_cells();
        cells.extend([
            Cell::number(coded),
            cell(&valid),
            cell(&bound("coverage_collision")?.upper_bound(&losses)),
            share.map_or(Cell::Missing, |s| {
                Cell::Decimal(if s < 1e-3 { format!("{s:.3e}") } else { format!("{s:.6}") })
            }),
            cause(off),
        ]);
        table.push(cells);
    }
    let text = "The CURL bar divides L_Info − c_sub − E ln(1+Col) − d by 1−τ. With all features equal, C = 3, K = 1, t = 1, that is 0 \
                while L_sup = ln 3: it is no upper bound of L_sup. The valid rearrangement divides by P(Col = 0 and cover); \
                the last form leaves c_sub where it is and divides by P(Col = 0 and a given other class is seen). Independent draws.";
    Ok(("curl_bar", Section { title: "The CURL bar is no upper bound".into(), text: text.into(), table }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage_collision_by_hand() {
        let rows = crate::published::rows().unwrap();
        // CIFAR-10, n = 32: (2.02 − 1.32 + 1.16)/(0.9^31 (1 − (8/9)^31)).
        let expected = 1.86 / (0.9f64.powi(31) * (1.0 - (8.0f64 / 9.0).powi(31)));
        let losses = losses(&rows[0], Sampling::WithReplacement).unwrap();
        let found = bound("coverage_collision").unwrap().upper_bound(&losses).value().unwrap();
        assert!((found / expected - 1.0).abs() < 1e-12);
    }
}
