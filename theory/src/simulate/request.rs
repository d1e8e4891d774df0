//! What a request costs, as a whole and before its first sample.
//!
//! Cost is counted in labels, about 1 ns each on one core. A whole batch takes n labels; without replacement, where
//! items that were taken before are rejected, about M ln(M/(M−n)). A batch that ends with its last class takes min(T,
//! n) labels for the collector's time T, and E min(T, n) ≤ min(E T, n): with or without replacement, because until a
//! class was seen none of its items is rejected. A tilted sample takes one count for each class that is drawn.

use super::certain::certain;
use super::plain::coverage_labels;
use super::plan::Plan;
use super::simulation::Simulation;
use super::tilt::Tilt;
use crate::coverage;
use crate::error::{Error, Result};
use crate::prior::ClassPrior;
use crate::sampling::{NumDraws, Sampling};
use crate::shard::Shard;
use rayon::prelude::*;

/// Labels that one request may draw: about 10¹³ ns, three hours of one core.
const MAX_LABELS: f64 = 1e13;

/// Terms that all laws of single classes together may have: 2²⁶ take some ten seconds, most of it for 3.5 GB of memory.
const MAX_TERMS: f64 = (1u64 << 26) as f64;

/// What is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Estimator {
    /// [`coverage`](super::coverage()).
    Coverage,
    /// [`batches`](super::batches()).
    Batches,
    /// [`rare_coverage`](super::rare_coverage()).
    RareCoverage,
}

/// Labels of one sample, and the work before the first sample in the same unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cost {
    sample: f64,
    preparation: f64,
    /// Labels of a sample, by which blocks are cut; none where nothing is drawn.
    pub(super) block: Option<u64>,
}

impl Cost {
    pub(super) const NOTHING: Self = Self { sample: 0.0, preparation: 0.0, block: None };

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            sample: self.sample + other.sample,
            preparation: self.preparation + other.preparation,
            block: None,
        }
    }

    /// That of a share of the samples; whoever draws none has nothing to prepare.
    pub(super) fn share(self, share: f64) -> Self {
        let preparation = if share > 0.0 { self.preparation } else { 0.0 };
        Self { sample: share * self.sample, preparation, ..self }
    }

    fn total(self, plan: Plan) -> f64 {
        plan.samples() as f64 * self.sample + self.preparation
    }
}

/// Refuses what the estimator would refuse at some of these numbers of draws, and what would run for hours at all of
/// them.
///
/// For a request over a range of n: each estimator checks only its own n, when its turn comes.
///
/// # Errors
/// Those of the estimator; more than 10¹³ labels, or class counts, for all n together.
///
/// # Examples
/// ```
/// use theory::simulate::{self, Estimator, Plan};
/// use theory::{ClassPrior, NumDraws, Sampling};
/// let (ten, plan) = (ClassPrior::uniform(10)?, Plan::new(4_000_000_000, 7)?);
/// let draws = |n: u64| (0..n).map(|_| NumDraws::new(1000)).collect::<theory::Result<Vec<_>>>();
/// let check = |draws: &[NumDraws], estimator| {
///     simulate::check_request(estimator, &ten, Sampling::WithReplacement, draws, plan)
/// };
/// // Two whole batches are 2000 labels, times 4·10⁹ are 8·10¹²; three are too many.
/// assert!(check(&draws(2)?, Estimator::Batches).is_ok() && check(&draws(3)?, Estimator::Batches).is_err());
/// // Coverage is decided after 29.3 labels on average.
/// assert!(check(&draws(3)?, Estimator::Coverage).is_ok());
/// # Ok::<(), theory::Error>(())
/// ```
pub fn check_request(
    estimator: Estimator,
    prior: &ClassPrior,
    sampling: Sampling,
    num_draws: &[NumDraws],
    plan: Plan,
) -> Result<()> {
    Simulation::new(estimator, prior, sampling, num_draws, plan)?.check(Shard::WHOLE)
}

/// What each of these n costs.
///
/// # Errors
/// Those of the estimator, but for the limit of all labels.
pub(super) fn costs(
    estimator: Estimator,
    prior: &ClassPrior,
    sampling: Sampling,
    num_draws: &[NumDraws],
    plan: Plan,
) -> Result<Vec<Cost>> {
    num_draws.iter().try_for_each(|&n| sampling.check(prior, n))?;
    if estimator != Estimator::RareCoverage {
        check_table(prior, sampling)?;
    }
    let whole = |n: NumDraws| labels_of_batch(prior, sampling, n);
    match estimator {
        Estimator::Batches => {
            // With fewer draws than classes, clearing the marks of C classes is what takes the time.
            let sample = |n| whole(n).max(0.25 * prior.num_classes() as f64);
            let cost = |&n: &NumDraws| Cost { sample: sample(n), preparation: 0.0, block: Some(n.get()) };
            Ok(num_draws.iter().map(cost).collect())
        }
        Estimator::Coverage => {
            let cost = |most: f64| {
                let possible =
                    move |n, block| Cost { sample: whole(n).min(most), preparation: 0.0, block: Some(block) };
                let cost = |&n: &NumDraws| {
                    coverage_labels(prior, n).map_or(Cost::NOTHING, |block| possible(n, block))
                };
                num_draws.iter().map(cost).collect::<Vec<_>>()
            };
            let at_most = cost(f64::INFINITY);
            let total = at_most.iter().copied().fold(Cost::NOTHING, Cost::plus).total(plan);
            Ok(if total <= MAX_LABELS { at_most } else { cost(coverage::expected_draws(prior)) })
        }
        Estimator::RareCoverage => {
            num_draws.par_iter().map(|&n| cost_of_rare(prior, sampling, n, plan)).collect()
        }
    }
}

/// Refuses what would run for hours, where a shard of a request over this many n costs so much.
pub(super) fn refuse_above_limit(cost: Cost, num_draws: usize, plan: Plan, shard: Shard) -> Result<()> {
    let total = cost.total(plan);
    if total <= MAX_LABELS {
        return Ok(());
    }
    let mut remarks = String::new();
    if num_draws > 1 {
        remarks += &format!(", summed over {num_draws} numbers of draws,");
    }
    if cost.preparation > 0.01 * total {
        remarks += &format!(" and work like {:.1e} labels before them", cost.preparation);
    }
    // A shard has its share of the labels of a sample.
    let shards = shard.count() as f64;
    let per_sample = cost.sample * shards;
    let left = (MAX_LABELS - cost.preparation).max(0.0) * shards;
    let share =
        if shard.count() > 1 { format!(", of which shard {shard} has its share:") } else { " are".into() };
    let needed = plan.samples() as f64 * per_sample / (MAX_LABELS - cost.preparation);
    let cut = if needed > 0.0 { format!(" or {:.0} shards", (1.02 * needed).ceil()) } else { String::new() };
    Err(Error::argument(format!(
        "{} samples of about {per_sample:.0} labels{remarks}{share} {total:.1e} labels, some {:.1} hours of one core; the \
         limit is {MAX_LABELS:.0e} labels, here {:.0} samples{cut}",
        plan.samples(),
        total * 1e-9 / 3600.0,
        (left / per_sample).floor(),
    )))
}

/// Refuses a population whose numbered points would not fit one word.
fn check_table(prior: &ClassPrior, sampling: Sampling) -> Result<()> {
    let (classes, total) = (prior.num_classes(), prior.population().unwrap_or(0));
    if sampling == Sampling::WithReplacement || u128::from(classes) * u128::from(total) <= 1 << 64 {
        return Ok(());
    }
    Err(Error::argument(format!(
        "{classes} classes times {total} items exceed 2^64: such a population is simulated with replacement only"
    )))
}

/// Labels that a whole batch takes, rejected ones included.
fn labels_of_batch(prior: &ClassPrior, sampling: Sampling, num_draws: NumDraws) -> f64 {
    let n = num_draws.get() as f64;
    match (sampling, prior.population()) {
        (Sampling::WithoutReplacement, Some(total)) => {
            let total = total as f64;
            total * ((total + 0.5) / (total - n + 0.5)).ln()
        }
        _ => n,
    }
}

/// What samples of this n cost.
///
/// # Errors
/// Laws too long; too few samples for an interval.
fn cost_of_rare(prior: &ClassPrior, sampling: Sampling, num_draws: NumDraws, plan: Plan) -> Result<Cost> {
    if certain(prior, sampling, num_draws).is_some() {
        return Ok(Cost::NOTHING);
    }
    let tilt = Tilt::new(prior, sampling, num_draws);
    let (groups, terms) = (tilt.counts.len() as f64, tilt.terms());
    if terms > MAX_TERMS {
        return Err(Error::argument(format!(
            "{groups} sizes of classes in {num_draws} draws need laws of {terms:.0} terms; the limit is {MAX_TERMS:.0}"
        )));
    }
    let split = tilt.split();
    let (needed, samples) = (split.needed_samples(), plan.samples());
    if (samples as f64) < needed {
        return Err(Error::argument(format!(
            "{samples} samples of class counts are too few for an interval at {num_draws} draws from {} classes: at least \
             {needed:.0} are needed there",
            prior.num_classes()
        )));
    }
    // Measured: the search of the tilt, the laws of single classes, and their convolutions.
    Ok(Cost {
        sample: split.drawn_classes() as f64,
        preparation: 8e3 * groups + 20.0 * terms + 0.2 * split.products(),
        block: Some(split.drawn_classes()),
    })
}

/// Refuses rare coverage that is not rare: an estimate beyond 1 is cut there, so that estimates are too small on average.
///
/// One sample has a relative variance of at most ½, so that the estimate is beyond 1 once in some 3,000 runs here.
///
/// # Errors
/// υ is too near 1 at some of these n for so few samples; draws that `sampling` cannot make.
pub fn check_rare(
    prior: &ClassPrior,
    sampling: Sampling,
    num_draws: &[NumDraws],
    samples: u64,
) -> Result<()> {
    // Below one half nothing is cut with the fewest samples that are accepted.
    let least = (3.4 * (0.5 / samples as f64).sqrt()).min(0.5);
    for &n in num_draws {
        let covered = coverage::probability(prior, sampling, n)?;
        let missing = covered.complement();
        if covered.ln_complement() > f64::NEG_INFINITY && missing < least {
            return Err(Error::argument(format!(
                "υ is too near 1 at {n} draws for {samples} samples (1 − υ = {missing:.1e})"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(values: &[u64]) -> Vec<NumDraws> {
        values.iter().map(|&n| NumDraws::new(n).unwrap()).collect()
    }

    fn refusal(estimator: Estimator, sampling: Sampling, values: &[u64], samples: u64) -> Option<String> {
        let prior = ClassPrior::from_counts(vec![1 << 20; 10]).unwrap();
        let plan = Plan::new(samples, 7).unwrap();
        check_request(estimator, &prior, sampling, &draws(values), plan).err().map(|e| e.to_string())
    }

    #[test]
    fn a_range_is_charged_as_a_whole() {
        const WITH: Sampling = Sampling::WithReplacement;
        const WITHOUT: Sampling = Sampling::WithoutReplacement;
        // 6·10⁹ samples of 1000 labels are 6·10¹²: two such n are 1.2·10¹³.
        let samples = 6_000_000_000;
        for sampling in [WITH, WITHOUT] {
            assert_eq!(refusal(Estimator::Batches, sampling, &[1000], samples), None);
            let twice = refusal(Estimator::Batches, sampling, &[1000, 1000], samples).unwrap();
            assert!(twice.contains("2 numbers of draws") && twice.contains("1.2e13"), "{twice}");
            // E T = 10 H_10 = 29.3: batches that end early cost that, however many draws they may make.
            assert_eq!(refusal(Estimator::Coverage, sampling, &[1_000_000; 50], samples), None);
            let many = refusal(Estimator::Coverage, sampling, &[1_000_000; 60], samples).unwrap();
            assert!(many.contains("about 1757 labels, summed over 60"), "{many}");
            // No batch of 9 labels shows 10 classes.
            assert_eq!(refusal(Estimator::Coverage, sampling, &[9; 100_000], samples), None);
            // Five of ten classes are drawn.
            assert_eq!(refusal(Estimator::RareCoverage, sampling, &[20; 333], samples), None);
            assert!(refusal(Estimator::RareCoverage, sampling, &[20; 334], samples).is_some());
        }
        for estimator in [Estimator::Coverage, Estimator::Batches, Estimator::RareCoverage] {
            let last = refusal(estimator, WITHOUT, &[20, 30, 10 << 20, (10 << 20) + 1], 20).unwrap();
            assert!(last.contains("10485761 draws without replacement"), "{last}");
        }
        // A law of 10⁷ terms for each n, at 20 labels a term.
        let laws = refusal(Estimator::RareCoverage, WITH, &[1 << 40; 60_000], 1_000).unwrap();
        assert!(laws.contains("before them"), "{laws}");
    }
}
