//! What samples showed, chunk by chunk, and what all of them together say.
//!
//! Floats are merged in one order: blocks within their chunk, then chunks. So results of chunks from several machines
//! add up to the very bits of one machine.

use super::interval::{Mean, Proportion};
use super::plain::Batches;
use super::plan::Plan;
use super::rare::{RareEstimate, Scale};
use super::request::Estimator;
use crate::error::{Error, Result};
use crate::sampling::NumDraws;
use serde::{Deserialize, Serialize};

/// Counts and weights of some samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tally {
    pub(super) samples: u64,
    pub(super) covered: u64,
    pub(super) collided: u64,
    /// Of ln(1+Col), or of weights.
    pub(super) mean: Mean,
}

impl Tally {
    pub(super) const EMPTY: Self = Self { samples: 0, covered: 0, collided: 0, mean: Mean::EMPTY };

    pub(super) fn merge(&mut self, other: Self) {
        self.samples += other.samples;
        self.covered += other.covered;
        self.collided += other.collided;
        self.mean.merge(other.mean);
    }
}

/// What the samples of one chunk of one n showed: a part of the result that can be kept in a file.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "Record", into = "Record")]
pub struct Part {
    /// Place of n among those of the request.
    pub(super) place: usize,
    pub(super) chunk: u64,
    pub(super) tally: Tally,
    /// Of rare coverage.
    pub(super) scale: Option<Scale>,
}

/// A part as it is written: n, chunk, samples, covered, collided, mean and squares, samples of the mean; scale.
#[derive(Clone, Serialize, Deserialize)]
struct Record(usize, u64, [u64; 4], [Exact; 2], Option<(Exact, Option<Exact>)>);

/// A float as the shortest decimal that reads back as the same bits; −∞ has one, too.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Exact(f64);

impl From<Exact> for String {
    fn from(Exact(value): Exact) -> Self {
        format!("{value:?}")
    }
}

impl TryFrom<String> for Exact {
    type Error = std::num::ParseFloatError;

    fn try_from(text: String) -> std::result::Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

impl From<Part> for Record {
    fn from(part: Part) -> Self {
        let Tally { samples, covered, collided, mean } = part.tally;
        let (center, squares) = mean.parts();
        let scale = part.scale.map(|scale| (Exact(scale.ln_factor), scale.largest.map(Exact)));
        let counts = [samples, covered, collided, mean.samples()];
        Self(part.place, part.chunk, counts, [Exact(center), Exact(squares)], scale)
    }
}

impl From<Record> for Part {
    fn from(Record(place, chunk, counts, [center, squares], scale): Record) -> Self {
        let [samples, covered, collided, of_mean] = counts;
        let mean = Mean::from_parts(of_mean, (center.0, squares.0));
        let scale =
            scale.map(|(factor, largest)| Scale { ln_factor: factor.0, largest: largest.map(|Exact(l)| l) });
        Self { place, chunk, tally: Tally { samples, covered, collided, mean }, scale }
    }
}

/// What all parts of a request say together.
#[derive(Debug, Clone)]
pub struct Totals {
    estimator: Estimator,
    plan: Plan,
    points: Vec<Total>,
}

/// All that is known of one n.
#[derive(Debug, Clone, Copy)]
pub(super) struct Total {
    num_draws: NumDraws,
    tally: Tally,
    scale: Option<Scale>,
    chunks: u64,
}

/// The result for one n.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Estimate {
    /// Of [`coverage`](super::coverage()).
    Coverage(Proportion),
    /// Of [`batches`](super::batches()).
    Batches(Batches),
    /// Of [`rare_coverage`](super::rare_coverage()).
    Rare(RareEstimate),
}

impl Totals {
    /// Nothing yet.
    pub fn new(estimator: Estimator, num_draws: &[NumDraws], plan: Plan) -> Self {
        let point = |&num_draws| Total { num_draws, tally: Tally::EMPTY, scale: None, chunks: 0 };
        Self { estimator, plan, points: num_draws.iter().map(point).collect() }
    }

    /// Adds the next part: those of one n in the order of their chunks.
    ///
    /// # Errors
    /// It is not the next, or its n is none of the request, or it was weighed on another scale, which machines with
    /// different mathematical libraries do.
    pub fn add(&mut self, part: &Part) -> Result<()> {
        let point = self.points.get_mut(part.place).filter(|point| point.chunks == part.chunk);
        let Some(point) = point else {
            return Err(Error::argument(format!(
                "part {} of the {}th number of draws is not the next",
                part.chunk, part.place
            )));
        };
        if point.scale.is_some() && point.scale != part.scale {
            return Err(Error::argument(format!(
                "at {} draws the machines computed the scale of the samples differently: their logarithms differ",
                point.num_draws
            )));
        }
        point.scale = part.scale;
        point.chunks += 1;
        point.tally.merge(part.tally);
        Ok(())
    }

    /// The results, in the order of the request.
    ///
    /// # Errors
    /// Samples are missing.
    pub fn estimates(&self) -> Result<Vec<(NumDraws, Estimate)>> {
        let estimate = |point: &Total| {
            if point.tally.samples != self.plan.samples() {
                return Err(Error::argument(format!(
                    "{} of {} samples at {} draws are there",
                    point.tally.samples,
                    self.plan.samples(),
                    point.num_draws
                )));
            }
            let found = match self.estimator {
                Estimator::Coverage => Estimate::Coverage(point.proportion()?),
                Estimator::Batches => Estimate::Batches(point.batches()?),
                Estimator::RareCoverage => Estimate::Rare(point.rare()?),
            };
            Ok((point.num_draws, found))
        };
        self.points.iter().map(estimate).collect()
    }

    /// That of the only n.
    pub(super) fn single(&self) -> Result<Total> {
        self.points.first().copied().ok_or_else(|| Error::argument("a request without numbers of draws"))
    }
}

impl Total {
    pub(super) fn proportion(&self) -> Result<Proportion> {
        Proportion::new(self.tally.covered, self.tally.samples)
    }

    pub(super) fn batches(&self) -> Result<Batches> {
        Batches::of(self.tally, self.num_draws)
    }

    pub(super) fn rare(&self) -> Result<RareEstimate> {
        let scale = self.scale.ok_or_else(|| Error::argument("weights without a scale"))?;
        Ok(RareEstimate::of(self.tally, scale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_written_and_read_bit_for_bit() {
        let mut mean = Mean::EMPTY;
        [0.1, 1e-310, 0.3, 2.0f64.ln()].into_iter().for_each(|value| mean.push(value));
        let tally = Tally { samples: 4, covered: 3, collided: 1, mean };
        for scale in [
            None,
            Some(Scale { ln_factor: f64::NEG_INFINITY, largest: None }),
            Some(Scale { ln_factor: -731.25, largest: Some(1.0 / 3.0) }),
        ] {
            let part = Part { place: 2, chunk: 1023, tally, scale };
            let text = serde_json::to_string(&part).unwrap();
            assert_eq!(serde_json::from_str::<Part>(&text).unwrap(), part, "{text}");
        }
    }

    #[test]
    fn parts_come_in_order_and_completely() {
        let draws = [5, 6].map(|n| NumDraws::new(n).unwrap());
        let mut totals = Totals::new(Estimator::Coverage, &draws, Plan::new(10, 7).unwrap());
        let tally = Tally { samples: 5, covered: 2, ..Tally::EMPTY };
        let part = |place, chunk| Part { place, chunk, tally, scale: None };
        assert!(totals.add(&part(0, 1)).is_err() && totals.add(&part(2, 0)).is_err());
        for part in [part(0, 0), part(0, 1), part(1, 0)] {
            totals.add(&part).unwrap();
        }
        let missing = totals.estimates().unwrap_err().to_string();
        assert_eq!(missing, "5 of 10 samples at 6 draws are there");
        totals.add(&part(1, 1)).unwrap();
        assert_eq!(totals.estimates().unwrap().len(), 2);
    }
}
