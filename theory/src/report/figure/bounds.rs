//! The figure of bounds against K: every upper bound of L_sup on a logarithmic axis, those that say something on a
//! linear one around ln C, and accuracies.

use super::Selection;
use super::panels::{Horizontal, Level, Line, Panel, Panels, Point};
use super::pen::{Look, Sign};
use super::ticks::Span;
use super::{Format, render};
use crate::bounds::{self, Bound, Outcome, Standing};
use crate::error::{Error, Result};
use crate::losses::{Group, Groups, LossComponents, Quantity};
use crate::report::{MeanAndDeviation, blocks, mean_and_deviation, setting_names};

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
    ticks: Vec<u64>,
}

/// Dashes of what is not proved.
const DOTTED: usize = 2;
/// Characters of a setting's name in a figure.
const LONGEST: usize = 28;

/// A name that leaves room for the figure.
fn short(name: String) -> String {
    match name.chars().count() > LONGEST {
        true => name.chars().take(LONGEST - 1).chain(['…']).collect(),
        false => name,
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
        let bounds = selection.keys(groups).into_iter().filter_map(bounds::find).filter(has_value).collect();
        Self { settings: settings.collect(), bounds, ticks }
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
            // Colours tell bounds apart, or settings where there are several, which dashes then do too.
            let theorem = bound.standing() == Standing::Theorem;
            let look = |setting: usize| Look {
                colour: Some(if several { setting } else { index }),
                sign: if theorem { Look::nth(index).sign } else { Sign::Open(index) },
                dash: match (several, theorem) {
                    (true, _) => setting,
                    (false, true) => 0,
                    (false, false) => DOTTED,
                },
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
        let look = |setting: usize| Look { colour: several.then_some(setting), sign, dash: setting };
        let of = |group: &Group<'_>| over_seeds(group, |row| row.get(quantity));
        self.lines(name, look, of, |_| false, |_, _| false)
    }

    fn levels(&self) -> Vec<Level> {
        let mut levels: Vec<f64> = self.settings.iter().map(|setting| setting.ln_classes).collect();
        levels.sort_by(f64::total_cmp);
        levels.dedup();
        levels.into_iter().map(|y| Level { name: format!("ln C = {y:.3}"), y }).collect()
    }

    fn panel(&self, kind: PanelKind) -> Panel {
        let ln_classes = self.settings.iter().map(|setting| setting.ln_classes).fold(0.0, f64::max);
        let mut lines = self.measured_lines(Quantity::FullSupLoss, "L_sup, measured", Sign::Thick);
        let title = if lines.is_empty() { "Upper bounds of L_sup" } else { "L_sup and upper bounds of it" };
        let bounds = self.bound_lines();
        match kind {
            PanelKind::Log => {
                lines.extend(bounds);
                let values = || lines.iter().flat_map(|line| line.points.iter().map(|p| p.y));
                let low = values().filter(|v| *v > 0.0).fold(ln_classes, f64::min).max(1e-3);
                // Of one class ln C is 0.
                let high = values().fold(ln_classes, f64::max).min(MOST * ln_classes.max(1.0)).max(2.0 * low);
                Panel {
                    title: title.into(),
                    y_label: "nats".into(),
                    y: Span { log: true, range: 0.7 * low..1.5 * high },
                    lines,
                    levels: self.levels(),
                    weight: 1.0,
                }
            }
            PanelKind::Linear => {
                let range = 0.0..if ln_classes > 0.0 { 1.2 * ln_classes } else { 1.0 };
                let says = |line: &Line| line.points.iter().any(|p| p.y < range.end);
                lines.extend(
                    bounds.into_iter().filter(says).map(|line| Line { undefined: Vec::new(), ..line }),
                );
                Panel {
                    title: "The same around ln C".into(),
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
        let all: Vec<Panel> = style.panels.iter().map(|kind| self.panel(*kind)).collect();
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
            notes.push("▲ above the axis.");
        }
        if below {
            notes.push("▼ below the axis.");
        }
        if any(&|line| !line.undefined.is_empty()) {
            notes.push("× undefined.");
        }
        if any(&|line| line.points.iter().any(|p| p.deviation.is_some())) {
            notes.push("Bands: one standard deviation over seeds.");
        }
        let unproved: Vec<String> = self
            .bounds
            .iter()
            .enumerate()
            .filter(|(index, _)| any(&|line| line.look.sign == Sign::Open(*index)))
            .map(|(_, bound)| format!("{} ({})", bound.key(), bound.standing().name()))
            .collect();
        figure.notes = if notes.is_empty() { Vec::new() } else { vec![notes.join(" ")] };
        if !unproved.is_empty() {
            figure.notes.push(format!("Markers of strokes: not proved to be upper bounds of L_sup, so that being below ln C says nothing: {}.", unproved.join(", ")));
        }
        figure
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::{group, read_from};

    fn rows(rows: &str) -> Vec<LossComponents> {
        let header = "dataset,seed,num_classes,num_draws,class_counts,temperature,sampling,info_nce,gap,log1p_collisions,full_sup_loss,mean_accuracy\n";
        let rows = rows.replace("COUNTS", &["100"; 10].join(";"));
        read_from(&format!("{header}{rows}"), "losses.csv").unwrap()
    }

    fn svg(text: &str, style: &Style) -> String {
        let rows = rows(text);
        let found = bounds_against_draws(&group(&rows).unwrap(), style, Format::Svg).unwrap();
        String::from_utf8(found).unwrap()
    }

    fn style(keys: &[&str]) -> Style {
        Style { bounds: Selection::of(keys).unwrap(), ..Style::default() }
    }

    const ONE: &str = "a,7,10,32,COUNTS,0.5,with_replacement,2.0,-1.2,1.3,1.2,0.9\na,7,10,64,COUNTS,0.5,with_replacement,2.7,-1.2,1.95,1.2,0.91\n";

    #[test]
    fn three_panels_with_names_at_the_lines_and_only_the_notes_that_are_needed() {
        let found = svg(ONE, &style(&["reverse_jensen", "specht"]));
        for text in [
            "L_sup and upper bounds of it",
            "The same around ln C",
            "Accuracy",
            "ln C = 2.303",
            "specht",
            "reverse_jensen",
        ] {
            assert!(found.contains(text), "{text}");
        }
        assert!(found.contains("Hollow") && !found.contains("Bands") && !found.contains("above the axis"));
        let seeds = ONE.replace("a,7", "a,8").replace("2.0,", "2.1,");
        assert!(svg(&format!("{ONE}{seeds}"), &style(&["specht"])).contains("Bands"));
        let only = Style { panels: vec![PanelKind::Accuracy], ..Style::default() };
        assert!(!svg(ONE, &only).contains("nats"));
    }

    #[test]
    fn what_is_far_above_ln_c_leaves_the_rest_visible() {
        // CIFAR-100: CURL and others reach 1e22.
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let rows = crate::losses::read(&file.join("../data/results/cifar100-small/losses.csv")).unwrap();
        let found = bounds_against_draws(&group(&rows).unwrap(), &Style::default(), Format::Svg).unwrap();
        let found = String::from_utf8(found).unwrap();
        assert!(found.contains("▲ above the axis") && found.contains("10⁶") && !found.contains("10⁸"));
        assert!(
            found.contains("<title>curl, n = 128: "),
            "a value that is above the axis can be read by pointing"
        );
    }

    #[test]
    fn one_class_and_nothing_to_show_are_drawn() {
        let header = "num_classes,num_draws,temperature,sampling,info_nce";
        for (row, more, value) in [
            ("1,4,0.5,with_replacement,1.0", "", ""),
            ("1,4,0.5,with_replacement,1.0", ",full_sup_loss", ",0.0"),
        ] {
            let rows = read_from(&format!("{header}{more}\n{row}{value}\n"), "losses.csv").unwrap();
            for format in [Format::Svg, Format::Png, Format::Pdf] {
                assert!(
                    !bounds_against_draws(&group(&rows).unwrap(), &Style::default(), format)
                        .unwrap()
                        .is_empty()
                );
            }
        }
    }

    #[test]
    fn a_pdf_has_one_page_of_the_width_that_is_asked_for() {
        let rows = rows(ONE);
        let style = Style { width: 312, ..Style::default() };
        let found = bounds_against_draws(&group(&rows).unwrap(), &style, Format::Pdf).unwrap();
        let text = String::from_utf8_lossy(&found);
        // 3.25 inches of 72 points.
        assert!(
            text.starts_with("%PDF-") && text.contains("/MediaBox [0 0 234 ") && text.contains("/Count 1")
        );
        assert!(found.len() > 5000 && found.len() < 100_000, "{}", found.len());
    }

    #[test]
    fn settings_are_lines_of_their_own_that_say_what_differs() {
        let other = ONE.replace(",0.5,with", ",0.2,with").replace("1.2,0.9", "0.9,0.9");
        let found = svg(&format!("{ONE}{other}"), &style(&["specht"]));
        for text in ["specht, t = 0.2", "specht, t = 0.5", "L_sup, measured, t = 0.2"] {
            assert!(found.contains(text), "{text}");
        }
        // The accuracies agree.
        assert!(found.contains(">\nmean classifier\n<") && !found.contains("mean classifier, t"), "{found}");
    }

    #[test]
    fn what_is_no_theorem_is_told_apart_in_shape_and_words() {
        let text = |keys: &[&str]| svg(ONE, &style(keys));
        let plain = text(&["specht", "reverse_jensen"]);
        assert!(!plain.contains("not proved"), "{plain}");
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let rows = crate::losses::read(&file.join("../data/results/digits/losses.csv")).unwrap();
        let groups = group(&rows).unwrap();
        let mixed = style(&["specht", "curl_as_published", "bao"]);
        let mixed = Content::new(&groups, &mixed.bounds).figure(&mixed);
        let note = mixed.notes.last().unwrap();
        assert!(note.contains("not proved") && !note.contains("specht"), "{note}");
        assert!(note.ends_with("curl_as_published (as published), bao (unproved)."), "{note}");
        for bound in bounds::all().iter().filter(|bound| !bound.upper_needs().is_empty()) {
            for line in Content::new(&groups, &Selection::of(&[bound.key()]).unwrap()).bound_lines() {
                let open = matches!(line.look.sign, Sign::Open(_));
                assert_eq!(open, bound.standing() != Standing::Theorem, "{}", bound.key());
                assert!(!open || line.points.iter().all(|p| !p.hollow), "{}", bound.key());
            }
        }
    }
}
