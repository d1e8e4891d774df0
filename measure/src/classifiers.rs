//! The mean classifier: class means μ_c and argmax_c x·μ_c; what the classifiers on frozen features share.

use crate::error::Result;
use crate::matrix::Matrix;

/// μ_c: the mean feature of each class \[C, d\], not normalised again.
pub fn class_means(features: &Matrix, labels: &[usize], num_classes: usize) -> Matrix {
    let counts = crate::class_counts(labels, num_classes);
    let mut means = Matrix::zeros(num_classes, features.cols);
    for (i, &class) in labels.iter().enumerate() {
        let weight = 1.0 / counts[class] as f64;
        means.row_mut(class).iter_mut().zip(features.row(i)).for_each(|(mean, x)| *mean += x * weight);
    }
    means
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
        let means = class_means(&x, &labels, 3);
        assert_eq!(mean_accuracy(&means, &x, &labels).unwrap(), 1.0);
    }

    #[test]
    fn class_means_by_hand() {
        let x = Matrix { rows: 3, cols: 1, data: vec![1.0, 3.0, 10.0] };
        assert_eq!(class_means(&x, &[0, 0, 1], 2).data, [2.0, 10.0]);
    }
}
