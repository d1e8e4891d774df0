//! Views of texts as bags of words: words are erased, or replaced by similar ones.
//!
//! - Erase: each word is dropped with probability p. A text may lose all its words; its mean of embeddings is then 0.
//! - Replace: each word is replaced, with probability p, by one of its neighbours ([`Neighbours`]), each as likely; a
//!   word without neighbours stays.
//!
//! The rules of `BaseCollate` in the official code of Nozawa & Sato (2021), p = 0.2 and five neighbours. The numbers of
//! word i of a view are words 2(i mod 2) and 2(i mod 2) + 1 of block ⌊i/2⌋ of a counter addressed by text and view:
//! whether (u < p), and which neighbour.

use super::check_strength;
use crate::data::neighbours::Neighbours;
use crate::error::{Error, Result};
use measure::rng::philox::{Counter, View, below, unit};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// Settings of erasing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Erase {
    /// p: how likely a word is dropped.
    pub probability: f64,
}

impl Erase {
    /// # Errors
    /// A probability outside \[0, 1\].
    pub fn check(&self) -> Result<()> {
        check_strength("probability", self.probability, 1.0)
    }
}

impl Default for Erase {
    fn default() -> Self {
        Self { probability: 0.2 }
    }
}

/// Settings of replacing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Replace {
    /// p: how likely a word is replaced.
    pub probability: f64,
    /// How many of the most similar words are candidates, of word vectors; of synonyms all are.
    pub neighbours: usize,
    /// Word vectors (`.vec`, `.vec.gz`) or synonyms (`.tsv`); else `vectors.vec`, `vectors.vec.gz` or `synonyms.tsv` in
    /// the folder of the data set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbours_file: Option<PathBuf>,
}

impl Replace {
    /// # Errors
    /// A probability outside \[0, 1\]; no neighbour, or more than 1000.
    pub fn check(&self) -> Result<()> {
        check_strength("probability", self.probability, 1.0)?;
        if (1..=1000).contains(&self.neighbours) {
            return Ok(());
        }
        let neighbours = self.neighbours;
        Err(Error::argument(format!("augmentation.neighbours = {neighbours} is not between 1 and 1000")))
    }
}

impl Default for Replace {
    fn default() -> Self {
        Self { probability: 0.2, neighbours: 5, neighbours_file: None }
    }
}

/// Makes views of texts.
#[derive(Debug, Clone)]
pub struct Sampler {
    probability: f32,
    /// Where words come from that replace others; without it words are dropped.
    neighbours: Option<Arc<Neighbours>>,
}

impl Sampler {
    /// One that drops words.
    ///
    /// # Errors
    /// A probability outside \[0, 1\].
    pub fn erase(settings: &Erase) -> Result<Self> {
        settings.check()?;
        Ok(Self { probability: settings.probability as f32, neighbours: None })
    }

    /// One that replaces words by these neighbours.
    ///
    /// # Errors
    /// As [`Replace::check`].
    pub fn replace(settings: &Replace, neighbours: Arc<Neighbours>) -> Result<Self> {
        settings.check()?;
        Ok(Self { probability: settings.probability as f32, neighbours: Some(neighbours) })
    }

    /// Where words come from that replace others.
    pub fn neighbours(&self) -> Option<&Neighbours> {
        self.neighbours.as_deref()
    }

    /// Appends one view of text number `text` of its store to `out`.
    pub fn view(&self, words: &[u32], counter: &Counter, text: u32, view: View, out: &mut Vec<u32>) {
        for (block, pair) in words.chunks(2).enumerate() {
            let numbers = counter.words(text, view, block as u32);
            for (&word, numbers) in pair.iter().zip(numbers.chunks_exact(2)) {
                if unit(numbers[0]) >= self.probability {
                    out.push(word);
                } else if let Some(neighbours) = &self.neighbours {
                    let candidates = neighbours.of(word);
                    let index = below(numbers[1], candidates.len() as u32) as usize;
                    out.push(candidates.get(index).copied().unwrap_or(word));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
