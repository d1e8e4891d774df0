//! What the evaluated images say about all images, as tables: L_Info and its parts, and the bounds of L_sup that are
//! theorems, beside the estimates.
//!
//! Several seeds are several encoders, each with a statement of its own; of s seeds each gets 1/s of what may fail, so
//! that all hold at once with the stated confidence, and with them their mean, which is what a cell shows.

use super::bounds::{blocks, outcome_cell, over_rows};
use super::{Cell, Section, Table, descriptive, per_group};
use crate::bounds::{Bound, Outcome, Standing};
use crate::confidence::{Extreme, Kind, limit, worst};
use crate::error::{Error, Result};
use crate::losses::{Group, Groups, LossComponents, Quantity};

/// A statement with confidence: what is measured, or what a bound makes of it.
#[derive(Clone, Copy)]
enum Statement<'b> {
    Measured { quantity: Quantity, end: Extreme, relation: &'static str },
    Upper(&'b dyn Bound),
}

const MEASURED: [Statement<'static>; 4] = [
    Statement::Measured { quantity: Quantity::InfoNce, end: Extreme::Largest, relation: "L_Info ≤" },
    Statement::Measured { quantity: Quantity::Gap, end: Extreme::Smallest, relation: "d(f) ≥" },
    Statement::Measured { quantity: Quantity::FullSupLoss, end: Extreme::Largest, relation: "L_sup ≤" },
    Statement::Measured {
        quantity: Quantity::MeanAccuracy, end: Extreme::Smallest, relation: "mean acc. ≥"
    },
];

impl Statement<'_> {
    fn relation(self) -> &'static str {
        match self {
            Self::Measured { relation, .. } => relation,
            Self::Upper(_) => "L_sup ≤",
        }
    }

    /// The bound's key; of what is measured, that.
    fn key(self) -> &'static str {
        match self {
            Self::Measured { .. } => "measured",
            Self::Upper(bound) => bound.key(),
        }
    }

    fn estimate(self, row: &LossComponents) -> Outcome {
        match self {
            Self::Measured { quantity, .. } => row
                .get(quantity)
                .map_or_else(|| Outcome::NotApplicable(format!("needs {quantity}")), Outcome::Value),
            Self::Upper(bound) => bound.upper_bound(row),
        }
    }

    fn at(self, row: &LossComponents, level: f64, kind: Kind) -> Outcome {
        match self {
            Self::Measured { quantity, end, .. } => {
                limit(row, quantity, end, 1.0 - level, kind).map_or_else(Outcome::from, Outcome::Value)
            }
            Self::Upper(bound) => {
                let of = |row: &LossComponents| bound.upper_bound(row);
                worst(row, bound.upper_needs(), level, kind, Extreme::Largest, &of)
            }
        }
    }

    /// Whether the cell is an upper bound of L_sup.
    fn bounds_supervised(self) -> bool {
        matches!(self, Self::Upper(_))
    }

    fn cell(self, group: &Group<'_>, of: impl Fn(&LossComponents) -> Outcome + Send + Sync) -> Cell {
        let outcomes = over_rows(group, |row| Some(of(row))).unwrap_or_default();
        outcome_cell(group, &outcomes, self.bounds_supervised())
    }
}

/// What is measured, and the theorems among these bounds that say something of some row.
fn statements<'b>(groups: &Groups<'_>, bounds: &[&'b dyn Bound]) -> Vec<Statement<'b>> {
    let theorems = bounds.iter().filter(|bound| bound.standing() == Standing::Theorem);
    let all = MEASURED.into_iter().chain(theorems.map(|&bound| Statement::Upper(bound)));
    all.filter(|s| groups.rows().iter().any(|row| s.estimate(row).value().is_some())).collect()
}

/// The level for each of a group's rows, such that all hold at once.
fn of_each(level: f64, group: &Group<'_>) -> f64 {
    1.0 - (1.0 - level) / group.rows.len() as f64
}

/// One line a statement and kind, one column a number of draws: the estimate, and what holds with this confidence among
/// all images.
///
/// # Errors
/// A level outside (½, 1); rows that have nothing that a statement needs: what is lacking.
pub fn confident_section(groups: &Groups<'_>, bounds: &[&dyn Bound], level: f64) -> Result<Section> {
    check(groups, level)?;
    let shown = groups.differing_beside_draws();
    let mut draws: Vec<u64> = groups.iter().map(|g| g.setting().num_draws.get()).collect();
    draws.sort_unstable();
    draws.dedup();
    let mut headers: Vec<String> = shown.iter().map(|column| column.heading.to_string()).collect();
    headers.extend(["quantity", "bound", "kind"].map(String::from));
    headers.extend(draws.iter().map(|n| format!("n = {n}")));
    headers.push("where there is no value".into());
    let mut table = Table::new(headers);
    let statements = statements(groups, bounds);
    for block in blocks(groups, &shown) {
        for statement in &statements {
            for kind in [None, Some(Kind::Normal), Some(Kind::AssumptionFree)] {
                let mut reason = String::new();
                let mut row = descriptive(&shown, block.setting);
                row.extend([statement.relation(), statement.key()].map(Cell::text));
                row.push(Cell::text(kind.map_or("estimate", Kind::name)));
                row.extend(draws.iter().map(|n| {
                    let Some(group) = block.by_draws.get(n) else { return Cell::Missing };
                    let cell = match kind {
                        None => statement.cell(group, |row| statement.estimate(row)),
                        Some(kind) => {
                            statement.cell(group, |row| statement.at(row, of_each(level, group), kind))
                        }
                    };
                    let Cell::Note(why) = cell else { return cell };
                    let (short, long) = why.split_once(": ").unwrap_or((&why, ""));
                    if reason.is_empty() {
                        reason = long.to_string();
                    }
                    Cell::text(short)
                }));
                row.push(Cell::text(&reason));
                table.push(row);
            }
        }
    }
    let percent = format!("{:.6}", 100.0 * level);
    let percent = percent.trim_end_matches('0').trim_end_matches('.');
    let seeds = match groups.has_several_seeds() {
        true => " The statements of a cell hold for all its seeds at once; their mean is shown.",
        false => "",
    };
    let text = format!(
        "Statements about all images, of which the evaluated ones are taken to be an independent sample in known \
         shares of classes, given the encoder and the class means in use (bounds of L_sup take these for the means of that law). Estimate: as \
         measured, for distinct images; all other lines are for independent labels, whose probabilities differ, so that a \
         line may lie below the estimate where n is a large part of the images. The other lines hold with \
         {percent} % confidence: normal by the error over images, assumption-free whatever the law of the images.{seeds}"
    );
    Ok(Section { title: format!("With {percent} % confidence over images"), text, table })
}

/// The columns of the same statements, one line a measurement: what holds with this confidence.
///
/// # Errors
/// As for [`confident_section`].
pub fn confident_columns(groups: &Groups<'_>, bounds: &[&dyn Bound], level: f64) -> Result<Table> {
    check(groups, level)?;
    let statements = statements(groups, bounds);
    let columns: Vec<(Statement<'_>, Kind)> =
        statements.iter().flat_map(|&s| Kind::ALL.map(|kind| (s, kind))).collect();
    let name = |(statement, kind): &(Statement<'_>, Kind)| {
        format!("{} ({}, {level} {})", statement.relation(), statement.key(), kind.name())
    };
    let headers: Vec<String> = columns.iter().map(name).collect();
    Ok(per_group(groups, &headers, |group| {
        let level = of_each(level, group);
        columns.iter().map(|(s, kind)| s.cell(group, |row| s.at(row, level, *kind))).collect()
    }))
}

/// Whether some row has what some statement on L_Info needs.
fn check(groups: &Groups<'_>, level: f64) -> Result<()> {
    if !(level > 0.5 && level < 1.0) {
        return Err(Error::argument(format!("a confidence of {level} is not between 0.5 and 1")));
    }
    let mut lacking = Vec::new();
    for row in groups.rows() {
        for kind in Kind::ALL {
            match limit(row, Quantity::InfoNce, Extreme::Largest, 0.25, kind) {
                Ok(_) => return Ok(()),
                Err(why) if lacking.len() < Kind::ALL.len() => {
                    lacking.push(format!("{}: {why}", kind.name()))
                }
                Err(_) => {}
            }
        }
    }
    let place = groups.rows().first().and_then(|row| row.origin.place());
    let of = place.map_or_else(String::new, |place| format!("{}: ", place.file));
    Err(Error::argument(format!("{of}no statement with confidence ({})", lacking.join("; "))))
}

/// Whether the normal statements lack their columns in every row, as in files of earlier versions.
pub fn lacks_image_errors(groups: &Groups<'_>) -> bool {
    let errors = |row: &LossComponents| row.measures.values().any(|e| e.image_error.is_some());
    !groups.rows().iter().any(|row| errors(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds;
    use crate::losses::{group, read_from};
    use crate::report::{Format, bounds_table};

    const HEADER: &str = "seed,num_classes,class_counts,num_draws,temperature,sampling,num_batches,\
                          info_nce,info_nce_se,info_nce_image_se,gap,gap_se,gap_image_se\n";

    fn line(seed: u64, counts: &str) -> String {
        format!("{seed},2,{counts},4,1,without_replacement,100,1.2,0.01,0.02,-0.1,0.01,0.01\n")
    }

    #[test]
    fn a_statement_stands_beside_each_estimate() {
        let text = format!("{HEADER}{}{}", line(1, "200;200"), line(2, "200;200"));
        let rows = read_from(&text, "losses.csv").unwrap();
        let groups = group(&rows).unwrap();
        let section = confident_section(&groups, bounds::all(), 0.95).unwrap();
        let lines = section.table.rows();
        let of = |relation: &str, key: &str, kind: &str| {
            let is = |row: &&Vec<Cell>| row[..3] == [relation, key, kind].map(Cell::text);
            match lines.iter().find(is).unwrap()[3] {
                Cell::Estimate(e) | Cell::Vacuous(e) => e.mean,
                _ => panic!("{relation} {key} {kind}"),
            }
        };
        for (relation, key) in [("L_Info ≤", "measured"), ("L_sup ≤", "specht"), ("L_sup ≤", "submodular")]
        {
            let [estimate, normal, free] =
                ["estimate", "normal", "assumption-free"].map(|kind| of(relation, key, kind));
            assert!(estimate < normal && normal < free, "{key}: {estimate} {normal} {free}");
        }
        // Two seeds: 2.5 % each; 100 batches.
        let by = of("L_Info ≤", "measured", "normal") - 1.2;
        assert!((by - 0.02 * crate::simulate::student_quantile(0.025, 99.0)).abs() < 1e-12);
        assert!(of("d(f) ≥", "measured", "normal") < -0.1);
        assert!(section.text.contains("95 %"));
        let mut table = bounds_table(&groups, bounds::all());
        let before = table.headers().len();
        table.add_columns(&confident_columns(&groups, bounds::all(), 0.95).unwrap());
        assert!(table.headers().len() > before);
        assert!(table.to_text(Format::Json).contains("\"L_sup ≤ (specht, 0.95 assumption-free)\""));
    }

    #[test]
    fn a_file_without_what_is_needed_is_one_sentence() {
        let text = "num_classes,num_draws,temperature,sampling,info_nce\n2,4,1,without_replacement,1.2\n";
        let rows = read_from(text, "old.csv").unwrap();
        let groups = group(&rows).unwrap();
        let message = confident_section(&groups, bounds::all(), 0.95).unwrap_err().to_string();
        let expected = "old.csv: no statement with confidence (normal: needs info_nce_image_se: measure again; \
                        assumption-free: needs class_counts)";
        assert_eq!(message, expected);
        assert!(lacks_image_errors(&groups));
        assert!(confident_columns(&groups, bounds::all(), 95.0).is_err());
    }
}
