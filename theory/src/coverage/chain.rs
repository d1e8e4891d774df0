//! Coverage of equal classes at one n after the other.
//!
//! The number of classes seen is a Markov chain, p_{n+1}(i) = p_n(i) i/C + p_n(i−1) (C−i+1)/C, and without replacement
//! from m items a class p_{n+1}(i) = (p_n(i)(im−n) + p_n(i−1)(C−i+1)m)/(Cm−n). All terms are positive, so the relative
//! error grows by 3 or 4 roundings a step and no faster; υ_n = p_n(C), 1−υ_n = Σ_{i<C} p_n(i).
//!
//! The states form a band. Ahead, cells below 1e-300 are dropped (and counted), so that nothing is subnormal, which
//! would cost twenty times the time. Behind, cells i are dropped once Σ (C−i) p(i) is below 1e-22 of the rest: a chain
//! that is behind completes no sooner than one ahead, and with C−i classes missing it is incomplete at most C−i times
//! as often as with one.
//!
//! Beside the chain go the first terms of 1−υ_n = Σ_{j≥1} (−1)^{j+1} t_j, t_j = binom(C, j) P(j given classes are
//! missing), each of which is multiplied by 1 − j/C, or (M−jm−n)/(M−n), a draw: two roundings, with a bound of its
//! relative error of n ε. Once t_1 < 1e-3 the sum cannot cancel, t_{j+1} ≤ t_1^{j+1}/(j+1)! makes six terms exact to
//! 1e-22 of the first, and the chain is no longer needed.

use super::many::Smaller;
use super::urn;
use crate::prior::ClassPrior;
use crate::sampling::Sampling;

/// States below this are dropped ahead of the band.
const SMALLEST_CELL: f64 = 1e-300;
/// Values below this are left to the contour sum.
const SMALLEST_VALUE: f64 = 1e-280;
/// Terms of inclusion–exclusion, and the first of them below which they are enough.
const TERMS: usize = 6;
const FEW_MISSING: f64 = 1e-3;

/// The law of the number of classes seen after n draws, and the terms of inclusion–exclusion.
pub(super) struct Chain {
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
    /// t_j for j = 1, …, and what multiplies each at a draw: 1 − j/C, or jm without replacement.
    terms: [f64; TERMS],
    factors: [f64; TERMS],
    /// How many of them matter.
    kept: usize,
    /// 1−υ went below the range of the recurrence, or the population leaves nothing to compute.
    exhausted: bool,
}

impl Chain {
    /// At n = 1; of equal classes only, and of two at least.
    pub fn new(prior: &ClassPrior, sampling: Sampling) -> Option<Self> {
        if !prior.is_uniform() || prior.num_classes() < 2 {
            return None;
        }
        let classes = prior.num_classes() as usize;
        let c = classes as f64;
        let items = urn::population(prior, sampling).map(|all| all / c);
        // Independent draws: probabilities; without replacement: items, exact integers.
        let (unit, per_class) = items.map_or((c, 1.0), |m| (1.0, m));
        let stay = (0..classes + 2).map(|i| i as f64 * per_class / unit).collect();
        let enter = (0..classes + 2).map(|i| (c - i as f64 + 1.0).max(0.0) * per_class / unit).collect();
        let mut law = vec![0.0; classes + 2];
        law[1] = 1.0;
        let next = vec![0.0; classes + 2];
        let exhausted = items == Some(1.0);
        let of_term = |place: usize| place as f64 + 1.0;
        let factors = std::array::from_fn(|place| {
            items.map_or((c - of_term(place)).max(0.0) / c, |m| of_term(place) * m)
        });
        // binom(C, j) before the first draw.
        let mut binomial = 1.0;
        let terms = std::array::from_fn(|place| {
            binomial *= (c - place as f64).max(0.0) / of_term(place);
            binomial
        });
        let (draws, low, high, lost, kept) = (0.0, 1, 1, 0.0, TERMS);
        let mut chain = Self {
            classes,
            items,
            draws,
            law,
            next,
            stay,
            enter,
            low,
            high,
            lost,
            terms,
            factors,
            kept,
            exhausted,
        };
        chain.step_terms();
        chain.draws = 1.0;
        Some(chain)
    }

    /// A bound of the cells that the steps up to n = `last` go over.
    pub fn cells(&self, last: u64) -> f64 {
        let classes = self.classes as f64;
        // From t_1 ≈ C e^{−n/C} = 1e-3 on there are the terms alone.
        let band = (last as f64).min(classes * (classes.ln() + 7.0));
        band * (40.0 * classes.sqrt()).min(classes) + TERMS as f64 * last as f64
    }

    /// One draw more.
    pub fn step(&mut self) {
        if self.exhausted {
            return;
        }
        if self.terms[0] >= FEW_MISSING {
            self.step_law();
        }
        self.step_terms();
        self.draws += 1.0;
        // Without replacement the last m draws have closed forms.
        let end = self.items.map_or(f64::INFINITY, |m| (self.classes as f64 - 1.0) * m);
        self.exhausted = self.draws >= end || self.terms[0] < SMALLEST_VALUE;
    }

    #[inline]
    fn step_terms(&mut self) {
        let terms = self.terms[..self.kept].iter_mut().zip(&self.factors);
        match self.items {
            None => terms.for_each(|(term, factor)| *term *= factor),
            Some(m) => {
                let left = self.classes as f64 * m - self.draws;
                // Fewer items left than these classes have: they cannot all be missing.
                terms.for_each(|(term, items)| *term *= (left - items).max(0.0) / left);
            }
        }
        while self.kept > 1 && self.terms[self.kept - 1] < 1e-22 * self.terms[0] {
            self.kept -= 1;
        }
    }

    fn step_law(&mut self) {
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
        self.high = high;
        self.law[low - 1] = 0.0;
        while self.high > low && self.law[self.high] < SMALLEST_CELL && self.high < self.classes + 1 {
            self.lost += self.law[self.high];
            self.law[self.high] = 0.0;
            self.high -= 1;
        }
        self.law[self.high + 1] = 0.0;
        if self.draws % 8.0 == 7.0 {
            self.drop_behind();
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

    /// υ_n by its smaller side, or the one that has it, where both are within the range of the recurrence.
    #[inline]
    pub fn value(&self) -> Option<Smaller> {
        const EPS: f64 = f64::EPSILON;
        if self.exhausted {
            return None;
        }
        if self.terms[0] < FEW_MISSING {
            let terms = self.terms[..self.kept].iter().rev();
            let value = terms.fold(0.0, |beyond, term| term - beyond);
            // The terms' own errors count by Σ t_j / (1−υ) < 1.003.
            return Some(Smaller { value, error: EPS * (1.01 * self.draws + 16.0), is_complement: true });
        }
        if self.high < self.classes || self.law[self.classes] < SMALLEST_VALUE {
            return None;
        }
        let covered = self.law[self.classes];
        let roundings = if self.items.is_some() { 2.0 } else { 1.5 };
        let error = EPS * (roundings * self.draws + 2.0) + 1e-22 * self.draws;
        if covered < 0.5 {
            return Some(Smaller {
                value: covered,
                error: error + self.lost / covered,
                is_complement: false,
            });
        }
        let mut missing = 0.0;
        for &p in self.law[self.low..self.classes].iter().rev() {
            missing += p;
            if p < 1e-19 * missing {
                break;
            }
        }
        Some(Smaller { value: missing, error: error + 10.0 * EPS, is_complement: true })
    }
}
