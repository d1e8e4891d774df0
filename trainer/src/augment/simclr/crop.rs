//! A box of an image, resized to size × size: torchvision's `resize` with antialiasing, along rows, then along columns.
//!
//! Pixel i of n that are made of m has its centre at c = (i + ½)·m/n in pixels of the box. Along an axis that is
//! enlarged (m ≤ n) it is interpolated between the two pixels whose centres enclose c. Along one that is reduced the
//! pixels j with |j + ½ − c| < s, s = m/n, are summed with weights 1 − |j + ½ − c|/s, which are then scaled to sum 1.

use super::parameters::{CropBox, Sampler};

/// Where an output pixel comes from along an axis that is enlarged: two input pixels and their weights.
#[derive(Debug, Clone, Copy)]
struct Tap {
    low: usize,
    high: usize,
    weight_low: f32,
    weight_high: f32,
}

/// Bilinear interpolation of `input` pixels to `output` (`align_corners=False`): the centre of pixel i lies at
/// (i + ½)·input/output − ½, not before the first pixel.
#[inline]
fn tap(i: usize, input: usize, output: usize) -> Tap {
    let step = input as f32 / output as f32;
    let place = step * (i as f32 + 0.5) - 0.5;
    let place = if place > 0.0 { place } else { 0.0 };
    let low = (place as usize).min(input - 1);
    let high = (low + 1).min(input - 1);
    let weight = place - low as f32;
    let weight = if weight < 1.0 { weight } else { 1.0 };
    Tap { low, high, weight_low: 1.0 - weight, weight_high: weight }
}

/// Where an output pixel comes from along an axis that is reduced: input pixels `first` to `last` − 1.
#[derive(Debug, Clone, Copy)]
struct Span {
    first: usize,
    last: usize,
    centre: f32,
    /// n/m.
    inverse: f32,
    /// What the sum of weighted pixels is multiplied by.
    norm: f32,
}

impl Span {
    #[inline]
    fn new(i: usize, input: usize, output: usize) -> Self {
        let (step, inverse) = (input as f32 / output as f32, output as f32 / input as f32);
        let centre = step * (i as f32 + 0.5);
        let first = centre - step + 0.5;
        let first = if first > 0.0 { first as usize } else { 0 };
        let last = ((centre + step + 0.5) as usize).min(input);
        let mut span = Self { first, last, centre, inverse, norm: 1.0 };
        let mut sum = 0.0;
        (first..last).for_each(|j| sum += span.weight(j));
        span.norm = 1.0 / sum;
        span
    }

    #[inline(always)]
    fn weight(&self, j: usize) -> f32 {
        let distance = ((j as f32 - self.centre + 0.5) * self.inverse).abs();
        if distance < 1.0 { 1.0 - distance } else { 0.0 }
    }
}

/// Buffers for boxes, kept between images.
#[derive(Debug)]
pub(super) struct Buffers {
    /// Rows of the box, resized to the width of the view: \[rows of the box, channels, size\].
    rows: Vec<f32>,
    columns: Vec<Tap>,
    /// Of a box wider than the view, of each column: its span, and its weights, one after the other.
    spans: Vec<Span>,
    weights: Vec<f32>,
}

impl Buffers {
    pub(super) fn new(sampler: &Sampler) -> Self {
        Self {
            rows: vec![0.0; sampler.channels() * sampler.height as usize * sampler.size()],
            columns: Vec::with_capacity(sampler.size()),
            spans: Vec::new(),
            weights: Vec::new(),
        }
    }
}

/// Fills the planes \[channels, size, size\] with the box, resized to size × size, in \[0, 1\].
pub(super) fn crop(
    b: CropBox,
    flip: bool,
    sampler: &Sampler,
    image: &[u8],
    buffers: &mut Buffers,
    planes: &mut [f32],
) {
    let channels = sampler.channels();
    let line = channels * sampler.width as usize;
    let source = &image[b.top as usize * line + channels * b.left as usize..];
    let lines = source.chunks(line).take(b.height as usize).map(|row| &row[..channels * b.width as usize]);
    if b.width as usize <= sampler.size() {
        stretch(lines, flip, sampler, b.width as usize, buffers);
    } else {
        shrink(lines, flip, sampler, b.width as usize, buffers);
    }
    let size = sampler.size();
    for (c, plane) in planes.chunks_exact_mut(size * size).enumerate() {
        let row = |y: usize| &buffers.rows[(channels * y + c) * size..][..size];
        for (y, out) in plane.chunks_exact_mut(size).enumerate() {
            if b.height as usize <= size {
                let tap = tap(y, b.height as usize, size);
                for ((out, low), high) in out.iter_mut().zip(row(tap.low)).zip(row(tap.high)) {
                    *out = (low * tap.weight_low + high * tap.weight_high) / 255.0;
                }
            } else {
                let span = Span::new(y, b.height as usize, size);
                out.fill(0.0);
                for j in span.first..span.last {
                    let weight = span.weight(j);
                    out.iter_mut().zip(row(j)).for_each(|(out, v)| *out += v * weight);
                }
                out.iter_mut().for_each(|v| *v = *v * span.norm / 255.0);
            }
        }
    }
}

/// Rows of a box no wider than the view.
fn stretch<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    flip: bool,
    sampler: &Sampler,
    width: usize,
    buffers: &mut Buffers,
) {
    let (size, channels) = (sampler.size(), sampler.channels());
    let Buffers { rows, columns, .. } = buffers;
    columns.clear();
    columns.extend((0..size).map(|x| {
        let tap = tap(if flip { size - 1 - x } else { x }, width, size);
        Tap { low: channels * tap.low, high: channels * tap.high, ..tap }
    }));
    for (source, stretched) in lines.zip(rows.chunks_exact_mut(channels * size)) {
        match channels {
            1 => stretch_grey(columns, source, stretched),
            _ => stretch_colour(columns, source, stretched),
        }
    }
}

/// A row of the box \[width, 3\], stretched to three rows of a view.
#[inline(always)]
fn stretch_colour(columns: &[Tap], source: &[u8], stretched: &mut [f32]) {
    let (red, rest) = stretched.split_at_mut(columns.len());
    let (green, blue) = rest.split_at_mut(columns.len());
    for (((tap, r), g), b) in columns.iter().zip(red).zip(green).zip(blue) {
        let (low, high) = (&source[tap.low..tap.low + 3], &source[tap.high..tap.high + 3]);
        let mix = |c: usize| f32::from(low[c]) * tap.weight_low + f32::from(high[c]) * tap.weight_high;
        (*r, *g, *b) = (mix(0), mix(1), mix(2));
    }
}

/// A row of the box \[width\], stretched to one of a view.
#[inline(always)]
fn stretch_grey(columns: &[Tap], source: &[u8], stretched: &mut [f32]) {
    for (tap, out) in columns.iter().zip(stretched) {
        *out = f32::from(source[tap.low]) * tap.weight_low + f32::from(source[tap.high]) * tap.weight_high;
    }
}

/// Rows of a box wider than the view.
fn shrink<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    flip: bool,
    sampler: &Sampler,
    width: usize,
    buffers: &mut Buffers,
) {
    let (size, channels) = (sampler.size(), sampler.channels());
    let Buffers { rows, spans, weights, .. } = buffers;
    spans.clear();
    weights.clear();
    for x in 0..size {
        let span = Span::new(if flip { size - 1 - x } else { x }, width, size);
        weights.extend((span.first..span.last).map(|j| span.weight(j)));
        spans.push(span);
    }
    for (source, shrunk) in lines.zip(rows.chunks_exact_mut(channels * size)) {
        match channels {
            1 => shrink_row::<1>(spans, weights, source, shrunk),
            _ => shrink_row::<3>(spans, weights, source, shrunk),
        }
    }
}

/// A row of the box \[width, C\], shrunk to C rows of a view.
#[inline(always)]
fn shrink_row<const C: usize>(spans: &[Span], mut weights: &[f32], source: &[u8], shrunk: &mut [f32]) {
    for (x, span) in spans.iter().enumerate() {
        let (own, rest) = weights.split_at(span.last - span.first);
        weights = rest;
        let mut sums = [0.0; C];
        let pixels = source[C * span.first..].as_chunks::<C>().0;
        for (pixel, weight) in pixels.iter().zip(own) {
            sums.iter_mut().zip(pixel).for_each(|(sum, &v)| *sum += f32::from(v) * weight);
        }
        for (c, sum) in sums.into_iter().enumerate() {
            shrunk[c * spans.len() + x] = sum * span.norm;
        }
    }
}
