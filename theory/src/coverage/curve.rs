//! Whole curves n ↦ υ_n.
//!
//! Equal classes: the number of classes seen is a Markov chain, p_{n+1}(i) = p_n(i) i/C + p_n(i−1) (C−i+1)/C, and
//! without replacement from m items a class p_{n+1}(i) = (p_n(i)(im−n) + p_n(i−1)(C−i+1)m)/(Cm−n). All terms are
//! positive, so the relative error grows by 3 or 4 roundings a step and no faster; υ_n = p_n(C), 1−υ_n = Σ_{i<C}
//! p_n(i).
//!
//! The states form a band. Ahead, cells below 1e-300 are dropped (and counted), so that nothing is subnormal, which
//! would cost twenty times the time. Behind, cells i are dropped once Σ (C−i) p(i) is below 1e-22 of the rest: a chain
//! that is behind completes no sooner than one ahead, and with C−i classes missing it is incomplete at most C−i times
//! as often as with one.
//!
//! Where υ_n or 1−υ_n is below 1e-280 each value is a contour sum of its own; for unequal classes neighbouring n share
//! one ([`SharedContours`]).

use super::urn::{self, Urn};
use super::{Method, SharedContours};
use crate::double_double::Dd;
use crate::error::{Error, Result};
use crate::prior::ClassPrior;
use crate::probability::Probability;
use crate::sampling::{NumDraws, Sampling};
use std::ops::RangeInclusive;

/// One value of a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// n.
    pub draws: u64,
    /// υ_n, with both tails and error bounds.
    pub probability: Probability,
    /// How it was found.
    pub method: Method,
}

/// Longest curve that is computed.
pub const MAX_POINTS: u64 = 2_000_000;
/// States below this are dropped ahead of the band.
const SMALLEST_CELL: f64 = 1e-300;
/// Values below this are left to the contour sum.
const SMALLEST_VALUE: f64 = 1e-280;

/// υ_n for every n of `draws`, in order.
///
/// Equal classes: relative error below 1e-12 for n up to 1e4 (the returned bound is 3 to 4 half ulps a draw), in about
/// 10 √C operations a draw; other priors: as [`SharedContours`] for every n.
///
/// # Errors
/// An empty range, one from 0 or of more than 2·10⁶ values; draws that `sampling` cannot make.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, Sampling, coverage};
/// let curve = coverage::curve(&ClassPrior::uniform(2)?, Sampling::WithReplacement, 1..=4)?;
/// let values: Vec<f64> = curve.iter().map(|point| point.probability.value()).collect();
/// assert_eq!(values, [0.0, 0.5, 0.75, 0.875]);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn curve(prior: &ClassPrior, sampling: Sampling, draws: RangeInclusive<u64>) -> Result<Vec<CurvePoint>> {
    let (first, last) = (*draws.start(), *draws.end());
    NumDraws::new(first)?;
    sampling.check(prior, NumDraws::new(last)?)?;
    if first > last {
        return Err(Error::argument(format!("the range {first}..{last} of draws is empty")));
    }
    if last - first >= MAX_POINTS {
        return Err(Error::argument(format!(
            "a curve of {} values exceeds the limit of {MAX_POINTS}",
            last - first + 1
        )));
    }
    let required = urn::weight_groups(prior, sampling, None);
    let population = urn::population(prior, sampling);
    let total = population.map_or(Dd::ONE, Dd::from);
    let single = |n: u64| -> Result<CurvePoint> {
        let (probability, method) = Urn::new(population, total, 0.0, &required, n).coverage()?;
        Ok(CurvePoint { draws: n, probability, method })
    };
    let classes = prior.num_classes() as f64;
    // A cell of the band takes about 0.5 ns, a contour sum about 5 µs.
    let cells = last as f64 * (40.0 * classes.sqrt()).min(classes);
    if !prior.is_uniform() {
        let mut contours = SharedContours::new(prior, sampling)?;
        let point = |draws: u64| {
            let (probability, method) = contours.at(NumDraws::new(draws)?)?;
            Ok(CurvePoint { draws, probability, method })
        };
        return (first..=last).map(point).collect();
    }
    if prior.num_classes() < 2 || cells > 1e4 * (last - first + 1) as f64 {
        return (first..=last).map(single).collect();
    }
    let items = population.map(|all| all / classes);
    let mut chain = Chain::new(prior.num_classes() as usize, items);
    let mut points = Vec::with_capacity((last - first + 1) as usize);
    for n in 1..=last {
        let value = if chain.exhausted { None } else { chain.value() };
        if n >= first {
            points.push(match value {
                Some(probability) => CurvePoint { draws: n, probability, method: Method::Recurrence },
                None => single(n)?,
            });
        }
        if !chain.exhausted {
            chain.step();
        }
    }
    Ok(points)
}

/// The law of the number of classes seen after n draws.
struct Chain {
    classes: usize,
    /// m, without replacement.
    items: Option<f64>,
    draws: f64,
    /// `law[i]` = P(i classes seen) for i in `low..=high`; 0 right outside.
    law: Vec<f64>,
    next: Vec<f64>,
    /// Weights of staying at i and of moving there from i−1, up to the factor 1/(M−n).
    stay: Vec<f64>,
    enter: Vec<f64>,
    low: usize,
    high: usize,
    /// Mass dropped ahead of the band.
    lost: f64,
    /// 1−υ went below the range of the recurrence, or the population leaves nothing to compute.
    exhausted: bool,
}

impl Chain {
    fn new(classes: usize, items: Option<f64>) -> Self {
        let c = classes as f64;
        // Independent draws: probabilities; without replacement: items, exact integers.
        let (unit, per_class) = items.map_or((c, 1.0), |m| (1.0, m));
        let stay = (0..classes + 2).map(|i| i as f64 * per_class / unit).collect();
        let enter = (0..classes + 2).map(|i| (c - i as f64 + 1.0).max(0.0) * per_class / unit).collect();
        let mut law = vec![0.0; classes + 2];
        law[1] = 1.0;
        let next = vec![0.0; classes + 2];
        let exhausted = items == Some(1.0);
        Self { classes, items, draws: 1.0, law, next, stay, enter, low: 1, high: 1, lost: 0.0, exhausted }
    }

    fn step(&mut self) {
        let high = (self.high + 1).min(self.classes);
        let low = self.low;
        let cells = self.next[low..=high].iter_mut().zip(&self.law[low..=high]).zip(&self.law[low - 1..high]);
        let weights = self.stay[low..=high].iter().zip(&self.enter[low..=high]);
        match self.items {
            None => {
                for (((next, own), before), (stay, enter)) in cells.zip(weights) {
                    *next = own * stay + before * enter;
                }
            }
            Some(m) => {
                let (drawn, scale) = (self.draws, 1.0 / (self.classes as f64 * m - self.draws));
                for (((next, own), before), (stay, enter)) in cells.zip(weights) {
                    *next = (own * (stay - drawn) + before * enter) * scale;
                }
            }
        }
        std::mem::swap(&mut self.law, &mut self.next);
        self.draws += 1.0;
        self.high = high;
        self.law[low - 1] = 0.0;
        while self.high > low && self.law[self.high] < SMALLEST_CELL && self.high < self.classes + 1 {
            self.lost += self.law[self.high];
            self.law[self.high] = 0.0;
            self.high -= 1;
        }
        self.law[self.high + 1] = 0.0;
        if self.draws % 8.0 == 0.0 {
            self.drop_behind();
        }
        // Without replacement the last m draws have closed forms.
        if self.items.is_some_and(|m| self.draws >= (self.classes as f64 - 1.0) * m) {
            self.exhausted = true;
        }
    }

    fn drop_behind(&mut self) {
        let end = self.high.min(self.classes - 1);
        let mass: f64 = self.law[self.low..=end.max(self.low)].iter().sum();
        let mut dropped = 0.0;
        while self.low < end {
            dropped += self.law[self.low] * (self.classes - self.low) as f64;
            if dropped > 1e-22 * mass {
                break;
            }
            self.law[self.low] = 0.0;
            self.low += 1;
        }
    }

    /// υ_n, where both sides are within the range of the recurrence.
    fn value(&mut self) -> Option<Probability> {
        if self.high < self.classes || self.law[self.classes] < SMALLEST_VALUE {
            return None;
        }
        const EPS: f64 = f64::EPSILON;
        let covered = self.law[self.classes];
        let roundings = if self.items.is_some() { 2.0 } else { 1.5 };
        let error = EPS * (roundings * self.draws + 2.0) + 1e-22 * self.draws;
        let covered_error = error + self.lost / covered;
        if covered < 0.5 {
            return Some(Probability::from_value(covered, covered_error));
        }
        let mut missing = 0.0;
        for &p in self.law[self.low..self.classes].iter().rev() {
            missing += p;
            if p < 1e-19 * missing {
                break;
            }
        }
        if missing < SMALLEST_VALUE {
            self.exhausted = true;
            return None;
        }
        let missing_error = error + 10.0 * EPS;
        Some(Probability::from_value(missing, missing_error).opposite())
    }
}
