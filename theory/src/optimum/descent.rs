//! Limited-memory BFGS on a product of unit spheres, S^{d−1} × … × S^{d−1}: one unit vector ("row") per variable.
//!
//! Steps leave the spheres along a tangent and return by normalising; stored differences are moved to the new tangent
//! space by projection. The line search brackets a step of the weak Wolfe conditions; near the optimum, where values
//! differ by rounding only, sufficient decrease is judged by the slope (Hager & Zhang 2005), because slopes keep their
//! digits.
//!
//! Source: Nocedal & Wright, "Numerical Optimization", ch. 7; Absil, Mahony & Sepulchre, "Optimization Algorithms on
//! Matrix Manifolds", ch. 8.

use std::collections::VecDeque;

/// Pairs of differences that are kept.
const MEMORY: usize = 40;

/// A point of the product of spheres: `rows` unit vectors of `dimension` entries each, one after the other.
pub(super) struct Spheres {
    pub dimension: usize,
    /// Scale of the inverse Hessian of each row, up to a common factor.
    pub inverse_scale: Vec<f64>,
}

/// One evaluation of the function: value and Riemannian gradient.
#[derive(Clone)]
pub(super) struct State {
    pub point: Vec<f64>,
    pub value: f64,
    pub gradient: Vec<f64>,
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

impl Spheres {
    /// Removes the part of every row of `vector` along the row of `point`.
    fn project(&self, point: &[f64], vector: &mut [f64]) {
        for (x, v) in point.chunks_exact(self.dimension).zip(vector.chunks_exact_mut(self.dimension)) {
            let along = dot(x, v);
            v.iter_mut().zip(x).for_each(|(v, x)| *v -= along * x);
        }
    }

    /// Evaluates `function` (value, Euclidean gradient) at `point`.
    pub(super) fn evaluate(
        &self,
        point: Vec<f64>,
        function: &mut impl FnMut(&[f64]) -> (f64, Vec<f64>),
    ) -> State {
        let (value, mut gradient) = function(&point);
        self.project(&point, &mut gradient);
        State { point, value, gradient }
    }

    /// The row-wise normalised point + step · direction, and the velocity d/dstep of that curve.
    fn retract(&self, point: &[f64], direction: &[f64], step: f64) -> (Vec<f64>, Vec<f64>) {
        let mut moved: Vec<f64> = point.iter().zip(direction).map(|(x, d)| x + step * d).collect();
        let mut velocity = direction.to_vec();
        for (x, v) in moved.chunks_exact_mut(self.dimension).zip(velocity.chunks_exact_mut(self.dimension)) {
            let norm = dot(x, x).sqrt();
            x.iter_mut().for_each(|x| *x /= norm);
            v.iter_mut().for_each(|v| *v /= norm);
        }
        self.project(&moved, &mut velocity);
        (moved, velocity)
    }

    /// One step of the method; `None` where no step of the line search improves the point.
    pub(super) fn step(
        &self,
        state: &State,
        memory: &mut VecDeque<(Vec<f64>, Vec<f64>)>,
        function: &mut impl FnMut(&[f64]) -> (f64, Vec<f64>),
    ) -> Option<State> {
        let mut direction = self.direction(state, memory);
        let mut slope = dot(&direction, &state.gradient);
        if slope >= 0.0 {
            memory.clear();
            direction = self.direction(state, memory);
            slope = dot(&direction, &state.gradient);
        }
        if memory.is_empty() {
            // No curvature is known yet: turn no row by more than about 0.1.
            let longest =
                direction.chunks_exact(self.dimension).map(|d| dot(d, d).sqrt()).fold(0.0, f64::max);
            let scale = if longest > 0.0 { 0.1 / longest } else { return None };
            direction.iter_mut().for_each(|d| *d *= scale);
            slope *= scale;
        }
        let (next, step, velocity) = self.search(state, &direction, slope, function)?;
        // Differences in the tangent space of the new point.
        let mut change = next.gradient.clone();
        let mut old = state.gradient.clone();
        self.project(&next.point, &mut old);
        change.iter_mut().zip(&old).for_each(|(g, o)| *g -= o);
        let moved: Vec<f64> = velocity.iter().map(|v| step * v).collect();
        for (s, y) in memory.iter_mut() {
            self.project(&next.point, s);
            self.project(&next.point, y);
        }
        if dot(&moved, &change) > 1e-14 * (dot(&moved, &moved) * dot(&change, &change)).sqrt() {
            if memory.len() == MEMORY {
                memory.pop_front();
            }
            memory.push_back((moved, change));
        }
        Some(next)
    }

    /// −H g by the two-loop recursion.
    fn direction(&self, state: &State, memory: &VecDeque<(Vec<f64>, Vec<f64>)>) -> Vec<f64> {
        let scaled = |v: &[f64]| -> Vec<f64> {
            let rows = v.chunks_exact(self.dimension).zip(&self.inverse_scale);
            rows.flat_map(|(row, scale)| row.iter().map(move |x| x * scale)).collect()
        };
        let mut q = state.gradient.clone();
        let mut steps = Vec::with_capacity(memory.len());
        for (s, y) in memory.iter().rev() {
            let alpha = dot(s, &q) / dot(s, y);
            q.iter_mut().zip(y).for_each(|(q, y)| *q -= alpha * y);
            steps.push(alpha);
        }
        let mut r = scaled(&q);
        if let Some((s, y)) = memory.back() {
            let factor = dot(s, y) / dot(y, &scaled(y));
            r.iter_mut().for_each(|r| *r *= factor);
        }
        for ((s, y), alpha) in memory.iter().zip(steps.iter().rev()) {
            let beta = dot(y, &r) / dot(s, y);
            r.iter_mut().zip(s).for_each(|(r, s)| *r += (alpha - beta) * s);
        }
        r.iter_mut().for_each(|r| *r = -*r);
        self.project(&state.point, &mut r);
        r
    }

    /// A step of the weak Wolfe conditions, by bisection and doubling.
    fn search(
        &self,
        state: &State,
        direction: &[f64],
        slope: f64,
        function: &mut impl FnMut(&[f64]) -> (f64, Vec<f64>),
    ) -> Option<(State, f64, Vec<f64>)> {
        const DECREASE: f64 = 0.1;
        const CURVATURE: f64 = 0.9;
        let rounding = 1e-13 * (1.0 + state.value.abs());
        let (mut low, mut high, mut step) = (0.0, f64::INFINITY, 1.0);
        for _ in 0..60 {
            let (point, velocity) = self.retract(&state.point, direction, step);
            let next = self.evaluate(point, function);
            let new_slope = dot(&next.gradient, &velocity);
            let decreased = next.value <= state.value + DECREASE * step * slope
                || next.value <= state.value + rounding && new_slope <= (2.0 * DECREASE - 1.0) * slope;
            if !decreased || !next.value.is_finite() {
                high = step;
            } else if new_slope < CURVATURE * slope {
                low = step;
            } else {
                return Some((next, step, velocity));
            }
            step = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * step };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least eigenvalue of a matrix is the least Rayleigh quotient: one row on the sphere.
    #[test]
    fn least_eigenvalue() {
        let spheres = Spheres { dimension: 4, inverse_scale: vec![1.0] };
        // A = diag(1, 2, 3, 1000) − 0.5 on the first off-diagonal pair: least eigenvalue 1.5 − √(1/4 + 1/4).
        let mut function = |x: &[f64]| {
            let ax = [x[0] - 0.5 * x[1], 2.0 * x[1] - 0.5 * x[0], 3.0 * x[2], 1000.0 * x[3]];
            (dot(x, &ax), ax.iter().map(|a| 2.0 * a).collect())
        };
        let mut state = spheres.evaluate(vec![0.5; 4], &mut function);
        let mut memory = VecDeque::new();
        for _ in 0..60 {
            match spheres.step(&state, &mut memory, &mut function) {
                Some(next) => state = next,
                None => break,
            }
        }
        assert!((state.value - (1.5 - 0.5f64.sqrt())).abs() < 1e-13, "{}", state.value);
        assert!(state.gradient.iter().all(|g| g.abs() < 1e-9), "{:?}", state.gradient);
    }
}
