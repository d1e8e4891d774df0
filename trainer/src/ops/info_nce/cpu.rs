//! NT-Xent and its gradient on slices.

use crate::ops::gemm::{Matrix, Order, multiply};
use crate::ops::normalise;
use crate::ops::storage::filled;
use crate::ops::vector::{exp, maximum, sum_of};
use measure::pool::{for_each, map, rows_per_chunk, simd};

/// A row of s = u·uᵀ after the first pass, with k = 1/t, m = max_{j ≠ i} s_ij and n_ij = e^{(s_ij − m)k}.
///
/// The sum keeps the positive apart: where a small loss comes from t = 0.05 and negatives at cosine 0, rest = 5e-7,
/// which 1 + rest in f32 rounds to 0 or 2 of its last digits.
#[derive(Clone, Copy)]
struct Row {
    /// m.
    shift: f32,
    /// Σ n_ij over the negatives, j ≠ i and j ≠ i⁺.
    rest: f32,
    /// rest + n_{i i⁺}.
    total: f32,
    /// ln Σ_{j ≠ i} e^{s_ij k} − s_{i i⁺} k.
    loss: f64,
}

/// The first pass over a row; s_ii becomes −∞, which is no candidate: e^{−∞} = 0.
#[inline(always)]
fn scan(row: &mut [f32], anchor: usize, positive: usize, inverse_temperature: f32) -> Row {
    row[anchor] = f32::NEG_INFINITY;
    let of_positive = std::mem::replace(&mut row[positive], f32::NEG_INFINITY);
    let largest = maximum(row);
    let shift = if of_positive >= largest { of_positive } else { largest };
    // Cosines are subtracted before they are scaled: the difference of near ones is exact, and nothing overflows.
    let rest = sum_of(row, |value| exp((value - shift) * inverse_temperature));
    row[positive] = of_positive;
    let total = rest + exp((of_positive - shift) * inverse_temperature);
    // Terms that are all positive. A NaN positive takes the second form and stays one.
    let loss = if of_positive >= largest {
        f64::from(rest).ln_1p()
    } else {
        f64::from(total).ln() + f64::from(shift - of_positive) * f64::from(inverse_temperature)
    };
    Row { shift, rest, total, loss }
}

/// s_i → (p_ij + p_ji − 2·\[j = i⁺\])·weight, with p_ij = n_ij/total_i; the diagonal becomes 0. `shifts` and `shares`
/// hold m_j and weight/total_j of every row.
#[inline(always)]
fn weigh(row: &mut [f32], anchor: usize, shifts: &[f32], shares: &[f32], inverse_temperature: f32) {
    let (shift, share) = (shifts[anchor], shares[anchor]);
    for ((value, other_shift), other_share) in row.iter_mut().zip(shifts).zip(shares) {
        let (own, other) = (*value - shift, *value - other_shift);
        *value = exp(own * inverse_temperature) * share + exp(other * inverse_temperature) * other_share;
    }
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
    let inverse_temperature = (1.0 / temperature) as f32;
    let scans = map(logits.chunks_mut(chunk * views).enumerate(), |(index, rows)| {
        let scan = |(row, values)| {
            let anchor = index * chunk + row;
            simd(|| scan(values, anchor, partner(anchor), inverse_temperature))
        };
        rows.chunks_exact_mut(views).enumerate().map(scan).collect::<Vec<Row>>()
    })
    .concat();
    let loss = scans.iter().map(|row| row.loss).sum::<f64>();
    let weight = (1.0 / (views as f64 * temperature)) as f32;
    let shifts: Vec<f32> = scans.iter().map(|row| row.shift).collect();
    let shares: Vec<f32> = scans.iter().map(|row| weight / row.total).collect();
    for_each(logits.chunks_mut(chunk * views).enumerate(), |(index, rows)| {
        for (row, values) in rows.chunks_exact_mut(views).enumerate() {
            let anchor = index * chunk + row;
            simd(|| weigh(values, anchor, &shifts, &shares, inverse_temperature));
            // p − 1 = −rest/total: the difference would keep no digit of a small loss.
            let other = partner(anchor);
            values[other] = -(scans[anchor].rest * shares[anchor] + scans[other].rest * shares[other]);
        }
    });
    let shares = Matrix::new(&logits, views);
    // SAFETY: `multiply` writes every element.
    let du = unsafe { filled(z.len(), |du| multiply(du, Order::Rows, shares, u, [views, width, views])) };
    let mut result = normalise::cpu::backward(z, &du, width);
    result.push((loss / views as f64) as f32);
    result
}
