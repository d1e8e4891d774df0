//! Philox4x32-10: random numbers as a function of a counter, the same bits on the CPU and on the GPU.
//!
//! Four words of counter c and two of key k are mixed in ten rounds,
//!
//! (c₀, c₁, c₂, c₃) ← (⌊M₁c₂/2³²⌋ ⊕ c₁ ⊕ k₀, M₁c₂ mod 2³², ⌊M₀c₀/2³²⌋ ⊕ c₃ ⊕ k₁, M₀c₀ mod 2³²),
//! (k₀, k₁) ← (k₀ + W₀, k₁ + W₁) mod 2³² between rounds,
//!
//! so that any number of a stream can be computed without those before it: a GPU thread or a CPU thread draws
//! the numbers of "its" image, and neither the order nor the number of threads matters. A kernel that draws the
//! same numbers has these formulas in CUDA beside it.
//!
//! Source: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3",
//! SC 2011.

use super::Purpose;
use crate::error::{Error, Result};

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// The four random words of a counter and a key.
///
/// # Examples
/// ```
/// use measure::rng::philox::philox4x32;
/// // The published known answer of the zero counter and key.
/// assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
/// ```
#[inline]
pub fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let (mut c, mut k) = (counter, key);
    for _ in 0..ROUNDS {
        let a = u64::from(MULTIPLIERS[0]) * u64::from(c[0]);
        let b = u64::from(MULTIPLIERS[1]) * u64::from(c[2]);
        c = [(b >> 32) as u32 ^ c[1] ^ k[0], b as u32, (a >> 32) as u32 ^ c[3] ^ k[1], a as u32];
        k = [k[0].wrapping_add(WEYL[0]), k[1].wrapping_add(WEYL[1])];
    }
    c
}

/// A random word as a number in \[0, 1): ⌊x/2⁸⌋ / 2²⁴, exact in f32.
///
/// # Examples
/// ```
/// use measure::rng::philox::unit;
/// assert_eq!(unit(1 << 31), 0.5);
/// assert!(unit(u32::MAX) < 1.0);
/// ```
#[inline]
pub fn unit(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// A random word as one of 0, …, n−1: ⌊x n/2³²⌋, each with a probability within 2⁻³² of 1/n.
///
/// # Examples
/// ```
/// use measure::rng::philox::below;
/// assert_eq!((below(0, 6), below(u32::MAX, 6)), (0, 5));
/// ```
#[inline]
pub fn below(word: u32, n: u32) -> u32 {
    ((u64::from(word) * u64::from(n)) >> 32) as u32
}

/// Number of a view of an image, below [`Counter::MAX_VIEWS`] = 2²⁴: a greater one would share its random
/// numbers with a view of another [`Purpose`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View(u32);

impl View {
    /// View 0.
    pub const FIRST: Self = Self(0);
    /// View 1.
    pub const SECOND: Self = Self(1);

    /// View number `view`, counted from 0.
    ///
    /// # Errors
    /// A number of 2²⁴ or more.
    ///
    /// # Examples
    /// ```
    /// use measure::rng::philox::{Counter, View};
    /// assert_eq!(View::new(1)?.number(), 1);
    /// assert!(View::new(Counter::MAX_VIEWS).is_err());
    /// # Ok::<(), measure::Error>(())
    /// ```
    #[inline]
    pub fn new(view: u32) -> Result<Self> {
        if view < Counter::MAX_VIEWS {
            return Ok(Self(view));
        }
        Err(Error::argument(format!(
            "view {view} of an image is asked for; the last is {}",
            Counter::MAX_VIEWS - 1
        )))
    }

    /// Its number.
    #[inline]
    pub fn number(self) -> u32 {
        self.0
    }
}

/// Which random numbers: those of a seed, a purpose, and a step (or an epoch, or a pass of a measurement).
///
/// Key: the low and the high half of the seed. Counter of [`words`](Self::words): (block, purpose · 2²⁴ +
/// view, image, step); a [`View`] is below 2²⁴ and a purpose below 2⁸, so that no two pairs of them meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// The seed of the run.
    pub seed: u64,
    /// What the numbers are for.
    pub purpose: Purpose,
    /// Step, epoch or pass.
    pub step: u32,
}

impl Counter {
    /// Views of an image; more would run into the next purpose.
    pub const MAX_VIEWS: u32 = 1 << 24;

    /// Four random words of a view of an image; `block` counts such foursomes from 0.
    #[inline]
    pub fn words(&self, image: u32, view: View, block: u32) -> [u32; 4] {
        philox4x32([block, self.tag() + view.0, image, self.step], self.key())
    }

    /// The key of the seed.
    pub fn key(&self) -> [u32; 2] {
        [self.seed as u32, (self.seed >> 32) as u32]
    }

    /// purpose · 2²⁴, to which the second word of the counter adds the view.
    pub fn tag(&self) -> u32 {
        (self.purpose as u32) << 24
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random123 1.14.0, `tests/kat_vectors`: philox4x32 10.
    #[test]
    fn known_answers() {
        let pi = [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344];
        for (counter, key, answer) in [
            ([0; 4], [0; 2], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]),
            (pi, [0xa4093822, 0x299f31d0], [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]),
        ] {
            assert_eq!(philox4x32(counter, key), answer, "{counter:x?} {key:x?}");
        }
    }

    #[test]
    fn every_coordinate_moves_the_words() {
        let base = Counter { seed: 7, purpose: Purpose::Augmentation, step: 3 };
        let others = [
            Counter { seed: 8, ..base }.words(5, View(1), 2),
            Counter { seed: 7 + (1 << 32), ..base }.words(5, View(1), 2),
            Counter { purpose: Purpose::EvaluationViews, ..base }.words(5, View(1), 2),
            Counter { step: 4, ..base }.words(5, View(1), 2),
            base.words(6, View(1), 2),
            base.words(5, View(0), 2),
            base.words(5, View(1), 3),
        ];
        let words = base.words(5, View(1), 2);
        assert_eq!(words, philox4x32([2, (4 << 24) | 1, 5, 3], [7, 0]));
        assert!(others.iter().all(|other| *other != words), "{words:x?} {others:x?}");
    }

    /// View 2²⁴ of a purpose would be view 0 of the next.
    #[test]
    fn views_end_before_the_next_purpose() {
        for view in [Counter::MAX_VIEWS, Counter::MAX_VIEWS + 1, u32::MAX] {
            let error = View::new(view).unwrap_err().to_string();
            assert_eq!(error, format!("view {view} of an image is asked for; the last is 16777215"));
        }
        let last = View::new(Counter::MAX_VIEWS - 1).unwrap();
        let counter = Counter { seed: 7, purpose: Purpose::Augmentation, step: 3 };
        let tag = Purpose::Augmentation as u32;
        assert_eq!(counter.words(5, last, 2), philox4x32([2, (tag << 24) + 0xFF_FFFF, 5, 3], [7, 0]));
    }

    /// Bits are fair: of 400,000 words each bit is set in half, within 5 standard deviations (z-bound; 32
    /// bits).
    #[test]
    fn bits_are_fair() {
        let counter = Counter { seed: 1, purpose: Purpose::Augmentation, step: 0 };
        let mut set = [0u32; 32];
        for image in 0..100_000 {
            for word in counter.words(image, View(0), 0) {
                (0..32).for_each(|bit| set[bit] += (word >> bit) & 1);
            }
        }
        let deviation = (400_000f64 / 4.0).sqrt();
        for (bit, &count) in set.iter().enumerate() {
            assert!((f64::from(count) - 200_000.0).abs() < 5.0 * deviation, "bit {bit}: {count}");
        }
    }
}
