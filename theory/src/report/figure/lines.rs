//! Curves of one quantity against another, on linear or logarithmic axes, with an optional second axis on the right.

use super::{Drawing, Drawn, Format, Scale, message, render, tick};
use crate::error::{Error, Result};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use std::ops::Range;

pub(super) const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(60, 60, 60),
    RGBColor(140, 90, 60),
];

/// Up to this many points a series is marked with dots.
const MAX_MARKED: usize = 40;
/// A series is thinned to about this many points: more than a PNG has columns adds nothing.
const MAX_POINTS: usize = 4000;

/// One curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Points in the order of drawing; those that are not finite, or not positive on a logarithmic axis, are left out.
    pub points: Vec<(f64, f64)>,
    /// Whether its values belong to the right axis, which is linear.
    pub right: bool,
}

/// A figure of curves.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lines {
    /// Heading.
    pub title: String,
    /// What the horizontal axis shows.
    pub x_label: String,
    /// What the left axis shows.
    pub y_label: String,
    /// What the right axis shows.
    pub right_label: String,
    /// Whether the horizontal axis is logarithmic.
    pub log_x: bool,
    /// Whether the left axis is logarithmic.
    pub log_y: bool,
    /// Names of the positions 0, 1, … of a linear horizontal axis, such as those of unequal intervals; none: numbers.
    pub x_names: Vec<String>,
    /// The curves; at most eight differ in colour.
    pub series: Vec<Series>,
}

/// The curves as a file of this format.
///
/// # Errors
/// No point can be drawn; a logarithmic horizontal axis whose positions have names.
///
/// # Examples
/// ```
/// use theory::report::figure::{Format, Lines, Series, lines};
/// let squares = Series { name: "n²".into(), points: vec![(1.0, 1.0), (2.0, 4.0), (3.0, 9.0)], right: false };
/// let figure = Lines { title: "Squares".into(), x_label: "n".into(), series: vec![squares], ..Lines::default() };
/// assert!(lines(&figure, Format::Png)?.starts_with(b"\x89PNG"));
/// assert!(String::from_utf8_lossy(&lines(&figure, Format::Svg)?).contains("Squares"));
/// # Ok::<(), theory::Error>(())
/// ```
pub fn lines(figure: &Lines, format: Format) -> Result<Vec<u8>> {
    let mut figure = figure.clone();
    if figure.log_x && !figure.x_names.is_empty() {
        return Err(Error::argument(format!(
            "figure '{}': positions with names have no logarithmic axis",
            figure.title
        )));
    }
    for series in &mut figure.series {
        let (log_x, log_y) = (figure.log_x, figure.log_y && !series.right);
        let fits = |v: f64, log: bool| v.is_finite() && (!log || v > 0.0);
        series.points.retain(|&(x, y)| fits(x, log_x) && fits(y, log_y));
        let step = series.points.len().div_ceil(MAX_POINTS).max(1);
        let last = series.points.len().saturating_sub(1);
        let mut index = 0..;
        series.points.retain(|_| index.next().is_some_and(|i| i % step == 0 || i == last));
    }
    figure.series.retain(|s| !s.points.is_empty());
    if figure.series.is_empty() {
        return Err(Error::argument(format!("no point of the figure '{}' can be drawn", figure.title)));
    }
    render(&figure, format)
}

impl Drawing for Lines {
    fn name(&self) -> String {
        self.title.clone()
    }

    fn draw<B: DrawingBackend>(&self, root: &DrawingArea<B, Shift>, scale: Scale) -> Drawn {
        let points = || self.series.iter().flat_map(|s| s.points.iter().map(move |&(x, y)| (s.right, x, y)));
        let x = match self.x_names.len() {
            0 => range(points().map(|(_, x, _)| x), self.log_x, 0.0),
            names => -0.5..names as f64 - 0.5,
        };
        let left = range(points().filter(|p| !p.0).map(|(_, _, y)| y), self.log_y, 0.04);
        let right = range(points().filter(|p| p.0).map(|(_, _, y)| y), false, 0.04);
        let width = |range: &Range<f64>, log: bool| if log { 0.0 } else { range.end - range.start };
        let widths = [width(&x, self.log_x), width(&left, self.log_y), width(&right, false)];
        match (self.log_x, self.log_y) {
            (false, false) => self.plot(root, scale, widths, x, left, right),
            (false, true) => self.plot(root, scale, widths, x, left.log_scale(), right),
            (true, false) => self.plot(root, scale, widths, x.log_scale(), left, right),
            (true, true) => self.plot(root, scale, widths, x.log_scale(), left.log_scale(), right),
        }
    }
}

/// The values' range, widened by this share of it at both ends; never empty.
fn range(values: impl Iterator<Item = f64>, log: bool, margin: f64) -> Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return if log { 0.1..1.0 } else { 0.0..1.0 };
    }
    if log {
        let factor = if low == high { 2.0 } else { (high / low).powf(margin) };
        return low / factor..high * factor;
    }
    let width = if low == high { 0.5 * low.abs().max(1.0) } else { margin * (high - low) };
    low - width..high + width
}

impl Lines {
    /// Draws on axes of these types; `X` and `Y` span the left axes, `right` the right one. `widths` are those of
    /// linear axes, where −0.1 + 0.1 may not be 0.
    fn plot<B, X, Y>(
        &self,
        root: &DrawingArea<B, Shift>,
        scale: Scale,
        widths: [f64; 3],
        x: X,
        y: Y,
        right: Range<f64>,
    ) -> Drawn
    where
        B: DrawingBackend,
        X: AsRangedCoord<Value = f64> + Clone,
        Y: AsRangedCoord<Value = f64>,
        X::CoordDescType: ValueFormatter<f64>,
        Y::CoordDescType: ValueFormatter<f64>,
    {
        let legend_lines = self.series.len().div_ceil(3) as i32;
        let (strip, plot) = root.split_vertically(scale.length(46 + 20 * legend_lines));
        self.legend(&strip, scale)?;
        let label = |axis: usize| {
            move |v: &f64| if v.abs() < 1e-9 * widths[axis] { "0".to_string() } else { tick(*v) }
        };
        let x_label = |v: &f64| {
            let slot = v.round();
            let whole = (v - slot).abs() < 1e-6 && slot >= 0.0;
            match self.x_names.get(slot as usize).filter(|_| whole) {
                Some(name) => name.clone(),
                None if self.x_names.is_empty() => label(0)(v),
                None => String::new(),
            }
        };
        let two_axes = self.series.iter().any(|s| s.right);
        let mut chart = ChartBuilder::on(&plot)
            .margin(scale.length(16))
            .x_label_area_size(scale.length(46))
            .y_label_area_size(scale.length(80))
            .right_y_label_area_size(scale.length(if two_axes { 70 } else { 0 }))
            .build_cartesian_2d(x.clone(), y)
            .map_err(message)?
            .set_secondary_coord(x, right);
        let mut mesh = chart.configure_mesh();
        if !self.x_names.is_empty() {
            mesh.disable_x_mesh().x_labels(2 * self.x_names.len() + 1);
        }
        mesh.light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(225, 225, 225).stroke_width(scale.width(1)))
            .axis_style(BLACK.stroke_width(scale.width(1)))
            .set_all_tick_mark_size(scale.length(4))
            .x_desc(&self.x_label)
            .y_desc(&self.y_label)
            .x_label_formatter(&x_label)
            .y_label_formatter(&label(1))
            .label_style(scale.font(15))
            .axis_desc_style(scale.font(16))
            .draw()
            .map_err(message)?;
        if two_axes {
            chart
                .configure_secondary_axes()
                .axis_style(BLACK.stroke_width(scale.width(1)))
                .set_all_tick_mark_size(scale.length(4))
                .y_desc(&self.right_label)
                .y_label_formatter(&label(2))
                .label_style(scale.font(15))
                .axis_desc_style(scale.font(16))
                .draw()
                .map_err(message)?;
        }
        for (index, series) in self.series.iter().enumerate() {
            let style = colour(index).stroke_width(scale.width(2));
            let line = PathElement::new(series.points.clone(), style);
            let marked = series.points.len() <= MAX_MARKED;
            let dots = series.points.iter().filter(|_| marked);
            let dots = dots.map(|&p| Circle::new(p, scale.length(3), colour(index).filled()));
            if series.right {
                chart.draw_secondary_series([line]).map_err(message)?;
                chart.draw_secondary_series(dots).map_err(message)?;
            } else {
                chart.draw_series([line]).map_err(message)?;
                chart.draw_series(dots).map_err(message)?;
            }
        }
        Ok(())
    }

    /// Title, and names and colours in three columns.
    fn legend<B: DrawingBackend>(&self, strip: &DrawingArea<B, Shift>, scale: Scale) -> Drawn {
        let at = |x: i32, y: i32| (scale.length(x), scale.length(y));
        strip.draw(&Text::new(self.title.clone(), at(96, 12), scale.font(19))).map_err(message)?;
        for (index, series) in self.series.iter().enumerate() {
            let (x, y) = (96 + 250 * (index % 3) as i32, 48 + 20 * (index / 3) as i32);
            let line = vec![at(x, y), at(x + 20, y)];
            let style = colour(index).stroke_width(scale.width(3));
            strip.draw(&PathElement::new(line, style)).map_err(message)?;
            let name =
                if series.right { format!("{} (right axis)", series.name) } else { series.name.clone() };
            strip.draw(&Text::new(name, at(x + 28, y - 5), scale.font(15))).map_err(message)?;
        }
        Ok(())
    }
}

fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_draw_is_an_error_and_many_points_are_thinned() {
        let series = |points| Series { name: "s".into(), points, right: false };
        let mut figure = Lines {
            log_y: true,
            series: vec![series(vec![(1.0, 0.0), (2.0, f64::NAN)])],
            ..Lines::default()
        };
        assert!(lines(&figure, Format::Svg).unwrap_err().to_string().contains("no point"));
        let named = Lines {
            x_names: vec!["first".into(), "second".into()],
            series: vec![series(vec![(0.0, 1.0), (1.0, 2.0)])],
            ..Lines::default()
        };
        let svg = String::from_utf8(lines(&named, Format::Svg).unwrap()).unwrap();
        assert!(svg.contains("first") && svg.contains("second") && !svg.contains(">0.5<"), "{svg}");
        let logarithmic = Lines { log_x: true, ..named };
        assert!(lines(&logarithmic, Format::Svg).unwrap_err().to_string().contains("positions with names"));
        figure.series = vec![series((1..100_000).map(|i| (f64::from(i), f64::from(i))).collect())];
        assert!(lines(&figure, Format::Svg).unwrap().len() < 100_000);
    }
}
