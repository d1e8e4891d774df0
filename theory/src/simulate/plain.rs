//! Plain Monte Carlo: batches of n = K+1 labels are drawn and looked at.
//!
//! υ = P(every class drawn), τ = P(Col ≥ 1) and E ln(1+Col), where Col counts the draws after the first (the anchor)
//! that show the anchor's class. Labels have exactly the prior's probabilities: `index` and `alias` say how. For
//! weights, which are floats, each probability is met to 2⁻⁶³ absolute and 2⁻⁵² relative.
//!
//! Without replacement. A uniform point of the prior's table names an item of the population; it is rejected if it is
//! among the x_c items that its class has already given, whichever these are: by symmetry the first x_c numbers of the
//! class stand for them. So memory is O(C), not O(M), and n draws from M items take about M ln(M/(M−n)) points.
//!
//! [`coverage`] stops a batch as soon as every class was seen: the event is then decided. [`batches`] draws every batch
//! to its end, because Col is not decided before.

use super::alias::AliasLabels;
use super::index::UniformLabels;
use super::interval::{Mean, Proportion};
use super::plan::{Cut, Plan, Purpose, Stream};
use super::request::Estimator;
use super::simulation;
use super::tally::Tally;
use crate::error::Result;
use crate::prior::ClassPrior;
use crate::sampling::{NumDraws, Sampling};
use rand_xoshiro::rand_core::RngCore;
use std::f64::consts::LN_2;

/// Words between two looks at whether a batch is complete.
const WORDS_PER_LOOK: u64 = 32;

/// What whole batches show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Batches {
    /// υ: batches that show every class.
    pub coverage: Proportion,
    /// τ: batches in which some negative shares the anchor's class.
    pub collision: Proportion,
    /// E ln(1+Col), in nats.
    pub ln1p_collisions: Mean,
}

/// Estimates υ, the probability that `num_draws` draws show every class, from `plan.samples()` batches.
///
/// Unbiased. Cost: at C = 1000 about 0.7 ns a label for equal classes, 2 ns for others and 3 ns without replacement, on
/// one core; at most n labels a batch, fewer where it is complete before, none where n < C, since no such batch is
/// complete.
///
/// # Errors
/// Draws that `sampling` does not allow; more than 10¹³ labels expected in all; without replacement, C·M above 2⁶⁴.
///
/// # Examples
/// ```
/// use theory::simulate::{self, Plan};
/// use theory::{ClassPrior, NumDraws, Sampling};
/// let two = ClassPrior::uniform(2)?;
/// let found = simulate::coverage(&two, Sampling::WithReplacement, NumDraws::new(2)?, Plan::new(10_000, 7)?)?;
/// let (low, high) = found.interval(0.999)?;
/// assert!(low < 0.5 && 0.5 < high); // of two draws from two classes, half show both
/// # Ok::<(), theory::Error>(())
/// ```
pub fn coverage(
    prior: &ClassPrior,
    sampling: Sampling,
    num_draws: NumDraws,
    plan: Plan,
) -> Result<Proportion> {
    simulation::whole(Estimator::Coverage, prior, sampling, num_draws, plan)?.proportion()
}

/// Labels that a batch takes at most, by which the samples of [`coverage`] are cut; none where no batch is complete.
pub(super) fn coverage_labels(prior: &ClassPrior, num_draws: NumDraws) -> Option<u64> {
    if num_draws.get() < prior.num_classes() {
        return None;
    }
    // E T ≤ H_C/π_min, as if every class were as rare as the rarest: blocks of a batch that ends early hold more
    // batches.
    let collector = (1.0 + (prior.num_classes() as f64).ln()) / prior.min_probability();
    Some(num_draws.get().min(collector as u64))
}

/// What the batches of these chunks show, for [`coverage`].
pub(super) fn draw_coverage(
    (prior, sampling): (&ClassPrior, Sampling),
    num_draws: NumDraws,
    plan: Plan,
    cut: Cut,
    chunks: &[u64],
    done: impl FnMut(u64, Tally),
) {
    let source = Source::new(prior, sampling);
    let (classes, draws) = (prior.num_classes() as usize, num_draws.get());
    plan.run(
        Stream(Purpose::Coverage, num_draws),
        cut,
        chunks,
        || Seen::new(classes, &source),
        |seen, rng, samples| {
            let covered = (0..samples).filter(|_| source.covers(rng, seen, draws)).count() as u64;
            Tally { samples, covered, ..Tally::EMPTY }
        },
        done,
    );
}

/// Estimates υ, τ and E ln(1+Col) together from `plan.samples()` whole batches; the anchor is the first draw.
///
/// Unbiased; every batch costs n labels, at the prices of [`coverage`].
///
/// # Errors
/// As for [`coverage`].
///
/// # Examples
/// ```
/// use theory::simulate::{self, Plan};
/// use theory::{ClassPrior, NumDraws, Sampling};
/// // Two items, one a class: two draws without replacement are always both classes and never collide.
/// let items = ClassPrior::from_counts(vec![1, 1])?;
/// let found = simulate::batches(&items, Sampling::WithoutReplacement, NumDraws::new(2)?, Plan::new(100, 7)?)?;
/// assert_eq!((found.coverage.successes(), found.collision.successes()), (100, 0));
/// # Ok::<(), theory::Error>(())
/// ```
pub fn batches(prior: &ClassPrior, sampling: Sampling, num_draws: NumDraws, plan: Plan) -> Result<Batches> {
    simulation::whole(Estimator::Batches, prior, sampling, num_draws, plan)?.batches()
}

/// What the batches of these chunks show, for [`batches`].
pub(super) fn draw_batches(
    (prior, sampling): (&ClassPrior, Sampling),
    num_draws: NumDraws,
    plan: Plan,
    cut: Cut,
    chunks: &[u64],
    done: impl FnMut(u64, Tally),
) {
    let source = Source::new(prior, sampling);
    let (classes, draws) = (prior.num_classes() as usize, num_draws.get());
    plan.run(
        Stream(Purpose::Batches, num_draws),
        cut,
        chunks,
        || Seen::new(classes, &source),
        |seen, rng, samples| {
            let mut tally = Tally { samples, ..Tally::EMPTY };
            for _ in 0..samples {
                let (complete, collisions) = source.whole_batch(rng, seen, draws);
                tally.covered += u64::from(complete);
                tally.collided += u64::from(collisions > 0);
                tally.mean.push((collisions as f64).ln_1p());
            }
            tally
        },
        done,
    );
}

impl Batches {
    /// From what whole batches of this many draws showed.
    pub(super) fn of(tally: Tally, num_draws: NumDraws) -> Result<Self> {
        Ok(Self {
            coverage: Proportion::new(tally.covered, tally.samples)?,
            collision: Proportion::new(tally.collided, tally.samples)?,
            // Col ≤ K. The largest step between neighbouring values, from no collision to one, may be the one not seen.
            ln1p_collisions: tally.mean.knowing((0.0, (num_draws.get() as f64).ln()), LN_2 * LN_2),
        })
    }
}

/// Where labels come from.
enum Source {
    Uniform(UniformLabels),
    Alias(AliasLabels),
    /// Items of a finite population.
    Population(AliasLabels),
}

/// Which classes a batch has shown.
struct Seen {
    /// 1 for a class that was seen.
    marks: Vec<u8>,
    /// Points of each class that are used up; only for a population.
    used: Vec<u64>,
    /// No class below this one is unseen.
    first_unseen: usize,
}

impl Seen {
    fn new(classes: usize, source: &Source) -> Self {
        let used = if matches!(source, Source::Population(..)) { vec![0; classes] } else { Vec::new() };
        Self { marks: vec![0; classes], used, first_unseen: 0 }
    }

    fn clear(&mut self) {
        self.marks.fill(0);
        self.used.fill(0);
        self.first_unseen = 0;
    }

    /// Whether every class was seen. The marker only moves up, so that all looks at a batch together cost O(C).
    fn complete(&mut self) -> bool {
        const ALL: u64 = 0x0101_0101_0101_0101;
        let rest = &self.marks[self.first_unseen..];
        let (words, tail) = rest.as_chunks::<8>();
        let whole = words.iter().take_while(|&&bytes| u64::from_le_bytes(bytes) == ALL).count();
        self.first_unseen += 8 * whole;
        if whole == words.len() && tail.iter().all(|&mark| mark == 1) {
            self.first_unseen = self.marks.len() - tail.len();
            return true;
        }
        false
    }
}

impl Source {
    /// For a request that was checked.
    fn new(prior: &ClassPrior, sampling: Sampling) -> Self {
        match (sampling, prior.counts()) {
            (Sampling::WithoutReplacement, Some(counts)) => {
                Self::Population(AliasLabels::from_counts(counts))
            }
            _ if prior.is_uniform() => Self::Uniform(UniformLabels::new(prior.num_classes())),
            (_, Some(counts)) => Self::Alias(AliasLabels::from_counts(counts)),
            _ => {
                let probabilities: Vec<f64> =
                    (0..prior.num_classes() as usize).map(|class| prior.probability(class)).collect();
                Self::Alias(AliasLabels::from_probabilities(&probabilities))
            }
        }
    }

    /// Whether one batch shows every class; draws no further than needed.
    fn covers(&self, rng: &mut impl RngCore, seen: &mut Seen, draws: u64) -> bool {
        seen.clear();
        // No batch is complete before its C-th draw.
        let head = seen.marks.len() as u64;
        match self {
            Self::Uniform(labels) => {
                let step = WORDS_PER_LOOK * labels.per_word();
                let draw = |seen: &mut Seen, count| {
                    let marks = &mut seen.marks[..];
                    labels.for_each(rng, count, |c| marks[c] = 1);
                };
                until_complete(seen, draws, head.next_multiple_of(labels.per_word()), step, draw)
            }
            Self::Alias(labels) => {
                let step = WORDS_PER_LOOK * labels.per_word();
                let draw = |seen: &mut Seen, count| {
                    let marks = &mut seen.marks[..];
                    labels.for_each(rng, count, |c| marks[c] = 1);
                };
                until_complete(seen, draws, head.next_multiple_of(labels.per_word()), step, draw)
            }
            Self::Population(labels) => {
                let step = WORDS_PER_LOOK * labels.per_word();
                let draw = |seen: &mut Seen, count| draw_items(labels, rng, seen, count, |_| ());
                until_complete(seen, draws, head, step, draw)
            }
        }
    }

    /// Whether one batch shows every class, and its Col.
    fn whole_batch(&self, rng: &mut impl RngCore, seen: &mut Seen, draws: u64) -> (bool, u64) {
        seen.clear();
        let (mut anchor, mut collisions) = (0, 0);
        match self {
            Self::Uniform(labels) => {
                labels.for_each(rng, 1, |c| anchor = c);
                let marks = &mut seen.marks[..];
                labels.for_each(rng, draws - 1, |c| {
                    marks[c] = 1;
                    collisions += u64::from(c == anchor);
                });
            }
            Self::Alias(labels) => {
                labels.for_each(rng, 1, |c| anchor = c);
                let marks = &mut seen.marks[..];
                labels.for_each(rng, draws - 1, |c| {
                    marks[c] = 1;
                    collisions += u64::from(c == anchor);
                });
            }
            Self::Population(labels) => {
                draw_items(labels, rng, seen, 1, |c| anchor = c);
                draw_items(labels, rng, seen, draws - 1, |c| collisions += u64::from(c == anchor));
            }
        }
        seen.marks[anchor] = 1;
        (seen.complete(), collisions)
    }
}

/// Draws `head` labels, then `step` at a time, until every class was seen or `draws` are drawn.
#[inline(always)]
fn until_complete(
    seen: &mut Seen,
    draws: u64,
    head: u64,
    step: u64,
    mut draw: impl FnMut(&mut Seen, u64),
) -> bool {
    let mut left = draws;
    let mut count = head.min(draws);
    while left > 0 {
        draw(seen, count);
        if seen.complete() {
            return true;
        }
        left -= count;
        count = step.min(left);
    }
    false
}

/// Draws `count` more items of a population without replacement and calls `visit` with their classes.
///
/// A class of M_c items owns C·M_c points of the table, C an item; of a class that gave x items the first C·x points
/// are used.
#[inline(always)]
fn draw_items(
    labels: &AliasLabels,
    rng: &mut impl RngCore,
    seen: &mut Seen,
    count: u64,
    mut visit: impl FnMut(usize),
) {
    let points_per_item = seen.marks.len() as u64;
    let mut left = count;
    while left > 0 {
        // Never more candidates than items that are wanted: each is taken or not as it comes.
        let mut taken = 0;
        labels.for_each_numbered(rng, left, |class, number| {
            if number >= seen.used[class] {
                seen.used[class] += points_per_item;
                seen.marks[class] = 1;
                taken += 1;
                visit(class);
            }
        });
        left -= taken;
    }
}
