//! Moduli below 2⁶² that are pairwise coprime, without a test of primality.
//!
//! Two numbers of \[2⁶² − X, 2⁶²) differ by less than X, so a common prime factor is below X. Numbers without any prime
//! factor up to max(X, B) are therefore coprime to each other and to every integer up to B; they need not be prime.
//! By Mertens' theorem about X e^{−γ}/ln max(X, B) numbers are left by the sieve.

/// The largest offset X: differences of moduli must fit 30 bits, see [`super::weights`].
const MAX_OFFSET: usize = 1 << 30;

const TOP: u64 = 1 << 62;

/// `how_many` pairwise coprime odd moduli below 2⁶², descending, none with a prime factor up to `bound`.
pub(super) fn moduli(how_many: usize, bound: u64) -> Vec<u64> {
    let mut offset = offset_guess(how_many, bound);
    loop {
        let rough_numbers = sieve(offset, bound);
        if rough_numbers.len() >= how_many || offset >= MAX_OFFSET {
            return rough_numbers.into_iter().take(how_many).collect();
        }
        offset += offset / 4;
    }
}

fn offset_guess(how_many: usize, bound: u64) -> usize {
    let mut offset = 100.0f64;
    for _ in 0..8 {
        // 1.781… = e^γ.
        offset =
            1.782 * (how_many as f64 + 2.0 * (how_many as f64).sqrt() + 4.0) * offset.max(bound as f64).ln();
    }
    offset as usize + 64
}

/// The numbers of \[2⁶² − offset, 2⁶²) without a prime factor up to max(offset, bound), descending.
fn sieve(offset: usize, bound: u64) -> Vec<u64> {
    // Place i stands for the odd number 2⁶² − 1 − 2i.
    let mut rough = vec![true; offset / 2];
    for &p in primes(bound.max(offset as u64)).iter().skip(1) {
        // 2⁶² − 1 − 2i ≡ 0 (mod p): i ≡ (2⁶² − 1)/2 (mod p).
        let residue = (TOP - 1) % p;
        let first = if residue.is_multiple_of(2) { residue / 2 } else { (residue + p) / 2 };
        rough.iter_mut().skip(first as usize).step_by(p as usize).for_each(|flag| *flag = false);
    }
    rough.iter().enumerate().filter(|(_, flag)| **flag).map(|(i, _)| TOP - 1 - 2 * i as u64).collect()
}

/// The primes up to `limit`.
pub(super) fn primes(limit: u64) -> Vec<u64> {
    let half = (limit as usize).div_ceil(2);
    // Place i stands for 2i + 1; place 0 for the prime 2.
    let mut prime = vec![true; half];
    for i in 1.. {
        let p = 2 * i + 1;
        if p * p > limit as usize {
            break;
        }
        if prime[i] {
            prime[p * p / 2..].iter_mut().step_by(p).for_each(|flag| *flag = false);
        }
    }
    let odd = prime.iter().enumerate().skip(1).filter(|(_, flag)| **flag).map(|(i, _)| 2 * i as u64 + 1);
    std::iter::once(2).filter(|_| limit >= 2).chain(odd).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_by_trial_division() {
        for limit in [0, 1, 2, 3, 4, 8, 9, 25, 49, 1000] {
            let expected: Vec<u64> =
                (2..=limit).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0)).collect();
            assert_eq!(primes(limit), expected, "{limit}");
        }
    }

    #[test]
    fn moduli_are_pairwise_coprime_and_rough() {
        for (how_many, bound) in [(1, 2), (7, 3), (300, 1000), (40, 20_000)] {
            let found = moduli(how_many, bound);
            assert_eq!(found.len(), how_many);
            assert!(found.is_sorted_by(|a, b| a > b) && found[0] < TOP);
            let gcd = |mut a: u64, mut b: u64| {
                while b != 0 {
                    (a, b) = (b, a % b);
                }
                a
            };
            for (i, &q) in found.iter().enumerate() {
                assert!((2..=bound).all(|d| q % d != 0), "{q} has a factor up to {bound}");
                assert!(found[..i].iter().all(|&other| gcd(q, other) == 1), "{q}");
            }
        }
    }
}
