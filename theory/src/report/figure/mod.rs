//! Figures as SVG, PNG and PDF from one drawing code: bounds against n ([`bounds_against_draws`]), curves
//! ([`lines()`]), distributions by category ([`quantiles()`]), maps of points ([`scatter()`]), and where the slack of
//! bounds is ([`waterfalls()`]).
//!
//! Sizes are given in units of the SVG, 900 wide unless asked otherwise; the height follows what is drawn. A PNG has two
//! pixels a unit; it is drawn with four and each 2 × 2 block is averaged, because the bitmap backend does not smooth
//! thick lines. Letters in a PNG, and the widths of texts in both, are those of DejaVu Sans, which is compiled in; an
//! SVG names the generic family `sans-serif`.

mod bounds;
mod letters;
mod lines;
mod panels;
mod pdf;
mod pen;
mod quantiles;
mod scatter;
mod selection;
mod ticks;
mod waterfall;

pub use bounds::{PanelKind, Style, bounds_against_draws};
pub use lines::{Axes, Datum, Lines, Series, lines};
pub(in crate::report) use panels::MOST_HOVER;
pub use quantiles::{QuantileBox, QuantileSeries, Quantiles, quantiles};
pub use scatter::{Panel, Scatter, scatter};
pub use selection::Selection;
pub use waterfall::{Fall, Waterfall, waterfalls};

use crate::error::{Error, ErrorKind, Result};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use std::sync::OnceLock;

/// Width and height in units.
const SIZE: (u32, u32) = (900, 600);
/// Pixels a unit in a PNG.
const PNG_SCALE: u32 = 2;
/// DejaVu Sans.
static FONT: &[u8] = include_bytes!("../../../assets/DejaVuSans.ttf");
/// Samples a pixel, along each side.
const SAMPLES: u32 = 2;
/// Colours of Okabe & Ito without yellow, which people with a colour vision deficiency tell apart; then two more.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(60, 60, 60),
    RGBColor(140, 90, 60),
];
/// Coordinates of an SVG and a PDF are whole: so many to a unit.
const SVG_SCALE: u32 = 10;

/// File format of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Vectors, letters by the viewer's sans-serif font.
    Svg,
    /// Pixels, two a unit.
    Png,
    /// Vectors on one page, 96 units to the inch, letters as outlines.
    Pdf,
}

impl Format {
    /// The format that a file's name ends in.
    ///
    /// # Errors
    /// The name ends in none of `.svg`, `.png` and `.pdf`.
    ///
    /// # Examples
    /// ```
    /// use theory::report::figure::Format;
    /// assert_eq!(Format::of_path("a/curve.PNG".as_ref())?, Format::Png);
    /// assert!(Format::of_path("curve.jpg".as_ref()).is_err());
    /// # Ok::<(), theory::Error>(())
    /// ```
    pub fn of_path(path: &std::path::Path) -> Result<Self> {
        match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("svg") => Ok(Self::Svg),
            Some("png") => Ok(Self::Png),
            Some("pdf") => Ok(Self::Pdf),
            _ => Err(Error::argument(format!("{} ends in none of .svg, .png, .pdf", path.display()))),
        }
    }
}

/// What the drawing library said.
type Drawn = std::result::Result<(), String>;

/// A figure that any backend can show.
trait Drawing {
    /// For messages.
    fn name(&self) -> String;

    /// Width and height in units.
    fn size(&self) -> (u32, u32) {
        SIZE
    }

    /// After [`draw`](Self::draw): places of the drawing, in backend units, and what a viewer says who points there.
    fn hover(&self) -> Vec<((i32, i32), String)> {
        Vec::new()
    }

    /// Draws on `root`, with `scale` backend units a unit.
    fn draw<B: DrawingBackend>(&self, root: &DrawingArea<B, Shift>, scale: Scale) -> Drawn;
}

/// Backend units a unit of the figure.
#[derive(Debug, Clone, Copy)]
struct Scale(u32);

impl Scale {
    /// A length.
    fn length(self, units: i32) -> i32 {
        units * self.0 as i32
    }

    /// A length in parts of a unit.
    fn round(self, units: f64) -> i32 {
        (units * f64::from(self.0)).round() as i32
    }

    /// The width of a line, or the size of a mark.
    fn width(self, units: u32) -> u32 {
        units * self.0
    }

    /// Letters of this height.
    fn font(self, units: u32) -> (&'static str, u32) {
        ("sans-serif", units * self.0)
    }
}

/// The figure as a file of this format.
fn render(drawing: &impl Drawing, format: Format) -> Result<Vec<u8>> {
    let fail = |message: String| Error::from(ErrorKind::Figure { figure: drawing.name(), message });
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let registered = REGISTERED.get_or_init(|| register_font("sans-serif", FontStyle::Normal, FONT).is_ok());
    if !registered {
        return Err(fail("the font that is compiled in cannot be read".into()));
    }
    let size = drawing.size();
    match format {
        Format::Svg => {
            let mut svg = String::new();
            let (width, height) = (size.0 * SVG_SCALE, size.1 * SVG_SCALE);
            let root = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
            root.fill(&WHITE).map_err(message).map_err(fail)?;
            drawing.draw(&root, Scale(SVG_SCALE)).map_err(fail)?;
            root.present().map_err(message).map_err(fail)?;
            drop(root);
            let (drawn, shown) = (
                format!("width=\"{width}\" height=\"{height}\""),
                format!("width=\"{}\" height=\"{}\"", size.0, size.1),
            );
            let svg = svg.replacen(&drawn, &shown, 1);
            let places = drawing.hover().into_iter().map(|((x, y), text)| {
                let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                let radius = 7 * SVG_SCALE;
                format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"transparent\"><title>{text}</title></circle>\n")
            });
            let end = svg.rfind("</svg>").unwrap_or(svg.len());
            let svg = format!("{}{}{}", &svg[..end], places.collect::<String>(), &svg[end..]);
            // The library escapes what is special in XML, but lets through what XML has no place for.
            let svg = svg.replace(|c: char| c.is_control() && c != '\n', " ");
            Ok(svg.into_bytes())
        }
        Format::Pdf => {
            let mut page = pdf::Page::new(size.1, SVG_SCALE);
            let area = (size.0 * SVG_SCALE, size.1 * SVG_SCALE);
            let backend = pdf::PdfBackend::new(&mut page, area)
                .ok_or_else(|| fail("the font that is compiled in cannot be read".into()))?;
            let root = backend.into_drawing_area();
            drawing.draw(&root, Scale(SVG_SCALE)).map_err(fail)?;
            drop(root);
            Ok(page.file(size))
        }
        Format::Png => {
            let scale = PNG_SCALE * SAMPLES;
            let (width, height) = (size.0 * scale, size.1 * scale);
            let mut samples = vec![255u8; 3 * (width * height) as usize];
            let bitmap = BitMapBackend::with_buffer(&mut samples, (width, height));
            let root = letters::Lettered(bitmap).into_drawing_area();
            drawing.draw(&root, Scale(scale)).map_err(fail)?;
            root.present().map_err(message).map_err(fail)?;
            drop(root);
            encode(&average(&samples, width as usize), size.0 * PNG_SCALE, size.1 * PNG_SCALE).map_err(fail)
        }
    }
}

/// Each block of samples as one pixel; RGB, `width` samples a line.
fn average(samples: &[u8], width: usize) -> Vec<u8> {
    let (side, line) = (SAMPLES as usize, 3 * width);
    let mut pixels = Vec::with_capacity(samples.len() / (side * side));
    for block in samples.chunks_exact(side * line) {
        for x in (0..width).step_by(side) {
            for channel in 0..3 {
                let sum: u32 = (0..side * side)
                    .map(|i| u32::from(block[(i / side) * line + 3 * (x + i % side) + channel]))
                    .sum();
                let count = SAMPLES * SAMPLES;
                pixels.push(((sum + count / 2) / count) as u8);
            }
        }
    }
    pixels
}

fn encode(pixels: &[u8], width: u32, height: u32) -> std::result::Result<Vec<u8>, String> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(|e| e.to_string())?;
    writer.write_image_data(pixels).map_err(|e| e.to_string())?;
    writer.finish().map_err(|e| e.to_string())?;
    Ok(file)
}

fn message<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> String {
    error.to_string()
}

/// A tick's label: plain between a thousandth and a million, scientific elsewhere, without trailing zeros.
fn tick(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".into();
    }
    if (1e-3..1e6).contains(&size) {
        let text = format!("{value:.4}");
        return text.trim_end_matches('0').trim_end_matches('.').to_string();
    }
    let text = format!("{value:.2e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_short() {
        let labels = [0.0, 0.25, 100.0, 1e-20, 1e60 * (1.0 + 1e-11), 2.5e7, -3.0].map(tick);
        assert_eq!(labels, ["0", "0.25", "100", "1e-20", "1e60", "2.5e7", "-3"]);
    }

    #[test]
    fn blocks_are_averaged() {
        // Two lines of four grey samples: 0 10 | 255 255 over 20 30 | 255 254.
        let grey = |v: u8| [v; 3];
        let samples: Vec<u8> = [0, 10, 255, 255, 20, 30, 255, 254].into_iter().flat_map(grey).collect();
        assert_eq!(average(&samples, 4), [15, 15, 15, 255, 255, 255]);
    }
}
