//! What can be chosen about an architecture: its projection head, and the stem of a residual network.

use super::{After, Architecture, Stem};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The projection head g: encoder features h → head features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// The one in the documentation of each [`Architecture`].
    #[default]
    Default,
    /// That of Nozawa & Sato (2021), `ProjectionHead` of their `code/src/model.py`: linear h → h with bias, batch
    /// normalisation, ReLU, linear h → 128 without bias.
    ///
    /// The normalisation subtracts its input's mean, so the first bias changes no output of a training step, and its
    /// gradient is zero but for rounding. It is kept because their checkpoints have it, and because with running
    /// statistics, which lag behind, it does count.
    Paper,
    /// One linear layer with bias and this many outputs, one a class: of the supervised reference, and in no settings.
    #[serde(skip)]
    Classifier(usize),
    /// These linear layers, or none: of weights that were trained elsewhere ([`torch`](super::torch)), and in no
    /// settings.
    #[serde(skip)]
    Layers(HeadLayers),
}

impl Head {
    /// Name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Paper => "paper",
            Self::Classifier(_) => "classifier",
            Self::Layers(_) => "layers",
        }
    }
}

/// A linear layer of a head, and what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLayer {
    /// Its outputs.
    pub outputs: usize,
    /// Bias, normalisation, ReLU.
    pub after: After,
}

/// The linear layers of a head, none to [`MOST`](Self::MOST); without any, head features are the encoder's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLayers {
    layers: [HeadLayer; Self::MOST],
    count: usize,
}

impl HeadLayers {
    /// Most layers.
    pub const MOST: usize = 8;

    /// # Errors
    /// More layers than that.
    pub fn new(layers: &[HeadLayer]) -> Result<Self> {
        let count = layers.len();
        let mut all = [HeadLayer { outputs: 0, after: After::NOTHING }; Self::MOST];
        match all.get_mut(..count) {
            Some(place) => place.copy_from_slice(layers),
            None => {
                let most = Self::MOST;
                return Err(Error::argument(format!("a head of {count} linear layers: more than {most}")));
            }
        }
        Ok(Self { layers: all, count })
    }

    /// The layers in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, HeadLayer> {
        self.layers[..self.count].iter()
    }

    /// Numbers of a head feature, for encoder features of this many.
    pub(super) fn outputs(&self, features: usize) -> usize {
        self.iter().last().map_or(features, |layer| layer.outputs)
    }
}

impl std::fmt::Display for HeadLayers {
    /// Such as `linear 512 + b, norm, ReLU, linear 128`; `none` for no layers.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.count == 0 {
            return f.write_str("none");
        }
        for (index, HeadLayer { outputs, after }) in self.iter().enumerate() {
            write!(f, "{}linear {outputs}", if index > 0 { ", " } else { "" })?;
            for (given, text) in [(after.bias, " + b"), (after.norm, ", norm"), (after.relu, ", ReLU")] {
                f.write_str(if given { text } else { "" })?;
            }
        }
        Ok(())
    }
}

/// Choices about an architecture; see the table of [the module](crate::model).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Which projection head.
    pub head: Head,
    /// What stands before the blocks of a residual network; `small` for any other architecture.
    pub stem: Stem,
    /// Zeros on every side of the images before the small stem of a residual network, 1 to 3; 1 for any other. Nozawa &
    /// Sato pad by 3, so that their 3×3 stem makes maps of 36 × 36 of CIFAR's images of 32 × 32.
    pub stem_padding: usize,
    /// Whether a ReLU stands behind the stem of a residual network, as everywhere but in weights that were trained without
    /// ([`torch`](super::torch)); in no settings.
    #[serde(skip)]
    pub stem_relu: bool,
}

impl Default for Options {
    /// The default head; a stem that keeps the size of the images.
    fn default() -> Self {
        Self { head: Head::Default, stem: Stem::Small, stem_padding: 1, stem_relu: true }
    }
}

impl Options {
    /// The network of Nozawa & Sato's CIFAR experiments, with [`Architecture::Resnet18`].
    pub const PUBLISHED: Self =
        Self { head: Head::Paper, stem: Stem::Small, stem_padding: 3, stem_relu: true };
}

/// An architecture with its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// Which encoder.
    pub architecture: Architecture,
    /// Which head, which stem.
    pub options: Options,
}

impl From<Architecture> for Model {
    /// With the default options.
    fn from(architecture: Architecture) -> Self {
        Self { architecture, options: Options::default() }
    }
}
