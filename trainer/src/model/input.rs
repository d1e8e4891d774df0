//! What a network reads: images as a tensor, texts as bags of words.

use crate::error::{Error, Result};
use candle_core::Tensor;

/// A batch of samples.
#[derive(Debug, Clone)]
pub enum Input {
    /// \[N, height·width·channels\] or \[N, height, width, channels\].
    Images(Tensor),
    /// N bags of words.
    Bags(Bags),
}

/// N texts as bags of words; the order of the words of a text means nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bags {
    /// Words of one text after the other, as numbers in the vocabulary.
    pub words: Vec<u32>,
    /// Where each text ends in `words`.
    pub ends: Vec<usize>,
}

impl Input {
    /// The images.
    ///
    /// # Errors
    /// Texts.
    pub fn images(&self) -> Result<&Tensor> {
        match self {
            Self::Images(images) => Ok(images),
            Self::Bags(_) => Err(Error::argument("an encoder of images cannot read texts")),
        }
    }
}
