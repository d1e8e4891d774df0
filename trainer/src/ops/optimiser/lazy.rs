//! SGD with momentum and LARS on a table whose gradient is zero outside some rows, at the cost of those rows: the rest
//! is brought up to date when it is read. No approximation: the same numbers as a step over the whole table.
//!
//! Step t is v ← μv + c∇, w ← w − η_t v, with c = 1 or LARS's factor. A row without gradient since step s stands at
//! step t at
//!
//! ```text
//! w_t = w_s − v_s Σ_{j=1}^{t−s} η_{s+j} μʲ = w_s − v_s (B_s − μ^{t−s} B_t),     v_t = μ^{t−s} v_s,
//! B_s = Σ_{j≥1} η_{s+j} μʲ = μ(η_{s+1} + B_{s+1}),     0 after the last step,
//! ```
//!
//! where the rates of all steps are known beforehand. B is a sum of few positive terms, and the difference keeps all
//! but a digit or so (μ^{t−s} B_t ≤ B_s; the first term of the sum is μη_{s+1}).
//!
//! LARS needs ‖w‖ over the whole table before each step. With N = Σ w·w, P = Σ w·v, Q = Σ v·v over all rows, and with
//! w·∇, v·∇, ∇·∇ summed over the rows with a gradient, a step is (w° = w − ημv, v° = μv: the step without gradient)
//!
//! ```text
//! N° = N − 2ημP + η²μ²Q,   P° = μP − ημ²Q,   Q° = μ²Q,   w°·∇ = w·∇ − ημ v·∇,   v°·∇ = μ v·∇,
//! N ← N° − 2ηc w°·∇ + η²c² ∇·∇,   P ← P° + c w°·∇ − ηc v°·∇ − ηc² ∇·∇,   Q ← Q° + 2c v°·∇ + c² ∇·∇.
//! ```
//!
//! Every [`EXACT_EVERY`] steps all rows are brought up to date and the totals are summed anew, against drift.

use super::cpu::{EPSILON, momentum_step};
use super::{Rule, Segment, cpu};
use crate::ops::embedding_bag::SparseGradient;
use crate::ops::vector::dot;
use candle_core::{Result, bail};
use measure::pool::{CHUNK, map, simd};

/// Steps between two exact sums: also the most that a row can be behind.
const EXACT_EVERY: usize = 1024;
/// Lanes of the products, and rows over which they are added in f32.
const LANES: usize = 16;
const ROWS_PER_SUM: usize = 32;

/// Rows that are brought up to date when they are read.
#[derive(Debug)]
pub struct Lazy {
    trust: Option<f64>,
    momentum: f64,
    columns: usize,
    /// η_1, …
    rates: Vec<f64>,
    /// B_0, …, B_T.
    ahead: Vec<f64>,
    /// μ⁰, μ¹, …
    powers: Vec<f64>,
    /// t: steps made.
    done: usize,
    /// s of each row.
    last: Vec<u32>,
    /// N, P, Q.
    totals: [f64; 3],
}

impl Lazy {
    /// A table \[rows, columns\] with values w and velocities v after `done` of the steps at these rates; `None` for a
    /// rule that has no lazy form: AdamW.
    ///
    /// # Errors
    /// A rate that is not finite; a table of another shape; more than 2³² steps; LARS that clips.
    pub fn new(
        rule: Rule,
        (rates, done): (Vec<f64>, usize),
        columns: usize,
        (values, velocities): (&[f32], &[f32]),
    ) -> Result<Option<Self>> {
        let (trust, momentum) = match rule {
            Rule::Sgd { momentum } => (None, momentum),
            Rule::Lars { clip: true, .. } => bail!("optimiser: LARS clips no embeddings"),
            Rule::Lars { trust, momentum, clip: false } => (Some(trust), momentum),
            Rule::AdamW { .. } => return Ok(None),
        };
        if columns == 0 || values.len() % columns != 0 || values.len() != velocities.len() {
            let (w, v) = (values.len(), velocities.len());
            bail!("optimiser: {w} values and {v} velocities are not rows of {columns}")
        }
        if rates.iter().any(|rate| !rate.is_finite()) || u32::try_from(rates.len()).is_err() {
            bail!("optimiser: {} rates are too many, or one of them is not finite", rates.len())
        }
        if done > rates.len() {
            bail!("optimiser: {done} steps were made, and {} rates are given", rates.len())
        }
        // A step over the whole table computes with these numbers in f32, too.
        let rounded = |x: f64| f64::from(x as f32);
        let (momentum, rates) = (rounded(momentum), rates.into_iter().map(rounded).collect::<Vec<_>>());
        let mut ahead = vec![0.0; rates.len() + 1];
        for step in (0..rates.len()).rev() {
            ahead[step] = momentum * (rates[step] + ahead[step + 1]);
        }
        let powers = (0..=EXACT_EVERY as i32).map(|k| momentum.powi(k)).collect();
        let last = vec![done as u32; values.len() / columns];
        let mut lazy = Self { trust, momentum, columns, rates, ahead, powers, done, last, totals: [0.0; 3] };
        lazy.sum(values, velocities);
        Ok(Some(lazy))
    }

    /// The step at which each row stands, and the totals N, P, Q.
    pub fn position(&self) -> (&[u32], [f64; 3]) {
        (&self.last, self.totals)
    }

    /// Goes to where `done` steps were made and [`position`](Self::position) was this.
    ///
    /// # Errors
    /// Another number of rows, a row ahead of the steps or further behind than rows can be, more steps than rates,
    /// totals that are not finite.
    pub fn set_position(&mut self, done: usize, last: Vec<u32>, totals: [f64; 3]) -> Result<()> {
        // No row is further behind than the last time that all were brought up to date.
        let reachable = done.saturating_sub(EXACT_EVERY)..=done;
        let fits = last.iter().all(|&step| reachable.contains(&(step as usize)));
        if last.len() != self.last.len() || !fits || done > self.rates.len() {
            bail!("optimiser: {} rows after {done} steps do not fit the table", last.len())
        }
        if totals.iter().any(|total| !total.is_finite()) {
            bail!("optimiser: the totals {totals:?} are not finite")
        }
        (self.done, self.last, self.totals) = (done, last, totals);
        Ok(())
    }

    /// How far a row is behind: (Σ ημʲ, μ^{t−s}) as in the head of the file.
    #[inline(always)]
    fn behind(&self, row: usize) -> Option<[f32; 2]> {
        let last = self.last[row] as usize;
        let missed = self.done - last;
        if missed == 0 {
            return None;
        }
        let power = self.powers[missed];
        Some([(self.ahead[last] - power * self.ahead[self.done]) as f32, power as f32])
    }

    #[inline(always)]
    fn catch_up_row(&mut self, row: usize, w: &mut [f32], v: &mut [f32]) {
        if let Some([sum, power]) = self.behind(row) {
            for (w, v) in w.iter_mut().zip(v) {
                *w -= sum * *v;
                *v *= power;
            }
            self.last[row] = self.done as u32;
        }
    }

    /// Brings these rows up to date.
    pub fn catch_up(&mut self, rows: impl Iterator<Item = u32>, values: &mut [f32], velocities: &mut [f32]) {
        let columns = self.columns;
        for row in rows.map(|row| row as usize) {
            let place = row * columns..(row + 1) * columns;
            self.catch_up_row(row, &mut values[place.clone()], &mut velocities[place]);
        }
    }

    /// Brings all rows up to date and sums the totals anew.
    pub fn flush(&mut self, values: &mut [f32], velocities: &mut [f32]) {
        self.catch_up(0..self.last.len() as u32, values, velocities);
        self.sum(values, velocities);
    }

    /// The values as they would be up to date, with nothing changed.
    pub fn current(&self, values: &[f32], velocities: &[f32]) -> Vec<f32> {
        let mut current = values.to_vec();
        let rows = current.chunks_exact_mut(self.columns).zip(velocities.chunks_exact(self.columns));
        for (row, (w, v)) in rows.enumerate() {
            if let Some([sum, _]) = self.behind(row) {
                w.iter_mut().zip(v).for_each(|(w, v)| *w -= sum * v);
            }
        }
        current
    }

    /// N, P, Q of rows that are up to date; f32 within a chunk, f64 across chunks.
    fn sum(&mut self, values: &[f32], velocities: &[f32]) {
        if self.trust.is_none() {
            return;
        }
        let partial = map(values.chunks(CHUNK).zip(velocities.chunks(CHUNK)), |(w, v)| {
            simd(
                #[inline(always)]
                || [dot(w, w), dot(w, v), dot(v, v)],
            )
        });
        self.totals = [0, 1, 2].map(|i| partial.iter().map(|sums| f64::from(sums[i])).sum());
    }

    /// The next step, at this rate.
    ///
    /// # Errors
    /// A rate other than scheduled; rows outside the table.
    pub fn step(
        &mut self,
        gradient: &SparseGradient,
        rate: f64,
        values: &mut [f32],
        velocities: &mut [f32],
    ) -> Result<()> {
        let (columns, step) = (self.columns, self.done + 1);
        let scheduled = self.rates.get(self.done).copied();
        if scheduled != Some(f64::from(rate as f32)) {
            bail!("optimiser: step {step} is at rate {rate} instead of {scheduled:?}, which was scheduled")
        }
        let outside = gradient.rows.iter().any(|&row| row as usize >= self.last.len());
        if outside || gradient.values.len() != gradient.rows.len() * columns {
            bail!("optimiser: a gradient of {} rows does not fit the table", gradient.rows.len())
        }
        let [mut wg, mut vg, mut gg] = [0f64; 3];
        let rows = gradient.rows.chunks(ROWS_PER_SUM);
        for (rows, g) in rows.zip(gradient.values.chunks(ROWS_PER_SUM * columns)) {
            simd(
                #[inline(always)]
                || {
                    let mut lanes = [[0f32; LANES]; 2];
                    for (&row, g) in rows.iter().zip(g.chunks_exact(columns)) {
                        let place = row as usize * columns..(row as usize + 1) * columns;
                        let (w, v) = (&mut values[place.clone()], &mut velocities[place]);
                        self.catch_up_row(row as usize, w, v);
                        if self.trust.is_some() {
                            add_products(&mut lanes, w, v, g);
                        }
                    }
                    let [of_w, of_v] = lanes.map(|lanes| lanes.iter().map(|&x| f64::from(x)).sum::<f64>());
                    (wg, vg, gg) = (wg + of_w, vg + of_v, gg + f64::from(dot(g, g)));
                },
            );
        }
        let scale = self.scale(gg);
        self.advance([wg, vg, gg], f64::from(scale), f64::from(rate as f32));
        let numbers = [0.0, scale, self.momentum as f32, rate as f32];
        simd(
            #[inline(always)]
            || {
                for (&row, g) in gradient.rows.iter().zip(gradient.values.chunks_exact(columns)) {
                    let place = row as usize * columns..(row as usize + 1) * columns;
                    momentum_step(&mut values[place.clone()], &mut velocities[place], g, numbers);
                }
            },
        );
        self.done = step;
        gradient.rows.iter().for_each(|&row| self.last[row as usize] = step as u32);
        if step % EXACT_EVERY == 0 {
            self.flush(values, velocities);
        }
        Ok(())
    }

    /// c, from ∇·∇ and N.
    fn scale(&self, square: f64) -> f32 {
        let Some(trust) = self.trust else { return 1.0 };
        let [w, g] = [self.totals[0].max(0.0), square].map(f64::sqrt);
        if w == 0.0 || g == 0.0 { 1.0 } else { (trust * w / (g + EPSILON)) as f32 }
    }

    fn advance(&mut self, [wg, vg, gg]: [f64; 3], c: f64, rate: f64) {
        let (m, [n, p, q]) = (self.momentum, self.totals);
        let (wg, vg) = (wg - rate * m * vg, m * vg);
        let n = n - 2.0 * rate * m * p + (rate * m).powi(2) * q;
        let p = m * p - rate * m * m * q;
        self.totals = [
            n - 2.0 * rate * c * wg + (rate * c).powi(2) * gg,
            p + c * wg - rate * c * vg - rate * c * c * gg,
            m * m * q + 2.0 * c * vg + c * c * gg,
        ];
    }
}

/// Adds w·g and v·g, lane by lane.
#[inline(always)]
fn add_products(lanes: &mut [[f32; LANES]; 2], w: &[f32], v: &[f32], g: &[f32]) {
    let (mut w, mut v, mut g) = (w.chunks_exact(LANES), v.chunks_exact(LANES), g.chunks_exact(LANES));
    let mut add = |w: &[f32], v: &[f32], g: &[f32]| {
        let [of_w, of_v] = &mut *lanes;
        for ((((a, b), w), v), g) in of_w.iter_mut().zip(of_v).zip(w).zip(v).zip(g) {
            *a += w * g;
            *b += v * g;
        }
    };
    for ((w, v), g) in (&mut w).zip(&mut v).zip(&mut g) {
        add(w, v, g);
    }
    add(w.remainder(), v.remainder(), g.remainder());
}

/// The step over the whole table `state` = \[values | states…\], for rules and decays that have no lazy form.
pub fn dense(
    state: &mut [f32],
    gradient: &SparseGradient,
    columns: usize,
    (rule, decay): (Rule, f64),
    (rate, step): (f64, u64),
) -> Result<()> {
    let length = state.len() / (1 + rule.num_states());
    let mut all = vec![0f32; length];
    for (&row, g) in gradient.rows.iter().zip(gradient.values.chunks_exact(columns)) {
        match all.get_mut(row as usize * columns..(row as usize + 1) * columns) {
            Some(place) => place.copy_from_slice(g),
            None => bail!("optimiser: row {row} is outside a table of {} rows", length / columns.max(1)),
        }
    }
    let segment = Segment { start: 0, length, decays: true, adapts: true, half_gradient: false };
    cpu::step(state, &all, &[segment], rule, decay, rate, step);
    Ok(())
}

#[cfg(test)]
mod tests;
