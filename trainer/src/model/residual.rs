//! The residual networks of He et al. (2016): their stems, blocks and depths.

use super::layer::Convolution;
use super::unit::{Block, BlockLayer, Unit};
use super::{Architecture, Builder, Options};
use serde::{Deserialize, Serialize};

/// What stands before the blocks of a residual network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stem {
    /// For small images: a 3×3 convolution of stride 1, and no pooling.
    #[default]
    Small,
    /// As published for ImageNet: a 7×7 convolution of stride 2 with 3 zeros on every side, then max pooling of 3×3
    /// with stride 2 and padding 1, so that the blocks see a sixteenth of the pixels.
    Imagenet,
}

impl Stem {
    /// Name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Imagenet => "imagenet",
        }
    }
}

/// How many blocks each stage of a residual network has, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Depth {
    /// Blocks of the four stages.
    pub blocks: [usize; 4],
    /// Whether a block is 1×1, 3×3, 1×1 convolutions, the last with four times as many channels, with the stride on the
    /// 3×3 one as torchvision has it; else two of 3×3.
    pub bottleneck: bool,
}

impl Depth {
    /// All depths, with their architectures.
    pub const ALL: [(Architecture, Self); 3] = [
        (Architecture::Resnet18, Self { blocks: [2, 2, 2, 2], bottleneck: false }),
        (Architecture::Resnet34, Self { blocks: [3, 4, 6, 3], bottleneck: false }),
        (Architecture::Resnet50, Self { blocks: [3, 4, 6, 3], bottleneck: true }),
    ];

    /// Of an architecture, where it is a residual network.
    pub fn of(architecture: Architecture) -> Option<Self> {
        Self::ALL.into_iter().find_map(|(known, depth)| (known == architecture).then_some(depth))
    }

    /// Channels behind a block whose 3×3 convolutions have `inner` channels.
    fn outputs(self, inner: usize) -> usize {
        if self.bottleneck { 4 * inner } else { inner }
    }

    /// Features of a network with `width` channels behind its stem.
    pub fn features(self, width: usize) -> usize {
        self.outputs(8 * width)
    }

    /// Adds a network for images of `channels` channels, with `width` channels behind its stem.
    pub fn build(
        self,
        builder: &mut Builder,
        units: &mut Vec<Unit>,
        [channels, width]: [usize; 2],
        options: Options,
    ) {
        let (kernel, stride) = if options.stem == Stem::Imagenet { (7, 2) } else { (3, 1) };
        let stem =
            Convolution::new(builder, ("encoder.0", "encoder.0.norm"), [channels, width], kernel, stride);
        let stem = if options.stem == Stem::Small { stem.padded(options.stem_padding) } else { stem };
        units.push(Unit::Convolution(stem.rectified(options.stem_relu)));
        if options.stem == Stem::Imagenet {
            units.push(Unit::MaxPool);
        }
        let mut inputs = width;
        for (stage, blocks) in self.blocks.into_iter().enumerate() {
            let inner = width << stage;
            let outputs = self.outputs(inner);
            for index in 0..blocks {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                let layer = |channels, kernel, stride| BlockLayer { channels, kernel, stride };
                let layers = if self.bottleneck {
                    let inner_layer = layer([inner, inner], 3, stride);
                    (layer([inputs, inner], 1, 1), Some(inner_layer), layer([inner, outputs], 1, 1))
                } else {
                    (layer([inputs, inner], 3, stride), None, layer([inner, outputs], 3, 1))
                };
                let name = format!("encoder.layer{}.{index}", stage + 1);
                units.push(Unit::Block(Box::new(Block::new(builder, &name, layers))));
                inputs = outputs;
            }
        }
        units.push(Unit::Pool);
    }
}
