//! What can be chosen about an architecture: its projection head, and the zeros around the images of ResNet-18.

use super::Architecture;
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

/// Choices about an architecture; see the table of [the module](crate::model).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Which projection head.
    pub head: Head,
    /// Zeros on every side of the images of ResNet-18, 1 to 3; 1 for any other architecture. The published code pads by
    /// 3, so that its 3×3 stem makes maps of 36 × 36 of CIFAR's images of 32 × 32.
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
