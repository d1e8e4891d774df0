//! (M/q_i) mod q_i for M = ∏ q_j: what the Chinese remainder theorem divides by.
//!
//! q_j ≡ q_j − q_i (mod q_i), a difference that is small where the moduli are close; two to four of them fit one word,
//! so that a modular product serves as many moduli. Cost: k²/4 products or fewer for k moduli.

use super::residues::{LANES, Moduli, Residues};

/// ∏_{j≠i} q_j mod q_i in lane i, for the moduli `all[at..at + LANES]`; `all` descends and spans less than 2³¹.
pub(super) fn cofactors(all: &[u64], at: usize, moduli: &Moduli) -> Residues {
    // Products of so many differences stay below 2⁶².
    match (all[0] - all[all.len() - 1] + 1).next_power_of_two().ilog2() {
        0..=15 => packed::<4>(all, at, moduli),
        16..=20 => packed::<3>(all, at, moduli),
        _ => packed::<2>(all, at, moduli),
    }
}

fn packed<const PACK: usize>(all: &[u64], at: usize, moduli: &Moduli) -> Residues {
    let own: Residues = moduli.q;
    let mut value = [1; LANES];
    let mut products = 0;
    // All factors positive: q_j − q_i before the group, q_i − q_j with a sign after it.
    let (before, rest) = all.split_at(at);
    let (members, after) = rest.split_at(LANES.min(rest.len()));
    let (packs, singles) = before.as_chunks::<PACK>();
    for pack in packs {
        value = moduli.mul(value, std::array::from_fn(|i| pack.iter().map(|&q| q - own[i]).product()));
    }
    for &q in singles {
        value = moduli.mul(value, std::array::from_fn(|i| q - own[i]));
    }
    products += packs.len() + singles.len();
    let (packs, singles) = after.as_chunks::<PACK>();
    for pack in packs {
        value = moduli.mul(value, std::array::from_fn(|i| pack.iter().map(|&q| own[i] - q).product()));
    }
    for &q in singles {
        value = moduli.mul(value, std::array::from_fn(|i| own[i] - q));
    }
    products += packs.len() + singles.len();
    for &q in members {
        value = moduli.mul(value, std::array::from_fn(|i| q.abs_diff(own[i]).max(1)));
    }
    products += members.len();
    // Every product lost a factor R.
    let value = moduli.canonical(moduli.mul(value, moduli.power_of_radix(products as u64)));
    std::array::from_fn(|i| {
        // As many negative differences as there are moduli below q_i.
        let below = all.len() - 1 - (at + i).min(all.len() - 1);
        if below.is_multiple_of(2) || value[i] == 0 { value[i] } else { own[i] - value[i] }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::exact::moduli::moduli;
    use crate::coverage::exact::residues::product_mod;

    #[test]
    fn cofactors_by_division() {
        // Spans for which four, three and two differences share a word.
        for (how_many, stride) in [(1, 1), (6, 1), (61, 1), (40, 3), (40, 1001)] {
            let all: Vec<u64> = moduli(how_many * stride, 2).into_iter().step_by(stride).collect();
            for at in (0..all.len()).step_by(LANES) {
                let own = std::array::from_fn(|i| all[(at + i).min(all.len() - 1)]);
                let found = cofactors(&all, at, &Moduli::new(own));
                for (i, &q) in own.iter().enumerate() {
                    let others = all.iter().filter(|&&other| other != q);
                    assert_eq!(found[i], others.fold(1, |value, &other| product_mod(value, other, q)));
                }
            }
        }
    }
}
