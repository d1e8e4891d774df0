//! The optimiser of a network: a rule of [`crate::ops::optimiser`] over its flat parameters.
//!
//! Weights decay, biases and batch-norm parameters do not. LARS adapts the rate of all of them, as apex's LARC does in
//! the official code of Nozawa & Sato, or of weights alone ([`Lars`]).

use crate::error::{Error, Result};
use crate::model::{Parameters, Role};
use crate::ops::optimiser::{self, Rule, Segment};
use serde::{Deserialize, Serialize};

/// Which optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimiserKind {
    /// SGD with momentum.
    Sgd,
    /// SGD with momentum and layer-wise adapted rates (trust coefficient 0.001).
    Lars,
    /// Adam with decoupled weight decay (β₁ = 0.9, β₂ = 0.999, ε = 1e-8; the momentum is not used).
    AdamW,
}

/// How LARS treats what differs between implementations; by default as apex's LARC without clipping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lars {
    /// Whether the rates of biases and batch-norm parameters are adapted too; else SGD with momentum moves them, as in
    /// SimCLR, lightly and solo-learn (`exclude_bias_n_norm`).
    pub adapt_bias_and_norm: bool,
    /// Whether a layer's factor is divided by the learning rate and then at most 1: LARC's and solo-learn's `clip`. On
    /// the CPU, for encoders of images.
    pub clip: bool,
}

impl Default for Lars {
    fn default() -> Self {
        Self { adapt_bias_and_norm: true, clip: false }
    }
}

impl OptimiserKind {
    fn rule(self, momentum: f64, lars: Lars) -> Rule {
        match self {
            Self::Sgd => Rule::Sgd { momentum },
            Self::Lars => Rule::Lars { trust: 0.001, momentum, clip: lars.clip },
            Self::AdamW => Rule::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
        }
    }
}

/// An optimiser of one network's parameters.
pub struct Optimiser {
    inner: optimiser::Optimiser,
    steps: u64,
}

impl Optimiser {
    /// An optimiser of these parameters, whose state begins at zero: that of an earlier optimiser is lost.
    ///
    /// # Errors
    /// A momentum outside \[0, 1), a negative weight decay.
    pub fn new(
        kind: OptimiserKind,
        momentum: f64,
        weight_decay: f64,
        parameters: &mut Parameters,
    ) -> Result<Self> {
        Self::with_lars((kind, Lars::default()), momentum, weight_decay, parameters)
    }

    /// [`new`](Self::new), with LARS as told.
    ///
    /// # Errors
    /// As `new`; LARS that clips, on a GPU or of an encoder of texts.
    pub fn with_lars(
        (kind, lars): (OptimiserKind, Lars),
        momentum: f64,
        weight_decay: f64,
        parameters: &mut Parameters,
    ) -> Result<Self> {
        if lars.clip && (parameters.table().is_some() || !parameters.device().is_cpu()) {
            return Err(Error::argument("lars_clip = true: on the CPU only, and for encoders of images"));
        }
        let segments: Vec<Segment> = parameters
            .trained()
            .map(|parameter| {
                let (start, length) = (parameter.start, parameter.len());
                let decays = parameter.role == Role::Weight;
                let adapts = decays || lars.adapt_bias_and_norm;
                Segment { start, length, decays, adapts, half_gradient: parameter.has_half_gradient() }
            })
            .collect();
        let inner = optimiser::Optimiser::new(kind.rule(momentum, lars), weight_decay, &segments)?;
        parameters.reserve(inner.rule().num_states())?;
        Ok(Self { inner, steps: 0 })
    }

    /// Goes on as after this many steps; the state stands beside the parameters.
    pub fn resume_at(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// Sets the learning rate of every step of the run, from its first on. Knowing them, SGD and LARS without weight
    /// decay compute only the rows of an embedding table that have a gradient; nothing else needs them.
    ///
    /// # Errors
    /// A rate that is not finite; fewer rates than steps made.
    pub fn set_rates(&self, parameters: &Parameters, rates: Vec<f64>) -> Result<()> {
        match parameters.table() {
            Some(table) => {
                table.set_rates(self.inner.rule(), self.inner.weight_decay(), rates, self.steps as usize)
            }
            None => Ok(()),
        }
    }

    /// One step along the gradients that the parameters hold, at this learning rate.
    ///
    /// # Errors
    /// A rate that is not finite; parameters of another network.
    pub fn step(&mut self, parameters: &Parameters, rate: f64) -> Result<()> {
        self.prepare(parameters, rate)?;
        self.apply(parameters)
    }

    /// The part of [`step`](Self::step) that depends on the host: the rate, the number of the step. It comes before
    /// each replay of a CUDA graph that recorded the rest.
    ///
    /// # Errors
    /// A rate that is not finite.
    pub fn prepare(&mut self, parameters: &Parameters, rate: f64) -> Result<()> {
        self.steps += 1;
        Ok(self.inner.prepare(parameters.device(), rate, self.steps)?)
    }

    /// The rest of [`step`](Self::step).
    ///
    /// # Errors
    /// Parameters of another network; no step prepared.
    pub fn apply(&self, parameters: &Parameters) -> Result<()> {
        self.inner.apply(parameters.flat(), parameters.single_gradients(), parameters.half())?;
        match parameters.table() {
            Some(table) => table.step(&self.inner),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Builder;
    use candle_core::Device;
    use measure::rng::{Purpose, stream};

    /// Two steps on loss = Σ w² / 2, whose gradient is w; then the first three numbers are a weight, the last a bias.
    fn two_steps(kind: OptimiserKind) -> (Vec<f64>, Vec<f64>) {
        let mut rng = stream(1, Purpose::Initialisation, 0);
        let mut builder = Builder::new(&mut rng);
        let weight = builder.weight("w", &[1, 3]);
        builder.bias("w", 1);
        let mut parameters = builder.finish(&Device::Cpu).unwrap();
        let values = |parameters: &Parameters| -> Vec<f64> {
            let flat = parameters.value(&weight).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            flat.into_iter().map(f64::from).collect()
        };
        let start = values(&parameters);
        let mut optimiser = Optimiser::new(kind, 0.9, 0.01, &mut parameters).unwrap();
        for _ in 0..2 {
            let gradient = parameters.value(&weight).unwrap().copy().unwrap();
            parameters.gradient(&weight).unwrap().slice_set(&gradient, 0, 0).unwrap();
            optimiser.step(&parameters, 0.1).unwrap();
        }
        (start, values(&parameters))
    }

    #[test]
    fn momentum_by_hand() {
        let (start, end) = two_steps(OptimiserKind::Sgd);
        for (w0, found) in start.iter().zip(end) {
            let v1 = 1.01 * w0;
            let w1 = w0 - 0.1 * v1;
            let w2 = w1 - 0.1 * (0.9 * v1 + 1.01 * w1);
            assert!((w2 - found).abs() < 1e-6, "{w2} {found}");
        }
    }

    #[test]
    fn lars_by_hand() {
        let (start, end) = two_steps(OptimiserKind::Lars);
        // ∇ = w, so the update is 1.01 w · 0.001 / 1.01 = 0.001 w in each step.
        for (w0, found) in start.iter().zip(end) {
            let v1 = 0.001 * w0;
            let w1 = w0 - 0.1 * v1;
            let w2 = w1 - 0.1 * (0.9 * v1 + 0.001 * w1);
            assert!((w2 - found).abs() < 1e-6, "{w2} {found}");
        }
    }

    /// A bias b = 2 with gradient 1 for two steps beside a weight: ‖b‖ = 2, so that LARS moves it by 0.001·2/1 of the
    /// gradient, and SGD by all of it. Neither decays it.
    #[test]
    fn lars_may_leave_biases_to_sgd() {
        for (adapt_bias_and_norm, factor) in [(true, 0.002), (false, 1.0)] {
            let mut rng = stream(1, Purpose::Initialisation, 0);
            let mut builder = Builder::new(&mut rng);
            builder.weight("w", &[1, 3]);
            let bias = builder.bias("w", 1);
            let mut parameters = builder.finish(&Device::Cpu).unwrap();
            let number = |value: f32| candle_core::Tensor::new(&[value], &Device::Cpu).unwrap();
            parameters.value(&bias).unwrap().slice_set(&number(2.0), 0, 0).unwrap();
            let lars = Lars { adapt_bias_and_norm, clip: false };
            let kind = (OptimiserKind::Lars, lars);
            let mut optimiser = Optimiser::with_lars(kind, 0.9, 0.01, &mut parameters).unwrap();
            parameters.gradient(&bias).unwrap().slice_set(&number(1.0), 0, 0).unwrap();
            optimiser.step(&parameters, 0.1).unwrap();
            let found = parameters.value(&bias).unwrap().to_vec1::<f32>().unwrap()[0];
            assert!((f64::from(found) - (2.0 - 0.1 * factor)).abs() < 1e-6, "{adapt_bias_and_norm}: {found}");
        }
    }

    #[test]
    fn adamw_by_hand() {
        let (start, end) = two_steps(OptimiserKind::AdamW);
        for (w0, found) in start.iter().zip(end) {
            // In the first step m/√v is the sign of the gradient; the decay multiplies by 1 − 0.1·0.01.
            let w1 = 0.999 * w0 - 0.1 * w0.signum();
            let m = (0.9 * 0.1 * w0 + 0.1 * w1) / (1.0 - 0.81);
            let v = (0.999 * 0.001 * w0 * w0 + 0.001 * w1 * w1) / (1.0 - 0.999f64.powi(2));
            let w2 = 0.999 * w1 - 0.1 * m / (v.sqrt() + 1e-8);
            assert!((w2 - found).abs() < 1e-5, "{w2} {found}");
        }
    }
}
