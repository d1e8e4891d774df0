//! Rare coverage: class counts are drawn from a tilted law under which covering all classes in n draws is common.
//!
//! With X_c independent Poisson(λπ_c) given ≥ 1, for every λ > 0 (Levin 1981)
//!
//! υ_n = ∏_c (1 − e^{−λπ_c}) · P(Σ_c X_c = n) / P(Poisson(λ) = n),
//!
//! and λ is chosen so that E Σ X_c = n. Without replacement X_c is Binomial(M_c, θ) given ≥ 1 and the denominator is
//! P(Binomial(M, θ) = n). Only P(Σ X_c = n) is simulated. Every other class, in the order of their probabilities, is drawn;
//! the sum R of the rest has a law that is computed once, and the mean of P(R = n − S) over the drawn sums S is an unbiased
//! estimate. If R has the share f of the variance of the whole sum, the relative variance of one sample is 1/√(f(2−f)) − 1 for
//! normal sums: 0.15 at f = ½, where drawing all classes but one (f = 1/C) leaves some √(C/2).
//!
//! Source: B. Levin, "A representation for multinomial cumulative distribution functions", Annals of Statistics 9 (1981).

use super::alias::AliasLabels;
use super::point;
use super::sum_law::{ClassCount, Law};
use super::{Mean, Plan, Purpose};
use crate::error::{Error, Result};
use crate::prior::ClassPrior;
use crate::sampling::{NumDraws, Sampling};
use rand_xoshiro::rand_core::RngCore;

/// Variance of the computed sum above which fewer classes enter it: its law then has 30,000 terms, its convolutions 10⁹.
const MAX_COMPUTED_VARIANCE: f64 = 1e6;

/// Terms that all laws of single classes together may have: 2²⁶ take about a second and 2 GiB.
const MAX_TERMS: f64 = (1u64 << 26) as f64;

/// An estimate of a coverage probability of any size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RareEstimate {
    ln_factor: f64,
    weights: Mean,
}

impl RareEstimate {
    fn exact(ln: f64, plan: Plan) -> Self {
        Self { ln_factor: ln, weights: Mean::constant(plan.samples(), 1.0) }
    }

    /// ln of the estimate; −∞ where the event is impossible.
    pub fn ln(self) -> f64 {
        self.ln_factor + self.weights.estimate().ln()
    }

    /// Standard error of the estimate relative to it, which is the standard error of its logarithm; 0 where nothing is left to chance.
    pub fn relative_standard_error(self) -> f64 {
        self.weights.standard_error() / self.weights.estimate()
    }

    /// Variance of one sample relative to the square of the mean.
    pub fn relative_variance(self) -> f64 {
        self.weights.variance() / self.weights.estimate().powi(2)
    }

    /// Number of samples.
    pub fn samples(self) -> u64 {
        self.weights.samples()
    }

    /// Logarithms of the ends of Student's interval for υ at this level (0.95 say), cut to [0, 1].
    ///
    /// The samples are bounded and of one size, so the interval covers nearly as often as it says from some tens of samples on.
    ///
    /// # Errors
    /// A level outside (0, 1).
    pub fn ln_interval(self, level: f64) -> Result<(f64, f64)> {
        let (low, high) = self.weights.interval(level)?;
        Ok((self.ln_factor + low.max(0.0).ln(), (self.ln_factor + high.ln()).min(0.0)))
    }
}

/// Estimates υ, the probability that `num_draws` draws show every class, however small, from tilted samples.
///
/// Unbiased up to rounding. The relative variance of one sample is about 0.15 (tests: below 0.5), at any depth, while the
/// variance V of Σ X_c stays below 2·10⁶ (V < n), and about √(V/2·10⁶) beyond: 6 at n = 10⁸, C = 1000. So 1,000 samples
/// give two digits at υ = 1e-318. No random number is drawn where
/// the value is certain (n < C, n = C, one class, or so many draws from a population that none can be missing).
///
/// # Errors
/// Draws that `sampling` does not allow; more than 10¹³ class counts in all; classes drawn so often that their laws would
/// not fit in memory.
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
    sampling.check(prior, num_draws)?;
    let (classes, draws) = (prior.num_classes(), num_draws.get());
    let population = if sampling == Sampling::WithoutReplacement { prior.population() } else { None };
    let smallest = prior.groups()[prior.groups().len() - 1].count.unwrap_or(1);
    if draws < classes {
        return Ok(RareEstimate::exact(f64::NEG_INFINITY, plan));
    }
    if classes == 1 || population.is_some_and(|total| draws > total - smallest) {
        return Ok(RareEstimate::exact(0.0, plan));
    }
    if draws == classes {
        return Ok(RareEstimate::exact(ln_each_once(prior, population), plan));
    }
    let tilt = Tilt::new(prior, population, draws);
    let sum = TiltedSum::new(&tilt.counts, draws)?;
    plan.check_cost(sum.drawn_classes as f64)?;
    let mut weights = Mean::EMPTY;
    plan.run(
        Purpose::Rare,
        sum.drawn_classes,
        || (),
        |(), rng, samples| {
            let mut part = Mean::EMPTY;
            (0..samples).for_each(|_| part.push(sum.weight(rng)));
            part
        },
        |part| weights.merge(part),
    );
    Ok(RareEstimate { ln_factor: tilt.ln_factor, weights })
}

/// n = C: n! ∏ π_c, or ∏ M_c / binom(M, n).
fn ln_each_once(prior: &ClassPrior, population: Option<u64>) -> f64 {
    let n = prior.num_classes() as f64;
    let ln_weights = |weight: &dyn Fn(&crate::prior::Group) -> f64| -> f64 {
        prior.groups().iter().map(|g| g.multiplicity as f64 * weight(g).ln()).sum()
    };
    match population {
        None => {
            // n! ∏ π_c = P(all counts are 1 | Poisson(nπ_c)) / P(Poisson(n) = n), where the e^{−n} cancel.
            ln_weights(&|g| n * g.probability) - n - point::ln_poisson(n, n)
        }
        Some(total) if total as f64 == n => 0.0,
        Some(total) => {
            // binom(M, n) = P(Binomial(M, θ) = n) / (θⁿ (1−θ)^{M−n}) with θ = n/M.
            let total = total as f64;
            let (theta, q) = (n / total, (total - n) / total);
            let ln_each = ln_weights(&|g| g.count.unwrap_or(1) as f64 * theta);
            ln_each + (total - n) * (-theta).ln_1p() - point::ln_binomial(n, total, theta, q)
        }
    }
}

/// The tilted law of every group of classes, and ln(υ / P(Σ X = n)).
struct Tilt {
    counts: Vec<(ClassCount, u64)>,
    ln_factor: f64,
}

impl Tilt {
    fn new(prior: &ClassPrior, population: Option<u64>, draws: u64) -> Self {
        let at = |tilt: f64| -> Vec<(ClassCount, u64)> {
            let count = |g: &crate::prior::Group| match population {
                None => ClassCount::Poisson { rate: tilt * g.probability },
                Some(_) => ClassCount::Binomial { items: g.count.unwrap_or(1), theta: tilt },
            };
            prior.groups().iter().map(|g| (count(g), g.multiplicity)).collect()
        };
        let n = draws as f64;
        // λ < Σ E X_c < λ + C, so λ lies in (n−C, n); θ lies in (0, 1). The identity holds for every tilt: no need to be exact.
        let (mut low, mut high) = match population {
            None => ((draws - prior.num_classes()) as f64, n),
            Some(_) => (0.0, 1.0),
        };
        for _ in 0..100 {
            let middle = 0.5 * (low + high);
            if high - low < 1e-12 * middle {
                break;
            }
            let mean: f64 = at(middle).iter().map(|(count, m)| *m as f64 * count.mean()).sum();
            if mean < n { low = middle } else { high = middle }
        }
        let tilt = 0.5 * (low + high);
        let counts = at(tilt);
        let seen: f64 = counts.iter().map(|(count, m)| *m as f64 * count.ln_seen()).sum();
        let point = match population {
            None => point::ln_poisson(n, tilt),
            Some(total) => point::ln_binomial(n, total as f64, tilt, 1.0 - tilt),
        };
        Self { counts, ln_factor: seen - point }
    }
}

/// Σ X_c = n, part of the classes drawn and the rest integrated out.
struct TiltedSum {
    /// Per group: the law of X − `lowest`, and how many classes are drawn from it.
    drawn: Vec<(AliasLabels, u64)>,
    drawn_classes: u64,
    /// n less the smallest values that the drawn classes can have.
    target: u64,
    rest: Law,
}

impl TiltedSum {
    fn new(counts: &[(ClassCount, u64)], draws: u64) -> Result<Self> {
        // A law reaches 15 standard deviations to both sides.
        let terms: f64 = counts.iter().map(|(count, _)| 30.0 * count.variance().sqrt() + 30.0).sum();
        if terms > MAX_TERMS {
            return Err(Error::argument(format!(
                "{} sizes of classes in {draws} draws need laws of {terms:.0} terms; the limit is {MAX_TERMS:.0}",
                counts.len()
            )));
        }
        let variance: f64 = counts.iter().map(|(count, m)| *m as f64 * count.variance()).sum();
        let share = (MAX_COMPUTED_VARIANCE / variance).min(0.5);
        // The likeliest class, which varies most, is always among those computed.
        let computed_before = |classes: u64| (share * classes as f64).ceil() as u64;
        let (mut drawn, mut laws) = (Vec::new(), Vec::new());
        let (mut before, mut drawn_classes, mut target) = (0, 0, draws);
        for &(count, multiplicity) in counts {
            let computed = computed_before(before + multiplicity) - computed_before(before);
            before += multiplicity;
            let law = count.law();
            let left = multiplicity - computed;
            if left > 0 {
                drawn.push((AliasLabels::from_probabilities(&law.mass), left));
                drawn_classes += left;
                target = target.saturating_sub(left * law.lowest);
            }
            if computed > 0 {
                laws.push(law.times(computed));
            }
        }
        laws.sort_by_key(|law| law.mass.len());
        Ok(Self { drawn, drawn_classes, target, rest: Law::sum(laws) })
    }

    /// P(R = n − S) for freshly drawn S.
    fn weight(&self, rng: &mut impl RngCore) -> f64 {
        let mut sum = 0;
        for (law, classes) in &self.drawn {
            law.for_each(rng, *classes, |above_lowest| sum += above_lowest as u64);
        }
        self.target.checked_sub(sum).map_or(0.0, |value| self.rest.at(value))
    }
}
