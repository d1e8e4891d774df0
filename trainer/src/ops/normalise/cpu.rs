//! Rows scaled to unit length, on slices.

use crate::ops::storage::filled;
use crate::ops::vector::dot;
use measure::pool::{for_each, rows_per_chunk, simd};
use std::mem::MaybeUninit;

/// 1/‖z‖, 0 for a row whose squares all underflow, NaN for one whose sum of squares overflows.
#[inline(always)]
pub fn inverse_norm(z: &[f32]) -> f32 {
    let squares = dot(z, z);
    if squares == 0.0 {
        0.0
    } else if squares < f32::INFINITY {
        1.0 / squares.sqrt()
    } else {
        // 1/√∞ = 0 would make a row of a diverged run a zero row, with gradient 0 and a loss that looks healthy.
        f32::NAN
    }
}

#[inline(always)]
fn forward_rows(z: &[f32], u: &mut [MaybeUninit<f32>], width: usize) {
    for (z, u) in z.chunks_exact(width).zip(u.chunks_exact_mut(width)) {
        let scale = inverse_norm(z);
        for (u, z) in u.iter_mut().zip(z) {
            u.write(z * scale);
        }
    }
}

/// u = z/‖z‖ per row of this width.
#[allow(unsafe_code)] // Output without zeroing.
pub fn forward(z: &[f32], width: usize) -> Vec<f32> {
    let chunk = rows_per_chunk(width) * width;
    // SAFETY: the chunks of u cover it, z has the same length and chunks, and every element of a row is written.
    unsafe {
        filled(z.len(), |u| {
            for_each(z.chunks(chunk).zip(u.chunks_mut(chunk)), |(z, u)| simd(|| forward_rows(z, u, width)));
        })
    }
}

#[inline(always)]
fn backward_rows(z: &[f32], du: &[f32], dz: &mut [MaybeUninit<f32>], width: usize) {
    let rows = z.chunks_exact(width).zip(du.chunks_exact(width)).zip(dz.chunks_exact_mut(width));
    for ((z, du), dz) in rows {
        let scale = inverse_norm(z);
        let along = dot(z, du) * scale * scale;
        for ((dz, z), du) in dz.iter_mut().zip(z).zip(du) {
            dz.write(scale * (du - z * along));
        }
    }
}

/// dz = (du − u (u·du)) / ‖z‖ per row of this width.
#[allow(unsafe_code)] // Output without zeroing.
pub fn backward(z: &[f32], du: &[f32], width: usize) -> Vec<f32> {
    let chunk = rows_per_chunk(width) * width;
    // SAFETY: as in `forward`.
    unsafe {
        filled(z.len(), |dz| {
            let jobs = z.chunks(chunk).zip(du.chunks(chunk)).zip(dz.chunks_mut(chunk));
            for_each(jobs, |((z, du), dz)| simd(|| backward_rows(z, du, dz, width)));
        })
    }
}
