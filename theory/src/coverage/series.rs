//! Classes that are drawn about once: e^{wL(z)} − 1 = wz·exp(g₁z + g₂z² + …), one power series for all of them.
//!
//! Where a = w L(r) is small, 1 − e^{−wL} turns with z itself, C times in all, and the phase n t cancels against it.
//! Taken as wz times a power series, C of the n draws drop out exactly. Independent draws: ln((e^x − 1)/x) = x/2 + Σ_k
//! B_{2k} x^{2k}/(2k (2k)!), of radius 2π. Without replacement ((1+z)^w − 1)/(wz) = Σ_j binom(w−1, j) z^j/(j+1), whose
//! zeros next to 0 are e^{±2πi/w} − 1.

use super::urn::Base;

/// Terms kept: r is below a sixth of the radius of convergence, so that the rest is below 1e-18 of a class.
const TERMS: usize = 22;

/// B_{2k}/(2k (2k)!), the coefficients of x², x⁴, ….
const BERNOULLI: [f64; 10] = [
    1.0 / 24.0,
    -1.0 / 2880.0,
    1.0 / 181_440.0,
    -1.0 / 9_676_800.0,
    1.0 / 479_001_600.0,
    -691.0 / 2730.0 / 12.0 / 479_001_600.0,
    1.0 / 12.0 / 87_178_291_200.0,
    -3617.0 / 510.0 / 16.0 / 20_922_789_888_000.0,
    43_867.0 / 798.0 / 18.0 / 6_402_373_705_728_000.0,
    -174_611.0 / 330.0 / 20.0 / 2_432_902_008_176_640_000.0,
];

/// Σ m·(series) over the small classes, with z = r e^{it}.
pub(super) struct SmallClasses {
    /// Σ m g_j r^j for j = 1, 2, …; after `finish` Σ_{j>i} of it for i = 0, 1, ….
    coefficients: [f64; TERMS],
    /// Sum of the sizes that rounding scales with, and of multiplicities.
    size: f64,
    classes: f64,
    /// Coefficients from here on are below 1e-18 of the size.
    used: usize,
}

/// ln|·| and arg of the series relative to z = r, with rounding errors in units of ε.
pub(super) struct Part {
    pub ln_ratio: f64,
    pub argument: f64,
    pub error: f64,
    pub argument_error: f64,
}

impl SmallClasses {
    pub fn new() -> Self {
        Self { coefficients: [0.0; TERMS], size: 0.0, classes: 0.0, used: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.classes == 0.0
    }

    /// Whether the series converges fast enough for a class of weight w at the radius r.
    pub fn accepts(&self, base: Base, w: f64, radius: f64) -> bool {
        match base {
            Base::Poisson => w * radius <= 1.0,
            Base::Binomial { .. } if w == 1.0 => true,
            Base::Binomial { .. } => radius <= 2.0 * (std::f64::consts::PI / w).sin() / 6.3,
        }
    }

    /// Adds `m` classes of weight `w`.
    pub fn push(&mut self, base: Base, w: f64, m: f64, radius: f64) {
        self.classes += m;
        match base {
            Base::Poisson => {
                let a = w * radius;
                self.coefficients[0] += m * 0.5 * a;
                let mut power = m;
                for (k, b) in BERNOULLI.iter().enumerate() {
                    power *= a * a;
                    self.coefficients[2 * k + 1] += b * power;
                }
            }
            Base::Binomial { .. } if w == 1.0 => {}
            Base::Binomial { .. } => {
                // ln of 1 + Σ f_j: j g_j = j f_j − Σ_{i<j} i g_i f_{j−i}.
                let (mut f, mut g) = ([0.0; TERMS + 1], [0.0; TERMS + 1]);
                let mut choose = 1.0;
                for j in 1..=TERMS {
                    choose *= radius * (w - j as f64) / j as f64;
                    f[j] = choose / (j + 1) as f64;
                    let known: f64 = (1..j).map(|i| i as f64 * g[i] * f[j - i]).sum();
                    g[j] = f[j] - known / j as f64;
                    self.coefficients[j - 1] += m * g[j];
                }
            }
        }
    }

    /// Turns the coefficients into tail sums: Σ_j s_j (q^j − 1) = (q − 1) Σ_i q^i Σ_{j>i} s_j.
    pub fn finish(&mut self) {
        if self.is_empty() {
            return;
        }
        let mut tail = 0.0;
        for s in self.coefficients.iter_mut().rev() {
            tail += *s;
            *s = tail;
        }
        self.size = self.coefficients.iter().enumerate().map(|(i, s)| (i + 3) as f64 * s.abs()).sum();
        self.used = self.coefficients.iter().rposition(|s| s.abs() > 1e-19 * self.size).map_or(0, |i| i + 1);
    }

    /// The series at angle t relative to t = 0; `versine` = 1 − cos t.
    pub fn at(&self, versine: f64, sine: f64) -> Part {
        let cosine = 1.0 - versine;
        let (mut re, mut im) = (0.0, 0.0);
        for &s in self.coefficients[..self.used].iter().rev() {
            (re, im) = (re * cosine - im * sine + s, re * sine + im * cosine);
        }
        let turn = sine.abs() + versine;
        let truncated = 0.02 * self.classes * turn.min(1.0);
        Part {
            ln_ratio: -versine * re - sine * im,
            argument: sine * re - versine * im,
            error: 3.0 * self.size * (versine + sine * sine) + truncated,
            argument_error: 3.0 * self.size * turn + truncated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (e^{wL(z)} − 1)/(wz) directly, at points where nothing cancels.
    fn direct(base: Base, w: f64, radius: f64, t: f64) -> (f64, f64) {
        let (x, y) = (radius * t.cos(), radius * t.sin());
        let (growth, angle) = match base {
            Base::Poisson => (w * x, w * y),
            Base::Binomial { .. } => (w * (1.0 + x).hypot(y).ln(), w * y.atan2(1.0 + x)),
        };
        let (re, im) = (growth.exp() * angle.cos() - 1.0, growth.exp() * angle.sin());
        ((re.hypot(im) / (w * radius)).ln(), im.atan2(re) - t)
    }

    #[test]
    fn series_is_the_function() {
        let binomial = Base::Binomial { population: 1e3 };
        for (base, w, radius) in [
            (Base::Poisson, 0.5, 2.0),
            (Base::Poisson, 0.25, 1.0),
            (binomial, 2.0, 0.3),
            (binomial, 40.0, 0.02),
        ] {
            let mut small = SmallClasses::new();
            assert!(small.accepts(base, w, radius));
            small.push(base, w, 3.0, radius);
            small.finish();
            for t in [0.4f64, 1.3, 2.9] {
                let versine = 2.0 * (0.5 * t).sin().powi(2);
                let part = small.at(versine, t.sin());
                let (here, there) = (direct(base, w, radius, 0.0), direct(base, w, radius, t));
                let context = format!("{base:?} {w} {radius} {t}");
                assert!((part.ln_ratio - 3.0 * (there.0 - here.0)).abs() < 1e-14, "{context}");
                assert!((part.argument - 3.0 * there.1).abs() < 1e-14, "{context}");
            }
        }
    }
}
