//! How often the negatives that count are of their anchor's class.

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
            let counts = (*value > f32::NEG_INFINITY) & (other != UNKNOWN);
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
