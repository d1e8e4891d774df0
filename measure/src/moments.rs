//! Bounds of a classifier's error from first and second moments of the features in each class.
//!
//! Both hold for the evaluated samples themselves, exactly: the law is that of a sample drawn among them. π_i is a
//! class's share of them, μ_i the class means in use, x a sample of class i, E_i the mean over those samples.
//!
//! **Mean classifier** argmax_j x·μ_j. An error, ties included, has a class j ≠ i with D_ij = x·(μ_i − μ_j) ≤ 0. With a_ij
//! = E_i D_ij > 0 and w_ij its variance, Cantelli's inequality gives P(D_ij ≤ 0) ≤ w_ij/(w_ij + a_ij²); where a_ij ≤ 0
//! only 1 is known. So (`cantelli_error`)
//!
//! error ≤ Σ_i π_i min{1, Σ_{j≠i} w_ij/(w_ij + a_ij²)}.
//!
//! **Nearest class mean** (Euclidean). An error has a class j ≠ i with (x − μ_i)·(μ_j − μ_i) ≥ d_ij²/2, d_ij = ‖μ_i −
//! μ_j‖, and Chebyshev's inequality gives (`directional_error`)
//!
//! error ≤ Σ_i π_i min{1, Σ_{j≠i} 4 Ṽ_ij}, Ṽ_ij = E_i ((x − μ_i)·(μ_i − μ_j))² / d_ij⁴.
//!
//! Where μ_i is the mean of the evaluated samples of its class, Ṽ_ij is the directional variance of Luthra, Salunkhe &
//! Galanti (2026), and this is their certificate in the limit of many labelled samples a class, in which their terms
//! for the error of estimated means vanish. Here the means are those in use, and what they miss the samples' own mean by
//! is part of the second moment, so that no such term is needed.
//!
//! Cost: one product \[N, d\] × \[d, C\], some classes at a time where there are many samples, and O(N C). Rounded
//! outward by 1e-12.
//!
//! Source: F. P. Cantelli (1928); P. Chebyshev (1867); their use for these classifiers as above.

use crate::error::{Error, Result};
use crate::matrix::{Matrix, dot};
use crate::pool::{self, Stop};
use crate::rows::{FeatureRows, RUN, by_class};
use std::ops::Range;
use theory::losses::Quantity;

/// What an interruption gives up.
const DOING: &str = "bounding the classifiers' error";
/// What rounding may take from a bound, relative to it.
const ROUNDING: f64 = 1e-12;

/// Bounds of two classifiers' errors, and the accuracy of the second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// Cantelli's bound of the mean classifier's error.
    pub cantelli_error: f64,
    /// Chebyshev's bound of the nearest class mean's error.
    pub directional_error: f64,
    /// Accuracy of the nearest class mean; a tie is an error.
    pub nearest_mean_accuracy: f64,
}

impl Moments {
    /// Of these class means \[C, d\] and the features \[N, d\] of samples of these classes.
    ///
    /// # Errors
    /// Shapes that do not fit together, a label of C or more; `stop` says so.
    ///
    /// # Examples
    /// ```
    /// use measure::{matrix::Matrix, moments::Moments, never};
    /// // Class 0 at 1 and 3, class 1 at −2 twice, means 2 and −2: D = 4x has mean 8 and variance 16 in class 0, so
    /// // Cantelli says 16/(16 + 64) = 1/5 there and 0 in class 1; Chebyshev 4·16/4⁴ = 1/4 and 0.
    /// let means = Matrix { rows: 2, cols: 1, data: vec![2.0, -2.0] };
    /// let features = Matrix { rows: 4, cols: 1, data: vec![1.0, 3.0, -2.0, -2.0] };
    /// let found = Moments::new(&means, &features, &[0, 0, 1, 1], &never)?;
    /// assert!((found.cantelli_error - 0.1).abs() < 1e-11 && (found.directional_error - 0.125).abs() < 1e-11);
    /// assert_eq!(found.nearest_mean_accuracy, 1.0);
    /// # Ok::<(), measure::Error>(())
    /// ```
    pub fn new<F: FeatureRows>(
        means: &Matrix,
        features: &F,
        labels: &[usize],
        stop: Stop<'_>,
    ) -> Result<Self> {
        let most = (RUN / features.width().max(means.rows)).max(1);
        Self::of_runs(means, features, labels, most, stop)
    }

    /// Of at most so many samples at once.
    fn of_runs<F: FeatureRows>(
        means: &Matrix,
        features: &F,
        labels: &[usize],
        most: usize,
        stop: Stop<'_>,
    ) -> Result<Self> {
        let (classes, count) = (means.rows, features.count());
        crate::check_labels(count, labels, classes)?;
        if count == 0 {
            return Err(Error::argument("there is no sample, and so no error to bound"));
        }
        let members = by_class(labels, classes);
        let mut parts = Vec::with_capacity(classes);
        let scores = |samples: &[usize]| features.pick(samples)?.times_transposed(means);
        for together in together(&members, most) {
            pool::check(stop, DOING)?;
            // Their samples in order, so that few features are multiplied as they are.
            let mut samples = members[together.clone()].concat();
            samples.sort_unstable();
            // More are one class, whose scores are made twice, some at a time.
            let all = if samples.len() > most { None } else { Some(scores(&samples)?) };
            let found = pool::map(together, |class| -> Result<OfClass> {
                pool::check(stop, DOING)?;
                let own = &members[class];
                let Some(all) = &all else {
                    return of_class(means, class, own.len(), |visit| {
                        own.chunks(most).try_for_each(|part| {
                            pool::check(stop, DOING)?;
                            let scores = scores(part)?;
                            (0..scores.rows).for_each(|i| visit(scores.row(i)));
                            Ok(())
                        })
                    });
                };
                let places: Vec<usize> =
                    own.iter().filter_map(|sample| samples.binary_search(sample).ok()).collect();
                of_class(means, class, own.len(), |visit| {
                    places.iter().for_each(|&place| visit(all.row(place)));
                    Ok(())
                })
            });
            for part in found {
                parts.push(part?);
            }
        }
        let mean = |of: fn(&OfClass) -> f64| {
            let sum: f64 = parts.iter().zip(&members).map(|(part, own)| own.len() as f64 * of(part)).sum();
            sum / labels.len() as f64
        };
        let bound = |of| (mean(of) * (1.0 + ROUNDING)).min(1.0);
        let wrong: usize = parts.iter().map(|part| part.wrong).sum();
        Ok(Self {
            cantelli_error: bound(|part| part.cantelli),
            directional_error: bound(|part| part.directional),
            nearest_mean_accuracy: (labels.len() - wrong) as f64 / labels.len() as f64,
        })
    }

    /// The columns of `losses.csv`.
    pub fn columns(self) -> [(Quantity, f64); 3] {
        [
            (Quantity::NearestMeanAccuracy, self.nearest_mean_accuracy),
            (Quantity::CantelliError, self.cantelli_error),
            (Quantity::DirectionalError, self.directional_error),
        ]
    }
}

/// Runs of classes of at most so many samples together, or of one class that has more.
fn together(members: &[Vec<usize>], most: usize) -> Vec<Range<usize>> {
    let (mut runs, mut start, mut count) = (Vec::new(), 0, 0);
    for (class, own) in members.iter().enumerate() {
        if class > start && count + own.len() > most {
            runs.push(start..class);
            (start, count) = (class, 0);
        }
        count += own.len();
    }
    runs.push(start..members.len());
    runs
}

/// Both bounds in one class, and the samples that are not nearest to its mean.
struct OfClass {
    cantelli: f64,
    directional: f64,
    wrong: usize,
}

/// Of a class of `samples`, whose products with all means `scores` shows one sample after another, each time anew.
fn of_class(
    means: &Matrix,
    class: usize,
    samples: usize,
    scores: impl Fn(&mut dyn FnMut(&[f64])) -> Result<()>,
) -> Result<OfClass> {
    let products: Vec<f64> = (0..means.rows).map(|j| dot(means.row(class), means.row(j))).collect();
    let square = |j: usize| dot(means.row(j), means.row(j));
    let squares: Vec<f64> = (0..means.rows).map(square).collect();
    let count = samples.max(1) as f64;
    // Each D_ij relative to what it is at the class mean: D − μ_i·(μ_i − μ_j).
    let mut first = vec![0.0; means.rows];
    let deviation = |row: &[f64], j: usize| (row[class] - row[j]) - (squares[class] - products[j]);
    let mut wrong = 0;
    scores(&mut |row| {
        first.iter_mut().enumerate().for_each(|(j, sum)| *sum += deviation(row, j) / count);
        let half = |j: usize| row[j] - 0.5 * squares[j];
        wrong += usize::from((0..means.rows).any(|j| j != class && half(j) >= half(class)));
    })?;
    let mut variance = vec![0.0; means.rows];
    scores(&mut |row| {
        let of = |(j, sum): (usize, &mut f64)| *sum += (deviation(row, j) - first[j]).powi(2) / count;
        variance.iter_mut().enumerate().for_each(of);
    })?;
    let (mut cantelli, mut directional) = (0.0, 0.0);
    for j in (0..means.rows).filter(|&j| j != class) {
        let margin = first[j] + (squares[class] - products[j]);
        cantelli += if margin > 0.0 { variance[j] / (variance[j] + margin * margin) } else { 1.0 };
        let distance: f64 =
            means.row(class).iter().zip(means.row(j)).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let second = variance[j] + first[j] * first[j];
        directional += if distance > 0.0 { 4.0 * second / (distance * distance) } else { 1.0 };
    }
    Ok(OfClass { cantelli: cantelli.min(1.0), directional: directional.min(1.0), wrong })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::never;
    use crate::rng::{Purpose, normal, stream};
    use crate::{class_means, mean_accuracy};
    use std::borrow::Cow;

    /// Random features of random shape, about centres that are far apart or not, with means of the same samples or of
    /// others: the bounds are never below the error.
    #[test]
    fn no_error_exceeds_its_bound() {
        let mut informative = 0;
        for round in 0..300u64 {
            let mut rng = stream(round, Purpose::Evaluation, 0);
            let (classes, dimension) = (2 + (round % 4) as usize, 1 + (round % 5) as usize);
            let spread = [0.05, 0.3, 1.0][(round % 3) as usize];
            let centres: Vec<f64> =
                (0..classes * dimension).map(|_| 2.0 * f64::from(normal(&mut rng))).collect();
            let mut sample = |count: usize| {
                let labels: Vec<usize> =
                    (0..count).map(|i| if i < classes { i } else { i * i % classes }).collect();
                let place = |i: usize, k: usize| centres[labels[i] * dimension + k];
                let data = (0..count * dimension)
                    .map(|at| place(at / dimension, at % dimension) + spread * f64::from(normal(&mut rng)));
                (Matrix { rows: count, cols: dimension, data: data.collect() }, labels)
            };
            let (x, labels) = sample(40);
            let (train, train_labels) = sample(30);
            for (of, of_labels) in [(&x, &labels), (&train, &train_labels)] {
                let means = class_means(of, of_labels, classes).unwrap();
                let found = Moments::new(&means, &x, &labels, &never).unwrap();
                let error = 1.0 - mean_accuracy(&means, &x, &labels).unwrap();
                assert!(found.cantelli_error >= error - 1e-15, "{round}: {found:?} {error}");
                let nearest = 1.0 - found.nearest_mean_accuracy;
                assert!(found.directional_error >= nearest - 1e-15, "{round}: {found:?}");
                informative += usize::from(found.cantelli_error < 0.5 && found.directional_error < 0.5);
            }
        }
        assert!(informative > 50, "{informative} bounds say something");
    }

    /// Features that lend only so many rows at once.
    struct Sparing(Matrix, usize);

    impl FeatureRows for Sparing {
        fn count(&self) -> usize {
            self.0.rows
        }

        fn width(&self) -> usize {
            self.0.cols
        }

        fn run(&self, rows: Range<usize>) -> Result<Cow<'_, [f64]>> {
            assert!(rows.len() <= self.1);
            self.0.run(rows)
        }

        fn pick(&self, rows: &[usize]) -> Result<Matrix> {
            assert!(rows.len() <= self.1, "{} rows", rows.len());
            self.0.pick(rows)
        }
    }

    #[test]
    fn a_class_beyond_a_run_is_cut() {
        let mut rng = stream(3, Purpose::Evaluation, 0);
        let data = (0..100 * 3).map(|_| f64::from(normal(&mut rng))).collect();
        let x = Matrix { rows: 100, cols: 3, data };
        // 80, 5, 10 and 5 samples.
        let labels: Vec<usize> = (0..100).map(|i| if i < 80 { 0 } else { 1 + i % 4 / 2 + i % 2 }).collect();
        let means = class_means(&x, &labels, 4).unwrap();
        let whole = Moments::new(&means, &x, &labels, &never).unwrap();
        for most in [30, 40, 79] {
            let cut = Moments::of_runs(&means, &Sparing(x.clone(), most), &labels, most, &never).unwrap();
            assert_eq!(cut.nearest_mean_accuracy, whole.nearest_mean_accuracy);
            for ((quantity, a), (_, b)) in cut.columns().into_iter().zip(whole.columns()) {
                assert!((a - b).abs() < 1e-12, "{quantity}: {a} {b}");
            }
        }
    }

    #[test]
    fn two_points_attain_cantellis_bound() {
        // D takes the value 0 with probability 1/5: mean 4, variance 4, bound 4/(4 + 16) = 1/5 of class 0.
        let means = Matrix { rows: 2, cols: 2, data: vec![1.0, 0.0, 0.0, 1.0] };
        let mut data = vec![1.0, 1.0];
        (0..4).for_each(|_| data.extend([5.0, 0.0]));
        data.extend([0.0, 1.0]);
        let features = Matrix { rows: 6, cols: 2, data };
        let found = Moments::new(&means, &features, &[0, 0, 0, 0, 0, 1], &never).unwrap();
        assert!((found.cantelli_error - 1.0 / 6.0).abs() < 1e-11, "{found:?}");
        // Two equal means: nothing can be told apart.
        let same = Matrix { rows: 2, cols: 2, data: vec![1.0; 4] };
        let found = Moments::new(&same, &features, &[0, 0, 0, 0, 0, 1], &never).unwrap();
        assert_eq!((found.cantelli_error, found.directional_error), (1.0, 1.0));
        assert_eq!(found.nearest_mean_accuracy, 0.0);
        assert!(Moments::new(&same, &features, &[0, 0, 0, 0, 0, 2], &never).is_err());
        assert!(Moments::new(&same, &features, &[0], &never).is_err());
    }
}
