//! What can be chosen about an architecture: its projection head, and the zeros around the images of ResNet-18.
//!
//! With the default options, layers, names and initial weights are those of each architecture as published in `data/results`.
//!
//! | architecture | encoder | its features h | head `default` | head `paper` |
//! |---|---|---|---|---|
//! | `mlp` | 2 × (linear 256, norm, ReLU) | 256 | linear 256, norm, ReLU, linear 64 | linear 256 + b, norm, ReLU, linear 128 |
//! | `conv` | 3 × (conv 3×3, norm, ReLU): 16, 32/2, 64/2 | 64·⌈H/4⌉·⌈W/4⌉ | linear 256, norm, ReLU, linear 64 | linear h + b, norm, ReLU, linear 128 |
//! | `plain-mlp` | linear + b, ReLU: 1024, 512, 512 | 512 | linear 128 + b | linear 512 + b, norm, ReLU, linear 128 |
//! | `small` | 4 × (conv 3×3, norm, ReLU): 32, 64/2, 128/2, 256/2; mean | 256 | linear 256 + b, ReLU, linear 128 | linear 256 + b, norm, ReLU, linear 128 |
//! | `resnet18` | conv 3×3 64, norm, ReLU; 4 × 2 blocks: 64, 128/2, 256/2, 512/2; mean | 512 | linear 512 + b, ReLU, linear 128 | linear 512 + b, norm, ReLU, linear 128 |
//!
//! `+ b`: with a bias; `/2`: with stride 2; norm: batch normalisation (ε = 1e-5, running statistics move by 0.1).
//!
//! Parameters in a checkpoint, in the order of construction: `encoder.INDEX.…` (ResNet-18: `encoder.0`, then
//! `encoder.layerS.B.{conv1,bn1,conv2,bn2,skip.0,skip.1}` for stage S = 1..4, block B = 0, 1), `head.0.…`, `head.1.…`; a
//! normalisation adds `.norm` (blocks: `bnI`, `skip.1`) with `weight`, `bias`, `running_mean`, `running_var`.

use super::Architecture;
use serde::{Deserialize, Serialize};

/// The projection head g: encoder features h → head features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// The one in the documentation of each [`Architecture`].
    #[default]
    Default,
    /// That of Nozawa & Sato (2021), `ProjectionHead` of their `code/src/model.py`: linear h → h with bias, batch normalisation,
    /// ReLU, linear h → 128 without bias.
    ///
    /// The normalisation subtracts its input's mean, so the first bias changes no output of a training step, and its
    /// gradient is zero but for rounding. It is kept because their checkpoints have it, and because with running statistics, which lag
    /// behind, it does count.
    Paper,
    /// One linear layer with bias and this many outputs, one a class: of the supervised reference, and in no settings.
    #[serde(skip)]
    Classifier(usize),
}

impl Head {
    /// Name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Paper => "paper",
            Self::Classifier(_) => "classifier",
        }
    }
}

/// Choices about an architecture; see the table above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Which projection head.
    pub head: Head,
    /// Zeros on every side of the images of ResNet-18, 1 to 3; 1 for any other architecture. The published code pads by 3,
    /// so that its 3×3 stem makes maps of 36 × 36 of CIFAR's images of 32 × 32.
    pub stem_padding: usize,
}

impl Default for Options {
    /// The default head; a stem that keeps the size of the images.
    fn default() -> Self {
        Self { head: Head::Default, stem_padding: 1 }
    }
}

impl Options {
    /// The network of Nozawa & Sato's CIFAR experiments, with [`Architecture::Resnet18`].
    pub const PUBLISHED: Self = Self { head: Head::Paper, stem_padding: 3 };
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
