//! υ_n for many n: neighbouring n share the contour sum's radius and its nodes.
//!
//! The identity of the contour sum holds at every radius, and at one radius n enters only as a turn e^{−int} of each node
//! and in the factor n! r^{−n}. So the nodes, which take an evaluation for every distinct class size each, are made once
//! for a block of n around the one whose saddle point the radius is, and every n of the block adds them up again, with
//! the error bound of its own. Blocks are about two standard deviations σ of the tilted law wide: away from its mean by
//! δσ, P_r(N = n) is smaller by e^{−δ²/2}, and the relative error larger by as much. Where a bound comes out above four
//! times that of the block's middle and 1e-14, the n gets a radius of its own.
//!
//! Which n share a block depends on n alone, not on which others are asked for.

use super::Method;
use super::contour::{self, Contour, Fixed, Partial, Radius, first_points, is_enough};
use super::tilt::{Side, Tails, saddle};
use super::urn::{self, Scaled, Urn, WeightGroup};
use crate::double_double::Dd;
use crate::error::Result;
use crate::prior::ClassPrior;
use crate::probability::Probability;
use crate::sampling::{NumDraws, Sampling};

/// A bound of the relative error that is good enough anywhere.
const ENOUGH: f64 = 1e-14;

/// υ_n for any n, at a fraction of the cost where neighbouring n are asked for one after the other.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, NumDraws, Sampling, coverage};
/// let prior = ClassPrior::from_counts((1..=50).collect())?;
/// let mut contours = coverage::SharedContours::new(&prior, Sampling::WithReplacement)?;
/// for n in 400..420 {
///     let (shared, _) = contours.at(NumDraws::new(n)?)?;
///     let alone = coverage::probability(&prior, Sampling::WithReplacement, NumDraws::new(n)?)?;
///     assert!((shared.value() / alone.value() - 1.0).abs() < 1e-14);
/// }
/// # Ok::<(), theory::Error>(())
/// ```
pub struct SharedContours {
    prior: ClassPrior,
    sampling: Sampling,
    required: Vec<WeightGroup>,
    population: Option<f64>,
    /// The last block of each side.
    lower: Option<Block>,
    upper: Option<Block>,
}

/// One radius with its nodes.
struct Block {
    /// First n, and how many.
    place: (u64, u64),
    radius: Radius,
    tails: Tails,
    points: f64,
    nodes: Vec<Fixed>,
    dropped: f64,
    /// Error bound in its middle.
    error: f64,
}

impl SharedContours {
    /// For draws from `prior`.
    ///
    /// # Errors
    /// Draws without replacement from a prior that has no counts.
    pub fn new(prior: &ClassPrior, sampling: Sampling) -> Result<Self> {
        sampling.check(prior, NumDraws::new(1)?)?;
        Ok(Self {
            prior: prior.clone(),
            sampling,
            required: urn::weight_groups(prior, sampling, None),
            population: urn::population(prior, sampling),
            lower: None,
            upper: None,
        })
    }

    /// υ at `num_draws` = n with both tails, as [`evaluate`](super::evaluate), which it equals within the bounds of both.
    ///
    /// # Errors
    /// As for [`probability`](super::probability()).
    pub fn at(&mut self, num_draws: NumDraws) -> Result<(Probability, Method)> {
        self.sampling.check(&self.prior, num_draws)?;
        let total = self.population.map_or(Dd::ONE, Dd::from);
        let urn = Urn::new(self.population, total, 0.0, &self.required, num_draws.get());
        let (lower, upper) = (&mut self.lower, &mut self.upper);
        urn.coverage_by(&mut |side| {
            let block = if side == Side::Lower { &mut *lower } else { &mut *upper };
            let place = place(&urn, num_draws.get());
            if block.as_ref().is_none_or(|block| block.place != place) {
                *block = Some(Block::new(&urn, side, place));
            }
            match block.as_ref().and_then(|block| block.solve(&urn, side)) {
                Some(found) => found,
                None => contour::solve(&urn, side),
            }
        })
    }
}

/// The block of n: first value and length, a power of two of at most 2σ. N−C is near a Poisson variable for n near C, and
/// N for n far above it; without replacement the variance also has the factor 1 − n/M.
fn place(urn: &Urn, n: u64) -> (u64, u64) {
    let rest = urn.population().map_or(1.0, |all| 1.0 - urn.draws / all);
    let deviation = ((urn.draws - urn.num_required + 1.0) * rest).max(1.0).sqrt();
    let width = 1u64 << (2.0 * deviation).log2() as u32;
    (n - n % width, width)
}

impl Block {
    fn new(urn: &Urn, side: Side, place: (u64, u64)) -> Self {
        // The middle, but where contour sums are for.
        let last = urn.population().map_or(f64::INFINITY, |all| all - urn.lightest() - 1.0);
        let middle = ((place.0 + place.1 / 2) as f64).min(last).max(urn.num_required + 1.0);
        let centre = Urn { draws: middle, ..*urn };
        let (tilt, variance) = saddle(&centre, side);
        let contour = Contour::new(&centre, side, tilt);
        let mut points = first_points(variance);
        loop {
            let odd = points + 1.0 - points % 2.0;
            let mut nodes = Vec::new();
            let mut partial = Partial::new(contour.radius.offset(&centre));
            let dropped = contour.visit(odd, |node| {
                partial.add(node);
                nodes.push(*node);
            });
            let tails = Tails::new(&centre, side, &tilt, variance, odd);
            let (sum, aliased) = (partial.finish(odd, dropped), tails.bound(&centre, odd));
            if is_enough(&centre, &sum, aliased, points) {
                let error = contour.radius.scaled(&centre, side, &sum, aliased).error;
                return Self { place, radius: contour.radius, tails, points: odd, nodes, dropped, error };
            }
            points *= 1.5;
        }
    }

    /// The value at n = `urn.draws`, where its bound is as good as the block's.
    fn solve(&self, urn: &Urn, side: Side) -> Option<Scaled> {
        let mut partial = Partial::new(self.radius.offset(urn));
        self.nodes.iter().for_each(|node| partial.add(node));
        let sum = partial.finish(self.points, self.dropped);
        let found = self.radius.scaled(urn, side, &sum, self.tails.bound(urn, self.points));
        (found.error <= 4.0 * self.error + ENOUGH).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::evaluate;

    /// The shared values are those of the single-point function within the bounds of both, which stay alike, in any order.
    #[test]
    fn shared_contours_are_the_single_ones() {
        let mut imagenet = vec![1300u64; 895];
        imagenet.extend((0..105).map(|i| 732 + i * 27 / 5));
        let cases: [(Vec<u64>, Vec<u64>); 6] = [
            ((1..=50).collect(), (50..3000).step_by(7).collect()),
            (vec![900, 50, 3], (1..600).collect()),
            (vec![4, 3, 2, 1], (1..=10).collect()),
            ([vec![20; 30], vec![5; 10]].concat(), (35..650).collect()),
            (imagenet, (1000..1100).chain((4096..4200).step_by(3)).chain(7700..7790).collect()),
            (vec![1_000_000, 999_999, 1], (1..400).map(|i| i * i * 12).collect()),
        ];
        let mut evaluated = 0;
        for (counts, draws) in cases {
            let prior = ClassPrior::from_counts(counts.clone()).unwrap();
            for sampling in [Sampling::WithReplacement, Sampling::WithoutReplacement] {
                let mut contours = SharedContours::new(&prior, sampling).unwrap();
                let population = prior.population().unwrap();
                for &n in draws.iter().filter(|&&n| sampling == Sampling::WithReplacement || n <= population)
                {
                    let n = NumDraws::new(n).unwrap();
                    let (shared, method) = contours.at(n).unwrap();
                    let (alone, expected) = evaluate(&prior, sampling, n).unwrap();
                    let context = format!("{counts:?} {sampling} {n}: {shared:?} {alone:?}");
                    assert_eq!(method, expected, "{context}");
                    for (x, y) in [(shared, alone), (shared.opposite(), alone.opposite())] {
                        let (a, b) = (x.relative_error_bound(), y.relative_error_bound());
                        let difference = (x.ln() - y.ln()).abs();
                        let rounding = 4.0 * f64::EPSILON * (1.0 + y.ln().abs());
                        assert!(x == y || difference <= a + b + rounding, "{context}: {difference:e}");
                        assert!(a <= 6.0 * b + 1e-14, "{context}: {a:e} {b:e}");
                    }
                    evaluated += 1;
                }
                // Alone or after others: the same bits.
                let n = NumDraws::new(draws[draws.len() / 2]).unwrap();
                let mut fresh = SharedContours::new(&prior, sampling).unwrap();
                if sampling.check(&prior, n).is_ok() {
                    assert_eq!(fresh.at(n).unwrap(), contours.at(n).unwrap());
                }
            }
        }
        assert!(evaluated > 4000, "{evaluated}");
    }
}
