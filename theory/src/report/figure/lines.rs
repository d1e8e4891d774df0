//! Curves, and values of bins, of one or several quantities against another: one panel a quantity, below each other.

use super::panels::{Horizontal, Line, Panel, Panels, Point};
use super::pen::{Look, Sign};
use super::ticks::Span;
use super::{Format, SIZE, render, tick};
use crate::error::{Error, Result};
use std::ops::Range;

/// Up to this many points a series has markers, and the horizontal axis ticks where they are.
const MAX_MARKED: usize = 40;
/// A series is thinned to about this many points: more than a PNG has columns adds nothing.
const MAX_POINTS: usize = 4000;

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Datum {
    /// Where it stands.
    pub x: f64,
    /// The value.
    pub y: f64,
    /// How far it may lie off: a bar for bins, a band along a curve.
    pub error: Option<f64>,
    /// For the value of a bin: its edges; bins are not joined.
    pub bin: Option<(f64, f64)>,
}

impl From<(f64, f64)> for Datum {
    fn from((x, y): (f64, f64)) -> Self {
        Self { x, y, error: None, bin: None }
    }
}

/// One curve, or the values of bins.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name at its right end; a series of the same name in another panel looks the same.
    pub name: String,
    /// In the order of drawing; those that are not finite, or not positive on a logarithmic axis, are left out.
    pub points: Vec<Datum>,
}

impl Series {
    /// A series of points, such as pairs of x and y.
    pub fn new(name: impl Into<String>, points: impl IntoIterator<Item = impl Into<Datum>>) -> Self {
        Self { name: name.into(), points: points.into_iter().map(Into::into).collect() }
    }
}

/// One panel.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Axes {
    /// Heading.
    pub title: String,
    /// What the vertical axis shows, with its unit.
    pub y_label: String,
    /// Whether the vertical axis is logarithmic.
    pub log_y: bool,
    /// Least and largest value that there can be, such as 0 and 1 of an accuracy: the axis ends there.
    pub limits: Option<(f64, f64)>,
    /// The curves; 36 differ in colour and marker, and 24 of more points than have markers in colour and dashes.
    pub series: Vec<Series>,
}

/// A figure of curves.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lines {
    /// What the horizontal axis shows, with its unit.
    pub x_label: String,
    /// Whether the horizontal axis is logarithmic.
    pub log_x: bool,
    /// From top to bottom.
    pub panels: Vec<Axes>,
    /// What a reader should know, below.
    pub note: String,
}

/// The curves as a file of this format.
///
/// # Errors
/// A panel of which no point can be drawn.
///
/// # Examples
/// ```
/// use theory::report::figure::{Axes, Format, Lines, Series, lines};
/// let squares = Series::new("n²", [(1.0, 1.0), (2.0, 4.0), (3.0, 9.0)]);
/// let panel = Axes { title: "Squares".into(), series: vec![squares], ..Axes::default() };
/// let figure = Lines { x_label: "n".into(), panels: vec![panel], ..Lines::default() };
/// assert!(lines(&figure, Format::Png)?.starts_with(b"\x89PNG"));
/// assert!(String::from_utf8_lossy(&lines(&figure, Format::Svg)?).contains("Squares"));
/// # Ok::<(), theory::Error>(())
/// ```
pub fn lines(figure: &Lines, format: Format) -> Result<Vec<u8>> {
    render(&figure.drawing()?, format)
}

/// The values' range, widened by this share of it at both ends; never empty.
fn range(values: impl Iterator<Item = f64>, log: bool, margin: f64) -> Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if log {
        let factor = if low == high { 2.0 } else { (high / low).powf(margin) };
        return low / factor..high * factor;
    }
    let width = if low == high { 0.5 * low.abs().max(1.0) } else { margin * (high - low) };
    low - width..high + width
}

impl Lines {
    /// With a note below that says what shows the errors of its values, which are standard deviations over seeds.
    ///
    /// # Errors
    /// A panel of which no point can be drawn.
    pub fn over_seeds(mut self) -> Result<Self> {
        if let Some(spread) = self.drawing()?.spread() {
            let note = format!("{spread}: one standard deviation over seeds.");
            self.note = [self.note, note].join(" ").trim_start().into();
        }
        Ok(self)
    }

    fn drawing(&self) -> Result<Panels> {
        let mut names: Vec<&str> = Vec::new();
        let mut panels = Vec::new();
        for axes in &self.panels {
            let mut lines = Vec::new();
            for series in &axes.series {
                let place = names.iter().position(|name| *name == series.name).unwrap_or_else(|| {
                    names.push(&series.name);
                    names.len() - 1
                });
                lines.extend(self.line(series, place, axes.log_y));
            }
            if lines.is_empty() {
                return Err(Error::argument(format!("no point of the figure '{}' can be drawn", axes.title)));
            }
            let ends = |p: &Point| [-1.0, 0.0, 1.0].map(|sign| p.y + sign * p.deviation.unwrap_or(0.0));
            let values = lines.iter().flat_map(|line: &Line| line.points.iter().flat_map(ends));
            let y = range(values.filter(|v| !axes.log_y || *v > 0.0), axes.log_y, 0.04);
            let y = axes.limits.map_or(y.clone(), |(least, most)| y.start.max(least)..y.end.min(most));
            panels.push(Panel {
                title: axes.title.clone(),
                y_label: axes.y_label.clone(),
                y: Span { log: axes.log_y, range: y },
                lines,
                levels: Vec::new(),
                weight: if self.panels.len() > 1 { 1.2 } else { 1.8 },
            });
        }
        Ok(Panels {
            name: self.panels.first().map_or_else(String::new, |axes| axes.title.clone()),
            x: self.horizontal(&panels),
            panels,
            notes: Some(self.note.clone()).filter(|note| !note.is_empty()).into_iter().collect(),
            width: SIZE.0,
            drawn: Default::default(),
        })
    }

    /// What of a series can be drawn.
    fn line(&self, series: &Series, place: usize, log_y: bool) -> Option<Line> {
        let fits = |v: f64, log: bool| v.is_finite() && (!log || v > 0.0);
        let mut points = series.points.clone();
        points.retain(|p| fits(p.x, self.log_x) && fits(p.y, log_y));
        let step = points.len().div_ceil(MAX_POINTS).max(1);
        let last = points.len().saturating_sub(1);
        let kept = points.iter().enumerate().filter(|(i, _)| i % step == 0 || *i == last);
        let points: Vec<Point> = kept
            .map(|(_, &Datum { x, y, error, bin })| Point { x, y, deviation: error, hollow: false, bin })
            .collect();
        let bins = points.iter().any(|p| p.bin.is_some());
        let look = match (bins, points.len() <= MAX_MARKED) {
            (true, _) => Look { sign: if place == 0 { Sign::Thick } else { Sign::Thin }, ..Look::nth(place) },
            (false, true) => Look { dash: 0, ..Look::nth(place) },
            (false, false) => Look { sign: Sign::Thin, ..Look::nth(place) },
        };
        (!points.is_empty()).then(|| Line { name: series.name.clone(), look, points, undefined: Vec::new() })
    }

    fn horizontal(&self, panels: &[Panel]) -> Horizontal {
        let points = || panels.iter().flat_map(|panel| panel.lines.iter().flat_map(|line| &line.points));
        let span = |p: &Point| p.bin.map_or([p.x; 2], <[f64; 2]>::from);
        let span = Span { log: self.log_x, range: range(points().flat_map(span), self.log_x, 0.0) };
        let mut measured: Vec<f64> = points().map(|p| p.x).collect();
        measured.sort_by(f64::total_cmp);
        measured.dedup();
        let few = measured.len() <= MAX_MARKED && points().all(|p| p.bin.is_none());
        let inside = |ticks: Vec<(f64, String)>| {
            ticks.into_iter().filter(|(x, _)| (span.range.start..=span.range.end).contains(x)).collect()
        };
        let ticks = match few {
            true => measured.into_iter().map(|x| (x, tick(x))).collect(),
            false => inside(span.ticks()),
        };
        Horizontal {
            label: self.x_label.clone(),
            symbol: "",
            span,
            ticks,
            margin: if few { 0.04 } else { 0.0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(figure: &Lines) -> String {
        String::from_utf8(lines(figure, Format::Svg).unwrap()).unwrap()
    }

    fn figure(series: Vec<Series>, log_y: bool) -> Lines {
        Lines { panels: vec![Axes { log_y, series, ..Axes::default() }], ..Lines::default() }
    }

    #[test]
    fn nothing_to_draw_is_an_error_and_many_points_are_thinned() {
        let nothing = figure(vec![Series::new("s", [(1.0, 0.0), (2.0, f64::NAN)])], true);
        assert!(lines(&nothing, Format::Svg).unwrap_err().to_string().contains("no point"));
        let many = (1..100_000).map(|i| (f64::from(i), f64::from(i)));
        assert!(svg(&figure(vec![Series::new("s", many)], true)).len() < 100_000);
    }

    #[test]
    fn bins_have_their_width_and_error_and_are_not_joined() {
        let bin = |from: f64, to: f64, y| Datum {
            x: 0.5 * (from + to),
            y,
            error: Some(0.5),
            bin: Some((from, to)),
        };
        let drawn = figure(vec![Series::new("s", [bin(0.0, 1.0, 3.0), bin(1.0, 10.0, 1.0)])], false);
        let panels = drawn.drawing().unwrap();
        assert_eq!((panels.x.span.range.start, panels.x.span.range.end), (0.0, 10.0));
        assert!(panels.panels[0].y.range.start < 0.5 && panels.panels[0].y.range.end > 3.5);
        let thick =
            svg(&drawn).lines().filter(|l| l.contains("stroke-width=\"30\"")).map(width).collect::<Vec<_>>();
        // The two bins, and the sign beside the name.
        assert_eq!(thick.len(), 3, "{thick:?}");
        assert!((thick[1] / thick[0] - 9.0).abs() < 0.1, "{thick:?}");
    }

    /// Of an SVG line from left to right.
    fn width(line: &str) -> f64 {
        let points = line.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
        let x: Vec<f64> =
            points.split_whitespace().map(|p| p.split(',').next().unwrap().parse().unwrap()).collect();
        x[x.len() - 1] - x[0]
    }

    #[test]
    fn an_axis_ends_where_there_can_be_no_value() {
        let mut drawn = figure(vec![Series::new("accuracy", [(1.0, 1.0), (2.0, 1.0)])], false);
        drawn.panels[0].limits = Some((0.0, 1.0));
        assert_eq!(drawn.drawing().unwrap().panels[0].y.range, 0.5..1.0);
    }

    #[test]
    fn a_series_looks_the_same_in_every_panel_and_unlike_all_others() {
        // With markers, and with more points than have markers.
        for (points, differing) in [(2, 36), (MAX_MARKED as u32 + 1, 24)] {
            let series = |name: String| Series::new(name, (1..=points).map(|x| (f64::from(x), 1.0)));
            let all: Vec<Series> = (0..differing).map(|i| series(i.to_string())).collect();
            let panels = vec![
                Axes { series: all, ..Axes::default() },
                Axes { series: vec![series("7".into())], ..Axes::default() },
            ];
            let drawn = Lines { panels, ..Lines::default() }.drawing().unwrap();
            let looks: Vec<Look> = drawn.panels[0].lines.iter().map(|line| line.look).collect();
            let shown = |look: Look| {
                let sign = if let Sign::Closed(marker) = look.sign { Some(marker % 6) } else { None };
                (look.colour(), sign, look.dashes())
            };
            assert!(
                (0..looks.len()).all(|i| looks[..i].iter().all(|&other| shown(other) != shown(looks[i])))
            );
            assert_eq!(drawn.panels[1].lines[0].look, looks[7]);
        }
    }

    #[test]
    fn the_note_of_deviations_names_what_is_drawn() {
        let datum = |x, error| Datum { x, y: 1.0, error, bin: None };
        let note = |series: &[&[Datum]]| {
            let series = series.iter().map(|points| Series { name: String::new(), points: points.to_vec() });
            figure(series.collect(), false).over_seeds().unwrap().note
        };
        let (one, other) = (datum(1.0, Some(0.5)), datum(2.0, Some(0.5)));
        assert_eq!(note(&[&[one]]), "Bars: one standard deviation over seeds.");
        assert_eq!(note(&[&[one, other]]), "Bands: one standard deviation over seeds.");
        assert_eq!(note(&[&[one], &[one, other]]), "Bands and bars: one standard deviation over seeds.");
        assert_eq!(note(&[&[datum(1.0, None), datum(2.0, None)]]), "");
    }
}
