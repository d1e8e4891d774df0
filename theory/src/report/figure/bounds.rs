//! The figure of bound against K: bars of the upper bounds of L_sup on a logarithmic axis, accuracy on a second axis.

use super::{Drawing, Drawn, Format, Scale, message, render, tick};
use crate::bounds::{self, Bound};
use crate::error::{Error, Result};
use crate::losses::{Column, Group, Groups, LossComponents, Quantity, Value};
use crate::report::{MeanAndDeviation, mean_and_deviation};
use plotters::coord::Shift;
use plotters::prelude::*;

/// Which bounds a figure shows, from left to right; one that has no value anywhere takes no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection(Vec<&'static str>);

impl Default for Selection {
    /// What tells the published bounds from the sharp ones: `curl`, `curl_as_published`, `nozawa_sato`, `submodular`,
    /// `specht`.
    fn default() -> Self {
        Self(vec!["curl", "curl_as_published", "nozawa_sato", "submodular", "specht"])
    }
}

impl Selection {
    /// The bounds of these keys; the one key `all` means every upper bound of L_sup in the registry.
    ///
    /// # Errors
    /// No key, one that the registry lacks, one of a bound that is no upper bound of L_sup, or one twice.
    ///
    /// # Examples
    /// ```
    /// use theory::report::figure::Selection;
    /// assert!(Selection::of(&["specht", "bao"]).is_ok());
    /// assert!(Selection::of(&["spekht"]).is_err());
    /// ```
    pub fn of(keys: &[impl AsRef<str>]) -> Result<Self> {
        let upper = || bounds::all().iter().filter(|b| !b.upper_needs().is_empty()).map(|b| b.key());
        let keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
        if keys == ["all"] {
            return Ok(Self(upper().collect()));
        }
        let mut found = Vec::new();
        for key in &keys {
            let known = upper().find(|known| known == key).ok_or_else(|| {
                let known: Vec<&str> = upper().collect();
                Error::argument(format!(
                    "'{key}' is no upper bound of L_sup; known: all, {}",
                    known.join(", ")
                ))
            })?;
            if found.contains(&known) {
                return Err(Error::argument(format!("the bound '{key}' is named twice")));
            }
            found.push(known);
        }
        if found.is_empty() {
            return Err(Error::argument("a figure of bounds needs at least one bound"));
        }
        Ok(Self(found))
    }

    /// The keys, in the order of the selection.
    pub fn keys(&self) -> &[&'static str] {
        &self.0
    }
}

/// The colour of a bound, the same in every figure.
fn colour(key: &str) -> RGBColor {
    const KNOWN: [(&str, RGBColor); 5] = [
        ("curl", RGBColor(86, 134, 196)),
        ("curl_as_published", RGBColor(188, 206, 230)),
        ("nozawa_sato", RGBColor(221, 132, 82)),
        ("submodular", RGBColor(129, 178, 154)),
        ("specht", RGBColor(129, 114, 178)),
    ];
    const OTHERS: [RGBColor; 12] = [
        RGBColor(204, 185, 116),
        RGBColor(100, 181, 205),
        RGBColor(196, 78, 82),
        RGBColor(140, 140, 140),
        RGBColor(218, 139, 195),
        RGBColor(147, 120, 96),
        RGBColor(85, 120, 104),
        RGBColor(240, 190, 130),
        RGBColor(60, 80, 130),
        RGBColor(120, 150, 60),
        RGBColor(90, 60, 60),
        RGBColor(150, 50, 120),
    ];
    match KNOWN.iter().find(|(known, _)| *known == key) {
        Some((_, colour)) => *colour,
        None => {
            let others = bounds::all()
                .iter()
                .filter(|b| !b.upper_needs().is_empty() && KNOWN.iter().all(|(known, _)| *known != b.key()));
            OTHERS[others.take_while(|b| b.key() != key).count() % OTHERS.len()]
        }
    }
}

const ACCURACIES: [(Quantity, &str, RGBColor); 2] = [
    (Quantity::MeanAccuracy, "mean-classifier accuracy", RGBColor(60, 60, 60)),
    (Quantity::LinearAccuracy, "linear accuracy", RGBColor(70, 140, 80)),
];

const TRIVIAL: RGBColor = RGBColor(190, 60, 60);
const SUPERVISED: RGBColor = RGBColor(20, 20, 20);

/// The upper bounds of L_sup and the accuracies against n = K+1, mean ± standard deviation over seeds.
///
/// # Errors
/// No rows; the drawing library fails.
pub fn bounds_against_draws(groups: &Groups<'_>, selection: &Selection, format: Format) -> Result<Vec<u8>> {
    if groups.is_empty() {
        return Err(Error::argument("a figure of bounds needs at least one row of losses"));
    }
    render(&Content::new(groups, selection), format)
}

struct Bar {
    slot: usize,
    value: MeanAndDeviation,
}

fn over_seeds(group: &Group<'_>, of: impl Fn(&LossComponents) -> Option<f64>) -> Option<MeanAndDeviation> {
    let values: Option<Vec<f64>> = group.rows.iter().map(|row| of(row)).collect();
    values.filter(|v| v.iter().all(|x| x.is_finite())).map(|v| mean_and_deviation(&v))
}

fn bars(groups: &[Group<'_>], bound: &dyn Bound) -> Vec<Bar> {
    let bar = |(slot, group): (usize, &Group<'_>)| {
        let value = over_seeds(group, |row| bound.upper_bound(row).value())?;
        (value.mean > 0.0).then_some(Bar { slot, value })
    };
    groups.iter().enumerate().filter_map(bar).collect()
}

/// What the figure shows, gathered before anything is drawn.
struct Content<'a> {
    groups: &'a Groups<'a>,
    /// What tells groups of one n apart.
    differing: Vec<&'static Column>,
    /// Bound, colour, bars; only bounds that have a value somewhere.
    bounds: Vec<(&'static dyn Bound, RGBColor, Vec<Bar>)>,
    /// L_sup per slot.
    supervised: Vec<Option<MeanAndDeviation>>,
    /// Name, colour, and value per slot; only accuracies that were measured somewhere.
    accuracies: Vec<(&'static str, RGBColor, Vec<Option<MeanAndDeviation>>)>,
    /// ln C.
    trivial: f64,
}

impl<'a> Content<'a> {
    fn new(groups: &'a Groups<'a>, selection: &Selection) -> Self {
        let bounds = selection
            .0
            .iter()
            .filter_map(|key| bounds::find(key).map(|bound| (bound, colour(key), bars(groups, bound))));
        let accuracies = ACCURACIES.iter().map(|&(measure, name, colour)| {
            (name, colour, groups.iter().map(|g| over_seeds(g, |row| row.get(measure))).collect::<Vec<_>>())
        });
        Self {
            groups,
            differing: groups.differing_beside_draws(),
            bounds: bounds.filter(|(_, _, bars)| !bars.is_empty()).collect(),
            supervised: groups.iter().map(|g| over_seeds(g, |row| row.get(Quantity::FullSupLoss))).collect(),
            accuracies: accuracies.filter(|(_, _, values)| values.iter().any(Option::is_some)).collect(),
            // With several C the largest: below it at least one bound says nothing.
            trivial: groups.iter().map(|g| (g.rows[0].num_classes as f64).ln()).fold(0.0, f64::max),
        }
    }

    /// n, and what else tells the group from others.
    fn label(&self, slot: usize) -> String {
        let row = self.groups[slot].setting();
        let told = self.differing.iter().map(|column| match (column.value)(row) {
            Value::Unknown if column.absent == "unknown" => format!(", {} unknown", column.heading),
            Value::Unknown => format!(", {}", column.absent),
            Value::Text(text) => format!(", {text}"),
            value => format!(", {} = {value}", column.heading),
        });
        row.num_draws.to_string() + &told.collect::<String>()
    }

    /// Lines of the legend, ln C among them.
    fn entries(&self) -> usize {
        let measured = usize::from(self.supervised.iter().any(Option::is_some));
        self.bounds.len() + measured + 1 + self.accuracies.len()
    }

    /// The range of the logarithmic axis.
    fn losses(&self) -> (f64, f64) {
        let bars = self.bounds.iter().flat_map(|(_, _, bars)| bars.iter().map(|b| b.value.mean));
        let others = self.supervised.iter().flatten().map(|v| v.mean).chain([self.trivial]);
        let (low, high) =
            bars.chain(others).fold((f64::INFINITY, 0.0f64), |(low, high), v| (low.min(v), high.max(v)));
        ((0.5 * low).max(1e-3), 3.0 * high)
    }

    /// The lower end of the accuracy axis: the tenth below the worst.
    fn accuracy_floor(&self) -> f64 {
        let values = self.accuracies.iter().flat_map(|(_, _, values)| values.iter().flatten());
        let worst = values.map(|v| v.mean - v.deviation.unwrap_or(0.0)).fold(1.0f64, f64::min);
        ((worst - 0.05) * 10.0).floor().max(0.0) / 10.0
    }
}

fn points(values: &[Option<MeanAndDeviation>]) -> impl Iterator<Item = (f64, MeanAndDeviation)> {
    values.iter().enumerate().filter_map(|(slot, value)| Some((slot as f64, (*value)?)))
}

impl Drawing for Content<'_> {
    fn name(&self) -> String {
        "bound against K".into()
    }

    fn draw<B: DrawingBackend>(&self, root: &DrawingArea<B, Shift>, scale: Scale) -> Drawn {
        draw(self, root, scale)
    }
}

fn draw<B: DrawingBackend>(content: &Content<'_>, root: &DrawingArea<B, Shift>, scale: Scale) -> Drawn {
    let (strip, plot) = root.split_vertically(scale.length(20 + 18 * content.entries().div_ceil(2) as i32));
    legend(&strip, content, scale)?;
    let slots = content.groups.len() as f64;
    let (low, high) = content.losses();
    let mut chart = ChartBuilder::on(&plot)
        .margin(scale.length(16))
        .x_label_area_size(scale.length(46))
        .y_label_area_size(scale.length(76))
        .right_y_label_area_size(scale.length(64))
        .build_cartesian_2d(-0.5..slots - 0.5, (low..high).log_scale())
        .map_err(message)?
        .set_secondary_coord(-0.5..slots - 0.5, content.accuracy_floor()..1.0);
    let label = |x: &f64| {
        let slot = x.round();
        let near = (x - slot).abs() < 1e-6 && slot >= 0.0 && slot < slots;
        if near { content.label(slot as usize) } else { String::new() }
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225).stroke_width(scale.width(1)))
        .axis_style(BLACK.stroke_width(scale.width(1)))
        .set_all_tick_mark_size(scale.length(4))
        .x_labels(content.groups.len() * 2 + 1)
        .x_label_formatter(&label)
        .x_desc("number of draws n = K+1 (anchor and K negatives)")
        .y_desc("L_sup and its upper bounds (nats, log axis)")
        .y_label_formatter(&|y: &f64| tick(*y))
        .label_style(scale.font(15))
        .axis_desc_style(scale.font(16))
        .draw()
        .map_err(message)?;
    chart
        .configure_secondary_axes()
        .axis_style(BLACK.stroke_width(scale.width(1)))
        .set_all_tick_mark_size(scale.length(4))
        .y_desc("accuracy")
        .label_style(scale.font(15))
        .axis_desc_style(scale.font(16))
        .y_label_formatter(&|y: &f64| format!("{y:.2}"))
        .draw()
        .map_err(message)?;
    let width = 0.72 / content.bounds.len().max(1) as f64;
    for (index, (_, colour, bars)) in content.bounds.iter().enumerate() {
        let left = |bar: &Bar| bar.slot as f64 - 0.36 + width * index as f64;
        let rectangle = |b: &Bar| {
            Rectangle::new([(left(b) + 0.01, low), (left(b) + width - 0.01, b.value.mean)], colour.filled())
        };
        chart.draw_series(bars.iter().map(rectangle)).map_err(message)?;
        let errors = bars.iter().filter_map(|b| {
            let (x, deviation) = (left(b) + 0.5 * width, b.value.deviation?);
            let ends = [(b.value.mean - deviation).max(low), b.value.mean + deviation];
            Some(PathElement::new(ends.map(|y| (x, y)), BLACK.stroke_width(scale.width(2))))
        });
        chart.draw_series(errors).map_err(message)?;
    }
    let trivial = [(-0.5, content.trivial), (slots - 0.5, content.trivial)];
    chart
        .draw_series(DashedLineSeries::new(
            trivial,
            scale.width(6),
            scale.width(4),
            TRIVIAL.stroke_width(scale.width(2)),
        ))
        .map_err(message)?;
    let triangles = points(&content.supervised)
        .map(|(x, v)| TriangleMarker::new((x, v.mean), scale.length(7), SUPERVISED.filled()));
    chart.draw_series(triangles).map_err(message)?;
    for (_, colour, values) in &content.accuracies {
        let line =
            LineSeries::new(points(values).map(|(x, v)| (x, v.mean)), colour.stroke_width(scale.width(2)));
        chart.draw_secondary_series(line).map_err(message)?;
        let dots = points(values).map(|(x, v)| Circle::new((x, v.mean), scale.length(4), colour.filled()));
        chart.draw_secondary_series(dots).map_err(message)?;
        let errors = points(values).filter_map(|(x, v)| {
            let deviation = v.deviation?;
            let ends = [v.mean - deviation, (v.mean + deviation).min(1.0)];
            Some(PathElement::new(ends.map(|y| (x, y)), colour.stroke_width(scale.width(2))))
        });
        chart.draw_secondary_series(errors).map_err(message)?;
    }
    Ok(())
}

/// Names and signs above the plot, in two columns.
fn legend<B: DrawingBackend>(strip: &DrawingArea<B, Shift>, content: &Content<'_>, scale: Scale) -> Drawn {
    let px = |units| scale.length(units);
    let place = |index: usize| (px(90 + 370 * (index % 2) as i32), px(18 + 18 * (index / 2) as i32));
    let text = |index: usize, name: &str| {
        let (x, y) = place(index);
        strip.draw(&Text::new(name.to_string(), (x + px(24), y - px(5)), scale.font(15))).map_err(message)
    };
    let line = |index: usize, colour: RGBColor| {
        let (x, y) = place(index);
        strip
            .draw(&PathElement::new(vec![(x, y), (x + px(16), y)], colour.stroke_width(scale.width(2))))
            .map_err(message)
    };
    let mut index = 0;
    for (bound, colour, _) in &content.bounds {
        let (x, y) = place(index);
        strip
            .draw(&Rectangle::new([(x, y - px(6)), (x + px(16), y + px(6))], colour.filled()))
            .map_err(message)?;
        text(index, bound.name())?;
        index += 1;
    }
    if content.supervised.iter().any(Option::is_some) {
        let (x, y) = place(index);
        strip.draw(&TriangleMarker::new((x + px(8), y), px(7), SUPERVISED.filled())).map_err(message)?;
        text(index, "L_sup, measured")?;
        index += 1;
    }
    line(index, TRIVIAL)?;
    text(index, "ln C: above it a bound says nothing")?;
    index += 1;
    for (name, colour, _) in &content.accuracies {
        line(index, *colour)?;
        text(index, &format!("{name} (right axis)"))?;
        index += 1;
    }
    Ok(())
}
