//! The same integers class by class, with no residues: the reference of the tests.

use super::multiply::{binomial, power};
use num_bigint::BigUint;
use num_traits::{One, Zero};

/// Words of length n over Σ M_c letters that use every class: n! \[zⁿ\] ∏ (e^{M_c z} − 1).
pub(super) fn words(counts: &[u64], draws: u64) -> BigUint {
    class_by_class(counts, draws, |count, own, length| binomial(length, own) * power(count, own))
}

/// Subsets of n of the Σ M_c items that meet every class.
pub(super) fn subsets(counts: &[u64], draws: u64) -> BigUint {
    class_by_class(
        counts,
        draws,
        |count, own, _| {
            if own > count { BigUint::zero() } else { binomial(count, own) }
        },
    )
}

/// Ways to hand out `draws` draws, `own` ≥ 1 to each class, of which `ways(count, own, length)` choices are the
/// class's.
fn class_by_class(counts: &[u64], draws: u64, ways: impl Fn(u64, u64, u64) -> BigUint) -> BigUint {
    let mut total = vec![BigUint::zero(); draws as usize + 1];
    total[0] = BigUint::one();
    for &count in counts {
        let next = |length: u64| {
            (1..=length).map(|own| ways(count, own, length) * &total[(length - own) as usize]).sum()
        };
        total = (0..=draws).map(next).collect();
    }
    total.swap_remove(draws as usize)
}
