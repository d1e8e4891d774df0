//! A Gaussian blur of planes \[size, size\]: v ← Σ_d w_d v(x + d) along rows, then along columns, d = −r … r,
//! w_d ∝ exp(−d²/2σ²) with sum 1, the plane mirrored at its edges without repeating the edge pixel.
//!
//! Weights below 2⁻²⁷ of the largest are left out: less than an f32 can show. Pairs of pixels at the same distance are
//! added before they are weighted, so that a blurred mirror image is the mirror image of the blurred one, bit for bit.

use super::parameters::exp;

/// Weights below this share of the largest are left out: 2⁻²⁷.
const LEAST: f32 = 1.0 / (1 << 27) as f32;
/// Below this exponent they are: e⁻²⁰ < 2⁻²⁷.
const LEAST_EXPONENT: f32 = -20.0;
/// Numbers that are summed side by side.
const WIDE: usize = 32;

/// Buffers of one thread, kept between images.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// w_0, w_1, …: of distances that count.
    weights: Vec<f32>,
    /// A row with its mirrored ends.
    row: Vec<f32>,
    /// The plane, blurred along its rows.
    rows: Vec<f32>,
}

/// Fills `weights` with w_0, …, w_r of a kernel of 2r + 1 pixels, without those too small to count.
fn fill_weights(radius: usize, sigma: f32, weights: &mut Vec<f32>) {
    weights.clear();
    weights.push(1.0);
    let mut sum = 1.0;
    for distance in 1..=radius {
        let ratio = distance as f32 / sigma;
        let exponent = -0.5 * (ratio * ratio);
        let weight = if exponent < LEAST_EXPONENT { 0.0 } else { exp(exponent) };
        if weight < LEAST {
            break;
        }
        weights.push(weight);
        sum += 2.0 * weight;
    }
    weights.iter_mut().for_each(|weight| *weight /= sum);
}

/// Blurs planes \[size, size\], which lie one after the other; of a kernel of 2r + 1 pixels, r < size. Numbers stay in
/// \[0, 1\].
pub(super) fn blur(planes: &mut [f32], size: usize, radius: usize, sigma: f32, buffers: &mut Buffers) {
    let Buffers { weights, row, rows } = buffers;
    fill_weights(radius, sigma, weights);
    let reach = weights.len() - 1;
    if reach == 0 {
        return;
    }
    row.resize(size + 2 * reach, 0.0);
    rows.resize(size * size, 0.0);
    for plane in planes.chunks_exact_mut(size * size) {
        for (source, out) in plane.chunks_exact(size).zip(rows.chunks_exact_mut(size)) {
            row[reach..reach + size].copy_from_slice(source);
            for distance in 1..=reach {
                row[reach - distance] = source[distance];
                row[reach + size - 1 + distance] = source[size - 1 - distance];
            }
            sum_pairs(
                weights,
                |distance, x| (&row[reach - distance + x..], &row[reach + distance + x..]),
                out,
            );
        }
        let at = |y: usize| &rows[y * size..][..size];
        for (y, out) in plane.chunks_exact_mut(size).enumerate() {
            let pair = |distance: usize, x: usize| {
                let below = if y + distance < size { y + distance } else { 2 * (size - 1) - y - distance };
                (&at(y.abs_diff(distance))[x..], &at(below)[x..])
            };
            sum_pairs(weights, pair, out);
        }
        plane.iter_mut().for_each(|v| *v = if *v < 1.0 { *v } else { 1.0 });
    }
}

/// out(x) = w_0 a_0(x) + Σ_d w_d (a_d(x) + b_d(x)), where `pair` of d and x gives a_d and b_d from x on.
#[inline(always)]
fn sum_pairs<'a>(weights: &[f32], pair: impl Fn(usize, usize) -> (&'a [f32], &'a [f32]), out: &mut [f32]) {
    let wide = out.len() / WIDE * WIDE;
    let (chunks, rest) = out.split_at_mut(wide);
    for (place, out) in chunks.chunks_exact_mut(WIDE).enumerate() {
        sum_chunk::<WIDE>(weights, |distance| pair(distance, place * WIDE), out);
    }
    for (x, out) in rest.chunks_exact_mut(1).enumerate() {
        sum_chunk::<1>(weights, |distance| pair(distance, wide + x), out);
    }
}

/// [`sum_pairs`] of N neighbours.
#[inline(always)]
fn sum_chunk<'a, const N: usize>(
    weights: &[f32],
    pair: impl Fn(usize) -> (&'a [f32], &'a [f32]),
    out: &mut [f32],
) {
    let mut sums = [0.0; N];
    sums.copy_from_slice(&pair(0).0[..N]);
    sums.iter_mut().for_each(|sum| *sum *= weights[0]);
    for (distance, weight) in weights.iter().enumerate().skip(1) {
        let (low, high) = pair(distance);
        for ((sum, a), b) in sums.iter_mut().zip(&low[..N]).zip(&high[..N]) {
            *sum += (a + b) * weight;
        }
    }
    out.copy_from_slice(&sums);
}
