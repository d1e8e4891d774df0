//! `Probability`: a number p in [0, 1] that keeps ln p and ln(1−p), each with an error bound.
//!
//! A coverage probability of 1 − 1e-23 is 1 in `f64`, and one of 1e-400 is 0; the bounds of this crate divide by
//! either side, so neither may be lost.

/// A probability with both of its tails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probability {
    ln: f64,
    ln_complement: f64,
    relative_error: f64,
    complement_relative_error: f64,
}

impl Probability {
    /// Exactly 0.
    pub const ZERO: Self = Self {
        ln: f64::NEG_INFINITY,
        ln_complement: 0.0,
        relative_error: 0.0,
        complement_relative_error: 0.0,
    };

    /// Exactly 1.
    pub const ONE: Self = Self {
        ln: 0.0,
        ln_complement: f64::NEG_INFINITY,
        relative_error: 0.0,
        complement_relative_error: 0.0,
    };

    /// From ln p ≤ 0 and a bound of the relative error of p; 1 − p is derived, so p should not exceed about 1/2.
    pub fn from_ln(ln: f64, relative_error: f64) -> Self {
        if ln == f64::NEG_INFINITY {
            return Self::ZERO;
        }
        let (ln_complement, complement_relative_error) = other_side(ln, relative_error);
        Self { ln, ln_complement, relative_error, complement_relative_error }
    }

    /// From ln(1−p) ≤ 0 and a bound of the relative error of 1−p.
    pub fn from_ln_complement(ln_complement: f64, relative_error: f64) -> Self {
        Self::from_ln(ln_complement, relative_error).opposite()
    }

    /// The probability of the opposite event, without loss.
    #[must_use]
    pub fn opposite(self) -> Self {
        Self {
            ln: self.ln_complement,
            ln_complement: self.ln,
            relative_error: self.complement_relative_error,
            complement_relative_error: self.relative_error,
        }
    }

    /// p as a float; 0 below about 1e-308.
    pub fn value(self) -> f64 {
        if self.ln < -std::f64::consts::LN_2 { self.ln.exp() } else { -self.ln_complement.exp_m1() }
    }

    /// 1 − p as a float.
    pub fn complement(self) -> f64 {
        self.opposite().value()
    }

    /// ln p; −∞ for p = 0.
    pub fn ln(self) -> f64 {
        self.ln
    }

    /// ln(1−p); −∞ for p = 1.
    pub fn ln_complement(self) -> f64 {
        self.ln_complement
    }

    /// p in decimal or scientific notation with `digits` significant digits, also below the range of `f64`.
    pub fn to_decimal(self, digits: usize) -> String {
        let value = self.value();
        if value == 1.0 || value > 1e-300 { decimal(value, digits) } else { decimal_from_ln(self.ln, digits) }
    }

    /// A bound of |p̂ − p|/p, which is one of |ln p̂ − ln p| to first order.
    pub fn relative_error_bound(self) -> f64 {
        self.relative_error
    }

    /// A bound of the relative error of 1 − p.
    pub fn complement_relative_error_bound(self) -> f64 {
        self.complement_relative_error
    }
}

/// ln(1−p) and its relative error from ln p and its own.
fn other_side(ln: f64, relative_error: f64) -> (f64, f64) {
    let p = ln.exp();
    let q = -ln.exp_m1();
    let ln_complement = if p < 0.5 { (-p).ln_1p() } else { q.ln() };
    (
        ln_complement.min(0.0),
        if q > 0.0 { relative_error * p / q + 4.0 * f64::EPSILON } else { f64::INFINITY },
    )
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
    // ln 10 in two parts, so that the product with an exponent of a few digits is exact enough.
    const LN_10_HIGH: f64 = std::f64::consts::LN_10;
    const LN_10_LOW: f64 = -2.170_756_223_382_249_4e-16;
    let mantissa = (exponent.mul_add(-LN_10_HIGH, ln) - exponent * LN_10_LOW).exp();
    let text = format!("{mantissa:.*}", digits.saturating_sub(1));
    match text.strip_prefix("10") {
        Some(_) => format!("{:.*}e{}", digits.saturating_sub(1), 1.0, exponent + 1.0),
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
}
