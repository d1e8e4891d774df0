//! Which samples the columns over all pairs are of.
//!
//! With m the most samples to be paired, both uniformities are of all N samples while N ≤ m, else of m of them; the
//! spread within classes of all n_c samples of each class while Σ n_c² ≤ m², else of at most ⌊m/√C⌋ of each. Samples
//! are drawn at random without replacement, by the seed of the batches, on streams of their own.

use crate::rng::{Purpose, permutation, stream};
use crate::rows::by_class;

/// Samples of which all pairs are taken, unless somebody asks for more: 4.5·10⁸ pairs, some seconds of a core.
pub const MOST_PAIRED: usize = 30_000;

/// The samples, in their order; `None`: all.
pub(super) fn of_all(samples: usize, most: Option<usize>, seed: u64) -> Option<Vec<usize>> {
    let most = most.filter(|&most| samples > most)?;
    Some(drawn((0..samples).collect(), most, seed, 0))
}

/// The samples of each class, in their order.
pub(super) fn of_classes(
    labels: &[usize],
    num_classes: usize,
    most: Option<usize>,
    seed: u64,
) -> Vec<Vec<usize>> {
    let members = by_class(labels, num_classes);
    let pairs: u128 = members.iter().map(|own| (own.len() as u128).pow(2)).sum();
    let Some(most) = most.filter(|&most| pairs > (most as u128).pow(2)) else { return members };
    let most = most_of_class(most, num_classes);
    let classes = (1..).zip(members);
    classes.map(|(index, own)| if own.len() > most { drawn(own, most, seed, index) } else { own }).collect()
}

/// ⌊m/√C⌋, at least a pair.
pub(crate) fn most_of_class(most: usize, num_classes: usize) -> usize {
    ((most as f64 / (num_classes as f64).sqrt()) as usize).max(2)
}

/// So many of these, in their order.
fn drawn(samples: Vec<usize>, count: usize, seed: u64, index: u64) -> Vec<usize> {
    let order = permutation(samples.len(), &mut stream(seed, Purpose::Pairs, index));
    let mut drawn: Vec<usize> = order[..count].iter().map(|&place| samples[place]).collect();
    drawn.sort_unstable();
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_samples_are_all_taken_and_of_many_the_stated_number() {
        assert_eq!(of_all(300, Some(300), 7), None);
        assert_eq!(of_all(1000, None, 7), None);
        let drawn = of_all(301, Some(300), 7).unwrap();
        assert!(drawn.len() == 300 && drawn.windows(2).all(|pair| pair[0] < pair[1]));
        assert_ne!(of_all(301, Some(300), 8).unwrap(), drawn);
        // Two classes: 212 of each at most, and those of the second, which has fewer, all.
        let labels: Vec<usize> = (0..800).map(|i| usize::from(i % 8 == 0)).collect();
        let members = of_classes(&labels, 2, Some(300), 7);
        assert_eq!(members.iter().map(Vec::len).collect::<Vec<_>>(), [212, 100]);
        assert!(members[0].iter().all(|&sample| labels[sample] == 0));
        assert_eq!(of_classes(&labels[..300], 2, Some(300), 7).concat().len(), 300);
        assert_eq!(of_classes(&labels, 2, None, 7).concat().len(), 800);
    }
}
