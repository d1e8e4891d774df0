//! C! S(n, C) = Σ_j (−1)^{C−j} binom(C, j) jⁿ in integers, grouped by the largest prime of j:
//! Σ_p pⁿ Σ_{k ≤ C/p, k p-smooth} ± binom(C, pk) kⁿ, so that only the primes need a full power and a full product.
//!
//! Powers of 2 are shifts. The terms of even and of odd j have one sign each: they are summed apart, and the only
//! differences are those of the two sums.

use super::moduli::primes;
use super::multiply::{multiply, power};
use super::rows::{add_product, subtract, trimmed};
use super::short::{Powers, divide_exactly, is_short, multiply_by_word, shift_down};
use super::words::from_words;
use std::cmp::Ordering;
use std::ops::Range;

/// Words of the shorter factor from which the general product is quicker than rows, by measurement.
const MAX_ROWS: usize = 96;

/// The words of C! S(n, C) for n ≥ C ≥ 1.
pub(super) fn surjections_by_grouping(num_draws: u64, num_classes: u64) -> Vec<u64> {
    let (n, c) = (num_draws, num_classes);
    let binomials = Binomials::new(c);
    let mut shifted = Vec::new();
    // Adds binom(C, j) x 2^(n·twos), for j = (odd factor of j)·2^twos and x the n-th power of that factor.
    let mut add = |sums: &mut Sums, j: u64, x: &[u64], twos: u32| {
        let shift = u64::from(twos) * n;
        let factor = binomials.shifted(j, shift % 64, &mut shifted);
        let sum = &mut sums.side(j)[(shift / 64) as usize..];
        if factor.len() < x.len() { add_product(sum, factor, x) } else { add_product(sum, x, factor) }
    };
    let words = |base: u64| ((n as f64 * (base as f64).log2() + c as f64) / 64.0) as usize + 2;
    let (mut sums, mut inner) = (Sums::default(), Sums::default());
    sums.clear(words(c));
    (0..=c.ilog2()).for_each(|twos| add(&mut sums, 1 << twos, &[1], twos));
    // The powers of odd k ≤ C/3, one after the other, and where they stand once all primes of k had their turn.
    let (mut store, mut places) =
        (Vec::with_capacity(words(c) * (c as usize / 6 + 2)), vec![0..0; c as usize / 6 + 1]);
    store.push(1);
    places[0] = 0..1;
    let place = |odd: u64| (odd / 2) as usize;
    let mut powers = Powers::new(c, n);
    for &p in primes(c).iter().skip(1) {
        let start = store.len();
        if is_short(p, n) {
            powers.push(p, &mut store);
        } else {
            store.extend(power(p, n).iter_u64_digits());
        }
        let own = start..store.len();
        if c / p < 3 {
            // Shifts of one power: no product.
            (0..=(c / p).ilog2()).for_each(|twos| add(&mut sums, p << twos, &store[own.clone()], twos));
            store.truncate(start);
            continue;
        }
        places[place(p)] = own.clone();
        for k in (3..=c / 3 / p).step_by(2) {
            let cofactor = places[place(k)].clone();
            if !cofactor.is_empty() {
                places[place(p * k)] = push_product(cofactor, own.clone(), &mut store);
            }
        }
        inner.clear(words(c / p));
        for k in 1..=c / p {
            let twos = k.trailing_zeros();
            let power = &store[places[place(k >> twos)].clone()];
            if !power.is_empty() {
                add(&mut inner, p * k, power, twos);
            }
        }
        let (length, side) = inner.difference();
        add_any_product(sums.side(side), &inner.side(side)[..length], &store[own]);
    }
    let (length, side) = sums.difference();
    let mut words = std::mem::take(sums.side(side));
    words.truncate(length);
    words
}

/// Adds xy, by rows or by the general product.
fn add_any_product(sum: &mut [u64], x: &[u64], y: &[u64]) {
    let (x, y) = if x.len() < y.len() { (x, y) } else { (y, x) };
    if x.len() <= MAX_ROWS {
        add_product(sum, x, y);
    } else {
        add_product(sum, &[1], &multiply(&from_words(x), &from_words(y)).to_u64_digits());
    }
}

/// The product of two integers in `store` onto its end; returns where it stands.
fn push_product(x: Range<usize>, y: Range<usize>, store: &mut Vec<u64>) -> Range<usize> {
    let start = store.len();
    store.resize(start + x.len() + y.len(), 0);
    let (done, product) = store.split_at_mut(start);
    add_any_product(product, &done[x], &done[y]);
    let end = start + trimmed(product).len();
    store.truncate(end);
    start..end
}

/// binom(C, j) for j ≤ C/2, `width` words each.
struct Binomials {
    num_classes: u64,
    width: usize,
    words: Vec<u64>,
}

impl Binomials {
    fn new(num_classes: u64) -> Self {
        let (c, width) = (num_classes, (num_classes as usize).div_ceil(64));
        let mut words = Vec::with_capacity(width * (c as usize / 2 + 1));
        // A word more, for the product before the quotient.
        let mut binomial = Vec::with_capacity(width + 1);
        binomial.push(1u64);
        binomial.resize(width + 1, 0);
        for j in 0..=c / 2 {
            words.extend_from_slice(&binomial[..width]);
            match binomial[0].checked_mul(c - j) {
                Some(product) if width == 1 => binomial[0] = product / (j + 1),
                _ => {
                    multiply_by_word(&mut binomial, c - j);
                    let twos = (j + 1).trailing_zeros();
                    shift_down(&mut binomial, u64::from(twos));
                    binomial.resize(width + 1, 0);
                    divide_exactly(&mut binomial, &[(j + 1) >> twos]);
                }
            }
        }
        Self { num_classes, width, words }
    }

    /// binom(C, j) 2^bits for bits < 64, in `space` unless `bits` is 0.
    fn shifted<'a>(&'a self, j: u64, bits: u64, space: &'a mut Vec<u64>) -> &'a [u64] {
        let index = j.min(self.num_classes - j) as usize;
        let binomial = trimmed(&self.words[index * self.width..][..self.width]);
        if bits == 0 {
            return binomial;
        }
        space.clear();
        let mut below = 0;
        for &word in binomial {
            space.push(word << bits | below >> (64 - bits));
            below = word;
        }
        space.push(below >> (64 - bits));
        trimmed(space)
    }
}

/// The sums over even and over odd j.
#[derive(Default)]
struct Sums([Vec<u64>; 2]);

impl Sums {
    /// 0, of so many words.
    fn clear(&mut self, words: usize) {
        for sum in &mut self.0 {
            sum.clear();
            sum.resize(words, 0);
        }
    }

    fn side(&mut self, j: u64) -> &mut Vec<u64> {
        &mut self.0[(j % 2) as usize]
    }

    /// Takes the smaller sum from the larger one, of which the length without leading zeros and the parity of j are
    /// returned.
    fn difference(&mut self) -> (usize, u64) {
        let [even, odd] = &mut self.0;
        let is_odd = even.iter().rev().cmp(odd.iter().rev()) == Ordering::Less;
        let (larger, smaller) = if is_odd { (odd, even) } else { (even, odd) };
        subtract(larger, smaller);
        (trimmed(larger).len(), u64::from(is_odd))
    }
}

#[cfg(test)]
mod tests {
    use super::super::short::divide_by_factorial;
    use super::super::stirling::surjections_term_by_term;
    use super::*;
    use num_bigint::BigUint;

    #[test]
    fn term_by_term() {
        let classes = (2..=21).chain([63, 64, 65, 100, 128, 129]);
        for c in classes {
            for n in [c, c + 1, 2 * c + 3, 63, 64, 65, 257, 512, 1000].into_iter().filter(|&n| n >= c) {
                let mut words = surjections_by_grouping(n, c);
                let expected = surjections_term_by_term(n as u32, c);
                assert_eq!(words, expected.to_u64_digits(), "{n} {c}");
                divide_by_factorial(&mut words, c);
                let factorial: BigUint = (1..=c).map(BigUint::from).product();
                assert_eq!(from_words(&words), expected / factorial, "{n} {c}");
            }
        }
    }

    #[test]
    fn long_integers_term_by_term() {
        // Longer than short powers, and than products by rows.
        for (n, c) in [(9000, 5), (7000, 30), (2600, 100)] {
            assert_eq!(
                from_words(&surjections_by_grouping(n, c)),
                surjections_term_by_term(n as u32, c),
                "{n} {c}"
            );
        }
    }
}
