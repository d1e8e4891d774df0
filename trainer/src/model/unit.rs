//! The units that an encoder is a sequence of.

use super::layer::{Convolution, ConvolutionTape, Dense, DenseTape, InputGradient, Mode};
use super::own::{Autograd, AutogradTape};
use super::parameters::{Builder, Parameters};
use crate::error::{Error, Result};
use crate::ops::{max_pool, pool};
use candle_core::Tensor;

/// A convolution of a [`Block`].
#[derive(Debug, Clone, Copy)]
pub struct BlockLayer {
    /// \[in, out\].
    pub channels: [usize; 2],
    /// Side of the kernel.
    pub kernel: usize,
    /// Step between windows.
    pub stride: usize,
}

/// A block of a residual network: two or three convolutions, each with batch normalisation, and a way around them. A
/// ReLU stands behind each; behind the last, after the way around is added.
#[derive(Debug, Clone)]
pub struct Block {
    pub(super) first: Convolution,
    pub(super) inner: Option<Convolution>,
    pub(super) last: Convolution,
    /// A 1×1 convolution where the shapes differ; else the identity.
    pub(super) skip: Option<Convolution>,
}

impl Block {
    /// With these layers: the first, one between where there is one, the last.
    pub fn new(
        builder: &mut Builder,
        name: &str,
        (first, inner, last): (BlockLayer, Option<BlockLayer>, BlockLayer),
    ) -> Self {
        let channels = [first.channels[0], last.channels[1]];
        let stride = first.stride * inner.map_or(1, |inner| inner.stride) * last.stride;
        let mut convolution = |conv: &str, norm: &str, layer: BlockLayer| {
            let (conv, norm) = (format!("{name}.{conv}"), format!("{name}.{norm}"));
            Convolution::new(builder, (&conv, &norm), layer.channels, layer.kernel, layer.stride)
        };
        let first = convolution("conv1", "bn1", first);
        let (inner, last) = match inner {
            Some(inner) => (Some(convolution("conv2", "bn2", inner)), convolution("conv3", "bn3", last)),
            None => (None, convolution("conv2", "bn2", last)),
        };
        let same = stride == 1 && channels[0] == channels[1];
        let skip =
            (!same).then(|| convolution("skip.0", "skip.1", BlockLayer { channels, kernel: 1, stride }));
        Self { first, inner, last, skip }
    }
}

/// What [`Block`] keeps.
pub struct BlockTape {
    first: ConvolutionTape,
    inner: Option<ConvolutionTape>,
    last: ConvolutionTape,
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
    /// Max pooling, 3×3 with stride 2: \[N, H, W, C\] → \[N, ⌈H/2⌉, ⌈W/2⌉, C\].
    MaxPool,
    /// Mean over the image: \[N, H, W, C\] → \[N, C\].
    Pool,
    /// A whole encoder written with `candle-nn`.
    Autograd(Autograd),
}

/// What a unit keeps for its backward pass.
pub enum UnitTape {
    /// The shape of the input.
    Shape(Vec<usize>),
    /// The input.
    Input(Tensor),
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
            Self::MaxPool => (max_pool::forward(x)?, UnitTape::Input(x.clone())),
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
                let (hidden, inner) = match &block.inner {
                    Some(layer) => {
                        let (hidden, tape) = layer.forward(parameters, &hidden, None, true, mode)?;
                        (hidden, Some(tape))
                    }
                    None => (hidden, None),
                };
                let (around, skip) = match &block.skip {
                    Some(skip) => {
                        let (around, tape) = skip.forward(parameters, x, None, false, mode)?;
                        (around, Some(tape))
                    }
                    None => (x.clone(), None),
                };
                let (y, last) = block.last.forward(parameters, &hidden, Some(&around), true, mode)?;
                (y, UnitTape::Block(Box::new(BlockTape { first, inner, last, skip })))
            }
        })
    }

    /// Multiplications of a forward pass over one image \[height, width, channels\], and the shape it becomes.
    pub fn multiplications(&self, shape: [usize; 3]) -> Result<(f64, [usize; 3])> {
        Ok(match self {
            Self::Flatten => (0.0, [1, 1, shape.iter().product()]),
            Self::MaxPool => (0.0, [max_pool::pooled(shape[0]), max_pool::pooled(shape[1]), shape[2]]),
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
                let around = block.skip.as_ref().map(|skip| skip.multiplications(shape)).transpose()?;
                let (mut sum, mut hidden) = (around.map_or(0.0, |(count, _)| count), shape);
                for layer in [&block.first].into_iter().chain(&block.inner).chain([&block.last]) {
                    let (count, out) = layer.multiplications(hidden)?;
                    (sum, hidden) = (sum + count, out);
                }
                (sum, hidden)
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
            (Self::MaxPool, UnitTape::Input(x)) => {
                Ok(needed.then(|| max_pool::backward(&x, &dy)).transpose()?)
            }
            (Self::Block(block), UnitTape::Block(tape)) => {
                let asked = || candle_core::Error::msg("the gradient was asked for");
                let BlockTape { first, inner, last, skip } = *tape;
                let hidden = block.last.backward(parameters, last, &dy, InputGradient::New)?;
                let mut hidden = hidden.ok_or_else(asked)?;
                // `dy` is the gradient of the way around now.
                if let Some((layer, tape)) = block.inner.as_ref().zip(inner) {
                    let gradient = layer.backward(parameters, tape, &hidden, InputGradient::New)?;
                    hidden = gradient.ok_or_else(asked)?;
                }
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
