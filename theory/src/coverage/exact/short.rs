//! Powers and quotients of integers of some hundred words at most, without allocation between the steps: where
//! large-integer libraries spend their time on anything but products.

use super::residues::inverse_mod_word;
use super::rows::{add_product, square};

/// Words of the longest power: roots of half its length are squared by rows quicker than by general products.
const MAX_WORDS: u64 = 256;

/// Bits of a base above 1: of base^e there are at most e times as many.
fn bits(base: u64) -> u64 {
    u64::from(base.ilog2()) + 1
}

/// Whether base^exponent is short enough for [`Powers`].
pub(super) fn is_short(base: u64, exponent: u64) -> bool {
    exponent.saturating_mul(bits(base)) <= 64 * MAX_WORDS
}

/// What finds short powers of bases up to a largest one, with the same exponent: room for a value, its square and its
/// double, one after the other.
pub(super) struct Powers {
    exponent: u64,
    room: usize,
    space: Vec<u64>,
}

impl Powers {
    pub fn new(largest_base: u64, exponent: u64) -> Self {
        // A square is written with a leading zero, and its root may have one word more than half of its words.
        let room = (exponent.saturating_mul(bits(largest_base)) / 64).min(MAX_WORDS) as usize + 4;
        Self { exponent, room, space: std::iter::repeat_n(0, 3 * room).collect() }
    }

    /// The power of a base above 1 onto `store`, if it is short.
    pub fn push(&mut self, base: u64, store: &mut Vec<u64>) {
        let exponent = self.exponent;
        let (mut value, rest) = self.space.split_at_mut(self.room);
        let (mut other, doubled) = rest.split_at_mut(self.room);
        // The leading bits of the exponent as far as their power fits two words.
        let rest = (0..64).find(|&rest| (exponent >> rest) * bits(base) <= 128).unwrap_or(0);
        let first = u128::from(base).pow((exponent >> rest) as u32);
        (value[0], value[1]) = (first as u64, (first >> 64) as u64);
        let mut length = if value[1] == 0 { 1 } else { 2 };
        for bit in (0..rest).rev() {
            square(&value[..length], doubled, other);
            std::mem::swap(&mut value, &mut other);
            length *= 2;
            length -= usize::from(value[length - 1] == 0);
            if exponent >> bit & 1 == 1 {
                multiply_by_word(&mut value[..=length], base);
                length += usize::from(value[length] != 0);
            }
        }
        store.extend_from_slice(&value[..length]);
    }
}

/// Multiplies by a word all but the last of the words, which takes the carry.
pub(super) fn multiply_by_word(words: &mut [u64], factor: u64) {
    let Some((last, words)) = words.split_last_mut() else { return };
    let mut carry = 0u64;
    for word in words {
        let term = u128::from(*word) * u128::from(factor) + u128::from(carry);
        (*word, carry) = (term as u64, (term >> 64) as u64);
    }
    *last = carry;
}

/// Divides by an odd number, of which it is a multiple, modulo a power of 2⁶⁴: from the lowest word up, with the inverse
/// of the divisor's lowest word modulo 2⁶⁴ (Hensel).
///
/// All words below a bound of the quotient suffice.
pub(super) fn divide_exactly(words: &mut [u64], odd_divisor: &[u64]) {
    let inverse = inverse_mod_word(odd_divisor[0]);
    if let [divisor] = *odd_divisor {
        let mut borrow = 0u64;
        for word in words {
            let (rest, below) = word.overflowing_sub(borrow);
            *word = rest.wrapping_mul(inverse);
            borrow = ((u128::from(*word) * u128::from(divisor)) >> 64) as u64 + u64::from(below);
        }
        return;
    }
    // In the complement 2^(64·length) − 1 − x a difference is a sum.
    words.iter_mut().for_each(|word| *word = !*word);
    for i in 0..words.len() {
        let quotient = inverse.wrapping_mul(!words[i]);
        add_product(&mut words[i..], &[quotient], odd_divisor);
        words[i] = quotient;
    }
}

/// Shifts to the right by `bits`.
pub(super) fn shift_down(words: &mut Vec<u64>, bits: u64) {
    let (whole, bits) = ((bits / 64) as usize, bits % 64);
    if whole > 0 {
        words.drain(..whole.min(words.len()));
    }
    if bits > 0 {
        let mut above = 0;
        for word in words.iter_mut().rev() {
            (*word, above) = (*word >> bits | above, *word << (64 - bits));
        }
    }
}

/// Divides by C!, of which it is a multiple.
pub(super) fn divide_by_factorial(words: &mut Vec<u64>, num_classes: u64) {
    // The odd part of C!, as many factors at once as fit a word.
    let mut odd = Vec::with_capacity(num_classes as usize / 8 + 2);
    let (mut factor, mut twos) = (1u64, 0);
    odd.push(1);
    let mut multiply = |factor| {
        odd.push(0);
        multiply_by_word(&mut odd, factor);
        odd.pop_if(|last| *last == 0);
    };
    for j in 2..=num_classes {
        let shift = j.trailing_zeros();
        twos += u64::from(shift);
        factor = factor.checked_mul(j >> shift).unwrap_or_else(|| {
            multiply(factor);
            j >> shift
        });
    }
    multiply(factor);
    shift_down(words, twos);
    while words.pop_if(|last| *last == 0).is_some() {}
    // The quotient has no more words.
    words.truncate((words.len() + 1).saturating_sub(odd.len()));
    divide_exactly(words, &odd);
}

#[cfg(test)]
mod tests {
    use super::super::words::from_words;
    use super::*;
    use num_bigint::BigUint;

    #[test]
    fn powers() {
        for (base, exponent) in [
            (3u64, 1u64),
            (2, 8192),
            (3, 41),
            (5, 512),
            (7, 512),
            (97, 1024),
            (19, 1000),
            (101, 1200),
            (u64::MAX, 256),
            (3, 8192),
            (3, 8191),
        ] {
            assert!(is_short(base, exponent) && !is_short(base, 64 * MAX_WORDS), "{base} {exponent}");
            let mut store = vec![9];
            Powers::new(base, exponent).push(base, &mut store);
            let expected = BigUint::from(base).pow(exponent as u32);
            assert_eq!(store[1..], expected.to_u64_digits(), "{base} {exponent}");
        }
    }

    #[test]
    fn quotients() {
        for c in [1u64, 2, 3, 20, 21, 65, 100, 171] {
            let factorial: BigUint = (1..=c).map(BigUint::from).product();
            for quotient in
                [BigUint::ZERO, 1u32.into(), (BigUint::from(7u32) << 640) - 1u32, factorial.clone()]
            {
                let mut words = (&quotient * &factorial).to_u64_digits();
                words.extend([0, 0]);
                divide_by_factorial(&mut words, c);
                assert_eq!(from_words(&words), quotient, "{c}");
            }
        }
    }
}
