//! Whether hard negatives of other classes are of similar classes.
//!
//! With N_ab the pairs of one bin whose query has class a and whose negative has class b, and s the similarity of
//! classes in a hierarchy, the mean similarity of different-class negatives is Σ_{a≠b} N_ab s(a, b)/Σ_{a≠b} N_ab. The
//! null gives the classes other places in the tree: a permutation σ of its classes, s(σ(a), σ(b)). Over all
//! permutations each pair a ≠ b meets each pair of different places alike, so the mean of the null is the plain mean of
//! s over pairs of different classes, whatever N is. Its standard deviation, about that mean, and the p-value (1 +
//! #{null ≥ found})/(1 + permutations) are those of permutations drawn with a seed.

use super::hierarchy::Hierarchy;
use crate::error::Result;
use crate::matrix::Matrix;
use crate::pool;
use crate::rng::{Purpose, permutation, stream};

/// Permutations of the classes that are drawn.
pub const PERMUTATIONS: usize = 499;

/// One similarity in one bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Similarity {
    /// Mean over the bin's different-class negatives.
    pub mean: f64,
    /// Exact mean of the null.
    pub null_mean: f64,
    /// Standard deviation of the null.
    pub null_deviation: f64,
    /// (mean − null mean)/deviation; NaN where no permutation changes anything.
    pub z: f64,
    /// Share of permutations, the found one among them, that reach the mean.
    pub p_value: f64,
}

/// The different-class negatives of one bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Semantics {
    /// How many there are, over all queries.
    pub pairs: u64,
    /// Path similarity, Wu & Palmer; `None` where there is no pair.
    pub similarities: Option<[Similarity; 2]>,
}

/// For each table of pairs \[C, C\]; class a of the samples is class a of the hierarchy.
///
/// # Errors
/// Another number of classes.
pub(super) fn semantics(pairs: &[&[u64]], hierarchy: &Hierarchy, seed: u64) -> Result<Vec<Semantics>> {
    let classes = hierarchy.classes.len();
    for table in pairs {
        hierarchy.check((table.len() as f64).sqrt() as usize)?;
    }
    let identity: Vec<usize> = (0..classes).collect();
    let found = means(pairs, hierarchy, &identity);
    let draws = pool::map(0..PERMUTATIONS, |index| {
        let order = permutation(classes, &mut stream(seed, Purpose::Difficulty, 2 + index as u64));
        means(pairs, hierarchy, &order)
    });
    let null_means = [&hierarchy.path, &hierarchy.wu_palmer].map(mean_of_distinct);
    let of_bin = |(bin, table): (usize, &&[u64])| {
        let similarity = |which: usize| {
            let (mean, null_mean) = (found[bin][which], null_means[which]);
            let null = || draws.iter().map(|draw| draw[bin][which]);
            let squares: f64 = null().map(|x| (x - null_mean) * (x - null_mean)).sum();
            let deviation = (squares / PERMUTATIONS as f64).sqrt();
            // Sums in another order differ in their last digits.
            let some = deviation > 1e-12;
            let reached = null().filter(|x| *x >= mean - 1e-12).count();
            Similarity {
                mean,
                null_mean,
                null_deviation: deviation,
                z: if some { (mean - null_mean) / deviation } else { f64::NAN },
                p_value: (1 + reached) as f64 / (1 + PERMUTATIONS) as f64,
            }
        };
        let pairs = distinct(table, classes).map(|(_, _, count)| count).sum();
        Semantics { pairs, similarities: (pairs > 0).then(|| [similarity(0), similarity(1)]) }
    };
    Ok(pairs.iter().enumerate().map(of_bin).collect())
}

/// Different classes a ≠ b with their count.
fn distinct(table: &[u64], classes: usize) -> impl Iterator<Item = (usize, usize, u64)> + '_ {
    let place = move |(index, &count): (usize, &u64)| (index / classes, index % classes, count);
    table.iter().enumerate().map(place).filter(|(a, b, _)| a != b)
}

/// Mean path and Wu–Palmer similarity of each table, class a standing in the place of `order[a]`; NaN without pairs.
fn means(pairs: &[&[u64]], hierarchy: &Hierarchy, order: &[usize]) -> Vec<[f64; 2]> {
    let classes = order.len();
    let of_table = |table: &&[u64]| {
        let (mut sums, mut total) = ([0.0; 2], 0.0);
        for (a, b, count) in distinct(table, classes).filter(|(_, _, count)| *count > 0) {
            let (a, b, count) = (order[a], order[b], count as f64);
            sums[0] += count * hierarchy.path.row(a)[b];
            sums[1] += count * hierarchy.wu_palmer.row(a)[b];
            total += count;
        }
        sums.map(|sum| sum / total)
    };
    pairs.iter().map(of_table).collect()
}

/// The mean over pairs of different classes; NaN for one class. Summed row by row: rounding of 2C ulps, not of C².
fn mean_of_distinct(similarity: &Matrix) -> f64 {
    let classes = similarity.rows;
    let row = |a: usize| {
        let others = similarity.row(a).iter().enumerate().filter(|(b, _)| *b != a);
        others.map(|(_, s)| s).sum::<f64>()
    };
    (0..classes).map(row).sum::<f64>() / (classes * (classes - 1)) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Hierarchy {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "node,parent,class\nt,,\na,t,\nb,t,\na0,a,0\na1,a,1\nb2,b,2\nb3,b,3\n";
        std::fs::write(file.path(), text).unwrap();
        Hierarchy::read(file.path()).unwrap()
    }

    #[test]
    fn means_by_hand_and_over_all_permutations() {
        let tree = tree();
        // Pairs of siblings (0–1, 2–3) three times as often as others; the diagonal does not count.
        let near = [9, 3, 1, 1, 3, 9, 1, 1, 1, 1, 9, 3, 1, 1, 3, 9];
        let even = [5u64; 16];
        let none = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
        let found = semantics(&[&near, &even, &none], &tree, 7).unwrap();
        let [path, wu_palmer] = found[0].similarities.unwrap();
        assert_eq!((found[0].pairs, found[1].pairs, found[2].pairs), (20, 60, 0));
        assert!(found[2].similarities.is_none());
        // Siblings: path ⅓, Wu–Palmer ⅔; cousins 1/5, ⅓. 12 of 20 pairs are siblings', of all places a third.
        assert!((path.mean - (0.6 / 3.0 + 0.4 / 5.0)).abs() < 1e-15);
        assert!((wu_palmer.mean - (0.6 * 2.0 / 3.0 + 0.4 / 3.0)).abs() < 1e-15);
        assert!((path.null_mean - (1.0 / 3.0 / 3.0 + 2.0 / 3.0 / 5.0)).abs() < 1e-15);
        // Of the 24 permutations 8 keep the siblings; the others make 4 of 20 pairs siblings'.
        let (high, low) = (path.mean, 0.2 / 3.0 + 0.8 / 5.0);
        assert!(((8.0 * high + 16.0 * low) / 24.0 - path.null_mean).abs() < 1e-15, "the mean is exact");
        let variance = (8.0 * (high - path.null_mean).powi(2) + 16.0 * (low - path.null_mean).powi(2)) / 24.0;
        assert!((path.null_deviation / variance.sqrt() - 1.0).abs() < 0.1, "{}", path.null_deviation);
        assert!((path.p_value - 1.0 / 3.0).abs() < 4.0 * (2.0 / 9.0 / PERMUTATIONS as f64).sqrt());
        assert!((path.z - (path.mean - path.null_mean) / path.null_deviation).abs() < 1e-12);
        // Where all pairs are alike no permutation says anything.
        let [path, _] = found[1].similarities.unwrap();
        assert!((path.mean - path.null_mean).abs() < 1e-15 && path.z.is_nan() && path.p_value == 1.0);
        assert!(semantics(&[&[0; 9]], &tree, 7).unwrap_err().to_string().contains("classes 0 to 3"));
    }
}
