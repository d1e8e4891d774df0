//! Batch normalisation on slices: two passes over memory forward, two backward, each parallel over chunks of rows.
//!
//! Inside a chunk, x − mean is formed before anything is multiplied, so that a mean far from 0 costs no digits. A row
//! is masked in a loop of its own: with all the slices of a formula in one loop, LLVM gives up proving that they do not
//! overlap, and branches on random signs instead of selecting.

use crate::ops::storage::filled;
use measure::pool::{add_in_order, for_each, map, rows_per_chunk, simd};
use std::mem::MaybeUninit;

/// Per-channel numbers of the forward pass: y = (x − mean)·scale + shift, with scale = γ·inv_std and shift = β.
pub struct Channels {
    pub mean: Vec<f32>,
    pub inv_std: Vec<f32>,
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
}

impl Channels {
    /// From `statistics` \[2, C\] and `affine` \[2, C\].
    pub fn new(statistics: &[f32], affine: &[f32]) -> Self {
        let channels = statistics.len() / 2;
        let (mean, inv_std) = statistics.split_at(channels);
        let (gamma, beta) = affine.split_at(channels);
        let scale = gamma.iter().zip(inv_std).map(|(g, s)| g * s).collect();
        Self { mean: mean.to_vec(), inv_std: inv_std.to_vec(), scale, shift: beta.to_vec() }
    }
}

/// Channels that a sum over rows takes at a time: their sums stay in one AVX-512 register.
const LANES: usize = 16;
type Lanes = [f32; LANES];

/// Elements `at`, … of a row; zeros behind its end.
#[inline(always)]
fn lanes(row: &[f32], at: usize) -> Lanes {
    let rest = &row[at..];
    if let Some(whole) = rest.first_chunk::<LANES>() {
        return *whole;
    }
    let mut padded = [0.0; LANES];
    for (lane, value) in padded.iter_mut().zip(rest) {
        *lane = *value;
    }
    padded
}

/// Writes what of a block lies before the end of a row.
#[inline(always)]
fn put(row: &mut [f32], at: usize, values: Lanes) {
    for (to, value) in row[at..].iter_mut().zip(values) {
        *to = value;
    }
}

/// Calls `add` with a block of channels of every row: four rows at a time, then one by one (three blocks of zeros).
#[inline(always)]
fn by_four_rows(x: &[f32], channels: usize, at: usize, mut add: impl FnMut([Lanes; 4], usize)) {
    let mut groups = x.chunks_exact(4 * channels);
    for group in &mut groups {
        let row = |index: usize| lanes(&group[index * channels..][..channels], at);
        add([row(0), row(1), row(2), row(3)], 4);
    }
    for row in groups.remainder().chunks_exact(channels) {
        add([lanes(row, at), [0.0; LANES], [0.0; LANES], [0.0; LANES]], 1);
    }
}

/// \[3, C\]: a mean, its correction, and Σ(x − mean − correction)² of every channel of a chunk, by two passes; the
/// second finds what the first mean is off by. The two parts stay apart: their sum in f32 would be off by half an ulp,
/// which at a mean of 10⁶ deviations is 3 % of a deviation. Sums are of four rows each, which keeps them shallow.
#[inline(always)]
fn chunk_moments(x: &[f32], channels: usize) -> Vec<f32> {
    let rows = (x.len() / channels) as f32;
    let mut moments = vec![0f32; 3 * channels];
    let (means, others) = moments.split_at_mut(channels);
    let (corrections, sums) = others.split_at_mut(channels);
    for at in (0..channels).step_by(LANES) {
        let mut mean = [0f32; LANES];
        by_four_rows(x, channels, at, |[a, b, c, d], _| {
            for lane in 0..LANES {
                mean[lane] += (a[lane] + b[lane]) + (c[lane] + d[lane]);
            }
        });
        for mean in &mut mean {
            *mean /= rows;
        }
        let mut rest = [0f32; LANES];
        let mut squares = [0f32; LANES];
        by_four_rows(x, channels, at, |[a, b, c, d], count| {
            for lane in 0..LANES {
                let m = mean[lane];
                let a = a[lane] - m;
                let (b, c, d) =
                    if count == 4 { (b[lane] - m, c[lane] - m, d[lane] - m) } else { (0.0, 0.0, 0.0) };
                rest[lane] += (a + b) + (c + d);
                squares[lane] += (a * a + b * b) + (c * c + d * d);
            }
        });
        let mut correction = [0f32; LANES];
        for lane in 0..LANES {
            correction[lane] = rest[lane] / rows;
            squares[lane] = rectified::<true>(squares[lane] - rest[lane] * correction[lane]);
        }
        put(means, at, mean);
        put(corrections, at, correction);
        put(sums, at, squares);
    }
    moments
}

/// Mean and Σ(x − mean)² of all chunks together, in f64 and in the order of the chunks.
///
/// Σ(x − mean)² = Σ_k [M2_k + n_k (mean_k − mean)²]: Chan, Golub & LeVeque 1983, for all chunks at once.
#[inline(always)]
fn all_moments(partial: &[(f64, Vec<f32>)], channels: usize, rows: f64) -> (Vec<f64>, Vec<f64>) {
    let mut mean = vec![0f64; channels];
    for (count, moments) in partial {
        let (chunk_mean, corrections) = moments.split_at(channels);
        for ((m, x), correction) in mean.iter_mut().zip(chunk_mean).zip(corrections) {
            *m += count * (f64::from(*x) + f64::from(*correction));
        }
    }
    for m in &mut mean {
        *m /= rows;
    }
    let mut squares = vec![0f64; channels];
    for (count, moments) in partial {
        let (chunk_mean, others) = moments.split_at(channels);
        let (corrections, chunk_squares) = others.split_at(channels);
        let chunk = chunk_mean.iter().zip(corrections).zip(chunk_squares);
        for ((q, m), ((x, correction), s)) in squares.iter_mut().zip(&mean).zip(chunk) {
            let distance = f64::from(*x) + f64::from(*correction) - m;
            *q += f64::from(*s) + count * distance * distance;
        }
    }
    (mean, squares)
}

/// \[2, C\]: mean, then 1/√(biased variance + ε).
pub fn statistics(x: &[f32], channels: usize, epsilon: f64) -> Vec<f32> {
    let chunk = rows_per_chunk(channels) * channels;
    let partial =
        map(x.chunks(chunk), |x| ((x.len() / channels) as f64, simd(|| chunk_moments(x, channels))));
    let rows = (x.len() / channels) as f64;
    let (mean, squares) = simd(|| all_moments(&partial, channels, rows));
    let mean = mean.iter().map(|m| *m as f32);
    mean.chain(squares.iter().map(|q| (1.0 / (q / rows + epsilon).sqrt()) as f32)).collect()
}

#[inline(always)]
fn rectified<const RELU: bool>(value: f32) -> f32 {
    // Not `max`, which would turn a NaN into 0 and hide a diverged run.
    if RELU && value < 0.0 { 0.0 } else { value }
}

#[inline(always)]
fn apply_chunk<const RELU: bool>(
    x: &[f32],
    residual: Option<&[f32]>,
    c: &Channels,
    y: &mut [MaybeUninit<f32>],
) {
    let channels = c.mean.len();
    let rows = x.chunks_exact(channels).zip(y.chunks_exact_mut(channels));
    if let Some(residual) = residual {
        for ((x, y), residual) in rows.zip(residual.chunks_exact(channels)) {
            let coefficients = c.mean.iter().zip(&c.scale).zip(&c.shift);
            for (((y, x), r), ((mean, scale), shift)) in y.iter_mut().zip(x).zip(residual).zip(coefficients) {
                y.write(rectified::<RELU>((x - mean) * scale + shift + r));
            }
        }
    } else {
        for (x, y) in rows {
            let coefficients = c.mean.iter().zip(&c.scale).zip(&c.shift);
            for ((y, x), ((mean, scale), shift)) in y.iter_mut().zip(x).zip(coefficients) {
                y.write(rectified::<RELU>((x - mean) * scale + shift));
            }
        }
    }
}

/// y = relu?((x − mean)·scale + shift \[+ residual\]).
#[allow(unsafe_code)] // Output without zeroing.
pub fn apply(x: &[f32], residual: Option<&[f32]>, channels: &Channels, relu: bool) -> Vec<f32> {
    let width = channels.mean.len();
    let chunk = rows_per_chunk(width) * width;
    // SAFETY: the chunks of y cover it, x has the same length and the same chunks, and `apply_chunk` writes one element
    // of y for each of x.
    unsafe {
        filled(x.len(), |y| {
            let jobs = x.chunks(chunk).zip(y.chunks_mut(chunk)).enumerate();
            for_each(jobs, |(index, (x, y))| {
                let residual = residual.map(|r| &r[index * chunk..][..x.len()]);
                simd(|| match relu {
                    true => apply_chunk::<true>(x, residual, channels, y),
                    false => apply_chunk::<false>(x, residual, channels, y),
                });
            });
        })
    }
}

/// g ← dy where the recomputed output of the row is positive, else 0.
#[inline(always)]
fn mask_row(g: &mut [f32], x: &[f32], c: &Channels) {
    let coefficients = c.mean.iter().zip(&c.scale).zip(&c.shift);
    for ((g, x), ((mean, scale), shift)) in g.iter_mut().zip(x).zip(coefficients) {
        // The very expression of the forward pass: the same bits, hence the same sign.
        *g = if (x - mean) * scale + shift <= 0.0 { 0.0 } else { *g };
    }
}

/// Σ g·x̂ and Σ g over a chunk.
#[inline(always)]
fn reduce_chunk<const RELU: bool>(dy: &[f32], x: &[f32], c: &Channels) -> Vec<f32> {
    let channels = c.mean.len();
    let mut sums = vec![0f32; 2 * channels];
    let (products, gradients) = sums.split_at_mut(channels);
    for at in (0..channels).step_by(LANES) {
        let (mean, inv_std) = (lanes(&c.mean, at), lanes(&c.inv_std, at));
        let (scale, shift) = (lanes(&c.scale, at), lanes(&c.shift, at));
        let mut product = [0f32; LANES];
        let mut gradient = [0f32; LANES];
        for (dy, x) in dy.chunks_exact(channels).zip(x.chunks_exact(channels)) {
            let (dy, x) = (lanes(dy, at), lanes(x, at));
            for lane in 0..LANES {
                let centred = x[lane] - mean[lane];
                // The very expression of the forward pass: the same bits, hence the same sign.
                let blocked = RELU && centred * scale[lane] + shift[lane] <= 0.0;
                let g = if blocked { 0.0 } else { dy[lane] };
                gradient[lane] += g;
                product[lane] += g * centred;
            }
        }
        for lane in 0..LANES {
            product[lane] *= inv_std[lane];
        }
        put(products, at, product);
        put(gradients, at, gradient);
    }
    sums
}

/// \[2, C\]: dγ = Σ g·x̂ and dβ = Σ g, where g = dy·\[y > 0\] if `relu` (y recomputed from x) and dy otherwise.
pub fn reduce(dy: &[f32], x: &[f32], channels: &Channels, relu: bool) -> Vec<f32> {
    let width = channels.mean.len();
    let chunk = rows_per_chunk(width) * width;
    let partial = map(dy.chunks(chunk).zip(x.chunks(chunk)), |(dy, x)| {
        simd(|| match relu {
            true => reduce_chunk::<true>(dy, x, channels),
            false => reduce_chunk::<false>(dy, x, channels),
        })
    });
    add_in_order(&partial, 2 * width)
}

#[inline(always)]
fn masked_reduce_chunk(dy: &mut [f32], x: &[f32], y: &[f32], c: &Channels) -> Vec<f32> {
    for (dy, y) in dy.iter_mut().zip(y) {
        *dy = if *y <= 0.0 { 0.0 } else { *dy };
    }
    reduce_chunk::<false>(dy, x, c)
}

/// dy ← g = dy·\[y > 0\] and the \[2, C\] sums of [`reduce`].
pub fn masked_reduce(dy: &mut [f32], x: &[f32], y: &[f32], channels: &Channels) -> Vec<f32> {
    let width = channels.mean.len();
    let chunk = rows_per_chunk(width) * width;
    let jobs = dy.chunks_mut(chunk).zip(x.chunks(chunk)).zip(y.chunks(chunk));
    let partial = map(jobs, |((dy, x), y)| simd(|| masked_reduce_chunk(dy, x, y, channels)));
    add_in_order(&partial, 2 * width)
}

/// Per-channel numbers of dx = scale·(g − offset − (x − mean)·slope).
pub struct Backward<'a> {
    channels: &'a Channels,
    offset: Vec<f32>,
    slope: Vec<f32>,
}

impl<'a> Backward<'a> {
    /// From the sums of [`reduce`] over this many rows.
    pub fn new(channels: &'a Channels, sums: &[f32], rows: usize) -> Self {
        let (dgamma, dbeta) = sums.split_at(channels.mean.len());
        let rows = rows as f32;
        let slope = dgamma.iter().zip(&channels.inv_std).map(|(d, s)| d * s / rows).collect();
        Self { channels, offset: dbeta.iter().map(|d| d / rows).collect(), slope }
    }

    #[inline(always)]
    fn coefficients(&self) -> impl Iterator<Item = [f32; 4]> {
        let pairs = self.channels.mean.iter().zip(&self.channels.scale).zip(&self.offset).zip(&self.slope);
        pairs.map(|(((mean, scale), offset), slope)| [*mean, *scale, *offset, *slope])
    }

    #[inline(always)]
    fn chunk_in_place<const RELU: bool>(&self, g: &mut [f32], x: &[f32]) {
        let channels = self.offset.len();
        for (g, x) in g.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
            if RELU {
                mask_row(g, x, self.channels);
            }
            for ((g, x), [mean, scale, offset, slope]) in g.iter_mut().zip(x).zip(self.coefficients()) {
                *g = scale * (*g - offset - (x - mean) * slope);
            }
        }
    }

    #[inline(always)]
    fn chunk<const RELU: bool>(&self, g: &[f32], x: &[f32], dx: &mut [MaybeUninit<f32>]) {
        let channels = self.offset.len();
        let mut masked = vec![0f32; channels];
        let rows = g.chunks_exact(channels).zip(x.chunks_exact(channels));
        for ((g, x), dx) in rows.zip(dx.chunks_exact_mut(channels)) {
            let g = if RELU {
                masked.copy_from_slice(g);
                mask_row(&mut masked, x, self.channels);
                &masked
            } else {
                g
            };
            for (((g, x), dx), [mean, scale, offset, slope]) in
                g.iter().zip(x).zip(dx).zip(self.coefficients())
            {
                dx.write(scale * (g - offset - (x - mean) * slope));
            }
        }
    }

    /// dx over g; `relu` masks g by the recomputed output first.
    pub fn in_place(&self, g: &mut [f32], x: &[f32], relu: bool) {
        let chunk = rows_per_chunk(self.offset.len()) * self.offset.len();
        for_each(g.chunks_mut(chunk).zip(x.chunks(chunk)), |(g, x)| {
            simd(|| match relu {
                true => self.chunk_in_place::<true>(g, x),
                false => self.chunk_in_place::<false>(g, x),
            });
        });
    }

    /// dx as a new vector; `relu` masks g by the recomputed output first.
    #[allow(unsafe_code)] // Output without zeroing.
    pub fn new_gradient(&self, g: &[f32], x: &[f32], relu: bool) -> Vec<f32> {
        let chunk = rows_per_chunk(self.offset.len()) * self.offset.len();
        // SAFETY: the chunks of dx cover it, g and x have the same length and chunks, and one element is written for
        // each.
        unsafe {
            filled(g.len(), |dx| {
                for_each(g.chunks(chunk).zip(x.chunks(chunk)).zip(dx.chunks_mut(chunk)), |((g, x), dx)| {
                    simd(|| match relu {
                        true => self.chunk::<true>(g, x, dx),
                        false => self.chunk::<false>(g, x, dx),
                    });
                });
            })
        }
    }
}

/// running ← (1 − momentum)·running + momentum·(mean, unbiased variance), over \[2, C\].
pub fn update_running(running: &mut [f32], statistics: &[f32], rows: usize, epsilon: f64, momentum: f64) {
    let channels = statistics.len() / 2;
    let correction = rows as f64 / (rows as f64 - 1.0);
    for (index, (running, new)) in running.iter_mut().zip(statistics).enumerate() {
        let new = f64::from(*new);
        let new = if index < channels {
            new
        } else {
            let variance = (new * new).recip() - epsilon;
            // Not `max`, as in `rectified`.
            if variance < 0.0 { 0.0 } else { variance * correction }
        };
        *running = ((1.0 - momentum) * f64::from(*running) + momentum * new) as f32;
    }
}

/// (mean, variance) -> (mean, 1/√(variance + ε)), over \[2, C\].
pub fn frozen(running: &[f32], epsilon: f64) -> Vec<f32> {
    let (mean, variance) = running.split_at(running.len() / 2);
    let inv_std = variance.iter().map(|v| (1.0 / (f64::from(*v) + epsilon).sqrt()) as f32);
    mean.iter().copied().chain(inv_std).collect()
}
