//! Estimates with confidence intervals: a proportion (Clopper–Pearson) and a mean (Student).
//!
//! Clopper–Pearson: of x successes in S samples, the interval holds every p with P(Bin(S, p) ≥ x) ≥ α/2 and
//! P(Bin(S, p) ≤ x) ≥ α/2, α = 1 − level. It covers p at least as often as it says, whatever p and S, also where no
//! sample or every sample succeeded; the price is a coverage above nominal where S p (1−p) is small. Both tails are
//! sums of positive terms from x outwards, and p is found by bisection. The sums have some 10 √(S p̂ (1−p̂)) terms;
//! where S p̂ (1−p̂) > 10⁷ the ends, which are quantiles of Beta(x, S−x+1) and Beta(x+1, S−x), come from the first four
//! cumulants (Cornish & Fisher).
//!
//! Student: mean ± t · s/√S with S − 1 degrees of freedom; exact for normal terms, and good where no single sample
//! dominates. Samples that hardly scatter have said little about what they have not shown: where the range of one
//! sample is known, the interval counts squared deviations that were not seen, as if by one sample more, and ends with
//! the range.
//!
//! Sources: Clopper & Pearson, Biometrika 26 (1934); Cornish & Fisher 1938 and Abramowitz & Stegun 26.2.49; 26.7.5 for
//! Student's quantile at many degrees of freedom.

use super::plan::MAX_SAMPLES;
use super::point;
use crate::error::{Error, Result};
use statrs::distribution::{ContinuousCDF, Normal};
use statrs::function::beta::beta_reg;

/// S p̂ (1−p̂) up to which tails are summed: 3·10⁴ terms for each p that is tried.
const MAX_SUMMED_VARIANCE: f64 = 1e7;

/// How often something happened in independent samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proportion {
    successes: u64,
    samples: u64,
}

impl Proportion {
    /// `successes` of `samples`.
    ///
    /// # Errors
    /// No sample, more than 2⁵³ of them, or more successes than samples.
    pub fn new(successes: u64, samples: u64) -> Result<Self> {
        if samples == 0 || successes > samples {
            return Err(Error::argument(format!(
                "{successes} successes in {samples} samples is no proportion"
            )));
        }
        if samples > MAX_SAMPLES {
            return Err(Error::argument(format!("{samples} samples exceed the limit of {MAX_SAMPLES}")));
        }
        Ok(Self { successes, samples })
    }

    /// Number of successes.
    pub fn successes(self) -> u64 {
        self.successes
    }

    /// Number of samples.
    pub fn samples(self) -> u64 {
        self.samples
    }

    /// The share of successes, an unbiased estimate of the probability.
    pub fn estimate(self) -> f64 {
        self.successes as f64 / self.samples as f64
    }

    /// Estimated standard error √(p̂ (1−p̂)/S); 0 where p̂ is 0 or 1, which the interval does not believe.
    pub fn standard_error(self) -> f64 {
        let p = self.estimate();
        (p * (1.0 - p) / self.samples as f64).sqrt()
    }

    /// The Clopper–Pearson interval at this level (0.95 say); it covers the true probability at least that often.
    ///
    /// Relative error of both ends below 1e-9 against reference values; below 0.1 s at any number of samples.
    ///
    /// # Errors
    /// A level outside (0, 1).
    ///
    /// # Examples
    /// ```
    /// use theory::simulate::Proportion;
    /// // No success in 10: the upper end solves (1−p)¹⁰ = 0.025.
    /// let (low, high) = Proportion::new(0, 10)?.interval(0.95)?;
    /// assert!(low == 0.0 && (high - (1.0 - 0.025f64.powf(0.1))).abs() < 1e-15);
    /// # Ok::<(), theory::Error>(())
    /// ```
    pub fn interval(self, level: f64) -> Result<(f64, f64)> {
        let half = half_tail(level)?;
        let (x, samples) = (self.successes as f64, self.samples as f64);
        let p = self.estimate();
        if samples * p * (1.0 - p) > MAX_SUMMED_VARIANCE {
            let z = normal_quantile(half);
            return Ok((beta_quantile(x, samples - x + 1.0, -z), beta_quantile(x + 1.0, samples - x, z)));
        }
        // All or none: p^S = α/2 and (1−p)^S = α/2.
        let extreme = half.ln() / samples;
        let low = match self.successes {
            0 => 0.0,
            _ if self.successes == self.samples => extreme.exp(),
            _ => bisect(0.0, p, |p| upper_tail(x, samples, p, 1.0 - p) < half),
        };
        let high = match self.successes {
            0 => -extreme.exp_m1(),
            _ if self.successes == self.samples => 1.0,
            _ => bisect(p, 1.0, |p| upper_tail(samples - x, samples, 1.0 - p, p) > half),
        };
        Ok((low, high))
    }
}

/// P(Bin(n, p) ≥ x) for 0 < x < n and p ≤ x/n, q = 1−p: positive terms that fall from x on.
fn upper_tail(x: f64, n: f64, p: f64, q: f64) -> f64 {
    if p <= 0.0 || q <= 0.0 {
        return if p <= 0.0 { 0.0 } else { 1.0 };
    }
    let (mut term, mut sum, mut k) = (1.0, 1.0, x);
    while k < n && term > 1e-17 * sum {
        term *= (n - k) / (k + 1.0) * (p / q);
        sum += term;
        k += 1.0;
    }
    (point::ln_binomial(x, n, p, q) + sum.ln()).exp()
}

/// The quantile of Beta(a, b) at the probability Φ(z), for a standard deviation far below the mean and its complement.
fn beta_quantile(a: f64, b: f64, z: f64) -> f64 {
    let total = a + b;
    let deviation = (a * b / (total + 1.0)).sqrt() / total;
    let skewness = 2.0 * (b - a) / (total + 2.0) * ((total + 1.0) / (a * b)).sqrt();
    let excess =
        6.0 * ((a - b).powi(2) / (a * b) * (total + 1.0) - (total + 2.0)) / ((total + 2.0) * (total + 3.0));
    let square = z * z;
    let standard = z
        + skewness / 6.0 * (square - 1.0)
        + excess / 24.0 * z * (square - 3.0)
        + skewness * skewness / 36.0 * z * (5.0 - 2.0 * square);
    a / total + deviation * standard
}

/// z > 0 with P(Z > z) = `tail` < ½ for a standard normal Z.
fn normal_quantile(tail: f64) -> f64 {
    -Normal::standard().inverse_cdf(tail)
}

/// The point of [low, high] where `left` turns from true to false.
fn bisect(mut low: f64, mut high: f64, left: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if left(middle) { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Checks the confidence level of an interval.
///
/// # Errors
/// A level outside (0, 1).
pub fn check_level(level: f64) -> Result<()> {
    half_tail(level).map(|_| ())
}

/// α/2 of a two-sided interval.
fn half_tail(level: f64) -> Result<f64> {
    if level > 0.0 && level < 1.0 {
        return Ok(0.5 * (1.0 - level));
    }
    Err(Error::argument(format!("the level of an interval lies between 0 and 1, got {level}")))
}

/// The mean of independent samples, with their scatter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    samples: u64,
    mean: f64,
    squares: f64,
    /// The ends of the range of one sample.
    range: (f64, f64),
    /// Squared deviations that the interval adds to those seen.
    unseen: f64,
}

impl Mean {
    pub(super) const EMPTY: Self =
        Self { samples: 0, mean: 0.0, squares: 0.0, range: (f64::NEG_INFINITY, f64::INFINITY), unseen: 0.0 };

    /// What [`parts`](Self::parts) took apart.
    pub(super) fn from_parts(samples: u64, (mean, squares): (f64, f64)) -> Self {
        Self { samples, mean, squares, ..Self::EMPTY }
    }

    /// The mean, and the sum of squared deviations from it.
    pub(super) fn parts(self) -> (f64, f64) {
        (self.mean, self.squares)
    }

    /// What the interval is to know: the range of one sample, and squared deviations beyond those seen.
    pub(super) fn knowing(self, range: (f64, f64), unseen: f64) -> Self {
        Self { range, unseen, ..self }
    }

    /// Adds one sample (Welford).
    pub(super) fn push(&mut self, value: f64) {
        self.samples += 1;
        let difference = value - self.mean;
        self.mean += difference / self.samples as f64;
        self.squares += difference * (value - self.mean);
    }

    /// Adds the samples of another (Chan, Golub & LeVeque).
    pub(super) fn merge(&mut self, other: Self) {
        let total = self.samples + other.samples;
        if total == 0 {
            return;
        }
        let (share, difference) = (other.samples as f64 / total as f64, other.mean - self.mean);
        self.squares += other.squares + difference * difference * share * self.samples as f64;
        self.mean += difference * share;
        self.samples = total;
    }

    /// Number of samples.
    pub fn samples(self) -> u64 {
        self.samples
    }

    /// The mean of the samples.
    pub fn estimate(self) -> f64 {
        self.mean
    }

    /// Unbiased estimate of the variance of one sample; infinite after one sample, which says nothing about it.
    pub fn variance(self) -> f64 {
        if self.samples < 2 { f64::INFINITY } else { self.squares / (self.samples - 1) as f64 }
    }

    /// Estimated standard error of the mean.
    pub fn standard_error(self) -> f64 {
        (self.variance() / self.samples as f64).sqrt()
    }

    /// Student's interval at this level (0.95 say), cut to the range of one sample.
    ///
    /// It is a little wider than [`standard_error`](Self::standard_error) says, so that samples that all agree do not
    /// claim to be certain: for E ln(1+Col) by one squared step of ln 2 over all samples. One sample gives the range.
    ///
    /// # Errors
    /// A level outside (0, 1).
    pub fn interval(self, level: f64) -> Result<(f64, f64)> {
        let half = half_tail(level)?;
        let (lowest, highest) = self.range;
        if self.samples < 2 {
            return Ok(self.range);
        }
        let freedom = (self.samples - 1) as f64;
        let error = ((self.squares + self.unseen) / freedom / self.samples as f64).sqrt();
        let reach = student_quantile(half, freedom) * error;
        Ok(((self.mean - reach).max(lowest), (self.mean + reach).min(highest)))
    }
}

/// t with P(T > t) = `tail` < ½ for Student's T; relative error below 1e-8 for tails from 1e-6 to 0.4.
pub(crate) fn student_quantile(tail: f64, freedom: f64) -> f64 {
    if freedom < 200.0 {
        // P(|T| > t) = I_x(ν/2, ½) with x = ν/(ν+t²). In x it rises from 0 to 1; few terms at these ν.
        let x = bisect(0.0, 1.0, |x| beta_reg(0.5 * freedom, 0.5, x) < 2.0 * tail);
        return (freedom * (1.0 - x) / x).sqrt();
    }
    let z = normal_quantile(tail);
    let square = z * z;
    let polynomial = |coefficients: &[f64]| coefficients.iter().fold(0.0, |sum, c| sum * square + c) * z;
    z + (polynomial(&[1.0, 1.0]) / 4.0
        + (polynomial(&[5.0, 16.0, 3.0]) / 96.0
            + (polynomial(&[3.0, 19.0, 17.0, -15.0]) / 384.0
                + polynomial(&[79.0, 776.0, 1482.0, -1920.0, -945.0]) / 92_160.0 / freedom)
                / freedom)
            / freedom)
        / freedom
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn student_quantiles() {
        // One degree of freedom: tan(π(½ − tail)). Two: closed form. Others: scipy.stats.t.ppf, 15 digits.
        let two = |tail: f64| (1.0 - 2.0 * tail) / (2.0 * tail * (1.0 - tail)).sqrt();
        for (tail, freedom, expected) in [
            (0.025, 1.0, 12.706204736174694),
            (0.025, 2.0, two(0.025)),
            (1e-6, 2.0, two(1e-6)),
            (0.025, 30.0, 2.042272456301238),
            (0.025, 199.0, 1.9719565442517537),
            (0.025, 200.0, 1.97189622363391),
            (0.025, 999.0, 1.96234146113345),
            (5e-7, 999.0, 4.922320372366549),
            (0.025, 1e8, 1.9599640082627667),
        ] {
            let found = student_quantile(tail, freedom);
            assert!((found / expected - 1.0).abs() < 1e-8, "{tail} {freedom}: {found} against {expected}");
        }
    }

    #[test]
    fn clopper_pearson_solves_its_two_equations() {
        // P(Bin(n, low) ≥ x) and P(Bin(n, high) ≤ x) are α/2, summed here over the whole range with exact binomials.
        for (x, n) in [(1u64, 2u64), (1, 20), (3, 20), (10, 20), (19, 20), (30, 60)] {
            let (low, high) = Proportion::new(x, n).unwrap().interval(0.95).unwrap();
            let tail = |p: f64, range: std::ops::RangeInclusive<u64>| -> f64 {
                range
                    .map(|k| {
                        let binomial: f64 = (1..=k).map(|i| (n - k + i) as f64 / i as f64).product();
                        binomial * p.powi(k as i32) * (1.0 - p).powi((n - k) as i32)
                    })
                    .sum()
            };
            assert!((tail(low, x..=n) - 0.025).abs() < 1e-13, "{x} of {n}: {low}");
            assert!((tail(high, 0..=x) - 0.025).abs() < 1e-13, "{x} of {n}: {high}");
            let mirrored = Proportion::new(n - x, n).unwrap().interval(0.95).unwrap();
            assert!((mirrored.0 - (1.0 - high)).abs() < 1e-14 && (mirrored.1 - (1.0 - low)).abs() < 1e-14);
        }
    }

    #[test]
    fn clopper_pearson_of_many_samples() {
        // scipy.stats.beta: ppf(0.025, x, n-x+1) and isf(0.025, x+1, n-x); the upper end of 3 in 10⁹, where scipy keeps
        // eight digits, from the equation in 40 digits.
        for (x, n, low, high) in [
            (7, 1000, 0.002818858759620524, 0.014369194978918632),
            (500_000, 1_000_000, 0.49901951919531184, 0.5009804808046882),
            (3, 1_000_000_000, 6.186721233228957e-10, 8.767273044460697e-9),
            (999_998, 1_000_000, 0.9999927753312056, 0.9999997577906297),
            (64_159, 100_000, 0.6386088031774254, 0.6445629825609971),
        ] {
            let found = Proportion::new(x, n).unwrap().interval(0.95).unwrap();
            assert!(
                (found.0 / low - 1.0).abs() < 1e-9 && (found.1 / high - 1.0).abs() < 1e-9,
                "{x}/{n} {found:?}"
            );
        }
    }

    #[test]
    fn clopper_pearson_of_more_samples_than_can_be_summed() {
        // From the integral of the beta density, by quadrature in 40 digits; given to the nearest f64.
        for (x, n, low, high) in [
            (5_000_000_000_000, 10_000_000_000_000, 0.49999969010243384, 0.5000003098975662),
            (20_000_000, 10_000_000_000_000, 1.9991235730545065e-06, 2.0008767163968362e-06),
            (9_999_987_654_322, 10_000_000_000_000, 0.9999987647433446, 0.999998766120766),
            (30_000_000, 90_000_000, 0.33323594174583393, 0.33343073564129555),
            (1 << 52, 1 << 53, 0.4999999896742118, 0.5000000103257882),
        ] {
            let found = Proportion::new(x, n).unwrap().interval(0.95).unwrap();
            assert!(
                (found.0 / low - 1.0).abs() < 1e-12 && (found.1 / high - 1.0).abs() < 1e-12,
                "{x}/{n} {found:?}"
            );
        }
        // Just below the limit of the sums, both ways agree, at any level.
        for (x, n) in [(9_900_000u64, 1_000_000_000u64), (4_000_000, 7_000_000)] {
            for level in [1e-3, 0.5, 0.95, 1.0 - 1e-9] {
                let summed = Proportion::new(x, n).unwrap().interval(level).unwrap();
                let (z, x, n) = (normal_quantile(half_tail(level).unwrap()), x as f64, n as f64);
                let quick = (beta_quantile(x, n - x + 1.0, -z), beta_quantile(x + 1.0, n - x, z));
                assert!((quick.0 / summed.0 - 1.0).abs() < 1e-10, "{x}/{n} {level}: {quick:?} {summed:?}");
                assert!((quick.1 / summed.1 - 1.0).abs() < 1e-10, "{x}/{n} {level}: {quick:?} {summed:?}");
            }
        }
    }

    #[test]
    fn samples_that_all_agree_are_not_certain() {
        // 100 samples of 0 that could have been ln 2: t(99) ln 2/√(99·100) above, and nothing below 0.
        let step = std::f64::consts::LN_2;
        let mut mean = Mean::EMPTY;
        (0..100).for_each(|_| mean.push(0.0));
        let (low, high) = mean.knowing((0.0, 5.0), step * step).interval(0.95).unwrap();
        assert!(low == 0.0 && (high - 1.984216951564 * step / 9900f64.sqrt()).abs() < 1e-9, "{low} {high}");
        assert_eq!(mean.interval(0.95).unwrap(), (0.0, 0.0));
        let mut one = Mean::EMPTY;
        one.push(0.5);
        assert_eq!(one.knowing((0.0, 5.0), 1.0).interval(0.95).unwrap(), (0.0, 5.0));
    }

    #[test]
    fn means_merge_as_if_pushed_at_once() {
        let values: Vec<f64> = (0..100).map(|i| 1e3 + f64::from(i * i % 37)).collect();
        let of = |values: &[f64]| {
            let mut mean = Mean::EMPTY;
            values.iter().for_each(|&v| mean.push(v));
            mean
        };
        let (whole, mut parts) = (of(&values), of(&values[..31]));
        parts.merge(of(&values[31..]));
        assert_eq!(parts.samples(), 100);
        assert!((parts.estimate() - whole.estimate()).abs() < 1e-9);
        assert!((parts.variance() / whole.variance() - 1.0).abs() < 1e-12);
        assert_eq!(of(&[1.0, 3.0]).variance(), 2.0);
        assert_eq!(of(&[1.0]).interval(0.9).unwrap(), (f64::NEG_INFINITY, f64::INFINITY));
    }

    #[test]
    fn bad_levels_and_proportions() {
        for level in [0.0, 1.0, -0.5, f64::NAN] {
            assert!(Proportion::new(1, 2).unwrap().interval(level).is_err(), "{level}");
        }
        assert!(Proportion::new(0, 0).is_err() && Proportion::new(3, 2).is_err());
        assert!(Proportion::new(1 << 53, 1 << 53).is_ok());
        assert!(
            Proportion::new(1 << 62, 1 << 63).unwrap_err().to_string().contains("limit of 9007199254740992")
        );
    }
}
