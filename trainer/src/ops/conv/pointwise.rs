//! 1×1 convolutions without zeros around: products of matrices, with every output pixel of every image a row.
//!
//! y \[M, C_out\] = x wᵀ, dx \[M, C_in\] = dy w, dw \[C_out, C_in\] = dyᵀ x, for M = N·H'·W'. Of a stride s > 1 x has the
//! pixels at multiples of s alone, copied beside each other first, and dx goes to these. A small dw is summed by chunks of
//! images, in their order, and a large one in one product: how, the shape alone says.

use super::geometry::Geometry;
use crate::ops::gemm::{Matrix, Order, Threads, multiply, multiply_add, multiply_on, product};
use crate::ops::scratch::Scratch;
use measure::pool::{add_in_order, map};
use rayon::prelude::*;
use std::ops::Deref;

/// Chunks of images that a small dw is summed by.
const CHUNKS: usize = 16;
/// Most values of a small dw.
const SMALL: usize = 1 << 17;

/// Whether this convolution is done here.
pub fn fits(g: &Geometry) -> bool {
    g.kernel == [1, 1] && g.padding == 0
}

fn rows(g: &Geometry) -> usize {
    g.batch * g.out_height() * g.out_width()
}

/// The pixels of an image that a window begins at: for each its row and its column.
fn windows(g: &Geometry) -> impl Iterator<Item = usize> {
    let (stride, width, columns) = (g.stride, g.width, g.out_width());
    (0..g.out_height()).flat_map(move |i| (0..columns).map(move |j| (i * width + j) * stride))
}

/// The rows of x that are multiplied: x itself, or a copy.
enum Rows<'a> {
    All(&'a [f32]),
    Copied(Scratch),
}

impl Deref for Rows<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Self::All(x) => x,
            Self::Copied(x) => x,
        }
    }
}

impl<'a> Rows<'a> {
    fn new(g: &Geometry, x: &'a [f32]) -> Self {
        if g.stride == 1 {
            return Self::All(x);
        }
        let channels = g.in_channels;
        let mut copy = Scratch::new(rows(g) * channels);
        let images = x.par_chunks_exact(g.height * g.width * channels);
        let copies = copy.par_chunks_exact_mut(g.out_height() * g.out_width() * channels);
        images.zip(copies).for_each(|(image, copy)| {
            for (pixel, row) in windows(g).zip(copy.chunks_exact_mut(channels)) {
                row.copy_from_slice(&image[pixel * channels..][..channels]);
            }
        });
        Self::Copied(copy)
    }
}

/// y.
pub fn forward(g: &Geometry, x: &[f32], weight: &[f32]) -> Vec<f32> {
    let weight = Matrix::new(weight, g.in_channels).transposed();
    let x = &*Rows::new(g, x);
    product(Matrix::new(x, g.in_channels), weight, [rows(g), g.out_channels, g.in_channels])
}

/// dx.
pub fn input_gradient(g: &Geometry, dy: &[f32], weight: &[f32]) -> Vec<f32> {
    if g.stride == 1 {
        return windows_gradient(g, dy, weight);
    }
    let mut dx = vec![0.0; g.input_shape().iter().product()];
    add_input_gradient(g, dy, weight, &mut dx);
    dx
}

/// dx at the pixels that windows begin at, beside each other.
fn windows_gradient(g: &Geometry, dy: &[f32], weight: &[f32]) -> Vec<f32> {
    let weight = Matrix::new(weight, g.in_channels);
    product(Matrix::new(dy, g.out_channels), weight, [rows(g), g.in_channels, g.out_channels])
}

/// sum ← sum + dx.
pub fn add_input_gradient(g: &Geometry, dy: &[f32], weight: &[f32], sum: &mut [f32]) {
    let channels = g.in_channels;
    if g.stride == 1 {
        let weight = Matrix::new(weight, channels);
        return multiply_add(
            sum,
            Matrix::new(dy, g.out_channels),
            weight,
            [rows(g), channels, g.out_channels],
        );
    }
    let dx = windows_gradient(g, dy, weight);
    let images = sum.par_chunks_exact_mut(g.height * g.width * channels);
    images.zip(dx.par_chunks_exact(g.out_height() * g.out_width() * channels)).for_each(|(sum, dx)| {
        for (pixel, dx) in windows(g).zip(dx.chunks_exact(channels)) {
            sum[pixel * channels..][..channels].iter_mut().zip(dx).for_each(|(sum, dx)| *sum += dx);
        }
    });
}

/// dw.
pub fn weight_gradient(g: &Geometry, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let x = &*Rows::new(g, x);
    let shape = |rows| [g.out_channels, g.in_channels, rows];
    if dw.len() > SMALL {
        let dy = Matrix::new(dy, g.out_channels).transposed();
        return multiply(dw, Order::Rows, dy, Matrix::new(x, g.in_channels), shape(rows(g)));
    }
    let chunk = g.batch.div_ceil(CHUNKS) * g.out_height() * g.out_width();
    let chunks = x.chunks(chunk * g.in_channels).zip(dy.chunks(chunk * g.out_channels));
    let partial = map(chunks, |(x, dy)| {
        let rows = x.len() / g.in_channels;
        let mut sums = vec![0.0; g.out_channels * g.in_channels];
        let dy = Matrix::new(dy, g.out_channels).transposed();
        multiply_on(Threads::One, &mut sums, Order::Rows, dy, Matrix::new(x, g.in_channels), shape(rows));
        sums
    });
    dw.copy_from_slice(&add_in_order(&partial, dw.len()));
}
