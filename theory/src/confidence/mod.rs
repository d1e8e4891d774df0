//! Statements about all images, from the N that were evaluated.
//!
//! **What is given, and what is random.** The encoder, the class means, f̄'s views and the temperature are given. The
//! evaluated images are N independent draws of one law, and the statements are about that law: L_Info is the
//! expectation over a batch of n independent images, d(f) and L_sup over one. (Class means of the evaluated images
//! themselves, where there are no training samples, break this.) Bounds of L_sup and certificates that start from L_Info
//! further take the class means in use for those of this law: with means of finitely many training images they hold up to
//! the error of these means, which no statement here counts; limits of measured columns need nothing of the kind. The shares of the classes among all images are taken
//! as known, those of `class_counts`; n independent images have labels drawn with replacement, so that [`population`]
//! is the row in which bounds are evaluated, and υ, τ and E ln(1+Col), which follow from the shares, carry no error.
//!
//! # Two kinds
//!
//! [`Kind::Normal`]: mean ± Student's quantile times the error over images (`…_image_se`; the crate `measure` has the
//! formulas). Good where many images contribute; an approximation.
//!
//! [`Kind::AssumptionFree`]: holds with at least the stated probability whatever the law of the images, since every
//! measured term lies in a known range. It needs no error over images: files of earlier versions have it too.
//!
//! # The limits that assume nothing
//!
//! Let U average P passes, each of M independent terms in \[0, 1\] (rescaled) with expectation θ. For means over
//! batches a term is a batch, M = m = ⌊N/n⌋: batches of one pass are disjoint. For means over images it is an image, M
//! = nm. Passes share images and depend on each other. A **bet** against θ is a number E ≥ 0 of one pass with mean at
//! most 1 where the expectation is θ or more. By Jensen, the geometric mean of the bets of P passes has mean at most 1
//! as well (Hoeffding 1963 averages so), and by Markov it reaches 1/α with probability at most α. If besides no bet
//! falls with θ, every θ whose bet reaches 1/α is an upper confidence limit: a limit below the truth would mean that
//! the bet at the truth reaches 1/α too. A lower bound of such a bet will do. Four bets, by their logarithms:
//!
//! 1. *Chernoff.* E e^{−s Σx} ≤ (1 − θ + θ e^{−s})^M by convexity, s ≥ 0 fixed: the limit is the θ > U with M kl(U, θ)
//!    = ln(1/α), kl(p, q) = p ln(p/q) + (1−p) ln((1−p)/(1−q)). (Van Elst & Ghoshdastidar 2024 use it with m = N/n.)
//! 2. *Betting on the variance.* Π (1 + λ(θ − x)) has mean 1 where θ is the mean and less where that is larger, and
//!    grows with θ for λ = c/(1−θ), 0 < c < 1: (θ−x)/(1−θ) does. As (ln(1+y) − y)/y² grows with y ≥ −c (Fan, Grama &
//!    Liu 2015), the logarithm is at least M { c (θ−U)/(1−θ) − (−ln(1−c) − c) \[(θ−U)² + s²\]/(1−θ)² }, s² the mean
//!    squared deviation of all terms from U: nothing but U and s² is needed. The average over five c is a bet too; they
//!    suit standard deviations of ½ to 1/32, c = min(¾, 2^j √(2 ln(1/α)/M)). (Waudby-Smith & Ramdas 2024 bet term by
//!    term, in their order.)
//! 3. *What one image can change* (McDiarmid 1989). In L_Info, an image other than before changes its own anchor's loss
//!    by at most hi − lo, hi and lo = ln(1 + K e^{±2/t}). As a negative of another anchor with positive similarity s,
//!    e^{(s_k − s)/t} runs within \[e^{(−1−s)/t}, e^{(1−s)/t}\] while the other K−1 are at least its lower end: the
//!    loss changes by at most ln\[(e^{s/t} + (K−1) e^{−1/t} + e^{1/t}) / (e^{s/t} + K e^{−1/t})\], largest at s = −1:
//!    ln\[(K + e^{2/t})/n\]. So the sum over the nm anchors of a pass changes by at most D = hi − lo + K ln\[(K +
//!    e^{2/t})/n\]: θ ≤ U + D √(ln(1/α)/(2nm)).
//! 4. *Self-bounding.* Let f be that sum and f_i its infimum over image i. Then 0 ≤ f − f_i ≤ D, and f − f_i is at most
//!    what i contributes: its own loss, and −ln(1 − p_ai) for every other anchor a of its batch, p_ai the softmax
//!    weight. Since Π_i (1 − p_ai) ≥ 1 − Σ_i p_ai = e^{−ℓ_a} over the negatives i of a, Σ_i −ln(1 − p_ai) ≤ ℓ_a, and so
//!    Σ_i (f − f_i) ≤ 2f. Hence f/D is self-bounding, ln E e^{λ(Ef − f)/D} ≤ λ² Ef/D, λ ≥ 0 (Maurer 2006, Theorem 13;
//!    Boucheron, Lugosi & Massart 2009, Theorem 1), and with z = nm θ/D, Z = nm U/D: √z = √L + √(L + Z), L = ln(1/α).
//!    It beats 3 where L_Info < D/8, and grows with √D only.
//!
//! Of 1, 3 and 4 the one is taken whose leading term is least at L_Info = ½ (lo + ln n), which looks at no data; 2
//! beside it, with α/2 each, where s² is known: from `…_se` (all batches) for means over batches, from `…_image_se` for
//! means over images. (There the weights w_i ≤ 1/M of the images, whose means over passes are x̄_i, enter by λ_i = λ M
//! w_i ≤ λ and Σ w_i² (θ − x̄_i)² ≤ Σ w_i (θ − x̄_i)²/M.) Lower limits mirror the terms, 1 and 2 alone. Shares of
//! images (accuracies) have Clopper & Pearson's limits.
//!
//! # Several quantities at once
//!
//! [`worst`] gives each of the k measured needs of a function α/k (union bound) and takes the worst of its 2^k corners.
//! If the function is monotone in each need, in whatever direction, the result holds with probability 1 − α: the right
//! corner is among them, and k one-sided limits are what it needs.
//!
//! # Examples
//! ```
//! use theory::confidence::{Extreme, Kind, interval, worst};
//! use theory::losses::{Estimate, Quantity};
//! use theory::{LossComponents, NumDraws, Sampling, bounds};
//! let mut row = LossComponents::new(10, NumDraws::new(16)?, 0.5, Sampling::WithoutReplacement)?;
//! row.class_counts = Some(vec![1000; 10]);
//! row.num_batches = Some(625); // one pass
//! let measured = |mean, error| Estimate { standard_error: Some(error), image_error: Some(error), mean };
//! row.set(Quantity::InfoNce, measured(1.6, 0.006))?;
//! row.set(Quantity::Gap, measured(-0.3, 0.003))?;
//! let normal = interval(&row, Quantity::InfoNce, 0.95, Kind::Normal)?;
//! assert!((normal.1 - 1.6118).abs() < 1e-4);
//! let sure = interval(&row, Quantity::InfoNce, 0.95, Kind::AssumptionFree)?;
//! assert!(sure.1 > normal.1 && sure.1 < 1.67);
//! let specht = bounds::find("specht").unwrap();
//! let estimate = specht.upper_bound(&row).value().unwrap();
//! let certain = worst(&row, specht.upper_needs(), 0.95, Kind::AssumptionFree, Extreme::Largest, &|row| {
//!     specht.upper_bound(row)
//! });
//! assert!((0.0..0.1).contains(&(certain.value().unwrap() - estimate)));
//! # Ok::<(), theory::Error>(())
//! ```

mod forms;
mod range;

use crate::bounds::Outcome;
use crate::error::{Error, Result};
use crate::losses::{Domain, Estimate, LossComponents, Quantity};
use crate::sampling::Sampling;
use crate::simulate::{Proportion, check_level, student_quantile};
use crate::{collision, coverage};
use range::{Terms, terms};

/// What a statement rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The normal approximation with the error over images.
    Normal,
    /// The range of the terms alone: the stated probability, whatever the law.
    AssumptionFree,
}

impl Kind {
    /// Both, the sharper one first.
    pub const ALL: [Self; 2] = [Self::Normal, Self::AssumptionFree];

    /// The name in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::AssumptionFree => "assumption-free",
        }
    }
}

/// An end of an interval, or of what a function may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extreme {
    /// From below.
    Smallest,
    /// From above.
    Largest,
}

/// A number that the quantity among all images passes with probability at most `alpha`: above it for
/// [`Extreme::Largest`], below it for [`Extreme::Smallest`].
///
/// # Errors
/// What the row lacks, in one sentence; an `alpha` outside (0, ½).
pub fn limit(
    losses: &LossComponents,
    quantity: Quantity,
    end: Extreme,
    alpha: f64,
    kind: Kind,
) -> Result<f64> {
    if !(alpha > 0.0 && alpha < 0.5) {
        return Err(Error::argument(format!("a tail of {alpha} is not in (0, 0.5)")));
    }
    if let Some(value) = of_labels(losses, quantity)? {
        return Ok(value);
    }
    let estimate =
        losses.measures.get(&quantity).ok_or_else(|| Error::argument(format!("needs {quantity}")))?;
    let terms = terms(losses, quantity);
    let value = match kind {
        Kind::Normal => {
            let needed = || Error::argument(format!("needs {quantity}_image_se: measure again"));
            let error = estimate.image_error.ok_or_else(needed)?;
            let freedom = terms.as_ref().map_or(f64::INFINITY, Terms::freedom);
            let by = if error > 0.0 { student_quantile(alpha, freedom.clamp(1.0, 1e9)) * error } else { 0.0 };
            estimate.mean + if end == Extreme::Largest { by } else { -by }
        }
        Kind::AssumptionFree => match terms? {
            Terms::Share { images } => {
                let successes = (estimate.mean * images as f64).round() as u64;
                let (low, high) = Proportion::new(successes, images)?.interval(1.0 - 2.0 * alpha)?;
                return Ok(if end == Extreme::Largest { high } else { low });
            }
            Terms::Bounded(bounded) => bounded.limit(*estimate, end, alpha),
        },
    };
    Ok(match quantity.domain() {
        Domain::NonNegative => value.max(0.0),
        Domain::NonPositive => value.min(0.0),
        Domain::UnitInterval => value.clamp(0.0, 1.0),
        Domain::Any => value,
    })
}

/// The interval that holds the quantity among all images with this probability, 0.95 say: half of the rest on each
/// side.
///
/// # Errors
/// As for [`limit`]; a level outside (0, 1).
pub fn interval(losses: &LossComponents, quantity: Quantity, level: f64, kind: Kind) -> Result<(f64, f64)> {
    check_level(level)?;
    let end = |end| limit(losses, quantity, end, 0.5 * (1.0 - level), kind);
    Ok((end(Extreme::Smallest)?, end(Extreme::Largest)?))
}

/// The row of all images: as measured, but with labels drawn independently in the shares of `class_counts`, and with
/// what these shares alone determine.
///
/// # Errors
/// No `class_counts`; a probability that cannot be computed.
pub fn population(losses: &LossComponents) -> Result<LossComponents> {
    if losses.class_counts.is_none() {
        return Err(Error::argument("needs class_counts"));
    }
    let mut row = LossComponents { sampling: Sampling::WithReplacement, ..losses.clone() };
    for &quantity in losses.measures.keys() {
        if let Some(value) = of_labels(losses, quantity)? {
            row.set(quantity, Estimate::exact(value))?;
        }
    }
    Ok(row)
}

/// The extreme value, with this probability, of a function that is monotone in each of these needs, for instance of an
/// upper bound of L_sup: see the [module](self). The function gets rows that have nothing else measured.
///
/// # Examples
/// As in the documentation of the [module](self).
pub fn worst(
    losses: &LossComponents,
    needs: &[Quantity],
    level: f64,
    kind: Kind,
    extreme: Extreme,
    of: &dyn Fn(&LossComponents) -> Outcome,
) -> Outcome {
    corners(losses, needs, level, kind).map_or_else(Outcome::from, |corners| {
        let mut worst: Option<f64> = None;
        let mut impossible = None;
        for Corner { row, has_low_loss } in &corners {
            match of(row) {
                Outcome::Value(value) => {
                    let farther = |found: f64| match extreme {
                        Extreme::Smallest => found.min(value),
                        Extreme::Largest => found.max(value),
                    };
                    worst = Some(worst.map_or(value, farther));
                }
                other if extreme == Extreme::Largest && *has_low_loss => impossible = Some(other),
                other => return other,
            }
        }
        let none = || impossible.unwrap_or_else(|| Outcome::NotApplicable("needs nothing measured".into()));
        worst.map_or_else(none, Outcome::Value)
    })
}

/// A corner of the limits.
#[derive(Clone)]
struct Corner {
    row: LossComponents,
    /// Whether L_Info or L_sup stands at its lower limit. An upper bound that has no value there, since no encoder has so
    /// small a loss, is decided at the corner with the upper limit in its place.
    has_low_loss: bool,
}

/// The rows at all corners of the limits of the needs, each limit with its share of what may fail.
fn corners(losses: &LossComponents, needs: &[Quantity], level: f64, kind: Kind) -> Result<Vec<Corner>> {
    /// 2¹⁰ evaluations.
    const MOST_NEEDS: usize = 10;
    check_level(level)?;
    let mut row = population(losses)?;
    row.measures.retain(|quantity, _| needs.contains(quantity));
    let mut corners = vec![Corner { row, has_low_loss: false }];
    let mut random = Vec::new();
    for &need in needs {
        if !random.contains(&need) && of_labels(losses, need)?.is_none() {
            random.push(need);
        }
    }
    if random.len() > MOST_NEEDS {
        return Err(Error::argument(format!("{} needs exceed the limit of {MOST_NEEDS}", random.len())));
    }
    let alpha = (1.0 - level) / random.len().max(1) as f64;
    for &need in &random {
        let mut next = Vec::with_capacity(2 * corners.len());
        for end in [Extreme::Smallest, Extreme::Largest] {
            let value = limit(losses, need, end, alpha.min(0.49), kind)?;
            for corner in &corners {
                let mut corner = corner.clone();
                corner.row.set(need, Estimate::exact(value))?;
                let is_loss = matches!(need, Quantity::InfoNce | Quantity::FullSupLoss);
                corner.has_low_loss |= is_loss && end == Extreme::Smallest;
                next.push(corner);
            }
        }
        corners = next;
    }
    Ok(corners)
}

/// What the shares of the classes determine, for independent labels; `None`: not this quantity.
fn of_labels(losses: &LossComponents, quantity: Quantity) -> Result<Option<f64>> {
    let (labels, negatives) = (Sampling::WithReplacement, losses.num_draws.negatives());
    let prior = || losses.prior().ok_or_else(|| Error::argument("needs class_counts"));
    Ok(Some(match quantity {
        Quantity::Coverage | Quantity::CoverageExact => {
            coverage::probability(&prior()?, labels, losses.num_draws)?.value()
        }
        Quantity::Collision | Quantity::CollisionExact | Quantity::FirstAnchorCollision => {
            collision::probability(&prior()?, labels, negatives)?.value()
        }
        Quantity::Log1pCollisions | Quantity::Log1pCollisionsExact => {
            collision::expected_ln1p(&prior()?, labels, negatives)?
        }
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests;
