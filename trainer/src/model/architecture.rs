//! The encoders that ship, each with its projection head.

use super::Builder;
use super::layer::{After, Convolution, Dense};
use super::unit::{Block, Unit};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Which encoder, and which head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// Two linear layers of 256, each with batch normalisation and ReLU. Head: 256 with batch normalisation and ReLU, then 64.
    Mlp,
    /// 3×3 convolutions of 16, 32, 64 with strides 1, 2, 2, each with batch normalisation and ReLU, flattened; the head of
    /// [`Mlp`](Self::Mlp).
    Conv,
    /// Linear layers 1024, 512, 512 with bias and ReLU and no batch normalisation. Head: linear, 128.
    PlainMlp,
    /// 3×3 convolutions of 32, 64, 128, 256 with strides 1, 2, 2, 2, each with batch normalisation and ReLU, and the mean over
    /// the image. Head: 256 with bias and ReLU, then 128 without bias.
    Small,
    /// ResNet-18 (He et al. 2016) for small images: a 3×3 stem of stride 1 and no pooling before the blocks. Head: 512 with
    /// bias and ReLU, then 128 without bias.
    Resnet18,
}

/// The units of the encoder and of the head.
type Units = (Vec<Unit>, Vec<Unit>);

impl Architecture {
    /// Name in `losses.csv`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mlp => "mlp",
            Self::Conv => "conv",
            Self::PlainMlp => "plain-mlp",
            Self::Small => "small",
            Self::Resnet18 => "resnet18",
        }
    }

    /// Features before and after the head, for images \[height, width, channels\].
    pub fn features(self, [height, width, _]: [usize; 3]) -> [usize; 2] {
        match self {
            Self::Mlp => [256, 64],
            Self::Conv => [64 * height.div_ceil(4) * width.div_ceil(4), 64],
            Self::PlainMlp => [512, 128],
            Self::Small => [256, 128],
            Self::Resnet18 => [512, 128],
        }
    }

    /// Adds the parameters to the builder and returns the units.
    ///
    /// # Errors
    /// Images without pixels.
    pub(super) fn build(self, builder: &mut Builder, image: [usize; 3]) -> Result<Units> {
        let [height, width, channels] = image;
        let pixels = height * width * channels;
        if pixels == 0 {
            return Err(Error::argument(format!("images of {height}×{width}×{channels} have no pixels")));
        }
        let [features, outputs] = self.features(image);
        let mut encoder = Vec::new();
        let head = match self {
            Self::Mlp | Self::Conv => {
                if self == Self::Mlp {
                    encoder.push(Unit::Flatten);
                    encoder.push(dense(builder, "encoder.0", [pixels, 256], After::NormRelu));
                    encoder.push(dense(builder, "encoder.1", [256, 256], After::NormRelu));
                } else {
                    convolutions(builder, &mut encoder, channels, &[(16, 1), (32, 2), (64, 2)]);
                    encoder.push(Unit::Flatten);
                }
                vec![
                    dense(builder, "head.0", [features, 256], After::NormRelu),
                    dense(builder, "head.1", [256, outputs], After::Nothing),
                ]
            }
            Self::PlainMlp => {
                encoder.push(Unit::Flatten);
                for (index, sizes) in [[pixels, 1024], [1024, 512], [512, 512]].into_iter().enumerate() {
                    encoder.push(dense(builder, &format!("encoder.{index}"), sizes, After::BiasRelu));
                }
                vec![dense(builder, "head.0", [512, outputs], After::Bias)]
            }
            Self::Small => {
                convolutions(builder, &mut encoder, channels, &[(32, 1), (64, 2), (128, 2), (256, 2)]);
                encoder.push(Unit::Pool);
                plain_head(builder, features, outputs)
            }
            Self::Resnet18 => {
                convolutions(builder, &mut encoder, channels, &[(64, 1)]);
                let mut inputs = 64;
                for (stage, width) in [64, 128, 256, 512].into_iter().enumerate() {
                    for index in 0..2 {
                        let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                        let name = format!("encoder.layer{}.{index}", stage + 1);
                        encoder.push(Unit::Block(Box::new(Block::new(
                            builder,
                            &name,
                            [inputs, width],
                            stride,
                        ))));
                        inputs = width;
                    }
                }
                encoder.push(Unit::Pool);
                plain_head(builder, features, outputs)
            }
        };
        Ok((encoder, head))
    }
}

fn dense(builder: &mut Builder, name: &str, sizes: [usize; 2], after: After) -> Unit {
    Unit::Dense(Dense::new(builder, name, sizes, after))
}

/// 3×3 convolutions of these (channels, stride), each with batch normalisation and ReLU.
fn convolutions(builder: &mut Builder, units: &mut Vec<Unit>, mut inputs: usize, layers: &[(usize, usize)]) {
    for (index, &(channels, stride)) in layers.iter().enumerate() {
        let (name, norm) = (format!("encoder.{index}"), format!("encoder.{index}.norm"));
        let layer = Convolution::new(builder, (&name, &norm), [inputs, channels], 3, stride);
        units.push(Unit::Convolution(layer));
        inputs = channels;
    }
}

/// Linear with bias, ReLU, linear without bias.
fn plain_head(builder: &mut Builder, features: usize, outputs: usize) -> Vec<Unit> {
    vec![
        dense(builder, "head.0", [features, features], After::BiasRelu),
        dense(builder, "head.1", [features, outputs], After::Nothing),
    ]
}
