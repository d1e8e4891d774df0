//! υ as an exact fraction of integers, without floating point.
//!
//! Independent draws: Σ_j (−1)^{C−j} binom(C, j) jⁿ over Cⁿ for the uniform prior; for counts M_c, the words of
//! length n that use every class, counted class by class, over Mⁿ. Without replacement: \[zⁿ\] ∏ ((1+z)^{M_c} − 1)
//! over binom(M, n). The fraction is not reduced: a gcd would cost more than the rest.

use crate::error::{Error, Result};
use crate::prior::ClassPrior;
use crate::sampling::{NumDraws, Sampling};
use num_bigint::{BigInt, BigUint};
use num_traits::{One, ToPrimitive, Zero};

/// An exact probability: `numerator` / `denominator`, not necessarily in lowest terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExactProbability {
    /// Number of favourable outcomes.
    pub numerator: BigUint,
    /// Number of all outcomes.
    pub denominator: BigUint,
}

/// Machine-word operations above which an exact computation is refused: about a minute of one core.
const MAX_WORD_OPERATIONS: f64 = 5e10;

/// Exact probability υ that `num_draws` draws show every class of `prior`.
///
/// # Errors
/// A prior of real weights (it has no exact fraction); draws that `sampling` cannot make; a computation of more than
/// about a minute, which says what it would cost.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, NumDraws, Sampling, coverage::exact};
/// let p = exact::probability(&ClassPrior::uniform(3)?, Sampling::WithReplacement, NumDraws::new(4)?)?;
/// assert_eq!((p.numerator, p.denominator), (36u32.into(), 81u32.into()));
/// # Ok::<(), theory::Error>(())
/// ```
pub fn probability(prior: &ClassPrior, sampling: Sampling, num_draws: NumDraws) -> Result<ExactProbability> {
    compute(prior, sampling, num_draws, MAX_WORD_OPERATIONS)
}

/// [`probability()`] without a limit of its cost.
///
/// # Errors
/// As for `probability`, but for the limit.
pub fn probability_at_any_cost(
    prior: &ClassPrior,
    sampling: Sampling,
    num_draws: NumDraws,
) -> Result<ExactProbability> {
    compute(prior, sampling, num_draws, f64::INFINITY)
}

fn compute(
    prior: &ClassPrior,
    sampling: Sampling,
    num_draws: NumDraws,
    limit: f64,
) -> Result<ExactProbability> {
    sampling.check(prior, num_draws)?;
    let check_cost = |word_operations: f64| {
        if word_operations <= limit {
            return Ok(());
        }
        Err(Error::argument(format!(
            "the exact value would take about {word_operations:.0e} word operations (limit {limit:.0e})"
        )))
    };
    let (classes, draws) = (prior.num_classes(), num_draws.get());
    let (c, n) = (classes as f64, draws as f64);
    match (sampling, prior.counts()) {
        (Sampling::WithReplacement, _) if prior.is_uniform() => {
            // C powers of n·log₂C bits: schoolbook multiplication of that many words.
            check_cost(c * (n * c.log2() / 64.0).max(1.0).powf(1.6) * 2.0)?;
            Ok(uniform(classes, draws))
        }
        (Sampling::WithReplacement, Some(counts)) => {
            let total = prior.population().unwrap_or(0);
            check_cost(c * n * n * (1.0 + n * (total as f64).log2() / 64.0))?;
            Ok(words(counts, total, draws))
        }
        (Sampling::WithoutReplacement, Some(counts)) => {
            let total = prior.population().unwrap_or(0);
            let largest = counts.iter().copied().max().unwrap_or(0).min(draws);
            let limbs = 1.0 + n * ((total as f64).log2() - n.log2() + 1.5).max(1.0) / 64.0;
            check_cost(c * n * largest as f64 * limbs * limbs.min(4.0))?;
            Ok(subsets(counts, total, draws))
        }
        _ => Err(Error::argument("an exact probability needs a uniform prior or counts, not real weights")),
    }
}

/// Surjections of n draws onto C equally likely classes.
fn uniform(classes: u64, draws: u64) -> ExactProbability {
    let exponent = u32::try_from(draws).unwrap_or(u32::MAX);
    let mut sum = BigInt::zero();
    let mut binomial = BigUint::one();
    for j in 0..=classes {
        let term = BigInt::from(&binomial * BigUint::from(j).pow(exponent));
        if (classes - j).is_multiple_of(2) {
            sum += term
        } else {
            sum -= term
        }
        binomial = binomial * (classes - j) / (j + 1);
    }
    ExactProbability {
        numerator: sum.to_biguint().unwrap_or_default(),
        denominator: BigUint::from(classes).pow(exponent),
    }
}

/// Words of length n over Σ M_c letters that use every class: n! \[zⁿ\] ∏ (e^{M_c z} − 1).
fn words(counts: &[u64], total: u64, draws: u64) -> ExactProbability {
    let n = draws as usize;
    let mut ways = vec![BigUint::zero(); n + 1];
    ways[0] = BigUint::one();
    for &m in counts {
        let powers: Vec<BigUint> =
            std::iter::successors(Some(BigUint::one()), |p| Some(p * m)).take(n + 1).collect();
        // Row `length` of Pascal's triangle, one row at a time: the whole triangle would not fit.
        let mut row = vec![BigUint::one()];
        let mut next = Vec::with_capacity(n + 1);
        for length in 0..=n {
            let words = (1..=length)
                .filter(|&own| !ways[length - own].is_zero())
                .map(|own| &row[own] * &powers[own] * &ways[length - own]);
            next.push(words.sum());
            row.push(BigUint::zero());
            for k in (1..row.len()).rev() {
                let left = row[k - 1].clone();
                row[k] += left;
            }
        }
        ways = next;
    }
    ExactProbability { numerator: ways.swap_remove(n), denominator: BigUint::from(total).pow(draws as u32) }
}

/// Subsets of n of the Σ M_c items that meet every class.
fn subsets(counts: &[u64], total: u64, draws: u64) -> ExactProbability {
    let n = draws as usize;
    let mut ways = vec![BigUint::zero(); n + 1];
    ways[0] = BigUint::one();
    for &m in counts {
        let row = binomial_row(m, n);
        ways = (0..=n)
            .map(|size| {
                (1..=size.min(row.len() - 1))
                    .filter(|&own| !ways[size - own].is_zero())
                    .map(|own| &row[own] * &ways[size - own])
                    .sum()
            })
            .collect();
    }
    ExactProbability { numerator: ways.swap_remove(n), denominator: binomial(total, draws) }
}

/// binom(m, 0), …, binom(m, min(m, limit)).
fn binomial_row(m: u64, limit: usize) -> Vec<BigUint> {
    let mut row = vec![BigUint::one()];
    for k in 1..=m.min(limit as u64) {
        let next = &row[row.len() - 1] * (m - k + 1) / k;
        row.push(next);
    }
    row
}

fn binomial(n: u64, k: u64) -> BigUint {
    (1..=k.min(n - k)).fold(BigUint::one(), |value, i| value * (n - i + 1) / i)
}

impl ExactProbability {
    /// The probability in scientific notation with `digits` significant digits, rounded half up.
    ///
    /// # Examples
    /// ```
    /// let third = theory::coverage::exact::ExactProbability { numerator: 1u32.into(), denominator: 3u32.into() };
    /// assert_eq!(third.to_decimal(5), "3.3333e-1");
    /// ```
    pub fn to_decimal(&self, digits: usize) -> String {
        if self.numerator.is_zero() {
            return "0".into();
        }
        let digits = digits.max(1);
        // 10^(digits−1) ≤ numerator·10^shift/denominator < 10^digits, after at most one correction.
        let bits = self.numerator.bits() as f64 - self.denominator.bits() as f64;
        let mut exponent = (bits * std::f64::consts::LOG10_2).floor() as i64;
        loop {
            let shift = digits as i64 - 1 - exponent;
            let power = BigUint::from(10u32).pow(shift.unsigned_abs() as u32);
            let (top, bottom) = if shift >= 0 {
                (&self.numerator * power, self.denominator.clone())
            } else {
                (self.numerator.clone(), &self.denominator * power)
            };
            let text = ((top * 2u32 + &bottom) / (bottom * 2u32)).to_string();
            match text.len().cmp(&digits) {
                std::cmp::Ordering::Less => exponent -= 1,
                std::cmp::Ordering::Greater => exponent += 1,
                std::cmp::Ordering::Equal => {
                    let point = if digits > 1 { "." } else { "" };
                    return format!("{}{point}{}e{exponent}", &text[..1], &text[1..]);
                }
            }
        }
    }

    /// 1 − p, exactly.
    #[must_use]
    pub fn complement(&self) -> Self {
        Self { numerator: &self.denominator - &self.numerator, denominator: self.denominator.clone() }
    }

    /// ln p, with a relative error of a few ulps also where p is near 1; −∞ for 0.
    pub fn ln(&self) -> f64 {
        if self.numerator.is_zero() {
            return f64::NEG_INFINITY;
        }
        let missing = self.complement();
        if &missing.numerator * 2u32 < self.denominator {
            return (-ratio(&missing.numerator, &missing.denominator)).ln_1p();
        }
        let (top, top_bits) = leading(&self.numerator);
        let (bottom, bottom_bits) = leading(&self.denominator);
        (top / bottom).ln() + (top_bits - bottom_bits) as f64 * std::f64::consts::LN_2
    }

    /// p as the nearest float or its neighbour.
    pub fn value(&self) -> f64 {
        ratio(&self.numerator, &self.denominator)
    }
}

/// x as mantissa · 2^bits with a 64-bit mantissa.
fn leading(x: &BigUint) -> (f64, i64) {
    let shift = x.bits().saturating_sub(64);
    ((x >> shift).to_f64().unwrap_or(f64::MAX), shift as i64)
}

fn ratio(top: &BigUint, bottom: &BigUint) -> f64 {
    if top.is_zero() {
        return 0.0;
    }
    // A quotient of at least 64 bits, then one rounding.
    let shift = 66 - (top.bits() as i64 - bottom.bits() as i64);
    let quotient =
        if shift >= 0 { (top << shift as u64) / bottom } else { top / (bottom << shift.unsigned_abs()) };
    let mantissa = quotient.to_f64().unwrap_or(f64::MAX);
    // In two steps, so that a power below the normal range does not vanish early.
    let half = -shift / 2;
    mantissa * (half as f64).exp2() * ((-shift - half) as f64).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(prior: &ClassPrior, sampling: Sampling, n: u64) -> ExactProbability {
        probability(prior, sampling, NumDraws::new(n).unwrap()).unwrap()
    }

    #[test]
    fn decimals_of_the_published_coverage() {
        // C = 100, n = 128: the value that the authors' notebook gives as 4.5e-4.
        let p = value(&ClassPrior::uniform(100).unwrap(), Sampling::WithReplacement, 128);
        assert_eq!(p.to_decimal(8), "1.5036205e-22");
        assert_eq!(p.complement().to_decimal(3), "1.00e0");
    }

    #[test]
    fn equal_counts_are_the_uniform_prior() {
        let (counts, uniform) =
            (ClassPrior::from_counts(vec![7; 5]).unwrap(), ClassPrior::uniform(5).unwrap());
        assert_eq!(words(&[7; 5], 35, 11).value(), value(&uniform, Sampling::WithReplacement, 11).value());
        assert_eq!(
            value(&counts, Sampling::WithReplacement, 11),
            value(&uniform, Sampling::WithReplacement, 11)
        );
    }

    #[test]
    fn logarithms_near_one_and_near_zero() {
        let p = value(&ClassPrior::uniform(4).unwrap(), Sampling::WithReplacement, 512);
        assert!((p.ln() / -4.299588057062e-64 - 1.0).abs() < 1e-12, "{}", p.ln());
        let p = value(&ClassPrior::uniform(1000).unwrap(), Sampling::WithReplacement, 1024);
        assert!((p.ln() - (5.703_143_192_380_313f64.ln() - 392.0 * std::f64::consts::LN_10)).abs() < 1e-11);
    }

    #[test]
    fn impossible_requests_say_their_cost() {
        let error = probability(
            &ClassPrior::uniform(100_000).unwrap(),
            Sampling::WithReplacement,
            NumDraws::new(10_000_000).unwrap(),
        )
        .unwrap_err();
        assert!(error.to_string().contains("word operations"), "{error}");
    }
}
