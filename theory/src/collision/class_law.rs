//! The law of Col given the class, by the ratio of neighbouring probabilities.
//!
//! A window of a wide law holds every h-th m only, which a smooth function does not notice (`for_each`).
//!
//! A product of ratios drifts: after 10⁷ of them a weight may be off by 1e-12. Every [`BLOCK`] steps it is therefore
//! taken anew from the logarithms of factorials, in double-double.

use crate::coverage::ln_factorial;
use crate::double_double::Dd;
use crate::prior::{ClassPrior, Group};
use crate::sampling::{NumNegatives, Sampling};

/// Steps from one logarithm to the next.
const BLOCK: u64 = 256;
/// Standard deviation of Col up to which a window holds every m.
const DENSE: f64 = 150.0;
/// What is left out of a window, relative to the likeliest m.
const NEGLIGIBLE: f64 = 1e-25;

/// The law of Col given the class.
pub(super) struct ClassLaw {
    lowest: u64,
    highest: u64,
    mode: u64,
    kind: Kind,
}

enum Kind {
    /// Binomial(K, p): P(m+1)/P(m) = (K−m)/(m+1) · p/(1−p).
    Binomial { draws: u64, odds: Dd },
    /// `same` marked of `others` items, `draws` drawn: (same−m)(draws−m) / ((m+1)(others−same−draws+m+1)).
    Hypergeometric { draws: u64, same: u64, others: u64 },
}

impl ClassLaw {
    pub fn new(prior: &ClassPrior, group: &Group, sampling: Sampling, num_negatives: NumNegatives) -> Self {
        let k = num_negatives.get();
        match (sampling, prior.population(), group.count) {
            (Sampling::WithoutReplacement, Some(total), Some(own)) => {
                let (others, same) = (total - 1, own - 1);
                let lowest = k.saturating_sub(others - same);
                let highest = same.min(k);
                let mode = ((k + 1) as f64 * (same + 1) as f64 / (others + 2) as f64) as u64;
                let kind = Kind::Hypergeometric { draws: k, same, others };
                Self { lowest, highest, mode: mode.clamp(lowest, highest), kind }
            }
            _ if group.others == 0.0 => {
                Self { lowest: k, highest: k, mode: k, kind: Kind::Binomial { draws: k, odds: Dd::ONE } }
            }
            _ => {
                let mode = (((k + 1) as f64 * group.probability) as u64).min(k);
                let others =
                    if group.probability > 0.999 { Dd::from(group.others) } else { Dd::ONE - group.precise };
                let kind = Kind::Binomial { draws: k, odds: group.precise / others };
                Self { lowest: 0, highest: k, mode, kind }
            }
        }
    }

    /// P(m+1)/P(m).
    fn ratio(&self, m: u64) -> f64 {
        match self.kind {
            Kind::Binomial { draws, odds } => (draws - m) as f64 / (m + 1) as f64 * odds.hi,
            Kind::Hypergeometric { draws, same, others } => {
                let rest = (others + m + 1) - same - draws;
                ((same - m) as f64 / (m + 1) as f64) * ((draws - m) as f64 / rest as f64)
            }
        }
    }

    /// ln P(m) up to a constant.
    fn ln(&self, m: u64) -> Dd {
        let ln_factorial = |n: u64| ln_factorial(n as f64).0;
        match self.kind {
            Kind::Binomial { draws, odds } => {
                odds.ln() * m as f64 - ln_factorial(m) - ln_factorial(draws - m)
            }
            Kind::Hypergeometric { draws, same, others } => {
                let rest = (others + m) - same - draws;
                -ln_factorial(m) - ln_factorial(same - m) - ln_factorial(draws - m) - ln_factorial(rest)
            }
        }
    }

    /// P(m)/P(mode) = mantissa · 2^exponent for m above the mode, then for m below it, each outwards, as long as `visit`
    /// wants the next.
    fn outwards(&self, mut visit: impl FnMut(u64, f64, i64) -> bool) {
        // Made only where it is needed.
        let mut ln_of_mode = None;
        for rising in [true, false] {
            let (mut mantissa, mut exponent) = (1.0f64, 0i64);
            let steps = if rising { self.highest - self.mode } else { self.mode - self.lowest };
            for step in 1..=steps {
                let m = if rising { self.mode + step } else { self.mode - step };
                // Before the step, which may take it down by the smallest weight of a class.
                if mantissa < 1.0 {
                    (mantissa, exponent) = (mantissa * 512f64.exp2(), exponent - 512);
                }
                if step % BLOCK == 0 {
                    let from = *ln_of_mode.get_or_insert_with(|| self.ln(self.mode));
                    let (value, power) = (self.ln(m) - from).exp_parts();
                    (mantissa, exponent) = (value.value(), power);
                } else if rising {
                    mantissa *= self.ratio(m - 1);
                } else {
                    mantissa /= self.ratio(m);
                }
                if !visit(m, mantissa, exponent) {
                    break;
                }
            }
        }
    }

    /// Standard deviation of Col.
    fn deviation(&self) -> f64 {
        let variance = match self.kind {
            Kind::Binomial { draws, odds } => draws as f64 * odds.hi / (1.0 + odds.hi).powi(2),
            Kind::Hypergeometric { draws, same, others } => {
                let share = same as f64 / others as f64;
                draws as f64
                    * share
                    * (1.0 - share)
                    * ((others - draws) as f64 / (others as f64 - 1.0).max(1.0))
            }
        };
        variance.sqrt()
    }

    /// Calls `visit(m, w)` over the window that matters, in order, so that Σ w g(m) = E g(Col) for a function g as smooth
    /// as ln(1+m); the weights add up to 1.
    ///
    /// Up to a deviation σ of [`DENSE`] w is P(m). Above it every h-th m stands for its neighbours, h = σ/1.6: Poisson's
    /// summation leaves E g(Col) e^{2πi k Col/h}, k = 1, 2, …. As Col, binomial or hypergeometric, is a sum of
    /// independent trials, |E e^{iθ Col}| ≤ e^{−σ² (1 − cos θ)}, some e^{−50} at θ = 2π/h; and ln(1+m) = ∫ e^{−s} (1 −
    /// e^{−sm})/s ds, where e^{−sm} turns Col into another such sum.
    pub fn for_each(&self, mut visit: impl FnMut(u64, f64)) {
        let deviation = self.deviation();
        let stride = if deviation < DENSE { 1 } else { (deviation / 1.6) as u64 };
        let (mut above, mut below) = (vec![1.0], Vec::new());
        if stride == 1 {
            self.outwards(|m, mantissa, exponent| {
                let weight = value(mantissa, exponent);
                if weight >= NEGLIGIBLE {
                    if m > self.mode { above.push(weight) } else { below.push(weight) }
                }
                weight >= NEGLIGIBLE
            });
        } else {
            let from = self.ln(self.mode);
            let weight = |m: u64| Some((self.ln(m) - from).exp().value()).filter(|&w| w >= NEGLIGIBLE);
            let up = (1..).map_while(|j| Some(self.mode + j * stride).filter(|&m| m <= self.highest));
            above.extend(up.map_while(weight));
            let down = (1..).map_while(|j| self.mode.checked_sub(j * stride).filter(|&m| m >= self.lowest));
            below.extend(down.map_while(weight));
        }
        // Smallest first on both sides.
        let mut total = Sum::default();
        below.iter().rev().chain(above.iter().rev()).for_each(|&w| total.add(w));
        let total = total.value();
        for (i, w) in below.iter().enumerate().rev() {
            visit(self.mode - (1 + i as u64) * stride, w / total);
        }
        for (i, w) in above.iter().enumerate() {
            visit(self.mode + i as u64 * stride, w / total);
        }
    }

    /// Calls `visit(m, mantissa, exponent)` with P(m) = mantissa · 2^exponent for every possible m, in any order.
    pub fn for_all(&self, mut visit: impl FnMut(u64, f64, i64)) {
        let mut total = Sum::default();
        self.outwards(|_, mantissa, exponent| {
            let weight = value(mantissa, exponent);
            total.add(weight);
            weight >= NEGLIGIBLE
        });
        total.add(1.0);
        let scale = 1.0 / total.value();
        visit(self.mode, scale, 0);
        self.outwards(|m, mantissa, exponent| {
            visit(m, mantissa * scale, exponent);
            true
        });
    }
}

/// mantissa · 2^exponent, 0 far below the range of `f64`.
fn value(mantissa: f64, exponent: i64) -> f64 {
    if exponent == 0 { mantissa } else { mantissa * (exponent.max(-1022) as f64).exp2() }
}

/// The sum of two numbers mantissa · 2^exponent, at the larger exponent.
pub(super) fn add(x: (f64, i64), y: (f64, i64)) -> (f64, i64) {
    if x.0 == 0.0 {
        return y;
    }
    let (large, small) = if x.1 < y.1 { (y, x) } else { (x, y) };
    let difference = (small.1 - large.1).max(-1074);
    (large.0 + small.0 * (difference as f64).exp2(), large.1)
}

/// A sum of numbers that does not round more with more of them (Neumaier).
#[derive(Default)]
pub(super) struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    pub fn add(&mut self, x: f64) {
        let sum = self.sum + x;
        self.lost += if self.sum.abs() >= x.abs() { (self.sum - sum) + x } else { (x - sum) + self.sum };
        self.sum = sum;
    }

    pub fn value(&self) -> f64 {
        self.sum + self.lost
    }
}
