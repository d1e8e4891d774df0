//! Double-double arithmetic: a number as the unevaluated sum hi + lo of two floats, about 32 decimal digits.
//!
//! ln υ = −900 in `f64` is known to 1e-13, so e^{ln υ} is too. The exponents of this crate are therefore added in
//! double-double, and only the last exponential is rounded. Products split their factors (Dekker), so that no fused
//! multiply-add of the processor is needed; relative errors of +, ·, ÷ are below 1e-31, those of e^x and ln x below
//! 1e-30.
//!
//! Source: T. J. Dekker, "A floating-point technique for extending the available precision", 1971.

use std::ops::{Add, Div, Mul, Neg, Sub};
use std::sync::LazyLock;

/// hi + lo with |lo| ≤ ulp(hi)/2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Dd {
    pub hi: f64,
    pub lo: f64,
}

const LN_2: Dd = Dd { hi: std::f64::consts::LN_2, lo: 2.319_046_813_846_299_6e-17 };
pub(crate) const LN_10: Dd = Dd { hi: std::f64::consts::LN_10, lo: -2.170_756_223_382_249_4e-16 };

const SIXTH: Dd = Dd { hi: 1.0 / 6.0, lo: 9.251_858_538_542_97e-18 };
const PER_24: Dd = Dd { hi: 1.0 / 24.0, lo: 2.312_964_634_635_742_7e-18 };
const PER_120: Dd = Dd { hi: 1.0 / 120.0, lo: 1.156_482_317_317_871_4e-19 };

/// Entries of the table of 2^{j/64}.
const TABLE: i64 = 64;
static ROOTS: LazyLock<[Dd; TABLE as usize]> = LazyLock::new(|| {
    std::array::from_fn(|j| {
        let x = LN_2 * (j as f64 / TABLE as f64);
        // e^x = (e^{x/2})², so that the argument stays in the range of the slow series.
        let root = x.scaled(0.5).exp_m1_reduced() + Dd::ONE;
        root * root
    })
});

/// a + b exactly, as the rounded sum and what it lost.
fn two_sum(a: f64, b: f64) -> Dd {
    let hi = a + b;
    let part = hi - a;
    Dd { hi, lo: (a - (hi - part)) + (b - part) }
}

/// a + b exactly where |a| ≥ |b|.
fn quick_sum(a: f64, b: f64) -> Dd {
    let hi = a + b;
    Dd { hi, lo: b - (hi - a) }
}

/// a·b exactly, for |a|, |b| < 1e300 and no underflow.
fn two_product(a: f64, b: f64) -> Dd {
    const SPLIT: f64 = 134_217_729.0; // 2²⁷ + 1
    let halves = |x: f64| {
        let big = SPLIT * x;
        let high = big - (big - x);
        (high, x - high)
    };
    let hi = a * b;
    let ((ah, al), (bh, bl)) = (halves(a), halves(b));
    Dd { hi, lo: ((ah * bh - hi) + ah * bl + al * bh) + al * bl }
}

impl From<f64> for Dd {
    fn from(hi: f64) -> Self {
        Self { hi, lo: 0.0 }
    }
}

impl Add for Dd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let (high, low) = (two_sum(self.hi, other.hi), two_sum(self.lo, other.lo));
        let sum = quick_sum(high.hi, high.lo + low.hi);
        quick_sum(sum.hi, sum.lo + low.lo)
    }
}

impl Neg for Dd {
    type Output = Self;
    fn neg(self) -> Self {
        Self { hi: -self.hi, lo: -self.lo }
    }
}

impl Sub for Dd {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Dd {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let p = two_product(self.hi, other.hi);
        quick_sum(p.hi, p.lo + (self.hi * other.lo + self.lo * other.hi))
    }
}

impl Mul<f64> for Dd {
    type Output = Self;
    fn mul(self, other: f64) -> Self {
        let p = two_product(self.hi, other);
        quick_sum(p.hi, p.lo + self.lo * other)
    }
}

impl Div for Dd {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let first = self.hi / other.hi;
        let rest = self - other * first;
        let second = rest.hi / other.hi;
        let rest = rest - other * second;
        quick_sum(first, second) + Self::from(rest.hi / other.hi)
    }
}

impl Dd {
    pub const ZERO: Self = Self { hi: 0.0, lo: 0.0 };
    pub const ONE: Self = Self { hi: 1.0, lo: 0.0 };

    pub fn value(self) -> f64 {
        self.hi + self.lo
    }

    /// Times a power of two, exactly.
    fn scaled(self, power: f64) -> Self {
        Self { hi: self.hi * power, lo: self.lo * power }
    }

    /// e^x − 1 for |x| < 0.4: Taylor's series at x/2⁹, then nine times (1+s)² − 1 = 2s + s².
    fn exp_m1_reduced(self) -> Self {
        let x = self.scaled(1.0 / 512.0);
        // Beyond x⁵ a float is enough: x⁶/720 is below 1e-18 of x.
        let high = 1.0 / 720.0 + x.hi * (1.0 / 5040.0 + x.hi / 40320.0);
        let series = (((x * high + PER_120) * x + PER_24) * x + SIXTH) * x + Self::from(0.5);
        let mut s = x + x * x * series;
        for _ in 0..9 {
            s = s.scaled(2.0) + s * s;
        }
        s
    }

    /// e^x as a number in [0.9, 2.1] times a power of two; relative error below 1e-30 (1 + |x|).
    pub fn exp_parts(self) -> (Self, i64) {
        let steps = (self.hi * (TABLE as f64 / LN_2.hi)).round();
        let (index, power) = ((steps as i64).rem_euclid(TABLE), (steps as i64).div_euclid(TABLE));
        let s = (self - LN_2.scaled(1.0 / TABLE as f64) * steps).exp_m1_tiny();
        let root = ROOTS[index as usize];
        (root + root * s, power)
    }

    /// e^x − 1 for |x| < 0.006 by Taylor's series: in floats from x⁶ on, whose terms are below 1e-14 of x.
    fn exp_m1_tiny(self) -> Self {
        let x = self.hi;
        let high =
            1.0 / 720.0 + x * (1.0 / 5040.0 + x * (1.0 / 40320.0 + x * (1.0 / 362_880.0 + x / 3_628_800.0)));
        let from_cube = SIXTH.plus_small(PER_24.plus_small(PER_120.plus_small(self * high) * self) * self);
        self + self * self * Self::from(0.5).plus_small(from_cube * self)
    }

    /// self + other where |other| is much smaller.
    fn plus_small(self, other: Self) -> Self {
        let sum = quick_sum(self.hi, other.hi);
        quick_sum(sum.hi, sum.lo + (self.lo + other.lo))
    }

    /// e^x.
    pub fn exp(self) -> Self {
        if self.hi < -745.0 {
            return Self::ZERO;
        }
        let (mantissa, power) = self.exp_parts();
        // In two steps, so that a power below the normal range does not vanish early.
        let half = power / 2;
        mantissa.scaled((half as f64).exp2()).scaled(((power - half) as f64).exp2())
    }

    /// e^x − 1, with its digits also where x is small.
    pub fn exp_m1(self) -> Self {
        if self.hi.abs() < 0.005 { self.exp_m1_tiny() } else { self.exp() - Self::ONE }
    }

    /// ln x for x > 0; absolute error below 1e-30 (1 + |ln x|). One Newton step from the float's logarithm.
    pub fn ln(self) -> Self {
        let start = self.hi.ln();
        let (inverse, power) = Self::from(-start).exp_parts();
        let half = power / 2;
        let scaled = self.scaled((half as f64).exp2()).scaled(((power - half) as f64).exp2());
        let rest = scaled * inverse - Self::ONE;
        Self::from(start) + rest - Self::from(0.5 * rest.hi * rest.hi)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_to_thirty_digits() {
        // e = 2.718281828459045235360287471352662497757…, its second float by hand from the digits.
        let e = Dd::ONE.exp();
        assert_eq!(e.hi, std::f64::consts::E);
        assert!((e.lo - 1.445_646_891_729_250_2e-16).abs() < 1e-30);
        for x in [0.3, 1.0, 7.5, 1e-9, 1e5, 3e-200] {
            let (ln, back) = (Dd::from(x).ln(), Dd::from(x).ln().exp());
            assert!(((back - Dd::from(x)).value() / x).abs() < 2e-29, "{x} {ln:?}");
        }
        // (1/3)·3 = 1 and ln 10 = ln 2 + ln 5.
        let third = Dd::ONE / Dd::from(3.0);
        assert!((third * 3.0 - Dd::ONE).value().abs() < 1e-31);
        assert!((Dd::from(2.0).ln() + Dd::from(5.0).ln() - LN_10).value().abs() < 1e-30);
        // e^x − 1 = x + x²/2 + x³/6 keeps its digits at x = 1e-10.
        let (x, found) = (Dd::from(1e-10), Dd::from(1e-10).exp_m1());
        let expected = x + x * x * 0.5 + x * x * x * (1.0 / 6.0);
        assert!(((found - expected).value() / 1e-10).abs() < 1e-30);
        assert_eq!(Dd::from(-1e4).exp(), Dd::ZERO);
    }
}
