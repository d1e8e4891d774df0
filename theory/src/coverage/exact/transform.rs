//! Products of large integers by number-theoretic transforms.
//!
//! The factors are cut into pieces of 48 bits, convolved cyclically modulo two primes p ≡ 1 (mod 3·2⁴⁰) below 2⁶², and
//! the coefficients, below 2⁹⁶ times the length, put together by the remainder theorem. Lengths are 2^k and 3·2^k.
//! Decimation in frequency forwards and in time backwards, so that nothing is permuted.
//!
//! Sources: J. Pollard, "The fast Fourier transform in a finite field", 1971; D. Harvey, "Faster arithmetic for
//! number-theoretic transforms", 2014, for values kept in [0, 2p).

use super::words::{both, from_words};
use num_bigint::BigUint;

const PIECE_BITS: u32 = 48;

/// Primes with generators of their multiplicative groups.
const PRIMES: [(u64, u64); 2] = [(4_611_615_649_683_210_241, 11), (4_611_549_678_985_543_681, 19)];

/// ab, for factors of at least a few hundred words each.
pub(super) fn product(a: &BigUint, b: &BigUint) -> BigUint {
    let (a, b) = (pieces(a), pieces(b));
    let needed = a.len() + b.len();
    let power = needed.next_power_of_two();
    let length = if power / 4 * 3 >= needed { power / 4 * 3 } else { power };
    let [first, second] = PRIMES.map(|(prime, generator)| Field::new(prime, generator));
    let (x, y) = both(needed, || first.convolution(&a, &b, length), || second.convolution(&a, &b, length));
    join(&first, &second, &x, &y, needed)
}

/// The 48-bit pieces of an integer, the lowest first.
fn pieces(x: &BigUint) -> Vec<u64> {
    let mut pieces = Vec::with_capacity(x.bits() as usize / PIECE_BITS as usize + 1);
    let (mut buffer, mut held) = (0u128, 0);
    for word in x.iter_u64_digits() {
        buffer |= u128::from(word) << held;
        held += 64;
        while held >= PIECE_BITS {
            pieces.push(buffer as u64 & ((1 << PIECE_BITS) - 1));
            buffer >>= PIECE_BITS;
            held -= PIECE_BITS;
        }
    }
    pieces.push(buffer as u64);
    pieces
}

/// Σ c_i 2^{48 i} for coefficients c_i that are known modulo two primes.
fn join(first: &Field, second: &Field, x: &[u64], y: &[u64], needed: usize) -> BigUint {
    let inverse = second.enter(second.power(first.prime % second.prime, second.prime - 2));
    let mut words = Vec::with_capacity(needed * 3 / 4 + 2);
    let (mut carry, mut buffer, mut held) = (0u128, 0u128, 0);
    for (&a, &b) in x.iter().zip(y).take(needed) {
        // a + p·((b − a)/p mod q) for the primes p > q, whose difference is small.
        let a = a % first.prime;
        let difference = second.mul(b + 2 * second.prime - a % second.prime, inverse) % second.prime;
        carry += u128::from(a) + u128::from(first.prime) * u128::from(difference);
        buffer |= (carry & ((1 << PIECE_BITS) - 1)) << held;
        carry >>= PIECE_BITS;
        held += PIECE_BITS;
        if held >= 64 {
            words.push(buffer as u64);
            buffer >>= 64;
            held -= 64;
        }
    }
    words.push(buffer as u64);
    from_words(&words)
}

/// Arithmetic modulo one prime in Montgomery form, values below 2p unless said otherwise.
struct Field {
    prime: u64,
    inverse: u64,
    square: u64,
    generator: u64,
}

impl Field {
    fn new(prime: u64, generator: u64) -> Self {
        let inverse = super::residues::inverse_mod_word(prime);
        let radix = (1u128 << 64) % u128::from(prime);
        Self { prime, inverse, square: (radix * radix % u128::from(prime)) as u64, generator }
    }

    /// ab/2⁶⁴, for a below 4p and b below 2p or the reverse.
    #[inline(always)]
    fn mul(&self, a: u64, b: u64) -> u64 {
        let product = u128::from(a) * u128::from(b);
        let m = (product as u64).wrapping_mul(self.inverse);
        let high = ((u128::from(m) * u128::from(self.prime)) >> 64) as u64;
        self.lower(((product >> 64) as u64 + self.prime).wrapping_sub(high))
    }

    /// From below 4p to below 2p.
    #[inline(always)]
    fn lower(&self, a: u64) -> u64 {
        a.min(a.wrapping_sub(2 * self.prime))
    }

    fn enter(&self, a: u64) -> u64 {
        self.mul(a, self.square)
    }

    /// a^e of plain a, in plain form.
    fn power(&self, a: u64, exponent: u64) -> u64 {
        let (base, mut value) = (self.enter(a), self.enter(1));
        for bit in (0..u64::BITS - exponent.leading_zeros()).rev() {
            value = self.mul(value, value);
            if exponent >> bit & 1 == 1 {
                value = self.mul(value, base);
            }
        }
        self.mul(value, 1) % self.prime
    }

    /// Montgomery forms of root^0, …, root^(count−1) for a primitive root of unity of this order.
    fn roots(&self, order: usize, count: usize, backwards: bool) -> Vec<u64> {
        let exponent = (self.prime - 1) / order as u64;
        let exponent = if backwards { self.prime - 1 - exponent } else { exponent };
        let root = self.enter(self.power(self.generator, exponent));
        let mut roots = Vec::with_capacity(count);
        let mut value = self.enter(1);
        // Four chains side by side.
        let mut starts = [0; 4];
        for start in &mut starts {
            *start = value;
            value = self.mul(value, root);
        }
        let mut step = self.mul(root, root);
        step = self.mul(step, step);
        while roots.len() < count {
            roots.extend_from_slice(&starts);
            starts = starts.map(|value| self.mul(value, step));
        }
        roots.truncate(count);
        roots
    }

    /// The cyclic convolution of two sequences, padded to `length`; values below 2p.
    fn convolution(&self, a: &[u64], b: &[u64], length: usize) -> Vec<u64> {
        let forwards = Twiddles::new(self, length, false);
        let mut x = padded(a, length);
        self.forward(&mut x, &forwards);
        if a == b {
            x.iter_mut().for_each(|value| *value = self.mul(*value, *value));
        } else {
            let mut y = padded(b, length);
            self.forward(&mut y, &forwards);
            x.iter_mut().zip(&y).for_each(|(value, &other)| *value = self.mul(*value, other));
        }
        self.backward(&mut x, &Twiddles::new(self, length, true));
        // The pointwise product lost one factor 2⁶⁴, and the two transforms multiply by the length.
        let scale = self.enter(self.enter(self.power(length as u64, self.prime - 2)));
        x.iter_mut().for_each(|value| *value = self.mul(*value, scale));
        x
    }

    fn forward(&self, x: &mut [u64], twiddles: &Twiddles) {
        if twiddles.third > 0 {
            let (x0, rest) = x.split_at_mut(twiddles.third);
            let (x1, x2) = rest.split_at_mut(twiddles.third);
            let [omega, omega_squared] = twiddles.omega;
            for (i, ((a, b), c)) in x0.iter_mut().zip(x1.iter_mut()).zip(x2.iter_mut()).enumerate() {
                let (u, v, w) = (*a, *b, *c);
                let first = self.lower(self.mul(v, omega) + self.mul(w, omega_squared));
                let second = self.lower(self.mul(v, omega_squared) + self.mul(w, omega));
                *a = self.lower(u + self.lower(v + w));
                *b = self.mul(u + first, twiddles.outer[i]);
                *c = self.mul(u + second, twiddles.outer_squared[i]);
            }
        }
        for part in x.chunks_exact_mut(twiddles.part) {
            let mut half = twiddles.part / 2;
            let mut level = 0;
            while half > 0 {
                let roots = &twiddles.levels[level];
                for block in part.chunks_exact_mut(2 * half) {
                    let (low, high) = block.split_at_mut(half);
                    for ((a, b), &root) in low.iter_mut().zip(high).zip(roots) {
                        let (u, v) = (*a, *b);
                        *a = self.lower(u + v);
                        *b = self.mul(u + 2 * self.prime - v, root);
                    }
                }
                half /= 2;
                level += 1;
            }
        }
    }

    fn backward(&self, x: &mut [u64], twiddles: &Twiddles) {
        for part in x.chunks_exact_mut(twiddles.part) {
            let mut half = 1;
            for roots in twiddles.levels.iter().rev() {
                for block in part.chunks_exact_mut(2 * half) {
                    let (low, high) = block.split_at_mut(half);
                    for ((a, b), &root) in low.iter_mut().zip(high).zip(roots) {
                        let (u, v) = (*a, self.mul(*b, root));
                        *a = self.lower(u + v);
                        *b = self.lower(u + 2 * self.prime - v);
                    }
                }
                half *= 2;
            }
        }
        if twiddles.third > 0 {
            let (x0, rest) = x.split_at_mut(twiddles.third);
            let (x1, x2) = rest.split_at_mut(twiddles.third);
            let [omega, omega_squared] = twiddles.omega;
            for (i, ((a, b), c)) in x0.iter_mut().zip(x1.iter_mut()).zip(x2.iter_mut()).enumerate() {
                let (u, v, w) =
                    (*a, self.mul(*b, twiddles.outer[i]), self.mul(*c, twiddles.outer_squared[i]));
                *a = self.lower(u + self.lower(v + w));
                let first = self.lower(self.mul(v, omega) + self.mul(w, omega_squared));
                let second = self.lower(self.mul(v, omega_squared) + self.mul(w, omega));
                *b = self.lower(u + first);
                *c = self.lower(u + second);
            }
        }
    }
}

fn padded(a: &[u64], length: usize) -> Vec<u64> {
    let mut padded = Vec::with_capacity(length);
    padded.extend_from_slice(a);
    padded.resize(length, 0);
    padded
}

/// Powers of roots of unity for one length and direction.
struct Twiddles {
    /// Length of the transforms of length 2^k.
    part: usize,
    /// A third of the length where it is 3·2^k, or 0.
    third: usize,
    /// Roots of order part, part/2, …, 2.
    levels: Vec<Vec<u64>>,
    omega: [u64; 2],
    outer: Vec<u64>,
    outer_squared: Vec<u64>,
}

impl Twiddles {
    fn new(field: &Field, length: usize, backwards: bool) -> Self {
        let part = 1 << length.trailing_zeros();
        let third = if part < length { part } else { 0 };
        let mut levels = vec![field.roots(part, part / 2, backwards)];
        while levels[levels.len() - 1].len() > 1 {
            let next = levels[levels.len() - 1].iter().step_by(2).copied().collect();
            levels.push(next);
        }
        let (mut outer, mut outer_squared, mut omega) = (Vec::new(), Vec::new(), [0; 2]);
        if third > 0 {
            outer = field.roots(length, third, backwards);
            outer_squared = outer.iter().map(|&w| field.mul(w, w)).collect();
            let roots = field.roots(3, 3, backwards);
            omega = [roots[1], roots[2]];
        }
        Self { part, third, levels, omega, outer, outer_squared }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_primes_are_prime_and_the_generators_generate() {
        // Lucas: g^(p−1) = 1 and g^((p−1)/f) ≠ 1 for every prime factor f of p − 1.
        for ((prime, generator), factors) in
            PRIMES.into_iter().zip([&[2, 3, 5, 17, 257][..], &[2, 3, 5, 863]])
        {
            let rest = factors.iter().fold(prime - 1, |mut rest, f| {
                while rest % f == 0 {
                    rest /= f;
                }
                rest
            });
            assert_eq!((rest, (prime - 1) % (3 << 40)), (1, 0));
            let field = Field::new(prime, generator);
            assert_eq!(field.power(generator, prime - 1), 1);
            assert!(factors.iter().all(|f| field.power(generator, (prime - 1) / f) != 1));
        }
        assert!(PRIMES[0].0 > PRIMES[1].0 && PRIMES[0].0 < 2 * PRIMES[1].0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn products_are_those_of_the_schoolbook(
            a in prop::collection::vec(prop_oneof![any::<u64>(), Just(u64::MAX), Just(0)], 1..200),
            b in prop::collection::vec(prop_oneof![any::<u64>(), Just(u64::MAX)], 1..200),
        ) {
            let (a, b) = (from_words(&a), from_words(&b));
            prop_assert_eq!(product(&a, &b), &a * &b);
            prop_assert_eq!(product(&a, &a), &a * &a);
        }
    }

    #[test]
    fn the_largest_coefficients_fit() {
        for words in [3000usize, 5000] {
            let all = (BigUint::from(1u32) << (64 * words)) - 1u32;
            let square =
                (BigUint::from(1u32) << (128 * words)) - (BigUint::from(1u32) << (64 * words + 1)) + 1u32;
            assert_eq!(product(&all, &all), square);
        }
    }
}
