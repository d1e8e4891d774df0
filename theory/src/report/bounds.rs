//! Tables of every bound, aggregated over seeds: one line a measurement for programs, one line a bound for people.

use super::aggregate::{Interval, mean_interval, ratio_interval};
use super::{Cell, Table, descriptive, mean_and_deviation, per_group, statistic};
use crate::bounds::{self, Bound, Outcome, Ratio, Standing};
use crate::losses::{Column, Group, Groups, LossComponents, Quantity};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// What one column of a bound says.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Side {
    InfoNce,
    Supervised,
    SupervisedBelow,
    /// Something else, in these words.
    Other(&'static str),
}

impl Side {
    /// The relation, as in `L_sup ≤`.
    fn relation(self) -> &'static str {
        match self {
            Self::InfoNce => "L_Info ≥",
            Self::Supervised => "L_sup ≤",
            Self::SupervisedBelow => "L_sup ≥",
            Self::Other(what) => what,
        }
    }

    fn standing(self, bound: &dyn Bound) -> Standing {
        if self == Self::SupervisedBelow { bound.supervised_lower_standing() } else { bound.standing() }
    }
}

/// The words, after the standing of what is no theorem.
pub(super) fn marked(standing: Standing, said: &str) -> String {
    match standing {
        Standing::Theorem => said.into(),
        _ => format!("{}: {said}", standing.name()),
    }
}

pub(super) type Sided<'b> = (&'b dyn Bound, Side);

/// The sides that a bound has for at least one row; a bound that never applies is shown with its upper bound's reason.
fn sides(bound: &dyn Bound, groups: &Groups<'_>) -> Vec<Side> {
    let mut sides = Vec::new();
    if !bound.lower_needs().is_empty() && bound.standing() == Standing::Theorem {
        sides.push(Side::InfoNce);
    }
    if !bound.upper_needs().is_empty() {
        sides.push(Side::Supervised);
    }
    let below = !bound.supervised_lower_needs().is_empty();
    if below && groups.rows().iter().any(|row| bound.supervised_lower_bound(row).value().is_some()) {
        sides.push(Side::SupervisedBelow);
    }
    // The words may depend on the setting.
    for group in groups.iter() {
        let other = bound.other(group.setting()).map(|statement| Side::Other(statement.what));
        sides.extend(other.filter(|side| !sides.contains(side)));
    }
    sides
}

/// Every bound with its sides, in the order given.
pub(super) fn sided<'b>(groups: &Groups<'_>, bounds: &[&'b dyn Bound]) -> Vec<Sided<'b>> {
    let of_bound = |&bound: &&'b dyn Bound| {
        sides(bound, groups).into_iter().map(|side| (bound, side)).collect::<Vec<_>>()
    };
    bounds.iter().flat_map(of_bound).collect()
}

/// What a bound says of a row; `None`: not this.
fn evaluate(bound: &dyn Bound, side: Side, row: &LossComponents) -> Option<Outcome> {
    Some(match side {
        Side::InfoNce => bound.lower_bound(row),
        Side::Supervised => bound.upper_bound(row),
        Side::SupervisedBelow => bound.supervised_lower_bound(row),
        Side::Other(what) => bound.other(row).filter(|statement| statement.what == what)?.outcome,
    })
}

/// These bounds, such as [`bounds::all`], per number of draws, beside what it bounds: mean ± standard deviation over
/// seeds, and, where there are two seeds or more, a 95 % interval for each upper bound of L_sup (Student's t; Fieller's
/// for a quotient).
pub fn bounds_table(groups: &Groups<'_>, bounds: &[&dyn Bound]) -> Table {
    let sided = sided(groups, bounds);
    let of = |wanted: fn(Side) -> bool| sided.iter().filter(move |(_, side)| wanted(*side));
    let lower = || of(|side| side == Side::InfoNce);
    let upper = || of(|side| side == Side::Supervised);
    let others = || of(|side| matches!(side, Side::SupervisedBelow | Side::Other(_)));
    let name = |(bound, side): &Sided<'_>| {
        let said = format!("{} ({})", side.relation(), bound.key());
        // A notebook reads these columns by their names, and the key says it itself.
        let says_so_itself = bound.key().ends_with("_as_published");
        if says_so_itself { said } else { marked(side.standing(*bound), &said) }
    };
    let several = groups.has_several_seeds();
    let mut headers = vec!["L_Info".to_string()];
    headers.extend(lower().map(name));
    headers.push("L_sup".to_string());
    headers.extend(upper().map(name));
    headers.extend(others().map(name));
    if several {
        headers.extend(upper().map(|(bound, _)| format!("interval ({})", bound.key())));
    }
    per_group(groups, &headers, |group| {
        let cell = |&(bound, side): &Sided<'_>| bound_cell(group, bound, side);
        let mut cells = vec![statistic(group, |row| row.get(Quantity::InfoNce))];
        cells.extend(lower().map(cell));
        cells.push(statistic(group, |row| row.get(Quantity::FullSupLoss)));
        cells.extend(upper().map(cell));
        cells.extend(others().map(cell));
        if several {
            cells.extend(upper().map(|(bound, _)| interval_cell(group, *bound)));
        }
        cells
    })
}

/// The groups that differ in their number of draws alone.
pub(super) struct Block<'a> {
    pub setting: &'a LossComponents,
    pub by_draws: BTreeMap<u64, &'a Group<'a>>,
}

/// One block for each combination of these columns, which with n tell all groups apart.
pub(super) fn blocks<'a>(groups: &'a Groups<'_>, columns: &[&Column]) -> Vec<Block<'a>> {
    let mut places = HashMap::new();
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for group in groups.iter() {
        let setting = group.setting();
        let key: Vec<_> = columns.iter().map(|column| (column.value)(setting)).collect();
        let place = *places.entry(key).or_insert_with(|| {
            blocks.push(Block { setting, by_draws: BTreeMap::new() });
            blocks.len() - 1
        });
        blocks[place].by_draws.insert(setting.num_draws.get(), group);
    }
    blocks
}

/// The same, for people: one line a bound, one column a number of draws, with standing and reasons at the end.
pub fn bounds_by_draws(groups: &Groups<'_>, bounds: &[&dyn Bound]) -> Table {
    let shown = groups.differing_beside_draws();
    let mut draws: Vec<u64> = groups.iter().map(|g| g.setting().num_draws.get()).collect();
    draws.sort_unstable();
    draws.dedup();
    let mut headers: Vec<String> = shown.iter().map(|column| column.heading.to_string()).collect();
    headers.extend(["quantity", "bound"].map(String::from));
    headers.extend(draws.iter().map(|n| format!("n = {n}")));
    headers.extend(["standing", "where there is no value"].map(String::from));
    let mut table = Table::new(headers);
    let sided = sided(groups, bounds);
    for Block { setting, by_draws } in blocks(groups, &shown) {
        let told = descriptive(&shown, setting);
        let mut line = |quantity: &str, bound: &str, cells: &dyn Fn(&Group<'_>) -> Cell, standing: &str| {
            let mut reason = String::new();
            let by_draws = draws.iter().map(|n| match by_draws.get(n).map(|group| cells(group)) {
                Some(Cell::Note(why)) => {
                    let (short, long) = why.split_once(": ").unwrap_or((&why, ""));
                    if reason.is_empty() {
                        reason = long.to_string();
                    }
                    Cell::Text(short.to_string())
                }
                Some(cell) => cell,
                None => Cell::Missing,
            });
            let mut row = told.clone();
            row.extend([Cell::text(quantity), Cell::text(bound)]);
            row.extend(by_draws.collect::<Vec<_>>());
            row.extend([Cell::text(standing), Cell::text(&reason)]);
            table.push(row);
        };
        for (quantity, measure) in [("L_Info", Quantity::InfoNce), ("L_sup", Quantity::FullSupLoss)] {
            line(quantity, "measured", &|g| statistic(g, |row| row.get(measure)), "");
            for &(bound, side) in &sided {
                if (side == Side::InfoNce) != (measure == Quantity::InfoNce) {
                    continue;
                }
                // Every bound has something to say of L_Info and L_sup, be it why it has no value.
                let is_said = |g: &&Group<'_>| evaluate(bound, side, g.setting()).is_some();
                if matches!(side, Side::Other(_)) && !by_draws.values().any(is_said) {
                    continue;
                }
                let standing = side.standing(bound);
                let relation = match standing {
                    // Short: the column of standings has the rest.
                    Standing::FormOnly(_) => format!("form only: {}", side.relation()),
                    _ => marked(standing, side.relation()),
                };
                line(&relation, bound.key(), &|g| bound_cell(g, bound, side), standing.name());
            }
        }
    }
    table
}

/// Of every row, unless one has none; on all threads where there are many rows.
pub(super) fn over_rows<T: Send>(
    group: &Group<'_>,
    of: impl Fn(&LossComponents) -> Option<T> + Send + Sync,
) -> Option<Vec<T>> {
    const MANY: usize = 1000;
    if group.rows.len() < MANY {
        return group.rows.iter().map(|row| of(row)).collect();
    }
    group.rows.par_iter().map(|row| of(row)).collect()
}

pub(super) fn bound_cell(group: &Group<'_>, bound: &dyn Bound, side: Side) -> Cell {
    let outcomes = over_rows(group, |row| evaluate(bound, side, row));
    let Some(outcomes) = outcomes else { return Cell::Missing };
    outcome_cell(group, &outcomes, side == Side::Supervised)
}

/// The mean of these outcomes, one a row, or why there is none; `upper`: of an upper bound of L_sup.
pub(super) fn outcome_cell(group: &Group<'_>, outcomes: &[Outcome], upper: bool) -> Cell {
    let values: Option<Vec<f64>> = outcomes.iter().map(Outcome::value).collect();
    match values {
        Some(values) => {
            let value = mean_and_deviation(&values);
            let vacuous = upper && bounds::is_vacuous(value.mean, group.setting().num_classes);
            if vacuous { Cell::Vacuous(value) } else { Cell::Estimate(value) }
        }
        None => match outcomes.iter().find(|o| o.value().is_none()) {
            Some(Outcome::Undefined(reason)) => Cell::Note(format!("undefined: {reason}")),
            Some(o) => Cell::Note(format!("n/a: {}", o.reason())),
            None => Cell::Missing,
        },
    }
}

fn interval_cell(group: &Group<'_>, bound: &dyn Bound) -> Cell {
    if group.rows.len() < 2 {
        return Cell::Missing;
    }
    let ratios: Option<Vec<Ratio>> = over_rows(group, |row| bound.ratio(row)?.ok());
    let values = || over_rows(group, |row| bound.upper_bound(row).value());
    let interval = match ratios {
        Some(ratios) => ratio_interval(&ratios),
        None => values().and_then(|values| mean_interval(&values)),
    };
    match interval {
        Some(Interval { low, high }) => Cell::Interval([low, high].map(|end| format!("{end:?}"))),
        None => Cell::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heading_of_what_is_no_theorem_says_so() {
        let rows = crate::losses::committed("digits");
        let groups = crate::losses::group(&rows).unwrap();
        let table = bounds_table(&groups, bounds::all());
        let sided = sided(&groups, bounds::all());
        let no_theorems = sided.iter().filter(|(bound, side)| side.standing(*bound) != Standing::Theorem);
        let mut found = Vec::new();
        for (bound, side) in no_theorems {
            let end = format!("{} ({})", side.relation(), bound.key());
            found.extend(table.headers().iter().filter(|header| header.ends_with(&end)));
        }
        assert_eq!(
            found,
            [
                "L_sup ≤ (curl_as_published)",
                "L_sup ≤ (nozawa_sato_as_published)",
                "unproved: L_sup ≤ (bao)",
                "form, constants unverified: L_sup ≥ (wang)",
                "loss of the collided negatives ≤ (collision_term_as_published)",
                "as published: any certificate of I(view 1; view 2) ≤ (mutual_information_cap)",
            ]
        );
        let theorem = |header: &&String| header.starts_with("L_sup ≤ (") && !header.contains("as_published");
        let theorems: Vec<_> = table.headers().iter().filter(theorem).cloned().collect();
        let expected = bounds::upper_theorems().map(|bound| format!("L_sup ≤ ({})", bound.key()));
        assert_eq!(theorems, expected.collect::<Vec<_>>());
    }
}
