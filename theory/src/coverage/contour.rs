//! υ in floating point, for any prior and both samplings: a tilted contour sum that cannot cancel.
//!
//! Let e(z) = e^z for independent draws (weights w_c = π_c, W = 1) and 1+z without replacement (w_c = M_c, W = M), and
//! L(z) = ln e(z). For any radius r > 0 let B be the base law: Poisson(r), or Binomial(M, θ) with θ = r/(1+r). Then
//!
//! υ_n B(n) = e^{−W L(r)} rⁿ \[zⁿ\] F(z), F(z) = ∏_c (e^{w_c L(z)} − 1), and
//! (1−υ_n) B(n) = e^{−W L(r)} rⁿ \[zⁿ\] H(z), H(z) = e^{W L(z)} (1 − ∏_c (1 − e^{−w_c L(z)})).
//!
//! Both have non-negative coefficients, so for every radius r the numbers a_n r^n / F(r) are a probability law
//! P_r(N = n), and the M-point trapezoid of its characteristic function returns P_r(N ≡ n mod M): positive,
//! with the one-sided error P_r(N ≥ n+M) + P_r(N ≤ n−M), which Chernoff bounds from F itself. r is the point where
//! the law has mean n; rounding of r changes nothing, since the identity holds for every r.
//!
//! The alternating textbook sum loses every digit at C = 100, n = 128 (true 1.5e-22, float sum 4.5e-4).
//!
//! Error bound: aliasing (Chernoff), dropped nodes (a decreasing majorant of |φ|), and rounding (the magnitudes that
//! every exponent, phase and weight is added from, times a few ulps, assuming that exp, ln, sin, cos,
//! atan2, expm1, ln1p err by at most 1 ulp).

use super::base::{LnPmf, ln_binomial, ln_poisson};
use super::class::{
    angle_minus_linear, class_factor, class_majorant, class_mean, ln_one_minus_exp, ln_one_minus_exp_complex,
    ratio_to_expm1, sin_minus,
};
use crate::probability::Probability;

const EPS: f64 = f64::EPSILON;

/// Which base law the draws have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Base {
    /// Independent draws; weights are class probabilities and add up to 1.
    Poisson,
    /// Draws without replacement from this many items; weights are items per class.
    Binomial { total: f64 },
}

/// Classes of equal weight: (weight, multiplicity).
pub(crate) type WeightGroup = (f64, f64);

/// υ_n for C < n, and, without replacement, n < M − min M_c; other n have closed forms.
pub(crate) fn coverage(base: Base, groups: &[WeightGroup], num_draws: f64) -> Probability {
    let problem = Problem { base, groups, draws: num_draws };
    let lower = problem.solve(Side::Lower);
    if lower.ln < -std::f64::consts::LN_2 {
        return Probability::from_ln(lower.ln, lower.error);
    }
    let upper = problem.solve(Side::Upper);
    Probability::from_ln_complement(upper.ln.min(0.0), upper.error)
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    /// υ, by F.
    Lower,
    /// 1 − υ, by H.
    Upper,
}

struct Problem<'a> {
    base: Base,
    groups: &'a [WeightGroup],
    draws: f64,
}

/// The law tilted to ln r = s.
pub(super) struct Tilt {
    /// r (Poisson) or θ (binomial): the derivative of L with respect to ln r.
    pub scale: f64,
    /// 1 − θ, or 1 for Poisson.
    pub q: f64,
    /// L(r).
    pub ell: f64,
}

impl Problem<'_> {
    fn tilt(&self, s: f64) -> Tilt {
        match self.base {
            Base::Poisson => Tilt { scale: s.exp(), q: 1.0, ell: s.exp() },
            Base::Binomial { .. } => {
                let (theta, q) = (1.0 / (1.0 + (-s).exp()), 1.0 / (1.0 + s.exp()));
                Tilt { scale: theta, q, ell: if s > 0.0 { -q.ln() } else { s.exp().ln_1p() } }
            }
        }
    }

    fn total_weight(&self) -> f64 {
        match self.base {
            Base::Poisson => 1.0,
            Base::Binomial { total } => total,
        }
    }

    /// Σ m ln(1 − e^{−a}), the log of the product over classes, with the magnitude that its rounding scales with.
    fn ln_product(&self, tilt: &Tilt) -> f64 {
        self.groups.iter().map(|&(w, m)| m * ln_one_minus_exp(w * tilt.ell)).sum()
    }

    /// ln F(r) or ln H(r).
    fn ln_generating(&self, side: Side, s: f64) -> f64 {
        let tilt = self.tilt(s);
        let product = self.ln_product(&tilt);
        let tail = if side == Side::Lower { product } else { ln_one_minus_exp(-product) };
        self.total_weight() * tilt.ell + tail
    }

    /// Mean of the tilted law.
    fn mean(&self, side: Side, s: f64) -> f64 {
        let tilt = self.tilt(s);
        match side {
            Side::Lower => self.groups.iter().map(|&(w, m)| m * class_mean(w, &tilt)).sum(),
            Side::Upper => {
                let odds = 1.0 / (-self.ln_product(&tilt)).exp_m1();
                let lost: f64 = self.groups.iter().map(|&(w, m)| m * w / (w * tilt.ell).exp_m1()).sum();
                tilt.scale * (self.total_weight() - odds * lost)
            }
        }
    }

    /// Variance of the tilted law = d mean / d ln r.
    fn variance(&self, side: Side, s: f64) -> f64 {
        if side == Side::Upper {
            const STEP: f64 = 1e-4;
            return ((self.mean(side, s + STEP) - self.mean(side, s - STEP)) / (2.0 * STEP)).max(0.0);
        }
        let tilt = self.tilt(s);
        let of_class = |w: f64| {
            let mean = class_mean(w, &tilt);
            mean * (tilt.q + w * tilt.scale - mean).max(0.0)
        };
        self.groups.iter().map(|&(w, m)| m * of_class(w)).sum()
    }

    /// ln r at which the tilted law has mean n, to about 1e-9: safeguarded Newton.
    fn saddle(&self, side: Side) -> f64 {
        let start = match self.base {
            Base::Poisson => self.draws.ln(),
            Base::Binomial { total } => (self.draws / (total - self.draws)).ln(),
        };
        let (mut low, mut high) = (start, start);
        let mut step = 0.5;
        while self.mean(side, low) > self.draws {
            low -= step;
            step *= 2.0;
        }
        step = 0.5;
        while self.mean(side, high) < self.draws && high < 600.0 {
            high += step;
            step *= 2.0;
        }
        let mut s = 0.5 * (low + high);
        for _ in 0..100 {
            let excess = self.mean(side, s) - self.draws;
            if excess > 0.0 {
                high = s;
            } else {
                low = s;
            }
            let newton = s - excess / self.variance(side, s);
            let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
            if (next - s).abs() < 1e-9 * (1.0 + s.abs()) {
                return next;
            }
            s = next;
        }
        s
    }

    /// ln υ or ln(1−υ) with a bound of its absolute error.
    fn solve(&self, side: Side) -> LnPmf {
        let s = self.saddle(side);
        let tilt = self.tilt(s);
        let variance = self.variance(side, s);
        let product = self.ln_product(&tilt);
        let tail = if side == Side::Lower { product } else { ln_one_minus_exp(-product) };
        let base = match self.base {
            Base::Poisson => ln_poisson(self.draws, tilt.scale),
            Base::Binomial { total } => ln_binomial(self.draws, total, tilt.scale, tilt.q),
        };
        let mut points = (9.0 * variance.sqrt() + 24.0).ceil();
        loop {
            let points_odd = points + 1.0 - points % 2.0;
            let sum = self.trapezoid(side, &tilt, product, points_odd);
            let aliased = self.aliasing(side, s, variance, points_odd);
            if sum.value > 0.0 && aliased <= 1e-17 * sum.value || points > 8.0 * (self.draws + 64.0) {
                let relative = (aliased + sum.error) / sum.value;
                // Weights and a = w·L(r) are rounded: d Σ m ln(1−e^{−a}) = Σ m a/(e^a − 1) per relative change.
                let weights: f64 = self.groups.iter().map(|&(w, m)| m * ratio_to_expm1(w * tilt.ell)).sum();
                let weights = if side == Side::Lower { weights } else { weights / product.abs().max(1e-300) };
                let rounding = EPS * (2.0 + 3.0 * product.abs() + 2.0 * tail.abs() + 2.0 * weights);
                let ln = tail - base.ln + sum.value.ln();
                return LnPmf { ln, error: relative + base.error + rounding + EPS * ln.abs() };
            }
            points *= 1.5;
        }
    }

    /// P_r(N ≡ n mod `points`) and the bound of what rounding and dropped nodes can have changed.
    fn trapezoid(&self, side: Side, tilt: &Tilt, product: f64, points: f64) -> Sum {
        let half = ((points - 1.0) / 2.0) as u64;
        let (mut sum, mut rounding, mut dropped) = (0.5, 0.0, 0.0);
        for k in 1..=half {
            let node = self.node(tilt, std::f64::consts::TAU * k as f64 / points);
            let term = match side {
                Side::Lower => self.lower_term(tilt, &node),
                Side::Upper => self.upper_term(tilt, product, &node),
            };
            sum += term.value;
            rounding += term.error;
            let left = (half - k) as f64;
            if term.magnitude < 1e-19 && left > 0.0 {
                let majorant = left
                    * self.majorant(
                        side,
                        tilt,
                        product,
                        &self.node(tilt, std::f64::consts::TAU * (k + 1) as f64 / points),
                    );
                if majorant < 1e-18 {
                    dropped = majorant;
                    break;
                }
            }
        }
        Sum { value: 2.0 * sum / points, error: 2.0 * (rounding + dropped + 4.0 * EPS * sum.abs()) / points }
    }

    fn node(&self, tilt: &Tilt, t: f64) -> Node {
        let versine = 2.0 * (0.5 * t).sin().powi(2);
        let (decay, angle, offset, drift) = match self.base {
            Base::Poisson => {
                let r = tilt.scale;
                (r * versine, r * t.sin(), (r - self.draws) * t, r * sin_minus(t))
            }
            Base::Binomial { total } => {
                let (theta, q) = (tilt.scale, tilt.q);
                let decay = -0.5 * (-2.0 * theta * q * versine).ln_1p();
                // Mθt − nt and M(arg − θt) apart; for θ > ½ the same from the other end, arg = t − arg(θ + q e^{it}), where
                // the small number q keeps its digits.
                if theta <= 0.5 {
                    let angle = (theta * t.sin()).atan2(1.0 - theta * versine);
                    let offset = total.mul_add(theta, -self.draws) * t;
                    (decay, angle, offset, total * angle_minus_linear(theta, q, t))
                } else {
                    let angle = t - (q * t.sin()).atan2(1.0 - q * versine);
                    let offset = (-total).mul_add(q, total - self.draws) * t;
                    (decay, angle, offset, -total * angle_minus_linear(q, theta, t))
                }
            }
        };
        Node { t, decay, angle, phase: offset + drift, size: offset.abs() + drift.abs() }
    }

    /// Re φ_F(t) e^{−int}.
    fn lower_term(&self, tilt: &Tilt, node: &Node) -> Term {
        let mut exponent = -self.total_weight() * node.decay;
        let mut phase = node.phase;
        let mut size = exponent.abs() + node.size;
        for &(w, m) in self.groups {
            let factor = class_factor(w * tilt.ell, w * node.decay, w * node.angle);
            exponent += m * factor.ln_ratio;
            phase += m * factor.argument;
            size += m * (factor.error + factor.argument.abs());
        }
        let magnitude = exponent.exp();
        Term { value: magnitude * phase.cos(), magnitude, error: magnitude * EPS * (2.0 + 2.0 * size) }
    }

    /// Re φ_H(t) e^{−int}: e^{W(L(z)−L(r))} (1 − Π(z)) / (1 − Π(r)).
    fn upper_term(&self, tilt: &Tilt, product: f64, node: &Node) -> Term {
        let (mut ln_modulus, mut argument, mut size) = (0.0, 0.0, 0.0);
        for &(w, m) in self.groups {
            let log = ln_one_minus_exp_complex(w * (tilt.ell - node.decay), w * node.angle);
            ln_modulus += m * log.0;
            argument += m * log.1;
            // The angle y is rounded too: d ln(1−e^{−z})/dy = e^{−z}/(1−e^{−z}).
            let slope = (w * (node.decay - tilt.ell) - log.0).exp().min(1e300);
            size += m * (log.0.abs() + log.1.abs() + slope * (w * node.angle).abs());
        }
        let shrink = -self.total_weight() * node.decay;
        let scale = -product.exp_m1();
        let (re, im) = if ln_modulus < 1.0 {
            let half_sine = (0.5 * argument).sin();
            let (growth, modulus) = (ln_modulus.exp_m1(), ln_modulus.exp());
            let factor = shrink.exp() / scale;
            (
                -(growth * argument.cos() - 2.0 * half_sine * half_sine) * factor,
                -modulus * argument.sin() * factor,
            )
        } else {
            let (one, other) = (shrink.exp() / scale, (ln_modulus + shrink).exp() / scale);
            (one - other * argument.cos(), -other * argument.sin())
        };
        let magnitude = re.hypot(im);
        let value = re * node.phase.cos() - im * node.phase.sin();
        // u(z) carries the relative rounding of its exponent, or an absolute one where e^Λ is not small.
        let exponent_error = size * (ln_modulus + shrink).min(0.0).exp() / scale;
        let error = EPS * (magnitude * (4.0 + 2.0 * (shrink.abs() + node.size)) + 3.0 * exponent_error);
        Term { value, magnitude, error }
    }

    /// A decreasing function of t on [0, π] that bounds |φ(t)|.
    ///
    /// H is a sum over classes c of ∏_{d<c}(e^{w_d L}−1) e^{L (W − Σ_{d≤c} w_d)}, "c is the first class missing". Each term
    /// has non-negative coefficients; its share of H(r) is q_c ∏_{d<c}(1−q_d)/u(r), q = e^{−a}. The bound is the sum of
    /// shares times ratios; within a group ln(share·ratio) is linear in the number of classes, so its ends suffice.
    fn majorant(&self, side: Side, tilt: &Tilt, product: f64, node: &Node) -> f64 {
        let versine = 2.0 * (0.5 * node.t).sin().powi(2);
        let ln_scale = ln_one_minus_exp(-product);
        let (mut prefix, mut shares, mut rest) = (0.0, 0.0, self.total_weight());
        let mut sum = 0.0;
        for &(w, m) in self.groups {
            let a = w * tilt.ell;
            let (own, seen) = (class_majorant(w, tilt, node.decay, versine), ln_one_minus_exp(a));
            if side == Side::Upper {
                let at = |j: f64| {
                    let ln_share = shares + j * seen - a - ln_scale;
                    ln_share + prefix + j * own - (rest - (j + 1.0) * w).max(0.0) * node.decay
                };
                sum += m * at(0.0).max(at(m - 1.0)).exp();
            }
            prefix += m * own;
            shares += m * seen;
            rest -= m * w;
        }
        if side == Side::Lower { prefix.exp() } else { sum }
    }

    /// Chernoff bound of P_r(N ≥ n+M) + P_r(N ≤ n−M).
    fn aliasing(&self, side: Side, s: f64, variance: f64, points: f64) -> f64 {
        let here = self.ln_generating(side, s);
        let tail = |eta: f64, target: f64| {
            let exponent = self.ln_generating(side, s + eta) - here - target * eta;
            // Rounding of the two large logarithms, kept on the safe side.
            (exponent + 4.0 * EPS * (here.abs() + (target * eta).abs())).exp()
        };
        let smallest = if side == Side::Lower { self.groups.iter().map(|g| g.1).sum() } else { 0.0 };
        let largest = if let Base::Binomial { total } = self.base { total } else { f64::INFINITY };
        let (above, below) = (self.draws + points, self.draws - points);
        let spread = variance.max(1e-3);
        let upper = if above > largest { 0.0 } else { tail((points / spread).ln_1p(), above) };
        let lower = if below < smallest {
            0.0
        } else {
            tail(if points < spread { (-points / spread).ln_1p().max(-3.0) } else { -3.0 }, below)
        };
        upper + lower
    }
}

struct Sum {
    value: f64,
    error: f64,
}

struct Term {
    value: f64,
    magnitude: f64,
    error: f64,
}

/// One point of the circle: L(re^{it}) = L(r) − decay + i·angle, and phase = W·angle − n t without cancellation.
struct Node {
    t: f64,
    decay: f64,
    angle: f64,
    phase: f64,
    /// Sum of the magnitudes that `phase` was added from.
    size: f64,
}
