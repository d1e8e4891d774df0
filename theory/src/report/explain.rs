//! Where the slack of each bound is ([`slack`]), aggregated over seeds: tables for programs and for people.

use super::figure::Selection;
use super::{Cell, Document, MeanAndDeviation, Section, Table, descriptive, mean_and_deviation};
use crate::bounds::slack::{self, Slack};
use crate::bounds::{self, Bound, Outcome, Standing, Step};
use crate::losses::{Column, Group, Groups, LossComponents};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// The published upper bounds that are shown beside the best one where none is asked for.
const PUBLISHED: [&str; 4] = ["curl", "nozawa_sato", "ash", "bao"];

/// The chain of one bound on the seeds of one setting.
pub(super) struct Explanation<'a> {
    pub group: &'a Group<'a>,
    pub bound: &'static dyn Bound,
    /// One a seed, all with the same links.
    pub slacks: Vec<Slack>,
}

impl Explanation<'_> {
    fn over_seeds(&self, of: impl Fn(&Slack) -> f64) -> MeanAndDeviation {
        mean_and_deviation(&self.slacks.iter().map(of).collect::<Vec<_>>())
    }

    /// The bound.
    pub fn upper(&self) -> MeanAndDeviation {
        self.over_seeds(|slack| slack.bound)
    }

    /// L_sup.
    pub fn supervised(&self) -> MeanAndDeviation {
        self.over_seeds(|slack| slack.supervised)
    }

    /// Name, kind and nats of L_sup of each link, from L_Info on.
    pub fn links(&self) -> impl Iterator<Item = (String, &[Step], MeanAndDeviation)> {
        let links = self.slacks.first().map_or(&[][..], |slack| &slack.links[..]);
        links.iter().enumerate().map(move |(place, link)| {
            (link.name(), &link.steps[..], self.over_seeds(|slack| slack.links[place].supervised))
        })
    }

    /// The link that costs most, and its share of the slack; `None` where the bound is not above L_sup.
    pub fn largest(&self) -> Option<(String, f64, f64)> {
        let total = self.upper().mean - self.supervised().mean;
        let (name, _, cost) = self.links().max_by(|a, b| a.2.mean.total_cmp(&b.2.mean))?;
        (total > 0.0).then(|| (name, cost.mean, cost.mean / total))
    }

    pub fn is_vacuous(&self) -> bool {
        bounds::is_vacuous(self.upper().mean, self.group.setting().num_classes)
    }

    /// The lines between the bound and L_sup: link, nats of L_Info, error, nats of L_sup, error, share.
    fn lines(&self) -> Vec<[Cell; 6]> {
        let total = self.upper().mean - self.supervised().mean;
        let errors = match (&self.group.rows[..], &self.slacks[..]) {
            ([row], [slack]) => slack::errors(self.bound, row, slack),
            _ => None,
        };
        let line = |(place, (name, _, supervised)): (usize, (String, &[Step], MeanAndDeviation))| {
            let whole = [self.over_seeds(|slack| slack.info_nce), self.upper()];
            let error = |of: fn(&(f64, f64)) -> f64, whole: MeanAndDeviation| {
                let known = |error: f64| if error <= rounding(whole) { 0.0 } else { error };
                errors.as_ref().map_or(Cell::Missing, |errors| Cell::number(known(of(&errors[place]))))
            };
            let info_nce = self.over_seeds(|slack| slack.links[place].info_nce);
            let share = if total > 0.0 { percent(supervised.mean / total) } else { Cell::Missing };
            [
                Cell::Text(name),
                Cell::Estimate(known(info_nce, whole[0])),
                error(|e| e.0, whole[0]),
                Cell::Estimate(known(supervised, whole[1])),
                error(|e| e.1, whole[1]),
                share,
            ]
        };
        self.links().enumerate().map(line).collect()
    }
}

/// How far rounding may move a difference of numbers as large as this one.
fn rounding(whole: MeanAndDeviation) -> f64 {
    4.0 * f64::EPSILON * whole.mean.abs()
}

/// A difference of numbers as large as `whole`: zero where it is less than their rounding.
fn known(difference: MeanAndDeviation, whole: MeanAndDeviation) -> MeanAndDeviation {
    if difference.mean.abs() > rounding(whole) {
        return difference;
    }
    MeanAndDeviation { mean: 0.0, deviation: difference.deviation.map(|_| 0.0) }
}

pub(super) fn percent(share: f64) -> Cell {
    // Tenths of a percent, whose zero has no sign.
    Cell::Text(format!("{:.1} %", (1000.0 * share).round() / 10.0 + 0.0))
}

/// The chains that are asked for; without a selection those of the best theorem and of the published bounds. Bounds
/// without a value are left out.
pub(super) fn explanations<'a>(
    groups: &'a Groups<'_>,
    selection: Option<&Selection>,
) -> Vec<Explanation<'a>> {
    let of_group = |group: &'a Group<'a>| {
        let found = |bound: &&'static dyn Bound| {
            let slacks = slack::of_rows(*bound, &group.rows).ok()?;
            Some(Explanation { group, bound: *bound, slacks })
        };
        chosen(group, selection).iter().filter_map(found).collect::<Vec<_>>()
    };
    let groups: &'a Groups<'a> = groups;
    (**groups).par_iter().flat_map_iter(of_group).collect()
}

fn chosen(group: &Group<'_>, selection: Option<&Selection>) -> Vec<&'static dyn Bound> {
    if let Some(selection) = selection {
        return selection.named().iter().filter_map(|key| bounds::find(key)).collect();
    }
    let published = PUBLISHED.iter().filter_map(|key| bounds::find(key));
    let best = best(&group.rows);
    best.into_iter().chain(published.filter(|b| best.is_none_or(|best| best.key() != b.key()))).collect()
}

/// The theorem with the smallest upper bound of L_sup, on average over rows.
fn best(rows: &[&LossComponents]) -> Option<&'static dyn Bound> {
    let value = |bound: &'static dyn Bound| {
        let values: Option<Vec<f64>> = rows.iter().map(|row| bound.upper_bound(row).value()).collect();
        Some((bound, mean_and_deviation(&values.filter(|values| !values.is_empty())?).mean))
    };
    bounds::upper_theorems().filter_map(value).min_by(|a, b| a.1.total_cmp(&b.1)).map(|(bound, _)| bound)
}

const COLUMNS: [&str; 6] = ["step", "nats of L_Info", "error ≤", "nats of L_sup", "error ≤", "share"];

/// Where the slack is, for programs: one line a step of a bound at a number of draws.
///
/// Over seeds mean ± standard deviation; of a single seed `error ≤` is an upper estimate of the standard error over
/// batches ([`slack::errors`]).
pub fn slack_table(groups: &Groups<'_>, selection: Option<&Selection>) -> Table {
    table_of(groups, &explanations(groups, selection))
}

pub(super) fn table_of(groups: &Groups<'_>, explanations: &[Explanation<'_>]) -> Table {
    let shown = groups.differing_beside_draws();
    let names = shown.iter().map(|column| column.heading.to_string());
    let fixed = [
        "n = K+1",
        "bound",
        "standing",
        "L_sup ≤",
        "L_sup",
        "step",
        "L_Info nats",
        "L_Info error",
        "L_sup nats",
        "L_sup error",
        "share",
        "meaning",
    ];
    let mut table = Table::new(names.chain(fixed.map(String::from)));
    for explanation in explanations {
        let (setting, bound) = (explanation.group.setting(), explanation.bound);
        for (line, (_, steps, _)) in explanation.lines().into_iter().zip(explanation.links()) {
            let mut cells = descriptive(&shown, setting);
            cells.extend([
                super::integer(setting.num_draws.get()),
                Cell::text(bound.key()),
                Cell::text(bound.standing().name()),
                Cell::Estimate(explanation.upper()),
                Cell::Estimate(explanation.supervised()),
            ]);
            cells.extend(line);
            let meanings: Vec<&str> = steps.iter().map(|step| step.meaning()).collect();
            cells.push(Cell::Text(meanings.join("; ")));
            table.push(cells);
        }
    }
    table
}

/// Where the slack is, for people: a table a bound and number of draws, what the steps are, and which one is largest.
///
/// # Errors
/// A selected bound has no value anywhere; none of the rows has L_sup or a bound.
pub fn slack_document(groups: &Groups<'_>, selection: Option<&Selection>) -> crate::Result<Document> {
    let explanations = explanations(groups, selection);
    if explanations.is_empty() {
        let reason = no_explanation(groups, selection);
        return Err(crate::Error::argument(format!("nothing to explain: {reason}")));
    }
    let shown = groups.differing_beside_draws();
    let section = |explanation: &Explanation<'_>| {
        let (setting, bound) = (explanation.group.setting(), explanation.bound);
        let told = told(&shown, setting);
        let several = explanation.slacks.len() > 1;
        let columns: Vec<&str> =
            COLUMNS.into_iter().filter(|name| !several || !name.starts_with("error")).collect();
        let mut table = Table::new(columns);
        let row = |cells: [Cell; 6]| -> Vec<Cell> {
            let [step, info, info_error, supervised, error, share] = cells;
            if several {
                vec![step, info, supervised, share]
            } else {
                vec![step, info, info_error, supervised, error, share]
            }
        };
        let ends = |name: &str, info: MeanAndDeviation, supervised: MeanAndDeviation| {
            let (info, supervised) = (Cell::Estimate(info), Cell::Estimate(supervised));
            row([Cell::text(name), info, Cell::Missing, supervised, Cell::Missing, Cell::Missing])
        };
        table.push(ends(
            "L_Info, and the bound from it",
            explanation.over_seeds(|s| s.info_nce),
            explanation.upper(),
        ));
        explanation.lines().into_iter().for_each(|line| table.push(row(line)));
        let least = explanation.over_seeds(|s| s.least_info_nce);
        table.push(ends("what is left, and L_sup", least, explanation.supervised()));
        let title = format!("n = {}{told}: {}", setting.num_draws, bound.name());
        ("explain", Section { title, text: sentence(explanation), table })
    };
    let mut sections: Vec<_> = explanations.iter().map(section).collect();
    sections.push(("steps", meanings(&explanations)));
    sections.push(("summary", summary(groups)));
    Ok(Document { title: "Where the slack is".into(), sections })
}

/// What tells a setting apart beside n, for a heading: `, t = 0.5`.
pub(super) fn told(shown: &[&Column], setting: &LossComponents) -> String {
    let cells = shown.iter().zip(descriptive(shown, setting));
    cells.map(|(column, cell)| format!(", {} = {cell}", column.heading)).collect()
}

/// Which settings have nothing to explain, in one line; `None`: all have.
pub fn left_out(groups: &Groups<'_>, selection: Option<&Selection>) -> Option<String> {
    let has_one = |group: &&Group<'_>| {
        chosen(group, selection).iter().any(|bound| slack::of_rows(*bound, &group.rows).is_ok())
    };
    let without: Vec<_> = groups.iter().filter(|group| !has_one(group)).collect();
    let first = without.first()?.setting();
    let place = first.origin.place().map_or_else(String::new, |place| format!(", the first at {place}"));
    Some(format!("{} of {} settings have no bound to explain{place}", without.len(), groups.len()))
}

/// Why there is no chain, of the first bound that was asked for.
fn no_explanation(groups: &Groups<'_>, selection: Option<&Selection>) -> String {
    let Some(group) = groups.iter().next() else { return "no rows".into() };
    let reason = |bound: &&'static dyn Bound| {
        let outcome: Result<_, Outcome> = slack::of_rows(*bound, &group.rows);
        outcome.err().map(|outcome| format!("{}: {}", bound.key(), outcome.reason()))
    };
    let n = group.setting().num_draws;
    chosen(group, selection)
        .iter()
        .find_map(reason)
        .map_or_else(|| "no bound has a value".into(), |reason| format!("at n = {n}, {reason}"))
}

/// What a bound says, and the step that a better theorem would have to mend.
fn sentence(explanation: &Explanation<'_>) -> String {
    let (upper, supervised) = (explanation.upper(), explanation.supervised());
    let vacuous = if explanation.is_vacuous() {
        format!(
            ", above ln C = {:.3}: it says nothing",
            (explanation.group.setting().num_classes as f64).ln()
        )
    } else {
        String::new()
    };
    let (upper_cell, supervised_cell) = (Cell::Estimate(upper), Cell::Estimate(supervised));
    let standing = match explanation.bound.standing() {
        Standing::Theorem => String::new(),
        standing => format!(" ({})", standing.name()),
    };
    let bound = format!("L_sup ≤ {upper_cell}{standing}{vacuous}; measured {supervised_cell}.");
    match explanation.largest() {
        Some((name, cost, share)) => format!(
            "{bound} Largest step, which a better theorem would have to mend: \"{name}\", {} of {} nats ({:.0} %).",
            Cell::number(cost),
            Cell::number(upper.mean - supervised.mean),
            100.0 * share
        ),
        None => format!("{bound} It is not above L_sup here: there is no slack to explain."),
    }
}

/// The steps that occur, each in a line.
fn meanings(explanations: &[Explanation<'_>]) -> Section {
    let steps = explanations.iter().flat_map(|e| e.slacks.first()).flat_map(|slack| &slack.links);
    let steps: std::collections::BTreeSet<Step> = steps.flat_map(|link| link.steps.iter().copied()).collect();
    let several_seeds = explanations.iter().any(|e| e.group.rows.len() > 1);
    let mut table = Table::new(["step", "what is given away"]);
    steps.iter().for_each(|step| table.push([step.name(), step.meaning()].map(Cell::text).to_vec()));
    Section { title: "The steps".into(), text: how_to_read(several_seeds), table }
}

/// What the columns are; `several_seeds`: whether numbers are means.
pub(super) fn how_to_read(several_seeds: bool) -> String {
    let seeds = if several_seeds { " ±: standard deviation over seeds." } else { "" };
    format!(
        "Each line is one inequality between L_Info and the bound: how many nats of L_Info it gives away, and by how much \
         the bound of L_sup would fall if it and those above it were equalities. These falls add up to the slack. A negative \
         number is a deviation of finite samples, or a step that is no inequality where it says so.{seeds} Error: an upper \
         estimate of the standard error over batches, of a single seed; columns share their batches, and how far their errors \
         cancel is not stored."
    )
}

/// Which step is the largest, counted over every theorem of the registry and every setting.
pub(super) fn summary(groups: &Groups<'_>) -> Section {
    let theorems: Vec<&str> = bounds::upper_theorems().map(Bound::key).collect();
    let all =
        Selection::of(&theorems).map(|theorems| explanations(groups, Some(&theorems))).unwrap_or_default();
    let mut table = Table::new(["largest step", "theorems below ln C", "vacuous theorems"]);
    let mut counts = BTreeMap::<String, [i64; 2]>::new();
    let (mut told, mut best) = (0, None::<(String, i64)>);
    for explanation in &all {
        let vacuous = explanation.is_vacuous();
        told += i64::from(!vacuous);
        if let Some((name, ..)) = explanation.largest() {
            counts.entry(name).or_default()[usize::from(vacuous)] += 1;
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    for (name, [valid, vacuous]) in counts {
        if best.is_none() && valid > 0 {
            best = Some((name.clone(), valid));
        }
        table.push(vec![Cell::Text(name), Cell::Integer(valid), Cell::Integer(vacuous)]);
    }
    let text = match best {
        Some((name, count)) => format!(
            "Of {} values of theorems, {told} lie below ln C. Where one does, the largest step is most often \"{name}\" \
             ({count} of {told}).",
            all.len()
        ),
        None => format!("None of {} values of theorems lies below ln C with slack to explain.", all.len()),
    };
    Section { title: "Over all theorems".into(), text, table }
}
