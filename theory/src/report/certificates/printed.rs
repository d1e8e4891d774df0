//! What is certified as tables and sentences.

use super::super::{Cell, Format, MeanAndDeviation, Table, mean_and_deviation};
use super::{Certified, Line, SAME, SUPERVISED, claim};
use crate::bounds::Outcome;
use crate::certificates::Evidence;
use crate::confidence::Kind;
use std::collections::{BTreeSet, HashMap};

/// Headings of what holds with a confidence, by kind.
const CONFIDENT: [&str; 2] = ["normal", "any law"];

impl Certified {
    /// One line for each claim and setting, for a screen: the run with the least bound, and over its seeds the mean bound
    /// at each n, or the least and the largest where runs have several n.
    pub fn overview(&self) -> Table {
        let claims = self.claims();
        let has_settings = self.lines.iter().any(|line| line.setting != self.lines[0].setting);
        let has_runs = self.has_several_runs();
        let draws = self.draws_of_runs();
        let mut headers: Vec<String> = Vec::new();
        headers.extend(has_settings.then(|| "setting".into()));
        headers.push("upper bound of".into());
        headers.push("at most".into());
        headers.extend((has_runs && draws.is_empty()).then(|| "of all runs".into()));
        headers.extend(self.confidence.iter().flat_map(|_| CONFIDENT.map(String::from)));
        headers.extend(["chance", "measured", "n", "t", "by"].map(String::from));
        headers.extend(["best run", "below chance"].iter().filter(|_| has_runs).map(ToString::to_string));
        headers.extend(draws.iter().map(|n| format!("n = {n}")));
        let mut table = Table::new(headers);
        for lines in claims {
            let value = |line: &&&Line| line.bound.clone().unwrap_or(f64::INFINITY);
            let Some(best) = lines.iter().min_by(|a, b| value(a).total_cmp(&value(b))) else { continue };
            let mut cells = Vec::new();
            cells.extend(has_settings.then(|| Cell::text(&best.setting)));
            cells.push(Cell::Text(best.what()));
            cells.push(best.bound_cell());
            cells.extend((has_runs && draws.is_empty()).then(|| range(&lines)));
            if self.confidence.is_some() {
                best.among_runs.iter().for_each(|(_, outcome)| cells.push(best.confident_cell(outcome)));
            }
            let place = best.from.or(best.temperature);
            cells.extend([Cell::number(best.chance), number(best.measured), integer(best.draws)]);
            cells.extend([place.map_or(Cell::Missing, Cell::Given), best.by()]);
            if has_runs {
                let informative = lines.iter().filter(|line| !line.is_vacuous()).count();
                cells
                    .extend([Cell::text(&best.run), Cell::Text(format!("{informative} of {}", lines.len()))]);
            }
            let of_draws = |n: u64| mean(lines.iter().filter(|line| line.run_draws == Some(n)));
            cells.extend(draws.iter().map(|&n| of_draws(n)));
            table.push(cells);
        }
        table
    }

    /// The n of the runs, where each has one and they differ.
    fn draws_of_runs(&self) -> BTreeSet<u64> {
        let draws: Option<BTreeSet<u64>> = self.lines.iter().map(|line| line.run_draws).collect();
        draws.filter(|draws| self.has_several_runs() && draws.len() > 1).unwrap_or_default()
    }

    /// Whether a setting has several runs.
    fn has_several_runs(&self) -> bool {
        self.claims().iter().any(|lines| lines.len() > 1)
    }

    /// The lines of each setting and claim, in the order of the runs.
    fn claims(&self) -> Vec<Vec<&Line>> {
        let mut places = HashMap::new();
        let mut claims: Vec<Vec<&Line>> = Vec::new();
        for line in &self.lines {
            let temperature = line.temperature.filter(|_| line.claim == SUPERVISED).map(f64::to_bits);
            let place = *places.entry((&line.setting, &line.claim, temperature)).or_insert(claims.len());
            if place == claims.len() {
                claims.push(Vec::new());
            }
            claims[place].push(line);
        }
        claims
    }

    /// One line a claim: short for people, with everything that is known for CSV and JSON. `chance` is what a classifier
    /// reaches that ignores its input: ln C of L_sup, 1 − max π of the error.
    pub fn table(&self, format: Format) -> Table {
        let wide = matches!(format, Format::Csv | Format::Json);
        let headers: &[&str] = match wide {
            true => &[
                "run",
                "claim",
                "temperature",
                "from_temperature",
                "num_draws",
                "measured",
                "upper_bound",
                "certificate",
                "standing",
                "conditions",
                "chance",
                "vacuous",
                "reason",
                "considered",
                "chosen_on",
            ],
            // Of a claim with confidence two columns more, and what is measured one less: 100 columns.
            false if self.confidence.is_some() => &["run", "claim", "t", "n", "at most", "by", "chance"],
            false => &["run", "claim", "t", "n", "measured", "at most", "by", "chance"],
        };
        let mut headers: Vec<String> = headers.iter().map(|&header| header.into()).collect();
        match self.confidence {
            Some(level) if wide => headers.extend(Kind::ALL.iter().flat_map(|kind| {
                let kind = kind.name().replace('-', "_");
                ["upper_bound", "certificate", "reason"].map(|what| format!("{what}_{level}_{kind}"))
            })),
            Some(_) => headers.extend(CONFIDENT.map(String::from)),
            None => {}
        }
        let mut table = Table::new(headers);
        for line in &self.lines {
            let mut cells = vec![Cell::text(&line.run), Cell::text(&line.claim)];
            let given = |value: Option<f64>| value.map_or(Cell::Missing, Cell::Given);
            if wide {
                let (standing, conditions) = line.says();
                let (value, reason) = match &line.bound {
                    Ok(value) => (Cell::number(*value), Cell::Missing),
                    Err(reason) => (Cell::Missing, Cell::text(reason)),
                };
                cells.extend([given(line.temperature), given(line.from), integer(line.draws)]);
                cells.extend([number(line.measured), value, Cell::text(line.key)]);
                cells.extend([Cell::text(standing), Cell::text(conditions), Cell::number(line.chance)]);
                cells.extend([Cell::text(if line.is_vacuous() { "yes" } else { "no" }), reason]);
                cells.extend([Cell::Integer(line.considered as i64), Cell::text(line.chosen_on)]);
            } else {
                let temperature = match (line.from, line.temperature) {
                    (Some(from), Some(to)) => Cell::Text(format!("{from}→{to}")),
                    (_, to) => given(to),
                };
                cells.extend([temperature, integer(line.draws)]);
                if self.confidence.is_none() {
                    cells.push(number(line.measured));
                }
                cells.extend([line.bound_cell(), line.by(), Cell::number(line.chance)]);
            }
            for (key, outcome) in line.confident.iter().filter(|_| self.confidence.is_some()) {
                match wide {
                    true => {
                        cells.extend([number(outcome.value()), Cell::text(key), Cell::text(outcome.reason())])
                    }
                    false => cells.push(line.confident_cell(outcome)),
                }
            }
            table.push(cells);
        }
        table
    }

    /// In a few sentences: whether the error is certified below chance anywhere, and what was chosen on what.
    pub fn notes(&self) -> Vec<String> {
        [self.findings(), self.caveats(false)].concat()
    }

    /// The notes below [`overview`](Self::overview).
    pub fn overview_notes(&self) -> Vec<String> {
        let mut notes = vec![
            "error: of the mean classifier; chance: ln C of L_sup, and the error of the best constant answer"
                .to_string(),
        ];
        if self.has_several_runs() {
            let of_runs = match self.draws_of_runs().is_empty() {
                true => "of all runs: least and largest bound",
                false => "n = …: mean ± standard deviation over the runs at this n",
            };
            notes.push(format!(
                "'at most' and what is beside it are of the run with the least bound; {of_runs}; --all prints a line for each run"
            ));
        }
        notes.extend(self.caveats(true));
        notes
    }

    /// Whether the error is certified below chance anywhere: what [`overview`](Self::overview) shows.
    fn findings(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for evidence in [Evidence::Contrastive, Evidence::Supervised, Evidence::Moments] {
            let claim = claim(evidence);
            let lines: Vec<_> = self.lines.iter().filter(|line| line.claim == claim).collect();
            let value = |line: &&&Line| line.bound.clone().unwrap_or(f64::INFINITY);
            let Some(least) = lines.iter().min_by(|a, b| value(a).total_cmp(&value(b))) else { continue };
            let Ok(bound) = &least.bound else { continue };
            let proved = lines.iter().filter(|line| !line.is_vacuous()).count();
            let place = match (least.draws, least.temperature) {
                (Some(n), Some(t)) => format!("n = {n}, t = {t}"),
                _ => String::new(),
            };
            let at = format!(
                "{bound:.3} by {} at {place}, run '{}', chance {:.3}",
                least.key, least.run, least.chance
            );
            let from = evidence.name();
            notes.push(match proved {
                0 => format!("from {from}: nothing better than chance; the least bound of the error is {at}"),
                some => {
                    format!("from {from}: {some} of {} runs below chance; the least is {at}", lines.len())
                }
            });
        }
        notes
    }

    /// In a few sentences: what the numbers mean, and what was chosen on what; `best_run`: the run was chosen too.
    fn caveats(&self, best_run: bool) -> Vec<String> {
        let mut notes = Vec::new();
        let best_run = best_run && self.has_several_runs();
        if let Some(level) = self.confidence {
            notes.push(format!(
                "normal, any law: what holds with confidence {level} for all images, of which the evaluated ones are taken to \
                 be an independent sample, with encoder and class means given (claims from L_Info take these for the means of \
                 that law); 'normal' by a normal approximation, 'any law' without an assumption on the images; {}",
                match best_run {
                    true => "each accounts for all that were compared, in all runs of its line",
                    false => {
                        "each is the least of all that were compared within its run, and holds for that run alone"
                    }
                }
            ));
        }
        let chosen = |line: &Line| line.considered > 1 && line.chosen_on == SAME;
        if best_run || self.lines.iter().any(chosen) {
            let run = if best_run { "run, " } else { "" };
            let corrected = if self.confidence.is_some() { "; the values with a confidence are" } else { "" };
            notes.push(format!(
                "{run}n, t and certificate were chosen on the samples that are reported, and 'at most' is not corrected for \
                 this choice{corrected}"
            ));
        }
        notes
    }
}

impl Line {
    /// What is bounded, in words.
    fn what(&self) -> String {
        match self.temperature.filter(|_| self.claim == SUPERVISED) {
            Some(t) => format!("L_sup at t = {t}"),
            None => self.claim.replace("error, ", "error, from "),
        }
    }

    fn bound_cell(&self) -> Cell {
        match &self.bound {
            Ok(mean) => marked(MeanAndDeviation { mean: *mean, deviation: None }, self.chance),
            Err(_) => Cell::Note("n/a".into()),
        }
    }

    /// What gives the bound, or why there is none.
    fn by(&self) -> Cell {
        Cell::text(self.bound.as_ref().map_or_else(|reason| reason.as_str(), |_| self.key))
    }

    /// A claim for all images, for people.
    fn confident_cell(&self, outcome: &Outcome) -> Cell {
        match outcome {
            Outcome::Value(mean) => marked(MeanAndDeviation { mean: *mean, deviation: None }, self.chance),
            _ => Cell::Note("n/a".into()),
        }
    }
}

fn number(value: Option<f64>) -> Cell {
    value.map_or(Cell::Missing, Cell::number)
}

fn integer(value: Option<u64>) -> Cell {
    value.map_or(Cell::Missing, |n| Cell::Integer(n as i64))
}

/// An upper bound, with a mark where it is not below chance.
fn marked(bound: MeanAndDeviation, chance: f64) -> Cell {
    if bound.mean < chance { Cell::Estimate(bound) } else { Cell::Vacuous(bound) }
}

/// The mean bound of these runs.
fn mean<'a>(lines: impl Iterator<Item = &'a &'a Line>) -> Cell {
    let lines: Vec<&Line> = lines.copied().collect();
    let Some(first) = lines.first() else { return Cell::Missing };
    let bounds: Option<Vec<f64>> = lines.iter().map(|line| line.bound.clone().ok()).collect();
    bounds.map_or(Cell::Note("n/a".into()), |bounds| marked(mean_and_deviation(&bounds), first.chance))
}

/// The least and the largest bound of these runs.
fn range(lines: &[&Line]) -> Cell {
    let bounds: Option<Vec<f64>> = lines.iter().map(|line| line.bound.clone().ok()).collect();
    let Some(bounds) = bounds else { return Cell::Note("n/a".into()) };
    let [least, largest] =
        [f64::min, f64::max].map(|of| bounds.iter().copied().reduce(of).unwrap_or(f64::NAN));
    Cell::Text(format!("{} to {}", Cell::number(least), Cell::number(largest)))
}
