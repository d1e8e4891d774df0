//! Data sets, and features that other programs made.

pub mod digits;
pub mod features;

use crate::error::{Error, Result};

/// Grey images with labels: `pixels[i]` is one image, row by row, in [0, 1].
#[derive(Debug, Clone)]
pub struct Images {
    /// Pixels of one image after the other.
    pub pixels: Vec<f32>,
    /// Class of each image, from 0.
    pub labels: Vec<usize>,
    /// Height = width of an image.
    pub side: usize,
    /// C.
    pub num_classes: usize,
}

impl Images {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Pixels per image.
    pub fn pixels_per_image(&self) -> usize {
        self.side * self.side
    }

    /// \[height, width, channels\] of an image.
    pub fn shape(&self) -> [usize; 3] {
        [self.side, self.side, 1]
    }

    /// Pixels of image `index`.
    pub fn image(&self, index: usize) -> &[f32] {
        let size = self.pixels_per_image();
        &self.pixels[index * size..(index + 1) * size]
    }

    /// Images per class.
    pub fn class_counts(&self) -> Vec<u64> {
        class_counts(&self.labels, self.num_classes)
    }

    /// The images of these indices, in this order.
    #[must_use]
    pub fn subset(&self, indices: &[usize]) -> Self {
        Self {
            pixels: indices.iter().flat_map(|&i| self.image(i)).copied().collect(),
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
            side: self.side,
            num_classes: self.num_classes,
        }
    }
}

/// Samples per class.
pub fn class_counts(labels: &[usize], num_classes: usize) -> Vec<u64> {
    let mut counts = vec![0; num_classes];
    for &label in labels {
        counts[label] += 1;
    }
    counts
}

/// What is trained on and what is evaluated.
#[derive(Debug, Clone)]
pub struct Split {
    /// Training images.
    pub train: Images,
    /// Evaluated images; nothing is chosen by looking at them, unless they are the tuning images.
    pub evaluated: Images,
}

/// Which images are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvaluateOn {
    /// The validation images; training uses all others.
    Validation,
    /// A part of the training images, held out from training: for choosing settings.
    Tuning,
}

/// Loads a data set by name.
///
/// # Errors
/// The name is unknown.
pub fn load(name: &str, evaluate_on: EvaluateOn) -> Result<Split> {
    match name {
        "digits" => digits::load(evaluate_on),
        _ => Err(Error::argument(format!("there is no data set '{name}'; known: digits"))),
    }
}
