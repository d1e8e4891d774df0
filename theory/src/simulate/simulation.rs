//! A request over several n, cut into parts that may be computed on different machines.
//!
//! The parts are the chunks of all n, numbered through; shard i of N computes those whose number leaves the remainder i.
//! So shards have the same work, along a range of n as well.

use super::certain::certain;
use super::plain;
use super::plan::{Cut, Plan};
use super::rare::{self, Scale};
use super::request::{Cost, Estimator, costs, refuse_above_limit};
use super::tally::{Part, Tally, Total, Totals};
use crate::error::Result;
use crate::prior::ClassPrior;
use crate::sampling::{NumDraws, Sampling};
use crate::shard::Shard;

/// What is to be simulated, once nothing is left to refuse but its cost.
#[derive(Debug, Clone)]
pub struct Simulation<'a> {
    estimator: Estimator,
    prior: &'a ClassPrior,
    sampling: Sampling,
    num_draws: Vec<NumDraws>,
    plan: Plan,
    points: Vec<Point>,
}

/// One n.
#[derive(Debug, Clone, Copy)]
struct Point {
    cost: Cost,
    /// None where nothing is drawn; that is one part, too.
    cut: Option<Cut>,
    /// Parts of the n before.
    before: u64,
}

impl Point {
    fn parts(self) -> u64 {
        self.cut.map_or(1, Cut::chunks)
    }

    /// The chunks of a shard.
    fn chunks(self, shard: Shard) -> impl Iterator<Item = u64> {
        shard.of_range(self.before..self.before + self.parts()).map(move |part| part - self.before)
    }
}

impl<'a> Simulation<'a> {
    /// A request; see [`check`](Self::check) for what it costs.
    ///
    /// # Errors
    /// What the estimator refuses at some of these n.
    pub fn new(
        estimator: Estimator,
        prior: &'a ClassPrior,
        sampling: Sampling,
        num_draws: &[NumDraws],
        plan: Plan,
    ) -> Result<Self> {
        let mut before = 0;
        let point = |cost: Cost| {
            let point = Point { cost, cut: cost.block.map(|labels| Cut::new(plan, labels)), before };
            before += point.parts();
            point
        };
        let points = costs(estimator, prior, sampling, num_draws, plan)?.into_iter().map(point).collect();
        Ok(Self { estimator, prior, sampling, num_draws: num_draws.to_vec(), plan, points })
    }

    /// Number of parts of all shards together.
    pub fn parts(&self) -> u64 {
        self.points.last().map_or(0, |point| point.before + point.parts())
    }

    /// Refuses a shard that would run for hours.
    ///
    /// # Errors
    /// It would draw more than 10¹³ labels, or class counts.
    pub fn check(&self, shard: Shard) -> Result<()> {
        let share = |point: &Point| {
            let own = shard.number_in(point.before..point.before + point.parts());
            own as f64 / point.parts() as f64
        };
        let costs = self.points.iter().map(|point| point.cost.share(share(point)));
        refuse_above_limit(costs.fold(Cost::NOTHING, Cost::plus), self.points.len(), self.plan, shard)
    }

    /// Computes the parts of a shard that `is_done` does not know, and hands over each with its number, in ascending
    /// order.
    pub fn run(&self, shard: Shard, is_done: impl Fn(u64) -> bool, mut found: impl FnMut(u64, Part)) {
        for (place, point) in self.points.iter().enumerate() {
            let chunks: Vec<u64> =
                point.chunks(shard).filter(|chunk| !is_done(point.before + chunk)).collect();
            if !chunks.is_empty() {
                self.draw(place, &chunks, |chunk, tally, scale| {
                    found(point.before + chunk, Part { place, chunk, tally, scale });
                });
            }
        }
    }

    /// Draws these chunks of one n.
    fn draw(&self, place: usize, chunks: &[u64], mut done: impl FnMut(u64, Tally, Option<Scale>)) {
        let (source, n, plan) = ((self.prior, self.sampling), self.num_draws[place], self.plan);
        let without_scale = |chunk, tally| done(chunk, tally, None);
        match (self.points[place].cut, self.estimator) {
            (Some(cut), Estimator::Coverage) => {
                plain::draw_coverage(source, n, plan, cut, chunks, without_scale);
            }
            (Some(cut), Estimator::Batches) => {
                plain::draw_batches(source, n, plan, cut, chunks, without_scale);
            }
            (Some(cut), Estimator::RareCoverage) => {
                rare::draw(source, n, plan, cut, chunks, |chunk, tally, scale| {
                    done(chunk, tally, Some(scale));
                });
            }
            (None, _) => {
                let scale = certain(self.prior, self.sampling, n)
                    .filter(|_| self.estimator == Estimator::RareCoverage)
                    .map(|ln_factor| Scale { ln_factor, largest: None });
                done(0, Tally { samples: plan.samples(), ..Tally::EMPTY }, scale);
            }
        }
    }
}

/// The result for one n, on this machine.
pub(super) fn whole(
    estimator: Estimator,
    prior: &ClassPrior,
    sampling: Sampling,
    num_draws: NumDraws,
    plan: Plan,
) -> Result<Total> {
    let simulation = Simulation::new(estimator, prior, sampling, &[num_draws], plan)?;
    simulation.check(Shard::WHOLE)?;
    let mut totals = Totals::new(estimator, &[num_draws], plan);
    let mut added = Ok(());
    simulation.run(
        Shard::WHOLE,
        |_| false,
        |_, part| {
            if added.is_ok() {
                added = totals.add(&part);
            }
        },
    );
    added.and_then(|()| totals.single())
}
