//! One coverage question: which classes must be seen, what else may be drawn, how often.
//!
//! All of υ, the class-conditional υ^{(−c)} and P(T = n) are coefficients of the same two generating functions; they
//! differ in which classes are required and in the weight of the rest.

use super::factorial::stirling;
use crate::double_double::Dd;
use crate::prior::{ClassPrior, Group};
use crate::sampling::Sampling;
use std::f64::consts::TAU;

/// Which base law the draws have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Base {
    /// Independent draws; weights are class probabilities.
    Poisson,
    /// Draws without replacement from this many items; weights are items per class.
    Binomial { population: f64 },
}

/// Classes of equal weight.
#[derive(Debug, Clone, Copy)]
pub(super) struct WeightGroup {
    pub weight: Dd,
    /// 1 − π with its own digits (independent draws).
    pub others: f64,
    pub multiplicity: f64,
}

/// A coverage question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Urn<'a> {
    pub base: Base,
    /// W: weight of all that may be drawn.
    pub total: Dd,
    /// Weight of what may be drawn but need not be.
    pub free: f64,
    /// The classes that must be drawn, the heaviest first.
    pub required: &'a [WeightGroup],
    pub num_required: f64,
    pub draws: f64,
}

/// The classes of `prior` in weights of `sampling`, less one class of the group `without`.
pub(super) fn weight_groups(
    prior: &ClassPrior,
    sampling: Sampling,
    without: Option<usize>,
) -> Vec<WeightGroup> {
    let weight = |g: &Group| match sampling {
        Sampling::WithReplacement => g.precise,
        Sampling::WithoutReplacement => Dd::from(g.count.unwrap_or(1) as f64),
    };
    let of_group = |(i, g): (usize, &Group)| WeightGroup {
        weight: weight(g),
        others: g.others,
        multiplicity: g.multiplicity as f64 - if without == Some(i) { 1.0 } else { 0.0 },
    };
    prior.groups().iter().enumerate().map(of_group).filter(|g| g.multiplicity > 0.0).collect()
}

/// M without replacement, where `prior` has counts.
pub(super) fn population(prior: &ClassPrior, sampling: Sampling) -> Option<f64> {
    (sampling == Sampling::WithoutReplacement).then(|| prior.population()).flatten().map(|m| m as f64)
}

impl<'a> Urn<'a> {
    /// Draws that must show all of `required`; `total` and `population` count what is drawn from.
    pub fn new(
        population: Option<f64>,
        total: Dd,
        free: f64,
        required: &'a [WeightGroup],
        draws: u64,
    ) -> Self {
        let base = population.map_or(Base::Poisson, |population| Base::Binomial { population });
        let num_required = required.iter().map(|g| g.multiplicity).sum();
        Self { base, total, free, required, num_required, draws: draws as f64 }
    }

    /// M, without replacement.
    pub fn population(&self) -> Option<f64> {
        match self.base {
            Base::Poisson => None,
            Base::Binomial { population } => Some(population),
        }
    }

    /// The smallest weight that is required.
    pub fn lightest(&self) -> f64 {
        self.required.last().map_or(0.0, |g| g.weight.hi)
    }

    /// (factor, exponent): n! r^{−n} e^{WL}, or r^{−n} e^{WL} / binom(M, n), is factor · e^exponent.
    pub fn normalisation(&self, radius: Dd, ell: Dd) -> (f64, Dd) {
        let n = self.draws;
        let all = Dd::from(n);
        match self.base {
            Base::Poisson => {
                let exponent = (all / radius).ln() * n + (self.total * radius - all) + Dd::from(stirling(n));
                ((TAU * n).sqrt(), exponent)
            }
            Base::Binomial { population } => {
                let rest = population - n;
                let entropy = (all / (radius * population)).ln() * n
                    + (Dd::from(rest) / Dd::from(population)).ln() * rest;
                let delta = stirling(n) + stirling(rest) - stirling(population);
                let factor = (TAU * n * (rest / population)).sqrt();
                (factor, entropy + self.total * ell + Dd::from(delta))
            }
        }
    }

    /// Size of the parts that `normalisation` adds.
    pub fn normalisation_size(&self) -> f64 {
        match self.base {
            Base::Poisson => 0.0,
            Base::Binomial { population } => population * (1.0 + population.ln()),
        }
    }
}

/// factor · e^exponent, with a bound of its relative error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scaled {
    pub factor: f64,
    pub exponent: Dd,
    pub error: f64,
}
