//! Layers with an explicit forward and backward pass over the operations of [`crate::ops`].
//!
//! A forward pass in training returns what its backward pass needs; the backward pass takes it and the gradient of the
//! output, writes the gradients of the parameters into their place, and returns the gradient of the input if asked.

use super::parameters::{Builder, Parameters, Slot};
use crate::error::Result;
use crate::ops::batch_norm;
use crate::ops::conv::{Conv2d, Conv2dInputGradient, Conv2dWeightGradient, Geometry};
use crate::ops::linear;
use candle_core::Tensor;

/// ε of batch normalisation.
pub(super) const EPSILON: f64 = 1e-5;
/// Weight of a new batch in the running statistics.
const MOMENTUM: f64 = 0.1;

/// Whether a pass trains, updating running statistics, or evaluates with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics.
    Train,
    /// Running statistics.
    Evaluate,
}

/// Where a gradient with respect to the input goes.
pub enum InputGradient<'a> {
    /// Nobody needs it.
    None,
    /// Into a new tensor.
    New,
    /// Added to this one.
    AddTo(&'a Tensor),
}

/// Batch normalisation, with an optional sum and ReLU after it.
#[derive(Debug, Clone)]
pub struct Norm {
    pub(super) affine: Slot,
    pub(super) running: Slot,
}

/// What [`Norm`] keeps.
pub struct NormTape {
    x: Tensor,
    statistics: Tensor,
    /// The output, where a residual was added.
    y: Option<Tensor>,
    relu: bool,
}

impl Norm {
    /// A normalisation of this many channels.
    pub fn new(builder: &mut Builder, name: &str, channels: usize) -> Self {
        let (affine, running) = builder.batch_norm(name, channels);
        Self { affine, running }
    }

    /// relu?(norm(x) + residual).
    pub fn forward(
        &self,
        parameters: &Parameters,
        x: Tensor,
        residual: Option<&Tensor>,
        relu: bool,
        mode: Mode,
    ) -> Result<(Tensor, NormTape)> {
        let (affine, running) = (parameters.value(&self.affine)?, parameters.buffer(&self.running)?);
        let statistics = match mode {
            Mode::Train => batch_norm::train_statistics(&x, &running, EPSILON, MOMENTUM)?,
            Mode::Evaluate => batch_norm::frozen(&running, EPSILON)?,
        };
        let y = batch_norm::apply(&x, &statistics, &affine, residual, relu)?;
        let tape = NormTape { x, statistics, y: residual.map(|_| y.clone()), relu };
        Ok((y, tape))
    }

    /// The gradient of the input; `dy` is used up, and becomes the gradient of the residual where there was one.
    pub fn backward(&self, parameters: &Parameters, tape: NormTape, dy: &Tensor) -> Result<Tensor> {
        let forward = batch_norm::Forward {
            x: &tape.x,
            statistics: &tape.statistics,
            affine: &parameters.value(&self.affine)?,
            relu: tape.relu,
            residual_output: tape.y.as_ref(),
        };
        Ok(batch_norm::backward(dy, &forward, &parameters.gradient(&self.affine)?)?)
    }
}

/// A convolution without bias, followed by batch normalisation.
#[derive(Debug, Clone)]
pub struct Convolution {
    pub(super) weight: Slot,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) norm: Norm,
    relu: bool,
}

/// What [`Convolution`] keeps.
pub struct ConvolutionTape {
    x: Tensor,
    norm: NormTape,
}

impl Convolution {
    /// `channels` \[in, out\], a square kernel of odd size with the padding that keeps the image's size at stride 1.
    pub fn new(
        builder: &mut Builder,
        (name, norm): (&str, &str),
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
    ) -> Self {
        let weight = builder.weight(name, &[channels[1], kernel, kernel, channels[0]]);
        let norm = Norm::new(builder, norm, channels[1]);
        Self { weight, stride, padding: kernel / 2, norm, relu: true }
    }

    /// The same with this many zeros on every side.
    pub fn padded(self, padding: usize) -> Self {
        Self { padding, ..self }
    }

    /// The same with a ReLU behind it, where it stands alone, or without.
    pub fn rectified(self, relu: bool) -> Self {
        Self { relu, ..self }
    }

    /// Whether a ReLU stands behind it, where it stands alone.
    pub fn relu(&self) -> bool {
        self.relu
    }

    /// Multiplications for one image \[height, width, channels\], and the shape it becomes.
    pub fn multiplications(&self, [height, width, channels]: [usize; 3]) -> Result<(f64, [usize; 3])> {
        let input = [1, height, width, channels];
        let geometry = Geometry::new(&input, self.weight.shape(), self.stride, self.padding)?;
        let [_, height, width, channels] = geometry.output_shape();
        Ok((geometry.multiplications(), [height, width, channels]))
    }

    /// relu?(norm(x ⋆ w) + residual).
    pub fn forward(
        &self,
        parameters: &Parameters,
        x: &Tensor,
        residual: Option<&Tensor>,
        relu: bool,
        mode: Mode,
    ) -> Result<(Tensor, ConvolutionTape)> {
        let op = Conv2d { stride: self.stride, padding: self.padding };
        let z = x.apply_op2_no_bwd(&parameters.value(&self.weight)?, &op)?;
        let (y, norm) = self.norm.forward(parameters, z, residual, relu, mode)?;
        Ok((y, ConvolutionTape { x: x.clone(), norm }))
    }

    /// See the head of the file; `dy` becomes the gradient of the residual where there was one.
    pub fn backward(
        &self,
        parameters: &Parameters,
        tape: ConvolutionTape,
        dy: &Tensor,
        input: InputGradient,
    ) -> Result<Option<Tensor>> {
        let dz = self.norm.backward(parameters, tape.norm, dy)?;
        let weight = parameters.value(&self.weight)?;
        let geometry = Geometry::new(tape.x.dims(), weight.dims(), self.stride, self.padding)?;
        parameters.gradient(&self.weight)?.inplace_op3(&tape.x, &dz, &Conv2dWeightGradient(geometry))?;
        Ok(match input {
            InputGradient::None => None,
            InputGradient::New => Some(dz.apply_op2_no_bwd(&weight, &Conv2dInputGradient(geometry))?),
            InputGradient::AddTo(sum) => {
                sum.inplace_op3(&dz, &weight, &Conv2dInputGradient(geometry))?;
                None
            }
        })
    }
}

/// What follows the product of a linear layer, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// A bias.
    pub bias: bool,
    /// Batch normalisation.
    pub norm: bool,
    /// A ReLU.
    pub relu: bool,
}

impl After {
    /// Nothing, not even a bias.
    pub const NOTHING: Self = Self { bias: false, norm: false, relu: false };
    /// A bias.
    pub const BIAS: Self = Self { bias: true, ..Self::NOTHING };
    /// A bias and a ReLU.
    pub const BIAS_RELU: Self = Self { relu: true, ..Self::BIAS };
    /// Batch normalisation and a ReLU.
    pub const NORM_RELU: Self = Self { bias: false, norm: true, relu: true };
    /// A bias, batch normalisation and a ReLU.
    pub const BIAS_NORM_RELU: Self = Self { bias: true, norm: true, relu: true };
}

/// A linear layer and what follows it.
#[derive(Debug, Clone)]
pub struct Dense {
    pub(super) weight: Slot,
    pub(super) bias: Option<Slot>,
    pub(super) norm: Option<Norm>,
    pub(super) relu: bool,
}

/// What [`Dense`] keeps.
pub struct DenseTape {
    x: Tensor,
    /// The output, where a ReLU followed the bias.
    y: Option<Tensor>,
    norm: Option<NormTape>,
}

impl Dense {
    /// `sizes` \[in, out\].
    pub fn new(builder: &mut Builder, name: &str, sizes: [usize; 2], after: After) -> Self {
        let [inputs, outputs] = sizes;
        let weight = builder.weight(name, &[outputs, inputs]);
        let bias = after.bias.then(|| builder.bias(name, outputs));
        let norm = after.norm.then(|| Norm::new(builder, &format!("{name}.norm"), outputs));
        Self { weight, bias, norm, relu: after.relu }
    }

    /// \[in, out\].
    pub fn sizes(&self) -> [usize; 2] {
        [self.weight.shape()[1], self.weight.shape()[0]]
    }

    /// relu?(norm?(x wᵀ + b?)).
    pub fn forward(&self, parameters: &Parameters, x: &Tensor, mode: Mode) -> Result<(Tensor, DenseTape)> {
        let bias = self.bias.as_ref().map(|slot| parameters.value(slot)).transpose()?;
        let weight = parameters.value(&self.weight)?;
        let relu = self.relu && self.norm.is_none();
        let z = linear::forward(x, &weight, bias.as_ref(), relu)?;
        let x = x.clone();
        Ok(match &self.norm {
            None => (z.clone(), DenseTape { x, y: relu.then_some(z), norm: None }),
            Some(norm) => {
                let (y, tape) = norm.forward(parameters, z, None, self.relu, mode)?;
                (y, DenseTape { x, y: None, norm: Some(tape) })
            }
        })
    }

    /// See the head of the file; `dy` is used up.
    pub fn backward(
        &self,
        parameters: &Parameters,
        tape: DenseTape,
        dy: &Tensor,
        input: bool,
    ) -> Result<Option<Tensor>> {
        let dz = match (&self.norm, tape.norm) {
            (Some(norm), Some(tape)) => norm.backward(parameters, tape, dy)?,
            _ => dy.clone(),
        };
        let weight = parameters.value(&self.weight)?;
        let forward = linear::Forward { x: &tape.x, weight: &weight, rectified_output: tape.y.as_ref() };
        let bias = self.bias.as_ref().map(|slot| parameters.gradient(slot)).transpose()?;
        Ok(linear::backward(&dz, &forward, &parameters.gradient(&self.weight)?, bias.as_ref(), input)?)
    }
}
