//! Unequal counts by a product of power series, one per distinct count.
//!
//! The outcomes that show every class are n! \[zⁿ\] ∏_g (e^{m_g z} − 1)^{r_g} with replacement and
//! \[zⁿ\] ∏_g ((1+z)^{m_g} − 1)^{r_g} without, for r_g classes of m_g items. A factor's coefficients are
//! Σ_s (−1)^{r−s} binom(r, s) h_i(sm)/i! with h_i(t) = tⁱ or t(t−1)···(t−i+1). Modulo coprime numbers below 2⁶²; the
//! cost does not depend on the number of items.

use super::lift::integer;
use super::residues::{Accumulator, LANES, Moduli, Residues};
use crate::sampling::Sampling;
use num_bigint::BigUint;

/// Products modulo one number, for `groups` of (count, multiplicity).
pub(super) fn work(groups: &[(u64, u64)], draws: u64) -> f64 {
    let classes: u64 = groups.iter().map(|g| g.1).sum();
    let free = (draws - classes + 1) as f64;
    3.0 * draws as f64 * classes as f64 + (groups.len() as f64 - 2.0).max(0.0) * free * free / 2.0
}

/// Bytes of the tables of one thread: falling products, a factor, and a product before and after it.
pub(super) fn table_bytes(draws: u64) -> f64 {
    4.0 * size_of::<Residues>() as f64 * draws as f64
}

/// The number of outcomes that show every class: words of n letters, or subsets of n items; at most `bits` bits, n ≥ C.
pub(super) fn outcomes(groups: &[(u64, u64)], draws: u64, sampling: Sampling, bits: f64) -> BigUint {
    let most = groups.iter().map(|g| g.1).max().unwrap_or(0);
    integer(
        bits,
        draws.max(most),
        || (),
        |(), moduli| {
            let n = draws as usize;
            // Every factor of r_g classes begins with z^{r_g}: only this many coefficients of it can matter.
            let length = n + 1 - groups.iter().map(|g| g.1 as usize).sum::<usize>();
            // n!/i!, and n! itself.
            let mut falling = vec![moduli.one(); n + 1];
            let mut word = moduli.enter([draws; LANES]);
            let minus_one = moduli.negate(moduli.one());
            for i in (0..n).rev() {
                falling[i] = moduli.mul(falling[i + 1], word);
                word = moduli.add(word, minus_one);
            }
            let mut bottom = moduli.one();
            let mut product: Vec<Residues> = Vec::new();
            for (index, &(count, multiplicity)) in groups.iter().enumerate() {
                let (factor, scale) = factor(moduli, count, multiplicity, &falling, length, sampling);
                bottom = moduli.mul(bottom, scale);
                if index > 0 || sampling == Sampling::WithoutReplacement {
                    bottom = moduli.mul(bottom, falling[0]);
                }
                product = if index == 0 {
                    factor
                } else {
                    // Of the last product only the last coefficient is wanted.
                    let from = if index + 1 == groups.len() { length - 1 } else { 0 };
                    (0..length)
                        .map(|k| {
                            let mut sum = Accumulator::ZERO;
                            if k >= from {
                                for (&a, &b) in product[..=k].iter().zip(factor[..=k].iter().rev()) {
                                    sum.add_product(moduli, a, b);
                                }
                            }
                            sum.reduce(moduli)
                        })
                        .collect()
                };
            }
            (moduli.mul(product[length - 1], [1; LANES]), moduli.mul(bottom, [1; LANES]))
        },
    )
}

/// Coefficients r, r+1, … of one factor times n! r!, and r!; all in Montgomery form.
fn factor(
    moduli: &Moduli,
    count: u64,
    multiplicity: u64,
    falling: &[Residues],
    length: usize,
    sampling: Sampling,
) -> (Vec<Residues>, Residues) {
    let r = multiplicity as usize;
    let minus_one = moduli.negate(moduli.one());
    // r!/s!, whose products are r! binom(r, s).
    let mut weights = vec![moduli.one(); r + 1];
    for s in (0..r).rev() {
        weights[s] = moduli.mul(weights[s + 1], moduli.enter([s as u64 + 1; LANES]));
    }
    let mut sums = vec![[0; LANES]; length];
    for s in 1..=r {
        let weight = moduli.mul(weights[s], weights[r - s]);
        let mut value = if (r - s).is_multiple_of(2) { weight } else { moduli.negate(weight) };
        let mut base = moduli.enter([s as u64 * count; LANES]);
        for i in 0..r + length {
            if i >= r {
                sums[i - r] = moduli.add(sums[i - r], value);
            }
            if sampling == Sampling::WithoutReplacement && i as u64 == s as u64 * count {
                break;
            }
            value = moduli.mul(value, base);
            if sampling == Sampling::WithoutReplacement {
                base = moduli.add(base, minus_one);
            }
        }
    }
    for (sum, &factor) in sums.iter_mut().zip(&falling[r..]) {
        *sum = moduli.mul(*sum, factor);
    }
    (sums, weights[0])
}
