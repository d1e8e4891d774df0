//! What a network reads: images as a tensor, texts as bags of words.

use crate::error::{Error, Result};
use candle_core::{Device, Tensor};

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

/// Words of a text that [`Bags::padded`] keeps.
const MOST_WORDS: usize = 512;

impl Bags {
    /// The texts as rows of words in order, u32 \[N, L\]: L is the length of the longest, at least 1, and at most 512
    /// words of a text are kept. The number of no word, that of the `vocabulary`'s size, fills the rest.
    ///
    /// # Errors
    /// Ends that do not cut the words; a device without room.
    ///
    /// # Examples
    /// ```
    /// use trainer::model::Bags;
    /// let bags = Bags { words: vec![4, 0, 2], ends: vec![1, 1, 3] };
    /// let rows = bags.padded(5, &candle_core::Device::Cpu)?.to_vec2::<u32>()?;
    /// assert_eq!(rows, [[4, 5], [5, 5], [0, 2]]);
    /// # Ok::<(), trainer::Error>(())
    /// ```
    pub fn padded(&self, vocabulary: usize, device: &Device) -> Result<Tensor> {
        let (mut start, mut texts) = (0, Vec::with_capacity(self.ends.len()));
        for &end in &self.ends {
            let words = self.words.get(start..end);
            let words = words
                .ok_or_else(|| Error::argument(format!("a text ends at word {end}, before it begins")))?;
            texts.push(&words[..words.len().min(MOST_WORDS)]);
            start = end;
        }
        let length = texts.iter().map(|words| words.len()).max().unwrap_or(0).max(1);
        let mut rows = vec![vocabulary as u32; texts.len() * length];
        for (row, words) in rows.chunks_exact_mut(length).zip(&texts) {
            row[..words.len()].copy_from_slice(words);
        }
        Ok(Tensor::from_vec(rows, (texts.len(), length), device)?)
    }
}

impl Input {
    /// N.
    ///
    /// # Errors
    /// A tensor without dimensions.
    pub fn count(&self) -> Result<usize> {
        match self {
            Self::Images(images) => Ok(images.dim(0)?),
            Self::Bags(bags) => Ok(bags.ends.len()),
        }
    }

    /// `count` of the samples, from `start` on.
    ///
    /// # Errors
    /// There are not so many.
    pub fn rows(&self, start: usize, count: usize) -> Result<Self> {
        let bags = match self {
            Self::Images(images) => return Ok(Self::Images(images.narrow(0, start, count)?)),
            Self::Bags(bags) => bags,
        };
        let first = start.checked_sub(1).and_then(|before| bags.ends.get(before)).copied().unwrap_or(0);
        let ends = bags.ends.get(start..).and_then(|ends| ends.get(..count)).unwrap_or_default();
        let words = ends.last().map_or(Some(&[][..]), |&end| bags.words.get(first..end));
        match words {
            Some(words) if ends.len() == count => {
                let ends = ends.iter().map(|end| end - first).collect();
                Ok(Self::Bags(Bags { words: words.to_vec(), ends }))
            }
            _ => Err(Error::argument(format!(
                "of {} texts there are no {count} from {start} on",
                bags.ends.len()
            ))),
        }
    }

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
