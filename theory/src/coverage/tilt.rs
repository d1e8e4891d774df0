//! The tilted law of the number of draws: its mean, variance and saddle point, and Chernoff bounds of its tails.
//!
//! Lower: N has probability generating function F(rz)/F(r), F = e^{w₀L} ∏ (e^{w_c L} − 1): one zero-truncated Poisson
//! or binomial count per class that is required, and an ordinary one for the weight w₀ of the classes that are not.
//! Upper: H(rz)/H(r), H = e^{WL} (1 − ∏ (1 − e^{−w_c L})).

use super::urn::{Base, Urn};
use crate::probability::ln_one_minus_exp;

/// Which of the two probabilities a contour sum gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Side {
    /// υ, by F.
    Lower,
    /// 1 − υ, by H.
    Upper,
}

/// The law tilted to the radius r.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tilt {
    /// r itself.
    pub radius: f64,
    /// r (Poisson) or θ = r/(1+r) (binomial): the derivative of L with respect to ln r.
    pub scale: f64,
    /// 1 − θ, or 1 for Poisson.
    pub q: f64,
    /// L(r).
    pub ell: f64,
}

impl Tilt {
    pub fn new(base: Base, radius: f64) -> Self {
        match base {
            Base::Poisson => Self { radius, scale: radius, q: 1.0, ell: radius },
            Base::Binomial { .. } => {
                let q = 1.0 / (1.0 + radius);
                Self { radius, scale: radius * q, q, ell: radius.ln_1p() }
            }
        }
    }
}

/// Mean and variance of N, both up to rounding: they steer the sum and never enter its value.
pub(super) fn moments(urn: &Urn, side: Side, tilt: &Tilt) -> (f64, f64) {
    let Tilt { scale, q, ell, .. } = *tilt;
    match side {
        Side::Lower => {
            let (mut mean, mut variance) = (urn.free * scale, urn.free * scale * q);
            for group in urn.required {
                let (w, m) = (group.weight.hi, group.multiplicity);
                let spread = if q == 1.0 { w * scale } else { (w - 1.0) * scale };
                if w * ell < 1e-4 {
                    mean += m * (1.0 + 0.5 * spread);
                    variance += m * 0.5 * spread;
                } else {
                    let own = w * scale / -(-w * ell).exp_m1();
                    mean += m * own;
                    variance += m * own * (spread - (own - 1.0)).max(0.0);
                }
            }
            (mean, variance)
        }
        Side::Upper => {
            // With Λ = Σ ln(1−e^{−wL}) and o = e^Λ/(1−e^Λ): ln H = WL + ln(1−e^Λ), of which −oΛ' is the derivative in
            // L.
            let (mut product, mut first, mut second) = (0.0, 0.0, 0.0);
            for group in urn.required {
                let (w, m) = (group.weight.hi, group.multiplicity);
                let missing = (-w * ell).exp();
                let odds = missing / -(-w * ell).exp_m1();
                product += m * (-missing).ln_1p();
                first += m * w * odds;
                second -= m * w * w * odds * (1.0 + odds);
            }
            let odds = 1.0 / (-product).exp_m1();
            let slope = urn.total.hi - odds * first;
            let curvature = -second * odds - first * first * odds * (1.0 + odds);
            (scale * slope, (scale * q * slope + scale * scale * curvature).max(0.0))
        }
    }
}

/// ln Π = Σ m ln(1 − e^{−a}).
pub(super) fn ln_product(urn: &Urn, tilt: &Tilt) -> f64 {
    urn.required.iter().map(|g| g.multiplicity * ln_one_minus_exp(g.weight.hi * tilt.ell)).sum()
}

/// ln F(r) or ln H(r).
fn ln_generating(urn: &Urn, side: Side, tilt: &Tilt) -> f64 {
    let product = ln_product(urn, tilt);
    let tail = if side == Side::Lower { product } else { ln_one_minus_exp(-product) };
    urn.total.hi * tilt.ell + tail
}

/// r at which N has mean n to within 2 % of its standard deviation, and that deviation: safeguarded Newton in ln r.
pub(super) fn saddle(urn: &Urn, side: Side) -> (Tilt, f64) {
    let n = urn.draws;
    let weight: f64 = urn.required.iter().map(|g| g.weight.hi * g.multiplicity).sum::<f64>() + urn.free;
    let per_class = n / urn.num_required;
    // Equal classes: ν = x/(1−e^{−x}) with x = wr; unequal ones start there, too.
    let x = if per_class < 3.0 {
        -3.0 + (9.0 + 12.0 * (per_class - 1.0)).sqrt()
    } else {
        per_class * (1.0 - (-per_class * (1.0 - (-per_class).exp())).exp())
    };
    let share = if side == Side::Lower && urn.free == 0.0 { x / per_class } else { 1.0 };
    let start = match (urn.base, side) {
        (Base::Poisson, Side::Lower) => share * n / weight,
        (Base::Poisson, Side::Upper) => n / (weight - urn.lightest()),
        (Base::Binomial { .. }, Side::Lower) => share * n / (weight - share * n),
        (Base::Binomial { .. }, Side::Upper) => n / (weight - urn.lightest() - n),
    };
    let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
    let mut s = if start > 0.0 && start.is_finite() { start.ln() } else { 0.0 };
    loop {
        let tilt = Tilt::new(urn.base, s.exp());
        let (mean, variance) = moments(urn, side, &tilt);
        let excess = mean - n;
        if excess.abs() <= 0.02 * variance.sqrt() || high - low < 1e-12 * (1.0 + s.abs()) || s.abs() > 700.0 {
            return (tilt, variance);
        }
        if excess > 0.0 {
            high = s;
        } else {
            low = s;
        }
        let step = (-excess / variance).clamp(-2.0, 2.0);
        let newton = if step.is_nan() { s - 2.0 * excess.signum() } else { s + step };
        s = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
    }
}

/// What Chernoff's bound of P_r(N ≥ n+M) + P_r(N ≤ n−M) needs at one radius, for every n near the mean.
pub(super) struct Tails {
    side: Side,
    /// ln F(r).
    here: f64,
    /// (η, ln F(r e^η)) of the upper and of the lower tail.
    above: (f64, f64),
    below: (f64, f64),
}

impl Tails {
    pub fn new(urn: &Urn, side: Side, tilt: &Tilt, variance: f64, points: f64) -> Self {
        let moved = |eta: f64| {
            let moved = Tilt::new(urn.base, tilt.radius * eta.exp());
            (eta, ln_generating(urn, side, &moved))
        };
        let spread = variance.max(1e-3);
        let down = if points < spread { (-points / spread).ln_1p().max(-3.0) } else { -3.0 };
        let here = ln_generating(urn, side, tilt);
        Self { side, here, above: moved((points / spread).ln_1p()), below: moved(down) }
    }

    /// The bound at n = `urn.draws` with M = `points`.
    pub fn bound(&self, urn: &Urn, points: f64) -> f64 {
        let tail = |(eta, moved): (f64, f64), target: f64| {
            let exponent = moved - self.here - target * eta;
            // Rounding of the two large logarithms, kept on the safe side.
            (exponent + 4.0 * f64::EPSILON * (self.here.abs() + (target * eta).abs())).exp()
        };
        let smallest = if self.side == Side::Lower { urn.num_required } else { 0.0 };
        let largest = if urn.base == Base::Poisson { f64::INFINITY } else { urn.total.hi };
        let (above, below) = (urn.draws + points, urn.draws - points);
        let upper = if above > largest { 0.0 } else { tail(self.above, above) };
        let lower = if below < smallest { 0.0 } else { tail(self.below, below) };
        upper + lower
    }
}
