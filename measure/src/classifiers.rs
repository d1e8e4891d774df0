//! The mean classifier: class means μ_c and argmax_c x·μ_c; what the classifiers on frozen features share.

use crate::error::{Error, Result};
use crate::evaluation::Views;
use crate::gemm::Threads;
use crate::matrix::{Matrix, Rows, times_transposed};
use crate::neighbours::Knn;
use crate::probe::LinearProbe;
use crate::rows::{FeatureRows, runs};
use std::borrow::Cow;
use std::ops::Range;
use theory::losses::LossComponents;

/// How the classifiers are made that have settings.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Classifiers {
    /// The linear probe.
    pub linear: LinearProbe,
    /// The nearest neighbours.
    pub knn: Knn,
}

impl Classifiers {
    /// Sets the columns that say so.
    pub fn describe(&self, row: &mut LossComponents) {
        row.knn_k = Some(self.knn.neighbours as u64);
        row.knn_temperature = Some(self.knn.temperature);
        row.linear_probe = self.linear.to_string();
    }
}

/// μ_c: the mean feature of each class \[C, d\], not normalised again.
///
/// # Errors
/// Another number of labels than of features, a label of `num_classes` or more; classes without a sample, which have
/// no mean (0 in its place would look like one), by name.
pub fn class_means<F: FeatureRows>(features: &F, labels: &[usize], num_classes: usize) -> Result<Matrix> {
    let (count, cols) = (features.count(), features.width());
    crate::check_labels(count, labels, num_classes)?;
    if let Some(absent) = crate::absent_classes(labels, num_classes) {
        return Err(Error::argument(format!("no sample is of {absent}: there is no class mean")));
    }
    let counts = crate::class_counts(labels, num_classes);
    let mut means = Matrix::zeros(num_classes, cols);
    for range in runs(count, cols) {
        let rows = features.run(range.clone())?;
        for (row, &class) in rows.chunks_exact(cols.max(1)).zip(&labels[range]) {
            let weight = 1.0 / counts[class] as f64;
            means.row_mut(class).iter_mut().zip(row).for_each(|(mean, x)| *mean += x * weight);
        }
    }
    Ok(means)
}

/// Share of predictions that are the labels.
///
/// # Errors
/// Another number of labels; a label of `num_classes` or more.
pub(super) fn accuracy(predicted: &[usize], labels: &[usize], num_classes: usize) -> Result<f64> {
    crate::check_labels(predicted.len(), labels, num_classes)?;
    let right = predicted.iter().zip(labels).filter(|(found, label)| found == label).count();
    Ok(right as f64 / labels.len() as f64)
}

/// The first of the largest scores.
pub(super) fn argmax<T: PartialOrd>(scores: &[T]) -> usize {
    (1..scores.len()).fold(0, |best, i| if scores[i] > scores[best] { i } else { best })
}

/// Share of samples whose class has the largest x·μ_c.
///
/// # Errors
/// Different numbers of columns; another number of labels than of features, or a label that has no mean.
pub fn mean_accuracy<F: FeatureRows>(means: &Matrix, features: &F, labels: &[usize]) -> Result<f64> {
    accuracy(&predictions(means, features)?, labels, means.rows)
}

/// Share of samples whose class has the largest x̄·μ_c, x̄ the mean of the two views of a sample, as in the published
/// code of Nozawa & Sato (`bound.py`).
///
/// # Errors
/// Views of different shapes; different numbers of columns; another number of labels than of samples, or a label that has
/// no mean.
pub fn mean_accuracy_two_views<F: FeatureRows>(
    means: &Matrix,
    views: &Views<F>,
    labels: &[usize],
) -> Result<f64> {
    let [first, second] = [&views.first, &views.second].map(|view| (view.count(), view.width()));
    if first != second {
        let shapes = format!("[{}, {}] and [{}, {}]", first.0, first.1, second.0, second.1);
        return Err(Error::argument(format!("two views of the same samples have one shape, not {shapes}")));
    }
    let predicted = predictions_of_runs(means, first, |range| {
        let second = views.second.run(range.clone())?;
        Ok(views.first.run(range)?.iter().zip(&*second).map(|(x, y)| 0.5 * (x + y)).collect())
    });
    accuracy(&predicted?, labels, means.rows)
}

/// The class of each sample: that of the row of `weights` with the largest product, of several the first.
///
/// # Errors
/// Different numbers of columns; a file that can no longer be read.
pub(super) fn predictions<F: FeatureRows>(weights: &Matrix, features: &F) -> Result<Vec<usize>> {
    predictions_of_runs(weights, (features.count(), features.width()), |range| features.run(range))
}

/// [`predictions`] of features that come in runs of rows.
fn predictions_of_runs<'a>(
    weights: &Matrix,
    (count, cols): (usize, usize),
    run: impl Fn(Range<usize>) -> Result<Cow<'a, [f64]>>,
) -> Result<Vec<usize>> {
    let classes = weights.rows;
    let mut predicted = Vec::with_capacity(count);
    for range in runs(count, cols.max(classes)) {
        let mut scores = Matrix::zeros(range.len(), classes);
        let rows = run(range)?;
        times_transposed(Rows { values: &rows, cols }, weights.all(), &mut scores.data, Threads::Pool)?;
        predicted.extend((0..scores.rows).map(|i| argmax(scores.row(i))));
    }
    Ok(predicted)
}

/// Features that the classifiers' tests share.
#[cfg(test)]
pub(super) mod testing {
    use crate::matrix::Matrix;

    /// Three well separated directions.
    pub fn toy() -> (Matrix, Vec<usize>) {
        let mut data = Vec::new();
        let mut labels = Vec::new();
        for i in 0..60 {
            let class = i % 3;
            let wobble = 0.05 * ((i * 7 % 11) as f64 - 5.0) / 5.0;
            let mut row = [wobble, -wobble, wobble];
            row[class] += 1.0;
            data.extend(row);
            labels.push(class);
        }
        (Matrix { rows: 60, cols: 3, data }, labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separated_classes_are_classified() {
        let (x, labels) = testing::toy();
        let means = class_means(&x, &labels, 3).unwrap();
        assert_eq!(mean_accuracy(&means, &x, &labels).unwrap(), 1.0);
    }

    #[test]
    fn two_views_are_averaged_before_they_are_scored() {
        // One view on the wrong side by less than the other is on the right one.
        let means = Matrix { rows: 2, cols: 1, data: vec![1.0, -1.0] };
        let view = |value| Matrix { rows: 1, cols: 1, data: vec![value] };
        let views = Views { first: view(-0.2), second: view(0.9) };
        assert_eq!(mean_accuracy(&means, &views.first, &[0]).unwrap(), 0.0);
        assert_eq!(mean_accuracy_two_views(&means, &views, &[0]).unwrap(), 1.0);
        let other = Views { second: Matrix::zeros(2, 1), ..views };
        assert!(mean_accuracy_two_views(&means, &other, &[0]).is_err());
    }

    #[test]
    fn class_means_by_hand() {
        let x = Matrix { rows: 3, cols: 1, data: vec![1.0, 3.0, 10.0] };
        assert_eq!(class_means(&x, &[0, 0, 1], 2).unwrap().data, [2.0, 10.0]);
        let error = |labels: &[usize]| class_means(&x, labels, 4).unwrap_err().to_string();
        assert_eq!(error(&[0, 0, 2]), "no sample is of classes 1, 3: there is no class mean");
        assert_eq!(error(&[0, 0, 4]), "label 2 is 4, not below C = 4");
        assert_eq!(error(&[0, 0]), "3 samples have 2 labels");
    }
}
