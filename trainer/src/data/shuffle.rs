//! The order of an epoch where samples are read shard by shard: near to each other in files, yet mixed.
//!
//! The L samples are put in a row: shards in a uniformly random order, each with its samples in their own. A buffer
//! takes the first N. Then each sample of the epoch is drawn uniformly from the buffer, and the next of the row takes
//! its place; where none is left, the rest of the buffer comes out in uniformly random order.
//!
//! With N ≤ L, the sample at place i of the row (from 0) comes out at place s = max(0, i − N + 1) or later, never
//! earlier; at place j ≥ s with probability
//!
//! - (1/N)(1 − 1/N)^(j−s), where j < L − N,
//! - (1/N)(1 − 1/N)^(L−N−s), where j is one of the last N places.
//!
//! N = 1 is the row itself, N ≥ L a uniformly random permutation. What is read at one time lies, but for what waits in the
//! buffer, at one place of a shard.

use measure::rng::permutation;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// The samples of all shards, each the indices of its samples in their order, through a buffer of `buffer` ≥ 1.
///
/// # Examples
/// ```
/// use measure::rng::{Purpose, stream};
/// use trainer::data::shuffled;
/// let order = shuffled(&[vec![0, 1, 2], vec![3, 4]], 1, &mut stream(7, Purpose::Shuffle, 0));
/// assert!(order == [0, 1, 2, 3, 4] || order == [3, 4, 0, 1, 2]);
/// ```
pub fn shuffled(shards: &[Vec<usize>], buffer: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let order = permutation(shards.len(), rng);
    let mut row = order.iter().flat_map(|&shard| &shards[shard]).copied();
    let mut held: Vec<usize> = row.by_ref().take(buffer).collect();
    let mut out = Vec::with_capacity(shards.iter().map(Vec::len).sum());
    for next in row {
        let slot = rng.random_range(0..held.len());
        out.push(std::mem::replace(&mut held[slot], next));
    }
    out.extend(permutation(held.len(), rng).into_iter().map(|slot| held[slot]));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use measure::rng::{Purpose, stream};

    /// How often the sample at place i of a row of 12 comes out at place j, of so many epochs; N = 4.
    fn counted(epochs: u64) -> Vec<[u64; 12]> {
        let mut counts = vec![[0; 12]; 12];
        let row: Vec<usize> = (0..12).collect();
        for epoch in 0..epochs {
            let order = shuffled(std::slice::from_ref(&row), 4, &mut stream(11, Purpose::Shuffle, epoch));
            order.iter().enumerate().for_each(|(place, &sample)| counts[sample][place] += 1);
        }
        counts
    }

    #[test]
    fn places_have_the_stated_probabilities() {
        let epochs = 20_000;
        let (length, buffer) = (12usize, 4usize);
        for (i, counts) in counted(epochs).iter().enumerate() {
            let begin = (i + 1).saturating_sub(buffer);
            let mut total = 0.0;
            for (j, &count) in counts.iter().enumerate() {
                let waited = j.min(length - buffer).saturating_sub(begin) as i32;
                let expected = if j < begin { 0.0 } else { 0.25 * 0.75f64.powi(waited) };
                total += expected;
                let deviation = (expected * (1.0 - expected) * epochs as f64).sqrt();
                // 144 numbers: beyond 4.5 deviations one of 1,000 seeds has one.
                let off = (count as f64 - expected * epochs as f64).abs();
                assert!(
                    off <= 4.5 * deviation,
                    "sample {i} at {j}: {count}, expected {}",
                    expected * epochs as f64
                );
            }
            assert!((total - 1.0).abs() < 1e-12, "the law of sample {i} sums to {total}");
        }
    }

    #[test]
    fn an_epoch_has_every_sample_once_and_depends_on_the_stream_alone() {
        let shards = [vec![0, 1, 2, 3], vec![4], vec![], vec![5, 6, 7]];
        let of = |buffer, epoch| shuffled(&shards, buffer, &mut stream(3, Purpose::Shuffle, epoch));
        let mut first = std::collections::BTreeSet::new();
        for epoch in 0..200 {
            for buffer in [1, 2, 5, 100] {
                let mut order = of(buffer, epoch);
                assert_eq!(order, of(buffer, epoch));
                order.sort_unstable();
                assert_eq!(order, [0, 1, 2, 3, 4, 5, 6, 7]);
            }
            first.insert(of(1, epoch)[0]);
        }
        assert_eq!(first.into_iter().collect::<Vec<_>>(), [0, 4, 5], "shards come in any order");
        assert_ne!(of(3, 0), of(3, 1));
        assert!(shuffled(&[], 3, &mut stream(3, Purpose::Shuffle, 0)).is_empty());
    }
}
