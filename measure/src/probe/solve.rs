//! Multinomial logistic regression solved to its optimum: L-BFGS, preconditioned by the features' second moments.
//!
//! F(W, b) = (1/M) Σ_i [ln Σ_c e^{w_c·x_i + b_c} − w_{y_i}·x_i − b_{y_i}] + (ridge/2) Σ_c ‖w_c‖²
//!
//! is convex. Its Hessian at 0 is (1/C)(I − 11ᵀ/C) ⊗ XᵀX/M plus the ridge. The method starts from the inverse of
//! A = XᵀX/(C M) + ridge (none for the intercept), the same for each class. Gradients sum to 0 over the classes but for
//! the ridge, so that the first step is Newton's. Up to [`MOST_DENSE`] columns A⁻¹ is a matrix, above them A is its
//! diagonal. After that the curvature pairs of the last [`MEMORY`] steps correct it (Liu & Nocedal 1989). A step is
//! halved until it fulfils Armijo's condition.
//!
//! **How near the optimum.** Let g be the gradient in (W, b) at the end and (W*, b*) an optimum. F − (ridge/2)‖W‖² is
//! convex, so that F − F* ≤ g·(W − W*, b − b*) − (ridge/2)‖W − W*‖². The largest value of the terms in W is
//! ‖g_W‖²/(2 ridge): F − F* ≤ ‖g_W‖²/(2 ridge) + ‖g_b‖ ‖b − b*‖, for a gradient of 1e-7 at most 5e-11 at the ridge
//! 1e-4, and 5e-9 at the least ridge, 1e-6, plus 1e-7 times the intercepts' error. At far smaller ridges the bound says
//! nothing (5e-3 at 1e-12): they are refused.
//!
//! **Memory.** Of numbers \[C, d+1\]: about eight of the current step, the pairs, and two for each chunk that is summed
//! at the same time. Pairs are at most [`MOST_REMEMBERED`] numbers, or six \[C, d+1\] if that is more, chunks twice as
//! many numbers, or two \[C, d+1\].

use crate::error::Result;
use crate::gemm::Threads;
use crate::matrix::{Matrix, Rows, dot, times_transposed, transposed_times};
use crate::pool::{self, Stop};
use crate::rows::{FeatureRows, runs};
use nalgebra::DMatrix;
use std::collections::VecDeque;

/// Norm of the gradient at which a probe counts as solved.
pub const PROBE_TOLERANCE: f64 = 1e-7;
/// Passes over the training samples after which a probe is given up as it is.
pub const MOST_PASSES: usize = 5_000;
/// Pairs of steps and gradients that are remembered, where they fit into [`MOST_REMEMBERED`] numbers.
const MEMORY: usize = 30;
/// 256 MiB: most numbers of pairs, and of gradients of chunks.
const MOST_REMEMBERED: usize = 1 << 25;
/// Columns above which the preconditioner is diagonal: its inverse costs d³.
const MOST_DENSE: usize = 4096;
/// Columns of it that are solved for at once.
const SOLVED: usize = 64;
/// What an interruption gives up.
const DOING: &str = "solving a linear probe";
/// Rows of a chunk, whose gradient is summed on one thread.
const CHUNK_ROWS: usize = 2048;
/// Most chunks at a time: each holds two gradients while it is summed, and one until it is added.
const CHUNKS: usize = 32;
/// Features of a block, which is read twice: 512 KiB stay in a core's second-level cache.
const BLOCK: usize = 1 << 16;

/// What is minimised: of standardised features [M, d+1] whose last column is 1.
pub(super) struct Objective<'a, F> {
    pub x: &'a F,
    pub labels: &'a [usize],
    pub num_classes: usize,
    pub ridge: f64,
    pub stop: Stop<'a>,
}

/// Where the minimisation ended.
#[derive(Debug, Clone)]
pub(super) struct Solution {
    /// W and, in the last column, b.
    pub weights: Matrix,
    /// F there.
    pub loss: f64,
    /// ‖∇F‖ there.
    pub gradient: f64,
    /// How often F and its gradient were computed.
    pub passes: usize,
}

impl<F: FeatureRows> Objective<'_, F> {
    /// F, and its gradient \[C, d+1\], at these weights.
    pub fn at(&self, weights: &Matrix) -> Result<(f64, Vec<f64>)> {
        let (x, cols, count) = (self.x, self.x.width(), self.x.count());
        let block = (BLOCK / cols).clamp(64, CHUNK_ROWS);
        let side_by_side = side_by_side(weights.data.len());
        let threads = if side_by_side < CHUNKS { Threads::Pool } else { Threads::One };
        let of_chunk = |start: usize| -> Result<(f64, Vec<f64>)> {
            pool::check(self.stop, DOING)?;
            let end = (start + CHUNK_ROWS).min(count);
            let (mut loss, mut gradient) = (0.0, vec![0.0; weights.data.len()]);
            let mut part = gradient.clone();
            for first in (start..end).step_by(block) {
                let rows = first..(first + block).min(end);
                let values = x.run(rows.clone())?;
                let features = Rows { values: &values, cols };
                let mut residual = Matrix::zeros(rows.len(), weights.rows);
                times_transposed(features, weights.all(), &mut residual.data, threads)?;
                for (i, &label) in self.labels[rows].iter().enumerate() {
                    let row = residual.row_mut(i);
                    let own = row[label];
                    loss += softmax(row) - own;
                    row[label] -= 1.0;
                }
                transposed_times(residual.all(), features, &mut part, threads)?;
                gradient.iter_mut().zip(&part).for_each(|(sum, part)| *sum += part);
            }
            Ok((loss, gradient))
        };
        let (mut loss, mut gradient) = (0.0, vec![0.0; weights.data.len()]);
        let starts: Vec<usize> = (0..count).step_by(CHUNK_ROWS).collect();
        for starts in starts.chunks(side_by_side) {
            for part in pool::map(starts.iter().copied(), of_chunk) {
                let (of_chunk, part) = part?;
                loss += of_chunk;
                gradient.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            }
        }
        let mut squares = 0.0;
        let count = count as f64;
        for (gradient, weights) in gradient.chunks_exact_mut(cols).zip(weights.data.chunks_exact(cols)) {
            gradient.iter_mut().for_each(|g| *g /= count);
            // Not the intercept's.
            for (g, w) in gradient.iter_mut().zip(weights).take(cols - 1) {
                *g += self.ridge * w;
                squares += w * w;
            }
        }
        Ok((loss / count + 0.5 * self.ridge * squares, gradient))
    }

    /// The minimum, from these weights on.
    ///
    /// # Errors
    /// The features do not fit the labels or the memory; `stop` says so.
    pub fn minimise(&self, start: Matrix) -> Result<Solution> {
        let preconditioner = Preconditioner::new(self)?;
        let mut weights = start;
        let (mut loss, mut gradient) = self.at(&weights)?;
        let mut passes = 1;
        let memory = (MOST_REMEMBERED / (2 * weights.data.len()).max(1)).clamp(3, MEMORY);
        let mut pairs = VecDeque::with_capacity(memory + 1);
        loop {
            let norm = dot(&gradient, &gradient).sqrt();
            if norm <= PROBE_TOLERANCE || passes >= MOST_PASSES {
                return Ok(Solution { weights, loss, gradient: norm, passes });
            }
            let direction = direction(&gradient, &pairs, &preconditioner, weights.cols)?;
            let slope = dot(&gradient, &direction);
            // Differences of F below its rounding are none.
            let rounding = 1e-14 * loss.abs();
            let mut length = 1.0;
            let (next, (next_loss, next_gradient)) = loop {
                let mut next = weights.clone();
                next.data.iter_mut().zip(&direction).for_each(|(w, d)| *w += length * d);
                let found = self.at(&next)?;
                passes += 1;
                if found.0 <= loss + 1e-4 * length * slope + rounding {
                    break (next, found);
                }
                length *= 0.5;
                if passes >= MOST_PASSES || length < 1e-12 {
                    return Ok(Solution { weights, loss, gradient: norm, passes });
                }
            };
            let step: Vec<f64> = direction.iter().map(|d| length * d).collect();
            let change: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
            let curvature = dot(&step, &change);
            if curvature > 1e-14 * dot(&change, &change) {
                pairs.push_back(Pair { step, change, curvature });
                if pairs.len() > memory {
                    pairs.pop_front();
                }
            }
            (weights, loss, gradient) = (next, next_loss, next_gradient);
        }
    }
}

/// How many chunks are summed at the same time where a gradient is of so many numbers.
fn side_by_side(numbers: usize) -> usize {
    (MOST_REMEMBERED / numbers.max(1)).clamp(1, CHUNKS)
}

/// The row's softmax in its place; ln Σ e^x.
fn softmax(row: &mut [f64]) -> f64 {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    row.iter_mut().for_each(|v| *v = (*v - largest).exp());
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|v| *v /= sum);
    largest + sum.ln()
}

/// A step and how it changed the gradient.
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    /// Their product.
    curvature: f64,
}

/// −H g, H the preconditioner corrected by the pairs (the two loops of L-BFGS).
fn direction(
    gradient: &[f64],
    pairs: &VecDeque<Pair>,
    preconditioner: &Preconditioner,
    cols: usize,
) -> Result<Vec<f64>> {
    let mut q = gradient.to_vec();
    let mut shares = Vec::with_capacity(pairs.len());
    for pair in pairs.iter().rev() {
        let share = dot(&pair.step, &q) / pair.curvature;
        q.iter_mut().zip(&pair.change).for_each(|(q, y)| *q -= share * y);
        shares.push(share);
    }
    let mut scale = 1.0;
    if let Some(Pair { change, curvature, .. }) = pairs.back() {
        scale = curvature / dot(change, &preconditioner.apply(change, cols)?);
    }
    let mut q = preconditioner.apply(&q, cols)?;
    q.iter_mut().for_each(|q| *q *= scale);
    for (pair, share) in pairs.iter().zip(shares.iter().rev()) {
        let missing = share - dot(&pair.change, &q) / pair.curvature;
        q.iter_mut().zip(&pair.step).for_each(|(q, s)| *q += missing * s);
    }
    q.iter_mut().for_each(|q| *q = -*q);
    Ok(q)
}

/// XᵀX, some rows at a time.
fn second_moments<F: FeatureRows>(x: &F, stop: Stop<'_>) -> Result<Matrix> {
    let mut sum = Matrix::zeros(x.width(), x.width());
    for range in runs(x.count(), x.width()) {
        pool::check(stop, DOING)?;
        let values = x.run(range)?;
        let rows = Rows { values: &values, cols: x.width() };
        let mut part = vec![0.0; sum.data.len()];
        transposed_times(rows, rows, &mut part, Threads::Pool)?;
        sum.data.iter_mut().zip(&part).for_each(|(sum, part)| *sum += part);
    }
    Ok(sum)
}

/// A⁻¹ \[d+1, d+1\], or where that is large the reciprocals of A's diagonal \[1, d+1\].
struct Preconditioner(Matrix);

impl Preconditioner {
    fn new<F: FeatureRows>(objective: &Objective<'_, F>) -> Result<Self> {
        let &Objective { x, num_classes, ridge, .. } = objective;
        pool::check(objective.stop, DOING)?;
        let (size, weight) = (x.width(), 1.0 / (x.count() * num_classes) as f64);
        let ridge = |i: usize| if i + 1 == size { 0.0 } else { ridge };
        if size <= MOST_DENSE {
            let moments = second_moments(x, objective.stop)?;
            let a = DMatrix::from_fn(size, size, |i, j| {
                weight * moments.row(i)[j] + if i == j { ridge(i) } else { 0.0 }
            });
            if let Some(cholesky) = a.cholesky() {
                let columns = pool::map((0..size).step_by(SOLVED), |first| {
                    pool::check(objective.stop, DOING)?;
                    let mut columns = DMatrix::zeros(size, SOLVED.min(size - first));
                    (0..columns.ncols()).for_each(|j| columns[(first + j, j)] = 1.0);
                    cholesky.solve_mut(&mut columns);
                    Ok(columns.as_slice().to_vec())
                });
                // Column after column, which of a symmetric matrix are its rows.
                let data = columns.into_iter().collect::<Result<Vec<_>>>()?.concat();
                return Ok(Self(Matrix { rows: size, cols: size, data }));
            }
        }
        let mut diagonal = vec![0.0; size];
        for range in runs(x.count(), size) {
            for row in x.run(range)?.chunks_exact(size) {
                diagonal.iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * x * x);
            }
        }
        let data = diagonal.iter().enumerate().map(|(i, moment)| 1.0 / (moment + ridge(i)).max(1e-300));
        Ok(Self(Matrix { rows: 1, cols: size, data: data.collect() }))
    }

    /// A⁻¹ times each class's row of `vector`.
    fn apply(&self, vector: &[f64], cols: usize) -> Result<Vec<f64>> {
        let Self(inverse) = self;
        let rows = Matrix { rows: vector.len() / cols, cols, data: vector.to_vec() };
        if inverse.rows == cols && cols > 1 {
            return Ok(rows.times_transposed(inverse)?.data);
        }
        Ok(rows.data.iter().zip(inverse.data.iter().cycle()).map(|(v, reciprocal)| v * reciprocal).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::never;

    /// Overlapping classes on correlated columns of unlike scales, the last column 1.
    fn problem(rows: usize, cols: usize, classes: usize) -> (Matrix, Vec<usize>) {
        let noise = |i: usize| ((i * 7919 + i * i % 1013) % 1009) as f64 / 1009.0 - 0.5;
        let labels: Vec<usize> = (0..rows).map(|i| (i * 31 + i / 7) % classes).collect();
        let mut x = Matrix::zeros(rows, cols + 1);
        for (i, &label) in labels.iter().enumerate() {
            let common = noise(i * 17 + 3);
            for (j, value) in x.row_mut(i)[..cols].iter_mut().enumerate() {
                let own = noise(i * cols + j) + 0.4 * f64::from(u8::from(label == j % classes));
                *value = (common + 0.3 * own) * 2f64.powi(-(j as i32));
            }
            x.row_mut(i)[cols] = 1.0;
        }
        (x, labels)
    }

    #[test]
    fn the_gradient_is_that_of_the_whole_by_differences_and_on_any_number_of_threads() {
        let (x, labels) = problem(2 * CHUNK_ROWS + 100, 6, 5);
        let objective = Objective { x: &x, labels: &labels, num_classes: 5, ridge: 0.01, stop: &never };
        let weights = Matrix { rows: 5, cols: 7, data: (0..35).map(|i| (i * 13 % 9) as f64 - 4.0).collect() };
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| objective.at(&weights).unwrap())
        };
        let (loss, gradient) = on(3);
        assert_eq!((loss, gradient.clone()), on(1));
        for place in [0, 6, 17, 34] {
            let moved = |by: f64| {
                let mut weights = weights.clone();
                weights.data[place] += by;
                objective.at(&weights).unwrap().0
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - gradient[place]).abs() < 1e-8, "{place}: {slope} against {}", gradient[place]);
        }
        // By hand: at 0 the loss is ln C.
        assert!((objective.at(&Matrix::zeros(5, 7)).unwrap().0 - 5f64.ln()).abs() < 1e-12);
    }

    /// No step of any direction lowers the loss, dense or diagonal preconditioner, one thread or several.
    #[test]
    fn the_minimum_is_one() {
        let (x, labels) = problem(900, 6, 4);
        for ridge in [1e-6, 1e-4, 1.0] {
            let objective = Objective { x: &x, labels: &labels, num_classes: 4, ridge, stop: &never };
            let on = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| objective.minimise(Matrix::zeros(4, 7)).unwrap())
            };
            let (found, again) = (on(1), on(3));
            assert_eq!(found.weights, again.weights);
            assert!(found.gradient <= PROBE_TOLERANCE && found.passes < 200, "{found:?}");
            for place in 0..28 {
                for by in [-1e-2, 1e-2] {
                    let mut weights = found.weights.clone();
                    weights.data[place] += by;
                    assert!(objective.at(&weights).unwrap().0 > found.loss);
                }
            }
            // From elsewhere, to the same place: it is strictly convex but for a constant of all intercepts.
            let start = Matrix { rows: 4, cols: 7, data: (0..28).map(|i| (i % 5) as f64 - 2.0).collect() };
            let other = objective.minimise(start).unwrap();
            assert!((other.loss - found.loss).abs() < 1e-10, "{} {}", other.loss, found.loss);
        }
    }

    /// And on all threads, which changes no bit.
    #[test]
    fn large_gradients_are_summed_few_at_a_time() {
        // Digits; ImageNet-1k of 1280 features; ImageNet-21k of 2048.
        let found = [10 * 65, 1_000 * 1_281, 21_841 * 2_049].map(side_by_side);
        assert_eq!(found, [32, 26, 1]);
        let (x, labels) = problem(200, 520, 2_100);
        let objective = Objective { x: &x, labels: &labels, num_classes: 2_100, ridge: 0.01, stop: &never };
        let weights =
            Matrix { rows: 2_100, cols: 521, data: (0..2_100 * 521).map(|i| (i % 9) as f64).collect() };
        assert!(side_by_side(weights.data.len()) < CHUNKS);
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| objective.at(&weights).unwrap())
        };
        assert_eq!(on(1), on(3));
    }

    #[test]
    fn many_columns_take_the_diagonal_preconditioner() {
        let (mut x, labels) = problem(200, MOST_DENSE + 1, 2);
        // 2^−j is below the smallest double from j = 1075 on: columns alike instead.
        let count = x.data.len();
        for (i, value) in x.data.iter_mut().enumerate() {
            *value = ((i * 7919 + i * i % 1013) % 1009) as f64 / 1009.0 - 0.5;
        }
        (x.cols - 1..count).step_by(x.cols).for_each(|i| x.data[i] = 1.0);
        let objective = Objective { x: &x, labels: &labels, num_classes: 2, ridge: 0.1, stop: &never };
        assert_eq!(Preconditioner::new(&objective).unwrap().0.rows, 1);
        let found = objective.minimise(Matrix::zeros(2, x.cols)).unwrap();
        assert!(found.gradient <= PROBE_TOLERANCE, "{} after {}", found.gradient, found.passes);
    }
}
