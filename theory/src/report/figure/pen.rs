//! Lines, markers and letters in units of the figure.

use super::{COLOURS, Drawn, Scale, message};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Colours of lines: those of Okabe & Ito that stand out from white.
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
/// Ends of the strokes of an open marker; × is left for undefined values.
const STROKES: [&[f64]; 4] =
    [&[0.0, 0.25, 0.5, 0.75], &[0.5, 0.86, 0.14], &[0.0, 0.36, 0.64], &[0.0, 0.2, 0.4, 0.6, 0.8]];
/// Lengths of strokes and gaps of lines, in units; [`DOTTED`] is the third.
const DASHES: [&[f64]; 4] = [&[], &[7.0, 3.0], &[2.0, 3.0], &[9.0, 3.0, 2.0, 3.0]];

/// The dash of dots.
pub(super) const DOTTED: usize = 2;

/// What stands at the points of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Sign {
    /// Nothing; the line is thick.
    Thick,
    /// Nothing; the line is thin.
    Thin,
    /// A closed marker, hollow where a value says nothing.
    Closed(usize),
    /// A marker of strokes, which is neither filled nor hollow.
    Open(usize),
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Look {
    /// `None`: black.
    pub colour: Option<usize>,
    pub sign: Sign,
    pub dash: usize,
}

impl Look {
    /// The colours in turn, each time with the next marker and the next dashes: 36 differ in colour and marker, 24 in
    /// colour and dashes.
    pub fn nth(index: usize) -> Self {
        let round = index + index / COLOURED;
        Self { colour: Some(index), sign: Sign::Closed(round), dash: round }
    }

    pub fn colour(self) -> RGBColor {
        self.colour.map_or(BLACK, |index| COLOURS[index % COLOURED])
    }

    pub fn dashes(self) -> &'static [f64] {
        DASHES[self.dash % DASHES.len()]
    }

    pub fn thickness(self) -> f64 {
        if self.sign == Sign::Thick { 3.0 } else { 1.8 }
    }
}

/// Draws in units.
pub(super) struct Pen<'a, B: DrawingBackend> {
    pub root: &'a DrawingArea<B, Shift>,
    pub scale: Scale,
    /// Height of letters.
    pub font: f64,
}

impl<B: DrawingBackend> Pen<'_, B> {
    pub fn at(&self, (x, y): (f64, f64)) -> (i32, i32) {
        (self.scale.round(x), self.scale.round(y))
    }

    fn letters(&self) -> TextStyle<'static> {
        ("sans-serif", self.scale.round(self.font)).into_font().color(&BLACK)
    }

    pub fn width(&self, text: &str) -> f64 {
        let found = self.root.estimate_text_size(text, &self.letters());
        f64::from(found.map_or(0, |size| size.0)) / f64::from(self.scale.round(1.0))
    }

    pub fn text(&self, text: &str, place: (f64, f64), side: HPos, colour: RGBColor) -> Drawn {
        let style = self.letters().color(&colour).pos(Pos::new(side, VPos::Center));
        self.root.draw(&Text::new(text.to_string(), self.at(place), style)).map_err(message)
    }

    pub fn upright(&self, text: &str, place: (f64, f64)) -> Drawn {
        let font =
            ("sans-serif", self.scale.round(self.font)).into_font().transform(FontTransform::Rotate270);
        let style = font.color(&BLACK).pos(Pos::new(HPos::Center, VPos::Center));
        self.root.draw(&Text::new(text.to_string(), self.at(place), style)).map_err(message)
    }

    pub fn path(&self, points: &[(f64, f64)], colour: RGBColor, width: f64) -> Drawn {
        let points: Vec<_> = points.iter().map(|&p| self.at(p)).collect();
        // As thin as the letters are small.
        let style = colour.stroke_width(self.scale.round(width * self.font / 15.0).max(1) as u32);
        self.root.draw(&PathElement::new(points, style)).map_err(message)
    }

    pub fn fill(&self, points: &[(f64, f64)], colour: &RGBAColor) -> Drawn {
        let points: Vec<_> = points.iter().map(|&p| self.at(p)).collect();
        self.root.draw(&Polygon::new(points, colour.filled())).map_err(message)
    }

    /// A line in strokes and gaps; without any, whole.
    pub fn dashed(&self, points: &[(f64, f64)], colour: RGBColor, width: f64, pattern: &[f64]) -> Drawn {
        if pattern.is_empty() {
            return self.path(points, colour, width);
        }
        let (mut part, mut left) = (0, pattern[0]);
        let mut stroke: Vec<(f64, f64)> = points.first().copied().into_iter().collect();
        for pair in points.windows(2) {
            let (mut from, to) = (pair[0], pair[1]);
            loop {
                let length = (to.0 - from.0).hypot(to.1 - from.1);
                if length.is_nan() || length < left {
                    left -= length;
                    stroke.push(to);
                    break;
                }
                let share = left / length;
                from = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
                stroke.push(from);
                if part % 2 == 0 {
                    self.path(&stroke, colour, width)?;
                }
                part = (part + 1) % pattern.len();
                left = pattern[part];
                stroke = vec![from];
            }
        }
        if part % 2 == 0 && stroke.len() > 1 { self.path(&stroke, colour, width) } else { Ok(()) }
    }

    pub fn marker(&self, (x, y): (f64, f64), look: Look, hollow: bool) -> Drawn {
        let (radius, colour) = (0.3 * self.font, look.colour());
        let corner = |turn: f64| {
            let (sin, cos) = (std::f64::consts::TAU * turn).sin_cos();
            (x + radius * sin, y - radius * cos)
        };
        let turns = match look.sign {
            Sign::Thick | Sign::Thin => {
                return self.path(&[(x - radius, y), (x + radius, y)], colour, look.thickness());
            }
            Sign::Open(marker) => {
                for &turn in STROKES[marker % STROKES.len()] {
                    self.path(&[(x, y), corner(turn)], colour, 2.0)?;
                }
                return Ok(());
            }
            Sign::Closed(marker) => MARKERS[marker % MARKERS.len()],
        };
        let circle: Vec<f64> = (0..24).map(|i| f64::from(i) / 24.0).collect();
        let turns = if turns.is_empty() { &circle } else { turns };
        let mut outline: Vec<(f64, f64)> = turns.iter().map(|&turn| corner(turn)).collect();
        self.fill(&outline, &if hollow { WHITE.mix(1.0) } else { colour.mix(1.0) })?;
        outline.push(outline[0]);
        self.path(&outline, colour, 1.5)
    }

    /// An error bar between two heights.
    pub fn whisker(&self, x: f64, [low, high]: [f64; 2], colour: RGBColor) -> Drawn {
        let cap = 0.2 * self.font;
        self.path(&[(x, low), (x, high)], colour, 1.3)?;
        self.path(&[(x - cap, low), (x + cap, low)], colour, 1.3)?;
        self.path(&[(x - cap, high), (x + cap, high)], colour, 1.3)
    }

    /// A value beyond the panel: above it where `up` is 1, below it where −1. With a stem, which no marker has.
    pub fn arrow(&self, (x, y): (f64, f64), up: f64, colour: RGBColor) -> Drawn {
        let (half, head, tip) = (0.25 * self.font, 0.25 * self.font * up, y - 0.55 * self.font * up);
        self.path(&[(x, y), (x, tip)], colour, 1.6)?;
        self.path(&[(x - half, tip + head), (x, tip), (x + half, tip + head)], colour, 1.6)
    }

    /// No value.
    pub fn cross(&self, (x, y): (f64, f64), colour: RGBColor) -> Drawn {
        let half = 0.25 * self.font;
        self.path(&[(x - half, y - half), (x + half, y + half)], colour, 1.8)?;
        self.path(&[(x - half, y + half), (x + half, y - half)], colour, 1.8)
    }
}
