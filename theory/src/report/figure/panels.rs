//! Panels below each other that share the horizontal axis: lines with markers and bands, named at their right end.
//!
//! Each line keeps its colour, marker and dash in every panel. Colours are those of Okabe & Ito without yellow, and
//! every line has a marker of its own, so that neither colour blindness nor grey print makes two lines one.

use super::{Drawing, Drawn, Scale, lines::COLOURS, message};
use crate::report::format::wrap;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::cell::RefCell;
use std::ops::Range;

/// Of [`COLOURS`], those that lines have: black is left for what was measured.
const COLOURED: usize = 6;
/// Corners of markers around their centre, in turns from straight up; none: a circle.
const MARKERS: [&[f64]; 6] = [
    &[],
    &[0.125, 0.375, 0.625, 0.875],
    &[0.0, 0.36, 0.64],
    &[0.0, 0.25, 0.5, 0.75],
    &[0.5, 0.86, 0.14],
    &[0.0, 0.2, 0.4, 0.6, 0.8],
];
/// Lengths of strokes and gaps, in units.
const DASHES: [&[f64]; 4] = [&[], &[7.0, 3.0], &[2.0, 3.0], &[9.0, 3.0, 2.0, 3.0]];
const GRID: RGBColor = RGBColor(226, 226, 226);

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Look {
    /// Of [`COLOURS`]; `None`: black.
    pub colour: Option<usize>,
    /// Of [`MARKERS`]; `None`: a thicker line.
    pub marker: Option<usize>,
    pub dash: usize,
}

impl Look {
    fn colour(self) -> RGBColor {
        self.colour.map_or(BLACK, |index| COLOURS[index % COLOURED])
    }
}

/// A value with its spread over seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub x: f64,
    pub y: f64,
    pub deviation: Option<f64>,
    /// Whether it says nothing: its marker is hollow.
    pub hollow: bool,
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
    pub y_label: &'static str,
    pub log: bool,
    pub range: Range<f64>,
    pub lines: Vec<Line>,
    pub levels: Vec<Level>,
    /// Share of the height.
    pub weight: f64,
}

impl Panel {
    /// Place of a value between the bottom, 0, and the top, 1.
    fn place(&self, y: f64) -> f64 {
        let scale = |v: f64| if self.log { v.max(f64::MIN_POSITIVE).ln() } else { v };
        (scale(y) - scale(self.range.start)) / (scale(self.range.end) - scale(self.range.start))
    }

    /// Whether a marker shows that a value lies above the panel.
    fn has_off_scale(&self) -> bool {
        self.lines.iter().any(|line| line.points.iter().any(|p| self.place(p.y) > 1.0))
    }

    /// Height in units: no name on its right covers another.
    fn tall(&self, width: f64, font: f64) -> f64 {
        let names = (self.lines.len() + self.levels.len()) as f64;
        (self.weight * (0.22 * width).max(8.0 * font)).max(NAME_GAP * font * names)
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        if self.log { log_ticks(&self.range) } else { linear_ticks(&self.range) }
    }
}

/// The whole figure; the horizontal axis is logarithmic.
#[derive(Debug, Clone)]
pub(super) struct Panels {
    pub name: String,
    pub x_label: String,
    /// The measured positions, in ascending order.
    pub ticks: Vec<u64>,
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
const NAME_GAP: f64 = 1.2;

impl Panels {
    /// Height of letters in units: 11 points, and 7 in a column of a paper.
    fn font(&self) -> f64 {
        (f64::from(self.width) / 60.0).clamp(9.5, 15.0)
    }

    fn note_lines(&self, characters: usize) -> Vec<String> {
        self.notes.iter().flat_map(|note| wrap(note, characters.max(20))).collect()
    }

    fn characters(&self) -> usize {
        (f64::from(self.width) / (0.5 * self.font())) as usize
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
        let tall: f64 = self.panels.iter().map(|panel| panel.tall(f64::from(self.width), font)).sum();
        let fixed = font * (TITLE_GAP * self.panels.len() as f64 + 4.2);
        let notes = 1.25 * font * self.note_lines(self.characters()).len() as f64;
        (self.width, (tall + fixed + notes).round() as u32)
    }

    fn draw<B: DrawingBackend>(&self, root: &DrawingArea<B, Shift>, scale: Scale) -> Drawn {
        let pen = Pen { root, scale, font: self.font() };
        let (width, font) = (f64::from(self.width), pen.font);
        let names = self.panels.iter().flat_map(|panel| {
            panel.lines.iter().map(|line| &line.name).chain(panel.levels.iter().map(|level| &level.name))
        });
        let widest = names.map(|name| pen.width(name)).fold(0.0, f64::max);
        let tick = |panel: &Panel| panel.ticks().iter().map(|(_, text)| pen.width(text)).fold(0.0, f64::max);
        let left = self.panels.iter().map(tick).fold(0.0, f64::max) + 2.6 * font;
        let right = width - widest - 2.9 * font;
        let notes = self.note_lines(self.characters());
        let mut top = 0.4 * font;
        for panel in &self.panels {
            top += TITLE_GAP * font;
            let tall = panel.tall(width, font);
            self.panel(&pen, panel, [left, right], [top, top + tall])?;
            top += tall;
        }
        self.ticks(&pen, [left, right], top)?;
        let middle = 0.5 * (left + right);
        pen.text(&self.x_label, (middle, top + 2.1 * font), HPos::Center, BLACK)?;
        for (line, note) in notes.iter().enumerate() {
            pen.text(
                note,
                (0.8 * font, top + font * (3.4 + 1.25 * line as f64)),
                HPos::Left,
                RGBColor(70, 70, 70),
            )?;
        }
        Ok(())
    }
}

impl Panels {
    fn x(&self, x: f64, [left, right]: [f64; 2]) -> f64 {
        let (first, last) = (self.ticks.first().map_or(1, |n| *n), self.ticks.last().map_or(1, |n| *n));
        let (low, high) = ((first.max(1) as f64).ln(), (last.max(1) as f64).ln());
        let inner = 0.04 * (right - left);
        if low == high {
            return 0.5 * (left + right);
        }
        left + inner + (x.ln() - low) / (high - low) * (right - left - 2.0 * inner)
    }

    fn ticks<B: DrawingBackend>(&self, pen: &Pen<'_, B>, sides: [f64; 2], y: f64) -> Drawn {
        let mut free = f64::NEG_INFINITY;
        for &n in &self.ticks {
            let (x, text) = (self.x(n as f64, sides), n.to_string());
            pen.path(&[(x, y), (x, y + 0.3 * pen.font)], BLACK, 1.0)?;
            let half = 0.5 * pen.width(&text);
            if x - half > free {
                pen.text(&text, (x, y + 0.85 * pen.font), HPos::Center, BLACK)?;
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
        pen.text(&panel.title, (left, top - 1.1 * font), HPos::Left, BLACK)?;
        for (value, text) in panel.ticks() {
            let at = y(panel.place(value));
            pen.path(&[(left, at), (right, at)], GRID, 1.0)?;
            pen.text(&text, (left - 0.5 * font, at), HPos::Right, BLACK)?;
        }
        pen.path(&[(left, top), (left, bottom), (right, bottom)], BLACK, 1.0)?;
        pen.upright(panel.y_label, (0.9 * font, 0.5 * (top + bottom)))?;
        // Where a name begins: place of the line's end, name, sign.
        let mut names: Vec<(f64, &str, Option<Look>)> = Vec::new();
        for level in panel.levels.iter().filter(|level| (0.0..=1.0).contains(&panel.place(level.y))) {
            let at = y(panel.place(level.y));
            pen.dashed(&[(left, at), (right, at)], RGBColor(110, 110, 110), 1.6, &[5.0, 4.0])?;
            names.push((at, &level.name, None));
        }
        for line in &panel.lines {
            let colour = line.look.colour();
            let place = |p: &Point, y: f64| (self.x(p.x, sides), panel.place(y));
            let to_units = |(x, place): (f64, f64)| (x, y(place));
            if line.points.iter().any(|p| p.deviation.is_some()) && line.points.len() > 1 {
                let edge = |sign: f64| {
                    line.points.iter().map(move |p| {
                        let (x, place) = place(p, p.y + sign * p.deviation.unwrap_or(0.0));
                        (x, place.clamp(0.0, 1.0))
                    })
                };
                let outline: Vec<_> =
                    edge(1.0).chain(edge(-1.0).collect::<Vec<_>>().into_iter().rev()).collect();
                pen.fill(&outline.into_iter().map(to_units).collect::<Vec<_>>(), &colour.mix(0.2))?;
            }
            let places: Vec<_> = line.points.iter().map(|p| place(p, p.y)).collect();
            for pair in places.windows(2) {
                if let Some(ends) = clipped(pair[0], pair[1]) {
                    let thick = if line.look.marker.is_none() { 3.0 } else { 1.8 };
                    pen.dashed(&ends.map(to_units), colour, thick, DASHES[line.look.dash % DASHES.len()])?;
                }
            }
            for (point, &(x, place)) in line.points.iter().zip(&places) {
                let spread =
                    point.deviation.map_or_else(String::new, |deviation| format!(" ± {deviation:.3}"));
                let value = format!("{}, n = {}: {}{spread}", line.name, point.x, shown(point.y));
                self.drawn.borrow_mut().push((pen.at((x, y(place.clamp(0.0, 1.0)))), value));
                if place > 1.0 {
                    pen.arrow((x, top), colour)?;
                } else if place >= 0.0 {
                    pen.marker((x, y(place)), line.look, point.hollow)?;
                }
            }
            for &x in &line.undefined {
                pen.cross((self.x(x, sides), top), colour)?;
            }
            if let Some(&(_, place)) = places.last() {
                names.push((y(place.clamp(0.0, 1.0)), &line.name, Some(line.look)));
            }
        }
        names.sort_by(|a, b| a.0.total_cmp(&b.0));
        let apart = spread(
            &names.iter().map(|name| name.0).collect::<Vec<_>>(),
            NAME_GAP * font,
            [top - 0.3 * font, bottom],
        );
        for (&(at, name, look), &row) in names.iter().zip(&apart) {
            let begin = right + 1.1 * font;
            pen.path(&[(right + 0.15 * font, at), (begin - 0.15 * font, row)], RGBColor(170, 170, 170), 0.8)?;
            if let Some(look) = look {
                pen.marker((begin + 0.4 * font, row), look, false)?;
            }
            pen.text(name, (begin + 1.1 * font, row), HPos::Left, BLACK)?;
        }
        Ok(())
    }

    /// Whether any panel has a value above its top.
    pub fn has_off_scale(&self) -> bool {
        self.panels.iter().any(Panel::has_off_scale)
    }
}

/// The part of a segment between the bottom, 0, and the top, 1, of a panel; a value beyond a double counts as far above.
fn clipped(a: (f64, f64), b: (f64, f64)) -> Option<[(f64, f64); 2]> {
    let finite = |(x, place): (f64, f64)| (x, place.clamp(-1e6, 1e6));
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

/// Decades, or 1, 2, 5 times them where they are few.
fn log_ticks(range: &Range<f64>) -> Vec<(f64, String)> {
    let (low, high) = (range.start.log10().ceil() as i32, range.end.log10().floor() as i32);
    let step = ((high - low) / 7 + 1).max(1);
    let plain = range.start >= 1e-3 && range.end < 2e4;
    let mut ticks = Vec::new();
    for power in low - 1..=high {
        let factors: &[f64] = if high - low < 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        for &factor in factors {
            let value = factor * 10f64.powi(power);
            if (range.start..=range.end).contains(&value) && (factor > 1.0 || power.rem_euclid(step) == 0) {
                ticks.push((value, if plain { super::tick(value) } else { power_of_ten(factor, power) }));
            }
        }
    }
    ticks
}

fn power_of_ten(factor: f64, power: i32) -> String {
    let raised = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32(0x2070 + digit.to_digit(10).unwrap_or(0)).unwrap_or(digit),
    };
    let power: String = power.to_string().chars().map(raised).collect();
    if factor == 1.0 { format!("10{power}") } else { format!("{factor}·10{power}") }
}

/// Four to eight round numbers.
fn linear_ticks(range: &Range<f64>) -> Vec<(f64, String)> {
    let rough = (range.end - range.start) / 6.0;
    if !(rough.is_finite() && rough > 0.0) {
        return Vec::new();
    }
    let power = 10f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|f| f * power).into_iter().find(|step| *step >= rough).unwrap_or(rough);
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let first = (range.start / step - 1e-9).ceil() as i64;
    let last = (range.end / step + 1e-9).floor() as i64;
    (first..=last).map(|i| (i as f64 * step, format!("{:.decimals$}", i as f64 * step + 0.0))).collect()
}

/// Draws in units.
struct Pen<'a, B: DrawingBackend> {
    root: &'a DrawingArea<B, Shift>,
    scale: Scale,
    font: f64,
}

impl<B: DrawingBackend> Pen<'_, B> {
    fn at(&self, (x, y): (f64, f64)) -> (i32, i32) {
        (self.scale.round(x), self.scale.round(y))
    }

    fn letters(&self) -> TextStyle<'static> {
        ("sans-serif", self.scale.round(self.font)).into_font().color(&BLACK)
    }

    fn width(&self, text: &str) -> f64 {
        let found = self.root.estimate_text_size(text, &self.letters());
        f64::from(found.map_or(0, |size| size.0)) / f64::from(self.scale.round(1.0))
    }

    fn text(&self, text: &str, place: (f64, f64), side: HPos, colour: RGBColor) -> Drawn {
        let style = self.letters().color(&colour).pos(Pos::new(side, VPos::Center));
        self.root.draw(&Text::new(text.to_string(), self.at(place), style)).map_err(message)
    }

    fn upright(&self, text: &str, place: (f64, f64)) -> Drawn {
        let font =
            ("sans-serif", self.scale.round(self.font)).into_font().transform(FontTransform::Rotate270);
        let style = font.color(&BLACK).pos(Pos::new(HPos::Center, VPos::Center));
        self.root.draw(&Text::new(text.to_string(), self.at(place), style)).map_err(message)
    }

    fn path(&self, points: &[(f64, f64)], colour: RGBColor, width: f64) -> Drawn {
        let points: Vec<_> = points.iter().map(|&p| self.at(p)).collect();
        // As thin as the letters are small.
        let style = colour.stroke_width(self.scale.round(width * self.font / 15.0).max(1) as u32);
        self.root.draw(&PathElement::new(points, style)).map_err(message)
    }

    fn fill(&self, points: &[(f64, f64)], colour: &RGBAColor) -> Drawn {
        let points: Vec<_> = points.iter().map(|&p| self.at(p)).collect();
        self.root.draw(&Polygon::new(points, colour.filled())).map_err(message)
    }

    /// A segment in strokes and gaps; without any, whole.
    fn dashed(&self, ends: &[(f64, f64); 2], colour: RGBColor, width: f64, pattern: &[f64]) -> Drawn {
        let [a, b] = *ends;
        let length = (b.0 - a.0).hypot(b.1 - a.1);
        if pattern.is_empty() || length == 0.0 {
            return self.path(ends, colour, width);
        }
        let along = |at: f64| (a.0 + (b.0 - a.0) * at / length, a.1 + (b.1 - a.1) * at / length);
        let mut begin = 0.0;
        for (place, part) in pattern.iter().cycle().enumerate() {
            if begin >= length {
                return Ok(());
            }
            let end = (begin + part).min(length);
            if place % 2 == 0 {
                self.path(&[along(begin), along(end)], colour, width)?;
            }
            begin = end;
        }
        Ok(())
    }

    fn marker(&self, (x, y): (f64, f64), look: Look, hollow: bool) -> Drawn {
        let radius = 0.3 * self.font;
        let Some(marker) = look.marker else {
            return self.path(&[(x - radius, y), (x + radius, y)], look.colour(), 3.0);
        };
        let corners = MARKERS[marker % MARKERS.len()];
        let turns: Vec<f64> = if corners.is_empty() {
            (0..24).map(|i| f64::from(i) / 24.0).collect()
        } else {
            corners.to_vec()
        };
        let mut outline: Vec<(f64, f64)> = turns
            .iter()
            .map(|turn| {
                let (sin, cos) = (std::f64::consts::TAU * turn).sin_cos();
                (x + radius * sin, y - radius * cos)
            })
            .collect();
        let colour = look.colour();
        self.fill(&outline, &if hollow { WHITE.mix(1.0) } else { colour.mix(1.0) })?;
        outline.push(outline[0]);
        self.path(&outline, colour, 1.5)
    }

    /// A value above the panel.
    fn arrow(&self, (x, y): (f64, f64), colour: RGBColor) -> Drawn {
        let (half, tall) = (0.28 * self.font, 0.5 * self.font);
        self.fill(&[(x - half, y), (x + half, y), (x, y - tall)], &colour.mix(1.0))
    }

    /// No value.
    fn cross(&self, (x, y): (f64, f64), colour: RGBColor) -> Drawn {
        let half = 0.25 * self.font;
        self.path(&[(x - half, y - half), (x + half, y + half)], colour, 1.8)?;
        self.path(&[(x - half, y + half), (x + half, y - half)], colour, 1.8)
    }
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
    fn segments_end_at_the_edges() {
        assert_eq!(clipped((0.0, 0.5), (1.0, 1.5)), Some([(0.0, 0.5), (0.5, 1.0)]));
        assert_eq!(clipped((0.0, -1.0), (1.0, 2.0)).unwrap().map(|p| p.1), [0.0, 1.0]);
        assert_eq!(clipped((0.0, 2.0), (1.0, 3.0)), None);
        let far = clipped((0.0, 0.5), (1.0, f64::INFINITY)).unwrap();
        assert!(far[1].0 < 1e-6 && far[1].1 == 1.0, "{far:?}");
    }

    #[test]
    fn ticks_have_one_style() {
        let texts = |ticks: Vec<(f64, String)>| ticks.into_iter().map(|t| t.1).collect::<Vec<_>>();
        assert_eq!(texts(log_ticks(&(0.5..2e6))), ["10⁰", "10¹", "10²", "10³", "10⁴", "10⁵", "10⁶"]);
        assert_eq!(texts(log_ticks(&(0.5..60.0))), ["0.5", "1", "2", "5", "10", "20", "50"]);
        assert_eq!(texts(log_ticks(&(0.5..6000.0))), ["1", "10", "100", "1000"]);
        assert_eq!(texts(linear_ticks(&(0.0..2.76))), ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"]);
        assert_eq!(texts(linear_ticks(&(0.85..1.0))), ["0.85", "0.90", "0.95", "1.00"]);
    }
}
