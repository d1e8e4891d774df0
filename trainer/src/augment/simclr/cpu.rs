//! A view on the CPU: crop and resize, flip, jitter, grey, blur, on planes of f32.
//!
//! Every number is computed by the same operations in the same order as in `kernel.cu`, so CPU and GPU give
//! the same bits. The one sum, the mean of contrast, has a fixed order: lane l of [`LANES`] sums pixels l, l
//! + LANES, …; then halves are added.

use super::parameters::{Parameters, Part, Sampler};
use super::{blur, crop};

/// Partial sums behind the mean of an image; threads of a block on the GPU.
pub(super) const LANES: usize = 256;

/// Buffers of one thread, kept between images.
#[derive(Debug)]
pub struct Scratch {
    /// Red, green and blue of the view, or its one grey plane.
    planes: Vec<f32>,
    crop: crop::Buffers,
    blur: blur::Buffers,
}

impl Scratch {
    /// Buffers for the images of a sampler.
    pub fn new(sampler: &Sampler) -> Self {
        Self {
            planes: vec![0.0; sampler.view_len()],
            crop: crop::Buffers::new(sampler),
            blur: blur::Buffers::default(),
        }
    }
}

/// Writes the view \[size, size, C\] of an image \[H, W, C\] into `out`.
pub fn apply(p: &Parameters, sampler: &Sampler, image: &[u8], scratch: &mut Scratch, out: &mut [f32]) {
    let Scratch { planes, crop, blur } = scratch;
    crop::crop(p.crop, p.flip, sampler, image, crop, planes);
    let (size, radius) = (sampler.size(), sampler.radius as usize);
    let mut soften = |planes: &mut [f32]| {
        if let Some(sigma) = p.blur {
            blur::blur(planes, size, radius, sigma, blur);
        }
    };
    if sampler.channels() == 1 {
        if p.jitter {
            for part in p.order {
                adjust_grey(part, p.factors[part as usize], planes);
            }
        }
        soften(planes);
        out.copy_from_slice(planes);
        return;
    }
    let (red, rest) = planes.split_at_mut(size * size);
    let (green, blue) = rest.split_at_mut(size * size);
    if p.jitter {
        for part in p.order {
            adjust(part, p.factors[part as usize], [red, green, blue]);
        }
    }
    if p.grey {
        for ((r, g), b) in red.iter_mut().zip(&*green).zip(&*blue) {
            *r = grey(*r, *g, *b);
        }
        // Three equal planes: one is blurred.
        soften(red);
        out.chunks_exact_mut(3).zip(&*red).for_each(|(pixel, &v)| pixel.fill(v));
    } else {
        soften(planes);
        let (red, rest) = planes.split_at(size * size);
        let (green, blue) = rest.split_at(size * size);
        for (((pixel, &r), &g), &b) in out.chunks_exact_mut(3).zip(red).zip(green).zip(blue) {
            (pixel[0], pixel[1], pixel[2]) = (r, g, b);
        }
    }
}

/// [`adjust`] for a grey image, which has neither saturation nor hue.
fn adjust_grey(part: Part, factor: f32, plane: &mut [f32]) {
    match part {
        Part::Brightness => blend(plane, factor, 0.0),
        Part::Contrast if factor != 1.0 => {
            let term = (1.0 - factor) * mean(plane);
            blend(plane, factor, term);
        }
        Part::Contrast | Part::Saturation | Part::Hue => {}
    }
}

/// Applies one part of the jitter. A factor that changes nothing is skipped.
fn adjust(part: Part, factor: f32, [red, green, blue]: [&mut [f32]; 3]) {
    match part {
        Part::Brightness => [red, green, blue].into_iter().for_each(|plane| blend(plane, factor, 0.0)),
        Part::Contrast if factor != 1.0 => {
            let term = (1.0 - factor) * grey_mean(red, green, blue);
            [red, green, blue].into_iter().for_each(|plane| blend(plane, factor, term));
        }
        Part::Saturation => saturate(factor, red, green, blue),
        Part::Hue if factor != 0.0 => turn_hues(factor, red, green, blue),
        Part::Contrast | Part::Hue => {}
    }
}

// These loops are functions of their own, never inlined: as separate arguments the planes are known not to
// overlap, without which the compiler does not reliably make vectors of them.

#[inline(never)]
fn blend(plane: &mut [f32], factor: f32, term: f32) {
    plane.iter_mut().for_each(|v| *v = clamp(factor * *v + term));
}

#[inline(never)]
fn saturate(factor: f32, red: &mut [f32], green: &mut [f32], blue: &mut [f32]) {
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        let term = (1.0 - factor) * grey(*r, *g, *b);
        *r = clamp(factor * *r + term);
        *g = clamp(factor * *g + term);
        *b = clamp(factor * *b + term);
    }
}

#[inline(never)]
fn turn_hues(shift: f32, red: &mut [f32], green: &mut [f32], blue: &mut [f32]) {
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        (*r, *g, *b) = turn_hue(shift, *r, *g, *b);
    }
}

/// Luminance, with the three weights of ITU-R BT.601 as torchvision rounds them.
#[inline(always)]
fn grey(r: f32, g: f32, b: f32) -> f32 {
    0.2989 * r + 0.587 * g + 0.114 * b
}

/// min(max(v, 0), 1), in the form that becomes two instructions.
#[inline(always)]
fn clamp(v: f32) -> f32 {
    let v = if v > 0.0 { v } else { 0.0 };
    if v < 1.0 { v } else { 1.0 }
}

#[inline(never)]
fn grey_mean(red: &[f32], green: &[f32], blue: &[f32]) -> f32 {
    let mut partial = [0.0; LANES];
    let (reds, red_rest) = red.as_chunks::<LANES>();
    let (greens, green_rest) = green.as_chunks::<LANES>();
    let (blues, blue_rest) = blue.as_chunks::<LANES>();
    for ((r, g), b) in reds.iter().zip(greens).zip(blues) {
        for lane in 0..LANES {
            partial[lane] += grey(r[lane], g[lane], b[lane]);
        }
    }
    for (((sum, r), g), b) in partial.iter_mut().zip(red_rest).zip(green_rest).zip(blue_rest) {
        *sum += grey(*r, *g, *b);
    }
    halved(partial) / red.len() as f32
}

#[inline(never)]
fn mean(plane: &[f32]) -> f32 {
    let mut partial = [0.0; LANES];
    let (values, rest) = plane.as_chunks::<LANES>();
    for v in values {
        partial.iter_mut().zip(v).for_each(|(sum, v)| *sum += v);
    }
    partial.iter_mut().zip(rest).for_each(|(sum, v)| *sum += v);
    halved(partial) / plane.len() as f32
}

/// The sum of the lanes: the upper half is added to the lower one until one number is left.
fn halved(mut partial: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = partial.split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(a, b)| *a += *b);
        half /= 2;
    }
    partial[0]
}

/// The colour with its hue turned by `shift` turns (|shift| ≤ ½), through hue, saturation and value.
///
/// Free of branches, so that the compiler makes vectors of it: all six sectors are chosen by selection.
#[inline(always)]
fn turn_hue(shift: f32, r: f32, g: f32, b: f32) -> (f32, f32, f32) {
    let larger = |x: f32, y: f32| if x > y { x } else { y };
    let smaller = |x: f32, y: f32| if x < y { x } else { y };
    let value = larger(larger(r, g), b);
    let range = value - smaller(smaller(r, g), b);
    let flat = range == 0.0;
    let divisor = if flat { 1.0 } else { range };
    let saturation = range / if flat { 1.0 } else { value };
    let (rc, gc, bc) = ((value - r) / divisor, (value - g) / divisor, (value - b) / divisor);
    let sixths = if value == r {
        bc - gc
    } else if value == g {
        2.0 + rc - bc
    } else {
        4.0 + gc - rc
    };
    let wrap = |x: f32| if x >= 1.0 { x - 1.0 } else { x };
    let hue = wrap(sixths / 6.0 + 1.0) + shift;
    let hue = wrap(if hue < 0.0 { hue + 1.0 } else { hue });
    let scaled = hue * 6.0;
    let f = scaled - (scaled as i32) as f32;
    let p = clamp(value * (1.0 - saturation));
    let q = clamp(value * (1.0 - saturation * f));
    let t = clamp(value * (1.0 - saturation * (1.0 - f)));
    // The six sectors as a tree of comparisons, which stay selections; a match on `sector` becomes a jump.
    let choose = |of: [f32; 6]| {
        let first = if scaled < 1.0 { of[0] } else { of[1] };
        let second = if scaled < 3.0 { of[2] } else { of[3] };
        let third = if scaled < 5.0 { of[4] } else { of[5] };
        let early = if scaled < 2.0 { first } else { second };
        if scaled < 4.0 { early } else { third }
    };
    (
        choose([value, q, p, p, t, value]),
        choose([t, value, value, q, p, p]),
        choose([p, p, t, value, value, q]),
    )
}
