//! Probabilities about the K negatives given the anchor's class c, minimised over c.
//!
//! Independent draws: P(j is not shown) = (1−π_j)^K, and (1 − π_j/(1−π_c))^K given Col = 0. Distinct images: the anchor
//! takes one of the M_c images, and K of the other M−1 are drawn: P(j ≠ c is not shown) = binom(M−1−M_j, K)/binom(M−1,
//! K), and binom(M−M_c−M_j, K)/binom(M−M_c, K) given Col = 0.

use super::{Outcome, Ratio};
use crate::collision;
use crate::coverage;
use crate::losses::LossComponents;
use crate::prior::{ClassPrior, Group};
use crate::probability::ln_one_minus_exp;
use crate::sampling::{NumDraws, NumNegatives, Sampling};

/// The law of the negatives' labels.
pub(super) struct Negatives {
    pub prior: ClassPrior,
    pub sampling: Sampling,
    pub count: NumNegatives,
}

impl Negatives {
    /// Of a measurement whose prior was checked.
    pub fn new(losses: &LossComponents, prior: ClassPrior) -> Self {
        Self { prior, sampling: losses.sampling, count: losses.num_draws.negatives() }
    }

    fn population(&self) -> Option<u64> {
        self.prior.population().filter(|_| self.sampling == Sampling::WithoutReplacement)
    }

    /// The rarest class other than one of `group`.
    fn rarest_other(&self, group: &Group) -> Group {
        let groups = self.prior.groups();
        let last = groups.len() - 1;
        let is_alone = groups[last] == *group && group.multiplicity == 1;
        groups[if is_alone && last > 0 { last - 1 } else { last }]
    }

    /// ln P(the rarest class other than the anchor's is shown), smallest over the anchor's class.
    pub fn ln_shown(&self) -> Result<f64, Outcome> {
        let rarest = &self.prior.groups()[self.prior.groups().len() - 1];
        let ln_missing = match (self.population(), rarest.count) {
            (Some(total), Some(own)) => coverage::ln_none_of(total - 1, own, self.count.get()).0,
            _ => self.count.get() as f64 * rarest.ln_others(),
        };
        positive(ln_one_minus_exp(-ln_missing), "no negative shows another class")
    }

    /// ln P(Col = 0), given the anchor's class.
    fn ln_no_collision(&self, group: &Group) -> f64 {
        collision::ln_no_collision(&self.prior, group, self.sampling, self.count).0
    }

    /// ln of P(Col = 0) P(the rarest other class is shown | Col = 0), smallest over the anchor's class.
    pub fn ln_shown_without_collision(&self) -> Result<f64, Outcome> {
        let of_group = |group: &Group| {
            let other = self.rarest_other(group);
            let ln_missing = match (self.population(), group.count, other.count) {
                (Some(total), Some(own), Some(rarest)) if self.count.get() <= total - own => {
                    coverage::ln_none_of(total - own, rarest, self.count.get()).0
                }
                (Some(_), ..) => 0.0,
                _ => self.count.get() as f64 * (-other.probability / group.others).ln_1p(),
            };
            self.ln_no_collision(group) + ln_one_minus_exp(-ln_missing)
        };
        positive(self.smallest(of_group), "every batch has a collision: 1−τ = 0")
    }

    /// ln P(Col = 0 and the negatives show every other class), smallest over the anchor's class.
    pub fn ln_covered_without_collision(&self) -> Result<f64, Outcome> {
        let counts = self.prior.counts().unwrap_or_default();
        let draws = NumDraws::new(self.count.get())?;
        let mut smallest = f64::INFINITY;
        for group in self.prior.groups() {
            let ln_alone = self.ln_no_collision(group);
            if ln_alone == f64::NEG_INFINITY {
                return Err(Outcome::Undefined("every batch has a collision: 1−τ = 0".into()));
            }
            let mut others = counts.to_vec();
            if let Some(place) = others.iter().position(|&m| Some(m) == group.count) {
                others.swap_remove(place);
            }
            let cover = coverage::probability(&ClassPrior::from_counts(others)?, self.sampling, draws)?;
            smallest = smallest.min(ln_alone + cover.ln());
        }
        positive(smallest, "no batch without a collision shows every class")
    }

    fn smallest(&self, of: impl Fn(&Group) -> f64) -> f64 {
        self.prior.groups().iter().map(of).fold(f64::INFINITY, f64::min)
    }
}

fn positive(ln: f64, otherwise: &str) -> Result<f64, Outcome> {
    if ln == f64::NEG_INFINITY { Err(Outcome::Undefined(otherwise.into())) } else { Ok(ln) }
}

/// `numerator` over a probability given by its logarithm.
pub(super) fn ratio(numerator: f64, ln_denominator: Result<f64, Outcome>) -> Result<Ratio, Outcome> {
    Ok(Ratio { numerator, ln_denominator: ln_denominator? })
}
