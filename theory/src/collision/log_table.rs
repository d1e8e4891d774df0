//! Σ_c f ln(b + a e^{−s w_c}) over many weights w_c, for each s of a geometric progression, from one table.
//!
//! With s = e^{kδ} and u_c = ln w_c a term is F(kδ + u_c), F(v) = f ln(b + a e^{−e^v}): one function for all weights and
//! steps. Each weight is spread over the 20 nearest points of a grid of spacing h = δ/q by Lagrange's polynomials ℓ_i,
//! F(v + u_c) = Σ_i ℓ_i(u_c) F(v + ih), and the sum over c is Σ_i W_i F(kδ + ih) with W_i = Σ_c ℓ_i(u_c), which no step
//! changes: rows of a table of F.
//!
//! F is analytic where |Im v| < r, r the least of π/2 and |Im ln(ln(a/b) ± iπ)|, whose b + a e^{−e^v} is 0. So the 20th
//! derivative is at most 20! max|F|/r^20 and the error at most (0.5 · 1.5 ⋯ 9.5)² (h/r)^20 max|F| = 4e11 (h/r)^20 max|F|:
//! h = 0.042 r gives 1e-16, with room for a smaller circle on which F is bounded.

use crate::complex::Complex;
use std::f64::consts::PI;

/// Points of the grid that a weight is spread over.
const POINTS: usize = 20;
/// Of these, those below the one that is next below the weight.
const BELOW: i64 = POINTS as i64 / 2 - 1;
/// Largest spacing of the grid, over the width of F's strip.
const SPACING: f64 = 0.042;
/// Most points of the grid for a step: where more are needed, F's strip is so narrow that nothing is saved.
const MOST_BETWEEN: f64 = 16.0;
/// F does not change below the first and above the last.
const FIRST: f64 = -40.0;
const LAST: f64 = 4.2;
/// From here on downwards a weight is as good as 0 at any s up to 40.
const LEAST: f64 = FIRST - 5.0;

/// A table of F for several (f, b, a).
#[derive(Debug, Clone)]
pub(super) struct LogTable {
    spacing: f64,
    /// q.
    between: i64,
    /// The grid's first and last point.
    first: i64,
    last: i64,
    /// Real and imaginary part of each function, a row a point.
    values: Vec<f64>,
    width: usize,
}

/// W_i of some weights, from a point of the grid on.
pub(super) struct Spread {
    start: i64,
    masses: Vec<f64>,
}

impl LogTable {
    /// Of the functions f ln(b + a e^{−e^v}), b > 0, for (f, b, a); δ is `step`. `None`: nothing would be saved.
    pub fn new(functions: &[(f64, f64, Complex)], step: f64) -> Option<Self> {
        let strip = |&(_, base, slope): &(f64, f64, Complex)| {
            let size = (slope.re.hypot(slope.im) / base).ln();
            (PI - slope.im.atan2(slope.re).abs()).atan2(size)
        };
        let strip = functions.iter().map(strip).fold(0.5 * PI, f64::min);
        let between = (step / (SPACING * strip)).ceil();
        if !(1.0..=MOST_BETWEEN).contains(&between) {
            return None;
        }
        let spacing = step / between;
        let (first, last) = ((FIRST / spacing).floor() as i64, (LAST / spacing).ceil() as i64);
        let mut values = Vec::with_capacity((last - first + 1) as usize * 2 * functions.len());
        for point in first..=last {
            let decay = (-(point as f64 * spacing).exp()).exp();
            for &(times, base, slope) in functions {
                let (re, im) = (base + decay * slope.re, decay * slope.im);
                values.extend([times * re.hypot(im).ln(), times * im.atan2(re)]);
            }
        }
        Some(Self { spacing, between: between as i64, first, last, values, width: 2 * functions.len() })
    }

    /// Spreads weights of at least 0 over the grid; `None` where they would take more than `most` points.
    pub fn spread(&self, weights: impl Iterator<Item = f64> + Clone, most: usize) -> Option<Spread> {
        let places = weights.map(|w| w.ln().max(LEAST) / self.spacing);
        let low = places.clone().fold(f64::INFINITY, f64::min).floor();
        let high = places.clone().fold(f64::NEG_INFINITY, f64::max).floor();
        if high - low > most as f64 - POINTS as f64 {
            return None;
        }
        let mut masses = vec![0.0; (high - low) as usize + POINTS];
        for place in places {
            let offset = (place.floor() - low) as usize;
            // t − j for each point j: 0 only where the weight is one of them.
            let distances: [f64; POINTS] =
                std::array::from_fn(|j| place - place.floor() - (j as i64 - BELOW) as f64);
            let own = &mut masses[offset..offset + POINTS];
            if let Some(point) = distances.iter().position(|&distance| distance == 0.0) {
                own[point] += 1.0;
                continue;
            }
            // ∏ (t − j), and over j! (19−j)! of alternating sign.
            let product: f64 = distances.iter().product();
            let mut factor = -1.0 / FACTORIAL;
            for (j, (mass, distance)) in own.iter_mut().zip(distances).enumerate() {
                *mass += product * factor / distance;
                factor *= -((POINTS - 1 - j) as f64) / (j + 1) as f64;
            }
        }
        Some(Spread { start: low as i64 - BELOW, masses })
    }

    /// The sums at s = e^{kδ}, k = `step`: real and imaginary part of each function.
    pub fn sums(&self, spread: &Spread, step: i64, sums: &mut Vec<f64>) {
        sums.clear();
        sums.resize(self.width, 0.0);
        let start = spread.start + step * self.between;
        for (point, mass) in (start..).zip(&spread.masses) {
            let row = (point.clamp(self.first, self.last) - self.first) as usize * self.width;
            let values = &self.values[row..row + self.width];
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += mass * value);
        }
    }
}

/// 19!
const FACTORIAL: f64 = 121_645_100_408_832_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_terms() {
        // A ratio a/b of size below 1, of 1, and above, at several angles.
        let slope = |size: f64, angle: f64| Complex::exp(size.ln(), angle);
        let functions = [
            (1.0, 0.9, slope(0.1, 0.0)),
            (20.0, 0.9935, slope(0.0065, 0.8)),
            (1.0, 0.5, slope(0.5, -0.4)),
            (3.0, 0.2, slope(0.8, 1.1)),
        ];
        let step = 0.28;
        let table = LogTable::new(&functions, step).unwrap();
        // Weights over many sizes, 0 and points of the grid among them.
        let mut weights: Vec<f64> = (0..500).map(|i| ((i * 7919 % 503) as f64 / 50.0 - 5.0).exp()).collect();
        weights.extend([0.0, 1.0, table.spacing.exp(), 1e-30]);
        assert!(table.spread(weights.iter().copied(), 100).is_none());
        let spread = table.spread(weights.iter().copied(), 2000).unwrap();
        assert!((spread.masses.iter().sum::<f64>() - weights.len() as f64).abs() < 1e-10);
        let mut sums = Vec::new();
        for k in [-90, -40, -9, -3, 0, 2, 7, 13] {
            table.sums(&spread, k, &mut sums);
            let s = (k as f64 * step).exp();
            for ((times, base, slope), found) in functions.iter().zip(sums.chunks_exact(2)) {
                let (mut re, mut im, mut size) = (0.0, 0.0, 0.0);
                for w in &weights {
                    let decay = (-s * w).exp();
                    let (x, y) = (base + decay * slope.re, decay * slope.im);
                    re += times * x.hypot(y).ln();
                    im += times * y.atan2(x);
                    size += times * (x.hypot(y).ln().abs() + y.atan2(x).abs());
                }
                let error = (found[0] - re).abs().max((found[1] - im).abs());
                assert!(
                    error < 3e-14 * size.max(1.0),
                    "{k}: {found:?} against {re} {im}, {error:e} of {size}"
                );
            }
        }
    }

    #[test]
    fn where_a_factor_comes_near_zero_there_is_no_table() {
        // b + a e^{−e^v} is 0 at Im v = atan(π/25) for a/b = e^25.
        assert!(LogTable::new(&[(1.0, 1e-11, Complex::ONE)], 0.28).is_none());
        assert!(LogTable::new(&[(1.0, 0.0, Complex::ONE)], 0.28).is_none());
    }
}
