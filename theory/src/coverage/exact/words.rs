//! Long integers by their words.

use num_bigint::BigUint;

/// Two computations, on two threads where they are long enough.
pub(super) fn both<A: Send, B: Send>(
    words: usize,
    a: impl FnOnce() -> A + Send,
    b: impl FnOnce() -> B + Send,
) -> (A, B) {
    if words > 500 { rayon::join(a, b) } else { (a(), b()) }
}

/// An integer from its 64-bit words, the lowest first.
pub(super) fn from_words(words: &[u64]) -> BigUint {
    BigUint::new(words.iter().flat_map(|&word| [word as u32, (word >> 32) as u32]).collect())
}
