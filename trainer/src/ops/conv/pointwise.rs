//! 1×1 convolutions of stride 1 without zeros around: products of matrices, with every pixel of every image a row.
//!
//! y \[M, C_out\] = x wᵀ, dx \[M, C_in\] = dy w, dw \[C_out, C_in\] = dyᵀ x, for M = N·H·W. A small dw is summed by
//! chunks of images, in their order, and a large one in one product: how, the shape alone says.

use super::geometry::Geometry;
use crate::ops::gemm::{Matrix, Order, Threads, multiply, multiply_add, multiply_on, product};
use measure::pool::{add_in_order, map};

/// Chunks of images that a small dw is summed by.
const CHUNKS: usize = 16;
/// Most values of a small dw.
const SMALL: usize = 1 << 17;

/// Whether this convolution is done here.
pub fn fits(g: &Geometry) -> bool {
    g.kernel == [1, 1] && g.stride == 1 && g.padding == 0
}

fn rows(g: &Geometry) -> usize {
    g.batch * g.height * g.width
}

/// y.
pub fn forward(g: &Geometry, x: &[f32], weight: &[f32]) -> Vec<f32> {
    let weight = Matrix::new(weight, g.in_channels).transposed();
    product(Matrix::new(x, g.in_channels), weight, [rows(g), g.out_channels, g.in_channels])
}

/// dx.
pub fn input_gradient(g: &Geometry, dy: &[f32], weight: &[f32]) -> Vec<f32> {
    let weight = Matrix::new(weight, g.in_channels);
    product(Matrix::new(dy, g.out_channels), weight, [rows(g), g.in_channels, g.out_channels])
}

/// sum ← sum + dx.
pub fn add_input_gradient(g: &Geometry, dy: &[f32], weight: &[f32], sum: &mut [f32]) {
    let weight = Matrix::new(weight, g.in_channels);
    multiply_add(sum, Matrix::new(dy, g.out_channels), weight, [rows(g), g.in_channels, g.out_channels]);
}

/// dw.
pub fn weight_gradient(g: &Geometry, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let shape = |rows| [g.out_channels, g.in_channels, rows];
    if dw.len() > SMALL {
        let dy = Matrix::new(dy, g.out_channels).transposed();
        return multiply(dw, Order::Rows, dy, Matrix::new(x, g.in_channels), shape(rows(g)));
    }
    let chunk = g.batch.div_ceil(CHUNKS) * g.height * g.width;
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
