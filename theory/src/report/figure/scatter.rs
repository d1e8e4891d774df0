//! Two maps of the same points beside each other, each point in the colour and shape of its class.

use super::{COLOURS, Drawing, Drawn, Format, Scale, message, render, tick};
use crate::error::{Error, Result};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Classes that still have a name each: more than three shapes of eight colours are not told apart.
const MAX_NAMED: usize = 20;
/// Names in a line of the legend.
const COLUMNS: usize = 5;
/// Letters of a name that have room there.
const MAX_LETTERS: usize = 16;

/// One map.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Panel {
    /// Heading.
    pub title: String,
    /// What the horizontal axis shows.
    pub x_label: String,
    /// What the vertical axis shows.
    pub y_label: String,
    /// Where each point lies; those that are not finite are left out.
    pub points: Vec<[f64; 2]>,
}

/// A figure of two maps.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scatter {
    /// Heading.
    pub title: String,
    /// What a reader should know, in a line below.
    pub note: String,
    /// Left and right.
    pub panels: [Panel; 2],
    /// The class of each point.
    pub classes: Vec<usize>,
    /// Names of the classes; beyond 20 colours and shapes repeat and the legend is left out.
    pub names: Vec<String>,
}

/// The maps as a file of this format. Both axes of a map span equally much.
///
/// # Errors
/// Another number of points than of classes; a class without a name; nothing can be drawn.
///
/// # Examples
/// ```
/// use theory::report::figure::{Format, Panel, Scatter, scatter};
/// let panel = |title: &str| Panel {
///     title: title.into(),
///     points: vec![[0.0, 1.0], [2.0, 1.5]],
///     ..Panel::default()
/// };
/// let figure = Scatter {
///     panels: [panel("PCA"), panel("t-SNE")],
///     classes: vec![0, 1],
///     names: vec!["cat".into(), "dog".into()],
///     ..Scatter::default()
/// };
/// assert!(scatter(&figure, Format::Png)?.starts_with(b"\x89PNG"));
/// assert!(String::from_utf8_lossy(&scatter(&figure, Format::Svg)?).contains("dog"));
/// # Ok::<(), theory::Error>(())
/// ```
pub fn scatter(figure: &Scatter, format: Format) -> Result<Vec<u8>> {
    let (classes, names) = (&figure.classes, figure.names.len());
    if let Some(panel) = figure.panels.iter().find(|panel| panel.points.len() != classes.len()) {
        let points = panel.points.len();
        return Err(Error::argument(format!(
            "'{}' has {points} points of {} classes",
            panel.title,
            classes.len()
        )));
    }
    if let Some(class) = classes.iter().find(|class| **class >= names) {
        return Err(Error::argument(format!("class {class} has none of {names} names")));
    }
    let mut panels = figure.panels.iter();
    if panels.any(|panel| !panel.points.iter().any(is_finite)) {
        return Err(Error::argument(format!("no point of the figure '{}' can be drawn", figure.title)));
    }
    render(figure, format)
}

fn is_finite(point: &[f64; 2]) -> bool {
    point.iter().all(|v| v.is_finite())
}

impl Drawing for Scatter {
    fn name(&self) -> String {
        self.title.clone()
    }

    fn draw<B: DrawingBackend>(&self, root: &DrawingArea<B, Shift>, scale: Scale) -> Drawn {
        let legend_lines = if self.names.len() > MAX_NAMED { 1 } else { self.names.len().div_ceil(COLUMNS) };
        let (strip, rest) = root.split_vertically(scale.length(40 + 20 * legend_lines as i32));
        let below = rest.dim_in_pixel().1 as i32 - scale.length(26);
        let (plot, foot) = rest.split_vertically(below);
        self.legend(&strip, scale)?;
        foot.draw(&Text::new(self.note.clone(), (scale.length(24), scale.length(2)), scale.font(14)))
            .map_err(message)?;
        let (left, right) = plot.split_horizontally(scale.length(450));
        for (area, panel) in [left, right].iter().zip(&self.panels) {
            self.panel(area, panel, scale)?;
        }
        Ok(())
    }
}

impl Scatter {
    fn panel<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, panel: &Panel, scale: Scale) -> Drawn {
        let finite = || panel.points.iter().filter(|point| is_finite(point));
        let [x, y] = [0, 1].map(|axis| {
            let values = finite().map(|point| point[axis]);
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)))
        });
        // Both axes span equally much, with room at the edge.
        let widest = (x.1 - x.0).max(y.1 - y.0);
        let half = if widest > 0.0 { 0.54 * widest } else { 1.0 };
        let around = |(low, high): (f64, f64)| {
            let middle = 0.5 * (low + high);
            middle - half..middle + half
        };
        let label = |v: &f64| if v.abs() < 1e-9 * half { "0".to_string() } else { tick(*v) };
        let mut chart = ChartBuilder::on(area)
            .margin(scale.length(14))
            .caption(&panel.title, scale.font(17))
            .x_label_area_size(scale.length(44))
            .y_label_area_size(scale.length(62))
            .build_cartesian_2d(around(x), around(y))
            .map_err(message)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(235, 235, 235).stroke_width(scale.width(1)))
            .axis_style(BLACK.stroke_width(scale.width(1)))
            .set_all_tick_mark_size(scale.length(4))
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&label)
            .y_label_formatter(&label)
            .x_desc(&panel.x_label)
            .y_desc(&panel.y_label)
            .label_style(scale.font(14))
            .axis_desc_style(scale.font(15))
            .draw()
            .map_err(message)?;
        // Marks have a size in units of the figure, so they are drawn where the axes are not known.
        let (mapped, plain) = (chart.plotting_area(), chart.plotting_area().strip_coord_spec());
        let origin = plain.get_base_pixel();
        for (point, &class) in panel.points.iter().zip(&self.classes).filter(|(point, _)| is_finite(point)) {
            let (x, y) = mapped.map_coordinate(&(point[0], point[1]));
            mark(&plain, (x - origin.0, y - origin.1), class, scale)?;
        }
        Ok(())
    }

    /// Title, and the name behind the mark of each class.
    fn legend<B: DrawingBackend>(&self, strip: &DrawingArea<B, Shift>, scale: Scale) -> Drawn {
        let at = |x: i32, y: i32| (scale.length(x), scale.length(y));
        strip.draw(&Text::new(self.title.clone(), at(24, 12), scale.font(19))).map_err(message)?;
        if self.names.len() > MAX_NAMED {
            let text = format!("{} classes: colours and shapes repeat", self.names.len());
            return strip.draw(&Text::new(text, at(24, 40), scale.font(14))).map_err(message);
        }
        for (class, name) in self.names.iter().enumerate() {
            let (x, y) = (24 + 172 * (class % COLUMNS) as i32, 48 + 20 * (class / COLUMNS) as i32);
            mark(strip, at(x + 5, y), class, scale)?;
            let style = TextStyle::from(scale.font(14).into_font()).pos(Pos::new(HPos::Left, VPos::Center));
            strip.draw(&Text::new(shortened(name), at(x + 16, y), style)).map_err(message)?;
        }
        Ok(())
    }
}

/// The mark of a class: eight colours of circles, then of triangles, then of squares.
fn mark<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    at: (i32, i32),
    class: usize,
    scale: Scale,
) -> Drawn {
    let style = COLOURS[class % COLOURS.len()].mix(0.75).filled();
    let side = scale.length(3);
    match class / COLOURS.len() % 3 {
        0 => area.draw(&Circle::new(at, side, style)),
        1 => area.draw(&TriangleMarker::new(at, scale.length(4), style)),
        _ => area.draw(&Rectangle::new([(at.0 - side, at.1 - side), (at.0 + side, at.1 + side)], style)),
    }
    .map_err(message)
}

/// A name that has room in the legend.
fn shortened(name: &str) -> String {
    if name.chars().count() <= MAX_LETTERS {
        return name.into();
    }
    name.chars().take(MAX_LETTERS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(classes: usize) -> Scatter {
        let panel = |title: &str| Panel {
            title: title.into(),
            points: (0..3 * classes).map(|i| [i as f64, (i * i) as f64]).collect(),
            ..Panel::default()
        };
        Scatter {
            title: "Features".into(),
            panels: [panel("left"), panel("right")],
            classes: (0..3 * classes).map(|i| i % classes).collect(),
            names: (0..classes).map(|class| format!("a class with a long name {class}")).collect(),
            ..Scatter::default()
        }
    }

    #[test]
    fn every_point_has_the_mark_of_its_class_in_both_maps() {
        let svg = |figure: &Scatter| String::from_utf8(scatter(figure, Format::Svg).unwrap()).unwrap();
        let found = svg(&figure(20));
        // In each map three points of a class, and one mark in the legend: eight classes of circles, eight of triangles.
        assert_eq!(found.matches("<circle").count(), 8 * (2 * 3 + 1));
        assert_eq!(found.matches("<polygon").count(), 8 * (2 * 3 + 1));
        assert_eq!(found.matches("a class with a …").count(), 20);
        let many = svg(&figure(21));
        assert!(many.contains("21 classes: colours and shapes repeat") && !many.contains("a class with"));
        let mut gap = figure(2);
        gap.panels[1].points[0] = [f64::NAN, 0.0];
        assert_eq!(svg(&gap).matches("<circle").count(), 2 + 6 + 5);
    }

    #[test]
    fn what_cannot_be_drawn_is_an_error() {
        let refused = |figure: &Scatter| scatter(figure, Format::Svg).unwrap_err().to_string();
        let mut one = figure(2);
        one.classes.pop();
        assert!(refused(&one).contains("'left' has 6 points of 5 classes"));
        one = figure(2);
        one.names.pop();
        assert!(refused(&one).contains("class 1 has none of 1 names"));
        one = figure(2);
        one.panels[1].points.fill([f64::INFINITY, 0.0]);
        assert!(refused(&one).contains("no point of the figure"));
    }
}
