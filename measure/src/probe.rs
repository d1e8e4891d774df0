//! The linear probe: multinomial logistic regression on frozen features, solved rather than trained.
//!
//! Loss: mean cross-entropy + 1e-4/2·‖W‖². Products run over chunks of 2048 rows, one thread each, and the chunks'
//! gradients are summed in their order.

use super::classifiers::{accuracy, argmax};
use crate::error::Result;
use crate::gemm::Threads;
use crate::matrix::{Matrix, dot, times_transposed, transposed_times};
use crate::pool::{self, Stop};

/// Iterations of the linear probe.
const PROBE_ITERATIONS: usize = 300;
/// Ridge of the linear probe, on the mean loss.
const PROBE_RIDGE: f64 = 1e-4;
/// What an interruption gives up.
const DOING: &str = "training a linear probe";
/// Rows of a chunk.
const CHUNK_ROWS: usize = 2048;

/// Accuracy of multinomial logistic regression on frozen features.
///
/// Features are standardised by the training mean and one common scale; the loss is the mean cross-entropy plus
/// 1e-4/2·‖W‖², minimised by 300 steps of Nesterov's accelerated gradient from zero, at the step 1/L of the loss's
/// smoothness. Nothing is random and no rate is tuned; the number of threads changes no bit. (The paper's probe is
/// [`linear_accuracy_sgd`](super::linear_accuracy_sgd), whose best rate depends on the scale of the features.)
///
/// # Errors
/// Different numbers of columns; `stop` says so.
pub fn linear_accuracy(
    train: (&Matrix, &[usize]),
    test: (&Matrix, &[usize]),
    num_classes: usize,
    stop: Stop<'_>,
) -> Result<f64> {
    pool::check(stop, DOING)?;
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
        let gradient = gradient(&train_x, train.1, &ahead, stop)?;
        previous = weights;
        weights = ahead;
        for (w, g) in weights.data.iter_mut().zip(&gradient) {
            *w -= (g / n + PROBE_RIDGE * *w) / smoothness;
        }
    }
    let scores = test_x.times_transposed(&weights)?;
    Ok(accuracy((0..test_x.rows).map(|i| argmax(scores.row(i))), test.1))
}

/// Σ_i (softmax(W x_i) − e_{y_i}) x_iᵀ \[C, d\].
fn gradient(x: &Matrix, labels: &[usize], weights: &Matrix, stop: Stop<'_>) -> Result<Vec<f64>> {
    let of_chunk = |start: usize| -> Result<Vec<f64>> {
        pool::check(stop, DOING)?;
        let rows = start..(start + CHUNK_ROWS).min(x.rows);
        let chunk = x.rows_in(rows.clone());
        let mut residual = Matrix::zeros(rows.len(), weights.rows);
        times_transposed(chunk, weights.all(), &mut residual.data, Threads::One)?;
        for (i, &label) in labels[rows].iter().enumerate() {
            softmax(residual.row_mut(i));
            residual.row_mut(i)[label] -= 1.0;
        }
        let mut gradient = vec![0.0; weights.data.len()];
        transposed_times(residual.all(), chunk, &mut gradient, Threads::One)?;
        Ok(gradient)
    };
    let mut sum = vec![0.0; weights.data.len()];
    for part in pool::map((0..x.rows).step_by(CHUNK_ROWS), of_chunk) {
        sum.iter_mut().zip(part?).for_each(|(sum, part)| *sum += part);
    }
    Ok(sum)
}

/// Both sets minus the training mean, over the root mean square of the training set, with a column of ones.
fn standardise(train: &Matrix, test: &Matrix) -> (Matrix, Matrix) {
    let mut means = vec![0.0; train.cols];
    for r in 0..train.rows {
        means.iter_mut().zip(train.row(r)).for_each(|(mean, x)| *mean += x);
    }
    means.iter_mut().for_each(|mean| *mean /= train.rows as f64);
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
    use super::super::classifiers::testing::toy;
    use super::*;
    use crate::pool::never;

    #[test]
    fn separated_classes_are_classified() {
        let (x, labels) = toy();
        assert_eq!(linear_accuracy((&x, &labels), (&x, &labels), 3, &never).unwrap(), 1.0);
    }

    #[test]
    fn the_probe_converges() {
        // Logistic regression on x = ±1 with a quarter of the labels swapped: the optimum has a finite weight and
        // predicts the majority label of each side.
        let data: Vec<f64> = (0..400).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let labels: Vec<usize> = (0..400).map(|i| if i % 8 < 2 { 1 - i % 2 } else { i % 2 }).collect();
        let x = Matrix { rows: 400, cols: 1, data };
        assert_eq!(linear_accuracy((&x, &labels), (&x, &labels), 2, &never).unwrap(), 0.75);
    }

    #[test]
    fn chunks_give_the_gradient_of_the_whole_on_any_number_of_threads() {
        let rows = 2 * CHUNK_ROWS + 100;
        let data = (0..rows * 7).map(|i| ((i * 7919) % 1009) as f64 / 1009.0 - 0.5).collect();
        let x = Matrix { rows, cols: 7, data };
        let labels: Vec<usize> = (0..rows).map(|i| i * 31 % 5).collect();
        let weights = Matrix { rows: 5, cols: 7, data: (0..35).map(|i| (i * 13 % 9) as f64 - 4.0).collect() };
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| gradient(&x, &labels, &weights, &never).unwrap())
        };
        let found = on(3);
        assert_eq!(found, on(1));
        let mut residual = x.times_transposed(&weights).unwrap();
        for (i, &label) in labels.iter().enumerate() {
            softmax(residual.row_mut(i));
            residual.row_mut(i)[label] -= 1.0;
        }
        let expected = residual.transposed_times(&x).unwrap().data;
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-10), "{found:?} {expected:?}");
    }
}
