//! C! S(n, C) = Σ_j (−1)^{C−j} binom(C, j) jⁿ in integers, grouped by the largest prime of j:
//! Σ_p pⁿ Σ_{k ≤ C/p, k p-smooth} ± binom(C, pk) kⁿ, so that only the primes need a full power and a full product.
//!
//! Powers of 2 are shifts, and the inner sums are kept in place in two's complement.

use super::moduli::primes;
use super::multiply::{multiply, power};
use super::words::from_words;
use num_bigint::BigUint;

/// C! S(n, C) for n ≥ C ≥ 2.
pub(super) fn surjections_by_grouping(num_draws: u32, num_classes: u64) -> BigUint {
    let (n, c) = (u64::from(num_draws), num_classes);
    // binom(C, j) for j ≤ C/2, `width` words each.
    let width = (c as usize).div_ceil(64);
    let mut binomials = Vec::with_capacity(width * (c as usize / 2 + 1));
    if c <= MAX_WORD_BINOMIAL {
        let mut binomial = 1u128;
        for j in 0..=c / 2 {
            binomials.push(binomial as u64);
            binomial = binomial * u128::from(c - j) / u128::from(j + 1);
        }
    } else {
        let mut binomial = BigUint::from(1u32);
        for j in 0..=c / 2 {
            binomials.extend(binomial.iter_u64_digits());
            binomials.resize(width * (j as usize + 1), 0);
            binomial = binomial * (c - j) / (j + 1);
        }
    }
    // Adds ± binom(C, j) x 2^(shift·n).
    let add = |sum: &mut Sum, j: u64, x: &[u64], shift: u32| {
        let binomial = &binomials[j.min(c - j) as usize * width..][..width];
        for (place, &word) in binomial.iter().enumerate().filter(|(_, word)| **word > 0) {
            sum.add(x, word, u64::from(shift) * n + 64 * place as u64, !(c - j).is_multiple_of(2));
        }
    };
    let words = |base: u64| ((n as f64 * (base as f64).log2() + c as f64) / 64.0) as usize + 2;
    let mut sum = Sum::new(words(c));
    add(&mut sum, 1, &[1], 0);
    // Powers of the odd k; those of even k are shifted.
    let mut powers = vec![Vec::new(); c as usize / 3 + 1];
    let largest = largest_factors(c / 2);
    for p in primes(c) {
        if p == 2 {
            (1..=c.ilog2()).for_each(|e| add(&mut sum, 1 << e, &[1], e));
            continue;
        }
        let prime_power = power(p, n);
        let mut inner = Sum::new(words(c / p));
        for k in (1..=c / p).filter(|&k| u64::from(largest[k as usize]) <= p) {
            let odd = k >> k.trailing_zeros();
            if odd == 1 {
                add(&mut inner, p * k, &[1], k.trailing_zeros());
                continue;
            }
            if powers[odd as usize].is_empty() {
                // The largest prime of `odd` is p, or the power would have been needed before.
                let rest = (odd / p) as usize;
                powers[odd as usize] = if rest == 1 {
                    prime_power.to_u64_digits()
                } else {
                    multiply(&prime_power, &from_words(&powers[rest])).to_u64_digits()
                };
            }
            add(&mut inner, p * k, &powers[odd as usize], k.trailing_zeros());
        }
        let (magnitude, negative) = inner.into_magnitude();
        sum.add(&multiply(&magnitude, &prime_power).to_u64_digits(), 1, 0, negative);
    }
    sum.into_magnitude().0
}

/// All binom(C, j) fit one word, up to this C.
const MAX_WORD_BINOMIAL: u64 = 64;

/// The largest prime factor of every k ≤ `limit`; 1 of 1.
pub(super) fn largest_factors(limit: u64) -> Vec<u32> {
    let mut largest = vec![1; limit as usize + 1];
    for p in primes(limit) {
        largest[p as usize..].iter_mut().step_by(p as usize).for_each(|l| *l = p as u32);
    }
    largest
}

/// A sum of fixed width in two's complement.
pub(super) struct Sum(Vec<u64>);

impl Sum {
    /// 0, of so many words.
    pub fn new(words: usize) -> Self {
        Self(vec![0; words])
    }

    /// Adds x·factor·2^shift, or subtracts it; what lies beyond the width is lost.
    pub fn add(&mut self, x: &[u64], factor: u64, shift: u64, negative: bool) {
        let (skip, bits) = ((shift / 64) as usize, shift % 64);
        let (mut product, mut spilled, mut carry) = (0u64, 0u64, false);
        let mut rest = x.iter();
        let mut words = self.0.iter_mut().skip(skip);
        // Two words after the last of x: the high words of the product and of the shift.
        for _ in 0..x.len() + 2 {
            let next =
                u128::from(rest.next().copied().unwrap_or(0)) * u128::from(factor) + u128::from(product);
            product = (next >> 64) as u64;
            let digit = next as u64;
            let term = digit << bits | spilled;
            spilled = if bits == 0 { 0 } else { digit >> (64 - bits) };
            let Some(word) = words.next() else { return };
            carry = step(word, term, carry, negative);
        }
        for word in words {
            if !carry {
                return;
            }
            carry = step(word, 0, carry, negative);
        }
    }

    /// The words of a sum that is not negative.
    pub fn into_words(self) -> Vec<u64> {
        self.0
    }

    /// The absolute value, and whether the sum is negative.
    fn into_magnitude(mut self) -> (BigUint, bool) {
        let negative = self.0.last().is_some_and(|word| word >> 63 == 1);
        if negative {
            let mut carry = true;
            for word in &mut self.0 {
                (*word, carry) = (!*word).overflowing_add(u64::from(carry));
            }
        }
        (from_words(&self.0), negative)
    }
}

/// word ± (term + carry); returns the new carry or borrow.
#[inline(always)]
fn step(word: &mut u64, term: u64, carry: bool, negative: bool) -> bool {
    let (first, second);
    if negative {
        (*word, first) = word.overflowing_sub(term);
        (*word, second) = word.overflowing_sub(u64::from(carry));
    } else {
        (*word, first) = word.overflowing_add(term);
        (*word, second) = word.overflowing_add(u64::from(carry));
    }
    first || second
}
