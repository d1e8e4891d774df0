//! k nearest neighbours: each votes for its class with weight e^{s/0.1}, s the cosine.
//!
//! Similarities are made in blocks of 128 evaluated × 2048 training samples, of which each evaluated sample keeps its
//! 20 best: 2 MiB per thread, whatever the sizes of the sets.

use super::classifiers::{accuracy, argmax};
use crate::error::Result;
use crate::gemm::Threads;
use crate::matrix::{Matrix, dot, times_transposed};
use crate::pool::{self, Stop};

/// Neighbours that vote in [`knn_accuracy`].
pub const KNN_NEIGHBOURS: usize = 20;
/// Temperature of the votes in [`knn_accuracy`].
pub const KNN_TEMPERATURE: f64 = 0.1;

/// Evaluated samples of a block.
const TEST_ROWS: usize = 128;
/// Training samples of a block.
const TRAIN_ROWS: usize = 2048;

/// Share of samples that the weighted vote of the 20 most similar training samples classifies rightly.
///
/// Similarity is the cosine s; a neighbour votes with weight e^{s/0.1}. Ties go to the earlier sample or class. The
/// same for any number of threads.
///
/// # Errors
/// Different numbers of columns; `stop` says so.
pub fn knn_accuracy(
    train: (&Matrix, &[usize]),
    test: (&Matrix, &[usize]),
    num_classes: usize,
    stop: Stop<'_>,
) -> Result<f64> {
    let unit = |m: &Matrix| {
        let mut m = m.clone();
        for i in 0..m.rows {
            let norm = dot(m.row(i), m.row(i)).sqrt();
            m.row_mut(i).iter_mut().for_each(|x| *x /= norm.max(1e-12));
        }
        m
    };
    let (train_x, test_x) = (unit(train.0), unit(test.0));
    let vote = |nearest: &[Neighbour]| {
        let mut votes = vec![0.0; num_classes];
        for &(similarity, sample) in nearest {
            votes[train.1[sample]] += (similarity / KNN_TEMPERATURE).exp();
        }
        argmax(&votes)
    };
    let starts = (0..test_x.rows).step_by(TEST_ROWS);
    let chunks = pool::map(starts, |start| -> Result<Vec<usize>> {
        let nearest = nearest(&train_x, &test_x, start, stop)?;
        Ok(nearest.iter().map(|nearest| vote(nearest)).collect())
    });
    let predicted = chunks.into_iter().collect::<Result<Vec<_>>>()?.concat();
    Ok(accuracy(predicted.into_iter(), test.1))
}

/// Similarity and index of a training sample.
type Neighbour = (f64, usize);

/// The nearest training samples of each evaluated sample of the block that begins at `start`, the nearest first.
fn nearest(train: &Matrix, test: &Matrix, start: usize, stop: Stop<'_>) -> Result<Vec<Vec<Neighbour>>> {
    let end = (start + TEST_ROWS).min(test.rows);
    let mut nearest = vec![Vec::with_capacity(KNN_NEIGHBOURS + 1); end - start];
    let mut block = vec![0.0; (end - start) * TRAIN_ROWS.min(train.rows)];
    for first in (0..train.rows).step_by(TRAIN_ROWS) {
        pool::check(stop, "looking for nearest neighbours")?;
        let last = (first + TRAIN_ROWS).min(train.rows);
        let block = &mut block[..(end - start) * (last - first)];
        times_transposed(test.rows_in(start..end), train.rows_in(first..last), block, Threads::One)?;
        for (nearest, similarities) in nearest.iter_mut().zip(block.chunks_exact(last - first)) {
            for (offset, &similarity) in similarities.iter().enumerate() {
                keep(nearest, (similarity, first + offset));
            }
        }
    }
    Ok(nearest)
}

/// Inserts a sample that comes after all kept ones in the training set, if it is near enough.
fn keep(nearest: &mut Vec<Neighbour>, sample: Neighbour) {
    if nearest.len() == KNN_NEIGHBOURS && sample.0.total_cmp(&nearest[KNN_NEIGHBOURS - 1].0).is_le() {
        return;
    }
    let place = nearest.partition_point(|kept| kept.0.total_cmp(&sample.0).is_ge());
    nearest.insert(place, sample);
    nearest.truncate(KNN_NEIGHBOURS);
}

#[cfg(test)]
mod tests {
    use super::super::classifiers::testing::toy;
    use super::*;
    use crate::pool::never;

    #[test]
    fn separated_classes_are_classified() {
        let (x, mut labels) = toy();
        assert_eq!(knn_accuracy((&x, &labels), (&x, &labels), 3, &never).unwrap(), 1.0);
        labels[0] = 1; // a wrong label among the evaluated counts as wrong
        let right = toy().1;
        assert_eq!(knn_accuracy((&x, &right), (&x, &labels), 3, &never).unwrap(), 59.0 / 60.0);
    }

    /// The definition: all similarities sorted, ties to the earlier sample.
    #[test]
    fn blocks_find_the_neighbours_that_sorting_finds() {
        // Whole numbers make similarities exact, hence many ties; sizes leave ragged blocks on both sides.
        let entries = |rows: usize, seed: usize| Matrix {
            rows,
            cols: 5,
            data: (0..rows * 5).map(|i| ((i * 7919 + i / 3 * seed) % 7) as f64 - 3.0).collect(),
        };
        let (train, test) = (entries(TRAIN_ROWS + 77, 5), entries(TEST_ROWS + 9, 11));
        for start in [0, TEST_ROWS] {
            for (i, found) in nearest(&train, &test, start, &never).unwrap().iter().enumerate() {
                let row: Vec<f64> = (0..train.rows).map(|j| dot(test.row(start + i), train.row(j))).collect();
                let mut order: Vec<usize> = (0..train.rows).collect();
                order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
                let expected: Vec<_> = order[..KNN_NEIGHBOURS].iter().map(|&j| (row[j], j)).collect();
                assert_eq!(*found, expected);
            }
        }
        let few = entries(3, 5);
        assert_eq!(nearest(&few, &test, 0, &never).unwrap()[0].len(), 3);
    }
}
