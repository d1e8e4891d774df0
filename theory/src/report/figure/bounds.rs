//! The figure of bounds against K: every upper bound of L_sup on a logarithmic axis, those that say something on a
//! linear one around ln C, and accuracies.

use super::Selection;
use super::panels::{Horizontal, Level, Line, Panel, Panels, Point};
use super::pen::{DOTTED, Look, Sign};
use super::ticks::Span;
use super::{Format, render};
use crate::bounds::{self, Bound, Outcome, Standing};
use crate::error::{Error, Result};
use crate::losses::{Group, Groups, LossComponents, Quantity};
use crate::report::{MeanAndDeviation, blocks, mean_and_deviation, setting_names};
use std::ops::Range;

/// How a figure of bounds is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// The bounds.
    pub bounds: Selection,
    /// The panels, from top to bottom.
    pub panels: Vec<PanelKind>,
    /// Width in units of 1/96 inch; letters have 11 points, in a column of a paper 7.
    pub width: u32,
}

impl Default for Style {
    /// All panels, 900 wide.
    fn default() -> Self {
        Self { bounds: Selection::default(), panels: PanelKind::ALL.to_vec(), width: super::SIZE.0 }
    }
}

/// One panel of a figure of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PanelKind {
    /// L_sup and its upper bounds on a logarithmic axis.
    Log,
    /// The same between 0 and 1.2 ln C.
    Linear,
    /// Accuracies.
    Accuracy,
}

impl PanelKind {
    /// From top to bottom.
    pub const ALL: [Self; 3] = [Self::Log, Self::Linear, Self::Accuracy];
}

impl std::str::FromStr for PanelKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "log" => Ok(Self::Log),
            "linear" => Ok(Self::Linear),
            "accuracy" => Ok(Self::Accuracy),
            _ => Err(Error::argument(format!("'{name}' is none of log, linear, accuracy"))),
        }
    }
}

const ACCURACIES: [(Quantity, &str); 2] =
    [(Quantity::MeanAccuracy, "mean classifier"), (Quantity::LinearAccuracy, "linear probe")];

/// Times ln C: where the logarithmic axis ends at the latest. Bounds reach 1e70, and all below would be one line.
const MOST: f64 = 1e6;

/// The upper bounds of L_sup and the accuracies against n = K+1: means over seeds, with a band of one standard
/// deviation where there are several.
///
/// # Errors
/// No rows; no panel that shows anything; the drawing library fails.
pub fn bounds_against_draws(groups: &Groups<'_>, style: &Style, format: Format) -> Result<Vec<u8>> {
    if groups.is_empty() {
        return Err(Error::argument("a figure of bounds needs at least one row of losses"));
    }
    let figure = Content::new(groups, &style.bounds).figure(style);
    if figure.panels.is_empty() {
        return Err(Error::argument("of these measurements no panel of the figure shows anything"));
    }
    render(&figure, format)
}

fn over_seeds(group: &Group<'_>, of: impl Fn(&LossComponents) -> Option<f64>) -> Option<MeanAndDeviation> {
    let values: Option<Vec<f64>> = group.rows.iter().map(|row| of(row)).collect();
    values.filter(|v| v.iter().all(|x| x.is_finite())).map(|v| mean_and_deviation(&v))
}

pub(super) fn mean(group: &Group<'_>, bound: &dyn Bound) -> Option<MeanAndDeviation> {
    over_seeds(group, |row| bound.upper_bound(row).value())
}

/// Lines of what differs in n alone.
struct Setting<'a> {
    /// What tells it from others; empty where it is the only one.
    name: String,
    groups: Vec<&'a Group<'a>>,
    ln_classes: f64,
}

struct Content<'a> {
    settings: Vec<Setting<'a>>,
    bounds: Vec<&'static dyn Bound>,
    /// Keys of selected bounds that have no value.
    missing: Vec<&'static str>,
    ticks: Vec<u64>,
}

/// Dashes of theorems and measurements; what is not proved has dots.
const PROVED: [usize; 3] = [0, 1, 3];
/// Characters of a setting's name in a figure.
const LONGEST: usize = 28;

/// A name that leaves room for the figure.
fn short(name: String) -> String {
    match name.chars().count() > LONGEST {
        true => name.chars().take(LONGEST - 1).chain(['…']).collect(),
        false => name,
    }
}

/// With the colour of this place, not the same again before 18 settings.
fn dash_of(setting: usize) -> usize {
    PROVED[Look::nth(setting).dash % PROVED.len()]
}

/// What the lines of a panel are: measured, bounds, and values that may lie below L_sup.
fn title_of(lines: &[Line]) -> &'static str {
    let any = |is: fn(Sign) -> bool| lines.iter().any(|line| is(line.look.sign));
    let measured = any(|sign| sign == Sign::Thick);
    let (proved, unproved) =
        (any(|sign| matches!(sign, Sign::Closed(_))), any(|sign| matches!(sign, Sign::Open(_))));
    match (measured, proved, unproved) {
        (true, true, true) => "L_sup, upper bounds of it, and values not proved to be one",
        (true, true, false) => "L_sup and upper bounds of it",
        (true, false, true) => "L_sup, and values not proved to be upper bounds of it",
        (true, false, false) => "L_sup",
        (false, true, true) => "Upper bounds of L_sup, and values not proved to be one",
        (false, true, false) | (false, false, false) => "Upper bounds of L_sup",
        (false, false, true) => "Values not proved to be upper bounds of L_sup",
    }
}

impl<'a> Content<'a> {
    fn new(groups: &'a Groups<'_>, selection: &Selection) -> Self {
        let differing = groups.differing_beside_draws();
        let blocks = blocks(groups, &differing);
        let names = setting_names(&differing, &blocks.iter().map(|block| block.setting).collect::<Vec<_>>());
        let settings = blocks.into_iter().zip(names).map(|(block, name)| Setting {
            name: short(name),
            ln_classes: (block.setting.num_classes as f64).ln(),
            groups: block.by_draws.into_values().collect(),
        });
        let mut ticks: Vec<u64> = groups.iter().map(|group| group.setting().num_draws.get()).collect();
        ticks.sort_unstable();
        ticks.dedup();
        let has_value = |bound: &&dyn Bound| groups.iter().any(|group| mean(group, *bound).is_some());
        let (bounds, without): (Vec<_>, Vec<_>) =
            selection.keys(groups).into_iter().filter_map(bounds::find).partition(has_value);
        let missing = without.into_iter().map(Bound::key).collect();
        Self { settings: settings.collect(), bounds, missing, ticks }
    }

    /// One line a setting, with what tells settings apart behind `name`.
    fn lines(
        &self,
        name: &str,
        look: impl Fn(usize) -> Look,
        of: impl Fn(&Group<'_>) -> Option<MeanAndDeviation>,
        is_undefined: impl Fn(&Group<'_>) -> bool,
        says_nothing: impl Fn(f64, f64) -> bool,
    ) -> Vec<Line> {
        let x = |group: &Group<'_>| group.setting().num_draws.get() as f64;
        let line = |(place, setting): (usize, &Setting<'_>)| {
            let point = |group: &&Group<'_>| {
                let value = of(group)?;
                let hollow = says_nothing(value.mean, setting.ln_classes);
                Some(Point { x: x(group), y: value.mean, deviation: value.deviation, hollow, bin: None })
            };
            let name = match &*setting.name {
                "" => name.to_string(),
                told => format!("{name}, {told}"),
            };
            let undefined = setting.groups.iter().filter(|group| is_undefined(group)).map(|group| x(group));
            let points = setting.groups.iter().filter_map(point).collect();
            Line { name, look: look(place), points, undefined: undefined.collect() }
        };
        let lines = self.settings.iter().enumerate().map(line);
        let mut lines: Vec<Line> = lines.filter(|line| !line.points.is_empty()).collect();
        // What does not depend on the setting is one line.
        if let [first, rest @ ..] = &lines[..]
            && !rest.is_empty()
            && rest.iter().all(|line| line.points == first.points && line.undefined == first.undefined)
        {
            lines.truncate(1);
            lines[0].name = name.into();
            lines[0].look = Look { colour: None, dash: 0, ..lines[0].look };
        }
        lines
    }

    fn bound_lines(&self) -> Vec<Line> {
        let several = self.settings.len() > 1;
        let lines = self.bounds.iter().enumerate().flat_map(|(index, bound)| {
            // Colours tell bounds apart, or settings where there are several, which dashes of theorems then do too.
            let theorem = bound.standing() == Standing::Theorem;
            let look = |setting: usize| Look {
                colour: Some(if several { setting } else { index }),
                sign: if theorem { Look::nth(index).sign } else { Sign::Open(index) },
                dash: if theorem { dash_of(setting) } else { DOTTED },
            };
            let undefined = |group: &Group<'_>| {
                group.rows.iter().any(|row| matches!(bound.upper_bound(row), Outcome::Undefined(_)))
            };
            // Of what is not proved, neither side of ln C says anything.
            let vacuous = |value: f64, ln_classes: f64| theorem && value > ln_classes;
            self.lines(bound.key(), look, |group| mean(group, *bound), undefined, vacuous)
        });
        lines.collect()
    }

    fn measured_lines(&self, quantity: Quantity, name: &str, sign: Sign) -> Vec<Line> {
        let several = self.settings.len() > 1;
        let look = |setting: usize| Look { colour: several.then_some(setting), sign, dash: dash_of(setting) };
        let of = |group: &Group<'_>| over_seeds(group, |row| row.get(quantity));
        self.lines(name, look, of, |_| false, |_, _| false)
    }

    fn levels(&self) -> Vec<Level> {
        let mut levels: Vec<f64> = self.settings.iter().map(|setting| setting.ln_classes).collect();
        levels.sort_by(f64::total_cmp);
        levels.dedup();
        levels.into_iter().map(|y| Level { name: format!("ln C = {y:.3}"), y }).collect()
    }

    fn ln_classes(&self) -> f64 {
        self.settings.iter().map(|setting| setting.ln_classes).fold(0.0, f64::max)
    }

    /// The axis around ln C; of one class ln C is 0.
    fn around(&self) -> Range<f64> {
        let ln_classes = self.ln_classes();
        0.0..if ln_classes > 0.0 { 1.2 * ln_classes } else { 1.0 }
    }

    /// One panel; `above`: whether the logarithmic one of the same lines stands above it.
    fn panel(&self, kind: PanelKind, above: bool) -> Panel {
        let ln_classes = self.ln_classes();
        let mut lines = self.measured_lines(Quantity::FullSupLoss, "L_sup, measured", Sign::Thick);
        let bounds = self.bound_lines();
        match kind {
            PanelKind::Log => {
                lines.extend(bounds);
                let values = || lines.iter().flat_map(|line| line.points.iter().map(|p| p.y));
                let low = values().filter(|v| *v > 0.0).fold(ln_classes, f64::min).max(1e-3);
                // Of one class ln C is 0.
                let high = values().fold(ln_classes, f64::max).min(MOST * ln_classes.max(1.0)).max(2.0 * low);
                Panel {
                    title: title_of(&lines).into(),
                    y_label: "nats".into(),
                    y: Span { log: true, range: 0.7 * low..1.5 * high },
                    lines,
                    levels: self.levels(),
                    weight: 1.0,
                }
            }
            PanelKind::Linear => {
                let range = self.around();
                let says = |line: &Line| line.points.iter().any(|p| p.y < range.end);
                lines.extend(bounds.into_iter().filter(says));
                let title = match above {
                    true => "The same around ln C".into(),
                    false => format!("{}, around ln C", title_of(&lines)),
                };
                Panel {
                    title,
                    y_label: "nats".into(),
                    y: Span { log: false, range },
                    lines,
                    levels: self.levels(),
                    weight: 1.0,
                }
            }
            PanelKind::Accuracy => {
                let of = |(marker, (quantity, name)): (usize, &(Quantity, &str))| {
                    self.measured_lines(*quantity, name, Sign::Closed(marker))
                };
                let lines: Vec<Line> = ACCURACIES.iter().enumerate().flat_map(of).collect();
                let values = || lines.iter().flat_map(|line| line.points.iter());
                let spread = |p: &Point| p.deviation.unwrap_or(0.0);
                let low = values().map(|p| p.y - spread(p)).fold(1.0, f64::min);
                let high = values().map(|p| p.y + spread(p)).fold(0.0, f64::max);
                let room = (0.08 * (high - low)).max(0.01);
                Panel {
                    title: "Accuracy on head features".into(),
                    y_label: "accuracy".into(),
                    y: Span {
                        log: false,
                        range: (low - room).max(0.0)..(high + room).min(1.0).max(low + 0.01),
                    },
                    lines,
                    levels: Vec::new(),
                    weight: 0.6,
                }
            }
        }
    }

    fn figure(&self, style: &Style) -> Panels {
        let log = style.panels.iter().position(|kind| *kind == PanelKind::Log);
        let panel =
            |(place, kind): (usize, &PanelKind)| self.panel(*kind, log.is_some_and(|log| log < place));
        let all: Vec<Panel> = style.panels.iter().enumerate().map(panel).collect();
        // Where nothing was measured that a panel shows, ln C stands alone.
        let any = all.iter().any(|panel| !panel.lines.is_empty());
        let panels =
            all.into_iter().filter(|panel| !panel.lines.is_empty() || (!any && !panel.levels.is_empty()));
        let end = |n: Option<&u64>| n.map_or(1.0, |n| n.max(&1).to_owned() as f64);
        let mut figure = Panels {
            name: "bounds against n".into(),
            x: Horizontal {
                label: "draws n = K+1: an anchor and K negatives".into(),
                symbol: "n = ",
                span: Span { log: true, range: end(self.ticks.first())..end(self.ticks.last()) },
                ticks: self.ticks.iter().map(|n| (*n as f64, n.to_string())).collect(),
                margin: 0.04,
            },
            panels: panels.collect(),
            notes: Vec::new(),
            width: style.width,
            drawn: Default::default(),
        };
        let any = |of: &dyn Fn(&Line) -> bool| figure.panels.iter().any(|panel| panel.lines.iter().any(of));
        let mut notes = Vec::new();
        if figure.panels.iter().any(|panel| !panel.levels.is_empty()) {
            notes.push("ln C: what a classifier that ignores its input reaches.");
        }
        if any(&|line| line.points.iter().any(|p| p.hollow)) {
            notes.push("Hollow: above it, says nothing.");
        }
        let [above, below] = figure.off_scale();
        if above {
            notes.push("↑ above the axis.");
        }
        if below {
            notes.push("↓ below the axis.");
        }
        if any(&|line| !line.undefined.is_empty()) {
            notes.push("× undefined.");
        }
        let spread = figure.spread().map(|spread| format!("{spread}: one standard deviation over seeds."));
        notes.extend(spread.as_deref());
        let unproved: Vec<String> = self
            .bounds
            .iter()
            .enumerate()
            .filter(|(index, _)| any(&|line| line.look.sign == Sign::Open(*index)))
            .map(|(_, bound)| format!("{} ({})", bound.key(), bound.standing().name()))
            .collect();
        // What only the panel around ln C could show, and does not.
        let hidden: Vec<&str> = match log {
            None if style.panels.contains(&PanelKind::Linear) => {
                let end = self.around().end;
                let groups = || self.settings.iter().flat_map(|setting| &setting.groups);
                let shown =
                    |bound: &dyn Bound| groups().any(|g| mean(g, bound).is_some_and(|v| v.mean < end));
                self.bounds.iter().filter(|bound| !shown(**bound)).map(|bound| bound.key()).collect()
            }
            _ => Vec::new(),
        };
        figure.notes = if notes.is_empty() { Vec::new() } else { vec![notes.join(" ")] };
        if !unproved.is_empty() {
            figure.notes.push(format!("Markers of strokes: not proved to be upper bounds of L_sup, so that being below ln C says nothing: {}.", unproved.join(", ")));
        }
        if !hidden.is_empty() {
            figure.notes.push(format!("Not shown, above the axis at every n: {}.", hidden.join(", ")));
        }
        if !self.missing.is_empty() && style.panels.iter().any(|kind| *kind != PanelKind::Accuracy) {
            figure.notes.push(format!("Not shown, without a value at any n: {}.", self.missing.join(", ")));
        }
        figure
    }
}

#[cfg(test)]
mod tests;
