//! E ln(1 + Σ_k e^{x_{c_k}}) over K i.i.d. classes, and its derivatives, without sampling and without the K-fold sum.
//!
//! ln(1+S) = ∫_0^∞ e^{−s} (1 − e^{−sS})/s ds (Frullani), so independent negatives give
//!
//! E ln(1 + Σ_k e^{x_{c_k}}) = ∫_0^∞ e^{−s} (1 − φ(s)^K)/s ds,  φ(s) = Σ_j π_j e^{−sE_j},  E_j = e^{x_j}.
//!
//! Collisions are a part that no representation changes: with E_c = 1 for the anchor's class and E_j = 0 for the
//! others, φ becomes φ₀(s) = 1 − π_c + π_c e^{−s} and the integral E ln(1+Col). What is computed is the *excess*
//!
//! X = E ln(1 + Σ_k e^{x_{c_k}}) − E ln(1+Col) = ∫ e^{−s} (φ₀^K − φ^K)/s ds, ∂X/∂x_j = K π_j E_j ∫ e^{−s} φ^{K−1}
//! e^{−sE_j} ds,
//!
//! with positive integrands, so that it keeps its digits where it is 1e-9 of the loss (small t, large K).
//!
//! Quadrature: the trapezoid rule in u = ln s with step h = (ln 2)/3. On the ray arg s = θ every |φ(s)| ≤ φ(|s| cos θ),
//! so the integrand of ∂X/∂x_j at u + iθ has the integral of its modulus bounded by 1/cos θ times the integral itself.
//! The error bound 2M/(e^{2πθ/h} − 1) of the rule for a function analytic in the strip |Im u| < θ (Trefethen &
//! Weideman, SIAM Review 2014, Theorem 5.1) is least near θ = π/2 − h/2π: below 5e-17 of the value, whatever K, t and
//! the prior; the same holds for X, an integral of such derivatives along E ↦ λE. What remains is rounding. Three nodes
//! an octave make each chain of nodes a doubling, e^{−2a} − 1 = m(2+m) with m = e^{−a} − 1, so that a node costs no
//! exponential per class; an error of m is not amplified, hence after some 85 doublings the relative error is below
//! 2e-14.
//!
//! Source: derived here; the representation is classical.

/// Trapezoid nodes s_k = s_0 2^{k/3} with the weights h e^{−s_k}.
pub(super) struct Nodes {
    points: Vec<(f64, f64)>,
}

/// Nodes an octave; each residue of the node's number is a chain of doublings.
const CHAINS: usize = 3;

/// Beyond this s lies less than e^{−46} = 1e-20 of the whole, since the other factors of the integrand decrease in s.
const LAST_NODE: f64 = 46.0;

impl Nodes {
    /// The nodes that matter for K negatives and exponentials E_j ≤ `largest`: below s = 1e-18/(K E) the integrand sums
    /// to 1e-18 of the whole.
    pub(super) fn new(num_negatives: f64, largest: f64) -> Self {
        let step = std::f64::consts::LN_2 / CHAINS as f64;
        let mut starts = [0.0; CHAINS];
        let first = 1e-18 / (num_negatives * largest.max(1.0));
        for (i, start) in starts.iter_mut().enumerate() {
            *start = first * (i as f64 * step).exp();
        }
        let mut points = Vec::new();
        // Doubling is exact, so that the chains of `excess` and the nodes never drift apart.
        while starts[0] < LAST_NODE {
            points.extend(starts.map(|s| (s, step * (-s).exp())));
            starts = starts.map(|s| 2.0 * s);
        }
        Self { points }
    }
}

/// The negatives of one anchor: classes of equal exponent taken together.
pub(super) struct Anchor<'a> {
    /// π_c of the anchor's own class.
    pub own: f64,
    /// Probability of a negative of each kind.
    pub weights: &'a [f64],
    /// x of each kind: (G_cj − G_cc)/t.
    pub exponents: &'a [f64],
}

/// X of one anchor for K negatives; `slopes` receives ∂X/∂x of each kind.
///
/// Relative error below 2e-14, of the slopes for exponents of at most 0 (1 + m carries an absolute rounding error,
/// which e^{x_j} > 1 would magnify). Cost: some 200 + 3 log₂ K nodes of six operations per kind.
pub(super) fn excess(nodes: &Nodes, num_negatives: f64, anchor: &Anchor<'_>, slopes: &mut [f64]) -> f64 {
    let mut chains: [Vec<f64>; CHAINS] = std::array::from_fn(|i| {
        let start = nodes.points[i].0;
        anchor.exponents.iter().map(|x| (-start * x.exp()).exp_m1()).collect()
    });
    slopes.fill(0.0);
    let mut sum = 0.0;
    for (index, &(s, weight)) in nodes.points.iter().enumerate() {
        let chain = &mut chains[index % CHAINS];
        let missing = weighted_sum(anchor.weights, chain); // φ − φ₀
        let own = anchor.own * (-s).exp_m1(); // φ₀ − 1
        let power = (num_negatives * own.ln_1p()).exp();
        sum -= weight * power * (num_negatives * ln_1p_or_least(missing / (1.0 + own))).exp_m1();
        let slope =
            weight * s * num_negatives * ((num_negatives - 1.0) * ln_1p_or_least(own + missing)).exp();
        for (total, m) in slopes.iter_mut().zip(chain) {
            *total += slope * (1.0 + *m);
            *m *= 2.0 + *m;
        }
    }
    for (slope, (weight, exponent)) in slopes.iter_mut().zip(anchor.weights.iter().zip(anchor.exponents)) {
        *slope *= weight * exponent.exp();
    }
    sum
}

/// ln(1+x) for x ≥ −1 up to rounding: where φ ~ e^{−46} is below an ulp of 1, 1+x may come out as 0 or negative; a
/// finite stand-in for −∞ keeps 0 · ln φ at 0 for K = 1, and the weight e^{−s} makes the rest negligible.
fn ln_1p_or_least(x: f64) -> f64 {
    x.ln_1p().max(-800.0)
}

/// Σ w m in eight lanes, which the compiler can keep in one register.
fn weighted_sum(weights: &[f64], values: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut lanes = [0.0; LANES];
    let (w, v) = (weights.chunks_exact(LANES), values.chunks_exact(LANES));
    let rest: f64 = w.remainder().iter().zip(v.remainder()).map(|(w, m)| w * m).sum();
    for (w, v) in w.zip(v) {
        for ((lane, w), m) in lanes.iter_mut().zip(w).zip(v) {
            *lane += w * m;
        }
    }
    lanes.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClassPrior, NumNegatives, Sampling, collision};

    fn value(own: f64, weights: &[f64], exponents: &[f64], k: f64) -> (f64, Vec<f64>) {
        let largest = exponents.iter().fold(0.0f64, |m, x| m.max(x.exp()));
        let mut slopes = vec![0.0; weights.len()];
        let anchor = Anchor { own, weights, exponents };
        (excess(&Nodes::new(k, largest), k, &anchor, &mut slopes), slopes)
    }

    /// E ln(1+m+(K−m)e^x) − E ln(1+m), m ~ Bin(K, π): the law of Col against the integral, from e^{-40} to e^{+40}.
    #[test]
    fn two_kinds_against_the_binomial_law() {
        let mut worst = (0.0f64, 0.0f64);
        for (classes, k) in [(2, 1), (2, 7), (10, 31), (100, 1023), (10, 1_000_000), (1000, 100_000)] {
            let prior = ClassPrior::uniform(classes).unwrap();
            let negatives = NumNegatives::new(k).unwrap();
            for x in [-40.0, -22.0, -5.0, -1.0, 0.0, 1.0, 40.0f64] {
                let own = 1.0 / classes as f64;
                let (found, slopes) = value(own, &[1.0 - own], &[x], k as f64);
                let expectation = |of: &dyn Fn(f64, f64) -> f64| {
                    collision::expectation(&prior, Sampling::WithReplacement, negatives, |m| {
                        of(1.0 + m as f64, (k - m) as f64 * x.exp())
                    })
                    .unwrap()
                };
                let exact = expectation(&|same, other| (other / same).ln_1p());
                let slope = expectation(&|same, other| other / (same + other));
                worst.0 = worst.0.max((found / exact - 1.0).abs());
                if x <= 0.0 {
                    worst.1 = worst.1.max((slopes[0] / slope - 1.0).abs());
                }
            }
        }
        println!("relative errors {worst:?}");
        assert!(worst.0 < 2e-14 && worst.1 < 2e-14, "{worst:?}");
    }

    /// Σ over all tuples of negatives, by recursion: nothing in common with the integral.
    fn by_tuples(weights: &[f64], exponents: &[f64], k: usize, sum: f64) -> f64 {
        if k == 0 {
            return sum.ln_1p();
        }
        let rest = |(w, x): (&f64, &f64)| w * by_tuples(weights, exponents, k - 1, sum + x.exp());
        weights.iter().zip(exponents).map(rest).sum()
    }

    #[test]
    fn several_kinds_against_all_tuples() {
        // Own class 0.2, then four classes, exponents of both signs; slopes against central differences.
        let (own, weights, exponents) = (0.2, [0.4, 0.25, 0.1, 0.05], [-1.5, 0.7, -12.0, -0.1]);
        let with_own = |x: f64, e: &[f64; 4]| {
            let all_weights: Vec<f64> = [&[own], &weights[..]].concat();
            let all_exponents: Vec<f64> = [&[x], &e[..]].concat();
            (all_weights, all_exponents)
        };
        for k in 1..=6 {
            let exact = |e: &[f64; 4]| {
                let (w, x) = with_own(0.0, e);
                let (_, none) = with_own(0.0, &[f64::NEG_INFINITY; 4]);
                by_tuples(&w, &x, k, 0.0) - by_tuples(&w, &none, k, 0.0)
            };
            let (found, slopes) = value(own, &weights, &exponents, k as f64);
            assert!((found - exact(&exponents)).abs() < 2e-14, "K = {k}: {found}");
            for j in 0..4 {
                let step = 1e-4;
                let moved = |sign: f64| {
                    let mut e = exponents;
                    e[j] += sign * step;
                    exact(&e)
                };
                let difference = (moved(1.0) - moved(-1.0)) / (2.0 * step);
                assert!(
                    (slopes[j] - difference).abs() < 1e-9,
                    "K = {k}, kind {j}: {} {difference}",
                    slopes[j]
                );
            }
        }
    }
}
