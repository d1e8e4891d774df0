//! What the rows of a run certify: the least valid upper bound of L_sup at each temperature, and of the error.
//!
//! Rows that differ in n, t and the number of batches alone are one run. A certificate of the error may come from any of
//! them: the classifier has no temperature. Rows of the tuning part choose n, t and bound or certificate for the rows of the
//! validation part, where a run has both; otherwise the choice is made on the rows that are reported, a selection that
//! no certificate accounts for.
//!
//! With a confidence every claim also stands for all images ([`crate::confidence`]), of both kinds. What may fail is
//! divided by the number of statements that were compared on the reported rows: so the choice is paid for.

mod printed;

use super::setting_names;
use crate::bounds::{self, Bound, Outcome};
use crate::certificates::{self, Certificate, Evidence, chance_error, least_upper_bound, power_mean};
use crate::confidence::{Extreme, Kind, worst};
use crate::error::{Error, Result};
use crate::losses::{COLUMNS, LossComponents, Quantity, Value, differing_between_runs};
use std::collections::HashMap;

/// Columns in which rows of one run may differ.
const WITHIN_RUN: [&str; 3] = ["num_draws", "temperature", "num_batches"];
/// Columns in which the tuning and the validation part of one run may differ besides.
const BETWEEN_PARTS: [&str; 4] = ["run_id", "settings_id", "class_counts", "evaluated_split"];

/// What one run certifies, line by line.
#[derive(Debug, Clone)]
pub struct Certified {
    lines: Vec<Line>,
    confidence: Option<f64>,
}

#[derive(Debug, Clone)]
struct Line {
    run: String,
    /// In what the run differs from others, beside n and seed.
    setting: String,
    /// The n of all its rows, if it is one.
    run_draws: Option<u64>,
    /// What is bounded: `L_sup`, or `error` and from what.
    claim: String,
    temperature: Option<f64>,
    /// The lower temperature whose L_sup was bounded, where it is another.
    from: Option<f64>,
    draws: Option<u64>,
    measured: Option<f64>,
    bound: std::result::Result<f64, String>,
    key: &'static str,
    /// What a classifier reaches that ignores its input.
    chance: f64,
    considered: usize,
    chosen_on: &'static str,
    /// The bound for all images with the confidence that was asked for, by kind, and what gives it.
    confident: [(&'static str, Outcome); 2],
    /// The same where the run is chosen among all of its setting: what may fail is shared by these too.
    among_runs: [(&'static str, Outcome); 2],
}

/// The rows of a run.
struct Run<'a> {
    rows: Vec<&'a LossComponents>,
    /// The rows that choose, where they are others.
    tuning: Vec<&'a LossComponents>,
}

/// What these rows certify, run by run in the order in which they were given; with a confidence, such as 0.95, also for
/// all images.
///
/// # Errors
/// A confidence outside (½, 1).
///
/// # Examples
/// ```
/// use theory::report::{Format, certify};
/// let header = "num_classes,class_counts,num_draws,temperature,sampling,info_nce,gap\n";
/// let text = format!("{header}2,50;50,2,0.1,with_replacement,0.4,0\n");
/// let rows = theory::losses::read_from(&text, "losses.csv")?;
/// let table = certify(&rows.iter().collect::<Vec<_>>(), None)?.table(Format::Table).to_text(Format::Table);
/// assert!(table.contains("error, L_Info") && table.contains("0.154"));
/// # Ok::<(), theory::Error>(())
/// ```
pub fn certify(rows: &[&LossComponents], confidence: Option<f64>) -> Result<Certified> {
    if let Some(level) = confidence.filter(|level| !(*level > 0.5 && *level < 1.0)) {
        return Err(Error::argument(format!("a confidence of {level} is not between 0.5 and 1")));
    }
    let runs = runs(rows);
    let settings = settings(&runs);
    let mut counts: HashMap<&str, usize> = HashMap::new();
    settings.iter().for_each(|setting| *counts.entry(setting).or_default() += 1);
    let lines = runs.iter().zip(&settings).flat_map(|(run, setting)| {
        let alike = counts[setting.as_str()];
        let mut lines = run.lines(confidence);
        let shared = confidence.filter(|_| alike > 1).map(|level| 1.0 - (1.0 - level) / alike as f64);
        let among = shared.map_or_else(|| lines.clone(), |level| run.lines(Some(level)));
        for (line, among) in lines.iter_mut().zip(among) {
            line.among_runs = among.confident;
            line.setting.clone_from(setting);
        }
        lines
    });
    Ok(Certified { lines: lines.collect(), confidence })
}

/// What tells each run from others, beside n and seed.
fn settings(runs: &[Run<'_>]) -> Vec<String> {
    let rows: Vec<_> = runs.iter().map(|run| run.rows[0]).collect();
    let has_one_temperature =
        |run: &Run<'_>| run.rows.iter().all(|row| row.temperature == run.rows[0].temperature);
    let mut columns = differing_between_runs(&rows);
    columns.retain(|column| column.name != "temperature" || runs.iter().all(has_one_temperature));
    setting_names(&columns, &rows)
}

/// Where the choice was made.
const SAME: &str = "the same samples";
const TUNING: &str = "the tuning part";

/// The claim that no error is bounded, but the loss.
const SUPERVISED: &str = "L_sup";

fn claim(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Contrastive => "error, L_Info",
        Evidence::Supervised => "error, L_sup",
        Evidence::Moments => "error, moments",
    }
}

impl Line {
    fn is_vacuous(&self) -> bool {
        !self.bound.as_ref().is_ok_and(|bound| *bound < self.chance)
    }

    /// Standing and conditions of the bound or certificate.
    fn says(&self) -> (&'static str, &'static str) {
        let of_certificate = || certificates::find(self.key).map(|c| (c.standing().name(), c.conditions()));
        let of_bound = || bounds::find(self.key).map(|b| (b.standing().name(), b.conditions()));
        of_certificate().or_else(of_bound).unwrap_or_default()
    }
}

/// The cells of a row in the columns that tell runs apart, beside these.
fn key<'a>(row: &'a LossComponents, but: &[&str]) -> Vec<Value<'a>> {
    let tells = |name: &str| name == "run_id" || name == "seed";
    let columns = COLUMNS.iter().filter(|c| c.role.identifies() || tells(c.name));
    columns.filter(|c| !but.contains(&c.name)).map(|c| (c.value)(row)).collect()
}

/// Rows by run; the rows of a tuning part stand with those of the one validation part of the same training.
fn runs<'a>(rows: &[&'a LossComponents]) -> Vec<Run<'a>> {
    let mut places = HashMap::new();
    let mut runs: Vec<Run<'a>> = Vec::new();
    for &row in rows {
        let place = *places.entry(key(row, &WITHIN_RUN)).or_insert(runs.len());
        if place == runs.len() {
            runs.push(Run { rows: Vec::new(), tuning: Vec::new() });
        }
        runs[place].rows.push(row);
    }
    let is_of = |run: &Run<'_>, part: &str| run.rows[0].evaluated_split.starts_with(part);
    let training = |run: &Run<'a>| key(run.rows[0], &[&WITHIN_RUN[..], &BETWEEN_PARTS[..]].concat());
    let mut parts: HashMap<_, [Vec<usize>; 2]> = HashMap::new();
    for (place, run) in runs.iter().enumerate() {
        for (which, part) in ["tuning", "validation"].into_iter().enumerate() {
            if is_of(run, part) {
                parts.entry(training(run)).or_default()[which].push(place);
            }
        }
    }
    let pairs: Vec<_> = parts
        .into_values()
        .filter_map(|[tuning, validation]| match (&tuning[..], &validation[..]) {
            (&[tuning], &[validation]) => Some((tuning, validation)),
            _ => None,
        })
        .collect();
    for &(tuning, validation) in &pairs {
        runs[validation].tuning = std::mem::take(&mut runs[tuning].rows);
    }
    runs.retain(|run| !run.rows.is_empty());
    runs
}

/// What a bound of L_sup at the row's temperature says of L_sup at this one, which is not below it.
fn carried(bound: &dyn Bound, row: &LossComponents, to: f64) -> Outcome {
    match bound.upper_bound(row) {
        Outcome::Value(value) => power_mean::supervised_at(value, row.temperature, to, row.num_classes)
            .map_or_else(Outcome::from, Outcome::Value),
        other => other,
    }
}

/// What may be claimed of all images.
#[derive(Clone, Copy)]
enum Candidate<'c> {
    /// An upper bound of L_sup at this temperature, that of the row or above.
    Upper(&'c dyn Bound, f64),
    /// An upper bound of the error.
    Error(&'c dyn Certificate),
}

impl Candidate<'_> {
    /// How many statements it may turn out to be: which bound of L_sup a certificate starts from, the row decides.
    fn statements(self) -> usize {
        match self {
            Self::Error(certificate) if certificate.starts_from_bound() => bounds::upper_theorems().count(),
            _ => 1,
        }
    }

    fn worst(self, row: &LossComponents, level: f64, kind: Kind) -> Outcome {
        let needs = match self {
            Self::Upper(bound, _) => bound.upper_needs().to_vec(),
            Self::Error(certificate) => certificate.all_needs(row),
        };
        worst(row, &needs, level, kind, Extreme::Largest, &|row| match self {
            Self::Upper(bound, to) => carried(bound, row, to),
            Self::Error(certificate) => certificate.error_bound(row),
        })
    }
}

impl<'a> Run<'a> {
    fn name(&self) -> String {
        let run = &self.rows[0].run;
        match (run.run_id.is_empty(), run.seed) {
            (false, _) => run.run_id.clone(),
            (true, Some(seed)) => format!("seed {seed}"),
            (true, None) => String::new(),
        }
    }

    fn lines(&self, confidence: Option<f64>) -> Vec<Line> {
        let mut lines = self.supervised(confidence);
        let evidences = [Evidence::Contrastive, Evidence::Supervised, Evidence::Moments];
        lines.extend(evidences.into_iter().map(|evidence| self.error(evidence, confidence)));
        lines
    }

    /// The least claim for all images among these candidates on these rows, by kind: what may fail is shared by all that
    /// are compared.
    fn confident<'c>(
        &self,
        confidence: Option<f64>,
        rows: &[&LossComponents],
        candidates: &[(&'static str, Candidate<'c>)],
    ) -> [(&'static str, Outcome); 2] {
        Kind::ALL.map(|kind| {
            let nothing = |reason: &str| ("", Outcome::NotApplicable(reason.into()));
            let Some(level) = confidence else { return nothing("") };
            let statements: usize = candidates.iter().map(|(_, candidate)| candidate.statements()).sum();
            let level = 1.0 - (1.0 - level) / (rows.len() * statements).max(1) as f64;
            let of = |&row: &&LossComponents, (key, candidate): &(&'static str, Candidate<'c>)| {
                (*key, candidate.worst(row, level, kind))
            };
            let all: Vec<_> =
                rows.iter().flat_map(|row| candidates.iter().map(move |c| of(row, c))).collect();
            let value = |(_, outcome): &&(&str, Outcome)| outcome.value().unwrap_or(f64::INFINITY);
            let least = all.iter().min_by(|a, b| value(a).total_cmp(&value(b)));
            match least {
                Some((key, Outcome::Value(value))) => (*key, Outcome::Value(*value)),
                Some((_, other)) => nothing(other.reason()),
                None => nothing("no theorem applies"),
            }
        })
    }

    /// The rows that a claim with confidence compares: the chosen one, where the tuning part chose it.
    fn compared(&self, chosen: &'a LossComponents) -> Vec<&'a LossComponents> {
        if self.tuning.is_empty() { self.rows.clone() } else { vec![chosen] }
    }

    fn line(&self, claim: &str, chance: f64) -> Line {
        let n = self.rows[0].num_draws;
        Line {
            run: self.name(),
            setting: String::new(),
            run_draws: self.rows.iter().all(|row| row.num_draws == n).then(|| n.get()),
            claim: claim.into(),
            temperature: None,
            from: None,
            draws: None,
            measured: None,
            bound: Err(String::new()),
            key: "",
            chance,
            considered: self.rows.len(),
            chosen_on: if self.tuning.is_empty() { SAME } else { TUNING },
            confident: [const { ("", Outcome::NotApplicable(String::new())) }; 2],
            among_runs: [const { ("", Outcome::NotApplicable(String::new())) }; 2],
        }
    }

    /// The least upper bound of L_sup at each temperature, from rows at that temperature or below.
    fn supervised(&self, confidence: Option<f64>) -> Vec<Line> {
        let mut temperatures: Vec<f64> = self.rows.iter().map(|row| row.temperature).collect();
        temperatures.sort_by(f64::total_cmp);
        temperatures.dedup();
        let chance = (self.rows[0].num_classes as f64).ln();
        let of_temperature = |&to: &f64| {
            let mut line = self.line(SUPERVISED, chance);
            line.temperature = Some(to);
            let at = self.rows.iter().find(|row| row.temperature == to);
            line.measured = at.and_then(|row| row.get(Quantity::FullSupLoss));
            let value = |row: &LossComponents| {
                let bound = least_upper_bound(row).filter(|_| row.temperature <= to);
                bound.and_then(|(bound, _)| carried(bound, row, to).value()).unwrap_or(f64::INFINITY)
            };
            // The row that chooses also says which bound.
            let chosen = choose(self, value)
                .and_then(|row| least_upper_bound(self.chooser(row)).map(|(bound, _)| (row, bound)));
            match chosen {
                Some((row, bound)) => {
                    (line.key, line.draws) = (bound.key(), Some(row.num_draws.get()));
                    line.bound = match carried(bound, row, to) {
                        Outcome::Value(value) => Ok(value),
                        outcome => Err(outcome.reason().to_string()),
                    };
                    line.from = (row.temperature != to).then_some(row.temperature);
                    let candidates: Vec<_> = bounds::upper_theorems()
                        .map(|bound| (bound.key(), Candidate::Upper(bound, to)))
                        .collect();
                    let rows: Vec<_> =
                        self.compared(row).into_iter().filter(|r| r.temperature <= to).collect();
                    line.confident = self.confident(confidence, &rows, &candidates);
                }
                None => line.bound = Err("no theorem applies".into()),
            }
            line
        };
        temperatures.iter().map(of_temperature).collect()
    }

    /// The least upper bound of the error.
    fn error(&self, evidence: Evidence, confidence: Option<f64>) -> Line {
        let mut line = self.line(claim(evidence), chance_error(self.rows[0]));
        let certificates = || certificates::all().iter().filter(move |c| c.evidence() == evidence);
        let of = |certificate: &dyn Certificate, row: &LossComponents| {
            certificate.error_bound(row).value().unwrap_or(f64::INFINITY)
        };
        let chosen = certificates().filter_map(|&certificate| {
            let row = choose(self, |row| of(certificate, row))?;
            let chooser = self.chooser(row);
            Some((of(certificate, chooser), certificate, row))
        });
        match chosen.min_by(|(a, ..), (b, ..)| a.total_cmp(b)) {
            Some((_, certificate, row)) => {
                line.key = certificate.key();
                line.measured = certificate.measured_error(row);
                line.bound = match certificate.error_bound(row) {
                    Outcome::Value(value) => Ok(value),
                    outcome => Err(outcome.reason().to_string()),
                };
                (line.temperature, line.draws) = (Some(row.temperature), Some(row.num_draws.get()));
                let candidates: Vec<_> = certificates().map(|&c| (c.key(), Candidate::Error(c))).collect();
                line.confident = self.confident(confidence, &self.compared(row), &candidates);
            }
            None => {
                let reasons = certificates().map(|c| c.error_bound(self.rows[0]).reason().to_string());
                line.bound = Err(reasons.into_iter().find(|reason| !reason.is_empty()).unwrap_or_default());
            }
        }
        line
    }

    /// The row that speaks for this one in the choice: that of the tuning part, where there is one.
    fn chooser(&self, row: &'a LossComponents) -> &'a LossComponents {
        let same = |other: &&&LossComponents| {
            (other.num_draws, other.temperature) == (row.num_draws, row.temperature)
        };
        self.tuning.iter().find(same).copied().unwrap_or(row)
    }
}

/// The row whose chooser has the least value; `None` where none has one. Rows without a counterpart in the
/// tuning part are not candidates where others have one.
fn choose<'a>(run: &Run<'a>, value: impl Fn(&LossComponents) -> f64) -> Option<&'a LossComponents> {
    let elects = |row: &&&'a LossComponents| run.tuning.is_empty() || !std::ptr::eq(run.chooser(row), **row);
    let values = run.rows.iter().filter(elects).map(|&row| (value(run.chooser(row)), row));
    values.filter(|(value, _)| value.is_finite()).min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, row)| row)
}
