//! υ in floating point, for any prior and both samplings: a tilted contour sum that cannot cancel.
//!
//! Let e(z) = e^z for independent draws (weights w_c = π_c, W = 1) and 1+z without replacement (w_c = M_c, W = M), and
//! L(z) = ln e(z). For any radius r > 0
//!
//! \[zⁿ\] F(z), F(z) = e^{w₀ L(z)} ∏_c (e^{w_c L(z)} − 1), counts the draws that show every required class (w₀ is the
//! weight of the others), and \[zⁿ\] H(z), H(z) = e^{W L(z)} (1 − ∏_c (1 − e^{−w_c L(z)})), those that miss one; times
//! n!, or over binom(M, n), they are υ and 1−υ.
//!
//! Both have non-negative coefficients, so for every radius r the numbers a_n r^n / F(r) are a probability law
//! P_r(N = n), and the M-point trapezoid of its characteristic function returns P_r(N ≡ n mod M): positive,
//! with the one-sided error P_r(N ≥ n+M) + P_r(N ≤ n−M), which Chernoff bounds from F itself. r is near the point where
//! the law has mean n; its choice changes nothing, since the identity holds for every r.
//!
//! The alternating textbook sum loses every digit at C = 100, n = 128 (true 1.5e-22, float sum 4.5e-4).
//!
//! Accuracy: n! F(r) r^{−n} is formed in double-double, P_r(N = n) √(2πn) in floats. Classes with small a = w L(r)
//! enter the sum as e^{wL} − 1 = wz·exp(power series), the others as e^{wL}(1 − e^{−wL}): each way the phases that
//! remain are of the size of the law's own spread. Error bound: aliasing (Chernoff), dropped nodes (a decreasing
//! majorant of |φ|), and rounding (the magnitudes that every exponent and phase is added from, times a few ulps; a
//! phase error counts by the sine of the phase), assuming that exp, ln, sin, cos, atan2, expm1, ln1p err by at most 1
//! ulp.

use super::class::{
    LargeGroup, angle_minus_linear, class_factor, class_majorant, neighbours, sin_cos, sin_minus,
};
use super::series::SmallClasses;
use super::tilt::{Side, Tails, Tilt, ln_product, saddle};
use super::urn::{Base, Scaled, Urn};
use crate::double_double::Dd;
use crate::probability::ln_one_minus_exp;
use std::f64::consts::PI;

const EPS: f64 = f64::EPSILON;

/// What aliasing and dropped nodes may each add to the relative error: a fraction of one rounding.
const NEGLIGIBLE: f64 = 3e-17;

/// Long before so many nodes a characteristic function has fallen; where it has not, rounding has left nothing of it.
const MAX_NODES: u64 = 100_000;

/// υ or 1−υ, for C < n and, without replacement, n < M − min M_c; other n have closed forms.
pub(super) fn solve(urn: &Urn, side: Side) -> Scaled {
    let (tilt, variance) = saddle(urn, side);
    let contour = Contour::new(urn, side, tilt);
    let mut points = first_points(variance);
    loop {
        let points_odd = points + 1.0 - points % 2.0;
        let sum = contour.trapezoid(points_odd);
        let tails = Tails::new(urn, side, &tilt, variance, points_odd);
        let aliased = tails.bound(urn, points_odd);
        if is_enough(urn, &sum, aliased, points) {
            return contour.radius.scaled(urn, side, &sum, aliased);
        }
        points *= 1.5;
    }
}

/// Points of the circle to begin with: a normal tail e^{−(M/σ)²/2} of NEGLIGIBLE·P(N = n), P(N = n) = 0.4/σ; the rest
/// allows for skewness and small σ.
pub(super) fn first_points(variance: f64) -> f64 {
    let deviation = variance.sqrt();
    (deviation * (2.0 * (38.1 + (5.0 * deviation + 2.0).ln())).sqrt() + 24.0).ceil()
}

/// Whether more points could not improve the sum.
pub(super) fn is_enough(urn: &Urn, sum: &Sum, aliased: f64, points: f64) -> bool {
    sum.value > 0.0 && aliased <= NEGLIGIBLE * sum.value
        || !sum.error.is_finite()
        || points > 8.0 * (urn.draws + 64.0)
}

/// What every n has in common at one radius.
pub(super) struct Radius {
    tilt: Tilt,
    radius: Dd,
    ell: Dd,
    /// Weight in the factor e^{wL(z)} of the sum.
    weight: Dd,
    /// Classes whose zⁿ is taken out of the sum.
    lifted: f64,
    /// Σ m ln(1−e^{−a}), and the size of the part of it that is a float's.
    product: Dd,
    light_error: f64,
    /// Upper: 1 − e^Λ, and e^Λ/(1−e^Λ).
    tail: f64,
    odds: f64,
}

impl Radius {
    /// n! F(r) r^{−n} and its like, and a bound of its relative error.
    fn prefactor(&self, urn: &Urn, side: Side) -> (Scaled, f64) {
        let (mut factor, mut exponent) = urn.normalisation(self.radius, self.ell);
        let mut error = match side {
            Side::Lower => {
                exponent = exponent + self.product;
                1.5 * EPS * self.light_error + EPS
            }
            Side::Upper => {
                factor *= self.tail;
                1.5 * EPS * self.light_error * (1.0 + self.odds) + 2.0 * EPS
            }
        };
        // Double-double: logarithms to 1e-30, sums to 1e-31 of the largest parts; Stirling's δ(n) to 1e-17 each.
        let logs = urn.draws + urn.num_required + urn.normalisation_size();
        let parts = urn.draws * urn.draws.ln() + exponent.hi.abs() + urn.total.hi * self.tilt.ell;
        error += 1e-30 * logs + 1e-30 * parts + 4e-17;
        (Scaled { factor, exponent, error: 0.0 }, error)
    }

    /// weight·scale − draws (weight·q for θ > ½), rounded once.
    pub(super) fn offset(&self, urn: &Urn) -> f64 {
        let (weight, radius) = (self.weight, self.radius);
        let draws = Dd::from(urn.draws - self.lifted);
        match urn.base {
            Base::Binomial { .. } if self.tilt.scale > 0.5 => {
                let q = Dd::ONE / (Dd::ONE + radius);
                (weight - draws - weight * q).value()
            }
            Base::Binomial { .. } => (weight * (radius / (Dd::ONE + radius)) - draws).value(),
            Base::Poisson => (weight * radius - draws).value(),
        }
    }

    /// The coefficient of n = `urn.draws`, from P_r(N ≡ n mod M) and the bound of its aliasing.
    pub(super) fn scaled(&self, urn: &Urn, side: Side, sum: &Sum, aliased: f64) -> Scaled {
        let (prefactor, prefactor_error) = self.prefactor(urn, side);
        Scaled {
            factor: sum.value * prefactor.factor,
            exponent: prefactor.exponent,
            error: (aliased + sum.error) / sum.value + prefactor_error + 3.0 * EPS,
        }
    }
}

/// One side's law at one radius, with everything that does not depend on the point of the circle.
pub(super) struct Contour<'a> {
    urn: &'a Urn<'a>,
    side: Side,
    tilt: Tilt,
    large: Vec<LargeGroup>,
    small: SmallClasses,
    weight: f64,
    odds: f64,
    pub radius: Radius,
}

impl<'a> Contour<'a> {
    pub fn new(urn: &'a Urn<'a>, side: Side, tilt: Tilt) -> Self {
        let radius = Dd::from(tilt.radius);
        let ell = match urn.base {
            Base::Poisson => radius,
            Base::Binomial { .. } => (Dd::ONE + radius).ln(),
        };
        let mut large = Vec::with_capacity(urn.required.len());
        let mut small = SmallClasses::new();
        let (mut weight, mut lifted) = (urn.total, 0.0);
        // Σ m ln(1−e^{−a}): factors of few classes are multiplied, the others' logarithms added.
        let (mut product, mut sum, mut light, mut light_error) = (Dd::ONE, Dd::ZERO, 0.0, 0.0);
        for group in urn.required {
            let m = group.multiplicity;
            let a = group.weight * ell;
            let missing = (-a.hi).exp() * (1.0 - a.lo);
            let (missing, present) = if m * missing < 0.01 {
                // The logarithm is so small that a float carries it to 1e-18.
                light += m * (-missing).ln_1p();
                light_error += m * missing;
                (missing, 1.0 - missing)
            } else {
                let present = -(-a).exp_m1();
                if m <= 4.0 && present.hi > 1e-30 {
                    for _ in 0..m as u64 {
                        product = product * present;
                    }
                    if product.hi < 1e-150 {
                        sum = sum + product.ln();
                        product = Dd::ONE;
                    }
                } else {
                    sum = sum + present.ln() * m;
                }
                ((Dd::ONE - present).value(), present.value())
            };
            if side == Side::Lower && small.accepts(urn.base, group.weight.hi, tilt.radius) {
                small.push(urn.base, group.weight.hi, m, tilt.radius);
                weight = weight - group.weight * m;
                lifted += m;
            } else {
                let odds = missing / present;
                large.push(LargeGroup { weight: group.weight.hi, multiplicity: m, a: a.hi, odds });
            }
        }
        small.finish();
        if product != Dd::ONE {
            sum = sum + product.ln();
        }
        let product = sum + Dd::from(light);
        let (mut tail, mut odds) = (1.0, 0.0);
        if side == Side::Upper {
            let precise = -product.exp_m1();
            tail = precise.value();
            odds = ((Dd::ONE - precise) / precise).value();
        }
        let shared = Radius { tilt, radius, ell, weight, lifted, product, light_error, tail, odds };
        let weight = weight.value().max(0.0);
        Self { urn, side, tilt, large, small, weight, odds, radius: shared }
    }

    /// P_r(N ≡ n mod `points`) and the bound of what rounding and dropped nodes can have changed.
    fn trapezoid(&self, points: f64) -> Sum {
        let mut sum = Partial::new(self.radius.offset(self.urn));
        let dropped = self.visit(points, |fixed| sum.add(fixed));
        sum.finish(points, dropped)
    }

    /// Calls `take` for every node that matters, and bounds Σ|φ| over the others.
    pub fn visit(&self, points: f64, mut take: impl FnMut(&Fixed)) -> f64 {
        let half = ((points - 1.0) / 2.0) as u64;
        // Half the step of t, in two floats so that the rounding of t does not count.
        let step = Dd { hi: PI, lo: 1.224_646_799_147_353_2e-16 } / Dd::from(points);
        for k in 1..=half {
            if k > MAX_NODES {
                return f64::INFINITY;
            }
            let node = self.node(step * k as f64);
            let fixed = match self.side {
                Side::Lower => self.lower(&node),
                Side::Upper => self.upper(&node),
            };
            take(&fixed);
            let left = (half - k) as f64;
            if fixed.magnitude < 1e-16 && left > 0.0 {
                let majorant = self.dropped(&node, &self.node(step * (k as f64 + 1.0)), left);
                if majorant < NEGLIGIBLE {
                    return majorant;
                }
            }
        }
        0.0
    }

    /// The point e^{it}, given t/2.
    fn node(&self, half: Dd) -> Node {
        let (sine, cosine) = sin_cos(half.hi);
        // sin(x + δ) = sin x + δ cos x.
        let (half_sine, half_cosine) = (sine + half.lo * cosine, cosine - half.lo * sine);
        let (t, sin_t, versine) = (2.0 * half.hi, 2.0 * half_sine * half_cosine, 2.0 * half_sine * half_sine);
        let Tilt { scale, q, .. } = self.tilt;
        let (decay, angle, drift) = match self.urn.base {
            Base::Poisson => (scale * versine, scale * sin_t, self.weight * scale * sin_minus(t, sin_t)),
            Base::Binomial { .. } => {
                let decay = -0.5 * (-2.0 * scale * q * versine).ln_1p();
                // arg − θt; for θ > ½ the same from the other end, arg = t − arg(θ + q e^{it}), where q keeps its
                // digits.
                if scale <= 0.5 {
                    let angle = (scale * sin_t).atan2(1.0 - scale * versine);
                    (decay, angle, self.weight * angle_minus_linear(scale, q, t))
                } else {
                    let angle = t - (q * sin_t).atan2(1.0 - q * versine);
                    (decay, angle, -self.weight * angle_minus_linear(q, scale, t))
                }
            }
        };
        Node { t, sin_t, versine, decay, angle, exponent: -self.weight * decay, drift }
    }

    /// Σ m ln((1−e^{−z})/(1−e^{−a})) over the large classes, and the rounding errors of both parts in units of ε.
    fn classes(&self, node: &Node) -> (f64, f64, f64, f64) {
        let mut total = (0.0, 0.0, 0.0, 0.0);
        for group in &self.large {
            let (w, m) = (group.weight, group.multiplicity);
            let factor = class_factor(group, w * node.decay, w * node.angle);
            total.0 += m * factor.ln_ratio;
            total.1 += m * factor.argument;
            total.2 += m * factor.error;
            total.3 += m * factor.argument_error;
        }
        total
    }

    /// φ_F(t) e^{iwt} at every n.
    fn lower(&self, node: &Node) -> Fixed {
        let (ln_ratio, argument, mut error, mut phase_error) = self.classes(node);
        let (mut exponent, mut phase) = (node.exponent + ln_ratio, node.drift + argument);
        error += 6.0 * (node.exponent.abs() + ln_ratio.abs());
        phase_error += 5.0 * (node.drift.abs() + argument.abs());
        if !self.small.is_empty() {
            let part = self.small.at(node.versine, node.sin_t);
            exponent += part.ln_ratio;
            phase += part.argument;
            error += part.error + part.ln_ratio.abs();
            phase_error += part.argument_error + part.argument.abs();
        }
        let magnitude = exponent.exp();
        let relative = error + 2.0;
        Fixed {
            t: node.t,
            phase,
            phase_error,
            re: magnitude,
            im: 0.0,
            magnitude,
            relative,
            absolute: magnitude,
        }
    }

    /// φ_H(t) e^{iwt} at every n: e^{W(L(z)−L(r))} (1 − Π(z)) / (1 − Π(r)), and with Δ = ln Π(z)/Π(r) the ratio is 1 − o
    /// (e^Δ − 1).
    fn upper(&self, node: &Node) -> Fixed {
        let (growth, argument, error, argument_error) = self.classes(node);
        let shrink = node.exponent;
        let size = error + argument_error + growth.abs() + argument.abs();
        let (re, im, scale, own);
        if growth < 1.0 {
            let (half_sine, half_cosine) = sin_cos(0.5 * argument);
            let (power, versine) = (growth.exp_m1(), 2.0 * half_sine * half_sine);
            let sine = 2.0 * half_sine * half_cosine;
            let odds = self.odds;
            scale = shrink.exp();
            re = scale * (1.0 - odds * (power * (1.0 - versine) - versine));
            im = -scale * odds * (power + 1.0) * sine;
            own = scale * odds * ((power + 1.0) * size + 4.0 * (power.abs() + versine + sine.abs()));
        } else {
            let (one, other) = (shrink.exp(), (growth + shrink + self.odds.ln()).exp());
            scale = one * (1.0 + self.odds);
            re = scale - other * argument.cos();
            im = -other * argument.sin();
            own = other * (4.0 + size + growth + shrink.abs() + self.odds.ln().abs());
        }
        let magnitude = (re * re + im * im).sqrt();
        Fixed {
            t: node.t,
            phase: node.drift,
            phase_error: 5.0 * node.drift.abs(),
            re,
            im,
            magnitude,
            relative: 6.0 * shrink.abs() + 1.0,
            absolute: 3.0 * (magnitude + scale) + own,
        }
    }

    /// A bound of Σ|φ| over the `left` nodes from `next` on; `last` is the one before.
    ///
    /// With v = 1 − cos t, |φ| ≤ e^{−slope·v} up to v' = 6v, and [`far_majorant`](Self::far_majorant) from there on. Up
    /// to t = π/2 the steps of v grow, so that the first sum is below a geometric one.
    fn dropped(&self, last: &Node, next: &Node, left: f64) -> f64 {
        let end = 6.0 * next.versine;
        if end < 0.5 {
            let slope = self.slope(end);
            let near = (-slope * next.versine).exp() / -(-slope * (next.versine - last.versine)).exp_m1();
            if slope > 0.0 && near < NEGLIGIBLE {
                let decay = self.decay(end);
                let far = left * self.far_majorant(&Node { versine: end, decay, ..*next });
                if far < NEGLIGIBLE {
                    return near + far;
                }
            }
        }
        left * self.far_majorant(next)
    }

    /// L(r) − Re L(re^{it}) with `versine` = 1 − cos t.
    fn decay(&self, versine: f64) -> f64 {
        let Tilt { scale, q, .. } = self.tilt;
        match self.urn.base {
            Base::Poisson => scale * versine,
            Base::Binomial { .. } => -0.5 * (-2.0 * scale * q * versine).ln_1p(),
        }
    }

    /// s with |φ| ≤ e^{−s v} for all v = 1 − cos t up to `end`.
    ///
    /// A class has |1−e^{−z}|² ≤ (1−e^{−a})² + e^{h−a} y² with h ≥ wθq v and y² ≤ 2v (wθ)²/(1−θ `end`)²; so its slope
    /// is at least wθq − o(1+o) e^{h'} (wθ)²/(1−θ `end`)², o = e^{−a}/(1−e^{−a}), h' at `end`. For small a Σ_j p_j
    /// p_{j+1} is better. In the terms of H ("c is the first class missing") the classes after c have slope wθq, and c
    /// itself none.
    fn slope(&self, end: f64) -> f64 {
        let Tilt { scale, q, ell, radius } = self.tilt;
        let (decay, shape) = match self.urn.base {
            Base::Poisson => (self.decay(end), 1.0),
            Base::Binomial { .. } => (self.decay(end), 1.0 / (1.0 - scale * end)),
        };
        let lost = |w: f64, odds: f64| {
            let y = w * scale * shape;
            odds * (1.0 + odds) * (w * decay).exp() * y * y
        };
        let of_group = |g: &LargeGroup| g.multiplicity * lost(g.weight, g.odds);
        let quadratic: f64 = self.large.iter().map(of_group).sum();
        match self.side {
            Side::Upper => {
                let heaviest = self.urn.required.first().map_or(0.0, |g| g.weight.hi);
                (self.weight - heaviest) * scale * q - quadratic
            }
            Side::Lower => {
                let tilt = Tilt { radius, scale, q, ell };
                let small: f64 = if self.small.is_empty() {
                    0.0
                } else {
                    let is_small =
                        |g: &&super::urn::WeightGroup| self.small.accepts(self.urn.base, g.weight.hi, radius);
                    let required = self.urn.required.iter().filter(is_small);
                    required.map(|g| g.multiplicity * neighbours(g.weight.hi, &tilt)).sum()
                };
                self.weight * scale * q - quadratic + small
            }
        }
    }

    /// A decreasing function of t on [0, π] that bounds |φ(t)|.
    ///
    /// H is a sum over classes c of ∏_{d<c}(e^{w_d L}−1) e^{L (W − Σ_{d≤c} w_d)}, "c is the first class missing". Each
    /// term has non-negative coefficients; its share of H(r) is q_c ∏_{d<c}(1−q_d)/u(r), q = e^{−a}. The bound is the
    /// sum of shares times ratios; within a group ln(share·ratio) is linear in the number of classes, so its ends
    /// suffice.
    fn far_majorant(&self, node: &Node) -> f64 {
        let tilt = &self.tilt;
        if self.side == Side::Lower {
            let of_group = |&(w, m): &(f64, f64)| m * class_majorant(w, tilt, node.decay, node.versine);
            let classes: f64 =
                self.urn.required.iter().map(|g| of_group(&(g.weight.hi, g.multiplicity))).sum();
            return (classes - self.urn.free * node.decay).exp();
        }
        let ln_scale = ln_one_minus_exp(-ln_product(self.urn, tilt));
        let (mut prefix, mut shares, mut rest, mut sum) = (0.0, 0.0, self.urn.total.hi, 0.0);
        for group in self.urn.required {
            let (w, m) = (group.weight.hi, group.multiplicity);
            let a = w * tilt.ell;
            let (own, seen) = (class_majorant(w, tilt, node.decay, node.versine), ln_one_minus_exp(a));
            let at = |j: f64| {
                let ln_share = shares + j * seen - a - ln_scale;
                ln_share + prefix + j * own - (rest - (j + 1.0) * w).max(0.0) * node.decay
            };
            sum += m * at(0.0).max(at(m - 1.0)).exp();
            prefix += m * own;
            shares += m * seen;
            rest -= m * w;
        }
        sum
    }
}

/// P_r(N ≡ n mod M) and the bound of its absolute error.
pub(super) struct Sum {
    pub value: f64,
    pub error: f64,
}

/// What one point of the circle adds, whatever n: re + i im times e^{i phase}, before it is turned by (w − n) t.
#[derive(Clone, Copy)]
pub(super) struct Fixed {
    t: f64,
    phase: f64,
    /// Rounding of the phase in units of ε.
    phase_error: f64,
    re: f64,
    im: f64,
    magnitude: f64,
    /// Rounding in units of ε: relative to the real part, and beside it.
    relative: f64,
    absolute: f64,
}

/// The trapezoid sum of one n as it is added up.
pub(super) struct Partial {
    offset: f64,
    sum: f64,
    rounding: f64,
}

impl Partial {
    pub fn new(offset: f64) -> Self {
        Self { offset, sum: 0.5, rounding: 0.0 }
    }

    pub fn add(&mut self, fixed: &Fixed) {
        let turn = self.offset * fixed.t;
        let (sine, cosine) = sin_cos(turn + fixed.phase);
        let value = fixed.re * cosine - fixed.im * sine;
        let phase_error = fixed.phase_error + 5.0 * turn.abs();
        let turned = (fixed.re * sine + fixed.im * cosine).abs() * phase_error
            + 0.5 * EPS * fixed.magnitude * phase_error * phase_error;
        self.sum += value;
        self.rounding +=
            value.abs() * fixed.relative + turned.min(fixed.magnitude * phase_error) + fixed.absolute;
    }

    /// With `points` on the circle and Σ|φ| over the nodes that were left out.
    pub fn finish(self, points: f64, dropped: f64) -> Sum {
        let value = 2.0 * self.sum / points;
        Sum { value, error: 2.0 * (EPS * self.rounding + dropped) / points + 2.0 * EPS * value }
    }
}

/// One point of the circle: L(re^{it}) = L(r) − decay + i·angle, and the factor e^{weight·(L(z)−L(r))} with its phase
/// less that of weight·scale.
struct Node {
    t: f64,
    sin_t: f64,
    versine: f64,
    decay: f64,
    angle: f64,
    exponent: f64,
    drift: f64,
}
