//! InfoNCE of one anchor in closed form: the loss, and the weights that its gradient is made of.
//!
//! With k = 1/t, a positive cosine s₊ and negatives s_j, of which −∞ does not take part:
//!
//! - loss = ln(1 + Σ_j e^{(s_j − s₊)k});
//! - p_j = e^{s_j k} / (e^{s₊ k} + Σ_i e^{s_i k}), and 1 − p₊ = Σ_j p_j;
//! - ∂loss/∂s_j = p_j k, ∂loss/∂s₊ = −(1 − p₊) k.

use crate::ops::vector::{exp, maximum, sum_of};

/// Of one anchor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Anchor {
    /// ln(1 + Σ e^{(s_j − s₊)k}).
    pub loss: f64,
    /// (1 − p₊)·scale.
    pub pull: f32,
}

/// Writes p_j·scale over the negatives. NaN where any number is one.
///
/// Stable as `ops::info_nce`: cosines are shifted by the largest before they are scaled, and where the positive is the largest,
/// the loss is ln(1 + rest) with `rest` summed apart from the 1, which would swallow a small one.
#[inline(always)]
pub(super) fn weigh(positive: f32, negatives: &mut [f32], inverse_temperature: f32, scale: f32) -> Anchor {
    let largest = maximum(negatives);
    let shift = if positive >= largest { positive } else { largest };
    for value in negatives.iter_mut() {
        *value = exp((*value - shift) * inverse_temperature);
    }
    let rest = sum_of(negatives, |value| value);
    let total = rest + exp((positive - shift) * inverse_temperature);
    // A NaN positive takes the second form and stays one.
    let loss = if positive >= largest {
        f64::from(rest).ln_1p()
    } else {
        f64::from(total).ln() + f64::from(shift - positive) * f64::from(inverse_temperature)
    };
    let share = scale / total;
    for value in negatives.iter_mut() {
        *value *= share;
    }
    Anchor { loss, pull: rest * share }
}

/// How often the kept negatives are of the anchor's class: (2n)·K pairs in a batch, or as many as have a known class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Pairs of an anchor and a kept negative of its class.
    pub same: u64,
    /// Pairs of an anchor and a kept negative whose class is known.
    pub known: u64,
}

impl Kept {
    /// Of one anchor, before its negatives are weighed.
    #[inline(always)]
    pub(super) fn count(class: u32, negatives: &[f32], classes: &[u32]) -> Self {
        let (mut same, mut known) = (0u64, 0u64);
        for (value, &other) in negatives.iter().zip(classes) {
            let counts = (*value > f32::NEG_INFINITY) & (other != UNKNOWN);
            known += u64::from(counts);
            same += u64::from(counts & (other == class));
        }
        Self { same, known }
    }
}

impl std::ops::AddAssign for Kept {
    fn add_assign(&mut self, other: Self) {
        self.same += other.same;
        self.known += other.known;
    }
}

/// The class of a negative that is no sample.
pub(super) const UNKNOWN: u32 = u32::MAX;
