//! What an exact computation costs, before it starts: core seconds and memory of every route.
//!
//! The constants were measured on one core of an AMD EPYC server of the 2020s (x86-64 without vector extensions). On it
//! the estimates of 14 cases of all routes, from 1 ms to a minute, stood between 0.7 and 3 times the measured time, but
//! for one of 4 ms at 5 times. The model is serial: two idle cores halve the residues, not the last products. Printing
//! both integers is included.

use super::lift::num_moduli;
use super::{series, stirling, sums};
use crate::error::{Error, Result};
use crate::prior::ClassPrior;
use crate::sampling::{NumDraws, Sampling};

/// Longest computation that is not refused, in seconds of one core.
const MAX_SECONDS: f64 = 60.0;

/// Largest memory that is not refused, in bytes.
const MAX_BYTES: f64 = 4e9;

/// Longest integer, in bits: there are not many more moduli.
pub(super) const MAX_BITS: f64 = 1e9;

/// Seconds of a product modulo one number, four at a time.
const PRODUCT: f64 = 1.1e-9;

/// Seconds of a pair of moduli in the weights of the remainder theorem.
const PAIR: f64 = 1.0e-9;

/// Products over sums wander through memory: so much slower.
const UNEVEN: f64 = 2.0;

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
    /// Bits of the numerator, rounded up.
    pub bits: f64,
    seconds: f64,
    bytes: f64,
}

impl Plan {
    /// The cheapest route for draws that `sampling` can make from `prior`.
    pub fn new(prior: &ClassPrior, sampling: Sampling, num_draws: NumDraws) -> Result<Self> {
        let draws = num_draws.get();
        let classes = prior.num_classes();
        if sampling == Sampling::WithReplacement && prior.is_uniform() {
            let bits = draws as f64 * (classes as f64).log2();
            // The closed forms.
            if draws <= classes + 1 {
                return Ok(Self::with_output(Route::Uniform, bits, 0.0, 0.0));
            }
            let residues = seconds_of_uniform_residues(draws, classes);
            let grouping = seconds_of_grouping(draws, classes);
            // Grouping keeps the powers of the odd k ≤ C/2.
            let words =
                if grouping < residues { bits / 64.0 * classes as f64 / 8.0 } else { 8.0 * classes as f64 };
            return Ok(Self::with_output(Route::Uniform, bits, residues.min(grouping), words));
        }
        let Some(total) = prior.population() else {
            return Err(Error::argument(
                "an exact probability needs a uniform prior or counts, not real weights",
            ));
        };
        let bits = 2.0
            + match sampling {
                Sampling::WithReplacement => draws as f64 * (total as f64).log2(),
                Sampling::WithoutReplacement => bits_of_binomial(total, draws),
            };
        if draws < classes {
            return Ok(Self::with_output(Route::Sums, bits, 0.0, 0.0));
        }
        let groups = groups(prior);
        let num_sums = num_sums(&groups, total);
        let words = (classes as f64 / 64.0).ceil();
        let work = UNEVEN * sums::work(num_sums, classes, total, draws, sampling);
        let tables = sums::table_words(num_sums, total, draws, sampling);
        let mut by_sums = Self::with_output(Route::Sums, bits, seconds_of_residues(bits, work), tables);
        by_sums.seconds += WORD * num_sums * words * classes as f64;
        by_sums.bytes += 16.0 * num_sums * (words + 1.0);
        let seconds = seconds_of_residues(bits, series::work(&groups, draws));
        let by_series = Self::with_output(Route::Series, bits, seconds, series::table_words(draws));
        let is_possible = by_sums.bytes <= MAX_BYTES || by_series.bytes > MAX_BYTES;
        Ok(if by_sums.seconds <= by_series.seconds && is_possible { by_sums } else { by_series })
    }

    /// Adds the denominator, the factorial, and the printing of both integers.
    fn with_output(route: Route, bits: f64, seconds: f64, table_words: f64) -> Self {
        let words = bits / 64.0;
        let seconds = seconds + 3.0 * multiplication(words / 2.0) + 2.0 * printing(words);
        let threads = rayon::current_num_threads() as f64;
        Self { route, bits, seconds, bytes: 8.0 * (14.0 * words + threads * table_words) }
    }

    /// Refuses integers that the residues cannot represent, at any cost.
    pub fn check_size(&self, num_draws: NumDraws) -> Result<()> {
        if num_draws.get() <= u64::from(u32::MAX) && self.bits <= MAX_BITS {
            return Ok(());
        }
        Err(Error::argument(format!(
            "{num_draws} draws give integers of {:.0e} bits: exact values stop at 2^32 - 1 draws and {MAX_BITS:e} bits",
            self.bits
        )))
    }

    /// Refuses what takes more than about a minute or 4 GB.
    pub fn check(&self) -> Result<()> {
        if self.seconds <= MAX_SECONDS && self.bytes <= MAX_BYTES {
            return Ok(());
        }
        Err(Error::argument(format!(
            "the exact value would take about {:.0e} seconds of one core and {} of memory (limits: {MAX_SECONDS} \
             seconds, 4 GB)",
            self.seconds,
            memory(self.bytes)
        )))
    }
}

/// Seconds of an integer of so many bits from its residues, at `work` products each.
fn seconds_of_residues(bits: f64, work: f64) -> f64 {
    let k = num_moduli(bits) as f64;
    5e-6 + k * (3e-7 + PRODUCT * work) + PAIR * k * k / 2.0 + 8.0 * multiplication(k / 2.0)
}

/// Seconds of S(n, C) by residues.
pub(super) fn seconds_of_uniform_residues(num_draws: u64, num_classes: u64) -> f64 {
    seconds_of_residues(stirling::bits(num_draws, num_classes), stirling::work(num_draws, num_classes))
}

/// Seconds of C! S(n, C) by grouping: about one full-size product per prime up to C.
pub(super) fn seconds_of_grouping(num_draws: u64, num_classes: u64) -> f64 {
    let c = num_classes as f64;
    let words = num_draws as f64 * c.log2() / 64.0;
    1e-6 + 2e-7 * c + 1.3 * c / c.ln().max(1.0) * multiplication(words / 2.0)
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

/// Seconds of a product of two integers of so many words each.
fn multiplication(words: f64) -> f64 {
    1e-9 * words.min(32.0) * words + 1.1e-8 * words.powf(1.465)
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
