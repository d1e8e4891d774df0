//! Intervals of difficulty, in percent of a query's K negatives from the hardest on, and the ranks in them.
//!
//! Ascending ranks j = 0 … K−1 order a query's negatives by similarity, the easiest first, ties in the order of their
//! indices. The interval from a % to b % holds the ranks (1 − b)·K ≤ j < (1 − a)·K, in exact integers: "the hardest 5
//! %" are the ⌊0.05 K⌋ last ranks. Counted from the hardest, h = K−1−j, they are ⌊aK⌋ ≤ h < ⌊bK⌋.

use crate::error::{Error, Result};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Units of a percent: six decimals.
const PERCENT: u64 = 1_000_000;
/// 100 %.
const WHOLE: u64 = 100 * PERCENT;

/// From a % to b % of the negatives, the hardest first.
///
/// # Examples
/// ```
/// use measure::difficulty::Bin;
/// let hardest: Bin = "0-0.1".parse()?;
/// assert_eq!(hardest.positions(65_536), 0..65);
/// assert_eq!("5-100".parse::<Bin>()?.positions(449), 22..449);
/// # Ok::<(), measure::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bin {
    /// a, in millionths of a percent.
    from: u64,
    /// b.
    to: u64,
}

impl Bin {
    /// The interval between two whole percentages.
    const fn whole(from: u64, to: u64) -> Self {
        Self { from: from * PERCENT, to: to * PERCENT }
    }

    /// a, in percent.
    pub fn from_percent(self) -> f64 {
        self.from as f64 / PERCENT as f64
    }

    /// b, in percent.
    pub fn to_percent(self) -> f64 {
        self.to as f64 / PERCENT as f64
    }

    /// Positions of its negatives among K, counted from the hardest; empty where K is small.
    pub fn positions(self, num_negatives: usize) -> Range<usize> {
        let place = |edge: u64| (u128::from(edge) * num_negatives as u128 / u128::from(WHOLE)) as usize;
        place(self.from)..place(self.to)
    }
}

impl fmt::Display for Bin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from_percent(), self.to_percent())
    }
}

impl FromStr for Bin {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |why: &str| {
            Error::argument(format!("'{text}' is no interval of percentages such as 0-0.1 or 95-100{why}"))
        };
        let (from, to) = text.trim().trim_end_matches('%').split_once('-').ok_or_else(|| bad(""))?;
        let (from, to) = (edge(from).ok_or_else(|| bad(""))?, edge(to).ok_or_else(|| bad(""))?);
        if from >= to {
            return Err(bad(": it is empty"));
        }
        if to > WHOLE {
            return Err(bad(": it passes 100"));
        }
        Ok(Self { from, to })
    }
}

/// Digits, a point, up to six digits.
fn edge(text: &str) -> Option<u64> {
    let (whole, decimals) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 3 || decimals.len() > 6 || !digits(whole) || !digits(decimals) {
        return None;
    }
    Some(whole.parse::<u64>().ok()? * PERCENT + format!("{decimals:0<6}").parse::<u64>().ok()?)
}

/// The bins that are shown unless others are asked for: fourteen that share out all negatives, then those of Cai et al.
/// (2020), the hardest 0.1 %, the hardest 5 % and the easiest 95 %.
pub const DEFAULT_BINS: [Bin; 17] = [
    Bin::whole(0, 1),
    Bin::whole(1, 5),
    Bin::whole(5, 10),
    Bin::whole(10, 20),
    Bin::whole(20, 30),
    Bin::whole(30, 40),
    Bin::whole(40, 50),
    Bin::whole(50, 60),
    Bin::whole(60, 70),
    Bin::whole(70, 80),
    Bin::whole(80, 90),
    Bin::whole(90, 95),
    Bin::whole(95, 99),
    Bin::whole(99, 100),
    Bin { from: 0, to: PERCENT / 10 },
    HARDEST,
    Bin::whole(5, 100),
];

/// The hardest 5 %.
pub(super) const HARDEST: Bin = Bin::whole(0, 5);
/// The easiest 5 %.
pub(super) const EASIEST: Bin = Bin::whole(95, 100);

/// The bins that hold a negative each: those asked for, or the default ones as far as K allows.
///
/// # Errors
/// A bin that was asked for holds none of K negatives, or is named twice; no bin.
pub(super) fn usable(asked: Option<&[Bin]>, num_negatives: usize) -> Result<Vec<Bin>> {
    let empty = |bin: &Bin| bin.positions(num_negatives).is_empty();
    let Some(asked) = asked else {
        return Ok(DEFAULT_BINS.into_iter().filter(|bin| !empty(bin)).collect());
    };
    if asked.is_empty() {
        return Err(Error::argument("there is no bin of difficulty"));
    }
    for (index, bin) in asked.iter().enumerate() {
        if empty(bin) {
            return Err(Error::argument(format!(
                "the bin {bin} % is empty: it holds none of K = {num_negatives} negatives"
            )));
        }
        if asked[..index].contains(bin) {
            return Err(Error::argument(format!("the bin {bin} % is named twice")));
        }
    }
    Ok(asked.to_vec())
}

/// Indices of the bins that follow one another without overlap, in the order given: those that a curve can join.
pub(super) fn chain(bins: &[Bin]) -> Vec<usize> {
    let mut last = 0;
    let follows = |(index, bin): (usize, &Bin)| {
        (bin.from >= last).then(|| {
            last = bin.to;
            index
        })
    };
    bins.iter().enumerate().filter_map(follows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_and_bad_ones_refused() {
        let bin: Bin = " 0.5-12.345678% ".parse().unwrap();
        assert_eq!((bin.from, bin.to, bin.to_string()), (500_000, 12_345_678, "0.5-12.345678".into()));
        for text in ["", "5", "a-b", "5-", "-5", "1-2-3", "1e0-5", "0.1234567-1", "+1-2", "1-1000"] {
            let error = text.parse::<Bin>().unwrap_err().to_string();
            assert!(error.contains("no interval") && !error.contains('\n'), "{text}: {error}");
        }
        assert!("5-5".parse::<Bin>().unwrap_err().to_string().ends_with("it is empty"));
        assert!("5-100.1".parse::<Bin>().unwrap_err().to_string().ends_with("it passes 100"));
    }

    /// (1 − b)·K ≤ j < (1 − a)·K in integers, rank by rank.
    #[test]
    fn positions_are_the_ranks_of_the_definition() {
        for k in [1usize, 7, 99, 100, 449, 1000, 65_536] {
            for bin in DEFAULT_BINS {
                let (whole, k128) = (u128::from(WHOLE), k as u128);
                let inside = |h: usize| {
                    let rank = (k - 1 - h) as u128 * whole;
                    (whole - u128::from(bin.to)) * k128 <= rank
                        && rank < (whole - u128::from(bin.from)) * k128
                };
                let expected: Vec<usize> = (0..k).filter(|&h| inside(h)).collect();
                assert_eq!(bin.positions(k).collect::<Vec<_>>(), expected, "{bin} of {k}");
            }
        }
    }

    #[test]
    fn default_bins_share_out_all_negatives() {
        let shown = usable(None, 449).unwrap();
        let joined = chain(&shown);
        assert_eq!(joined.len(), 14);
        let ranks: Vec<usize> = joined.iter().flat_map(|&i| shown[i].positions(449)).collect();
        assert_eq!(ranks, (0..449).collect::<Vec<_>>());
        // 0.1 % of 449 is no negative: left out, but refused where it is asked for.
        assert_eq!(shown.len(), 16);
        let asked = [DEFAULT_BINS[14]];
        let error = usable(Some(&asked), 449).unwrap_err().to_string();
        assert_eq!(error, "the bin 0-0.1 % is empty: it holds none of K = 449 negatives");
        let twice = [HARDEST, HARDEST];
        assert!(usable(Some(&twice), 449).unwrap_err().to_string().contains("named twice"));
        assert!(usable(Some(&[]), 449).is_err());
    }
}
