//! What an exact computation costs, before it starts: core seconds and memory of every route.
//!
//! The constants were measured on one core of an AMD EPYC server of the 2020s (x86-64 without vector extensions). On it
//! the estimates of 16 cases of all routes, from 4 ms to a minute, stood between 0.66 and 2.3 times the measured time;
//! the shortest are overestimated by up to 5 times. The peak memory of five requests that print a table, of 87 to 818
//! MB, was 1.05 to 1.35 times lower than estimated. The model is serial: two idle cores halve the residues, not the
//! last products. Each integer that is not 0 is printed once.

use super::model::{
    MAX_BITS, multiplication, seconds_of_grouping, seconds_of_residues, seconds_of_uniform_residues,
};
use super::residues::Residues;
use super::stirling::is_small;
use super::{series, sums};
use crate::error::{Error, Result};
use crate::prior::ClassPrior;
use crate::sampling::{NumDraws, Sampling};

/// Longest computation that is not refused, in seconds of one core.
const MAX_SECONDS: f64 = 60.0;

/// Largest memory that is not refused, in bytes.
const MAX_BYTES: f64 = 4e9;

/// Products over sums wander through memory: so much slower.
const UNEVEN: f64 = 2.0;

/// Seconds per factor of a binomial coefficient, for the removal of small primes.
const SIEVE: f64 = 3e-8;

/// Integers of full length in memory at a time: most are vectors of the transform behind the last product.
const WORKING: f64 = 26.0;

/// Copies of a printed value: in a table, in its formatted cells, and two in a text that pads it to the longest; 3.5
/// were found where the shortest value is 1/40 of the longest.
const TEXTS: f64 = 4.0;

/// Bytes of the other cells of a row.
const ROW: f64 = 300.0;

/// Seconds of a pass over one word of a stored coefficient.
const WORD: f64 = 1.5e-9;

/// How an integer is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// Uniform draws: Stirling numbers.
    Uniform,
    /// Inclusion and exclusion over the sums of counts.
    Sums,
    /// A product of power series.
    Series,
}

/// The route with the lowest estimate, and the estimate.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub route: Route,
    /// Bits of the denominator, rounded up; the numerator has no more.
    pub bits: f64,
    /// Whether the numerator is 0, for want of draws.
    pub is_zero: bool,
    draws: u64,
    seconds: f64,
    bytes: f64,
}

/// What plans for one prior share.
pub(super) struct Planner {
    sampling: Sampling,
    classes: u64,
    /// Items, for counts that are not drawn as a uniform prior is.
    total: Option<u64>,
    groups: Vec<(u64, u64)>,
    num_sums: f64,
}

impl Planner {
    pub fn new(prior: &ClassPrior, sampling: Sampling) -> Result<Self> {
        let is_uniform = sampling == Sampling::WithReplacement && prior.is_uniform();
        let total = prior.population();
        if !is_uniform && total.is_none() {
            return Err(Error::argument(
                "an exact probability needs a uniform prior or counts, not real weights",
            ));
        }
        let total = total.filter(|_| !is_uniform);
        let groups = groups(prior);
        let num_sums = total.map_or(0.0, |total| num_sums(&groups, total));
        Ok(Self { sampling, classes: prior.num_classes(), total, groups, num_sums })
    }

    /// The cheapest route for draws that the sampling can make.
    pub fn plan(&self, num_draws: NumDraws) -> Plan {
        let (draws, classes, sampling) = (num_draws.get(), self.classes, self.sampling);
        let Some(total) = self.total else {
            let bits = draws as f64 * (classes as f64).log2();
            let plan = |seconds, bytes| Plan::new(Route::Uniform, num_draws, classes, bits, seconds, bytes);
            // The closed forms.
            if draws <= classes + 1 {
                return plan(0.0, 0.0);
            }
            if is_small(draws, classes) {
                // Grouping keeps the powers of the odd k ≤ C/3 and half of the binomial coefficients.
                let c = classes as f64;
                let grouping = seconds_of_grouping(draws, classes);
                return plan(grouping, bits / 8.0 * c / 6.0 + c * c / 16.0);
            }
            let residue_bytes = 2.0 * size_of::<Residues>() as f64 * classes as f64;
            return plan(seconds_of_uniform_residues(draws, classes), threads() * residue_bytes);
        };
        // The primes of the binomial coefficient are sieved.
        let (bits, sieve) = match sampling {
            Sampling::WithReplacement => (draws as f64 * (total as f64).log2(), 0.0),
            Sampling::WithoutReplacement => {
                (bits_of_binomial(total, draws), SIEVE * draws.min(total - draws) as f64)
            }
        };
        let bits = bits + 2.0;
        let plan = |route, seconds, bytes| Plan::new(route, num_draws, classes, bits, seconds + sieve, bytes);
        if draws < classes {
            return plan(Route::Sums, 0.0, 0.0);
        }
        let num_sums = self.num_sums;
        let words = (classes as f64 / 64.0).ceil();
        let work = UNEVEN * sums::work(num_sums, classes, total, draws, sampling);
        let (shared, own) = sums::table_bytes(num_sums, total, draws, sampling);
        let by_sums = plan(
            Route::Sums,
            seconds_of_residues(bits, work) + WORD * num_sums * words * classes as f64,
            // The sums before and after the last class.
            16.0 * num_sums * (words + 1.0) + shared + threads() * own,
        );
        let seconds = seconds_of_residues(bits, series::work(&self.groups, draws));
        let by_series = plan(Route::Series, seconds, threads() * series::table_bytes(draws));
        let is_possible = by_sums.bytes <= MAX_BYTES || by_series.bytes > MAX_BYTES;
        if by_sums.seconds <= by_series.seconds && is_possible { by_sums } else { by_series }
    }
}

fn threads() -> f64 {
    rayon::current_num_threads() as f64
}

impl Plan {
    /// Adds to the numerator's costs the denominator, the factorial, and the printing of both integers.
    fn new(route: Route, num_draws: NumDraws, classes: u64, bits: f64, seconds: f64, bytes: f64) -> Self {
        let (draws, words) = (num_draws.get(), bits / 64.0);
        let is_zero = draws < classes;
        let printed = if is_zero { 1.0 } else { 2.0 };
        let seconds = seconds + 3.0 * multiplication(words / 2.0) + printed * printing(words);
        Self { route, bits, is_zero, draws, seconds, bytes: bytes + WORKING * 8.0 * words }
    }

    /// Refuses integers that the residues cannot represent, at any cost.
    pub fn check_size(&self) -> Result<()> {
        let draws = self.draws;
        if draws > u64::from(u32::MAX) {
            return Err(Error::argument(format!("{draws} draws exceed 2^32 - 1, the limit of exact values")));
        }
        if self.bits > MAX_BITS {
            return Err(Error::argument(format!(
                "{draws} draws give integers of {:.1e} bits: exact values stop at {MAX_BITS:e} bits",
                self.bits
            )));
        }
        Ok(())
    }

    /// Refuses what takes more than about a minute or 4 GB.
    pub fn check(&self) -> Result<()> {
        Cost { values: 1, seconds: self.seconds, bytes: self.bytes }.check()
    }
}

/// What exact values at some numbers of draws cost together, by a model that was measured on one core of a server of
/// the 2020s.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// How many values.
    pub values: u64,
    /// Seconds of one core.
    pub seconds: f64,
    /// Bytes of memory at most, where the printed digits of all values are kept.
    pub bytes: f64,
}

impl Cost {
    /// The cost of υ at these numbers of draws: the seconds of each value and of printing it once, with decimals of
    /// `digits` digits; the memory of the largest value and of the printed text of all.
    ///
    /// # Errors
    /// What [`probability_at_any_cost`](super::probability_at_any_cost) refuses at one of them.
    ///
    /// # Examples
    /// ```
    /// use theory::{ClassPrior, NumDraws, Sampling, coverage::exact::Cost};
    /// let prior = ClassPrior::uniform(1000)?;
    /// let cost = |draws: std::ops::RangeInclusive<u64>| -> theory::Result<Cost> {
    ///     let draws = draws.map(NumDraws::new).collect::<theory::Result<Vec<_>>>()?;
    ///     Cost::new(&prior, Sampling::WithReplacement, draws, 30)
    /// };
    /// cost(5000..=5000)?.check()?;
    /// assert!(cost(1000..=19_000)?.check().unwrap_err().to_string().starts_with("18001 exact values"));
    /// # Ok::<(), theory::Error>(())
    /// ```
    pub fn new(
        prior: &ClassPrior,
        sampling: Sampling,
        draws: impl IntoIterator<Item = NumDraws>,
        digits: u32,
    ) -> Result<Self> {
        let planner = Planner::new(prior, sampling)?;
        let (mut values, mut seconds, mut most_bytes, mut kept_bytes) = (0, 0.0, 0.0f64, 0.0);
        for num_draws in draws {
            sampling.check(prior, num_draws)?;
            let plan = planner.plan(num_draws);
            plan.check_size()?;
            values += 1;
            seconds += plan.seconds + seconds_of_decimals(digits);
            most_bytes = most_bytes.max(plan.bytes);
            let integers = if plan.is_zero { 1.0 } else { 2.0 };
            kept_bytes +=
                TEXTS * (integers * plan.bits * std::f64::consts::LOG10_2 + 2.0 * f64::from(digits) + ROW);
        }
        Ok(Self { values, seconds, bytes: most_bytes + kept_bytes })
    }

    /// Refuses more than about a minute of one core, or 4 GB of memory.
    ///
    /// # Errors
    /// It is more; the message states the cost and the limits.
    pub fn check(&self) -> Result<()> {
        if self.seconds <= MAX_SECONDS && self.bytes <= MAX_BYTES {
            return Ok(());
        }
        let what = match self.values {
            1 => "the exact value".to_string(),
            values => format!("{values} exact values"),
        };
        Err(Error::argument(format!(
            "{what} would take about {:.0e} seconds of one core and {} of memory (limits: {MAX_SECONDS} seconds, 4 GB)",
            self.seconds,
            memory(self.bytes)
        )))
    }
}

/// Seconds of two decimals of so many digits.
fn seconds_of_decimals(digits: u32) -> f64 {
    let words = f64::from(digits) * std::f64::consts::LOG2_10 / 64.0;
    2.0 * (3.0 * multiplication(words) + printing(words))
}

fn memory(bytes: f64) -> String {
    if bytes < 1e9 { format!("{:.0} MB", bytes / 1e6) } else { format!("{:.1e} GB", bytes / 1e9) }
}

/// (count, multiplicity) of every distinct count, the largest count first.
pub(super) fn groups(prior: &ClassPrior) -> Vec<(u64, u64)> {
    prior.groups().iter().map(|g| (g.count.unwrap_or(1), g.multiplicity)).collect()
}

/// At most so many distinct sums of counts.
fn num_sums(groups: &[(u64, u64)], total: u64) -> f64 {
    let divisor = groups.iter().fold(0, |divisor, g| super::fraction::gcd(g.0, divisor));
    let subsets: f64 = groups.iter().map(|g| g.1 as f64 + 1.0).product();
    subsets.min((total / divisor.max(1)) as f64 + 1.0)
}

/// Seconds of the decimal digits of an integer of so many words.
fn printing(words: f64) -> f64 {
    5e-8 * words.powf(1.45)
}

/// log₂ binom(n, k), up to rounding.
fn bits_of_binomial(n: u64, k: u64) -> f64 {
    let (n, k) = (n as f64, k.min(n - k) as f64);
    if k == 0.0 {
        return 0.0;
    }
    // The entropy bound: binom(n, k) ≤ n^n / (k^k (n−k)^(n−k)).
    (k * (n / k).ln() - (n - k) * (-k / n).ln_1p()) * std::f64::consts::LOG2_E
}
