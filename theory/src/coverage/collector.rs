//! The collector's time T under both samplings: expectation, standard deviation, quantiles.
//!
//! *Independent draws* are put at the points of a Poisson process of rate 1: the waiting time X has the law G(t) = ∏_c
//! (1 − e^{−π_c t}), the mean E\[T\] and the variance Var T + E\[T\].
//!
//! *Without replacement* from M items, each item gets a uniform time in \[0, 1\]; in the order of these times the items
//! are a random sequence of draws. The time S of draw T has P(S ≤ s) = ∏_c (1 − (1−s)^{M_c}), which with s = 1 − e^{−t} is
//! the same G with M_c in place of π_c. Given T = n, S is the n-th of M ordered uniform times, whose moments are
//! n/(M+1) and n(n+1)/((M+1)(M+2)), and T does not depend on the times. Hence
//!
//! E\[T\] = (M+1) E\[S\],  Var T = (M+1)(M+2) Var S − E\[T\] E\[1−S\].
//!
//! Both by the trapezoid rule in ln t, where dG is a narrow bump.
//!
//! *Quantiles* are searched where independent classes would have them, Σ_c ln P(c is seen) = ln level, moved by what the
//! true ln υ differs there: three or four values of υ instead of a bisection.
//!
//! Source: Flajolet, Gardy & Thimonier 1992, for the Poisson process; the form without replacement is derived here.

use super::probability;
use super::urn::{self, WeightGroup};
use crate::error::{Error, Result};
use crate::prior::ClassPrior;
use crate::probability::Probability;
use crate::sampling::{NumDraws, Sampling};

/// Expectation and standard deviation of the number of draws T until every class was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CollectorTime {
    /// E\[T\].
    pub expected_draws: f64,
    /// √Var T.
    pub standard_deviation: f64,
}

/// Expectation and standard deviation of T under either sampling.
///
/// Relative error below 1e-13 and 1e-12; without replacement the variance is a difference of numbers of the size of
/// M+1−E\[T\] at least, and its absolute error 1e-13 of that. Cost: some 250 exponentials per distinct class size.
///
/// # Errors
/// Draws without replacement from a prior that has no counts.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, Sampling, coverage};
/// // Two classes of two items: the second item completes them with probability 2/3, else the third does.
/// let prior = ClassPrior::from_counts(vec![2, 2])?;
/// let time = coverage::collector_time(&prior, Sampling::WithoutReplacement)?;
/// assert!((time.expected_draws - 7.0 / 3.0).abs() < 1e-14);
/// assert!((time.standard_deviation - (2.0f64 / 9.0).sqrt()).abs() < 1e-13);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn collector_time(prior: &ClassPrior, sampling: Sampling) -> Result<CollectorTime> {
    sampling.check(prior, NumDraws::new(1)?)?;
    let classes = prior.num_classes() as f64;
    let Some(population) = urn::population(prior, sampling) else {
        if prior.is_uniform() {
            let sum =
                |power: i32| (1..=prior.num_classes()).rev().map(|k| (k as f64).powi(-power)).sum::<f64>();
            let expected_draws = classes * sum(1);
            let variance = (classes * classes * sum(2) - expected_draws).max(0.0);
            return Ok(CollectorTime { expected_draws, standard_deviation: variance.sqrt() });
        }
        let time = Waiting::new(prior, sampling, |t| t);
        let variance = (time.variance - time.mean).max(0.0);
        return Ok(CollectorTime { expected_draws: time.mean, standard_deviation: variance.sqrt() });
    };
    if population == classes || classes == 1.0 {
        // Every item, or the first, completes them.
        return Ok(CollectorTime { expected_draws: classes, standard_deviation: 0.0 });
    }
    let time = Waiting::new(prior, sampling, |t| -(-t).exp_m1());
    let expected_draws = (population + 1.0) * time.mean;
    let variance = (population + 1.0) * (population + 2.0) * time.variance - expected_draws * time.rest;
    Ok(CollectorTime { expected_draws, standard_deviation: variance.max(0.0).sqrt() })
}

/// Smallest n with υ_n = P(T ≤ n) ≥ `level`.
///
/// Cost: some four coverage probabilities.
///
/// # Errors
/// `level` is not strictly between 0 and 1; draws without replacement from a prior that has no counts.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, Sampling, coverage};
/// // Two of four items show both classes with probability 2/3, three with certainty.
/// let prior = ClassPrior::from_counts(vec![2, 2])?;
/// assert_eq!(coverage::collector_quantile(&prior, Sampling::WithoutReplacement, 0.6)?, 2);
/// assert_eq!(coverage::collector_quantile(&prior, Sampling::WithoutReplacement, 0.7)?, 3);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn collector_quantile(prior: &ClassPrior, sampling: Sampling, level: f64) -> Result<u64> {
    // Compared on the side that is small, so that 1 − 1e-15 is a level like any other.
    if level < 0.5 {
        let reaches = |p: Probability| p.value() * (1.0 + p.relative_error_bound()) >= level;
        return search(prior, sampling, (level, level.ln()), reaches);
    }
    search(prior, sampling, (level, level.ln()), |p| misses_at_most(p, 1.0 - level))
}

/// Smallest n with 1 − υ_n = P(T > n) ≤ `tail`, however small it is.
///
/// Cost: some four coverage probabilities.
///
/// # Errors
/// As for [`collector_quantile`].
///
/// # Examples
/// ```
/// use theory::{ClassPrior, Sampling, coverage};
/// // Two classes: 1 − υ_n = 2^(1−n).
/// let two = ClassPrior::uniform(2)?;
/// assert_eq!(coverage::collector_upper_quantile(&two, Sampling::WithReplacement, 2f64.powi(-100))?, 101);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn collector_upper_quantile(prior: &ClassPrior, sampling: Sampling, tail: f64) -> Result<u64> {
    if tail > 0.5 {
        // The difference is exact.
        return collector_quantile(prior, sampling, 1.0 - tail);
    }
    search(prior, sampling, (tail, (-tail).ln_1p()), |p| misses_at_most(p, tail))
}

/// Equal up to the error bound counts as reached (C = 2: υ_3 = 3/4 exactly).
fn misses_at_most(p: Probability, tail: f64) -> bool {
    p.complement() * (1.0 - p.complement_relative_error_bound()) <= tail
}

/// Smallest n that `reaches` the given level, where ln υ is about `target`.
fn search(
    prior: &ClassPrior,
    sampling: Sampling,
    (given, target): (f64, f64),
    reaches: impl Fn(Probability) -> bool,
) -> Result<u64> {
    if !(given > 0.0 && given < 1.0) {
        return Err(Error::argument(format!(
            "a quantile needs a level strictly between 0 and 1, got {given}"
        )));
    }
    sampling.check(prior, NumDraws::new(1)?)?;
    let population = urn::population(prior, sampling);
    let independent = Independent { groups: urn::weight_groups(prior, sampling, None), population };
    // υ at `low` is below the level; at `high`, once there is one, it is not.
    let (mut low, mut high) = (prior.num_classes() - 1, population.map(|all| all as u64));
    let (mut guess, mut shift, mut steps) = (0.0, 0.0, 0);
    while high.is_none_or(|high| high - low > 1) {
        if steps < 8 {
            guess = independent.draws(target - shift).unwrap_or(guess);
        }
        let n = match high {
            Some(high) if steps >= 8 => low + (high - low) / 2,
            None if steps >= 8 => low.saturating_mul(2).max(2),
            // Next to a value that is known, the guess asks for the neighbour.
            _ => (guess.ceil().min(9e18) as u64).clamp(low + 1, high.map_or(u64::MAX, |high| high - 1)),
        };
        let p = probability(prior, sampling, NumDraws::new(n)?)?;
        if reaches(p) {
            high = Some(n)
        } else {
            low = n
        }
        shift = p.ln() - independent.ln(n as f64);
        steps += 1;
    }
    Ok(low + 1)
}

/// Classes that are seen independently of each other, as in the Poisson process.
struct Independent {
    groups: Vec<WeightGroup>,
    population: Option<f64>,
}

impl Independent {
    /// Σ m ln(1 − e^{−wt}) and its derivative by t.
    fn at(&self, t: f64) -> (f64, f64) {
        self.groups.iter().fold((0.0, 0.0), |(sum, slope), group| {
            let (w, m) = (group.weight.hi, group.multiplicity);
            let missing = (-w * t).exp();
            let present = -(-w * t).exp_m1();
            let ln = if missing < 0.5 { (-missing).ln_1p() } else { present.ln() };
            (sum + m * ln, slope + m * w * missing / present)
        })
    }

    fn ln(&self, draws: f64) -> f64 {
        self.at(self.population.map_or(draws, |all| -(-draws / all).ln_1p())).0
    }

    /// The number of draws with this ln υ: Newton's steps in (t, ln(−ln υ)), which is nearly a line.
    fn draws(&self, ln: f64) -> Option<f64> {
        let lightest = self.groups.last().filter(|_| ln < 0.0)?.weight.hi;
        let mut t = 1.0 / lightest;
        for _ in 0..100 {
            let (sum, slope) = self.at(t);
            let step = (sum / ln).ln() * sum / slope;
            if !step.is_finite() {
                return None;
            }
            // Where ln υ is far below −1 it is no line: not more than a factor 2 at once.
            let next = (t - step).clamp(0.5 * t, 2.0 * t);
            let close = (next - t).abs() <= 1e-12 * t;
            t = next;
            if close {
                break;
            }
        }
        let draws = self.population.map_or(t, |all| -all * (-t).exp_m1());
        draws.is_finite().then_some(draws)
    }
}

/// A function x of the waiting time t under dG.
struct Waiting {
    mean: f64,
    variance: f64,
    /// E\[1 − x\].
    rest: f64,
}

impl Waiting {
    fn new(prior: &ClassPrior, sampling: Sampling, of_time: impl Fn(f64) -> f64) -> Self {
        let groups = urn::weight_groups(prior, sampling, None);
        // (t, dG/du) at u = ln t: G Σ w t/(e^{wt} − 1).
        let density = |u: f64| -> (f64, f64) {
            let t = u.exp();
            let (mut ln_product, mut slope) = (0.0, 0.0);
            for group in &groups {
                let (a, m) = (group.weight.hi * t, group.multiplicity);
                let missing = (-a).exp();
                let present = if a < 0.5 { -(-a).exp_m1() } else { 1.0 - missing };
                ln_product += m * if missing < 0.1 { (-missing).ln_1p() } else { present.ln() };
                slope += m * a * missing / present;
            }
            (t, ln_product.exp() * slope)
        };
        // t dG rises at least like t up to its peak near ln C/w_min and falls doubly exponentially after it, so that each
        // side ends where its terms vanish. In units of 1/w_min, G has width 1 and Fourier transform |Γ(1−iω)|.
        let classes = prior.num_classes() as f64;
        let lightest = groups.last().map_or(1.0, |group| group.weight.hi);
        let peak = ((1.0 + classes.ln()) / lightest).ln();
        let mut step = 0.5 / (1.0 + classes.ln());
        // What a node adds to the mean, or to the variance: on the left t − E[T] stays while t falls.
        let middle = peak.exp();
        let size = |(t, g): (f64, f64)| (t + middle).powi(2) * g;
        let collect = |nodes: &mut Vec<(f64, f64)>, start: f64, step: f64| {
            let mut largest = nodes.iter().map(|&node| size(node)).fold(0.0, f64::max);
            for direction in [1.0, -1.0] {
                let mut k = if direction > 0.0 { 0.0 } else { -1.0 };
                loop {
                    let node = density(start + step * k);
                    nodes.push(node);
                    largest = f64::max(largest, size(node));
                    if size(node) < 1e-19 * largest {
                        break;
                    }
                    k += direction;
                }
            }
        };
        let sum =
            |nodes: &[(f64, f64)], f: &dyn Fn(f64) -> f64| nodes.iter().map(|&(t, g)| f(t) * g).sum::<f64>();
        let mut nodes = Vec::with_capacity(256);
        collect(&mut nodes, peak, step);
        let mut mean = sum(&nodes, &|t| of_time(t)) * step;
        for _ in 0..12 {
            collect(&mut nodes, peak + 0.5 * step, step);
            step *= 0.5;
            let next = sum(&nodes, &|t| of_time(t)) * step;
            // The error of an analytic integrand is squared when the step is halved.
            let done = (next - mean).abs() < 1e-8 * next;
            mean = next;
            if done {
                break;
            }
        }
        let variance = sum(&nodes, &|t| (of_time(t) - mean).powi(2)) * step;
        let rest = sum(&nodes, &|t| 1.0 - of_time(t)) * step;
        Self { mean, variance, rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHOUT: Sampling = Sampling::WithoutReplacement;

    #[test]
    fn uniform_moments_by_the_general_method() {
        for classes in [2, 3, 10, 100, 1000, 21_841] {
            let prior = ClassPrior::uniform(classes).unwrap();
            let time = Waiting::new(&prior, Sampling::WithReplacement, |t| t);
            let closed = collector_time(&prior, Sampling::WithReplacement).unwrap();
            assert!((time.mean / closed.expected_draws - 1.0).abs() < 1e-14, "{classes}");
            let deviation = (time.variance - time.mean).sqrt();
            assert!((deviation / closed.standard_deviation - 1.0).abs() < 1e-12, "{classes}");
        }
    }

    /// Number of the draw that completes the classes, over every order of the items: its histogram.
    fn orders(counts: &[u64]) -> Vec<f64> {
        fn visit(left: &mut [u64], counts: &[u64], drawn: usize, weight: f64, histogram: &mut [f64]) {
            if left.iter().zip(counts).all(|(l, c)| l < c) {
                histogram[drawn] += weight;
                return;
            }
            let rest: u64 = left.iter().sum();
            for class in 0..left.len() {
                if left[class] > 0 {
                    let chance = left[class] as f64 / rest as f64;
                    left[class] -= 1;
                    visit(left, counts, drawn + 1, weight * chance, histogram);
                    left[class] += 1;
                }
            }
        }
        let mut histogram = vec![0.0; counts.iter().sum::<u64>() as usize + 1];
        visit(&mut counts.to_vec(), counts, 0, 1.0, &mut histogram);
        histogram
    }

    #[test]
    fn small_populations_enumerated() {
        for counts in [
            vec![2u64, 2],
            vec![3, 1],
            vec![5, 2, 1],
            vec![1, 1, 1],
            vec![4, 4, 4],
            vec![7],
            vec![6, 3, 2, 1],
            vec![1, 1, 2],
            vec![3, 3, 1, 1],
        ] {
            let histogram = orders(&counts);
            let prior = ClassPrior::from_counts(counts.clone()).unwrap();
            let moment = |f: &dyn Fn(f64) -> f64| -> f64 {
                histogram.iter().enumerate().map(|(n, p)| p * f(n as f64)).sum()
            };
            let mean = moment(&|n| n);
            let deviation = moment(&|n| (n - mean).powi(2)).sqrt();
            let time = collector_time(&prior, WITHOUT).unwrap();
            assert!((time.expected_draws / mean - 1.0).abs() < 1e-13, "{counts:?}: {time:?}, not {mean}");
            assert!(
                (time.standard_deviation - deviation).abs() < 1e-12,
                "{counts:?}: {time:?}, not {deviation}"
            );
            for level in [1e-9, 0.01, 0.3, 0.77, 0.999] {
                let mut sum = 0.0;
                let reaches = |p: &f64| {
                    sum += p;
                    sum >= level * (1.0 - 1e-14)
                };
                let expected = histogram.iter().position(reaches).unwrap() as u64;
                assert_eq!(
                    collector_quantile(&prior, WITHOUT, level).unwrap(),
                    expected,
                    "{counts:?} {level}"
                );
            }
            for (n, &p) in histogram.iter().enumerate().skip(1) {
                let draws = NumDraws::new(n as u64).unwrap();
                let found = crate::coverage::completion_probability(&prior, WITHOUT, draws).unwrap();
                assert!((found.value() - p).abs() < 1e-14, "{counts:?} {n}: {} {p}", found.value());
            }
        }
    }

    #[test]
    fn sums_of_the_complement() {
        // E[T] = Σ_n P(T > n), E[T²] = Σ_n (2n+1) P(T > n).
        for counts in [vec![100u64; 10], vec![300, 200, 40, 7], vec![1000, 1], vec![5; 60]] {
            let prior = ClassPrior::from_counts(counts.clone()).unwrap();
            let (mut first, mut second) = (0.0, 0.0);
            for n in (0..prior.population().unwrap()).rev() {
                let missing = match n {
                    0 => 1.0,
                    _ => probability(&prior, WITHOUT, NumDraws::new(n).unwrap()).unwrap().complement(),
                };
                first += missing;
                second += (2 * n + 1) as f64 * missing;
            }
            let time = collector_time(&prior, WITHOUT).unwrap();
            let deviation = (second - first * first).sqrt();
            assert!((time.expected_draws / first - 1.0).abs() < 1e-13, "{counts:?}: {time:?}, not {first}");
            assert!((time.standard_deviation / deviation - 1.0).abs() < 1e-10, "{counts:?}: {time:?}");
        }
        // A large population is nearly one of independent draws.
        let large = ClassPrior::from_counts(vec![1 << 40; 10]).unwrap();
        let time = collector_time(&large, WITHOUT).unwrap();
        assert!((time.expected_draws / 29.289_682_539_682_54 - 1.0).abs() < 1e-9);
        assert!(collector_time(&ClassPrior::uniform(3).unwrap(), WITHOUT).is_err());
    }

    /// The quantile is the least n that reaches the level, for priors of all shapes.
    #[test]
    fn quantiles_are_where_the_level_is_crossed() {
        let shapes =
            [vec![1u64, 1], vec![9, 1], vec![1_000_000, 1], vec![50; 100], (1..90).collect(), vec![3; 3]];
        for counts in shapes {
            let prior = ClassPrior::from_counts(counts.clone()).unwrap();
            for sampling in [Sampling::WithReplacement, WITHOUT] {
                for level in [1e-12, 0.01, 0.5, 0.9, 0.999_999] {
                    let n = collector_quantile(&prior, sampling, level).unwrap();
                    let at = |n| probability(&prior, sampling, NumDraws::new(n).unwrap()).unwrap();
                    let context = format!("{counts:?} {sampling} {level}: {n}");
                    assert!(at(n).complement() <= (1.0 - level) * (1.0 + 1e-12), "{context}");
                    assert!(n == 1 || at(n - 1).complement() > (1.0 - level) * (1.0 - 1e-12), "{context}");
                    // The same of the upper tail, also where 1 − level would be 1.
                    for tail in [level, level.powi(20)] {
                        let n = collector_upper_quantile(&prior, sampling, tail).unwrap();
                        let context = format!("{counts:?} {sampling} upper {tail}: {n}");
                        assert!(at(n).complement() <= tail * (1.0 + 1e-12), "{context}");
                        assert!(n == 1 || at(n - 1).complement() > tail * (1.0 - 1e-12), "{context}");
                    }
                }
            }
        }
    }
}
