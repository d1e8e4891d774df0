//! Max pooling on slices: one job per row of the output, and one per image for its gradient.

use super::{Sizes, output};
use measure::pool::{for_each, simd};
use std::ops::Range;

/// The inputs within the window of output `index` along one axis.
fn window(index: usize, length: usize) -> Range<usize> {
    (2 * index).saturating_sub(1)..(2 * index + 2).min(length)
}

/// Whether a value is taken in place of the largest before it.
#[inline(always)]
fn is_larger(value: f32, largest: f32) -> bool {
    value > largest || value.is_nan()
}

/// y of one row of output pixels.
#[inline(always)]
fn row(x: &[f32], index: usize, [_, height, width, channels]: Sizes, y: &mut [f32]) {
    for (j, y) in y.chunks_exact_mut(channels).enumerate() {
        for h in window(index, height) {
            for v in window(j, width) {
                let pixel = &x[(h * width + v) * channels..][..channels];
                for (y, &x) in y.iter_mut().zip(pixel) {
                    *y = if is_larger(x, *y) { x } else { *y };
                }
            }
        }
    }
}

/// The largest value of each window.
pub fn forward(x: &[f32], sizes: Sizes) -> Vec<f32> {
    let [_, height, width, channels] = sizes;
    let [_, rows, columns, _] = output(sizes);
    let mut y = vec![f32::NEG_INFINITY; output(sizes).iter().product()];
    for_each(y.chunks_mut(columns * channels).enumerate(), |(index, y)| {
        let image = &x[index / rows * height * width * channels..][..height * width * channels];
        simd(|| row(image, index % rows, sizes, y));
    });
    y
}

/// Adds the gradient of one image to `dx`, which is zero.
#[inline(always)]
fn scatter(x: &[f32], dy: &[f32], sizes: Sizes, dx: &mut [f32]) {
    let [_, height, width, channels] = sizes;
    let [_, rows, columns, _] = output(sizes);
    // Of each channel: the largest value so far, and where it stands in the window.
    let (mut largest, mut place) = (vec![0f32; channels], vec![0u32; channels]);
    for i in 0..rows {
        for j in 0..columns {
            let dy = &dy[(i * columns + j) * channels..][..channels];
            let pixels = || window(i, height).flat_map(|h| window(j, width).map(move |v| h * width + v));
            largest.fill(f32::NEG_INFINITY);
            place.fill(0);
            for (number, pixel) in (0u32..).zip(pixels()) {
                let x = &x[pixel * channels..][..channels];
                for ((largest, place), &x) in largest.iter_mut().zip(&mut place).zip(x) {
                    let is_larger = is_larger(x, *largest);
                    *place = if is_larger { number } else { *place };
                    *largest = if is_larger { x } else { *largest };
                }
            }
            for (number, pixel) in (0u32..).zip(pixels()) {
                let dx = &mut dx[pixel * channels..][..channels];
                for ((dx, &place), &dy) in dx.iter_mut().zip(&place).zip(dy) {
                    *dx += if place == number { dy } else { 0.0 };
                }
            }
        }
    }
}

/// Each gradient at the place of its window's largest value.
pub fn backward(x: &[f32], dy: &[f32], sizes: Sizes) -> Vec<f32> {
    let [_, height, width, channels] = sizes;
    let [_, rows, columns, _] = output(sizes);
    let (image, out_image) = (height * width * channels, rows * columns * channels);
    let mut dx = vec![0.0; x.len()];
    let images = x.chunks_exact(image).zip(dy.chunks_exact(out_image)).zip(dx.chunks_exact_mut(image));
    for_each(images, |((x, dy), dx)| simd(|| scatter(x, dy, sizes, dx)));
    dx
}
