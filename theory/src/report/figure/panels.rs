//! Panels below each other that share the horizontal axis: lines with markers and bands, named at their right end, and
//! bins drawn to their width with error bars.
//!
//! Each line keeps its colour, marker and dash in every panel. Those of [`Look::nth`] repeat after 24 lines at the
//! earliest: fewer are told apart in grey print, and each has its name at its end.

use super::pen::{Look, Pen, Sign};
use super::ticks::Span;
use super::{Drawing, Drawn, Scale};
use crate::report::format::wrap;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;
use std::cell::RefCell;

const GRID: RGBColor = RGBColor(226, 226, 226);
const LEVEL: RGBColor = RGBColor(110, 110, 110);
const LEADER: RGBColor = RGBColor(170, 170, 170);
const NOTE: RGBColor = RGBColor(70, 70, 70);

/// A value with its spread, such as that over seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub x: f64,
    pub y: f64,
    pub deviation: Option<f64>,
    /// Whether it says nothing: its marker is hollow.
    pub hollow: bool,
    /// For the value of a bin: its edges.
    pub bin: Option<(f64, f64)>,
}

/// A line of one panel.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub name: String,
    pub look: Look,
    pub points: Vec<Point>,
    /// Where there should be a value and is none.
    pub undefined: Vec<f64>,
}

/// A horizontal line with a name.
#[derive(Debug, Clone)]
pub(super) struct Level {
    pub name: String,
    pub y: f64,
}

/// One panel.
#[derive(Debug, Clone)]
pub(super) struct Panel {
    pub title: String,
    pub y_label: String,
    pub y: Span,
    pub lines: Vec<Line>,
    pub levels: Vec<Level>,
    /// Share of the height.
    pub weight: f64,
}

impl Panel {
    /// Height in units: no name on its right covers another.
    fn tall(&self, width: f64, font: f64) -> f64 {
        let names = (self.lines.len() + self.levels.len()) as f64;
        (self.weight * (0.22 * width).max(8.0 * font)).max(NAME_GAP * font * names)
    }

    /// Where a point's value less and plus its deviation lie.
    fn ends(&self, point: &Point) -> Option<[f64; 2]> {
        let deviation = point.deviation?;
        Some([-1.0, 1.0].map(|sign| self.y.place(point.y + sign * deviation)))
    }

    /// Outline of the deviations along a line, empty where no band shows them.
    fn band(&self, line: &Line, x: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        let joined = line.points.len() > 1 && line.points.iter().all(|p| p.bin.is_none());
        if !joined || line.points.iter().all(|p| p.deviation.is_none()) {
            return Vec::new();
        }
        let edge = |side: usize| {
            let place = move |p: &Point| self.ends(p).map_or(self.y.place(p.y), |ends| ends[side]);
            line.points.iter().map(|p| (x(p.x), place(p))).collect::<Vec<_>>()
        };
        inside(edge(1).into_iter().chain(edge(0).into_iter().rev()).collect())
    }

    /// The ends of the bar of a value that no band can show: that of a bin, or the only one of its line.
    fn bar(&self, line: &Line, point: &Point) -> Option<[f64; 2]> {
        let alone = line.points.len() == 1 || point.bin.is_some();
        let [low, high] = self.ends(point).filter(|_| alone)?;
        (low <= 1.0 && high >= 0.0).then(|| [low, high].map(|end| end.clamp(0.0, 1.0)))
    }
}

/// The horizontal axis.
#[derive(Debug, Clone)]
pub(super) struct Horizontal {
    pub label: String,
    /// What stands before a value, such as `n = `.
    pub symbol: &'static str,
    pub span: Span,
    /// In ascending order.
    pub ticks: Vec<(f64, String)>,
    /// Share of its length that is free at either end.
    pub margin: f64,
}

/// The whole figure.
#[derive(Debug, Clone)]
pub(super) struct Panels {
    pub name: String,
    pub x: Horizontal,
    pub panels: Vec<Panel>,
    /// What signs mean that no line explains.
    pub notes: Vec<String>,
    /// Width in units of 1/96 inch.
    pub width: u32,
    /// What was drawn where, in backend units.
    pub drawn: RefCell<Vec<((i32, i32), String)>>,
}

/// In heights of letters.
const TITLE_GAP: f64 = 2.2;
const LINE_GAP: f64 = 1.25;
const NAME_GAP: f64 = 1.2;
/// Whoever points at one of more points than this sees no number.
pub(in crate::report) const MOST_HOVER: usize = 40;

impl Panels {
    /// Height of letters in units: 11 points, and 7 in a column of a paper.
    fn font(&self) -> f64 {
        (f64::from(self.width) / 60.0).clamp(9.5, 15.0)
    }

    /// Lines of text as wide as the figure.
    fn wrapped(&self, texts: &[String]) -> Vec<String> {
        let characters = (f64::from(self.width) / (0.5 * self.font())) as usize;
        texts.iter().flat_map(|text| wrap(text, characters.max(20))).collect()
    }

    /// A title in lines that end before the right edge.
    fn title(&self, panel: &Panel) -> Vec<String> {
        let characters = (f64::from(self.width) / (0.62 * self.font())) as usize;
        wrap(&panel.title, characters.max(20))
    }

    /// Height above a panel.
    fn head(&self, panel: &Panel) -> f64 {
        self.font() * (TITLE_GAP + LINE_GAP * (self.title(panel).len().max(1) - 1) as f64)
    }

    /// Whether any panel has a value above its top, and below its bottom.
    pub fn off_scale(&self) -> [bool; 2] {
        let beyond = |is: fn(f64) -> bool| {
            let of = |panel: &Panel| {
                panel.lines.iter().flat_map(|line| &line.points).any(|p| is(panel.y.place(p.y)))
            };
            self.panels.iter().any(of)
        };
        [beyond(|place| place > 1.0), beyond(|place| place < 0.0)]
    }

    /// What shows deviations: `Bands`, `Bars`, or both.
    pub fn spread(&self) -> Option<&'static str> {
        let any = |is: &dyn Fn(&Panel, &Line) -> bool| {
            self.panels.iter().any(|panel| panel.lines.iter().any(|line| is(panel, line)))
        };
        let bands = any(&|panel, line| !panel.band(line, |x| x).is_empty());
        let bars = any(&|panel, line| line.points.iter().any(|p| panel.bar(line, p).is_some()));
        match (bands, bars) {
            (true, true) => Some("Bands and bars"),
            (true, false) => Some("Bands"),
            (false, true) => Some("Bars"),
            (false, false) => None,
        }
    }
}

/// A value as a viewer reads it.
fn shown(value: f64) -> String {
    if value.abs() < 1e5 { format!("{value:.3}") } else { format!("{value:.2e}") }
}

impl Drawing for Panels {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn hover(&self) -> Vec<((i32, i32), String)> {
        self.drawn.take()
    }

    fn size(&self) -> (u32, u32) {
        let font = self.font();
        let tall: f64 = self.panels.iter().map(|p| self.head(p) + p.tall(f64::from(self.width), font)).sum();
        let notes = LINE_GAP * self.wrapped(&self.notes).len() as f64;
        (self.width, (tall + font * (4.2 + notes)).round() as u32)
    }

    fn draw<B: DrawingBackend>(&self, root: &DrawingArea<B, Shift>, scale: Scale) -> Drawn {
        let pen = Pen { root, scale, font: self.font() };
        let (width, font) = (f64::from(self.width), pen.font);
        let names = self.panels.iter().flat_map(|panel| {
            panel.lines.iter().map(|line| &line.name).chain(panel.levels.iter().map(|level| &level.name))
        });
        let widest = names.map(|name| pen.width(name)).fold(0.0, f64::max);
        let tick =
            |panel: &Panel| panel.y.ticks().iter().map(|(_, text)| pen.width(text)).fold(0.0, f64::max);
        let left = self.panels.iter().map(tick).fold(0.0, f64::max) + 2.6 * font;
        let right = width - widest - 2.9 * font;
        let mut top = 0.4 * font;
        for panel in &self.panels {
            for (line, title) in self.title(panel).iter().enumerate() {
                let y = top + font * (1.1 + LINE_GAP * line as f64);
                pen.text(title, (left, y), HPos::Left, BLACK)?;
            }
            top += self.head(panel);
            let tall = panel.tall(width, font);
            self.panel(&pen, panel, [left, right], [top, top + tall])?;
            top += tall;
        }
        self.ticks(&pen, [left, right], top)?;
        let middle = 0.5 * (left + right);
        pen.text(&self.x.label, (middle, top + 2.1 * font), HPos::Center, BLACK)?;
        for (line, note) in self.wrapped(&self.notes).iter().enumerate() {
            let y = top + font * (3.4 + LINE_GAP * line as f64);
            pen.text(note, (0.8 * font, y), HPos::Left, NOTE)?;
        }
        Ok(())
    }
}

impl Panels {
    fn x(&self, x: f64, [left, right]: [f64; 2]) -> f64 {
        let inner = self.x.margin * (right - left);
        left + inner + self.x.span.place(x) * (right - left - 2.0 * inner)
    }

    fn ticks<B: DrawingBackend>(&self, pen: &Pen<'_, B>, sides: [f64; 2], y: f64) -> Drawn {
        let mut free = f64::NEG_INFINITY;
        for (value, text) in &self.x.ticks {
            let x = self.x(*value, sides);
            pen.path(&[(x, y), (x, y + 0.3 * pen.font)], BLACK, 1.0)?;
            let half = 0.5 * pen.width(text);
            if x - half > free {
                pen.text(text, (x, y + 0.85 * pen.font), HPos::Center, BLACK)?;
                free = x + half + 0.4 * pen.font;
            }
        }
        Ok(())
    }

    fn panel<B: DrawingBackend>(
        &self,
        pen: &Pen<'_, B>,
        panel: &Panel,
        sides: [f64; 2],
        [top, bottom]: [f64; 2],
    ) -> Drawn {
        let ([left, right], font) = (sides, pen.font);
        let y = |place: f64| bottom - place * (bottom - top);
        for (value, text) in panel.y.ticks() {
            let at = y(panel.y.place(value));
            pen.path(&[(left, at), (right, at)], GRID, 1.0)?;
            pen.text(&text, (left - 0.5 * font, at), HPos::Right, BLACK)?;
        }
        pen.path(&[(left, top), (left, bottom), (right, bottom)], BLACK, 1.0)?;
        pen.upright(&panel.y_label, (0.9 * font, 0.5 * (top + bottom)))?;
        // What has a name: where its line ends, name, sign.
        let mut names: Vec<((f64, f64), &str, Option<Look>)> = Vec::new();
        for level in panel.levels.iter().filter(|level| (0.0..=1.0).contains(&panel.y.place(level.y))) {
            let at = y(panel.y.place(level.y));
            pen.dashed(&[(left, at), (right, at)], LEVEL, 1.6, &[5.0, 4.0])?;
            names.push(((right, at), &level.name, None));
        }
        for line in &panel.lines {
            self.line(pen, panel, line, sides, [top, bottom])?;
            if let Some(p) = line.points.last() {
                let end = p.bin.map_or(p.x, |(_, to)| to);
                let at = (self.x(end, sides), y(panel.y.place(p.y).clamp(0.0, 1.0)));
                names.push((at, &line.name, Some(line.look)));
            }
        }
        names.sort_by(|a, b| a.0.1.total_cmp(&b.0.1));
        let heights: Vec<f64> = names.iter().map(|name| name.0.1).collect();
        let rows = spread(&heights, NAME_GAP * font, [top - 0.3 * font, bottom]);
        for (&(end, name, look), &row) in names.iter().zip(&rows) {
            let begin = right + 1.1 * font;
            pen.path(&[(end.0 + 0.45 * font, end.1), (begin - 0.15 * font, row)], LEADER, 0.8)?;
            if let Some(look) = look {
                pen.marker((begin + 0.4 * font, row), look, false)?;
            }
            pen.text(name, (begin + 1.1 * font, row), HPos::Left, BLACK)?;
        }
        Ok(())
    }

    fn line<B: DrawingBackend>(
        &self,
        pen: &Pen<'_, B>,
        panel: &Panel,
        line: &Line,
        sides: [f64; 2],
        [top, bottom]: [f64; 2],
    ) -> Drawn {
        let (colour, thick) = (line.look.colour(), line.look.thickness());
        let y = |place: f64| bottom - place * (bottom - top);
        let to_units = |(x, place): (f64, f64)| (x, y(place));
        let places: Vec<_> = line.points.iter().map(|p| (self.x(p.x, sides), panel.y.place(p.y))).collect();
        let bins = line.points.iter().any(|p| p.bin.is_some());
        let band = panel.band(line, |x| self.x(x, sides));
        if !band.is_empty() {
            pen.fill(&band.into_iter().map(to_units).collect::<Vec<_>>(), &colour.mix(0.2))?;
        }
        if !bins {
            for run in runs(&places) {
                let run: Vec<_> = run.into_iter().map(to_units).collect();
                pen.dashed(&run, colour, thick, line.look.dashes())?;
            }
        }
        for (point, &(x, place)) in line.points.iter().zip(&places) {
            if line.points.len() <= MOST_HOVER {
                let spread =
                    point.deviation.map_or_else(String::new, |deviation| format!(" ± {deviation:.3}"));
                let at = self.x.ticks.iter().find(|(value, _)| *value == point.x);
                let at = at.map_or_else(|| super::tick(point.x), |(_, text)| text.clone());
                let value = format!("{}, {}{at}: {}{spread}", line.name, self.x.symbol, shown(point.y));
                self.drawn.borrow_mut().push((pen.at((x, y(place.clamp(0.0, 1.0)))), value));
            }
            let bar = panel.bar(line, point).map(|ends| ends.map(y));
            // Below a hollow marker.
            if let Some(ends) = bar.filter(|_| point.bin.is_none()) {
                pen.whisker(x, ends, colour)?;
            }
            if place > 1.0 {
                pen.arrow((x, top), 1.0, colour)?;
            } else if place < 0.0 {
                pen.arrow((x, bottom), -1.0, colour)?;
            } else if let Some((from, to)) = point.bin {
                let ends = [from, to].map(|x| (self.x(x, sides), y(place)));
                pen.dashed(&ends, colour, thick, line.look.dashes())?;
                if let Some(ends) = bar {
                    pen.whisker(x, ends, colour)?;
                }
            } else if !matches!(line.look.sign, Sign::Thick | Sign::Thin) || line.points.len() == 1 {
                pen.marker((x, y(place)), line.look, point.hollow)?;
            }
        }
        for &x in &line.undefined {
            // Below the arrows of what lies above the panel.
            pen.cross((self.x(x, sides), top + 0.4 * pen.font), colour)?;
        }
        Ok(())
    }
}

/// The parts of a line that lie between the bottom, 0, and the top, 1, of a panel.
fn runs(places: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
    let mut runs: Vec<Vec<(f64, f64)>> = Vec::new();
    for [from, to] in places.windows(2).filter_map(|pair| clipped(pair[0], pair[1])) {
        match runs.last_mut() {
            Some(run) if run.last() == Some(&from) => run.push(to),
            _ => runs.push(vec![from, to]),
        }
    }
    runs
}

/// The part of a polygon between the bottom, 0, and the top, 1, of a panel.
fn inside(mut outline: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    for (limit, sign) in [(0.0, 1.0), (1.0, -1.0)] {
        let keeps = |p: (f64, f64)| sign * (p.1 - limit) >= 0.0;
        let around =
            (0..outline.len()).map(|i| (finite(outline[i]), finite(outline[(i + 1) % outline.len()])));
        let of = |(a, b): ((f64, f64), (f64, f64))| {
            let crossing =
                (keeps(a) != keeps(b)).then(|| (a.0 + (b.0 - a.0) * (limit - a.1) / (b.1 - a.1), limit));
            Some(a).filter(|_| keeps(a)).into_iter().chain(crossing)
        };
        outline = around.flat_map(of).collect();
    }
    outline
}

/// A value beyond a double counts as far off.
fn finite((x, place): (f64, f64)) -> (f64, f64) {
    (x, place.clamp(-1e6, 1e6))
}

/// The part of a segment between the bottom, 0, and the top, 1, of a panel.
fn clipped(a: (f64, f64), b: (f64, f64)) -> Option<[(f64, f64); 2]> {
    let (a, b) = (finite(a), finite(b));
    let at = |place: f64| (a.0 + (b.0 - a.0) * (place - a.1) / (b.1 - a.1), place);
    let inside = |p: (f64, f64)| (0.0..=1.0).contains(&p.1);
    let end = |p: (f64, f64)| if inside(p) { p } else { at(p.1.clamp(0.0, 1.0)) };
    if (a.1 > 1.0 && b.1 > 1.0) || (a.1 < 0.0 && b.1 < 0.0) {
        return None;
    }
    Some([end(a), end(b)])
}

/// Rows for names at these ascending heights, at least `gap` apart and within the range if there is room.
fn spread(heights: &[f64], gap: f64, [top, bottom]: [f64; 2]) -> Vec<f64> {
    let mut rows = heights.to_vec();
    for i in 1..rows.len() {
        rows[i] = rows[i].max(rows[i - 1] + gap);
    }
    let mut least = bottom;
    for row in rows.iter_mut().rev() {
        *row = row.min(least);
        least = *row - gap;
    }
    // Too many for the panel: from its top, as close as they must be.
    if rows.first().is_some_and(|&first| first < top) {
        let step = ((bottom - top) / (rows.len().max(2) - 1) as f64).min(gap);
        rows.iter_mut().enumerate().for_each(|(i, row)| *row = row.max(top + step * i as f64));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_apart_and_stay_in_the_panel() {
        assert_eq!(spread(&[10.0, 50.0], 10.0, [0.0, 100.0]), [10.0, 50.0]);
        assert_eq!(spread(&[10.0, 11.0, 12.0], 10.0, [0.0, 100.0]), [10.0, 20.0, 30.0]);
        assert_eq!(spread(&[98.0, 99.0, 100.0], 10.0, [0.0, 100.0]), [80.0, 90.0, 100.0]);
        let many = spread(&[5.0; 11], 20.0, [0.0, 100.0]);
        assert!(
            many.windows(2).all(|pair| pair[1] > pair[0]) && many[0] == 0.0 && many[10] == 100.0,
            "{many:?}"
        );
    }

    #[test]
    fn bands_end_at_the_edges_without_bending() {
        let wedge = vec![(0.0, 0.5), (1.0, 1.5), (1.0, 0.5)];
        assert_eq!(inside(wedge), [(0.0, 0.5), (0.5, 1.0), (1.0, 1.0), (1.0, 0.5)]);
        assert!(inside(vec![(0.0, 2.0), (1.0, f64::INFINITY), (1.0, 3.0)]).is_empty());
    }

    #[test]
    fn segments_end_at_the_edges() {
        assert_eq!(clipped((0.0, 0.5), (1.0, 1.5)), Some([(0.0, 0.5), (0.5, 1.0)]));
        assert_eq!(clipped((0.0, -1.0), (1.0, 2.0)).unwrap().map(|p| p.1), [0.0, 1.0]);
        assert_eq!(clipped((0.0, 2.0), (1.0, 3.0)), None);
        let far = clipped((0.0, 0.5), (1.0, f64::INFINITY)).unwrap();
        assert!(far[1].0 < 1e-6 && far[1].1 == 1.0, "{far:?}");
    }
}
