//! υ at many n that are known beforehand.
//!
//! Equal classes: one pass over all of them where they are dense, each by itself where they are not; all of them
//! together decide, so that parts of a request give the same digits. Other classes: neighbouring n share a contour.

use super::{CurvePoint, MAX_POINTS, Method, SharedContours, curve};
use crate::error::{Error, Result};
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
pub struct Upsilons(Found);

enum Found {
    /// The first n, and every point from there on.
    Pass(u64, Vec<CurvePoint>),
    Shared(Box<SharedContours>),
}

impl Upsilons {
    /// Prepares υ at these n.
    ///
    /// # Errors
    /// Draws that `sampling` cannot make.
    pub fn new(prior: &ClassPrior, sampling: Sampling, draws: &[u64]) -> Result<Self> {
        let first = draws.iter().copied().min().unwrap_or(1);
        let last = draws.iter().copied().max().unwrap_or(1);
        let dense = (last - first) / 4 <= draws.len() as u64 && last - first < MAX_POINTS;
        Ok(Self(if dense && prior.is_uniform() {
            Found::Pass(first, curve(prior, sampling, first..=last)?)
        } else {
            Found::Shared(Box::new(SharedContours::new(prior, sampling)?))
        }))
    }

    /// υ at one of them, and how it was found.
    ///
    /// # Errors
    /// As for [`probability`](super::probability()); an n outside their range.
    pub fn at(&mut self, num_draws: NumDraws) -> Result<(Probability, Method)> {
        match &mut self.0 {
            Found::Pass(first, points) => {
                let place = num_draws.get().checked_sub(*first).and_then(|place| points.get(place as usize));
                let point =
                    place.ok_or_else(|| Error::argument(format!("{num_draws} draws were not asked for")))?;
                Ok((point.probability, point.method))
            }
            Found::Shared(contours) => contours.at(num_draws),
        }
    }
}
