//! An integer from its residues: the Chinese remainder theorem as a tree of products.
//!
//! With M = ∏ q_i and u_i = s_i (M/q_i)⁻¹ mod q_i: s = Σ u_i M/q_i − tM, where t = ⌊Σ u_i/q_i⌋ is at most the number of
//! moduli and, as s/M is tiny, the integer nearest to the floating sum.

use super::moduli::moduli;
use super::multiply::multiply;
use super::residues::{LANES, Moduli, Residues, inverse};
use super::weights::cofactors;
use super::words::{both, from_words};
use num_bigint::{BigInt, BigUint, Sign};
use rayon::prelude::*;

/// Moduli of one leaf, combined word by word.
const LEAF: usize = 16;

/// Moduli below which one thread is quicker than two.
const MIN_PARALLEL: usize = 256;

/// How many moduli an integer of `bits` bits needs: 16 bits for the lift, some for the rounding of the estimate.
pub(super) fn num_moduli(bits: f64) -> usize {
    ((bits.max(0.0) * (1.0 + 1e-12) + 24.0) / 61.999).ceil() as usize
}

/// The integer of at most `bits` bits whose residues are the fractions top/bottom that `residue` returns for four
/// moduli at once, as plain residues; no modulus has a prime factor up to `bound`. Every thread has its own `scratch`.
pub(super) fn integer<S>(
    bits: f64,
    bound: u64,
    scratch: impl Fn() -> S + Sync,
    residue: impl Fn(&mut S, &Moduli) -> (Residues, Residues) + Sync,
) -> BigUint {
    let all = moduli(num_moduli(bits), bound);
    let group = |scratch: &mut S, at: usize| {
        let own: Residues = std::array::from_fn(|i| all[(at + i).min(all.len() - 1)]);
        let moduli = Moduli::new(own);
        let (top, bottom) = residue(scratch, &moduli);
        // One inverse serves the fraction and the weight of the remainder theorem.
        let bottom = moduli.canonical(moduli.mul(moduli.enter(bottom), cofactors(&all, at, &moduli)));
        let bottom = moduli.enter(std::array::from_fn(|i| inverse(bottom[i], own[i])));
        moduli.canonical(moduli.mul(top, bottom))
    };
    let groups = all.len().div_ceil(LANES);
    let mut scaled: Vec<u64> = if all.len() < MIN_PARALLEL {
        let mut scratch = scratch();
        (0..groups).flat_map(|index| group(&mut scratch, LANES * index)).collect()
    } else {
        (0..groups)
            .into_par_iter()
            .map_init(&scratch, |scratch, index| group(scratch, LANES * index))
            .flatten_iter()
            .collect()
    };
    scaled.truncate(all.len());
    lift(&all, &scaled)
}

/// The integer s ∈ [0, M·2⁻¹⁶) with s ≡ scaled_i · M/q_i (mod q_i) for every i, where M = ∏ q_i.
fn lift(moduli: &[u64], scaled: &[u64]) -> BigUint {
    // One term is below 1 and rounded by 2⁻⁵³: the error stays below 0.01 up to 10⁷ moduli.
    let fractions: f64 = moduli.iter().zip(scaled).map(|(&q, &u)| u as f64 / q as f64).sum();
    let multiple = fractions.round() as u64;
    if moduli.len() <= LEAF {
        let (sum, product) = leaf(moduli, scaled);
        return sum - product * multiple;
    }
    let (left, right) = halves(moduli, scaled);
    let ((u, q), (v, r)) = both(moduli.len(), || node(left.0, left.1), || node(right.0, right.1));
    // u·r + v·q − t·q·r without the product of all moduli.
    let rest = BigInt::from(v) - BigInt::from(&r * multiple);
    let (first, second) = both(moduli.len(), || multiply(&u, &r), || multiply(&q, rest.magnitude()));
    if rest.sign() == Sign::Minus { first - second } else { first + second }
}

type Slices<'a> = (&'a [u64], &'a [u64]);

fn halves<'a>(moduli: &'a [u64], scaled: &'a [u64]) -> (Slices<'a>, Slices<'a>) {
    let middle = moduli.len() / 2;
    let (q, r) = moduli.split_at(middle);
    let (u, v) = scaled.split_at(middle);
    ((q, u), (r, v))
}

/// Σ u_i M/q_i and M of a part of the moduli.
fn node(moduli: &[u64], scaled: &[u64]) -> (BigUint, BigUint) {
    if moduli.len() <= LEAF {
        return leaf(moduli, scaled);
    }
    let (left, right) = halves(moduli, scaled);
    let ((u, q), (v, r)) = both(moduli.len(), || node(left.0, left.1), || node(right.0, right.1));
    (multiply(&u, &r) + multiply(&v, &q), multiply(&q, &r))
}

fn leaf(moduli: &[u64], scaled: &[u64]) -> (BigUint, BigUint) {
    let (mut sum, mut product) = (vec![0u64; moduli.len() + 1], vec![0u64; moduli.len() + 1]);
    product[0] = 1;
    for (count, (&q, &u)) in moduli.iter().zip(scaled).enumerate() {
        // sum ← sum·q + product·u, product ← product·q; both stay below 2^(62·(count+1)) · (count+1).
        let (mut sum_carry, mut product_carry) = (0u128, 0u128);
        for (s, p) in sum.iter_mut().zip(&mut product).take(count + 2) {
            let low = u128::from(*s) * u128::from(q) + sum_carry;
            let term = u128::from(*p) * u128::from(u) + u128::from(low as u64);
            *s = term as u64;
            sum_carry = (low >> 64) + (term >> 64);
            let next = u128::from(*p) * u128::from(q) + product_carry;
            *p = next as u64;
            product_carry = next >> 64;
        }
    }
    (from_words(&sum), from_words(&product))
}
