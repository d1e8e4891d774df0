//! Unequal counts by inclusion and exclusion over the sums of counts.
//!
//! ∏_c (x^{M_c} − 1) = Σ_t a_t x^t; the outcomes that show every class are Σ_t a_t h(t), where h(t) counts the outcomes
//! within t items: tⁿ words with replacement, binom(t, n) subsets without. Equal counts m leave C + 1 sums t = jm with
//! a_t = (−1)^{C−j} binom(C, j); few groups of r_g classes leave at most ∏ (r_g + 1). The a_t are integers of a fixed
//! width, found once; the sum is taken modulo coprime numbers below 2⁶².

use super::lift::integer;
use super::moduli::primes;
use super::power::Power;
use super::residues::{Accumulator, LANES, Moduli, Residues};
use crate::sampling::Sampling;
use num_bigint::BigUint;

/// Σ_t a_t x^t, the sums t ascending, the coefficients in two's complement.
pub(super) struct Sums {
    pub sums: Vec<u64>,
    words: usize,
    coefficients: Vec<u64>,
}

impl Sums {
    /// ∏_g (x^{m_g} − 1)^{r_g} for groups of r_g classes of m_g items.
    pub fn new(groups: &[(u64, u64)]) -> Self {
        // |a_t| ≤ 2^C, and a sign.
        let classes: u64 = groups.iter().map(|g| g.1).sum();
        let words = (classes as usize + 2).div_ceil(64);
        let mut coefficients = vec![0; words];
        coefficients[0] = 1;
        let mut product = Self { sums: vec![0], words, coefficients };
        // Large groups first: their many equal counts give few sums.
        let mut groups = groups.to_vec();
        groups.sort_by_key(|g| std::cmp::Reverse(g.1));
        for (count, multiplicity) in groups {
            for _ in 0..multiplicity {
                product = product.times(count);
            }
        }
        product
    }

    /// This times (x^count − 1): a merge of the shifted and the negated sums.
    fn times(&self, count: u64) -> Self {
        let old = &self.sums;
        let mut sums = Vec::with_capacity(2 * old.len());
        let mut coefficients = Vec::with_capacity(2 * self.coefficients.len());
        let (mut shifted, mut kept) = (0, 0);
        while shifted < old.len() {
            let next = old[shifted] + count;
            let own = old.get(kept).copied().unwrap_or(u64::MAX);
            let start = coefficients.len();
            if own <= next {
                // 0 − a, the complement plus 1.
                let mut carry = true;
                coefficients.extend(self.at(kept).iter().map(|&word| {
                    let (value, overflow) = (!word).overflowing_add(u64::from(carry));
                    carry = overflow;
                    value
                }));
                kept += 1;
            }
            if next <= own {
                if next == own {
                    let mut carry = false;
                    for (word, &other) in coefficients[start..].iter_mut().zip(self.at(shifted)) {
                        let (value, first) = word.overflowing_add(other);
                        let (value, second) = value.overflowing_add(u64::from(carry));
                        (*word, carry) = (value, first || second);
                    }
                } else {
                    coefficients.extend_from_slice(self.at(shifted));
                }
                shifted += 1;
            }
            sums.push(own.min(next));
        }
        Self { sums, words: self.words, coefficients }
    }

    fn at(&self, place: usize) -> &[u64] {
        &self.coefficients[place * self.words..][..self.words]
    }
}

/// How h(t) is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    /// tⁿ, one power per sum.
    Powers,
    /// tⁿ for every t up to M by the powers of its prime factors: for sums that are dense.
    PowerTable,
    /// t!/(t−n)! by running products up to M.
    FactorialTables,
    /// t (t−1) ··· (t−n+1), one product per sum.
    FallingProducts,
}

/// The cheapest kernel, and its products modulo one number.
fn kernel(num_sums: f64, total: u64, draws: u64, sampling: Sampling) -> (Kernel, f64) {
    let (m, n) = (total as f64, draws as f64);
    match sampling {
        Sampling::WithReplacement => {
            let power = 1.5 * n.log2().max(1.0);
            let (one_by_one, table) = (num_sums * power, m * (1.0 + power / m.ln().max(1.0)));
            if table < one_by_one { (Kernel::PowerTable, table) } else { (Kernel::Powers, one_by_one) }
        }
        Sampling::WithoutReplacement => {
            let (one_by_one, tables) = (num_sums * n + n, 2.0 * m);
            if tables < one_by_one {
                (Kernel::FactorialTables, tables)
            } else {
                (Kernel::FallingProducts, one_by_one)
            }
        }
    }
}

/// Products modulo one number: what a residue costs.
pub(super) fn work(num_sums: f64, num_classes: u64, total: u64, draws: u64, sampling: Sampling) -> f64 {
    let words = (num_classes as f64 + 2.0) / 64.0;
    kernel(num_sums, total, draws, sampling).1 + num_sums * (2.0 + words.ceil())
}

/// Bytes of what all threads share beside the sums, and of the table of one thread.
pub(super) fn table_bytes(num_sums: f64, total: u64, draws: u64, sampling: Sampling) -> (f64, f64) {
    let (power, residues) = (size_of::<Power>() as f64, size_of::<Residues>() as f64);
    let m = total as f64;
    match kernel(num_sums, total, draws, sampling).0 {
        // π(M) < 1.26 M/ln M (Rosser & Schoenfeld 1962), once as a prime, once as a power; four bytes a largest factor.
        Kernel::PowerTable => (4.0 * m + 1.26 * m / m.max(3.0).ln() * (power + 8.0), residues * (m + 1.0)),
        Kernel::Powers => (power * num_sums, residues * num_sums),
        Kernel::FactorialTables | Kernel::FallingProducts => (0.0, residues * num_sums),
    }
}

/// The number of outcomes that show every class: words of n letters, or subsets of n items; at most `bits` bits.
pub(super) fn outcomes(groups: &[(u64, u64)], draws: u64, sampling: Sampling, bits: f64) -> BigUint {
    let sums = Sums::new(groups);
    let total = sums.sums[sums.sums.len() - 1];
    let (kernel, _) = kernel(sums.sums.len() as f64, total, draws, sampling);
    let bound = match kernel {
        Kernel::Powers | Kernel::PowerTable => 2,
        Kernel::FactorialTables => total,
        Kernel::FallingProducts => draws,
    };
    // Of a table, only the primes need a power.
    let powers: Vec<Power> = match kernel {
        Kernel::Powers => sums.sums.iter().map(|&t| Power::new(t, draws)).collect(),
        Kernel::PowerTable => primes(total).into_iter().map(|p| Power::new(p, draws)).collect(),
        _ => Vec::new(),
    };
    let largest = if kernel == Kernel::PowerTable { largest_factors(total) } else { Vec::new() };
    integer(bits, bound, Vec::new, |table: &mut Vec<Residues>, moduli| {
        table.clear();
        // The model of the costs leaves no room for growth by doubling.
        table.reserve_exact(if kernel == Kernel::PowerTable { total as usize + 1 } else { sums.sums.len() });
        let bottom = match kernel {
            Kernel::Powers => {
                table.extend(powers.iter().map(|power| power.residues(moduli)));
                [1; LANES]
            }
            Kernel::PowerTable => {
                table.extend([[0; LANES], moduli.one()]);
                let mut prime_powers = powers.iter();
                for t in 2..=total as usize {
                    let p = largest[t] as usize;
                    let own = if p == t { prime_powers.next() } else { None };
                    table.push(match own {
                        Some(power) => power.residues(moduli),
                        None => moduli.mul(table[p], table[t / p]),
                    });
                }
                [1; LANES]
            }
            Kernel::FactorialTables => factorial_tables(moduli, &sums.sums, total, draws, table),
            Kernel::FallingProducts => {
                let falling = |t: u64| {
                    (t - draws + 1..=t).fold([1; LANES], |value, factor| moduli.mul_word(value, factor))
                };
                let value = |&t: &u64| if t < draws { [0; LANES] } else { falling(t) };
                table.extend(sums.sums.iter().map(value));
                // One product by R⁻¹ more than n!, as in the sum below.
                moduli.mul(falling(draws), [1; LANES])
            }
        };
        let radices: Vec<Residues> = (0..=sums.words as u64).map(|i| moduli.power_of_radix(i)).collect();
        let mut total = Accumulator::ZERO;
        for (place, &t) in sums.sums.iter().enumerate() {
            let words = sums.at(place);
            let mut value = Accumulator::ZERO;
            for (&word, &radix) in words.iter().zip(&radices) {
                value.add_product(moduli, [word; LANES], radix);
            }
            let mut value = value.reduce(moduli);
            if words[sums.words - 1] >> 63 == 1 {
                let whole = moduli.mul(radices[sums.words], [1; LANES]);
                value = moduli.add(value, moduli.negate(whole));
            }
            let place = if kernel == Kernel::PowerTable { t as usize } else { place };
            total.add_product(moduli, value, table[place]);
        }
        (total.reduce(moduli), bottom)
    })
}

/// t!/(t−n)! of every sum t into `table`; returns n!. All of it times M!, a power of R, and for the result a further
/// R⁻¹.
fn factorial_tables(
    moduli: &Moduli,
    sums: &[u64],
    total: u64,
    draws: u64,
    table: &mut Vec<Residues>,
) -> Residues {
    // t! carries R^{−t} and M!/s! carries R^{s−M}: their product at s = t − n the same power for every t.
    let (mut value, mut argument, mut own) = ([1; LANES], 0, [1; LANES]);
    for &t in sums {
        while argument < t {
            argument += 1;
            value = moduli.mul_word(value, argument);
            if argument == draws {
                own = value;
            }
        }
        table.push(if t < draws { [0; LANES] } else { value });
    }
    let (mut rest, mut argument) = ([1; LANES], total);
    for (place, &t) in sums.iter().enumerate().rev().take_while(|(_, t)| **t >= draws) {
        while argument > t - draws {
            rest = moduli.mul_word(rest, argument);
            argument -= 1;
        }
        table[place] = moduli.mul(table[place], rest);
    }
    moduli.mul(moduli.mul(value, own), [1; LANES])
}

/// The largest prime factor of every k ≤ `limit`; 1 of 1.
fn largest_factors(limit: u64) -> Vec<u32> {
    let mut largest = vec![1; limit as usize + 1];
    for p in primes(limit) {
        largest[p as usize..].iter_mut().step_by(p as usize).for_each(|l| *l = p as u32);
    }
    largest
}
