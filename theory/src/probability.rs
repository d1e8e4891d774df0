//! `Probability`: a number p in [0, 1] that keeps p and 1−p, each with its own digits, range and error bound.
//!
//! A coverage probability of 1 − 1e-23 is 1 in `f64`, and one of 1e-400 is 0; the bounds of this crate divide by
//! either side, so neither may be lost. Each side is a float times a power of two: the logarithm −921 of 1e-400 in
//! `f64` would leave 13 digits of the value.

use crate::double_double::{Dd, LN_10};
use std::f64::consts::{LN_2, LOG10_2};

/// A probability with both of its tails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probability {
    side: Side,
    complement: Side,
}

/// mantissa · 2^exponent, and a bound of the relative error of the value.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Side {
    /// The value itself with exponent 0, or a number in [1, 2) where the value is below 2⁻⁹⁶⁰.
    mantissa: f64,
    exponent: i64,
    /// Its logarithm, where the mantissas of both sides do not give it.
    ln: Option<f64>,
    relative_error: f64,
}

/// Below this power of two a value is kept with an exponent of its own.
const SMALLEST_PLAIN_POWER: i64 = -960;

/// Rounding of one float operation.
const ULP: f64 = f64::EPSILON;

impl Side {
    const ZERO: Self = Self { mantissa: 0.0, exponent: 0, ln: Some(f64::NEG_INFINITY), relative_error: 0.0 };
    const ONE: Self = Self { mantissa: 1.0, exponent: 0, ln: Some(0.0), relative_error: 0.0 };

    /// (mantissa, exponent) of e^ln.
    fn split(ln: f64) -> (f64, i64) {
        if ln > SMALLEST_PLAIN_POWER as f64 * LN_2 {
            return (ln.exp(), 0);
        }
        normalised(Dd::from(ln).exp_parts())
    }

    #[inline]
    fn value(self) -> f64 {
        if self.exponent == 0 { self.mantissa } else { self.small_value() }
    }

    fn small_value(self) -> f64 {
        // In two steps, so that a subnormal number is rounded once.
        let exponent = self.exponent.max(-1200);
        self.mantissa * ((exponent + 600) as f64).exp2() * (-600f64).exp2()
    }
}

/// A mantissa in [1, 2).
fn normalised((mantissa, exponent): (Dd, i64)) -> (f64, i64) {
    let value = mantissa.value();
    if value < 1.0 { (2.0 * value, exponent - 1) } else { (value, exponent) }
}

impl Probability {
    /// Exactly 0.
    pub const ZERO: Self = Self { side: Side::ZERO, complement: Side::ONE };

    /// Exactly 1.
    pub const ONE: Self = Self { side: Side::ONE, complement: Side::ZERO };

    /// From ln p ≤ 0 and a bound of the relative error of p; 1 − p is derived, so p should not exceed about 1/2.
    pub fn from_ln(ln: f64, relative_error: f64) -> Self {
        if ln == f64::NEG_INFINITY {
            return Self::ZERO;
        }
        let (mantissa, exponent) = Side::split(ln);
        let side = Side { mantissa, exponent, ln: Some(ln), relative_error: relative_error + ULP };
        let (p, q) = (ln.exp(), -ln.exp_m1());
        let complement = Side {
            mantissa: q,
            exponent: 0,
            ln: Some(if p < 0.5 { (-p).ln_1p() } else { q.ln() }.min(0.0)),
            relative_error: if q > 0.0 { relative_error * p / q + 4.0 * ULP } else { f64::INFINITY },
        };
        Self { side, complement }
    }

    /// From ln(1−p) ≤ 0 and a bound of the relative error of 1−p.
    pub fn from_ln_complement(ln_complement: f64, relative_error: f64) -> Self {
        Self::from_ln(ln_complement, relative_error).opposite()
    }

    /// From p = factor · e^exponent with a bound of the relative error; 1 − p is derived.
    pub(crate) fn from_scaled(factor: f64, exponent: Dd, relative_error: f64) -> Self {
        if factor == 0.0 {
            return Self::ZERO;
        }
        let (mantissa, power) = exponent.exp_parts();
        Self::from_parts(mantissa.value() * factor, power, relative_error + 1.5 * ULP)
    }

    /// From p = mantissa · 2^power with a bound of the relative error; 1 − p is derived.
    pub(crate) fn from_parts(mantissa: f64, power: i64, relative_error: f64) -> Self {
        if mantissa == 0.0 {
            return Self::ZERO;
        }
        let shift = (mantissa.to_bits() >> 52) as i64 - 1023;
        if power + shift > SMALLEST_PLAIN_POWER {
            let half = power / 2;
            let p = mantissa * (half as f64).exp2() * ((power - half) as f64).exp2();
            return Self::from_value(p.min(1.0), relative_error);
        }
        let mantissa = mantissa / (shift as f64).exp2();
        let exponent = power + shift;
        let ln = exponent as f64 * LN_2 + mantissa.ln();
        Self { side: Side { mantissa, exponent, ln: Some(ln), relative_error }, complement: Side::ONE }
            .with_complement_error(1e-288) // p itself, which 1 does not show
    }

    /// From a float p and a bound of its relative error; 1 − p is derived, so p should not exceed about 3/4.
    #[inline]
    pub(crate) fn from_value(p: f64, relative_error: f64) -> Self {
        let q = 1.0 - p;
        let error = if q > 0.0 { relative_error * p / q + 0.5 * ULP } else { f64::INFINITY };
        Self::from_values(p, relative_error, q, error)
    }

    /// From both sides, each a normal float (or 0, or 1) with a bound of its relative error.
    #[inline]
    pub(crate) fn from_values(p: f64, relative_error: f64, q: f64, complement_relative_error: f64) -> Self {
        let plain = |mantissa, relative_error| Side { mantissa, exponent: 0, ln: None, relative_error };
        Self { side: plain(p, relative_error), complement: plain(q, complement_relative_error) }
    }

    fn with_complement_error(mut self, relative_error: f64) -> Self {
        self.complement.relative_error = relative_error;
        self
    }

    /// The probability of the opposite event, without loss.
    #[must_use]
    #[inline]
    pub fn opposite(self) -> Self {
        Self { side: self.complement, complement: self.side }
    }

    /// p as a float; 0 below about 1e-323.
    #[inline]
    pub fn value(self) -> f64 {
        self.side.value()
    }

    /// 1 − p as a float.
    #[inline]
    pub fn complement(self) -> f64 {
        self.complement.value()
    }

    /// ln p; −∞ for p = 0. Its rounding, half an ulp of ln p, comes on top of the error bound.
    pub fn ln(self) -> f64 {
        let (own, other) = (self.side.mantissa, self.complement.mantissa);
        self.side.ln.unwrap_or_else(|| if own < 0.5 { own.ln() } else { (-other).ln_1p() })
    }

    /// ln(1−p); −∞ for p = 1.
    pub fn ln_complement(self) -> f64 {
        self.opposite().ln()
    }

    /// (m, d) with p = m·10^d and 1 ≤ m < 10, also far below the range of `f64`; (0, 0) for p = 0.
    ///
    /// m carries two ulps on top of [`relative_error_bound`](Self::relative_error_bound).
    ///
    /// # Examples
    /// ```
    /// use theory::Probability;
    /// let p = Probability::from_ln(-1000.0, 0.0); // e^-1000 = 5.0759588975494567653e-435
    /// let (mantissa, exponent) = p.mantissa_exponent();
    /// assert!(exponent == -435 && (mantissa / 5.075_958_897_549_456_8 - 1.0).abs() < 1e-15);
    /// ```
    pub fn mantissa_exponent(self) -> (f64, i64) {
        let Side { mantissa, exponent, .. } = self.side;
        if mantissa == 0.0 {
            return (0.0, 0);
        }
        // p = m₂ 2^e = m₂ e^{e ln 2 − d ln 10} 10^d.
        let guess = (mantissa.log10() + exponent as f64 * LOG10_2).floor();
        let ln_2 = Dd { hi: LN_2, lo: 2.319_046_813_846_299_6e-17 };
        let scale = (ln_2 * exponent as f64 - LN_10 * guess).exp();
        let m = (scale * mantissa).value();
        let decimal_exponent = guess as i64;
        // The guess is off by one where p is within rounding of a power of ten.
        if m < 1.0 {
            ((scale * mantissa * 10.0).value().max(1.0), decimal_exponent - 1)
        } else if m >= 10.0 {
            ((scale * (mantissa / 10.0)).value().max(1.0), decimal_exponent + 1)
        } else {
            (m, decimal_exponent)
        }
    }

    /// p in decimal or scientific notation with `digits` significant digits, also below the range of `f64`.
    pub fn to_decimal(self, digits: usize) -> String {
        let value = self.value();
        if value == 0.0 && self.side.mantissa == 0.0 {
            return "0".into();
        }
        if value == 1.0 || value > 1e-280 {
            return decimal(value, digits);
        }
        let (mantissa, exponent) = self.mantissa_exponent();
        scientific(mantissa, exponent, digits)
    }

    /// p with as many digits as its error bound supports: the last one is right to within one unit; at most 17.
    ///
    /// # Examples
    /// ```
    /// let p = theory::Probability::from_ln(0.25f64.ln(), 1e-9);
    /// assert_eq!(p.to_decimal_certified(), "0.250000000");
    /// ```
    pub fn to_decimal_certified(self) -> String {
        let (mantissa, _) = self.mantissa_exponent();
        // The bound and the printing's own half unit together stay below one unit of the last digit.
        let error = 2.0 * mantissa * (self.relative_error_bound() + 2.0 * ULP);
        if self.side.relative_error == 0.0 || !error.is_finite() {
            return self.to_decimal(if error.is_finite() { 17 } else { 1 });
        }
        self.to_decimal((1.0 - error.log10()).floor().clamp(1.0, 17.0) as usize)
    }

    /// A bound of |p̂ − p|/p.
    #[inline]
    pub fn relative_error_bound(self) -> f64 {
        self.side.relative_error
    }

    /// A bound of the relative error of 1 − p.
    #[inline]
    pub fn complement_relative_error_bound(self) -> f64 {
        self.complement.relative_error
    }
}

/// ln(1 − e^{−a}) for a > 0.
pub(crate) fn ln_one_minus_exp(a: f64) -> f64 {
    if a > std::f64::consts::LN_2 { (-(-a).exp()).ln_1p() } else { (-(-a).exp_m1()).ln() }
}

/// e^ln in decimal: `0.7838`, or scientific such as `1.5036e-22` outside [1e-4, 1), with `digits` significant digits.
///
/// Works far outside the range of `f64`; `-inf` gives `0`.
///
/// # Examples
/// ```
/// use theory::probability::decimal_from_ln;
/// assert_eq!(decimal_from_ln(-1000.0, 6), "5.07596e-435");
/// assert_eq!(decimal_from_ln(0.5f64.ln(), 3), "0.500");
/// assert_eq!(decimal_from_ln(f64::NEG_INFINITY, 3), "0");
/// ```
pub fn decimal_from_ln(ln: f64, digits: usize) -> String {
    if ln == f64::NEG_INFINITY {
        return "0".into();
    }
    if ln.abs() < 700.0 {
        return decimal(ln.exp(), digits);
    }
    let exponent = (ln / std::f64::consts::LN_10).floor();
    let mantissa = (Dd::from(ln) - LN_10 * exponent).exp().value();
    scientific(mantissa, exponent as i64, digits)
}

/// `1.5036e-400` from a mantissa in [1, 10).
fn scientific(mantissa: f64, exponent: i64, digits: usize) -> String {
    let text = format!("{mantissa:.*}", digits.saturating_sub(1));
    match text.strip_prefix("10") {
        Some(_) => format!("{:.*}e{}", digits.saturating_sub(1), 1.0, exponent + 1),
        None => format!("{text}e{exponent}"),
    }
}

/// A positive float with `digits` significant digits, scientific below 1e-4.
fn decimal(value: f64, digits: usize) -> String {
    if value < 1e-4 {
        return format!("{value:.*e}", digits.saturating_sub(1));
    }
    let magnitude = value.log10().floor() as i64;
    let places = (digits as i64 - 1 - magnitude).max(0) as usize;
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tails_survive() {
        let p = Probability::from_ln_complement(-500.0, 1e-15);
        assert_eq!(p.value(), 1.0);
        assert_eq!(p.ln_complement(), -500.0);
        assert!(p.ln() < 0.0 && (p.ln() / -(-500.0f64).exp() - 1.0).abs() < 1e-12);
        assert_eq!(p.opposite().opposite(), p);
        assert_eq!(Probability::ZERO.opposite(), Probability::ONE);
    }

    #[test]
    fn decimals_of_every_size() {
        // ln 1e-400 in two floats: the value is a power of ten, so that every printed digit is known.
        for (power, expected) in [(-400, "1.0000000000000000e-400"), (-3, "0.0010000000000000000")] {
            let p = Probability::from_scaled(1.0, LN_10 * f64::from(power), 0.0);
            assert_eq!(p.to_decimal(17), expected);
            let (mantissa, exponent) = p.mantissa_exponent();
            let value = mantissa * 10f64.powi((exponent - i64::from(power)) as i32);
            assert!((value - 1.0).abs() < 1e-15, "{mantissa} {exponent}");
        }
        let half = Probability::from_scaled(0.5, Dd::ZERO, 1e-15);
        assert_eq!((half.value(), half.complement(), half.ln()), (0.5, 0.5, 0.5f64.ln()));
        assert_eq!(Probability::from_ln(-1000.0, 1e-4).to_decimal_certified(), "5.08e-435");
        assert_eq!(Probability::ZERO.to_decimal_certified(), "0");
        assert_eq!(Probability::ONE.to_decimal(3), "1.00");
    }
}
