//! Rare coverage: class counts are drawn from a tilted law under which covering all classes in n draws is common.
//!
//! With X_c independent Poisson(λπ_c) given ≥ 1, for every λ > 0 (Levin 1981)
//!
//! υ_n = ∏_c (1 − e^{−λπ_c}) · P(Σ_c X_c = n) / P(Poisson(λ) = n),
//!
//! and λ is chosen so that E Σ X_c = n. Without replacement X_c is Binomial(M_c, θ) given ≥ 1 and the denominator is
//! P(Binomial(M, θ) = n). Only P(Σ X_c = n) is simulated. Every other class, in the order of their probabilities, is
//! drawn; the sum R of the rest has a law that is computed once, and the mean of P(R = n − S) over the drawn sums S is
//! an unbiased estimate.
//!
//! Scatter. The relative variance ρ of one sample follows from the share that R has in the variance of the whole sum
//! (`tilt`); S samples are accepted only where ρ/S ≤ 0.01, a relative standard error of 10 %.
//!
//! Interval. Student's, where the scatter of one sample more at each end of the range [0, max_r P(R = r)] is added to
//! the scatter seen: drawn classes that nearly always have the same count would otherwise leave samples that all agree.
//!
//! Source: B. Levin, "A representation for multinomial cumulative distribution functions", Annals of Statistics 9
//! (1981).

use super::interval::{Mean, check_level};
use super::plan::{Cut, Plan, Purpose, Stream};
use super::request::Estimator;
use super::simulation;
use super::tally::Tally;
use super::tilt::{Tilt, TiltedSum};
use crate::error::Result;
use crate::prior::ClassPrior;
use crate::sampling::{NumDraws, Sampling};

/// An estimate of a coverage probability of any size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RareEstimate {
    ln_factor: f64,
    samples: u64,
    /// None where υ = e^`ln_factor` for certain.
    weights: Option<Mean>,
}

impl RareEstimate {
    /// Whether the value needed no random number: its interval is a point, whatever the number of samples.
    pub fn is_certain(self) -> bool {
        self.weights.is_none()
    }

    /// ln of the estimate, cut at 0, which the mean of the samples may exceed where υ is near 1; −∞ where the event is
    /// impossible.
    pub fn ln(self) -> f64 {
        self.weights.map_or(self.ln_factor, |weights| (self.ln_factor + weights.estimate().ln()).min(0.0))
    }

    /// Standard error of the estimate relative to it, which is the standard error of its logarithm; 0 where the value
    /// is certain, infinite where no sample had weight.
    pub fn relative_standard_error(self) -> f64 {
        (self.relative_variance() / self.samples as f64).sqrt()
    }

    /// Variance of one sample relative to the square of the mean.
    pub fn relative_variance(self) -> f64 {
        self.weights.map_or(0.0, |weights| match weights.estimate() {
            0.0 => f64::INFINITY,
            mean => weights.variance() / (mean * mean),
        })
    }

    /// Number of samples.
    pub fn samples(self) -> u64 {
        self.samples
    }

    /// Logarithms of the ends of Student's interval for υ at this level (0.95 say), cut to [0, 1]; (−∞, 0) where no
    /// sample had weight.
    ///
    /// The example `check_intervals` counts how often it holds υ: 94 to 97 % for 95 %, from 100 samples on and, where
    /// many draws need more, from the smallest number that [`rare_coverage`] accepts. It holds υ more often where
    /// samples hardly scatter, and below 100 samples.
    ///
    /// # Errors
    /// A level outside (0, 1).
    pub fn ln_interval(self, level: f64) -> Result<(f64, f64)> {
        let Some(weights) = self.weights else {
            return check_level(level).map(|()| (self.ln_factor, self.ln_factor));
        };
        let (low, high) = weights.interval(level)?;
        if weights.estimate() == 0.0 {
            return Ok((f64::NEG_INFINITY, 0.0));
        }
        Ok(((self.ln_factor + low.ln()).min(0.0), (self.ln_factor + high.ln()).min(0.0)))
    }
}

/// Estimates υ, the probability that `num_draws` draws show every class, however small, from tilted samples.
///
/// The mean of the samples is unbiased up to rounding; the estimate is that mean, cut to 1, which makes it too small on
/// average where υ is within some standard errors of 1. The relative variance ρ of
/// one sample is about 0.15 (tests: below 0.5), at any depth, while the variance V of Σ X_c stays below 2·10⁶ (V < n),
/// and about √(V/2·10⁶) beyond: 6 at n = 10⁸ and 21 at n = 10¹⁰ for C = 1000. So 1,000 samples give two digits at υ =
/// 1e-318. At least 100 ρ samples are needed: 16 for small V, 2137 at n = 10¹⁰. No random number is drawn where the
/// value is certain (n < C, n = C, one class, or so many draws from a population that none can be missing).
///
/// # Errors
/// Draws that `sampling` does not allow; fewer samples than 100 ρ, whose interval would not hold what it says; more
/// than 10¹³ class counts in all; classes drawn so often that their laws would not fit in memory.
///
/// # Examples
/// ```
/// use theory::simulate::{self, Plan};
/// use theory::{ClassPrior, NumDraws, Sampling};
/// let hundred = ClassPrior::uniform(100)?;
/// let found =
///     simulate::rare_coverage(&hundred, Sampling::WithReplacement, NumDraws::new(128)?, Plan::new(2000, 7)?)?;
/// let (low, high) = found.ln_interval(0.999)?;
/// let exact = 1.503620507819779e-22f64.ln(); // 100! S(128, 100) / 100^128
/// assert!(low < exact && exact < high && high - low < 0.1);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn rare_coverage(
    prior: &ClassPrior,
    sampling: Sampling,
    num_draws: NumDraws,
    plan: Plan,
) -> Result<RareEstimate> {
    simulation::whole(Estimator::RareCoverage, prior, sampling, num_draws, plan)?.rare()
}

/// What the samples of these chunks weigh, and the scale of the weights.
pub(super) fn draw(
    (prior, sampling): (&ClassPrior, Sampling),
    num_draws: NumDraws,
    plan: Plan,
    cut: Cut,
    chunks: &[u64],
    mut done: impl FnMut(u64, Tally, Scale),
) {
    let tilt = Tilt::new(prior, sampling, num_draws);
    let sum = TiltedSum::new(&tilt, num_draws);
    let largest = sum.rest.mass.iter().fold(0.0, |x: f64, &y| x.max(y));
    plan.run(
        Stream(Purpose::Rare, num_draws),
        cut,
        chunks,
        || (),
        |(), rng, samples| {
            let mut tally = Tally { samples, ..Tally::EMPTY };
            (0..samples).for_each(|_| tally.mean.push(sum.weight(rng)));
            tally
        },
        |chunk, tally| done(chunk, tally, Scale { ln_factor: tilt.ln_factor, largest: Some(largest) }),
    );
}

/// What the weights of samples of one n are multiplied with, and where they end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    /// ln(υ / E w); ln υ where that is certain.
    pub(super) ln_factor: f64,
    /// The largest weight; none where nothing is drawn.
    pub(super) largest: Option<f64>,
}

impl RareEstimate {
    /// From the weights of all samples.
    pub(super) fn of(tally: Tally, Scale { ln_factor, largest }: Scale) -> Self {
        let mean = tally.mean.estimate();
        let weights = largest.map(|largest| {
            let unseen = mean * mean + (largest - mean) * (largest - mean);
            tally.mean.knowing((0.0, largest), unseen)
        });
        Self { ln_factor, samples: tally.samples, weights }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_stay_between_0_and_1() {
        let of = |ln_factor, values: &[f64]| {
            let mut weights = Mean::EMPTY;
            values.iter().for_each(|&w| weights.push(w));
            let samples = values.len() as u64;
            RareEstimate { ln_factor, samples, weights: Some(weights.knowing((0.0, 1.0), 0.5)) }
        };
        // No sample had weight: nothing is known.
        let nothing = of(-3.0, &[0.0; 50]);
        assert_eq!(nothing.ln_interval(0.95).unwrap(), (f64::NEG_INFINITY, 0.0));
        assert_eq!((nothing.ln(), nothing.relative_standard_error()), (f64::NEG_INFINITY, f64::INFINITY));
        // A mean of e^0.1 · 0.95 > 1 is cut.
        let above = of(0.1, &[0.9, 1.0, 0.95, 0.95]);
        assert_eq!(above.ln(), 0.0);
        let (low, high) = above.ln_interval(0.5).unwrap();
        assert!(low < 0.0 && high == 0.0, "{low} {high}");
        let certain = RareEstimate { ln_factor: -1.5, samples: 1, weights: None };
        assert_eq!(certain.ln_interval(0.95).unwrap(), (-1.5, -1.5));
        assert!(
            certain.is_certain()
                && certain.relative_standard_error() == 0.0
                && certain.ln_interval(7.0).is_err()
        );
    }
}
