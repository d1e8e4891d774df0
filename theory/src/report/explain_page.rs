//! Where the slack is, for a report: the largest step of each bound, the waterfalls, and every step as CSV.

use super::explain::{Explanation, explanations, how_to_read, percent, summary, table_of, told};
use super::figure::{self, Fall, Waterfall, waterfalls};
use super::{Cell, Figure, MeanAndDeviation, Section, Table, descriptive, integer};
use crate::bounds::{Standing, Step};
use crate::losses::{Column, Groups};

/// Heading of the section of a report.
pub(super) const TITLE: &str = "Where the slack is";

/// What a report shows.
pub(super) struct Explained {
    pub section: Section,
    pub figure: Figure,
    pub table: Table,
}

/// For a report: the largest step of each bound at each n, the waterfalls at the n whose best theorem is lowest, and
/// every step; `None` where no bound of a row has a value beside L_sup.
pub(super) fn report(groups: &Groups<'_>) -> crate::Result<Option<Explained>> {
    let explanations = explanations(groups, None);
    // The lowest of all stands for its setting.
    let Some(lowest) = explanations
        .iter()
        .filter(|e| e.bound.standing() == Standing::Theorem)
        .min_by(|a, b| a.upper().mean.total_cmp(&b.upper().mean))
    else {
        return Ok(None);
    };
    let shown: Vec<_> = explanations.iter().filter(|e| std::ptr::eq(e.group, lowest.group)).collect();
    let columns = groups.differing_beside_draws();
    let panels: Vec<Waterfall> = shown.iter().map(|explanation| explanation.waterfall(&columns)).collect();
    let of = |format| waterfalls(&panels, format);
    let n = lowest.group.setting().num_draws;
    let figure = Figure {
        name: "explain".into(),
        caption: format!(
            "From L_sup up to each bound at n = {n}, where the best theorem is lowest: what each inequality of its \
             derivation gives away, in nats of L_sup{}.",
            if groups.has_several_seeds() { ", mean over seeds ± standard deviation" } else { "" }
        ),
        svg: String::from_utf8_lossy(&of(figure::Format::Svg)?).into_owned(),
        png: of(figure::Format::Png)?,
    };
    let names = columns.iter().map(|column| column.heading.to_string());
    let fixed =
        ["n = K+1", "bound", "standing", "L_sup ≤", "L_sup", "largest step", "nats of L_sup", "share"];
    let mut largest = Table::new(names.chain(fixed.map(String::from)));
    for explanation in &explanations {
        let setting = explanation.group.setting();
        let mut cells = descriptive(&columns, setting);
        let upper = explanation.upper();
        cells.extend([
            integer(setting.num_draws.get()),
            Cell::text(explanation.bound.key()),
            Cell::text(explanation.bound.standing().name()),
            if explanation.is_vacuous() { Cell::Vacuous(upper) } else { Cell::Estimate(upper) },
            Cell::Estimate(explanation.supervised()),
        ]);
        if let Some((name, cost, share)) = explanation.largest() {
            cells.extend([Cell::Text(name), Cell::number(cost), percent(share)]);
        }
        largest.push(cells);
    }
    let text = format!(
        "{} {} All steps: explain.csv.",
        how_to_read(groups.has_several_seeds()),
        summary(groups).text
    );
    let section = Section { title: TITLE.into(), text, table: largest };
    Ok(Some(Explained { section, figure, table: table_of(groups, &explanations) }))
}

impl Explanation<'_> {
    fn waterfall(&self, columns: &[&Column]) -> Waterfall {
        let fall = |(name, steps, height): (String, &[Step], MeanAndDeviation)| {
            let common = steps.iter().all(|step| COMMON.contains(step));
            Fall { name, height, common }
        };
        let mut falls: Vec<Fall> = self.links().map(fall).collect();
        falls.reverse();
        let setting = self.group.setting();
        let trivial = (setting.num_classes as f64).ln();
        let mut title = format!("{}, n = {}{}", self.bound.name(), setting.num_draws, told(columns, setting));
        if self.bound.standing() != Standing::Theorem {
            title.push_str(&format!(" ({}, no theorem)", self.bound.standing().name()));
        }
        Waterfall { title, base: self.supervised(), falls, top: self.upper(), trivial }
    }
}

/// The steps to the master inequality.
const COMMON: [Step; 4] = [Step::ImageMean, Step::ClassMeans, Step::Gap, Step::ViewsToMeans];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds;

    #[test]
    fn each_line_has_the_standing_of_its_bound() {
        let rows = crate::losses::committed("digits");
        let groups = crate::losses::group(&rows).unwrap();
        let table = report(&groups).unwrap().unwrap().section.table;
        let column = |name: &str| table.headers().iter().position(|header| header == name).unwrap();
        let [bound, standing] = ["bound", "standing"].map(column);
        let mut seen = std::collections::BTreeSet::new();
        for row in table.rows() {
            let found = bounds::find(&row[bound].to_string()).unwrap().standing().name();
            assert_eq!(row[standing], Cell::text(found));
            seen.insert(found);
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["theorem", "unproved"]);
    }
}
