//! Simple classifiers on frozen features: class means, a linear probe, k nearest neighbours.

use crate::error::Result;
use crate::matrix::{Matrix, dot};

/// Neighbours that vote in [`knn_accuracy`].
pub const KNN_NEIGHBOURS: usize = 20;
/// Temperature of the votes in [`knn_accuracy`].
pub const KNN_TEMPERATURE: f64 = 0.1;

/// μ_c: the mean feature of each class \[C, d\], not normalised again.
pub fn class_means(features: &Matrix, labels: &[usize], num_classes: usize) -> Matrix {
    let counts = crate::data::class_counts(labels, num_classes);
    let mut means = Matrix::zeros(num_classes, features.cols);
    for (i, &class) in labels.iter().enumerate() {
        let weight = 1.0 / counts[class] as f64;
        means.row_mut(class).iter_mut().zip(features.row(i)).for_each(|(mean, x)| *mean += x * weight);
    }
    means
}

fn accuracy(predicted: impl Iterator<Item = usize>, labels: &[usize]) -> f64 {
    let right = predicted.zip(labels).filter(|(found, label)| found == *label).count();
    right as f64 / labels.len() as f64
}

fn argmax(scores: &[f64]) -> usize {
    // The first of equal scores.
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

/// Share of samples that the weighted vote of the 20 most similar training samples classifies rightly.
///
/// Similarity is the cosine s; a neighbour votes with weight e^{s/0.1}. Ties go to the earlier sample or class.
///
/// # Errors
/// Different numbers of columns.
pub fn knn_accuracy(
    train: (&Matrix, &[usize]),
    test: (&Matrix, &[usize]),
    num_classes: usize,
) -> Result<f64> {
    let unit = |m: &Matrix| {
        let mut m = m.clone();
        for i in 0..m.rows {
            let norm = dot(m.row(i), m.row(i)).sqrt();
            m.row_mut(i).iter_mut().for_each(|x| *x /= norm.max(1e-12));
        }
        m
    };
    let similarity = unit(test.0).times_transposed(&unit(train.0))?;
    let k = KNN_NEIGHBOURS.min(train.0.rows);
    let predict = |i: usize| {
        let row = similarity.row(i);
        let mut order: Vec<usize> = (0..row.len()).collect();
        let nearer = |a: &usize, b: &usize| row[*b].total_cmp(&row[*a]).then(a.cmp(b));
        order.select_nth_unstable_by(k - 1, nearer);
        order.truncate(k);
        order.sort_unstable_by(nearer);
        let mut votes = vec![0.0; num_classes];
        for j in order {
            votes[train.1[j]] += (row[j] / KNN_TEMPERATURE).exp();
        }
        argmax(&votes)
    };
    Ok(accuracy((0..test.0.rows).map(predict), test.1))
}

/// Iterations of the linear probe.
const PROBE_ITERATIONS: usize = 300;
/// Ridge of the linear probe, on the mean loss.
const PROBE_RIDGE: f64 = 1e-4;

/// Accuracy of multinomial logistic regression on frozen features.
///
/// Features are standardised by the training mean and one common scale; the loss is the mean cross-entropy plus
/// 1e-4/2·‖W‖², minimised by 300 steps of Nesterov's accelerated gradient from zero, at the step 1/L of the loss's
/// smoothness. Nothing is random and no rate is tuned. (The paper's probe is 100 epochs of SGD, whose best rate depends
/// on the scale of the features.)
///
/// # Errors
/// Different numbers of columns.
pub fn linear_accuracy(
    train: (&Matrix, &[usize]),
    test: (&Matrix, &[usize]),
    num_classes: usize,
) -> Result<f64> {
    let (train_x, test_x) = standardise(train.0, test.0);
    let n = train_x.rows as f64;
    // The Hessian of the mean cross-entropy is at most λ_max(XᵀX)/(2n).
    let smoothness = 0.5 * largest_eigenvalue(&train_x)? / n + PROBE_RIDGE;
    let mut weights = Matrix::zeros(num_classes, train_x.cols);
    let mut previous = weights.clone();
    for step in 0..PROBE_ITERATIONS {
        let momentum = step as f64 / (step as f64 + 3.0);
        let mut ahead = weights.clone();
        for (a, p) in ahead.data.iter_mut().zip(&previous.data) {
            *a += momentum * (*a - p);
        }
        let mut residual = train_x.times_transposed(&ahead)?;
        for i in 0..residual.rows {
            softmax(residual.row_mut(i));
            residual.row_mut(i)[train.1[i]] -= 1.0;
        }
        let gradient = residual.transposed_times(&train_x)?;
        previous = weights;
        weights = ahead;
        for (w, g) in weights.data.iter_mut().zip(&gradient.data) {
            *w -= (g / n + PROBE_RIDGE * *w) / smoothness;
        }
    }
    let scores = test_x.times_transposed(&weights)?;
    Ok(accuracy((0..test_x.rows).map(|i| argmax(scores.row(i))), test.1))
}

/// Both sets minus the training mean, over the root mean square of the training set, with a column of ones.
fn standardise(train: &Matrix, test: &Matrix) -> (Matrix, Matrix) {
    let means: Vec<f64> = (0..train.cols)
        .map(|c| (0..train.rows).map(|r| train.row(r)[c]).sum::<f64>() / train.rows as f64)
        .collect();
    let squares: f64 = (0..train.rows)
        .flat_map(|r| train.row(r).iter().zip(&means).map(|(x, mean)| (x - mean).powi(2)))
        .sum();
    let scale = 1.0 / (squares / train.data.len() as f64).sqrt().max(1e-12);
    let apply = |m: &Matrix| {
        let mut out = Matrix::zeros(m.rows, m.cols + 1);
        for r in 0..m.rows {
            let row = out.row_mut(r);
            row[m.cols] = 1.0;
            row.iter_mut()
                .zip(m.row(r).iter().zip(&means))
                .for_each(|(o, (x, mean))| *o = (x - mean) * scale);
        }
        out
    };
    (apply(train), apply(test))
}

fn softmax(row: &mut [f64]) {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    row.iter_mut().for_each(|v| *v = (*v - largest).exp());
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|v| *v /= sum);
}

/// λ_max(XᵀX) by 50 power iterations, raised by 5 % against their slight underestimate.
fn largest_eigenvalue(x: &Matrix) -> Result<f64> {
    let gram = x.transposed_times(x)?;
    let mut v = Matrix { rows: 1, cols: gram.cols, data: vec![1.0; gram.cols] };
    let mut value = 0.0;
    for _ in 0..50 {
        v = v.times_transposed(&gram)?;
        value = dot(&v.data, &v.data).sqrt();
        v.data.iter_mut().for_each(|x| *x /= value.max(1e-300));
    }
    Ok(1.05 * value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three well separated directions and one mislabelled sample.
    fn toy() -> (Matrix, Vec<usize>) {
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

    #[test]
    fn separated_classes_are_classified() {
        let (x, mut labels) = toy();
        let means = class_means(&x, &labels, 3);
        assert_eq!(mean_accuracy(&means, &x, &labels).unwrap(), 1.0);
        assert_eq!(linear_accuracy((&x, &labels), (&x, &labels), 3).unwrap(), 1.0);
        assert_eq!(knn_accuracy((&x, &labels), (&x, &labels), 3).unwrap(), 1.0);
        labels[0] = 1; // a wrong label among the evaluated counts as wrong
        let right = toy().1;
        assert_eq!(knn_accuracy((&x, &right), (&x, &labels), 3).unwrap(), 59.0 / 60.0);
    }

    #[test]
    fn class_means_by_hand() {
        let x = Matrix { rows: 3, cols: 1, data: vec![1.0, 3.0, 10.0] };
        assert_eq!(class_means(&x, &[0, 0, 1], 2).data, [2.0, 10.0]);
    }

    #[test]
    fn the_probe_converges() {
        // Logistic regression on x = ±1 with a quarter of the labels swapped: the optimum has a finite weight and
        // predicts the majority label of each side.
        let data: Vec<f64> = (0..400).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let labels: Vec<usize> = (0..400).map(|i| if i % 8 < 2 { 1 - i % 2 } else { i % 2 }).collect();
        let x = Matrix { rows: 400, cols: 1, data };
        assert_eq!(linear_accuracy((&x, &labels), (&x, &labels), 2).unwrap(), 0.75);
    }
}
