//! How often the negatives that count are of their anchor's class.

use crate::error::Result;
use candle_core::Tensor;

/// The class of a negative that is no sample.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// Pairs of an anchor and a negative that counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SameClassCount {
    /// Pairs of one class.
    pub same: u64,
    /// Pairs whose negative has a known class.
    pub known: u64,
}

impl SameClassCount {
    /// Of one anchor, whose negatives with −∞ do not count.
    #[inline(always)]
    pub(super) fn of(class: u32, negatives: &[f32], classes: &[u32]) -> Self {
        let (mut same, mut known) = (0u64, 0u64);
        for (value, &other) in negatives.iter().zip(classes) {
            let counts = (*value != f32::NEG_INFINITY) & (other != UNKNOWN);
            known += u64::from(counts);
            same += u64::from(counts & (other == class));
        }
        Self { same, known }
    }

    /// Of anchors that all have the same negatives, all of which count.
    pub(super) fn of_all(anchors: &[u32], negatives: &[u32]) -> Self {
        let mut counts = std::collections::HashMap::new();
        negatives.iter().for_each(|&class| *counts.entry(class).or_insert(0u64) += 1);
        let unknown = counts.remove(&UNKNOWN).unwrap_or(0);
        let known = (negatives.len() as u64 - unknown) * anchors.len() as u64;
        let same = anchors.iter().map(|class| counts.get(class).copied().unwrap_or(0)).sum();
        Self { same, known }
    }
}

impl std::ops::AddAssign for SameClassCount {
    fn add_assign(&mut self, other: Self) {
        self.same += other.same;
        self.known += other.known;
    }
}

/// A [`SameClassCount`] of which a part may still be computed on a GPU. Counts of several steps add up without waiting.
#[derive(Debug, Clone, Default)]
pub struct PendingCount {
    host: SameClassCount,
    /// Each (same, known), i64 \[2\].
    on_device: Vec<Tensor>,
}

impl PendingCount {
    /// The count, after waiting for what it needs.
    ///
    /// # Errors
    /// The device fails.
    pub fn read(&self) -> Result<SameClassCount> {
        let mut count = self.host;
        for part in &self.on_device {
            let part = part.to_vec1::<i64>()?;
            count += SameClassCount { same: part[0] as u64, known: part[1] as u64 };
        }
        Ok(count)
    }

    /// As [`read`](Self::read); none is left.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn take(&mut self) -> Result<SameClassCount> {
        std::mem::take(self).read()
    }

    /// What a GPU computes, i64 \[2\]: same and known.
    #[cfg(feature = "cuda")]
    pub(crate) fn on_device(count: Tensor) -> Self {
        Self { host: SameClassCount::default(), on_device: vec![count] }
    }
}

#[cfg(feature = "cuda")]
impl PendingCount {
    /// What a GPU computes of one step, where it does.
    pub(crate) fn device_part(&self) -> Option<&Tensor> {
        self.on_device.first()
    }
}

impl From<SameClassCount> for PendingCount {
    fn from(host: SameClassCount) -> Self {
        Self { host, on_device: Vec::new() }
    }
}

impl std::ops::AddAssign for PendingCount {
    fn add_assign(&mut self, other: Self) {
        self.host += other.host;
        self.on_device.extend(other.on_device);
    }
}
