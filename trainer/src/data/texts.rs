//! Texts as sequences of word numbers, with labels.

use crate::error::{Error, Result};
use std::sync::Arc;

/// Texts with labels; subsets share the words.
#[derive(Debug, Clone)]
pub struct Texts {
    store: Arc<Store>,
    /// Which texts of the store, in this order.
    rows: Vec<u32>,
    /// Class of each text, from 0.
    labels: Vec<usize>,
}

#[derive(Debug)]
struct Store {
    /// Words of one text after the other, as numbers in the vocabulary.
    words: Vec<u32>,
    /// Where each text begins, and the end.
    offsets: Vec<usize>,
    vocabulary: Arc<Vec<String>>,
    num_classes: usize,
}

impl Texts {
    /// Texts whose words are numbers in `vocabulary`.
    ///
    /// # Errors
    /// A number outside the vocabulary, numbers of texts and labels that differ, a label of `num_classes` or more.
    pub fn new(
        texts: impl IntoIterator<Item = Vec<u32>>,
        labels: Vec<usize>,
        vocabulary: Arc<Vec<String>>,
        num_classes: usize,
    ) -> Result<Self> {
        let (mut words, mut offsets) = (Vec::new(), vec![0]);
        for text in texts {
            words.extend(text);
            offsets.push(words.len());
        }
        if let Some(word) = words.iter().find(|&&word| word as usize >= vocabulary.len()) {
            return Err(Error::argument(format!(
                "word {word} is outside a vocabulary of {}",
                vocabulary.len()
            )));
        }
        if offsets.len() != labels.len() + 1 {
            return Err(Error::argument(format!("{} texts have {} labels", offsets.len() - 1, labels.len())));
        }
        if let Some(i) = labels.iter().position(|&label| label >= num_classes) {
            return Err(Error::argument(format!("text {i} has class {} of {num_classes}", labels[i])));
        }
        let rows = (0..labels.len() as u32).collect();
        let store = Store { words, offsets, vocabulary, num_classes };
        Ok(Self { store: Arc::new(store), rows, labels })
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Class of each text, from 0.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// C.
    pub fn num_classes(&self) -> usize {
        self.store.num_classes
    }

    /// The words, by number.
    pub fn vocabulary(&self) -> &Arc<Vec<String>> {
        &self.store.vocabulary
    }

    /// Words of text `index`, as numbers in the vocabulary.
    pub fn text(&self, index: usize) -> &[u32] {
        let row = self.rows[index] as usize;
        &self.store.words[self.store.offsets[row]..self.store.offsets[row + 1]]
    }

    /// The texts of these indices, in this order; no word is copied.
    #[must_use]
    pub fn subset(&self, indices: &[usize]) -> Self {
        Self {
            store: Arc::clone(&self.store),
            rows: indices.iter().map(|&i| self.rows[i]).collect(),
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
        }
    }

    /// The same texts with other classes.
    ///
    /// # Errors
    /// Another number of labels, a label of `num_classes` or more.
    pub fn relabelled(&self, labels: Vec<usize>, num_classes: usize) -> Result<Self> {
        let texts = (0..self.len()).map(|i| self.text(i).to_vec());
        Self::new(texts, labels, Arc::clone(&self.store.vocabulary), num_classes)
    }
}
