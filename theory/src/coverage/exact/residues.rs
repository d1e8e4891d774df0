//! Arithmetic modulo four moduli side by side: Montgomery products without final subtraction.
//!
//! For an odd q < 2⁶² and R = 2⁶⁴ the Montgomery product of a and b is abR⁻¹ mod q. Values stay in [0, 2q): with
//! a, b < 2q < 2⁶³ the high word of ab is below q, so that (ab − mq)/R + q with m = ab·q⁻¹ mod R lies in (0, 2q)
//! again. The four products do not depend on each other, which hides the latency of the multiplier.
//!
//! Source: P. Montgomery, "Modular multiplication without trial division", 1985.

/// Moduli that are treated side by side.
pub(super) const LANES: usize = 4;

/// One residue per modulus.
pub(super) type Residues = [u64; LANES];

/// Four odd moduli below 2⁶² with their Montgomery constants.
#[derive(Debug, Clone)]
pub(super) struct Moduli {
    pub q: Residues,
    /// q⁻¹ mod 2⁶⁴.
    inverse: Residues,
    /// R² mod q.
    square: Residues,
}

impl Moduli {
    pub fn new(q: Residues) -> Self {
        let inverse = q.map(inverse_mod_word);
        // 2⁶⁴ mod q once, then R² by one division of 128 bits.
        let square = q.map(|q| {
            let r = (1u128 << 64) % u128::from(q);
            (r * r % u128::from(q)) as u64
        });
        Self { q, inverse, square }
    }

    /// abR⁻¹ for a·b ≤ q·2⁶⁴, as it is for a, b ≤ 2q; below 2q.
    #[inline(always)]
    pub fn mul(&self, a: Residues, b: Residues) -> Residues {
        std::array::from_fn(|i| {
            let product = u128::from(a[i]) * u128::from(b[i]);
            self.reduce_lane(i, product)
        })
    }

    /// aR⁻¹ times a word that all lanes share.
    #[inline(always)]
    pub fn mul_word(&self, a: Residues, word: u64) -> Residues {
        self.mul(a, [word; LANES])
    }

    #[inline(always)]
    fn reduce_lane(&self, i: usize, product: u128) -> u64 {
        let m = (product as u64).wrapping_mul(self.inverse[i]);
        let high = ((u128::from(m) * u128::from(self.q[i])) >> 64) as u64;
        ((product >> 64) as u64 + self.q[i]).wrapping_sub(high)
    }

    /// aR: into Montgomery form.
    #[inline(always)]
    pub fn enter(&self, a: Residues) -> Residues {
        self.mul(a, self.square)
    }

    /// R mod q, up to a multiple of q: 1 in Montgomery form.
    pub fn one(&self) -> Residues {
        self.enter([1; LANES])
    }

    /// Montgomery form of R^e: the constant that undoes e products with a plain factor.
    pub fn power_of_radix(&self, exponent: u64) -> Residues {
        // R² mod q is the Montgomery form of R.
        self.power(self.square, exponent)
    }

    /// Montgomery form of a^e from the Montgomery form of a.
    #[inline]
    pub fn power(&self, a: Residues, exponent: u64) -> Residues {
        let Some(top) = exponent.checked_ilog2() else { return self.one() };
        let mut value = a;
        for bit in (0..top).rev() {
            value = self.mul(value, value);
            if exponent >> bit & 1 == 1 {
                value = self.mul(value, a);
            }
        }
        value
    }

    /// Into [0, q).
    pub fn canonical(&self, a: Residues) -> Residues {
        std::array::from_fn(|i| if a[i] >= self.q[i] { a[i] - self.q[i] } else { a[i] })
    }

    /// −a, for a < 2q; at most 2q.
    #[inline(always)]
    pub fn negate(&self, a: Residues) -> Residues {
        std::array::from_fn(|i| 2 * self.q[i] - a[i])
    }

    /// a + b into [0, 2q], for a, b ≤ 2q.
    #[inline(always)]
    pub fn add(&self, a: Residues, b: Residues) -> Residues {
        std::array::from_fn(|i| {
            let sum = a[i] + b[i];
            sum.min(sum.wrapping_sub(2 * self.q[i]))
        })
    }
}

/// Sums of products whose reduction is put off to the end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Accumulator([u128; LANES]);

impl Accumulator {
    pub const ZERO: Self = Self([0; LANES]);

    /// Adds a·b for any words a and for b ≤ 2q.
    #[inline(always)]
    pub fn add_product(&mut self, moduli: &Moduli, a: Residues, b: Residues) {
        for i in 0..LANES {
            // The high word of the product is at most 2q; that of the sum, kept below 2q, cannot overflow.
            let sum = self.0[i] + u128::from(a[i]) * u128::from(b[i]);
            let high = (sum >> 64) as u64;
            let high = high.min(high.wrapping_sub(2 * moduli.q[i]));
            self.0[i] = u128::from(high) << 64 | u128::from(sum as u64);
        }
    }

    /// The sum times R⁻¹, below 2q.
    #[inline(always)]
    pub fn reduce(&self, moduli: &Moduli) -> Residues {
        std::array::from_fn(|i| {
            let value = moduli.reduce_lane(i, self.0[i]);
            value.min(value.wrapping_sub(2 * moduli.q[i]))
        })
    }
}

/// q⁻¹ mod 2⁶⁴ for odd q, by Newton's iteration from 3 correct bits.
pub(super) fn inverse_mod_word(q: u64) -> u64 {
    (0..5).fold(q, |x, _| x.wrapping_mul(2u64.wrapping_sub(q.wrapping_mul(x))))
}

/// a⁻¹ mod q by Euclid's algorithm; the caller knows that a and q have no common factor.
pub(super) fn inverse(a: u64, q: u64) -> u64 {
    let (mut r0, mut r1) = (q, a % q);
    let (mut s0, mut s1) = (0i64, 1i64);
    while r1 != 0 {
        let quotient = r0 / r1;
        (r0, r1) = (r1, r0 - quotient * r1);
        (s0, s1) = (s1, s0.wrapping_sub((quotient as i64).wrapping_mul(s1)));
    }
    debug_assert_eq!(r0, 1, "{a} and {q} have a common factor");
    if s0 < 0 { q.wrapping_add_signed(s0) } else { s0 as u64 }
}

/// ab mod q, by division: the reference of the tests.
#[cfg(test)]
pub(super) fn product_mod(a: u64, b: u64, q: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(q)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const Q: Residues = [(1 << 62) - 57, (1 << 62) - 87, 1_000_000_007, 97];

    #[test]
    fn products_powers_and_sums_agree_with_division() {
        let moduli = Moduli::new(Q);
        let (a, b) = (Q.map(|q| q - 5), Q.map(|q| q / 3 + 1));
        let plain = moduli.canonical(moduli.mul(moduli.enter(a), b));
        let mut sum = Accumulator::ZERO;
        for _ in 0..1000 {
            sum.add_product(&moduli, Q.map(|q| 2 * q), moduli.enter(a));
            sum.add_product(&moduli, moduli.enter(a), b);
        }
        let sum = moduli.canonical(sum.reduce(&moduli));
        let power = moduli.canonical(moduli.mul(moduli.power(moduli.enter(a), 77), [1; LANES]));
        let drift = moduli.canonical(moduli.mul(moduli.power_of_radix(3), [1; LANES]));
        for i in 0..LANES {
            assert_eq!(plain[i], product_mod(a[i], b[i], Q[i]));
            assert_eq!(sum[i], product_mod(1000, plain[i], Q[i]));
            assert_eq!(power[i], (0..77).fold(1, |x, _| product_mod(x, a[i], Q[i])));
            assert_eq!(drift[i], (0..192).fold(1, |x, _| product_mod(x, 2, Q[i])));
            assert_eq!(product_mod(inverse(a[i], Q[i]), a[i], Q[i]), 1);
        }
    }
}
