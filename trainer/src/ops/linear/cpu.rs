//! A linear layer on slices: three products, and what surrounds them fused into single passes.

use crate::ops::gemm::{Matrix, Order, multiply};
use crate::ops::scratch::Scratch;
use crate::ops::shared::Shared;
use crate::ops::storage::filled;
use crate::ops::tile::{Gather, PanelWidth};
use measure::pool::{add_in_order, for_each, map, rows_per_chunk, simd};
use pulp::Arch;
use std::mem::MaybeUninit;

/// Columns of y that one visit of a row writes: a cache line.
const TILE: usize = 16;

/// Rows r, … of y from yᵀ \[out, m\], with bias and ReLU.
#[inline(always)]
fn finish(
    transposed: &[f32],
    m: usize,
    first: usize,
    bias: Option<&[f32]>,
    relu: bool,
    y: &mut [MaybeUninit<f32>],
) {
    let outputs = transposed.len() / m;
    let rows = y.len() / outputs;
    for start in (0..outputs).step_by(TILE) {
        let end = (start + TILE).min(outputs);
        for row in 0..rows {
            for column in start..end {
                let value = transposed[column * m + first + row] + bias.map_or(0.0, |b| b[column]);
                // Not `max`, which would turn a NaN into 0 and hide a diverged run.
                y[row * outputs + column].write(if relu && value < 0.0 { 0.0 } else { value });
            }
        }
    }
}

/// Rows of x from which on the weights are read as they lie.
const ROWS_FOR_TILES: usize = 8;
/// Values of w that one task passes over: about half of a second-level cache.
const TASK: usize = 96 << 10;

/// yᵀ \[out, m\] = w xᵀ with xᵀ packed into panels: each value of w is read once, from where it lies, and the panels
/// stay in cache. A library's product would first repack the weights, which are larger than x.
fn transposed_product(y: &mut [MaybeUninit<f32>], x: &[f32], w: &[f32], [m, outputs, inputs]: [usize; 3]) {
    let arch = Arch::new();
    let width = arch.dispatch(PanelWidth);
    let mut packed = Scratch::new(m.div_ceil(width) * inputs * width);
    for_each(packed.chunks_mut(inputs * width).zip(x.chunks(width * inputs)), |(panel, x)| {
        panel.fill(0.0);
        // Sixteen columns at a time: both sides of the transposition stay in first-level cache.
        for begin in (0..inputs).step_by(16) {
            for (j, row) in x.chunks_exact(inputs).enumerate() {
                for (k, &value) in row.iter().enumerate().skip(begin).take(16) {
                    panel[k * width + j] = value;
                }
            }
        }
    });
    let rows = (TASK / inputs).clamp(1, outputs.div_ceil(16)).next_multiple_of(8);
    let [src_offsets, dst_offsets] =
        [inputs, m].map(|stride| (0..rows).map(|r| r * stride).collect::<Vec<_>>());
    for_each(y.chunks_mut(rows * m).zip(w.chunks(rows * inputs)), |(y, w)| {
        let rows = y.len() / m;
        arch.dispatch(Gather {
            src: w,
            src_offsets: &src_offsets[..rows],
            dst: Shared::new(y).at(0),
            dst_offsets: &dst_offsets[..rows],
            accumulate: false,
            segments: &[0],
            run: inputs,
            packed: &packed,
            columns: m,
        });
    });
}

/// y \[m, out\] = relu?(x wᵀ + b) for x \[m, in\], w \[out, in\].
///
/// Formed as yᵀ, which the pass that adds the bias and rectifies turns.
#[allow(unsafe_code)] // Outputs without zeroing.
pub fn forward(x: &[f32], w: &[f32], bias: Option<&[f32]>, shape: [usize; 3], relu: bool) -> Vec<f32> {
    let [m, outputs, inputs] = shape;
    let product = |y: &mut [MaybeUninit<f32>]| {
        if m >= ROWS_FOR_TILES && inputs > 0 {
            transposed_product(y, x, w, shape);
        } else {
            let (a, b) = (Matrix::new(x, inputs), Matrix::new(w, inputs).transposed());
            multiply(y, Order::Columns, a, b, shape);
        }
    };
    // SAFETY: either product writes every element.
    let transposed = unsafe { filled(m * outputs, product) };
    let chunk = rows_per_chunk(outputs);
    // SAFETY: the chunks cover y, and `finish` writes every row of its chunk.
    unsafe {
        filled(m * outputs, |y| {
            for_each(y.chunks_mut(chunk * outputs).enumerate(), |(index, y)| {
                simd(|| finish(&transposed, m, index * chunk, bias, relu, y));
            });
        })
    }
}

/// dx \[m, in\] = g w.
#[allow(unsafe_code)] // Output without zeroing.
pub fn input_gradient(g: &[f32], w: &[f32], [m, outputs, inputs]: [usize; 3]) -> Vec<f32> {
    let (a, b) = (Matrix::new(g, outputs), Matrix::new(w, inputs));
    // SAFETY: `multiply` writes every element.
    unsafe { filled(m * inputs, |dx| multiply(dx, Order::Rows, a, b, [m, inputs, outputs])) }
}

/// dw \[out, in\] = gᵀ x.
pub fn weight_gradient(dw: &mut [MaybeUninit<f32>], g: &[f32], x: &[f32], [m, outputs, inputs]: [usize; 3]) {
    let (a, b) = (Matrix::new(g, outputs).transposed(), Matrix::new(x, inputs));
    multiply(dw, Order::Rows, a, b, [outputs, inputs, m]);
}

#[inline(always)]
fn sum_rows(g: &[f32], columns: usize) -> Vec<f32> {
    let mut sums = vec![0f32; columns];
    for row in g.chunks_exact(columns) {
        for (s, g) in sums.iter_mut().zip(row) {
            *s += g;
        }
    }
    sums
}

#[inline(always)]
fn mask_rows(dy: &mut [f32], y: &[f32], columns: usize) -> Vec<f32> {
    let mut sums = vec![0f32; columns];
    for (dy, y) in dy.chunks_exact_mut(columns).zip(y.chunks_exact(columns)) {
        for ((s, dy), y) in sums.iter_mut().zip(dy).zip(y) {
            *dy = if *y <= 0.0 { 0.0 } else { *dy };
            *s += *dy;
        }
    }
    sums
}

/// Σ over rows of g \[m, columns\].
pub fn column_sums(g: &[f32], columns: usize) -> Vec<f32> {
    let chunk = rows_per_chunk(columns) * columns;
    add_in_order(&map(g.chunks(chunk), |g| simd(|| sum_rows(g, columns))), columns)
}

/// dy ← dy·\[y > 0\], and the column sums of that.
pub fn mask(dy: &mut [f32], y: &[f32], columns: usize) -> Vec<f32> {
    let chunk = rows_per_chunk(columns) * columns;
    let jobs = dy.chunks_mut(chunk).zip(y.chunks(chunk));
    add_in_order(&map(jobs, |(dy, y)| simd(|| mask_rows(dy, y, columns))), columns)
}
