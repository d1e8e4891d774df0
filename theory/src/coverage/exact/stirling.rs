//! Stirling numbers of the second kind: S(n, C) = Σ_j (−1)^{C−j} jⁿ / (j! (C−j)!), the partitions of n draws into C
//! non-empty classes.
//!
//! Three routes. *Closed forms* for C ≤ 2 and n ≤ C + 1. *Grouping*, see [`super::grouping`], for few or small integers.
//! *Residues*: the sum modulo as many coprime numbers below 2⁶² as the result needs, in parallel, and the Chinese
//! remainder theorem; there, too, only primes j need a power, and a prime's terms share one product. Which of the last
//! two is quicker follows from the model of the costs: residues from about n log₂ C = 17,000 on for C = 100.

use super::grouping::surjections_by_grouping;
use super::lift::integer;
use super::model::{self, MAX_BITS, bits};
use super::moduli::primes;
use super::multiply::{factorial, multiply};
use super::power::Power;
use super::residues::{Accumulator, LANES, Moduli, Residues};
use super::short::divide_by_factorial;
use super::words::from_words;
use num_bigint::BigUint;
use num_traits::{One, Zero};

/// S(n, C) for n = `num_draws`, C = `num_classes`: the number of partitions of n draws into C non-empty classes.
///
/// By whichever route is the quickest; the caller answers for the size, about n log₂ C bits.
///
/// # Panics
/// If n exceeds 2³² − 1, C exceeds [`crate::prior::MAX_CLASSES`], or Cⁿ has more than 10⁹ bits.
///
/// # Examples
/// ```
/// // {1,2,3,4} falls into two non-empty parts in 7 ways: 4 with a part of one, 3 with two pairs.
/// assert_eq!(theory::coverage::exact::stirling_second(4, 2), 7u32.into());
/// ```
pub fn stirling_second(num_draws: u64, num_classes: u64) -> BigUint {
    check_range(num_draws, num_classes);
    if let Some(value) = closed_form(num_draws, num_classes) {
        return value;
    }
    if is_small(num_draws, num_classes) {
        let mut words = surjections_by_grouping(num_draws, num_classes);
        divide_by_factorial(&mut words, num_classes);
        from_words(&words)
    } else {
        by_residues(num_draws, num_classes)
    }
}

/// C! S(n, C): the ways in which n draws show each of C classes. Sizes as for [`stirling_second`].
pub(super) fn surjections(num_draws: u64, num_classes: u64) -> BigUint {
    check_range(num_draws, num_classes);
    if num_draws < num_classes {
        // Not 0 · C!
        return BigUint::zero();
    }
    match closed_form(num_draws, num_classes) {
        Some(value) => value * factorial(num_classes),
        None if is_small(num_draws, num_classes) => {
            from_words(&surjections_by_grouping(num_draws, num_classes))
        }
        None => multiply(&by_residues(num_draws, num_classes), &factorial(num_classes)),
    }
}

fn check_range(num_draws: u64, num_classes: u64) {
    assert!(num_draws <= u64::from(u32::MAX), "{num_draws} draws exceed 2^32 - 1");
    let bits = num_draws as f64 * (num_classes.max(1) as f64).log2();
    assert!(bits <= MAX_BITS, "{num_draws} draws from {num_classes} classes give {bits:e} bits");
    assert!(num_classes <= crate::prior::MAX_CLASSES as u64, "{num_classes} classes");
}

/// S(n, 0), S(n, 1), S(n, 2), and S(n, n), S(C+1, C) = binom(C+1, 2).
fn closed_form(num_draws: u64, num_classes: u64) -> Option<BigUint> {
    let (n, c) = (num_draws, num_classes);
    match c {
        _ if n < c => Some(BigUint::zero()),
        _ if n == c => Some(BigUint::one()),
        0 => Some(BigUint::zero()),
        1 => Some(BigUint::one()),
        2 => Some((BigUint::one() << (n - 1)) - 1u32),
        _ if n == c + 1 => Some(BigUint::from(n) * c / 2u32),
        _ => None,
    }
}

/// Whether grouping is quicker than residues, by the model of the costs.
pub(super) fn is_small(num_draws: u64, num_classes: u64) -> bool {
    model::seconds_of_grouping(num_draws, num_classes)
        < model::seconds_of_uniform_residues(num_draws, num_classes)
}

/// The integers 2..=C by their largest prime factor.
struct Grouping {
    primes: Vec<u64>,
    /// The cofactors k of every prime p, ascending: pk ≤ C and k has no prime factor above p.
    cofactors: Vec<Vec<u32>>,
    /// Largest prime factor of every k ≤ C/2, as an index into `primes`.
    largest: Vec<u32>,
}

impl Grouping {
    fn new(num_classes: u64) -> Self {
        let primes = primes(num_classes);
        let mut largest = vec![0u32; num_classes as usize + 1];
        for (index, &p) in primes.iter().enumerate() {
            largest[p as usize..].iter_mut().step_by(p as usize).for_each(|l| *l = index as u32);
        }
        let mut cofactors = vec![Vec::new(); primes.len()];
        for j in 2..=num_classes {
            let index = largest[j as usize] as usize;
            cofactors[index].push((j / primes[index]) as u32);
        }
        largest.truncate(num_classes as usize / 2 + 1);
        Self { primes, cofactors, largest }
    }
}

fn by_residues(num_draws: u64, num_classes: u64) -> BigUint {
    let grouping = Grouping::new(num_classes);
    let powers: Vec<Power> = grouping.primes.iter().map(|&p| Power::new(p, num_draws)).collect();
    integer(
        bits(num_draws, num_classes),
        num_classes,
        || Scratch::new(&grouping),
        |scratch, moduli| scratch.residue(moduli, &grouping, &powers, num_classes),
    )
}

struct Scratch {
    weights: Vec<Residues>,
    powers: Vec<Residues>,
}

impl Scratch {
    fn new(grouping: &Grouping) -> Self {
        Self { weights: Vec::new(), powers: vec![[0; LANES]; grouping.largest.len().max(2)] }
    }

    /// S(n, C) as a fraction of residues.
    fn residue(
        &mut self,
        moduli: &Moduli,
        grouping: &Grouping,
        powers: &[Power],
        num_classes: u64,
    ) -> (Residues, Residues) {
        let c = num_classes as usize;
        // Falling products g_j = C!/j!, up to a power of R; then ± g_j g_{C−j} = C!² ± 1/(j! (C−j)!).
        self.weights.resize(c + 1, [0; LANES]);
        let mut falling = [1; LANES];
        self.weights[c] = falling;
        for j in (0..c).rev() {
            falling = moduli.mul_word(falling, j as u64 + 1);
            self.weights[j] = falling;
        }
        let square = moduli.mul(falling, falling);
        let bottom = moduli.mul(square, moduli.power_of_radix(num_classes));
        for j in 0..=c / 2 {
            let weight = moduli.mul(self.weights[j], self.weights[c - j]);
            let negative = moduli.negate(weight);
            self.weights[j] = if (c - j).is_multiple_of(2) { weight } else { negative };
            self.weights[c - j] = if j.is_multiple_of(2) { weight } else { negative };
        }
        let one = moduli.one();
        let mut total = Accumulator::ZERO;
        self.powers[1] = one;
        total.add_product(moduli, self.weights[1], one);
        let groups = grouping.primes.iter().zip(powers).zip(&grouping.cofactors);
        for ((&p, power), cofactors) in groups {
            let power = power.residues(moduli);
            let inner = if cofactors.len() == 1 {
                self.weights[p as usize]
            } else {
                let mut inner = Accumulator::ZERO;
                for &k in cofactors {
                    let k = k as usize;
                    // k = p·k' occurs first here: its power was not needed before.
                    if grouping.primes[grouping.largest[k] as usize] == p && k > 1 {
                        self.powers[k] = moduli.mul(power, self.powers[k / p as usize]);
                    }
                    inner.add_product(moduli, self.weights[k * p as usize], self.powers[k]);
                }
                inner.reduce(moduli)
            };
            total.add_product(moduli, inner, power);
        }
        (total.reduce(moduli), bottom)
    }
}

/// C! S(n, C) term by term: the reference of the tests.
#[cfg(test)]
pub(super) fn surjections_term_by_term(num_draws: u32, num_classes: u64) -> BigUint {
    use num_bigint::BigInt;
    let mut sum = BigInt::zero();
    let mut binomial = BigUint::one();
    for j in 0..=num_classes {
        let term = BigInt::from(&binomial * BigUint::from(j).pow(num_draws));
        if (num_classes - j).is_multiple_of(2) {
            sum += term
        } else {
            sum -= term
        }
        binomial = binomial * (num_classes - j) / (j + 1);
    }
    sum.to_biguint().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_agree() {
        for (n, c) in
            [(1, 1), (2, 1), (5, 2), (5, 3), (5, 5), (6, 5), (40, 7), (100, 31), (250, 97), (700, 128)]
        {
            let reference = surjections_term_by_term(n as u32, c);
            let factorial: BigUint = (1..=c).map(BigUint::from).product();
            assert_eq!(by_residues(n, c) * &factorial, reference, "{n} {c}");
            assert_eq!(from_words(&surjections_by_grouping(n, c)), reference, "{n} {c}");
            assert_eq!(surjections(n, c), reference, "{n} {c}");
            assert_eq!(stirling_second(n, c) * factorial, reference, "{n} {c}");
        }
    }
}
