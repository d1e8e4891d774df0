//! (M/q_i) mod q_i for M = ∏ q_j: what the Chinese remainder theorem divides by.
//!
//! q_j ≡ q_j − q_i (mod q_i), a difference that is small where the moduli are close; two of them fit one word, so
//! that a modular product serves two moduli. Cost: k²/2 products for k moduli.

use super::residues::{LANES, Moduli, Residues};

/// ∏_{j≠i} q_j mod q_i in lane i, for the moduli `all[at..at + LANES]`; `all` descends and spans less than 2³¹.
pub(super) fn cofactors(all: &[u64], at: usize, moduli: &Moduli) -> Residues {
    let own: Residues = moduli.q;
    let mut value = [1; LANES];
    let mut products = 0;
    // All factors positive: q_j − q_i before the group, q_i − q_j with a sign after it.
    for pair in all[..at].chunks(2) {
        let factor = std::array::from_fn(|i| pair.iter().map(|&q| q - own[i]).product());
        value = moduli.mul(value, factor);
        products += 1;
    }
    let after = all.get(at + LANES..).unwrap_or_default();
    for pair in after.chunks(2) {
        let factor = std::array::from_fn(|i| pair.iter().map(|&q| own[i] - q).product());
        value = moduli.mul(value, factor);
        products += 1;
    }
    let members = all.len().min(at + LANES) - at;
    for member in 0..members {
        let q = all[at + member];
        value = moduli.mul(
            value,
            std::array::from_fn(|i| if i == member || q == own[i] { 1 } else { q.abs_diff(own[i]) }),
        );
        products += 1;
    }
    let value = moduli.mul(value, moduli.power_of_radix(products));
    std::array::from_fn(|i| {
        // Moduli below q_i: as many negative differences.
        let below = all.len() - 1 - (at + i).min(all.len() - 1);
        let canonical = moduli.canonical(value)[i];
        if below.is_multiple_of(2) || canonical == 0 { canonical } else { own[i] - canonical }
    })
}
