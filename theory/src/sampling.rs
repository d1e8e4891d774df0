//! How the n = K+1 labels of a batch are drawn, and the two numbers that must not be mixed: K and n.

use crate::error::{Error, Result};
use crate::prior::ClassPrior;
use std::fmt;

/// How the labels of one batch are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sampling {
    /// Independent draws from the prior: what the theory assumes.
    WithReplacement,
    /// A uniformly random subset of a finite population: what a shuffled loader does.
    WithoutReplacement,
}

impl Sampling {
    /// The name in `losses.csv`.
    pub fn name(self) -> &'static str {
        match self {
            Self::WithReplacement => "with_replacement",
            Self::WithoutReplacement => "without_replacement",
        }
    }

    /// Checks that `num_draws` labels can be drawn this way from `prior`.
    ///
    /// # Errors
    /// Without replacement: the prior has no counts, or fewer items than draws.
    pub fn check(self, prior: &ClassPrior, num_draws: NumDraws) -> Result<()> {
        if self == Self::WithReplacement {
            return Ok(());
        }
        match prior.population() {
            None => Err(Error::argument(
                "draws without replacement need the number of items of every class (counts)",
            )),
            Some(total) if num_draws.get() > total => {
                Err(Error::argument(format!("{num_draws} draws without replacement from only {total} items")))
            }
            Some(_) => Ok(()),
        }
    }
}

impl fmt::Display for Sampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Sampling {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        [Self::WithReplacement, Self::WithoutReplacement].into_iter().find(|s| s.name() == name).ok_or_else(
            || Error::argument(format!("'{name}' is neither with_replacement nor without_replacement")),
        )
    }
}

/// n = K+1: the number of labels drawn, the anchor's included. At least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumDraws(u64);

/// K: the number of negatives of one anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumNegatives(u64);

/// Draws above 2⁵³ would not be exact in `f64`.
const MAX_DRAWS: u64 = 1 << 53;

impl NumDraws {
    /// n draws.
    ///
    /// # Errors
    /// n is 0 or above 2⁵³.
    pub fn new(num_draws: u64) -> Result<Self> {
        match num_draws {
            0 => Err(Error::argument("the number of draws n = K+1 must be at least 1, got 0")),
            n if n > MAX_DRAWS => Err(Error::argument(format!("{n} draws exceed the limit of {MAX_DRAWS}"))),
            n => Ok(Self(n)),
        }
    }

    /// n.
    pub fn get(self) -> u64 {
        self.0
    }

    /// K = n − 1.
    pub fn negatives(self) -> NumNegatives {
        NumNegatives(self.0 - 1)
    }
}

impl NumNegatives {
    /// K negatives.
    ///
    /// # Errors
    /// K is 2⁵³ or more.
    pub fn new(num_negatives: u64) -> Result<Self> {
        if num_negatives >= MAX_DRAWS {
            return Err(Error::argument(format!(
                "{num_negatives} negatives exceed the limit of {}",
                MAX_DRAWS - 1
            )));
        }
        Ok(Self(num_negatives))
    }

    /// K.
    pub fn get(self) -> u64 {
        self.0
    }

    /// n = K + 1.
    pub fn draws(self) -> NumDraws {
        NumDraws(self.0 + 1)
    }
}

impl fmt::Display for NumDraws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for NumNegatives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
