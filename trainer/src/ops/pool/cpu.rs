//! Global average pooling on slices: one job per image.

use crate::ops::storage::filled;
use measure::pool::{CHUNK, for_each, simd};
use std::mem::MaybeUninit;

#[inline(always)]
fn average(image: &[f32], y: &mut [MaybeUninit<f32>]) {
    let channels = y.len();
    let scale = 1.0 / (image.len() / channels) as f32;
    let mut sums = vec![0f32; channels];
    for pixel in image.chunks_exact(channels) {
        for (sum, x) in sums.iter_mut().zip(pixel) {
            *sum += x;
        }
    }
    for (y, sum) in y.iter_mut().zip(&sums) {
        y.write(sum * scale);
    }
}

/// Images of a job: a chunk's worth of pixels.
fn images_per_job(image: usize) -> usize {
    (CHUNK / image).max(1)
}

/// y \[N, C\] = mean over the pixels of x \[N, pixels, C\].
#[allow(unsafe_code)] // Output without zeroing.
pub fn forward(x: &[f32], pixels: usize, channels: usize) -> Vec<f32> {
    let image = pixels * channels;
    let images = images_per_job(image);
    // SAFETY: jobs cover y; every image writes its row of y.
    unsafe {
        filled(x.len() / pixels, |y| {
            for_each(x.chunks(images * image).zip(y.chunks_mut(images * channels)), |(x, y)| {
                for (x, y) in x.chunks_exact(image).zip(y.chunks_exact_mut(channels)) {
                    simd(|| average(x, y));
                }
            });
        })
    }
}

#[inline(always)]
fn spread(dy: &[f32], scale: f32, dx: &mut [MaybeUninit<f32>]) {
    for pixel in dx.chunks_exact_mut(dy.len()) {
        for (dx, dy) in pixel.iter_mut().zip(dy) {
            dx.write(dy * scale);
        }
    }
}

/// dx \[N, pixels, C\] = dy \[N, C\] / pixels.
#[allow(unsafe_code)] // Output without zeroing.
pub fn backward(dy: &[f32], pixels: usize, channels: usize) -> Vec<f32> {
    let image = pixels * channels;
    let images = images_per_job(image);
    // SAFETY: jobs cover dx; `spread` writes every pixel of an image.
    unsafe {
        filled(dy.len() * pixels, |dx| {
            for_each(dx.chunks_mut(images * image).zip(dy.chunks(images * channels)), |(dx, dy)| {
                for (dx, dy) in dx.chunks_exact_mut(image).zip(dy.chunks_exact(channels)) {
                    simd(|| spread(dy, 1.0 / pixels as f32, dx));
                }
            });
        })
    }
}
