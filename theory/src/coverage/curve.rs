//! Whole curves n ↦ υ_n.
//!
//! Equal classes: one pass ([`Upsilons`](super::Upsilons)), and where υ_n or 1−υ_n is below 1e-280, contour sums; for
//! unequal classes neighbouring n share one ([`SharedContours`](super::SharedContours)).

use super::{Method, Upsilons};
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

/// υ_n for every n of `draws`, in order.
///
/// Equal classes: relative error below 1e-12 for n up to 1e4 (the returned bound is 3 to 4 half ulps a draw), in about
/// 10 √C operations a draw; other priors: as [`SharedContours`](super::SharedContours) for every n.
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
    let mut upsilons = Upsilons::over(prior, sampling, (first, last), last - first + 1)?;
    let point = |draws: u64| {
        let (probability, method) = upsilons.at(NumDraws::new(draws)?)?;
        Ok(CurvePoint { draws, probability, method })
    };
    (first..=last).map(point).collect()
}
