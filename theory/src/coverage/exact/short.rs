//! Products and powers of integers of some hundred words at most, without allocation between the steps, and C! S(n, C)
//! for few classes: where large-integer libraries spend their time on anything but products.

use super::grouping::Sum;
use std::ops::Range;

/// Words of the longest power.
const MAX_WORDS: usize = 128;

/// Whether [`power`] takes base^exponent.
pub(super) fn is_short(base: u64, exponent: u64) -> bool {
    exponent as f64 * (base as f64).log2() < 64.0 * (MAX_WORDS - 2) as f64
}

/// x² into `out`, twice as long: products of different words once, doubled, and the squares of the words.
fn square(x: &[u64], out: &mut [u64]) {
    out.fill(0);
    for (i, &word) in x.iter().enumerate() {
        let rest = &x[i + 1..];
        let (row, above) = out[2 * i + 1..].split_at_mut(rest.len());
        let mut carry = 0u64;
        for (sum, &other) in row.iter_mut().zip(rest) {
            let term = u128::from(word) * u128::from(other) + u128::from(*sum) + u128::from(carry);
            (*sum, carry) = (term as u64, (term >> 64) as u64);
        }
        above[0] = carry;
    }
    let (mut carry, mut spilled) = (false, 0);
    for (pair, &word) in out.chunks_exact_mut(2).zip(x) {
        let own = u128::from(word) * u128::from(word);
        let doubled = [pair[0] << 1 | spilled, pair[1] << 1 | pair[0] >> 63];
        spilled = pair[1] >> 63;
        let (low, first) = doubled[0].overflowing_add(own as u64);
        let (low, second) = low.overflowing_add(u64::from(carry));
        let middle = first || second;
        let (high, first) = doubled[1].overflowing_add((own >> 64) as u64);
        let (high, second) = high.overflowing_add(u64::from(middle));
        (pair[0], pair[1], carry) = (low, high, first || second);
    }
}

/// xy onto `store`, without leading zeros; x and y stand in it.
fn push_product(x: Range<usize>, y: Range<usize>, store: &mut Vec<u64>) {
    let start = store.len();
    store.resize(start + x.len() + y.len(), 0);
    let (done, out) = store.split_at_mut(start);
    let (x, y) = (&done[x], &done[y]);
    if x.as_ptr() == y.as_ptr() && x.len() == y.len() {
        square(x, out);
    } else {
        for (i, &word) in x.iter().enumerate() {
            let mut carry = 0u64;
            for (sum, &other) in out[i..].iter_mut().zip(y) {
                let term = u128::from(word) * u128::from(other) + u128::from(*sum) + u128::from(carry);
                (*sum, carry) = (term as u64, (term >> 64) as u64);
            }
            out[i + y.len()] = carry;
        }
    }
    while store.len() > start + 1 && store[store.len() - 1] == 0 {
        store.pop();
    }
}

/// base^exponent onto `store`, for a short power of an odd base.
pub(super) fn push_power(base: u64, exponent: u64, store: &mut Vec<u64>) {
    let (mut value, mut other) = ([0u64; MAX_WORDS], [0u64; MAX_WORDS]);
    let mut length = 1;
    // The leading bits of the exponent as far as their power fits a word.
    let mut rest = 0;
    let fitting = 63.9 / (base as f64).log2();
    while (exponent >> rest) as f64 > fitting {
        rest += 1;
    }
    value[0] = base.pow((exponent >> rest) as u32);
    for bit in (0..rest).rev() {
        square(&value[..length], &mut other[..2 * length]);
        std::mem::swap(&mut value, &mut other);
        length *= 2;
        length -= usize::from(value[length - 1] == 0);
        if exponent >> bit & 1 == 1 {
            let mut carry = 0u64;
            for word in &mut value[..length] {
                let term = u128::from(*word) * u128::from(base) + u128::from(carry);
                (*word, carry) = (term as u64, (term >> 64) as u64);
            }
            if carry > 0 {
                value[length] = carry;
                length += 1;
            }
        }
    }
    store.extend_from_slice(&value[..length]);
}

/// Most classes of [`surjections`].
pub(super) const MAX_CLASSES: u64 = 20;

/// The words of C! S(n, C) = Σ_j (−1)^{C−j} binom(C, j) jⁿ for n ≥ C, 2 ≤ C ≤ [`MAX_CLASSES`] and a short Cⁿ: odd powers
/// by squares and products of each other, the others as their shifts.
pub(super) fn surjections(n: u64, c: u64) -> Vec<u64> {
    let mut binomials = [1u64; MAX_CLASSES as usize + 1];
    for j in 1..=c {
        binomials[j as usize] = binomials[j as usize - 1] * (c - j + 1) / j;
    }
    let words = (n as f64 * (c as f64).log2() + c as f64) as usize / 64 + 2;
    let mut sum = Sum::new(words);
    // The powers of 1, 3, 5, … one after the other, and where each begins.
    let mut store = Vec::with_capacity(words * (c as usize).div_ceil(2));
    let mut starts = [0; MAX_CLASSES as usize / 2 + 1];
    for (index, odd) in (1..=c).step_by(2).enumerate() {
        let start = store.len();
        match (3..odd).step_by(2).find(|&factor| odd.is_multiple_of(factor)) {
            _ if odd == 1 => store.push(1),
            Some(factor) => {
                let at = |j: u64| starts[j as usize / 2]..starts[j as usize / 2 + 1];
                push_product(at(factor), at(odd / factor), &mut store);
            }
            None => push_power(odd, n, &mut store),
        }
        starts[index + 1] = store.len();
        let mut shift = 0;
        while odd << shift <= c {
            let j = odd << shift;
            sum.add(&store[start..], binomials[j as usize], shift * n, !(c - j).is_multiple_of(2));
            shift += 1;
        }
    }
    sum.into_words()
}

/// Divides by d, of which it is a multiple, from the lowest word up: with the inverse of the odd part modulo 2⁶⁴.
pub(super) fn divide_exactly(words: &mut [u64], divisor: u64) {
    let shift = divisor.trailing_zeros();
    let odd = divisor >> shift;
    // Each step doubles the digits that are right: three of an odd number are its own.
    let mut inverse = odd;
    for _ in 0..5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
    }
    let mut borrow = 0u64;
    for i in 0..words.len() {
        let above = words.get(i + 1).copied().unwrap_or(0);
        let word = if shift == 0 { words[i] } else { words[i] >> shift | above << (64 - shift) };
        let (rest, below) = word.overflowing_sub(borrow);
        let quotient = rest.wrapping_mul(inverse);
        borrow = ((u128::from(quotient) * u128::from(odd)) >> 64) as u64 + u64::from(below);
        words[i] = quotient;
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::from_words;
    use super::*;
    use num_bigint::BigUint;

    #[test]
    fn powers_products_and_squares() {
        for (base, exponent) in
            [(3u64, 1u64), (3, 41), (5, 512), (7, 512), (97, 1024), (19, 1000), (101, 1200)]
        {
            let mut store = vec![9];
            push_power(base, exponent, &mut store);
            assert_eq!(
                from_words(&store[1..]),
                BigUint::from(base).pow(exponent as u32),
                "{base} {exponent}"
            );
            assert!(is_short(base, exponent) && store[store.len() - 1] != 0);
        }
        for words in [vec![u64::MAX; 7], vec![1 << 63; 5], vec![0, 0, 1], vec![u64::MAX]] {
            let mut out = vec![7; 2 * words.len()];
            square(&words, &mut out);
            let value = from_words(&words);
            assert_eq!(from_words(&out), &value * &value);
            let (mut store, length) = ([&words[..], &[u64::MAX, 5]].concat(), words.len());
            push_product(0..length, length..length + 2, &mut store);
            assert_eq!(from_words(&store[length + 2..]), &value * from_words(&[u64::MAX, 5]));
            push_product(0..length, 0..length, &mut store);
            assert!(store.ends_with(&(&value * &value).to_u64_digits()));
        }
    }

    #[test]
    fn few_classes_term_by_term() {
        for c in 2..=MAX_CLASSES {
            for n in [c, c + 1, 2 * c + 3, 63, 64, 65, 257, 512, 1000].into_iter().filter(|&n| n >= c) {
                let mut words = surjections(n, c);
                let expected = super::super::stirling::surjections_term_by_term(n as u32, c);
                assert_eq!(from_words(&words), expected, "{n} {c}");
                let factorial = (1..=c).product();
                divide_exactly(&mut words, factorial);
                assert_eq!(from_words(&words), expected / factorial, "{n} {c}");
            }
        }
    }
}
