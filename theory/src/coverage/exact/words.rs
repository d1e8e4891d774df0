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
    let mut halves = Vec::with_capacity(2 * words.len());
    words.iter().for_each(|&word| halves.extend([word as u32, (word >> 32) as u32]));
    BigUint::new(halves)
}
