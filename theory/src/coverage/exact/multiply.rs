//! Products, powers and factorials of large integers.

use super::moduli::primes;
use super::short::{Powers, is_short};
use super::transform;
use super::words::from_words;
use num_bigint::BigUint;

/// Words of the smaller factor from which the transform beats Toom's method, by measurement.
const MIN_TRANSFORM: u64 = 4500;

/// ab.
pub(super) fn multiply(a: &BigUint, b: &BigUint) -> BigUint {
    if a.bits().min(b.bits()) < 64 * MIN_TRANSFORM { a * b } else { transform::product(a, b) }
}

/// m^n for m ≥ 1; the power of 2 in m is a shift.
pub(super) fn power(base: u64, exponent: u64) -> BigUint {
    let shift = base.trailing_zeros();
    let odd = base >> shift;
    let mut value = BigUint::from(1u32);
    if odd > 1 && exponent > 0 && is_short(odd, exponent) {
        let mut words = Vec::new();
        Powers::new(odd, exponent).push(odd, &mut words);
        value = from_words(&words);
    } else if odd > 1 {
        // The leading bits of the exponent as far as their power fits a word: no squares of small integers.
        let mut rest = 0;
        let word = loop {
            let leading = u32::try_from(exponent >> rest).ok();
            match leading.and_then(|leading| odd.checked_pow(leading)) {
                Some(word) => break word,
                None => rest += 1,
            }
        };
        value = BigUint::from(word);
        for bit in (0..rest).rev() {
            value = multiply(&value, &value);
            if exponent >> bit & 1 == 1 {
                value *= odd;
            }
        }
    }
    value << (u64::from(shift) * exponent)
}

/// n!
pub(super) fn factorial(n: u64) -> BigUint {
    product(1, n)
}

/// low·(low+1)···high.
pub(super) fn product(low: u64, high: u64) -> BigUint {
    if low > high {
        return BigUint::from(1u32);
    }
    if high - low < 8 {
        return (low..=high).map(BigUint::from).product();
    }
    let middle = low + (high - low) / 2;
    multiply(&product(low, middle), &product(middle + 1, high))
}

/// binom(n, k) without a division of large integers.
///
/// The k factors n−k+1, …, n lose every prime p ≤ k; its power in binom(n, k) is p to the number of carries when k and
/// n−k are added in base p (Kummer 1852). What is left is a product of words.
pub(super) fn binomial(n: u64, k: u64) -> BigUint {
    let k = k.min(n - k);
    let primes = primes(k);
    // So few parts that the primes are seldom read, so short that they fit a cache while k is moderate.
    let part = (k / 64).max(1 << 16);
    let mut words = Words::default();
    for start in (0..k).step_by(part as usize) {
        let low = n - k + 1 + start;
        let mut factors: Vec<u64> = (low..=(low + part - 1).min(n)).collect();
        for &p in &primes {
            let first = (p - low % p) % p;
            for factor in factors.iter_mut().skip(first as usize).step_by(p as usize) {
                while factor.is_multiple_of(p) {
                    *factor /= p;
                }
            }
        }
        factors.into_iter().for_each(|factor| words.push(factor));
    }
    for &p in &primes {
        (0..carries(k, n - k, p)).for_each(|_| words.push(p));
    }
    words.product()
}

/// The carries when a and b are added in base p.
fn carries(mut a: u64, mut b: u64, p: u64) -> u32 {
    let (mut carry, mut count) = (0, 0);
    while a > 0 || b > 0 {
        // Digits and the carry are below 2p, and p ≤ k ≤ n/2.
        carry = u64::from(a % p + b % p + carry >= p);
        count += carry as u32;
        (a, b) = (a / p, b / p);
    }
    count
}

/// Factors, several to a word.
#[derive(Default)]
struct Words {
    full: Vec<u64>,
    last: Option<u64>,
}

impl Words {
    fn push(&mut self, factor: u64) {
        match self.last.unwrap_or(1).checked_mul(factor) {
            Some(word) => self.last = Some(word),
            None => self.full.extend(self.last.replace(factor)),
        }
    }

    fn product(mut self) -> BigUint {
        self.full.extend(self.last);
        tree(&self.full)
    }
}

/// The product of words.
fn tree(words: &[u64]) -> BigUint {
    if words.len() <= 16 {
        return words.iter().fold(BigUint::from(1u32), |product, &word| product * word);
    }
    let (low, high) = words.split_at(words.len() / 2);
    multiply(&tree(low), &tree(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_and_binomials_by_hand() {
        assert_eq!(power(12, 3), 1728u32.into());
        assert_eq!((power(8, 0), power(1, 9)), (1u32.into(), 1u32.into()));
        assert_eq!(power(1000, 77), BigUint::from(1000u32).pow(77));
        assert_eq!(binomial(10, 3), 120u32.into());
        assert_eq!(factorial(20), 2_432_902_008_176_640_000u64.into());
        // Pascal's rule.
        assert_eq!(binomial(301, 100), binomial(300, 100) + binomial(300, 99));
        assert_eq!(
            (binomial(7, 0), binomial(7, 7), binomial(1 << 53, 1)),
            (1u32.into(), 1u32.into(), (1u64 << 53).into())
        );
    }

    #[test]
    fn binomials_by_division() {
        for (n, k) in
            [(64, 32), (1000, 500), (70_000, 33_000), (200_000, 70_000), (1 << 53, 300), ((1 << 40) + 7, 90)]
        {
            let quotient = product(n - k + 1, n) / factorial(k);
            assert_eq!(binomial(n, k), quotient, "{n} {k}");
            assert_eq!(binomial(n, n - k), quotient, "{n} {k}");
        }
    }
}
