//! The largest error that a loss allows, where every error costs at least so much.
//!
//! Suppose that for anchors of class c, and every λ in a set, the loss given the anchor is at least λ s̄ + φ_c where it
//! is classified right, and at least λ s̄ + φ_c + δ_c where wrong, s̄ its mean logit of the other classes. Averaged, with
//! e_c the error in class c and m = E s̄,
//!
//! loss ≥ λ m + Σ_c π_c (φ_c + e_c δ_c), so that Σ_c π_c e_c δ_c ≤ B = loss − λ m − Σ_c π_c φ_c.
//!
//! The largest Σ_c π_c e_c under this and 0 ≤ e_c ≤ 1 is a fractional knapsack: it fills the classes of the smallest δ_c
//! first. For equal classes it is B/δ. Each λ gives a valid bound, and the least is taken: λ only has to be good. Where
//! e_c ≤ 1 binds everywhere the bound says nothing; B / Σ π_c δ_c, at least 1 then, is how much too large the loss is.
//!
//! λ = 0 needs no m. The least over λ is the Lagrangian dual of the best split of m between right and wrong anchors, for
//! equal classes without loss: B/δ is quasi-convex in λ where it is below 1. A grid of 24 values of λ, evenly in the
//! logarithm, is refined by a golden section. Rounded outward: measured values count as known to 1e-10, relative.

use super::logits::Logits;
use crate::bounds::Outcome;

/// What a measured mean may be off by, relative to 1 and its size.
const ROUNDING: f64 = 1e-10;
/// Values of λ on the grid, and the ratio of neighbours.
const GRID: i32 = 24;
const RATIO: f64 = 0.6;
/// Steps of the golden section.
const STEPS: usize = 18;

/// Anchors of one class, or of several that are alike.
pub(super) struct Anchors {
    /// Their share of all anchors.
    pub share: f64,
    /// Loss of those classified right, at mean logit x of the other classes.
    pub right: Logits,
    /// Loss of those classified wrong, at mean logit x of the classes other than the anchor's and that it is taken for.
    pub wrong: Logits,
    /// 1/κ, where the latter mean logit is κ times the former; 0 where there are no further classes.
    pub shrink: f64,
}

/// The largest error; `mean_logit`: m, where it is known.
pub(super) fn largest_error(loss: f64, mean_logit: Option<f64>, anchors: &[Anchors]) -> Outcome {
    if anchors.is_empty() || !loss.is_finite() {
        return Outcome::NotApplicable(format!("the loss is {loss}"));
    }
    let at = |slope: f64| error_at(slope, loss, mean_logit.unwrap_or(0.0), anchors);
    let mut best = at(0.0);
    let largest = anchors.iter().map(|a| a.right.largest_slope()).fold(f64::INFINITY, f64::min);
    if mean_logit.is_some() && largest > 0.0 {
        let of = |power: f64| at(largest * RATIO.powf(power));
        let grid: Vec<f64> = (1..=GRID).map(|i| of(f64::from(i))).collect();
        let place = (0..grid.len()).fold(0, |least, i| if grid[i] < grid[least] { i } else { least });
        best = best.min(grid[place]);
        let golden = 0.5 * (5f64.sqrt() - 1.0);
        let (mut low, mut high) = (place as f64, place as f64 + 2.0);
        let inner = |low: f64, high: f64| (high - golden * (high - low), low + golden * (high - low));
        let (mut x, mut y) = inner(low, high);
        let (mut of_x, mut of_y) = (of(x), of(y));
        for _ in 0..STEPS {
            best = best.min(of_x).min(of_y);
            if of_x < of_y {
                high = y;
                (y, of_y) = (x, of_x);
                x = inner(low, high).0;
                of_x = of(x);
            } else {
                low = x;
                (x, of_x) = (y, of_y);
                y = inner(low, high).1;
                of_y = of(y);
            }
        }
    }
    if best < 0.0 {
        return Outcome::Undefined(
            "the loss lies below what it costs to be always right: the class means are not those of these features"
                .into(),
        );
    }
    Outcome::Value(best)
}

/// The bound at one λ; negative where not even an error of 0 is allowed.
fn error_at(slope: f64, loss: f64, mean_logit: f64, anchors: &[Anchors]) -> f64 {
    let slack = ROUNDING * (1.0 + loss.abs() + (slope * mean_logit).abs());
    let mut budget = loss - slope * mean_logit + slack;
    let mut costs = Vec::with_capacity(anchors.len());
    for Anchors { share, right, wrong, shrink } in anchors {
        let of_right = right.support(slope);
        budget -= share * of_right;
        costs.push((*share, (wrong.support(slope * shrink) - of_right - ROUNDING).max(0.0)));
    }
    if budget < 0.0 {
        return budget;
    }
    costs.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    let total: f64 = costs.iter().map(|(share, cost)| share * cost).sum();
    if budget >= total {
        return if total > 0.0 { (budget / total).max(1.0) } else { f64::INFINITY };
    }
    let mut error = 0.0;
    for (share, cost) in costs {
        if budget < share * cost {
            return error + budget / cost;
        }
        budget -= share * cost;
        error += share;
    }
    error
}
