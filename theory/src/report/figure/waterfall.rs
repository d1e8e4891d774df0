//! Waterfalls: from L_sup, step by step, up to a bound, one panel a bound.

use super::{COLOURS, Drawing, Drawn, Format, Scale, message, render, tick};
use crate::error::{Error, Result};
use crate::report::{Cell, MeanAndDeviation};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// One step of a waterfall.
#[derive(Debug, Clone, PartialEq)]
pub struct Fall {
    /// What it is.
    pub name: String,
    /// Its height in nats; a negative one goes down.
    pub height: MeanAndDeviation,
    /// Whether it is one that all bounds have.
    pub common: bool,
}

/// The waterfall of one bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Waterfall {
    /// What it is, such as the name of the bound.
    pub title: String,
    /// L_sup, where it begins.
    pub base: MeanAndDeviation,
    /// From L_sup up.
    pub falls: Vec<Fall>,
    /// The bound, where it ends.
    pub top: MeanAndDeviation,
    /// ln C.
    pub trivial: f64,
}

/// Panels that one figure may have.
const MOST_PANELS: usize = 30;
/// Height of a line of a panel, and of its title, axis and legend, in units.
const LINE: u32 = 21;
const FRAME: u32 = 74;
const LEGEND: u32 = 34;
const WIDTH: u32 = 900;
/// Width of the names of the steps.
const NAMES: i32 = 290;
/// Right of the axis, and between a bar and its number.
const MARGIN: i32 = 20;
const GAP: i32 = 6;
const TOO_LARGE: &str = "not drawn: its numbers are too large for an axis";

// Dark, light and between for grey print.
const COMMON: RGBColor = COLOURS[0];
const OWN: RGBColor = COLOURS[5];
const DOWN: RGBColor = COLOURS[2];
const MEASURED: RGBColor = RGBColor(60, 60, 60);
const BOUND: RGBColor = RGBColor(150, 150, 150);
const TRIVIAL: RGBColor = COLOURS[1];

/// Waterfalls below each other, each with an axis of its own in nats of L_sup. One whose axis would go beyond a double
/// is left out, and its panel says so.
///
/// # Errors
/// No panel or more than 30; a number that is not finite; the drawing library fails.
pub fn waterfalls(panels: &[Waterfall], format: Format) -> Result<Vec<u8>> {
    if panels.is_empty() || panels.len() > MOST_PANELS {
        let count = panels.len();
        return Err(Error::argument(format!(
            "a figure of waterfalls has 1 to {MOST_PANELS} panels, got {count}"
        )));
    }
    let is_finite = |p: &Waterfall| {
        let falls = p.falls.iter().map(|fall| fall.height.mean);
        falls.chain([p.base.mean, p.top.mean, p.trivial]).all(f64::is_finite)
    };
    if let Some(panel) = panels.iter().find(|panel| !is_finite(panel)) {
        return Err(Error::argument(format!(
            "the waterfall of {} has a height that is not finite",
            panel.title
        )));
    }
    render(&Content(panels), format)
}

struct Content<'a>(&'a [Waterfall]);

impl Waterfall {
    fn lines(&self) -> u32 {
        self.falls.len() as u32 + 2
    }

    fn height(&self) -> u32 {
        LINE * self.lines() + FRAME
    }

    /// Name, start, end, colour and number of each bar, from the top line down: L_sup, steps, bound.
    fn bars(&self) -> Vec<(String, f64, f64, RGBColor, String)> {
        let mut at = self.base.mean;
        let mut bars = vec![("L_sup, measured".to_string(), 0.0, at, MEASURED, number(self.base))];
        for fall in &self.falls {
            let next = at + fall.height.mean;
            let colour = match (fall.height.mean < 0.0, fall.common) {
                (true, _) => DOWN,
                (_, true) => COMMON,
                _ => OWN,
            };
            let sign = if fall.height.mean < 0.0 { "" } else { "+" };
            bars.push((fall.name.clone(), at, next, colour, format!("{sign}{}", number(fall.height))));
            at = next;
        }
        bars.push(("the bound".to_string(), 0.0, self.top.mean, BOUND, number(self.top)));
        bars
    }
}

/// As in tables, with the sign that people write.
fn number(value: MeanAndDeviation) -> String {
    let text = Cell::Estimate(value).to_string();
    text.strip_prefix('-').map_or_else(|| text.clone(), |size| format!("−{size}"))
}

impl Drawing for Content<'_> {
    fn name(&self) -> String {
        "where the slack is".into()
    }

    fn size(&self) -> (u32, u32) {
        (WIDTH, LEGEND + self.0.iter().map(Waterfall::height).sum::<u32>())
    }

    fn draw<B: DrawingBackend>(&self, root: &DrawingArea<B, Shift>, scale: Scale) -> Drawn {
        let (strip, mut rest) = root.split_vertically(scale.length(LEGEND as i32));
        legend(&strip, scale)?;
        for panel in self.0 {
            let (area, below) = rest.split_vertically(scale.length(panel.height() as i32));
            draw_panel(panel, &area, scale)?;
            rest = below;
        }
        Ok(())
    }
}

fn draw_panel<B: DrawingBackend>(panel: &Waterfall, area: &DrawingArea<B, Shift>, scale: Scale) -> Drawn {
    let bars = panel.bars();
    let ends = bars.iter().flat_map(|bar| [bar.1, bar.2]).chain([panel.trivial]);
    let (low, high) = ends.fold((0.0f64, 0.0f64), |(low, high), x| (low.min(x), high.max(x)));
    let style = |h: HPos| TextStyle::from(scale.font(13).into_font()).pos(Pos::new(h, VPos::Center));
    let size = |text: &str| area.estimate_text_size(text, &style(HPos::Left)).unwrap_or_default();
    let drawn = scale.length(WIDTH as i32 - NAMES - MARGIN);
    // As long that every number behind its bar ends on the axis.
    let needed = bars.iter().map(|(_, from, to, _, value)| {
        let room = drawn - scale.length(2 * GAP) - size(value).0 as i32;
        (from.max(*to) - low) * (f64::from(drawn) / f64::from(room.max(1)))
    });
    let width = needed.fold((high - low).max(f64::MIN_POSITIVE), f64::max);
    let high = low + width;
    let lines = f64::from(panel.lines());
    let title = Text::new(panel.title.clone(), (scale.length(16), scale.length(6)), scale.font(16));
    area.draw(&title).map_err(message)?;
    // The drawing library looks for round numbers on an infinite axis for ever.
    if !(width.is_finite() && high.is_finite()) {
        let place = (scale.length(16), scale.length(FRAME as i32 / 2));
        let text = Text::new(TOO_LARGE, place, scale.font(13));
        return area.draw(&text).map_err(message);
    }
    let mut chart = ChartBuilder::on(area)
        .margin_top(scale.length(28))
        .margin_right(scale.length(MARGIN))
        .margin_bottom(scale.length(6))
        .set_label_area_size(LabelAreaPosition::Left, scale.length(NAMES))
        .set_label_area_size(LabelAreaPosition::Bottom, scale.length(26))
        .build_cartesian_2d(low..high, lines..0.0)
        .map_err(message)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225).stroke_width(scale.width(1)))
        .axis_style(BLACK.stroke_width(scale.width(1)))
        .set_all_tick_mark_size(scale.length(3))
        .y_labels(0)
        .x_labels(8)
        .x_label_formatter(&|x: &f64| tick(*x))
        .label_style(scale.font(13))
        .draw()
        .map_err(message)?;
    let trivial = [(panel.trivial, 0.0), (panel.trivial, lines)];
    let dashes =
        DashedLineSeries::new(trivial, scale.width(5), scale.width(4), TRIVIAL.stroke_width(scale.width(2)));
    chart.draw_series(dashes).map_err(message)?;
    for (line, (name, from, to, colour, value)) in bars.iter().enumerate() {
        let (upper, lower) = (line as f64 + 0.16, line as f64 + 0.84);
        let rectangle = Rectangle::new([(*from, upper), (*to, lower)], colour.filled());
        chart.draw_series([rectangle]).map_err(message)?;
        let (x, y) = chart.backend_coord(&(from.max(*to), 0.5 * (upper + lower)));
        let (left, top) = area.get_base_pixel();
        let text = |text: &str, x: i32, h| {
            area.draw(&Text::new(text.to_string(), (x, y - top), style(h))).map_err(message)
        };
        let begin = x - left + scale.length(GAP);
        // Lines that cross a number make it hard to read.
        let (wide, tall) = size(value);
        let half = tall as i32 / 2;
        let behind = [(begin, y - top - half), (begin + wide as i32, y - top + half)];
        area.draw(&Rectangle::new(behind, WHITE.filled())).map_err(message)?;
        text(value, begin, HPos::Left)?;
        text(name, scale.length(NAMES - 10), HPos::Right)?;
        // What connects a bar with the next.
        if line + 1 < bars.len() {
            let next = line as f64 + 1.16;
            let step = PathElement::new([(*to, lower), (*to, next)], BLACK.stroke_width(scale.width(1)));
            chart.draw_series([step]).map_err(message)?;
        }
    }
    Ok(())
}

fn legend<B: DrawingBackend>(strip: &DrawingArea<B, Shift>, scale: Scale) -> Drawn {
    let px = |units| scale.length(units);
    let mut x = 16;
    let entries = [
        (COMMON, "to the master inequality", 190),
        (OWN, "the bound's own", 140),
        (DOWN, "negative", 90),
        (TRIVIAL, "ln C: above it a bound says nothing", 260),
    ];
    for (colour, name, width) in entries {
        let half = if colour == TRIVIAL { 1 } else { 6 };
        let sign = Rectangle::new([(px(x), px(17 - half)), (px(x + 16), px(17 + half))], colour.filled());
        strip.draw(&sign).map_err(message)?;
        strip.draw(&Text::new(name, (px(x + 22), px(11)), scale.font(13))).map_err(message)?;
        x += width;
    }
    let axis = Text::new("axes: nats of L_sup", (px(x), px(11)), scale.font(13));
    strip.draw(&axis).map_err(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_begin_where_the_last_ended() {
        let of = |mean| MeanAndDeviation { mean, deviation: None };
        let fall = |name: &str, height, common| Fall { name: name.into(), height: of(height), common };
        let panel = Waterfall {
            title: "Specht".into(),
            base: of(1.0),
            falls: vec![fall("own", 0.75, false), fall("common", -0.25, true)],
            top: of(1.5),
            trivial: 2.0,
        };
        let bars: Vec<_> = panel.bars().into_iter().map(|(_, from, to, ..)| (from, to)).collect();
        assert_eq!(bars, [(0.0, 1.0), (1.0, 1.75), (1.75, 1.5), (0.0, 1.5)]);
        let svg = String::from_utf8(waterfalls(std::slice::from_ref(&panel), Format::Svg).unwrap()).unwrap();
        assert!(svg.contains("+0.750") && svg.contains("−0.250") && svg.contains("Specht"), "{svg}");
        // However long, a number ends before the edge of the figure.
        let long = Fall {
            height: MeanAndDeviation { mean: -10576.405, deviation: Some(27223.737) },
            ..panel.falls[1].clone()
        };
        let far = Waterfall { base: of(14e6), falls: vec![long], top: of(14e6), ..panel.clone() };
        let svg = String::from_utf8(waterfalls(&[far], Format::Svg).unwrap()).unwrap();
        let white = svg.lines().filter(|l| l.starts_with("<rect") && l.contains("fill=\"#FFFFFF\"")).skip(1);
        let end = |line: &str| {
            let number = |name: &str| {
                line.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?.parse::<f64>().ok()
            };
            number("x").zip(number("width")).map(|(x, width)| x + width)
        };
        let ends: Vec<f64> = white.map(|line| end(line).unwrap()).collect();
        assert!(ends.len() == 3 && ends.iter().all(|end| *end <= f64::from(10 * WIDTH)), "{ends:?}");
        for format in [Format::Svg, Format::Png, Format::Pdf] {
            for top in [1e308, f64::MAX] {
                let huge = Waterfall { top: of(top), ..panel.clone() };
                let drawn = waterfalls(&[huge], format).unwrap();
                assert!(
                    format != Format::Svg
                        || String::from_utf8(drawn).unwrap().contains(TOO_LARGE) == (top > 1e308)
                );
            }
        }
        assert!(waterfalls(&[], Format::Svg).is_err());
        assert!(waterfalls(&[Waterfall { trivial: f64::NAN, ..panel }], Format::Svg).is_err());
    }

    #[test]
    fn a_report_of_huge_values_ends() {
        let counts = ["100"; 10].join(";");
        for (loss, is_drawn) in [("1e308", true), ("1.7e308", false)] {
            let header = "num_classes,num_draws,class_counts,temperature,sampling,info_nce,gap,log1p_collisions,full_sup_loss";
            let row = format!("10,32,{counts},0.5,with_replacement,{loss},-1.2,1.3,1.2");
            let rows = crate::losses::read_from(&format!("{header}\n{row}\n"), "losses.csv").unwrap();
            let groups = crate::losses::group(&rows).unwrap();
            let explained = crate::report::explain_page::report(&groups).unwrap().unwrap();
            let svg = explained.figure.svg;
            assert!(
                svg.contains(TOO_LARGE) != is_drawn && svg.contains("1.00e308") == is_drawn,
                "{loss}: {svg}"
            );
        }
    }
}
