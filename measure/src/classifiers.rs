//! The mean classifier: class means μ_c and argmax_c x·μ_c; what the classifiers on frozen features share.

use crate::error::{Error, Result};
use crate::evaluation::Views;
use crate::matrix::Matrix;
use crate::neighbours::Knn;
use crate::probe::LinearProbe;
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
pub fn class_means(features: &Matrix, labels: &[usize], num_classes: usize) -> Result<Matrix> {
    if features.rows != labels.len() {
        return Err(Error::argument(format!("{} features have {} labels", features.rows, labels.len())));
    }
    if let Some(class) = labels.iter().find(|&&class| class >= num_classes) {
        return Err(Error::argument(format!("class {class} is not below C = {num_classes}")));
    }
    if let Some(absent) = crate::absent_classes(labels, num_classes) {
        return Err(Error::argument(format!("no sample is of {absent}: there is no class mean")));
    }
    let counts = crate::class_counts(labels, num_classes);
    let mut means = Matrix::zeros(num_classes, features.cols);
    for (i, &class) in labels.iter().enumerate() {
        let weight = 1.0 / counts[class] as f64;
        means.row_mut(class).iter_mut().zip(features.row(i)).for_each(|(mean, x)| *mean += x * weight);
    }
    Ok(means)
}

/// Share of right predictions.
pub(super) fn accuracy(predicted: impl Iterator<Item = usize>, labels: &[usize]) -> f64 {
    let right = predicted.zip(labels).filter(|(found, label)| found == *label).count();
    right as f64 / labels.len() as f64
}

/// The first of the largest scores.
pub(super) fn argmax<T: PartialOrd>(scores: &[T]) -> usize {
    (1..scores.len()).fold(0, |best, i| if scores[i] > scores[best] { i } else { best })
}

/// Share of samples whose class has the largest x·μ_c.
///
/// # Errors
/// Different numbers of columns.
pub fn mean_accuracy(means: &Matrix, features: &Matrix, labels: &[usize]) -> Result<f64> {
    let scores = features.times_transposed(means)?;
    Ok(accuracy((0..features.rows).map(|i| argmax(scores.row(i))), labels))
}

/// Share of samples whose class has the largest x̄·μ_c, x̄ the mean of the two views of a sample, as in the published
/// code of Nozawa & Sato (`bound.py`).
///
/// # Errors
/// Views of different shapes; different numbers of columns.
pub fn mean_accuracy_two_views(means: &Matrix, views: &Views, labels: &[usize]) -> Result<f64> {
    let Views { first, second } = views;
    if (first.rows, first.cols) != (second.rows, second.cols) {
        let shapes = format!("[{}, {}] and [{}, {}]", first.rows, first.cols, second.rows, second.cols);
        return Err(Error::argument(format!("two views of the same samples have one shape, not {shapes}")));
    }
    let data = first.data.iter().zip(&second.data).map(|(x, y)| 0.5 * (x + y)).collect();
    mean_accuracy(means, &Matrix { rows: first.rows, cols: first.cols, data }, labels)
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
        assert_eq!(error(&[0, 0, 4]), "class 4 is not below C = 4");
        assert_eq!(error(&[0, 0]), "3 features have 2 labels");
    }
}
