//! Exact random indices: several digits of mixed radix from one 64-bit word.
//!
//! Digits. For radices r₁, …, r_D with T = ∏ r_i ≤ 2⁶⁴ and a uniform word x, ⌊x T / 2⁶⁴⌋ is uniform on 0..T once the
//! words with (x T mod 2⁶⁴) < (2⁶⁴ mod T) are rejected (Lemire 2019). Its mixed-radix digits need no division: with
//! x₀ = x, digit i is ⌊x_{i−1} r_i / 2⁶⁴⌋ and x_i = x_{i−1} r_i mod 2⁶⁴, and the last x_D is x T mod 2⁶⁴, the number
//! that decides about rejection. So one word gives six labels of 1000 classes, each with probability exactly 1/1000.
//!
//! Source: D. Lemire, "Fast random integer generation in an interval", 2019.

use rand_xoshiro::rand_core::RngCore;

/// Digits of `word` in these radices, and the low part that [`threshold`] is compared with; words have `BITS` bits.
#[inline(always)]
fn split<const D: usize, const BITS: u32>(word: u64, radices: [u64; D]) -> ([u64; D], u64) {
    let mask = if BITS == 64 { u64::MAX } else { (1 << BITS) - 1 };
    let (mut digits, mut low) = ([0; D], word);
    for i in 0..D {
        let product = u128::from(low) * u128::from(radices[i]);
        digits[i] = (product >> BITS) as u64;
        low = product as u64 & mask;
    }
    (digits, low)
}

/// 2^BITS mod `range`: words whose low part lies below are rejected.
pub(super) fn threshold(range: u128, bits: u32) -> u64 {
    ((1u128 << bits) % range) as u64
}

/// D uniform digits from as many words as it takes; `threshold` belongs to the product of the radices.
#[inline(always)]
pub(super) fn digits<const D: usize>(rng: &mut impl RngCore, radices: [u64; D], threshold: u64) -> [u64; D] {
    loop {
        let (digits, low) = split::<D, 64>(rng.next_u64(), radices);
        if low >= threshold {
            return digits;
        }
    }
}

/// Of `range`, as many digits from one word as give the most per word, at most `most`; 0 where `range` exceeds a word.
pub(super) fn digits_per_word(range: u128, most: u32) -> (u32, u64) {
    let word = 1u128 << 64;
    let mut best = (0, 0, 0.0);
    let mut product = 1u128;
    for count in 1..=most {
        product = match product.checked_mul(range) {
            Some(product) if product <= word => product,
            _ => break,
        };
        let rejected = threshold(product, 64);
        let accepted = f64::from(count) * (1.0 - rejected as f64 / word as f64);
        if accepted > best.2 {
            best = (count, rejected, accepted);
        }
    }
    (best.0, best.1)
}

/// Uniform labels 0..C.
#[derive(Debug, Clone)]
pub(super) struct UniformLabels {
    classes: u64,
    per_word: u32,
    threshold: u64,
}

impl UniformLabels {
    pub(super) fn new(classes: u64) -> Self {
        let (per_word, threshold) = digits_per_word(u128::from(classes), 8);
        Self { classes, per_word, threshold }
    }

    /// Labels that one word gives.
    pub(super) fn per_word(&self) -> u64 {
        u64::from(self.per_word)
    }

    /// Calls `visit` with `count` labels.
    #[inline(always)]
    pub(super) fn for_each(&self, rng: &mut impl RngCore, count: u64, visit: impl FnMut(usize)) {
        match self.per_word {
            8 => self.run::<8>(rng, count, visit),
            7 => self.run::<7>(rng, count, visit),
            6 => self.run::<6>(rng, count, visit),
            5 => self.run::<5>(rng, count, visit),
            4 => self.run::<4>(rng, count, visit),
            3 => self.run::<3>(rng, count, visit),
            2 => self.run::<2>(rng, count, visit),
            _ => self.run::<1>(rng, count, visit),
        }
    }

    #[inline(always)]
    fn run<const D: usize>(&self, rng: &mut impl RngCore, count: u64, mut visit: impl FnMut(usize)) {
        let radices = [self.classes; D];
        let threshold = self.threshold;
        for _ in 0..count / D as u64 {
            let labels = digits(rng, radices, threshold);
            for label in &labels {
                visit(*label as usize);
            }
        }
        let rest = (count % D as u64) as usize;
        if rest > 0 {
            for &label in &digits(rng, radices, self.threshold)[..rest] {
                visit(label as usize);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every word of 12 bits: accepted words give each combination of digits equally often.
    fn exhaust<const D: usize>(radices: [u64; D]) {
        const BITS: u32 = 12;
        let range: u64 = radices.iter().product();
        let rejected = threshold(u128::from(range), BITS);
        let mut counts = vec![0u64; range as usize];
        for word in 0..1 << BITS {
            let (digits, low) = split::<D, BITS>(word, radices);
            if low >= rejected {
                let index = digits.iter().zip(radices).fold(0, |index, (digit, radix)| index * radix + digit);
                counts[index as usize] += 1;
            }
        }
        let each = (1 << BITS) / range;
        assert!(each > 0 && counts.iter().all(|&count| count == each), "{radices:?}: {counts:?}");
    }

    #[test]
    fn digits_of_every_short_word_are_exactly_uniform() {
        (1..=4096).for_each(|radix| exhaust([radix]));
        (1..=64).for_each(|radix| exhaust([radix, 4096 / radix]));
        (1..=16).for_each(|radix| exhaust([radix; 3]));
        exhaust([3, 7, 3, 7]);
        exhaust([2; 12]);
        exhaust([5, 1, 2, 9, 4]);
    }

    #[test]
    fn full_words_agree_with_division() {
        // The same digits from ⌊x T / 2⁶⁴⌋ by division, and the same low part from x T mod 2⁶⁴.
        let mut rng = super::super::plan::test_generator(3);
        for _ in 0..1000 {
            let word = rng.next_u64();
            let (digits, low) = split::<6, 64>(word, [1000; 6]);
            let product = u128::from(word) * 10u128.pow(18);
            let mut high = (product >> 64) as u64;
            for digit in digits.iter().rev() {
                assert_eq!(*digit, high % 1000);
                high /= 1000;
            }
            assert_eq!((high, low), (0, product as u64));
        }
        assert_eq!(digits_per_word(1000, 8), (6, 446_744_073_709_551_616));
        assert_eq!(digits_per_word(1 << 32, 8), (2, 0));
        assert_eq!(digits_per_word(1 << 65, 8).0, 0);
    }
}
