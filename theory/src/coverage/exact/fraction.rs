//! An exact probability as a fraction of integers: decimals, lowest terms, logarithm.
//!
//! Few digits of a huge fraction come from its leading bits: truncation encloses the fraction in an interval, and the
//! decimal is certain once both ends round to it; otherwise the precision doubles, up to all bits. Lowest terms need
//! no gcd where the primes of the denominator are known: the smaller of the two valuations of every prime is divided
//! out.

use super::moduli::primes;
use num_bigint::{BigInt, BigUint};
use num_rational::BigRational;
use num_traits::{One, ToPrimitive, Zero};
use std::cmp::Ordering;

/// An exact probability: `numerator` / `denominator`, not necessarily in lowest terms.
///
/// Two of them are equal where numerators and denominators are: 1/2 and 2/4 differ.
#[derive(Debug, Clone)]
pub struct ExactProbability {
    /// Number of favourable outcomes.
    pub numerator: BigUint,
    /// Number of all outcomes.
    pub denominator: BigUint,
    factors: Factors,
}

/// What is known of the prime factors of a denominator.
#[derive(Debug, Clone, Copy)]
pub(super) enum Factors {
    Unknown,
    /// Only primes of this integer.
    Of(u64),
    /// Only primes up to this integer.
    UpTo(u64),
}

/// Primes that a search by trial division reaches.
const MAX_PRIME: u64 = 1 << 20;

impl PartialEq for ExactProbability {
    fn eq(&self, other: &Self) -> bool {
        (&self.numerator, &self.denominator) == (&other.numerator, &other.denominator)
    }
}

impl Eq for ExactProbability {}

impl ExactProbability {
    /// `numerator` / `denominator`; the caller answers for 0 ≤ numerator ≤ denominator ≠ 0.
    pub fn new(numerator: BigUint, denominator: BigUint) -> Self {
        Self { numerator, denominator, factors: Factors::Unknown }
    }

    pub(super) fn with_factors(numerator: BigUint, denominator: BigUint, factors: Factors) -> Self {
        Self { numerator, denominator, factors }
    }

    /// The probability in scientific notation with `digits` significant digits, rounded half up.
    ///
    /// # Examples
    /// ```
    /// use theory::coverage::exact::ExactProbability;
    /// assert_eq!(ExactProbability::new(1u32.into(), 3u32.into()).to_decimal(5), "3.3333e-1");
    /// assert_eq!(ExactProbability::new(1u32.into(), 8u32.into()).to_decimal(2), "1.3e-1");
    /// ```
    pub fn to_decimal(&self, digits: usize) -> String {
        if self.numerator.is_zero() {
            return "0".into();
        }
        let digits = digits.max(1);
        let mut precision = (digits as f64 * std::f64::consts::LOG2_10) as u64 + 64;
        loop {
            let (top, bottom) =
                (Leading::new(&self.numerator, precision), Leading::new(&self.denominator, precision));
            let shift = top.shift - bottom.shift;
            let low = decimal(&top.bits, &bottom.above(), shift, digits);
            if top.is_all && bottom.is_all || low == decimal(&top.above(), &bottom.bits, shift, digits) {
                return low;
            }
            precision *= 2;
        }
    }

    /// 1 − p, exactly.
    #[must_use]
    pub fn complement(&self) -> Self {
        self.clone().with_numerator(&self.denominator - &self.numerator)
    }

    pub(super) fn with_numerator(self, numerator: BigUint) -> Self {
        Self { numerator, ..self }
    }

    /// The same probability in lowest terms, by valuations where the primes of the denominator are known, as they are
    /// for draws with replacement and for populations up to 2²⁰ items; by a greatest common divisor otherwise.
    ///
    /// # Examples
    /// ```
    /// use theory::{ClassPrior, NumDraws, Sampling, coverage::exact};
    /// let p = exact::probability(&ClassPrior::uniform(3)?, Sampling::WithReplacement, NumDraws::new(4)?)?.reduced();
    /// assert_eq!((p.numerator, p.denominator), (4u32.into(), 9u32.into()));
    /// # Ok::<(), theory::Error>(())
    /// ```
    #[must_use]
    pub fn reduced(&self) -> Self {
        let (mut top, mut bottom) = (self.numerator.clone(), self.denominator.clone());
        if top.is_zero() {
            return Self { numerator: top, denominator: One::one(), factors: self.factors };
        }
        let (primes, rest) = match self.factors {
            Factors::Of(base) => split(base),
            Factors::UpTo(limit) if limit <= MAX_PRIME => (primes(limit), 1),
            _ => (Vec::new(), 0),
        };
        for p in primes {
            strip(&mut top, &mut bottom, p);
        }
        // A rest with large primes divides no factorial; where it does meet the numerator, the gcd decides.
        let is_reduced = rest == 1 || rest > 1 && gcd((&top % rest).to_u64().unwrap_or(0), rest) == 1;
        if !is_reduced {
            let (reduced_top, reduced_bottom) = BigRational::new(top.into(), bottom.into()).into_raw();
            (top, bottom) = (reduced_top.into_parts().1, reduced_bottom.into_parts().1);
        }
        Self { numerator: top, denominator: bottom, factors: self.factors }
    }

    /// The probability as a rational number in lowest terms.
    pub fn to_rational(&self) -> BigRational {
        let reduced = self.reduced();
        BigRational::new_raw(BigInt::from(reduced.numerator), BigInt::from(reduced.denominator))
    }

    /// ln p, with a relative error of a few ulps also where p is near 1; −∞ for 0.
    pub fn ln(&self) -> f64 {
        if self.numerator.is_zero() {
            return f64::NEG_INFINITY;
        }
        let missing = self.complement();
        if &missing.numerator * 2u32 < self.denominator {
            // Not −0 for p = 1.
            return (-missing.value()).ln_1p() + 0.0;
        }
        let (top, bottom) = (Leading::new(&self.numerator, 64), Leading::new(&self.denominator, 64));
        let ratio = top.bits.to_f64().unwrap_or(f64::MAX) / bottom.bits.to_f64().unwrap_or(f64::MAX);
        ratio.ln() + (top.shift - bottom.shift) as f64 * std::f64::consts::LN_2
    }

    /// p as the nearest float or its neighbour.
    pub fn value(&self) -> f64 {
        if self.numerator.is_zero() {
            return 0.0;
        }
        // A quotient of at least 64 bits from leading 192, then one rounding.
        let (top, bottom) = (Leading::new(&self.numerator, 192), Leading::new(&self.denominator, 192));
        let extra = (66 - (top.bits.bits() as i64 - bottom.bits.bits() as i64)).max(0);
        let quotient = ((top.bits << extra as u64) / bottom.bits).to_f64().unwrap_or(f64::MAX);
        let exponent = top.shift - bottom.shift - extra;
        // In two steps, so that a power below the normal range does not vanish early.
        let half = exponent / 2;
        quotient * (half as f64).exp2() * ((exponent - half) as f64).exp2()
    }
}

/// The leading bits of an integer x: bits·2^shift ≤ x < (bits + 1)·2^shift, or x itself.
struct Leading {
    bits: BigUint,
    shift: i64,
    is_all: bool,
}

impl Leading {
    fn new(x: &BigUint, precision: u64) -> Self {
        let shift = x.bits().saturating_sub(precision);
        Self { bits: x >> shift, shift: shift as i64, is_all: shift == 0 }
    }

    /// An upper bound of x·2^−shift.
    fn above(&self) -> BigUint {
        if self.is_all { self.bits.clone() } else { &self.bits + 1u32 }
    }
}

/// top/bottom·2^shift in scientific notation, rounded half up.
fn decimal(top: &BigUint, bottom: &BigUint, shift: i64, digits: usize) -> String {
    // 10^(digits−1) ≤ p·10^scale < 10^digits, after at most one correction.
    let bits = top.bits() as f64 - bottom.bits() as f64 + shift as f64;
    let mut exponent = (bits * std::f64::consts::LOG10_2).floor() as i64;
    loop {
        let scale = digits as i64 - 1 - exponent;
        let power = super::multiply::power(10, scale.unsigned_abs());
        let (top, bottom) =
            if scale >= 0 { (top * power, bottom.clone()) } else { (top.clone(), bottom * power) };
        let (top, bottom) =
            if shift >= 0 { (top << shift as u64, bottom) } else { (top, bottom << shift.unsigned_abs()) };
        // The digits cut off first: rounded, 0.9 at an exponent one too high would look like a 1.
        let mut whole = &top / &bottom;
        let rest = top - &whole * &bottom;
        match whole.to_string().len().cmp(&digits) {
            Ordering::Less => exponent -= 1,
            Ordering::Greater => exponent += 1,
            Ordering::Equal if whole.is_zero() => exponent -= 1,
            Ordering::Equal => {
                if rest << 1u32 >= bottom {
                    whole += 1u32;
                }
                let text = whole.to_string();
                // 9.99… becomes 10.0…
                exponent += (text.len() - digits) as i64;
                let point = if digits > 1 { "." } else { "" };
                return format!("{}{point}{}e{exponent}", &text[..1], &text[1..digits]);
            }
        }
    }
}

/// Divides both by the largest power of p that divides both.
fn strip(top: &mut BigUint, bottom: &mut BigUint, p: u64) {
    if p == 2 {
        let common = top.trailing_zeros().unwrap_or(0).min(bottom.trailing_zeros().unwrap_or(0));
        *top >>= common;
        *bottom >>= common;
        return;
    }
    // The largest power of p in a word first, then p itself.
    let steps = std::iter::successors(Some(p), |power| power.checked_mul(p)).count() as u32;
    for divisor in [p.pow(steps), p] {
        while (&*top % divisor).is_zero() && (&*bottom % divisor).is_zero() {
            *top /= divisor;
            *bottom /= divisor;
        }
    }
}

/// The primes up to 2²⁰ of an integer, and what they leave.
fn split(mut base: u64) -> (Vec<u64>, u64) {
    let mut found = Vec::new();
    let mut p = 2;
    while p < MAX_PRIME && base > 1 {
        if base.is_multiple_of(p) {
            found.push(p);
            while base.is_multiple_of(p) {
                base /= p;
            }
        }
        p += 1;
    }
    (found, base)
}

pub(super) fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
