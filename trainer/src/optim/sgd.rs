//! SGD with momentum, with or without LARS.
//!
//! g ← ∇ + λw for weights, ∇ for exempt parameters; with LARS (You et al. 2017, as apex's LARC without clipping) the g of
//! a weight is scaled by η‖w‖ / (‖∇‖ + λ‖w‖); v ← μv + g; w ← w − rate·v.

use crate::error::Result;
use crate::model::{Parameters, Role};
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};

/// Which optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimiserKind {
    /// SGD with momentum.
    Sgd,
    /// SGD with momentum and layer-wise adapted rates.
    Lars,
}

/// η of LARS.
const TRUST: f64 = 0.001;

struct Slot {
    var: Var,
    role: Role,
    velocity: Option<Tensor>,
}

/// SGD with momentum over the trained parameters of a network.
pub struct Optimiser {
    kind: OptimiserKind,
    momentum: f64,
    weight_decay: f64,
    slots: Vec<Slot>,
}

impl Optimiser {
    /// An optimiser of these parameters, with zero velocity.
    pub fn new(kind: OptimiserKind, momentum: f64, weight_decay: f64, parameters: &Parameters) -> Self {
        let slot = |p: &crate::model::Parameter| Slot { var: p.var.clone(), role: p.role, velocity: None };
        Self { kind, momentum, weight_decay, slots: parameters.trained().map(slot).collect() }
    }

    /// One step at this learning rate; parameters without a gradient stay.
    ///
    /// # Errors
    /// The tensor library fails.
    pub fn step(&mut self, gradients: &GradStore, rate: f64) -> Result<()> {
        for slot in &mut self.slots {
            let Some(gradient) = gradients.get(&slot.var) else { continue };
            let weight = slot.var.as_detached_tensor();
            let mut update = gradient.clone();
            if slot.role == Role::Weight {
                if self.weight_decay != 0.0 {
                    update = (&update + (&weight * self.weight_decay)?)?;
                }
                if self.kind == OptimiserKind::Lars {
                    let (w, g) = (norm(&weight)?, norm(gradient)?);
                    if w > 0.0 && g > 0.0 {
                        update = (update * (TRUST * w / (g + self.weight_decay * w)))?;
                    }
                }
            }
            let velocity = match &slot.velocity {
                Some(velocity) => ((velocity * self.momentum)? + update)?,
                None => update,
            };
            slot.var.set(&(weight - (&velocity * rate)?)?)?;
            slot.velocity = Some(velocity);
        }
        Ok(())
    }
}

fn norm(x: &Tensor) -> Result<f64> {
    Ok(f64::from(x.sqr()?.sum_all()?.to_scalar::<f32>()?).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Builder;
    use crate::rng::{Purpose, stream};

    /// Two steps on loss = Σ w² / 2, whose gradient is w.
    fn two_steps(kind: OptimiserKind) -> (Vec<f64>, Vec<f64>) {
        let mut parameters = Parameters::default();
        let mut rng = stream(1, Purpose::Initialisation, 0);
        let var = Builder::new(&mut parameters, &mut rng).weight("w", &[1, 3]).unwrap();
        let values = |var: &Var| -> Vec<f64> {
            var.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().map(|&v| f64::from(v)).collect()
        };
        let start = values(&var);
        let mut optimiser = Optimiser::new(kind, 0.9, 0.01, &parameters);
        for _ in 0..2 {
            let loss = (var.sqr().unwrap().sum_all().unwrap() * 0.5).unwrap();
            optimiser.step(&loss.backward().unwrap(), 0.1).unwrap();
        }
        (start, values(&var))
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
}
