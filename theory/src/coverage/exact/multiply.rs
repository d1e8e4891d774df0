//! Products, powers and factorials of large integers.

use super::transform;
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
    if odd > 1 {
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

/// binom(n, k).
pub(super) fn binomial(n: u64, k: u64) -> BigUint {
    let k = k.min(n - k);
    product(n - k + 1, n) / factorial(k)
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
    }
}
