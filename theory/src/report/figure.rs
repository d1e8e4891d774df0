//! The figure of bound against K: bars of the upper bounds of L_sup on a logarithmic axis, accuracy on a second axis.

use super::{Group, MeanAndDeviation, group, mean_and_deviation};
use crate::bounds::{self, Bound};
use crate::error::{Error, ErrorKind, Result};
use crate::losses::{LossComponents, Measure};
use plotters::prelude::*;

const BARS: [(&str, RGBColor); 3] = [
    ("curl", RGBColor(86, 134, 196)),
    ("curl_as_published", RGBColor(188, 206, 230)),
    ("nozawa_sato", RGBColor(221, 132, 82)),
];
const ACCURACIES: [(Measure, &str, RGBColor); 2] = [
    (Measure::MeanAccuracy, "mean-classifier accuracy", RGBColor(60, 60, 60)),
    (Measure::LinearAccuracy, "linear accuracy", RGBColor(70, 140, 80)),
];

/// An SVG of the upper bounds of L_sup and the accuracies against n = K+1, mean ± standard deviation over seeds.
///
/// # Errors
/// No bound has a value, or the drawing library fails.
pub fn bounds_against_draws(rows: &[LossComponents]) -> Result<String> {
    let groups = group(rows);
    let mut svg = String::new();
    draw(&mut svg, &groups)
        .map_err(|message| Error::from(ErrorKind::Figure { figure: "bound against K".into(), message }))?;
    Ok(svg)
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

fn draw(svg: &mut String, groups: &[Group<'_>]) -> std::result::Result<(), String> {
    let error = |e: DrawingAreaErrorKind<_>| -> String {
        let e: DrawingAreaErrorKind<std::io::Error> = e;
        e.to_string()
    };
    let series: Vec<_> = BARS
        .iter()
        .filter_map(|&(key, colour)| bounds::find(key).map(|bound| (bound, colour, bars(groups, bound))))
        .filter(|(_, _, bars)| !bars.is_empty())
        .collect();
    let sup: Vec<_> = groups.iter().map(|g| over_seeds(g, |row| row.get(Measure::FullSupLoss))).collect();
    let trivial = (groups[0].rows[0].num_classes as f64).ln();
    let all_values = series.iter().flat_map(|s| s.2.iter().map(|b| b.value.mean)).chain([trivial]);
    let (low, high) = all_values
        .chain(sup.iter().flatten().map(|v| v.mean))
        .fold((f64::INFINITY, 0.0f64), |(low, high), v| (low.min(v), high.max(v)));
    let (low, high) = ((0.5 * low).max(1e-3), 3.0 * high);
    let accuracies: Vec<Vec<Option<MeanAndDeviation>>> = ACCURACIES
        .iter()
        .map(|a| groups.iter().map(|g| over_seeds(g, |row| row.get(a.0))).collect())
        .collect();
    let worst = accuracies.iter().flatten().flatten().map(|a| a.mean).fold(1.0f64, f64::min);
    let accuracy_floor = ((worst - 0.05) * 10.0).floor().max(0.0) / 10.0;

    let root = SVGBackend::with_string(svg, (900, 540)).into_drawing_area();
    root.fill(&WHITE).map_err(error)?;
    let slots = groups.len() as f64;
    let mut chart = ChartBuilder::on(&root)
        .margin(16)
        .x_label_area_size(46)
        .y_label_area_size(76)
        .right_y_label_area_size(64)
        .build_cartesian_2d(-0.5..slots - 0.5, (low..high).log_scale())
        .map_err(error)?
        .set_secondary_coord(-0.5..slots - 0.5, accuracy_floor..1.0);
    let label = |x: &f64| {
        let slot = x.round();
        let near = (x - slot).abs() < 1e-6 && slot >= 0.0 && slot < slots;
        if near { groups[slot as usize].rows[0].num_draws.to_string() } else { String::new() }
    };
    let scientific = |y: &f64| if (0.1..1000.0).contains(y) { format!("{y}") } else { format!("{y:e}") };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .x_labels(groups.len() * 2 + 1)
        .x_label_formatter(&label)
        .x_desc("number of draws n = K+1 (anchor and K negatives)")
        .y_desc("L_sup and its upper bounds (nats, log axis)")
        .y_label_formatter(&scientific)
        .label_style(("sans-serif", 15))
        .axis_desc_style(("sans-serif", 16))
        .draw()
        .map_err(error)?;
    chart
        .configure_secondary_axes()
        .y_desc("accuracy")
        .label_style(("sans-serif", 15))
        .axis_desc_style(("sans-serif", 16))
        .y_label_formatter(&|y: &f64| format!("{y:.2}"))
        .draw()
        .map_err(error)?;

    let width = 0.72 / series.len().max(1) as f64;
    for (index, (bound, colour, bars)) in series.iter().enumerate() {
        let left = |bar: &Bar| bar.slot as f64 - 0.36 + width * index as f64;
        let style = colour.filled();
        chart
            .draw_series(bars.iter().map(|b| {
                Rectangle::new([(left(b) + 0.01, low), (left(b) + width - 0.01, b.value.mean)], style)
            }))
            .map_err(error)?
            .label(bound.name())
            .legend(move |(x, y)| Rectangle::new([(x, y - 6), (x + 14, y + 6)], style));
        chart
            .draw_series(bars.iter().filter_map(|b| {
                let deviation = b.value.deviation?;
                let (x, y) = (left(b) + 0.5 * width, b.value.mean);
                Some(ErrorBar::new_vertical(x, (y - deviation).max(low), y, y + deviation, BLACK.filled(), 8))
            }))
            .map_err(error)?;
    }
    let black = RGBColor(20, 20, 20);
    let points = sup.iter().enumerate().filter_map(|(slot, v)| Some((slot as f64, (*v)?.mean)));
    chart
        .draw_series(points.map(|point| TriangleMarker::new(point, 7, black.filled())))
        .map_err(error)?
        .label("L_sup, measured")
        .legend(move |(x, y)| TriangleMarker::new((x + 7, y), 7, black.filled()));
    let red = RGBColor(190, 60, 60);
    chart
        .draw_series(DashedLineSeries::new(
            [(-0.5, trivial), (slots - 0.5, trivial)],
            6,
            4,
            red.stroke_width(2),
        ))
        .map_err(error)?
        .label("ln C: above it a bound says nothing")
        .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 14, y)], red.stroke_width(2)));
    for ((_, name, colour), values) in ACCURACIES.iter().zip(&accuracies) {
        let line: Vec<(f64, f64)> =
            values.iter().enumerate().filter_map(|(slot, v)| Some((slot as f64, (*v)?.mean))).collect();
        if line.is_empty() {
            continue;
        }
        let colour = *colour;
        chart
            .draw_secondary_series(LineSeries::new(line.clone(), colour.stroke_width(2)))
            .map_err(error)?
            .label(*name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 14, y)], colour.stroke_width(2)));
        chart
            .draw_secondary_series(line.iter().map(|&point| Circle::new(point, 4, colour.filled())))
            .map_err(error)?;
        let deviations = values.iter().enumerate().filter_map(|(slot, v)| {
            let v = (*v)?;
            let (x, d) = (slot as f64, v.deviation?);
            Some(ErrorBar::new_vertical(x, v.mean - d, v.mean, (v.mean + d).min(1.0), colour.filled(), 6))
        });
        chart.draw_secondary_series(deviations).map_err(error)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .margin(10)
        .label_font(("sans-serif", 14))
        .background_style(WHITE.mix(0.88))
        .border_style(RGBColor(200, 200, 200))
        .draw()
        .map_err(error)?;
    root.present().map_err(error)
}
