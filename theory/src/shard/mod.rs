//! Work cut into shards for several machines: shard i of N computes every N-th part, and a file each keeps them.
//!
//! i counts from 0, as the index of a Slurm array does. What is merged in the order of the parts is what one machine
//! computes.

mod file;

pub use file::{File, Header, merge};

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Shard `index` of `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    index: u64,
    count: u64,
}

impl Shard {
    /// Everything: shard 0 of 1.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// More machines than anybody has.
    pub const MAX_COUNT: u64 = 1 << 20;

    /// Shard `index`, counted from 0, of `count`.
    ///
    /// # Errors
    /// No shard, more than [`MAX_COUNT`](Self::MAX_COUNT), or an index that is not below the count.
    pub fn new(index: u64, count: u64) -> Result<Self> {
        if count == 0 || count > Self::MAX_COUNT {
            return Err(Error::argument(format!("{count} shards are not between 1 and {}", Self::MAX_COUNT)));
        }
        if index >= count {
            return Err(Error::argument(format!(
                "shard {index} of {count} does not exist: they count from 0/{count} to {}/{count}",
                count - 1
            )));
        }
        Ok(Self { index, count })
    }

    /// i, from 0.
    pub fn index(self) -> u64 {
        self.index
    }

    /// N.
    pub fn count(self) -> u64 {
        self.count
    }

    /// The parts of this range that are the shard's, ascending: those with remainder i modulo N.
    ///
    /// # Examples
    /// ```
    /// let shard = theory::shard::Shard::new(1, 3)?;
    /// assert_eq!(shard.of_range(2..9).collect::<Vec<_>>(), [4, 7]);
    /// assert_eq!(shard.number_in(2..9), 2);
    /// # Ok::<(), theory::Error>(())
    /// ```
    pub fn of_range(self, parts: Range<u64>) -> impl Iterator<Item = u64> {
        let first = parts.start + (self.index + self.count - parts.start % self.count) % self.count;
        // A count is at most 2²⁰.
        (first..parts.end.max(first)).step_by(self.count as usize)
    }

    /// How many those are.
    pub fn number_in(self, parts: Range<u64>) -> u64 {
        let below =
            |end: u64| (u128::from(end) + u128::from(self.count - 1 - self.index)) / u128::from(self.count);
        // Not more than there are numbers between the two.
        (below(parts.end) - below(parts.start)) as u64
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl std::str::FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::argument(format!("'{text}' is no shard i/N, such as 0/8"));
        let (index, count) = text.split_once('/').ok_or_else(wrong)?;
        let number = |text: &str| text.trim().parse().map_err(|_| wrong());
        Self::new(number(index)?, number(count)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_one_shard() {
        for count in [1, 2, 3, 7, 50] {
            for range in [0..0, 0..20, 3..4, 5..23] {
                let shards = (0..count).map(|index| Shard::new(index, count).unwrap());
                let mut all: Vec<u64> = Vec::new();
                for shard in shards {
                    let parts: Vec<u64> = shard.of_range(range.clone()).collect();
                    assert_eq!(parts.len() as u64, shard.number_in(range.clone()), "{shard} {range:?}");
                    assert!(parts.iter().all(|part| part % count == shard.index()));
                    all.extend(parts);
                }
                all.sort_unstable();
                assert_eq!(all, range.collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn shards_are_typed_from_0() {
        assert_eq!("7/8".parse::<Shard>().unwrap(), Shard::new(7, 8).unwrap());
        let last = "8/8".parse::<Shard>().unwrap_err().to_string();
        assert_eq!(last, "shard 8 of 8 does not exist: they count from 0/8 to 7/8");
        for bad in ["", "3", "1/0", "0/1048577", "-1/3", "a/b", "1/2/3"] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }
}
