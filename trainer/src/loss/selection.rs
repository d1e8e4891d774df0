//! Which negatives of a query count: a selection by difficulty (Cai, Frankle, Schwab & Morcos 2020, arXiv 2010.06682).
//!
//! The difficulty of a negative is its logit s_j. With the K negatives of a query in ascending order of s_j (ties in
//! the order of their indices) and a kept part \[lo, hi) of the whole, the negative of rank r is kept iff lo·K ≤ r <
//! hi·K: that keeps ⌈hi·K⌉ − ⌈lo·K⌉ negatives. Ranks are taken of the logits of each step, and nothing is
//! differentiated through them.
//!
//! | written | kept part | negatives of K = 65,536 |
//! |---|---|---|
//! | `hardest:5%` | \[0.95, 1) | 3,276 |
//! | `easiest:95%` | \[0, 0.95) | 62,260 |
//! | `drop-hardest:0.1%` | \[0, 0.999) | 65,471 |
//! | `drop-easiest:95%` | \[0.95, 1) | 3,276 |
//! | `range:0-40%,60-100%` | \[0, 0.4) ∪ \[0.6, 1) | 52,429 |
//! | `random:5%` | the hardest 5 % by random words in place of logits | 3,276 |
//!
//! Percentages are decimals of up to six places, held as whole numbers of 10⁻⁸, so that no rounding moves a rank.

use super::StepDraws;
use crate::error::{Error, Result};
use crate::ops::select::cpu::{self as select, Work};
use measure::rng::philox::View;
use std::fmt;
use std::str::FromStr;

/// 100 % in units of 10⁻⁸.
const WHOLE: u32 = 100_000_000;

/// Places of a percentage.
const PLACES: usize = 6;

/// Parts of a `range:`.
const MOST_PARTS: usize = 8;

/// A selection of negatives by difficulty, or at random.
///
/// # Examples
/// ```
/// use trainer::loss::Selection;
/// let hardest: Selection = "hardest:5%".parse()?;
/// assert_eq!((hardest.kept(65_536), hardest.kept(40)), (3276, 2));
/// let without: Selection = "drop-hardest:0.1%".parse()?;
/// assert_eq!(without.kept(65_536), 65_536 - 65);
/// assert_eq!(without.to_string(), "drop-hardest:0.1%");
/// assert!("hardest:101%".parse::<Selection>().is_err());
/// # Ok::<(), trainer::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection(Kind);

/// Shares in units of 10⁻⁸.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Hardest(u32),
    Easiest(u32),
    DropHardest(u32),
    DropEasiest(u32),
    Random(u32),
    /// The first `count` of these, ascending, without overlap.
    Ranges {
        parts: [[u32; 2]; MOST_PARTS],
        count: usize,
    },
}

/// A kind of one share.
type OfShare = fn(u32) -> Kind;

/// The words before the colon.
const WORDS: [(&str, OfShare); 5] = [
    ("hardest", Kind::Hardest),
    ("easiest", Kind::Easiest),
    ("drop-hardest", Kind::DropHardest),
    ("drop-easiest", Kind::DropEasiest),
    ("random", Kind::Random),
];

impl Selection {
    /// The kept parts \[lo, hi), ascending, in units of 10⁻⁸.
    fn parts(&self) -> Vec<[u32; 2]> {
        let one = |lo, hi| vec![[lo, hi]];
        match self.0 {
            Kind::Hardest(p) | Kind::Random(p) => one(WHOLE - p, WHOLE),
            Kind::Easiest(p) => one(0, p),
            Kind::DropHardest(p) => one(0, WHOLE - p),
            Kind::DropEasiest(p) => one(p, WHOLE),
            Kind::Ranges { parts, count } => parts[..count].to_vec(),
        }
    }

    /// The kept ranks of K, as ascending ranges \[from, to) that are not empty; of `random`, ranks of random words.
    pub fn ranks(&self, num_negatives: usize) -> Vec<[usize; 2]> {
        // r ≥ lo·K for a whole r iff r ≥ ⌈lo·K⌉.
        let rank =
            |share: u32| (u128::from(share) * num_negatives as u128).div_ceil(u128::from(WHOLE)) as usize;
        let ranks = self.parts().into_iter().map(|[lo, hi]| [rank(lo), rank(hi)]);
        ranks.filter(|[from, to]| from < to).collect()
    }

    /// The effective K: how many of K negatives are kept.
    pub fn kept(&self, num_negatives: usize) -> usize {
        self.ranks(num_negatives).iter().map(|[from, to]| to - from).sum()
    }

    /// Whether negatives are kept at random.
    #[cfg(feature = "cuda")]
    pub(crate) fn is_random(&self) -> bool {
        matches!(self.0, Kind::Random(_))
    }

    /// The effective K, at least 1.
    ///
    /// # Errors
    /// The selection keeps none of K negatives.
    pub fn require_kept(&self, num_negatives: usize) -> Result<usize> {
        match self.kept(num_negatives) {
            0 => Err(Error::argument(format!("the selection '{self}' keeps none of K = {num_negatives}"))),
            kept => Ok(kept),
        }
    }
}

/// A share as a percentage without trailing zeros.
fn percent(share: u32) -> String {
    let unit = 10u32.pow(PLACES as u32);
    let (whole, places) = (share / unit, share % unit);
    let text = format!("{whole}.{places:06}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// A percentage without its sign, such as `0.1`, as a share; `None` for anything else, and above 100.
fn share(text: &str) -> Option<u32> {
    let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !digits(whole, 3) || !digits(places, PLACES) {
        return None;
    }
    let share: u32 = format!("{whole}{places:0<PLACES$}").parse().ok()?;
    (share <= WHOLE).then_some(share)
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Hardest(p) => write!(f, "hardest:{}%", percent(p)),
            Kind::Easiest(p) => write!(f, "easiest:{}%", percent(p)),
            Kind::DropHardest(p) => write!(f, "drop-hardest:{}%", percent(p)),
            Kind::DropEasiest(p) => write!(f, "drop-easiest:{}%", percent(p)),
            Kind::Random(p) => write!(f, "random:{}%", percent(p)),
            Kind::Ranges { parts, count } => {
                let part = |[lo, hi]: &[u32; 2]| format!("{}-{}%", percent(*lo), percent(*hi));
                let parts: Vec<String> = parts[..count].iter().map(part).collect();
                write!(f, "range:{}", parts.join(","))
            }
        }
    }
}

impl FromStr for Selection {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |what: &str| Error::argument(format!("the selection '{text}': {what}"));
        let range = "a percentage is a decimal between 0% and 100% of at most six places, such as 0.1%";
        let Some((word, rest)) = text.split_once(':') else {
            return Err(bad("it is not written as hardest:5%"));
        };
        if let Some((_, kind)) = WORDS.iter().find(|(known, _)| *known == word) {
            let found = rest.strip_suffix('%').and_then(share).ok_or_else(|| bad(range))?;
            return Ok(Self(kind(found)));
        }
        if word != "range" {
            let known: Vec<&str> = WORDS.iter().map(|(known, _)| *known).collect();
            return Err(bad(&format!("a selection starts with range, {}", known.join(", "))));
        }
        let (mut parts, mut count) = ([[0; 2]; MOST_PARTS], 0);
        for part in rest.split(',') {
            let ends = part.strip_suffix('%').and_then(|part| part.split_once('-'));
            let ends = ends.and_then(|(lo, hi)| Some([share(lo)?, share(hi)?])).ok_or_else(|| bad(range))?;
            if count == MOST_PARTS {
                return Err(bad(&format!("a range has at most {MOST_PARTS} parts")));
            }
            if ends[0] >= ends[1] {
                return Err(bad(&format!("the part {part} is empty")));
            }
            if count > 0 && ends[0] < parts[count - 1][1] {
                return Err(bad(&format!("the part {part} overlaps, or precedes, the one before it")));
            }
            parts[count] = ends;
            count += 1;
        }
        Ok(Self(Kind::Ranges { parts, count }))
    }
}

/// Which ranks of each anchor's negatives count in one step.
#[derive(Debug, Clone, Copy)]
pub struct SelectedRanks<'a> {
    /// `None`: all.
    selection: Option<(Selection, StepDraws<'a>)>,
}

impl<'a> SelectedRanks<'a> {
    /// All negatives.
    pub fn all() -> Self {
        Self { selection: None }
    }

    /// A selection in one step, by whose numbers `random` draws a subset for each anchor; no other selection draws.
    pub fn of(selection: Selection, draws: StepDraws<'a>) -> Self {
        Self { selection: Some((selection, draws)) }
    }

    /// Whether there is no selection.
    pub fn is_all(&self) -> bool {
        self.selection.is_none()
    }

    /// Its parts, as [`Selection::parts`]; none where all negatives count.
    #[cfg(feature = "cuda")]
    pub(super) fn parts(&self) -> Vec<[u32; 2]> {
        self.selection.map_or_else(Vec::new, |(selection, _)| selection.parts())
    }

    /// The numbers of the step, where the selection is at random.
    #[cfg(feature = "cuda")]
    pub(super) fn at_random(&self) -> Option<&StepDraws<'a>> {
        let (selection, draws) = self.selection.as_ref()?;
        matches!(selection.0, Kind::Random(_)).then_some(draws)
    }

    /// How many of K negatives count, at least 1.
    ///
    /// # Errors
    /// The selection keeps none of them.
    pub fn require_kept(&self, num_negatives: usize) -> Result<usize> {
        self.selection.map_or(Ok(num_negatives), |(selection, _)| selection.require_kept(num_negatives))
    }

    /// Writes −∞ over the logits \[K\] of an anchor that do not count, in O(K). A row with a NaN stays as it is, so
    /// that its loss is NaN whatever is selected. The logit at k is that of the anchor's candidate `candidate(k)`,
    /// ascending in k. `work` holds buffers for the next call.
    pub(crate) fn apply(
        &self,
        anchor: usize,
        logits: &mut [f32],
        candidate: impl Fn(usize) -> usize,
        work: &mut Work,
    ) {
        let Some((selection, draws)) = &self.selection else { return };
        let ranks = selection.ranks(logits.len());
        let kept: usize = ranks.iter().map(|[from, to]| to - from).sum();
        if kept == logits.len() || logits.iter().fold(false, |any, x| any | x.is_nan()) {
            return;
        }
        work.keys.clear();
        if let Kind::Random(_) = selection.0 {
            let count = candidate(logits.len() - 1) + 1;
            select::append_words(&draws.counter, anchor, View::SECOND, count, &mut work.keys);
            (0..logits.len()).for_each(|k| work.keys[k] = work.keys[candidate(k)]);
            work.keys.truncate(logits.len());
        } else {
            work.keys.extend(logits.iter().map(|x| select::ordered(*x)));
        }
        let kept = select::kept(&ranks, work);
        for ((value, key), index) in logits.iter_mut().zip(&work.keys).zip(0u64..) {
            if !kept.contains(*key, index) {
                *value = f32::NEG_INFINITY;
            }
        }
    }
}

#[cfg(test)]
mod tests;
