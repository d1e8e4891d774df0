//! k nearest neighbours: each votes for its class with weight e^{s/t}, s the cosine (Wu, Xiong, Yu & Lin 2018), as
//! lightly's `knn_predict` of normalised features.
//!
//! Similarities are made in blocks of 128 evaluated × 2048 training samples, of which each evaluated sample keeps the
//! best, at most 2k of them: 2 MiB and 128·min(2k, M)·16 bytes per thread (80 KiB for k = 20), whatever the number of
//! evaluated samples, in a time that does not grow with k but for the sorting of the last k.

use super::classifiers::{accuracy, argmax};
use crate::error::{Error, Result};
use crate::gemm::Threads;
use crate::matrix::{Rows, normalise, times_transposed};
use crate::pool::{self, Stop};
use crate::rows::{Changed, FeatureRows};
use std::cmp::Ordering;

/// Evaluated samples of a block.
const TEST_ROWS: usize = 128;
/// Training samples of a block.
const TRAIN_ROWS: usize = 2048;

/// The classifier by weighted votes of the nearest training samples.
///
/// # Examples
/// ```
/// use measure::{Knn, matrix::Matrix, never};
/// // One training sample of class 0, two of class 1 at right angles to it; the sample is nearest to the first.
/// let train = Matrix { rows: 3, cols: 2, data: vec![1.0, 0.0, 0.0, 1.0, 0.0, 1.0] };
/// let test = Matrix { rows: 1, cols: 2, data: vec![0.6, 0.5] };
/// let accuracy = |temperature| {
///     let knn = Knn { neighbours: 3, temperature };
///     knn.accuracy((&train, &[0, 1, 1]), (&test, &[0]), 2, &never)
/// };
/// // Cosines 0.768 and 0.640: e^{0.128/t} votes against two.
/// assert_eq!(accuracy(0.1)?, 1.0);
/// assert_eq!(accuracy(0.5)?, 0.0);
/// # Ok::<(), measure::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Knn {
    /// k: how many training samples vote; all where there are fewer.
    pub neighbours: usize,
    /// t of their votes.
    pub temperature: f64,
}

impl Default for Knn {
    /// k = 20, t = 0.1.
    fn default() -> Self {
        Self { neighbours: 20, temperature: 0.1 }
    }
}

impl Knn {
    /// # Errors
    /// No neighbour; a temperature that is not positive.
    pub(crate) fn check(&self) -> Result<()> {
        let Self { neighbours, temperature } = *self;
        if neighbours == 0 {
            return Err(Error::argument("the kNN classifier needs k of at least 1, not 0"));
        }
        if temperature.is_finite() && temperature > 0.0 {
            return Ok(());
        }
        Err(Error::argument(format!("the kNN classifier's t = {temperature} is not a positive number")))
    }

    /// Share of samples whose class is [predicted](Self::predict).
    ///
    /// # Errors
    /// Those of [`predict`](Self::predict); another number of labels than of features, or a label of `num_classes` or
    /// more.
    pub fn accuracy<F: FeatureRows>(
        &self,
        train: (&F, &[usize]),
        (test, labels): (&F, &[usize]),
        num_classes: usize,
        stop: Stop<'_>,
    ) -> Result<f64> {
        crate::check_labels(test.count(), labels, num_classes)?;
        accuracy(&self.predict(train, test, num_classes, stop)?, labels, num_classes)
    }

    /// The class of each sample by the weighted vote of the k most similar training samples.
    ///
    /// Similarity is the cosine s, of rows of any norm; a neighbour votes with weight e^{s/t}. Ties go to the earlier
    /// sample or class. The same for any number of threads. Memory: up to 128 MiB of either features normalised, of more
    /// the rows of a block, and what the module says of a thread.
    ///
    /// # Errors
    /// No neighbour; a temperature that is not positive; different numbers of columns; another number of labels than of
    /// training features, or a label of `num_classes` or more; `stop` says so.
    pub fn predict<F: FeatureRows>(
        &self,
        train: (&F, &[usize]),
        test: &F,
        num_classes: usize,
        stop: Stop<'_>,
    ) -> Result<Vec<usize>> {
        self.check()?;
        crate::check_labels(train.0.count(), train.1, num_classes)?;
        let unit = |row: &[f64], out: &mut Vec<f64>| {
            let start = out.len();
            out.extend_from_slice(row);
            normalise(&mut out[start..]);
        };
        let train_x = Changed::new(train.0, train.0.width(), unit)?;
        let test_x = Changed::new(test, test.width(), unit)?;
        let vote = |nearest: &[Neighbour]| {
            let mut votes = vec![0.0; num_classes];
            let largest = nearest.first().map_or(0.0, |nearest| nearest.0);
            for &(similarity, sample) in nearest {
                // Of t = 0.001, e^{s/t} itself is no number.
                votes[train.1[sample]] += ((similarity - largest) / self.temperature).exp();
            }
            argmax(&votes)
        };
        let starts = (0..test.count()).step_by(TEST_ROWS);
        let chunks = pool::map(starts, |start| -> Result<Vec<usize>> {
            let nearest = nearest(&train_x, &test_x, start, self.neighbours, stop)?;
            Ok(nearest.iter().map(|nearest| vote(nearest)).collect())
        });
        Ok(chunks.into_iter().collect::<Result<Vec<_>>>()?.concat())
    }
}

/// Similarity and index of a training sample.
type Neighbour = (f64, usize);

/// The `most` nearest training samples of each evaluated sample of the block that begins at `start`, the nearest first.
fn nearest<F: FeatureRows>(
    train: &F,
    test: &F,
    start: usize,
    most: usize,
    stop: Stop<'_>,
) -> Result<Vec<Vec<Neighbour>>> {
    let (end, count) = ((start + TEST_ROWS).min(test.count()), train.count());
    let most = most.min(count);
    let mut nearest = (start..end).map(|_| Nearest::of(most, count)).collect::<Vec<_>>();
    let mut block = vec![0.0; (end - start) * TRAIN_ROWS.min(count)];
    let rows = test.run(start..end)?;
    let rows = Rows { values: &rows, cols: test.width() };
    for first in (0..count).step_by(TRAIN_ROWS) {
        pool::check(stop, "looking for nearest neighbours")?;
        let last = (first + TRAIN_ROWS).min(count);
        let block = &mut block[..(end - start) * (last - first)];
        let train = Rows { values: &train.run(first..last)?, cols: train.width() };
        times_transposed(rows, train, block, Threads::One)?;
        for (nearest, similarities) in nearest.iter_mut().zip(block.chunks_exact(last - first)) {
            for (offset, &similarity) in similarities.iter().enumerate() {
                nearest.add((similarity, first + offset));
            }
        }
    }
    Ok(nearest.into_iter().map(Nearest::sorted).collect())
}

/// The nearest of the samples so far, and up to as many that are no longer among them.
struct Nearest {
    kept: Vec<Neighbour>,
    most: usize,
    /// A sample that is not more similar than this one is none of the nearest.
    least: Option<f64>,
}

impl Nearest {
    /// Room for the `most` nearest of `count` samples, `most` at most `count`.
    fn of(most: usize, count: usize) -> Self {
        Self { kept: Vec::with_capacity(count.min(2 * most)), most, least: None }
    }

    /// A sample that comes after all others in the training set.
    fn add(&mut self, sample: Neighbour) {
        if self.least.is_some_and(|least| sample.0.total_cmp(&least).is_le()) {
            return;
        }
        self.kept.push(sample);
        if self.kept.len() == 2 * self.most {
            self.cut();
        }
    }

    /// Leaves the nearest.
    fn cut(&mut self) {
        if self.kept.len() > self.most {
            let (_, &mut (least, _), _) = self.kept.select_nth_unstable_by(self.most - 1, nearer);
            self.least = Some(least);
            self.kept.truncate(self.most);
        }
    }

    fn sorted(mut self) -> Vec<Neighbour> {
        self.cut();
        self.kept.sort_unstable_by(nearer);
        self.kept
    }
}

/// The more similar first, of equals the earlier: no two samples are equal.
fn nearer(a: &Neighbour, b: &Neighbour) -> Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::super::classifiers::testing::toy;
    use super::*;
    use crate::matrix::{Matrix, dot};
    use crate::pool::never;

    #[test]
    fn separated_classes_are_classified() {
        let (x, right) = toy();
        let accuracy =
            |x: &Matrix, labels: &[usize]| Knn::default().accuracy((x, &right), (x, labels), 3, &never);
        assert_eq!(accuracy(&x, &right).unwrap(), 1.0);
        let mut labels = right.clone();
        labels[0] = 1; // a wrong label among the evaluated counts as wrong
        assert_eq!(accuracy(&x, &labels).unwrap(), 59.0 / 60.0);
        // Similarities are cosines, whatever the rows' norms.
        let mut long = x.clone();
        (0..60).for_each(|i| long.row_mut(i).iter_mut().for_each(|v| *v *= (i + 1) as f64));
        assert_eq!(accuracy(&long, &right).unwrap(), 1.0);
    }

    #[test]
    fn labels_that_are_none_are_named() {
        let (x, labels) = toy();
        let error = |train: &[usize], test: &[usize], classes| {
            Knn::default().accuracy((&x, train), (&x, test), classes, &never).unwrap_err().to_string()
        };
        assert_eq!(error(&labels, &labels, 2), "label 2 is 2, not below C = 2");
        assert_eq!(error(&labels[1..], &labels, 3), "60 samples have 59 labels");
        assert_eq!(error(&labels, &labels[1..], 3), "60 samples have 59 labels");
        assert_eq!(error(&labels, &vec![9; 60], 3), "label 0 is 9, not below C = 3");
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
        for (start, most) in [(0, 20), (TEST_ROWS, 1), (TEST_ROWS, 200), (0, 1500), (0, TRAIN_ROWS + 77)] {
            for (i, found) in nearest(&train, &test, start, most, &never).unwrap().iter().enumerate() {
                let row: Vec<f64> = (0..train.rows).map(|j| dot(test.row(start + i), train.row(j))).collect();
                let mut order: Vec<usize> = (0..train.rows).collect();
                order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
                let expected: Vec<_> = order[..most].iter().map(|&j| (row[j], j)).collect();
                assert_eq!(*found, expected);
            }
        }
        let few = entries(3, 5);
        assert_eq!(nearest(&few, &test, 0, 20, &never).unwrap()[0].len(), 3);
        assert!(nearest(&entries(0, 5), &test, 0, 20, &never).unwrap()[0].is_empty());
    }

    /// Each sample is nearer than all before it: the work of a sample does not grow with k, nor the room with M.
    #[test]
    fn any_number_of_neighbours_is_kept_in_little_time_and_room() {
        let (count, most) = (2_000_000, 500_000);
        let mut nearest = Nearest::of(most, count);
        (0..count).for_each(|i| nearest.add((i as f64, i)));
        assert!(nearest.kept.capacity() < 2 * most + most / 2, "{}", nearest.kept.capacity());
        let sorted = nearest.sorted();
        assert!(sorted.iter().map(|n| n.1).eq((count - most..count).rev()));
    }

    #[test]
    fn rows_in_runs_have_the_same_classes() {
        let (x, labels) = toy();
        let predict =
            |x: &Matrix, test: &Matrix| Knn::default().predict((x, &labels), test, 3, &never).unwrap();
        let runs = [0..25, 25..60].map(|run| predict(&x, &x.gather(&run.collect::<Vec<_>>())));
        assert_eq!(runs.concat(), predict(&x, &x));
    }

    #[test]
    fn any_temperature_votes_and_none_that_is_no_number() {
        let (x, labels) = toy();
        let accuracy = |neighbours, temperature| {
            Knn { neighbours, temperature }.accuracy((&x, &labels), (&x, &labels), 3, &never)
        };
        // At the smallest temperature the nearest alone votes, as e^{1/t} does not overflow.
        assert_eq!(accuracy(60, 1e-4).unwrap(), 1.0);
        // Nearly even votes of all samples, whose largest class of three alike is the first.
        assert_eq!(accuracy(60, 1e300).unwrap(), 1.0 / 3.0);
        for (neighbours, temperature) in [(0, 0.1), (1, 0.0), (1, f64::NAN), (1, f64::INFINITY)] {
            assert!(accuracy(neighbours, temperature).is_err(), "{neighbours} {temperature}");
        }
    }
}
