//! NT-Xent and its gradient on slices.

use crate::ops::gemm::{Matrix, Order, multiply};
use crate::ops::normalise;
use crate::ops::parallel::{filled, for_each, map, overwritten, rows_per_chunk, simd};
use crate::ops::vector::{exp, maximum, sum_of};

/// ln Σ_{j ≠ i} e^{s_ij/t} of row i = `anchor`, and the logit of its positive; the row becomes s/t.
#[inline(always)]
fn scan(row: &mut [f32], anchor: usize, positive: usize, inverse_temperature: f32) -> (f32, f32) {
    for value in row.iter_mut() {
        *value *= inverse_temperature;
    }
    // Not a candidate: e^{−∞} = 0.
    row[anchor] = f32::NEG_INFINITY;
    let shift = maximum(row);
    (shift + sum_of(row, |value| exp(value - shift)).ln(), row[positive])
}

/// s_i → (p_ij + p_ji − 2·\[j = i⁺\])·weight, with p_ij = e^{s_ij − lse_i}; the diagonal becomes 0.
#[inline(always)]
fn weigh(row: &mut [f32], anchor: usize, positive: usize, normalisers: &[f32], weight: f32) {
    let own = normalisers[anchor];
    for (value, other) in row.iter_mut().zip(normalisers) {
        *value = (exp(*value - own) + exp(*value - other)) * weight;
    }
    row[positive] -= 2.0 * weight;
}

/// dz \[2n·d\], then the loss.
#[allow(unsafe_code)] // Outputs without zeroing.
pub fn loss_and_gradient(z: &[f32], width: usize, temperature: f64) -> Vec<f32> {
    let views = z.len() / width;
    let partner = |view: usize| (view + views / 2) % views;
    let unit = normalise::cpu::forward(z, width);
    let u = Matrix::new(&unit, width);
    let square = [views, views, width];
    // SAFETY: `multiply` writes every element.
    let mut logits =
        unsafe { filled(views * views, |s| multiply(s, Order::Rows, u, u.transposed(), square)) };
    let chunk = rows_per_chunk(views);
    let scans = map(logits.chunks_mut(chunk * views).enumerate(), |(index, rows)| {
        let scan = |(row, values)| {
            let anchor = index * chunk + row;
            simd(|| scan(values, anchor, partner(anchor), (1.0 / temperature) as f32))
        };
        rows.chunks_exact_mut(views).enumerate().map(scan).collect::<Vec<(f32, f32)>>()
    })
    .concat();
    let loss =
        scans.iter().map(|(normaliser, positive)| f64::from(*normaliser) - f64::from(*positive)).sum::<f64>();
    let normalisers: Vec<f32> = scans.iter().map(|(normaliser, _)| *normaliser).collect();
    let weight = (1.0 / (views as f64 * temperature)) as f32;
    for_each(logits.chunks_mut(chunk * views).enumerate(), |(index, rows)| {
        for (row, values) in rows.chunks_exact_mut(views).enumerate() {
            let anchor = index * chunk + row;
            simd(|| weigh(values, anchor, partner(anchor), &normalisers, weight));
        }
    });
    let mut du = vec![0f32; z.len()];
    multiply(overwritten(&mut du), Order::Rows, Matrix::new(&logits, views), u, [views, width, views]);
    let mut result = normalise::cpu::backward(z, &du, width);
    result.push((loss / views as f64) as f32);
    result
}
