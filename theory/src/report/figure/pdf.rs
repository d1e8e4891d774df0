//! A figure as PDF of one page: vectors, letters as outlines, so that no font is needed.

use super::FONT;
use ab_glyph::{Font, FontRef, OutlineCurve, Point};
use flate2::{Compression, write::ZlibEncoder};
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref};
use plotters::prelude::DrawingBackend;
use plotters::style::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind, FontTransform,
};
use std::convert::Infallible;
use std::io::Write;

/// Points of a unit: 72 to the inch, where units are 96.
const POINTS: f32 = 0.75;

/// What is drawn.
pub(super) struct Page {
    content: Content,
    /// Opacities in hundredths, each a graphics state.
    opacities: Vec<u8>,
}

impl Page {
    /// An empty page of this height in units, `scale` backend units each.
    pub fn new(height: u32, scale: u32) -> Self {
        let mut content = Content::new();
        let unit = POINTS / scale as f32;
        // Downwards, as figures are drawn.
        content.transform([unit, 0.0, 0.0, -unit, 0.0, POINTS * height as f32]);
        Self { content, opacities: Vec::new() }
    }

    /// The file; sizes in units.
    pub fn file(self, (width, height): (u32, u32)) -> Vec<u8> {
        let [catalog, pages, page, content] = [1, 2, 3, 4].map(Ref::new);
        let mut pdf = Pdf::new();
        pdf.catalog(catalog).pages(pages);
        pdf.pages(pages).kids([page]).count(1);
        let mut described = pdf.page(page);
        described.parent(pages).contents(content);
        described.media_box(Rect::new(0.0, 0.0, POINTS * width as f32, POINTS * height as f32));
        let mut resources = described.resources();
        let mut states = resources.ext_g_states();
        let state = |place: usize| Ref::new(5 + place as i32);
        for (place, opacity) in self.opacities.iter().enumerate() {
            states.pair(Name(name(*opacity).as_bytes()), state(place));
        }
        states.finish();
        resources.finish();
        described.finish();
        for (place, opacity) in self.opacities.iter().enumerate() {
            let share = f32::from(*opacity) / 100.0;
            pdf.ext_graphics(state(place)).non_stroking_alpha(share).stroking_alpha(share);
        }
        // Writing to memory cannot fail; were it to, the page is empty.
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
        let written = packed.write_all(&self.content.finish());
        let packed = written.and_then(|()| packed.finish()).unwrap_or_default();
        pdf.stream(content, &packed).filter(Filter::FlateDecode);
        pdf.finish()
    }

    fn colour(&mut self, colour: BackendColor) {
        let opacity = (100.0 * colour.alpha).round() as u8;
        if !self.opacities.contains(&opacity) {
            self.opacities.push(opacity);
        }
        self.content.set_parameters(Name(name(opacity).as_bytes()));
        let (r, g, b) = colour.rgb;
        let [r, g, b] = [r, g, b].map(|part| f32::from(part) / 255.0);
        self.content.set_fill_rgb(r, g, b).set_stroke_rgb(r, g, b);
    }

    fn path(&mut self, points: impl IntoIterator<Item = BackendCoord>) {
        for (place, (x, y)) in points.into_iter().enumerate() {
            let (x, y) = (x as f32, y as f32);
            if place == 0 {
                self.content.move_to(x, y)
            } else {
                self.content.line_to(x, y)
            };
        }
    }

    fn glyphs(
        &mut self,
        font: &FontRef<'_>,
        text: &str,
        at: impl Fn(Point) -> (f32, f32),
        em: f32,
        start: f32,
    ) {
        let unit = em / font.units_per_em().unwrap_or(1000.0);
        let mut begin = start;
        for c in text.chars() {
            let glyph = font.glyph_id(c);
            let place = |p: Point| at(Point { x: begin + unit * p.x, y: -unit * p.y });
            let mut last = None;
            for curve in font.outline(glyph).map(|outline| outline.curves).unwrap_or_default() {
                let (first, end) = match curve {
                    OutlineCurve::Line(a, b)
                    | OutlineCurve::Quad(a, _, b)
                    | OutlineCurve::Cubic(a, _, _, b) => (a, b),
                };
                if last != Some(first) {
                    let (x, y) = place(first);
                    self.content.move_to(x, y);
                }
                let (x, y) = place(end);
                let mut cubic = |p: Point, q: Point| {
                    let ((a, b), (c, d)) = (place(p), place(q));
                    self.content.cubic_to(a, b, c, d, x, y);
                };
                match curve {
                    OutlineCurve::Line(..) => {
                        self.content.line_to(x, y);
                    }
                    OutlineCurve::Quad(a, p, b) => {
                        let third =
                            |end: Point| Point { x: (end.x + 2.0 * p.x) / 3.0, y: (end.y + 2.0 * p.y) / 3.0 };
                        cubic(third(a), third(b));
                    }
                    OutlineCurve::Cubic(_, p, q, _) => cubic(p, q),
                }
                last = Some(end);
            }
            begin += unit * font.h_advance_unscaled(glyph);
        }
        self.content.fill_nonzero();
    }
}

fn name(opacity: u8) -> String {
    format!("Opacity{opacity}")
}

/// Draws on a [`Page`].
pub(super) struct PdfBackend<'a> {
    pub page: &'a mut Page,
    /// In backend units.
    pub size: (u32, u32),
    pub font: FontRef<'static>,
}

impl<'a> PdfBackend<'a> {
    /// `None`: the font that is compiled in cannot be read.
    pub fn new(page: &'a mut Page, size: (u32, u32)) -> Option<Self> {
        Some(Self { page, size, font: FontRef::try_from_slice(FONT).ok()? })
    }
}

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl DrawingBackend for PdfBackend<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, colour: BackendColor) -> Drawn {
        self.draw_rect((x, y), (x + 1, y + 1), &colour, true)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        (left, top): BackendCoord,
        (right, bottom): BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let corners = [(left, top), (right, top), (right, bottom), (left, bottom)];
        if fill {
            return self.fill_polygon(corners, style);
        }
        self.draw_path(corners.into_iter().chain([corners[0]]), style)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        if style.color().alpha > 0.0 {
            self.page.colour(style.color());
            self.page.content.set_line_width(style.stroke_width() as f32);
            self.page.path(path);
            self.page.content.stroke();
        }
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        (x, y): BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let corner = |turn: u32| {
            let (sin, cos) = (std::f64::consts::TAU * f64::from(turn) / 48.0).sin_cos();
            let radius = f64::from(radius);
            (x + (radius * cos).round() as i32, y + (radius * sin).round() as i32)
        };
        if fill {
            self.fill_polygon((0..48).map(corner), style)
        } else {
            self.draw_path((0..=48).map(corner), style)
        }
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        if style.color().alpha > 0.0 {
            self.page.colour(style.color());
            self.page.path(path);
            self.page.content.close_path().fill_nonzero();
        }
        Ok(())
    }

    /// Letters where an SVG has them.
    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, (x, y): BackendCoord) -> Drawn {
        let em = (style.size() / 1.24) as f32;
        let unit = em / self.font.units_per_em().unwrap_or(1000.0);
        let width: f32 =
            text.chars().map(|c| unit * self.font.h_advance_unscaled(self.font.glyph_id(c))).sum();
        let start = match style.anchor().h_pos {
            HPos::Left => 0.0,
            HPos::Center => -0.5 * width,
            HPos::Right => -width,
        };
        // Half an ex of DejaVu Sans is 0.27 em.
        let lowered = em
            * match style.anchor().v_pos {
                VPos::Top => 0.76,
                VPos::Center => 0.27,
                VPos::Bottom => -0.27,
            };
        let transform = style.transform();
        let at = |p: Point| {
            let (right, down) = (p.x, p.y + lowered);
            let (right, down) = match transform {
                FontTransform::None => (right, down),
                FontTransform::Rotate90 => (-down, right),
                FontTransform::Rotate180 => (-right, -down),
                FontTransform::Rotate270 => (down, -right),
            };
            (x as f32 + right, y as f32 + down)
        };
        self.page.colour(style.color());
        self.page.glyphs(&self.font, text, at, em, start);
        Ok(())
    }
}
