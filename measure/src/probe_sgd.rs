//! The paper's linear probe: a linear layer trained by SGD on frozen features, in f32.
//!
//! Protocol of Nozawa & Sato (2021, their configurations): SGD with Nesterov momentum 0.9, rate 0.3, no weight decay,
//! rate 0.3·½(1 + cos(πe/E)) in epoch e = 0, …, E−1, E = 100 (20 for AG News), batches of 512, on head features (unit
//! rows) and on encoder features as they are. Initialisation as PyTorch's linear layer: weights and bias uniform in
//! ±1/√d. They report the best test accuracy over the epochs, which chooses by the test set; here the last epoch counts
//! unless `best_epoch` is set. The last batch of an epoch may be smaller (whether theirs was dropped is not known).
//!
//! Update (PyTorch): v ← μv + g, w ← w − η(g + μv). Products run on the current pool, whose size changes no bit.

use super::classifiers::{accuracy, argmax};
use crate::error::{Error, Result};
use crate::gemm::Threads;
use crate::matrix::{Matrix, Rows, times_transposed, transposed_times};
use crate::pool::{self, Stop};
use crate::rng::permutation;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Settings of [`linear_accuracy_sgd`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdProbe {
    /// η in the first epoch.
    pub learning_rate: f64,
    /// μ, of Nesterov's kind.
    pub momentum: f64,
    /// λ in g + λw; on the bias too, as PyTorch has it.
    pub weight_decay: f64,
    /// E.
    pub epochs: usize,
    /// Samples a step.
    pub batch_size: usize,
    /// Report the best accuracy over the epochs, as the paper does: it is chosen by the evaluated set, hence too high.
    pub best_epoch: bool,
}

impl Default for SgdProbe {
    /// The paper's settings for images, at the last epoch.
    fn default() -> Self {
        Self {
            learning_rate: 0.3,
            momentum: 0.9,
            weight_decay: 0.0,
            epochs: 100,
            batch_size: 512,
            best_epoch: false,
        }
    }
}

impl SgdProbe {
    fn check(&self) -> Result<()> {
        let bad =
            |name: &str, value: String| Err(Error::argument(format!("{name} = {value} of the linear probe")));
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return bad("learning rate", self.learning_rate.to_string());
        }
        if !(0.0..1.0).contains(&self.momentum) {
            return bad("momentum", self.momentum.to_string());
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return bad("weight decay", self.weight_decay.to_string());
        }
        if self.epochs == 0 || self.batch_size == 0 {
            return bad("epochs, batch size", format!("{}, {}", self.epochs, self.batch_size));
        }
        Ok(())
    }
}

/// Accuracy of a linear layer trained by SGD on frozen features \[N, d\], tested on others.
///
/// `rng` draws the initial weights, then the order of each epoch; the number of threads changes no bit.
///
/// # Errors
/// Settings out of range; no training sample; different numbers of columns; labels that are not one of C for each row;
/// weights that leave the finite numbers, which un-normalised features of large norm can bring about at this rate;
/// `stop` says so.
pub fn linear_accuracy_sgd(
    probe: &SgdProbe,
    train: (&Matrix, &[usize]),
    test: (&Matrix, &[usize]),
    num_classes: usize,
    rng: &mut ChaCha8Rng,
    stop: Stop<'_>,
) -> Result<f64> {
    probe.check()?;
    for (features, labels) in [train, test] {
        crate::check_labels(features.rows, labels, num_classes)?;
    }
    if train.0.rows == 0 || train.0.cols != test.0.cols {
        let (rows, columns, others) = (train.0.rows, train.0.cols, test.0.cols);
        let message =
            format!("a linear probe cannot learn from [{rows}, {columns}] for features of {others} columns");
        return Err(Error::argument(message));
    }
    let (train_x, test_x) = (with_ones(train.0), with_ones(test.0));
    let mut layer = Layer::new(num_classes, train.0.cols, rng);
    let mut best = 0.0f64;
    for epoch in 0..probe.epochs {
        let turn = std::f64::consts::PI * epoch as f64 / probe.epochs as f64;
        let rate = probe.learning_rate * 0.5 * (1.0 + turn.cos());
        for batch in permutation(train.0.rows, rng).chunks(probe.batch_size) {
            pool::check(stop, "training a linear probe")?;
            layer.step(probe, rate as f32, &train_x, train.1, batch)?;
        }
        if layer.weights.iter().any(|w| !w.is_finite()) {
            let rate = probe.learning_rate;
            let message = format!("the linear probe diverged in epoch {epoch} at learning rate {rate}");
            return Err(Error::NonFinite(message));
        }
        if probe.best_epoch || epoch + 1 == probe.epochs {
            best = best.max(layer.accuracy(&test_x, test.1)?);
        }
    }
    Ok(best)
}

/// f32 rows with a last column of ones, for the bias.
struct Features {
    values: Vec<f32>,
    cols: usize,
}

fn with_ones(m: &Matrix) -> Features {
    let mut values = Vec::with_capacity(m.rows * (m.cols + 1));
    for i in 0..m.rows {
        values.extend(m.row(i).iter().map(|&x| x as f32));
        values.push(1.0);
    }
    Features { values, cols: m.cols + 1 }
}

impl Features {
    fn rows(&self) -> Rows<'_, f32> {
        Rows { values: &self.values, cols: self.cols }
    }
}

/// Weights \[C, d+1\] (the bias last) and work space.
struct Layer {
    classes: usize,
    cols: usize,
    weights: Vec<f32>,
    velocity: Vec<f32>,
    gradient: Vec<f32>,
    batch: Vec<f32>,
    residual: Vec<f32>,
}

impl Layer {
    fn new(classes: usize, inputs: usize, rng: &mut ChaCha8Rng) -> Self {
        let bound = 1.0 / (inputs as f32).sqrt();
        let count = classes * (inputs + 1);
        let weights = (0..count).map(|_| rng.random_range(-bound..=bound)).collect();
        Self {
            classes,
            cols: inputs + 1,
            weights,
            velocity: vec![0.0; count],
            gradient: vec![0.0; count],
            batch: Vec::new(),
            residual: Vec::new(),
        }
    }

    /// One step on these samples.
    fn step(
        &mut self,
        probe: &SgdProbe,
        rate: f32,
        features: &Features,
        labels: &[usize],
        samples: &[usize],
    ) -> Result<()> {
        let (cols, classes) = (self.cols, self.classes);
        self.batch.clear();
        for &i in samples {
            self.batch.extend_from_slice(&features.values[i * cols..(i + 1) * cols]);
        }
        self.residual.resize(samples.len() * classes, 0.0);
        let x = Rows { values: &self.batch, cols };
        times_transposed(x, Rows { values: &self.weights, cols }, &mut self.residual, Threads::Pool)?;
        let share = 1.0 / samples.len() as f32;
        for (row, &i) in self.residual.chunks_exact_mut(classes).zip(samples) {
            softmax(row);
            row[labels[i]] -= 1.0;
            row.iter_mut().for_each(|v| *v *= share);
        }
        let residual = Rows { values: &self.residual, cols: classes };
        transposed_times(residual, x, &mut self.gradient, Threads::Pool)?;
        let (momentum, decay) = (probe.momentum as f32, probe.weight_decay as f32);
        for ((w, v), g) in self.weights.iter_mut().zip(&mut self.velocity).zip(&self.gradient) {
            let g = g + decay * *w;
            *v = momentum * *v + g;
            *w -= rate * (g + momentum * *v);
        }
        Ok(())
    }

    fn accuracy(&self, test: &Features, labels: &[usize]) -> Result<f64> {
        let mut scores = vec![0.0; labels.len() * self.classes];
        let weights = Rows { values: &self.weights, cols: self.cols };
        times_transposed(test.rows(), weights, &mut scores, Threads::Pool)?;
        let predicted: Vec<usize> = scores.chunks_exact(self.classes).map(argmax).collect();
        accuracy(&predicted, labels, self.classes)
    }
}

fn softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|v| *v = (*v - largest).exp());
    let sum: f32 = row.iter().sum();
    row.iter_mut().for_each(|v| *v /= sum);
}

#[cfg(test)]
mod tests {
    use super::super::classifiers::testing::toy;
    use super::*;
    use crate::pool::never;
    use crate::rng::{Purpose, stream};

    fn rng() -> ChaCha8Rng {
        stream(7, Purpose::Initialisation, 0)
    }

    #[test]
    fn separated_classes_are_classified_on_any_number_of_threads() {
        let (x, mut labels) = toy();
        let probe = SgdProbe { epochs: 30, batch_size: 16, ..SgdProbe::default() };
        let run = |labels: &[usize], probe: &SgdProbe| {
            linear_accuracy_sgd(probe, (&x, &toy().1), (&x, labels), 3, &mut rng(), &never)
        };
        assert_eq!(run(&labels, &probe).unwrap(), 1.0);
        labels[0] = 1; // a wrong label among the evaluated counts as wrong
        assert_eq!(run(&labels, &probe).unwrap(), 59.0 / 60.0);
        let best = SgdProbe { best_epoch: true, ..probe };
        assert!(run(&labels, &best).unwrap() >= run(&labels, &probe).unwrap());
        for broken in [
            SgdProbe { learning_rate: f64::NAN, ..probe },
            SgdProbe { momentum: 1.0, ..probe },
            SgdProbe { weight_decay: -1.0, ..probe },
            SgdProbe { epochs: 0, ..probe },
        ] {
            assert!(run(&labels, &broken).is_err());
        }
        let huge = Matrix { data: x.data.iter().map(|v| v * 1e30).collect(), ..x.clone() };
        let error = linear_accuracy_sgd(&probe, (&huge, &labels), (&huge, &labels), 3, &mut rng(), &never)
            .unwrap_err();
        assert!(error.to_string().contains("diverged in epoch 0"), "{error}");
    }

    /// Two steps by hand, in f64, from the definition of PyTorch's optimiser.
    #[test]
    fn steps_follow_nesterov() {
        let x = Matrix { rows: 2, cols: 1, data: vec![0.5, -2.0] };
        let (features, labels) = (with_ones(&x), [0usize, 1]);
        let probe = SgdProbe { weight_decay: 0.01, ..SgdProbe::default() };
        let mut layer = Layer::new(2, 1, &mut rng());
        let mut w: Vec<f64> = layer.weights.iter().map(|&w| f64::from(w)).collect();
        assert!(w.iter().all(|w| w.abs() <= 1.0));
        let mut v = [0.0; 4];
        for rate in [0.3, 0.2] {
            layer.step(&probe, rate as f32, &features, &labels, &[1, 0]).unwrap();
            let mut g: Vec<f64> = w.iter().map(|w| 0.01 * w).collect();
            for (i, &label) in labels.iter().enumerate() {
                let row = [x.data[i], 1.0];
                let score = |c: usize| w[2 * c] * row[0] + w[2 * c + 1];
                let total = score(0).exp() + score(1).exp();
                for c in 0..2 {
                    let residual = score(c).exp() / total - f64::from(u8::from(c == label));
                    (0..2).for_each(|k| g[2 * c + k] += 0.5 * residual * row[k]);
                }
            }
            for k in 0..4 {
                v[k] = 0.9 * v[k] + g[k];
                w[k] -= rate * (g[k] + 0.9 * v[k]);
            }
        }
        for (found, expected) in layer.weights.iter().zip(&w) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    #[test]
    fn threads_change_no_bit() {
        let data = (0..700 * 40).map(|i| ((i * 7919) % 1009) as f64 / 1009.0 - 0.5).collect();
        let x = Matrix { rows: 700, cols: 40, data };
        let labels: Vec<usize> = (0..700).map(|i| i * 31 % 12).collect();
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let (probe, features) = (SgdProbe::default(), with_ones(&x));
                let mut layer = Layer::new(12, 40, &mut rng());
                for start in [0, 512] {
                    let batch: Vec<usize> = (start..(start + 512).min(700)).collect();
                    layer.step(&probe, 0.3, &features, &labels, &batch).unwrap();
                }
                layer.weights
            })
        };
        assert_eq!(on(1), on(3));
    }
}
