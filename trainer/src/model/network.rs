//! Two small encoders for 8×8 images, each with the same projection head.
//!
//! `mlp`: 64 → 256 → 256 linear layers, each with batch normalisation and ReLU. `conv`: 3×3 convolutions 1 → 16 → 32 → 64
//! with strides 1, 2, 2, each with batch normalisation and ReLU, then the 2×2×64 map flattened to 256.
//! Head: 256 → 256 with batch normalisation and ReLU, then 256 → 64 linear.

use super::{Builder, Parameters};
use crate::error::{Error, Result};
use crate::rng::{Purpose, stream};
use candle_core::{Tensor, Var};
use candle_nn::{BatchNorm, Linear, Module, ModuleT};
use serde::{Deserialize, Serialize};

/// Features of the encoder, before the head.
pub const ENCODER_FEATURES: usize = 256;
/// Features of the projection head.
pub const HEAD_FEATURES: usize = 64;

/// Which encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// Two linear layers.
    Mlp,
    /// Three convolutions.
    Conv,
}

impl Architecture {
    /// Name in `losses.csv`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mlp => "mlp",
            Self::Conv => "conv",
        }
    }
}

enum Layer {
    Linear(Linear, BatchNorm),
    Conv { weight: Var, stride: usize, norm: BatchNorm },
}

impl Layer {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let normalised = match self {
            Self::Linear(linear, norm) => norm.forward_t(&linear.forward(x)?, train)?,
            Self::Conv { weight, stride, norm } => {
                norm.forward_t(&x.conv2d(weight.as_tensor(), 1, *stride, 1, 1)?, train)?
            }
        };
        Ok(normalised.relu()?)
    }
}

/// What a forward pass gives.
pub struct Output {
    /// Encoder features \[batch, 256\].
    pub encoder: Tensor,
    /// Head features \[batch, 64\], not normalised.
    pub head: Tensor,
}

/// An encoder and its projection head.
pub struct Network {
    architecture: Architecture,
    side: usize,
    encoder: Vec<Layer>,
    head: Layer,
    projection: Linear,
    parameters: Parameters,
}

impl Network {
    /// A freshly initialised network for side × side images.
    ///
    /// # Errors
    /// The convolutions take 8×8 images only.
    pub fn new(architecture: Architecture, side: usize, seed: u64) -> Result<Self> {
        let mut parameters = Parameters::default();
        let mut rng = stream(seed, Purpose::Initialisation, 0);
        let mut builder = Builder::new(&mut parameters, &mut rng);
        let mut dense = |name: &str, inputs: usize, outputs: usize| -> Result<Layer> {
            let linear = builder.linear(name, inputs, outputs)?;
            Ok(Layer::Linear(linear, builder.batch_norm(&format!("{name}.norm"), outputs)?))
        };
        let encoder = match architecture {
            Architecture::Mlp => vec![
                dense("encoder.0", side * side, ENCODER_FEATURES)?,
                dense("encoder.1", ENCODER_FEATURES, ENCODER_FEATURES)?,
            ],
            Architecture::Conv => {
                if side != 8 {
                    return Err(Error::argument(format!(
                        "the conv encoder takes 8×8 images, not {side}×{side}"
                    )));
                }
                let mut conv = |index: usize, inputs: usize, outputs: usize, stride| -> Result<Layer> {
                    let weight = builder.weight(&format!("encoder.{index}"), &[outputs, inputs, 3, 3])?;
                    let norm = builder.batch_norm(&format!("encoder.{index}.norm"), outputs)?;
                    Ok(Layer::Conv { weight, stride, norm })
                };
                vec![conv(0, 1, 16, 1)?, conv(1, 16, 32, 2)?, conv(2, 32, 64, 2)?]
            }
        };
        let head_linear = builder.linear("head.0", ENCODER_FEATURES, ENCODER_FEATURES)?;
        let head = Layer::Linear(head_linear, builder.batch_norm("head.0.norm", ENCODER_FEATURES)?);
        let projection = builder.linear("head.1", ENCODER_FEATURES, HEAD_FEATURES)?;
        Ok(Self { architecture, side, encoder, head, projection, parameters })
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Features of a batch of images \[batch, side·side\]; with `train`, batch statistics are used and running ones
    /// updated.
    ///
    /// # Errors
    /// A batch of another shape.
    pub fn forward(&self, images: &Tensor, train: bool) -> Result<Output> {
        let mut x = match self.architecture {
            Architecture::Mlp => images.clone(),
            Architecture::Conv => images.reshape(((), 1, self.side, self.side))?,
        };
        for layer in &self.encoder {
            x = layer.forward(&x, train)?;
        }
        let encoder = x.flatten_from(1)?;
        let head = self.projection.forward(&self.head.forward(&encoder, train)?)?;
        Ok(Output { encoder, head })
    }
}

/// Rows of unit length: z/‖z‖, a zero row stays zero.
///
/// # Errors
/// Not a matrix.
pub fn normalise(z: &Tensor) -> Result<Tensor> {
    let norms = (z.sqr()?.sum_keepdim(1)? + 1e-24)?.sqrt()?;
    Ok(z.broadcast_div(&norms)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn shapes_and_checkpoints() {
        for architecture in [Architecture::Mlp, Architecture::Conv] {
            let images = Tensor::from_vec(
                (0..6 * 64).map(|i| (i % 17) as f32 / 17.0).collect(),
                (6, 64),
                &Device::Cpu,
            );
            let images = images.unwrap();
            let network = Network::new(architecture, 8, 7).unwrap();
            network.forward(&images, true).unwrap(); // moves the running statistics
            let output = network.forward(&images, false).unwrap();
            assert_eq!(output.encoder.dims(), [6, ENCODER_FEATURES]);
            assert_eq!(output.head.dims(), [6, HEAD_FEATURES]);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("model.safetensors");
            network.parameters().save(&path).unwrap();
            let other = Network::new(architecture, 8, 8).unwrap();
            other.parameters().load(&path).unwrap();
            let again = other.forward(&images, false).unwrap();
            assert_eq!(again.head.to_vec2::<f32>().unwrap(), output.head.to_vec2::<f32>().unwrap());
        }
    }

    #[test]
    fn a_foreign_checkpoint_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        Network::new(Architecture::Conv, 8, 7).unwrap().parameters().save(&path).unwrap();
        let error = Network::new(Architecture::Mlp, 8, 7).unwrap().parameters().load(&path).unwrap_err();
        assert!(error.to_string().contains("encoder.0.weight"), "{error}");
        std::fs::write(&path, b"nonsense").unwrap();
        assert!(Network::new(Architecture::Mlp, 8, 7).unwrap().parameters().load(&path).is_err());
    }
}
