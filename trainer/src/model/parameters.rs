//! Named parameters: initialised from our own stream, saved and loaded as safetensors.

use crate::error::{Error, Result};
use crate::rng::normal;
use candle_core::{Device, Tensor, Var};
use candle_nn::{BatchNorm, Linear};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;
use std::path::Path;

/// How an optimiser treats a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A weight: decays, and LARS adapts its rate.
    Weight,
    /// A bias or a batch-norm parameter: neither.
    Exempt,
    /// A running statistic: not trained.
    Buffer,
}

/// A named variable.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Name in the checkpoint, such as `encoder.0.weight`.
    pub name: String,
    /// The value.
    pub var: Var,
    /// How an optimiser treats it.
    pub role: Role,
}

/// All parameters of a network, in the order of construction.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    list: Vec<Parameter>,
}

impl Parameters {
    /// Parameters that an optimiser moves.
    pub fn trained(&self) -> impl Iterator<Item = &Parameter> {
        self.list.iter().filter(|p| p.role != Role::Buffer)
    }

    /// How many numbers are trained.
    pub fn num_trained(&self) -> usize {
        self.trained().map(|p| p.var.elem_count()).sum()
    }

    /// Writes all values, running statistics included, atomically.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn save(&self, path: &Path) -> Result<()> {
        let tensors: HashMap<String, Tensor> =
            self.list.iter().map(|p| (p.name.clone(), p.var.as_detached_tensor())).collect();
        let folder = path.parent().unwrap_or(Path::new("."));
        let file = tempfile::Builder::new()
            .prefix(".")
            .suffix(".partial")
            .tempfile_in(folder)
            .map_err(|e| Error::io(path, e))?;
        candle_core::safetensors::save(&tensors, file.path())?;
        let bytes = std::fs::read(file.path()).map_err(|e| Error::io(path, e))?;
        Ok(theory::files::write_atomically(path, &bytes)?)
    }

    /// Replaces all values by those of a file that [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// Unreadable file; a parameter that is missing there, or has another shape.
    pub fn load(&self, path: &Path) -> Result<()> {
        std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
        let tensors = candle_core::safetensors::load(path, &Device::Cpu)
            .map_err(|e| Error::data(path, format!("not a checkpoint: {e}")))?;
        for parameter in &self.list {
            let name = &parameter.name;
            let value = tensors
                .get(name)
                .ok_or_else(|| Error::data(path, format!("there is no parameter '{name}'")))?;
            if value.dims() != parameter.var.dims() {
                let (found, expected) = (value.dims(), parameter.var.dims());
                return Err(Error::data(
                    path,
                    format!("'{name}' has shape {found:?} instead of {expected:?}"),
                ));
            }
            parameter.var.set(value)?;
        }
        Ok(())
    }
}

/// Makes layers, drawing their initial weights from one stream in the order of construction.
pub struct Builder<'a> {
    parameters: &'a mut Parameters,
    rng: &'a mut ChaCha8Rng,
}

impl<'a> Builder<'a> {
    /// A builder that appends to `parameters`.
    pub fn new(parameters: &'a mut Parameters, rng: &'a mut ChaCha8Rng) -> Self {
        Self { parameters, rng }
    }

    fn add(&mut self, name: String, values: Vec<f32>, shape: &[usize], role: Role) -> Result<Var> {
        let var = Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?)?;
        self.parameters.list.push(Parameter { name, var: var.clone(), role });
        Ok(var)
    }

    /// Weights of this shape from N(0, 2/fan_in) (He et al. 2015).
    pub fn weight(&mut self, name: &str, shape: &[usize]) -> Result<Var> {
        let fan_in: usize = shape[1..].iter().product();
        let deviation = (2.0 / fan_in as f32).sqrt();
        let values = (0..shape.iter().product()).map(|_| deviation * normal(self.rng)).collect();
        self.add(format!("{name}.weight"), values, shape, Role::Weight)
    }

    /// A linear layer without bias; batch normalisation or nothing follows it.
    pub fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Linear> {
        Ok(Linear::new(self.weight(name, &[outputs, inputs])?.as_tensor().clone(), None))
    }

    /// Batch normalisation over dimension 1: scale 1, shift 0, running mean 0 and variance 1, momentum 0.1.
    pub fn batch_norm(&mut self, name: &str, features: usize) -> Result<BatchNorm> {
        let mut constant = |part: &str, value: f32, role| {
            let var = self.add(format!("{name}.{part}"), vec![value; features], &[features], role);
            var.map(|v| v.as_tensor().clone())
        };
        let weight = constant("weight", 1.0, Role::Exempt)?;
        let bias = constant("bias", 0.0, Role::Exempt)?;
        let mean = constant("running_mean", 0.0, Role::Buffer)?;
        let variance = constant("running_var", 1.0, Role::Buffer)?;
        Ok(BatchNorm::new_with_momentum(features, mean, variance, weight, bias, 1e-5, 0.1)?)
    }
}
