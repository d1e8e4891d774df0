//! Distributions by category: for each, 5 to 95 % as a line, 25 to 75 % as a box, the median as a bar, the mean as a
//! dot.
//!
//! Several series (features with and without the head) stand side by side in each category.

use super::{COLOURS, Drawing, Drawn, Format, Scale, message, render, tick};
use crate::error::{Error, Result};
use plotters::coord::Shift;
use plotters::prelude::*;

/// Of [`COLOURS`], those that a black bar stands out from, lighter and darker ones in turn for grey print.
const FILLS: [RGBColor; 4] = [COLOURS[4], COLOURS[1], COLOURS[5], COLOURS[2]];

/// Share of a category's width that its boxes take.
const FILLED: f64 = 0.76;
/// Categories that still have a name each.
const MAX_NAMED: usize = 24;

/// One distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantileBox {
    /// At 5, 25, 50, 75, 95 %.
    pub quantiles: [f64; 5],
    /// The mean.
    pub mean: f64,
}

/// One distribution a category.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantileSeries {
    /// Name in the legend.
    pub name: String,
    /// In the order of the categories; `None` leaves a gap, as does a number that is not finite.
    pub boxes: Vec<Option<QuantileBox>>,
}

/// A figure of distributions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Quantiles {
    /// Heading.
    pub title: String,
    /// What the categories are.
    pub x_label: String,
    /// What the distributions are of.
    pub y_label: String,
    /// Names of the categories; beyond 24 only some are shown.
    pub categories: Vec<String>,
    /// The series; at most four differ in colour.
    pub series: Vec<QuantileSeries>,
}

/// The distributions as a file of this format.
///
/// # Errors
/// Nothing can be drawn; a series with more boxes than categories.
///
/// # Examples
/// ```
/// use theory::report::figure::{Format, QuantileBox, QuantileSeries, Quantiles, quantiles};
/// let one = QuantileBox { quantiles: [0.1, 0.2, 0.3, 0.4, 0.5], mean: 0.3 };
/// let series = QuantileSeries { name: "head".into(), boxes: vec![Some(one), None] };
/// let categories = vec!["cat".into(), "dog".into()];
/// let figure = Quantiles { title: "Spread".into(), categories, series: vec![series], ..Quantiles::default() };
/// assert!(quantiles(&figure, Format::Png)?.starts_with(b"\x89PNG"));
/// assert!(String::from_utf8_lossy(&quantiles(&figure, Format::Svg)?).contains("Spread"));
/// # Ok::<(), theory::Error>(())
/// ```
pub fn quantiles(figure: &Quantiles, format: Format) -> Result<Vec<u8>> {
    if let Some(series) = figure.series.iter().find(|s| s.boxes.len() > figure.categories.len()) {
        let (boxes, categories) = (series.boxes.len(), figure.categories.len());
        return Err(Error::argument(format!(
            "'{}' has {boxes} boxes for {categories} categories",
            series.name
        )));
    }
    let mut figure = figure.clone();
    for series in &mut figure.series {
        let finite = |b: &QuantileBox| b.mean.is_finite() && b.quantiles.iter().all(|q| q.is_finite());
        series.boxes.iter_mut().for_each(|place| *place = place.filter(|b| finite(b)));
    }
    if figure.boxes().next().is_none() {
        return Err(Error::argument(format!("no box of the figure '{}' can be drawn", figure.title)));
    }
    render(&figure, format)
}

impl Quantiles {
    fn boxes(&self) -> impl Iterator<Item = &QuantileBox> {
        self.series.iter().flat_map(|s| s.boxes.iter().flatten())
    }
}

impl Drawing for Quantiles {
    fn name(&self) -> String {
        self.title.clone()
    }

    fn draw<B: DrawingBackend>(&self, root: &DrawingArea<B, Shift>, scale: Scale) -> Drawn {
        let values = || self.boxes().flat_map(|b| b.quantiles.into_iter().chain([b.mean]));
        let (low, high) =
            (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        let margin = if low == high { 0.5 * low.abs().max(1.0) } else { 0.05 * (high - low) };
        let slots = self.categories.len() as f64;
        let (strip, plot) = root.split_vertically(scale.length(66));
        legend(&strip, self, scale)?;
        let mut chart = ChartBuilder::on(&plot)
            .margin(scale.length(16))
            .x_label_area_size(scale.length(46))
            .y_label_area_size(scale.length(80))
            .build_cartesian_2d(-0.5..slots - 0.5, low - margin..high + margin)
            .map_err(message)?;
        let every = self.categories.len().div_ceil(MAX_NAMED).max(1);
        let name = |x: &f64| {
            let slot = x.round();
            let whole = (x - slot).abs() < 1e-6 && slot >= 0.0 && slot < slots;
            if whole && (slot as usize).is_multiple_of(every) {
                self.categories[slot as usize].clone()
            } else {
                String::new()
            }
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(225, 225, 225).stroke_width(scale.width(1)))
            .axis_style(BLACK.stroke_width(scale.width(1)))
            .set_all_tick_mark_size(scale.length(4))
            .x_labels(2 * self.categories.len() + 1)
            .x_label_formatter(&name)
            .x_desc(&self.x_label)
            .y_desc(&self.y_label)
            .y_label_formatter(&|y: &f64| if y.abs() < 1e-9 * (high - low) { "0".into() } else { tick(*y) })
            .label_style(scale.font(15))
            .axis_desc_style(scale.font(16))
            .draw()
            .map_err(message)?;
        let width = FILLED / self.series.len() as f64;
        for (index, series) in self.series.iter().enumerate() {
            let colour = FILLS[index % FILLS.len()];
            let line = |width: u32| colour.stroke_width(scale.width(width));
            for (slot, b) in series.boxes.iter().enumerate().filter_map(|(slot, b)| Some((slot, b.as_ref()?)))
            {
                let left = slot as f64 - 0.5 * FILLED + width * index as f64;
                let (from, to, middle) = (left + 0.1 * width, left + 0.9 * width, left + 0.5 * width);
                let [q05, q25, q50, q75, q95] = b.quantiles;
                let whisker = PathElement::new(vec![(middle, q05), (middle, q95)], line(2));
                let median =
                    PathElement::new(vec![(from, q50), (to, q50)], BLACK.stroke_width(scale.width(2)));
                chart.draw_series([whisker]).map_err(message)?;
                chart
                    .draw_series([Rectangle::new([(from, q25), (to, q75)], colour.filled())])
                    .map_err(message)?;
                chart.draw_series([median]).map_err(message)?;
                let dot = Circle::new((middle, b.mean), scale.length(3), BLACK.filled());
                chart.draw_series([dot]).map_err(message)?;
            }
        }
        Ok(())
    }
}

/// Title, names and colours.
fn legend<B: DrawingBackend>(strip: &DrawingArea<B, Shift>, figure: &Quantiles, scale: Scale) -> Drawn {
    let at = |x: i32, y: i32| (scale.length(x), scale.length(y));
    strip.draw(&Text::new(figure.title.clone(), at(96, 12), scale.font(19))).map_err(message)?;
    for (index, series) in figure.series.iter().enumerate() {
        let x = 96 + 190 * index as i32;
        let square = Rectangle::new([at(x, 44), at(x + 16, 56)], FILLS[index % FILLS.len()].filled());
        strip.draw(&square).map_err(message)?;
        strip.draw(&Text::new(series.name.clone(), at(x + 24, 45), scale.font(15))).map_err(message)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_drawn_is_an_error_and_gaps_are_not() {
        let some = |mean: f64| Some(QuantileBox { quantiles: [0.0, 1.0, 2.0, 3.0, 4.0], mean });
        let series = |boxes| QuantileSeries { name: "head".into(), boxes };
        let categories: Vec<String> = (0..3).map(|c| format!("class{c}")).collect();
        let mut figure = Quantiles {
            categories,
            series: vec![series(vec![some(f64::NAN), None])],
            ..Quantiles::default()
        };
        assert!(quantiles(&figure, Format::Svg).unwrap_err().to_string().contains("no box"));
        figure.series = vec![series(vec![None, some(2.5)]), series(vec![some(1.0)])];
        let svg = String::from_utf8(quantiles(&figure, Format::Svg).unwrap()).unwrap();
        assert_eq!(svg.matches("<circle").count(), 2, "a dot for each mean");
        assert!((0..3).all(|c| svg.contains(&format!("class{c}"))));
        figure.series = vec![series(vec![some(1.0); 4])];
        assert!(
            quantiles(&figure, Format::Svg).unwrap_err().to_string().contains("4 boxes for 3 categories")
        );
    }
}
