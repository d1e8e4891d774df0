//! Tables of every bound, aggregated over seeds: one line a measurement for programs, one line a bound for people.

use super::aggregate::{Interval, mean_interval, ratio_interval};
use super::{Cell, Group, Table, description, group, mean_and_deviation, per_group, statistic};
use crate::bounds::{self, Bound, Outcome, Ratio, Standing};
use crate::losses::{LossComponents, Quantity};

/// What one column of a bound says.
#[derive(Clone, Copy)]
enum Side {
    InfoNce,
    Supervised,
    SupervisedBelow,
    Other,
}

/// The sides that a bound has for at least one row; a bound that never applies is shown with its upper bound's reason.
fn sides(bound: &dyn Bound, rows: &[LossComponents]) -> Vec<Side> {
    let has = |side: Side| rows.iter().any(|row| evaluate(bound, side, row).value().is_some());
    let mut sides = Vec::new();
    if !bound.lower_needs().is_empty() && bound.standing() == Standing::Theorem {
        sides.push(Side::InfoNce);
    }
    if !bound.upper_needs().is_empty() {
        sides.push(Side::Supervised);
    }
    if has(Side::SupervisedBelow) {
        sides.push(Side::SupervisedBelow);
    }
    if rows.first().is_some_and(|row| bound.other(row).is_some()) {
        sides.push(Side::Other);
    }
    sides
}

fn evaluate(bound: &dyn Bound, side: Side, row: &LossComponents) -> Outcome {
    match side {
        Side::InfoNce => bound.lower_bound(row),
        Side::Supervised => bound.upper_bound(row),
        Side::SupervisedBelow => bound.supervised_lower_bound(row),
        Side::Other => bound.other(row).map_or_else(|| Outcome::NotApplicable(String::new()), |s| s.outcome),
    }
}

/// The relation of a side, as in `L_sup ≤`.
fn relation(bound: &dyn Bound, side: Side, row: &LossComponents) -> &'static str {
    match side {
        Side::InfoNce => "L_Info ≥",
        Side::Supervised => "L_sup ≤",
        Side::SupervisedBelow => "L_sup ≥",
        Side::Other => bound.other(row).map_or("", |s| s.what),
    }
}

fn sided(rows: &[LossComponents], wanted: impl Fn(Side) -> bool) -> Vec<(&'static dyn Bound, Side)> {
    let of_bound = |&bound: &&'static dyn Bound| {
        let sides = sides(bound, rows).into_iter().filter(|&side| wanted(side));
        sides.map(|side| (bound, side)).collect::<Vec<_>>()
    };
    bounds::all().iter().flat_map(of_bound).collect()
}

/// Every bound per number of draws, beside what it bounds: mean ± standard deviation over seeds, and, where there are
/// two seeds or more, a 95 % interval for each upper bound of L_sup (Student's t; Fieller's for a quotient).
pub fn bounds_table(rows: &[LossComponents]) -> Table {
    let lower = sided(rows, |side| matches!(side, Side::InfoNce));
    let upper = sided(rows, |side| matches!(side, Side::Supervised));
    let others = sided(rows, |side| matches!(side, Side::SupervisedBelow | Side::Other));
    let name = |&(bound, side): &(&dyn Bound, Side)| {
        let relation = relation(bound, side, &rows[0]);
        match bound.standing() {
            // The key of what is computed as published says so itself.
            Standing::Theorem | Standing::AsPublished(_) => format!("{relation} ({})", bound.key()),
            standing => format!("{}: {relation} ({})", standing.name(), bound.key()),
        }
    };
    let several = group(rows).iter().any(|g| g.rows.len() > 1);
    let mut headers = vec!["L_Info".to_string()];
    headers.extend(lower.iter().map(name));
    headers.push("L_sup".to_string());
    headers.extend(upper.iter().map(name));
    headers.extend(others.iter().map(name));
    if several {
        headers.extend(upper.iter().map(|(bound, _)| format!("interval ({})", bound.key())));
    }
    per_group(rows, &headers, |group| {
        let cell = |&(bound, side): &(&dyn Bound, Side)| bound_cell(group, bound, side);
        let mut cells = vec![statistic(group, |row| row.get(Quantity::InfoNce))];
        cells.extend(lower.iter().map(cell));
        cells.push(statistic(group, |row| row.get(Quantity::FullSupLoss)));
        cells.extend(upper.iter().map(cell));
        cells.extend(others.iter().map(cell));
        if several {
            cells.extend(upper.iter().map(|(bound, _)| interval_cell(group, *bound)));
        }
        cells
    })
}

/// The same, for people: one line a bound, one column a number of draws, with standing and reasons at the end.
pub fn bounds_by_draws(rows: &[LossComponents]) -> Table {
    let groups = group(rows);
    let mut describe = description(&groups);
    // K of the training loss moves with n in a sweep over batch sizes: it tells no lines apart then.
    if let Some(place) = describe.iter().position(|(name, _)| *name == "train K") {
        let others: Vec<_> =
            describe.iter().enumerate().filter(|(i, _)| *i != place).map(|(_, d)| d.1).collect();
        let key = |g: &Group<'_>| {
            let cells: Vec<Cell> = others.iter().map(|of| of(g.rows[0])).collect();
            (cells, g.rows[0].num_draws)
        };
        if (1..groups.len()).all(|i| groups[..i].iter().all(|g| key(g) != key(&groups[i]))) {
            describe.remove(place);
        }
    }
    let describe = describe;
    let draws: Vec<u64> = {
        let mut draws: Vec<u64> = groups.iter().map(|g| g.rows[0].num_draws.get()).collect();
        draws.sort_unstable();
        draws.dedup();
        draws
    };
    let mut headers: Vec<String> = describe.iter().map(|(name, _)| (*name).to_string()).collect();
    headers.extend(["quantity", "bound"].map(String::from));
    headers.extend(draws.iter().map(|n| format!("n = {n}")));
    headers.extend(["standing", "where there is no value"].map(String::from));
    let mut table = Table::new(headers);
    // One block per configuration, whatever its numbers of draws.
    let mut blocks: Vec<(Vec<Cell>, Vec<&Group<'_>>)> = Vec::new();
    for group in &groups {
        let key: Vec<Cell> = describe.iter().map(|(_, of)| of(group.rows[0])).collect();
        match blocks.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(group),
            None => blocks.push((key, vec![group])),
        }
    }
    for (key, members) in &blocks {
        let mut line = |quantity: &str, bound: &str, cells: &dyn Fn(&Group<'_>) -> Cell, standing: &str| {
            let mut reason = String::new();
            let by_draws = draws.iter().map(|&n| {
                match members.iter().find(|g| g.rows[0].num_draws.get() == n).map(|g| cells(g)) {
                    Some(Cell::Note(why)) => {
                        let (short, long) = why.split_once(": ").unwrap_or((&why, ""));
                        if reason.is_empty() {
                            reason = long.to_string();
                        }
                        Cell::Text(short.to_string())
                    }
                    Some(cell) => cell,
                    None => Cell::Missing,
                }
            });
            let mut row = key.clone();
            row.extend([Cell::text(quantity), Cell::text(bound)]);
            row.extend(by_draws.collect::<Vec<_>>());
            row.extend([Cell::text(standing), Cell::text(&reason)]);
            table.push(row);
        };
        let measured = |measure: Quantity| move |g: &Group<'_>| statistic(g, |row| row.get(measure));
        for (quantity, measure) in [("L_Info", Quantity::InfoNce), ("L_sup", Quantity::FullSupLoss)] {
            let wanted = |side: Side| matches!(side, Side::InfoNce) == (measure == Quantity::InfoNce);
            line(quantity, "measured", &measured(measure), "");
            for (bound, side) in sided(rows, wanted) {
                let relation = match bound.standing() {
                    Standing::FormOnly(_) => format!("form only: {}", relation(bound, side, &rows[0])),
                    Standing::Unproved(_) => format!("unproved: {}", relation(bound, side, &rows[0])),
                    _ => relation(bound, side, &rows[0]).to_string(),
                };
                line(&relation, bound.key(), &|g| bound_cell(g, bound, side), bound.standing().name());
            }
        }
    }
    table
}

fn bound_cell(group: &Group<'_>, bound: &dyn Bound, side: Side) -> Cell {
    let outcomes: Vec<_> = group.rows.iter().map(|row| evaluate(bound, side, row)).collect();
    let values: Option<Vec<f64>> = outcomes.iter().map(Outcome::value).collect();
    match values {
        Some(values) => {
            let value = mean_and_deviation(&values);
            let upper = matches!(side, Side::Supervised);
            let vacuous = upper && bounds::is_vacuous(value.mean, group.rows[0].num_classes);
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
    let ratios: Option<Vec<Ratio>> = group.rows.iter().map(|row| bound.ratio(row)?.ok()).collect();
    let values: Option<Vec<f64>> = group.rows.iter().map(|row| bound.upper_bound(row).value()).collect();
    let interval = match (ratios, values) {
        (Some(ratios), _) => ratio_interval(&ratios),
        (None, Some(values)) => mean_interval(&values),
        (None, None) => None,
    };
    match interval {
        Some(Interval { low, high }) => Cell::List(vec![format!("{low:?}"), format!("{high:?}")]),
        None => Cell::Missing,
    }
}
