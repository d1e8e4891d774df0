//! υ at many n that are known beforehand.
//!
//! Equal classes: one pass over all of them where they are dense; all of them together decide, so that parts of a
//! request give the same digits. Everything else: neighbouring n share a contour.

use super::chain::Chain;
use super::{MAX_POINTS, Method, SharedContours};
use crate::error::Result;
use crate::prior::ClassPrior;
use crate::probability::Probability;
use crate::sampling::{NumDraws, Sampling};

/// υ at many n, as `theory curve` prints them.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, NumDraws, Sampling, coverage};
/// let two = ClassPrior::uniform(2)?;
/// let mut upsilons = coverage::Upsilons::new(&two, Sampling::WithReplacement, &[2, 3])?;
/// assert_eq!(upsilons.at(NumDraws::new(3)?)?.0.value(), 0.75);
/// # Ok::<(), theory::Error>(())
/// ```
pub struct Upsilons {
    /// The first n of a pass, and what it found from there on: the smaller side, and whether that is 1−υ.
    pass: (u64, Vec<Option<Smaller>>),
    contours: SharedContours,
}

/// The side that a pass over equal classes adds up, and a bound of its relative error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Smaller {
    pub value: f64,
    pub error: f64,
    pub is_complement: bool,
}

impl Upsilons {
    /// Prepares υ at these n.
    ///
    /// # Errors
    /// Draws that `sampling` cannot make.
    pub fn new(prior: &ClassPrior, sampling: Sampling, draws: &[u64]) -> Result<Self> {
        let first = draws.iter().copied().min().unwrap_or(1);
        let last = draws.iter().copied().max().unwrap_or(1);
        Self::over(prior, sampling, (first, last), draws.len() as u64)
    }

    /// Prepares υ at `count` of the n from `first` to `last`.
    pub(super) fn over(
        prior: &ClassPrior,
        sampling: Sampling,
        (first, last): (u64, u64),
        count: u64,
    ) -> Result<Self> {
        sampling.check(prior, NumDraws::new(last)?)?;
        let dense = (last - first) / 4 <= count && last - first < MAX_POINTS;
        // A cell of the band takes about 0.5 ns, a contour sum about 5 µs.
        let pass = match Chain::new(prior, sampling) {
            Some(mut chain) if dense && chain.cells(last) <= 1e4 * (last - first + 1) as f64 => {
                (1..first).for_each(|_| chain.step());
                let value = |_| {
                    let found = chain.value();
                    chain.step();
                    found
                };
                (first..=last).map(value).collect()
            }
            _ => Vec::new(),
        };
        Ok(Self { pass: (first, pass), contours: SharedContours::new(prior, sampling)? })
    }

    /// υ at one of them, and how it was found; at any other n too, at the price of a contour sum.
    ///
    /// # Errors
    /// As for [`probability`](super::probability()).
    #[inline]
    pub fn at(&mut self, num_draws: NumDraws) -> Result<(Probability, Method)> {
        let (first, found) = &self.pass;
        // Below `first` the difference wraps round, beyond the end.
        let place = num_draws.get().wrapping_sub(*first) as usize;
        let Some(Some(Smaller { value, error, is_complement })) = found.get(place).copied() else {
            return self.contours.at(num_draws);
        };
        let smaller = Probability::from_value(value, error);
        Ok((if is_complement { smaller.opposite() } else { smaller }, Method::Recurrence))
    }
}
