//! Powers tⁿ modulo many numbers: what does not depend on the modulus is done once.

use super::residues::{LANES, Moduli, Residues};

/// tⁿ as a chain of squares: the leading bits of n give a power of t below 2⁶² as one word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Power {
    base: u64,
    exponent: u64,
    word: u64,
    squares: u32,
}

impl Power {
    /// baseⁿ for n ≥ 1 and base < 2⁶².
    pub fn new(base: u64, exponent: u64) -> Self {
        let word = |squares| {
            let leading = u32::try_from(exponent >> squares).ok()?;
            base.checked_pow(leading).filter(|&word| word < 1 << 62)
        };
        let mut squares = 0;
        while word(squares).is_none() {
            squares += 1;
        }
        Self { base, exponent, word: word(squares).unwrap_or(base), squares }
    }

    /// The power in Montgomery form.
    #[inline]
    pub fn residues(&self, moduli: &Moduli) -> Residues {
        let mut value = moduli.enter([self.word; LANES]);
        let base = moduli.enter([self.base; LANES]);
        for bit in (0..self.squares).rev() {
            value = moduli.mul(value, value);
            if self.exponent >> bit & 1 == 1 {
                value = moduli.mul(value, base);
            }
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::exact::residues::product_mod;

    #[test]
    fn powers_by_repeated_products() {
        let q = [(1u64 << 62) - 57; LANES];
        let moduli = Moduli::new(q);
        for (base, exponent) in [(0, 3), (1, 1), (2, 61), (2, 62), (997, 1), (997, 77), (1 << 53, 9)] {
            let expected = (0..exponent).fold(1, |value, _| product_mod(value, base, q[0]));
            let found = moduli.mul(Power::new(base, exponent).residues(&moduli), [1; LANES]);
            assert_eq!(moduli.canonical(found)[0], expected, "{base} {exponent}");
        }
    }
}
