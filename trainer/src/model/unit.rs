//! The units that an encoder is a sequence of.

use super::layer::{Convolution, ConvolutionTape, Dense, DenseTape, InputGradient, Mode};
use super::own::{Autograd, AutogradTape};
use super::parameters::{Builder, Parameters};
use crate::error::{Error, Result};
use crate::ops::pool;
use candle_core::Tensor;

/// A basic block of a residual network: two 3×3 convolutions, each with batch normalisation, and a way around them.
#[derive(Debug, Clone)]
pub struct Block {
    pub(super) first: Convolution,
    pub(super) second: Convolution,
    /// A 1×1 convolution where the shapes differ; else the identity.
    pub(super) skip: Option<Convolution>,
}

impl Block {
    /// `channels` \[in, out\].
    pub fn new(builder: &mut Builder, name: &str, channels: [usize; 2], stride: usize) -> Self {
        let [_, out] = channels;
        let names = |conv: &str, norm: &str| (format!("{name}.{conv}"), format!("{name}.{norm}"));
        let mut convolution = |(conv, norm): (String, String), channels, kernel, stride| {
            Convolution::new(builder, (&conv, &norm), channels, kernel, stride)
        };
        let first = convolution(names("conv1", "bn1"), channels, 3, stride);
        let second = convolution(names("conv2", "bn2"), [out, out], 3, 1);
        let same = stride == 1 && channels[0] == out;
        let skip = (!same).then(|| convolution(names("skip.0", "skip.1"), channels, 1, stride));
        Self { first, second, skip }
    }
}

/// What [`Block`] keeps.
pub struct BlockTape {
    first: ConvolutionTape,
    second: ConvolutionTape,
    skip: Option<ConvolutionTape>,
}

/// One step of an encoder or head.
#[derive(Debug, Clone)]
pub enum Unit {
    /// \[N, …\] → \[N, product\].
    Flatten,
    /// A linear layer and what follows it.
    Dense(Dense),
    /// A convolution, batch normalisation, ReLU.
    Convolution(Convolution),
    /// A residual block.
    Block(Box<Block>),
    /// Mean over the image: \[N, H, W, C\] → \[N, C\].
    Pool,
    /// A whole encoder written with `candle-nn`.
    Autograd(Autograd),
}

/// What a unit keeps for its backward pass.
pub enum UnitTape {
    /// The shape of the input.
    Shape(Vec<usize>),
    /// Of a linear layer.
    Dense(DenseTape),
    /// Of a convolution.
    Convolution(ConvolutionTape),
    /// Of a block.
    Block(Box<BlockTape>),
    /// Of an encoder written with `candle-nn`.
    Autograd(AutogradTape),
}

impl Unit {
    /// The output and what the backward pass needs.
    ///
    /// # Errors
    /// An input of another shape.
    pub fn forward(&self, parameters: &Parameters, x: &Tensor, mode: Mode) -> Result<(Tensor, UnitTape)> {
        Ok(match self {
            Self::Flatten => (x.flatten_from(1)?, UnitTape::Shape(x.dims().to_vec())),
            Self::Pool => (pool::forward(x)?, UnitTape::Shape(x.dims().to_vec())),
            Self::Dense(dense) => {
                let (y, tape) = dense.forward(parameters, x, mode)?;
                (y, UnitTape::Dense(tape))
            }
            Self::Autograd(encoder) => {
                let (y, tape) = encoder.forward(parameters, x, mode)?;
                (y, UnitTape::Autograd(tape))
            }
            Self::Convolution(convolution) => {
                let (y, tape) = convolution.forward(parameters, x, None, convolution.relu(), mode)?;
                (y, UnitTape::Convolution(tape))
            }
            Self::Block(block) => {
                let (hidden, first) = block.first.forward(parameters, x, None, true, mode)?;
                let (around, skip) = match &block.skip {
                    Some(skip) => {
                        let (around, tape) = skip.forward(parameters, x, None, false, mode)?;
                        (around, Some(tape))
                    }
                    None => (x.clone(), None),
                };
                let (y, second) = block.second.forward(parameters, &hidden, Some(&around), true, mode)?;
                (y, UnitTape::Block(Box::new(BlockTape { first, second, skip })))
            }
        })
    }

    /// Multiplications of a forward pass over one image \[height, width, channels\], and the shape it becomes.
    pub fn multiplications(&self, shape: [usize; 3]) -> Result<(f64, [usize; 3])> {
        Ok(match self {
            Self::Flatten => (0.0, [1, 1, shape.iter().product()]),
            Self::Pool => (0.0, [1, 1, shape[2]]),
            Self::Dense(dense) => {
                let [inputs, outputs] = dense.sizes();
                ((inputs * outputs) as f64, [1, 1, outputs])
            }
            Self::Convolution(convolution) => convolution.multiplications(shape)?,
            Self::Autograd(encoder) => {
                let name = encoder.own().name();
                return Err(Error::argument(format!(
                    "encoder = {name}: its multiplications are not counted"
                )));
            }
            Self::Block(block) => {
                let (first, hidden) = block.first.multiplications(shape)?;
                let (second, out) = block.second.multiplications(hidden)?;
                let around = block.skip.as_ref().map(|skip| skip.multiplications(shape)).transpose()?;
                (first + second + around.map_or(0.0, |(count, _)| count), out)
            }
        })
    }

    /// Writes the gradients of the parameters, and returns that of the input if `needed`; `dy` is used up.
    ///
    /// # Errors
    /// A tape or gradient of another unit.
    pub fn backward(
        &self,
        parameters: &Parameters,
        tape: UnitTape,
        dy: Tensor,
        needed: bool,
    ) -> Result<Option<Tensor>> {
        let input = if needed { InputGradient::New } else { InputGradient::None };
        match (self, tape) {
            (Self::Flatten, UnitTape::Shape(shape)) => Ok(needed.then(|| dy.reshape(shape)).transpose()?),
            (Self::Pool, UnitTape::Shape(shape)) => {
                Ok(needed.then(|| pool::backward(&dy, shape[1], shape[2])).transpose()?)
            }
            (Self::Dense(dense), UnitTape::Dense(tape)) => dense.backward(parameters, tape, &dy, needed),
            // It is the first unit: nobody needs the gradient of its input.
            (Self::Autograd(encoder), UnitTape::Autograd(tape)) => {
                encoder.backward(parameters, &tape, &dy)?;
                Ok(None)
            }
            (Self::Convolution(convolution), UnitTape::Convolution(tape)) => {
                convolution.backward(parameters, tape, &dy, input)
            }
            (Self::Block(block), UnitTape::Block(tape)) => {
                let BlockTape { first, second, skip } = *tape;
                let hidden = block.second.backward(parameters, second, &dy, InputGradient::New)?;
                let hidden = hidden.ok_or_else(|| candle_core::Error::msg("the gradient was asked for"))?;
                // `dy` is the gradient of the way around now.
                match (&block.skip, skip) {
                    (Some(layer), Some(tape)) => {
                        let dx = block.first.backward(parameters, first, &hidden, input)?;
                        let around = dx.as_ref().map_or(InputGradient::None, InputGradient::AddTo);
                        layer.backward(parameters, tape, &dy, around)?;
                        Ok(dx)
                    }
                    _ => {
                        let sum = if needed { InputGradient::AddTo(&dy) } else { InputGradient::None };
                        block.first.backward(parameters, first, &hidden, sum)?;
                        Ok(needed.then_some(dy))
                    }
                }
            }
            _ => Err(candle_core::Error::msg("a backward pass got the tape of another unit").into()),
        }
    }
}
