//! Texts as sequences of word numbers, with labels.

use super::neighbours::{Neighbours, Source};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Texts with labels; subsets share the words.
#[derive(Debug, Clone)]
pub struct Texts {
    store: Arc<Store>,
    /// Which texts of the store, in this order.
    rows: Vec<u32>,
    /// Class of each text, from 0.
    labels: Vec<usize>,
    num_classes: usize,
}

#[derive(Debug)]
struct Store {
    /// Words of one text after the other, as numbers in the vocabulary.
    words: Vec<u32>,
    /// Where each text begins, and the end.
    offsets: Vec<usize>,
    vocabulary: Arc<Vec<String>>,
    /// Where the files of the data set lie.
    folder: Option<PathBuf>,
    /// The neighbours that were asked for last: training and evaluated texts share them, and a file of vectors is
    /// large.
    neighbours: Mutex<Option<(Source, Arc<Neighbours>)>>,
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
        let rows = (0..labels.len() as u32).collect();
        let store = Store { words, offsets, vocabulary, folder: None, neighbours: Mutex::new(None) };
        Self { store: Arc::new(store), rows, labels: Vec::new(), num_classes }.relabelled(labels, num_classes)
    }

    /// The same texts, whose data set has its files in this folder; before subsets are made.
    #[must_use]
    pub fn in_folder(mut self, folder: &Path) -> Self {
        if let Some(store) = Arc::get_mut(&mut self.store) {
            store.folder = Some(folder.to_path_buf());
        }
        self
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
        self.num_classes
    }

    /// A checksum of the texts, their classes and the vocabulary, in this order.
    pub fn checksum(&self) -> u32 {
        let words = self.vocabulary().iter().fold(crc32c::crc32c(b"texts"), |sum, word| {
            crc32c::crc32c_append(crc32c::crc32c_append(sum, word.as_bytes()), b"\n")
        });
        (0..self.len()).fold(words, |sum, i| {
            let sum = crc32c::crc32c_append(sum, &(self.labels[i] as u64).to_le_bytes());
            let text =
                self.text(i).iter().fold(sum, |sum, word| crc32c::crc32c_append(sum, &word.to_le_bytes()));
            crc32c::crc32c_append(text, b"\n")
        })
    }

    /// The words, by number.
    pub fn vocabulary(&self) -> &Arc<Vec<String>> {
        &self.store.vocabulary
    }

    /// Which texts of the store these are: the same text has the same number in every subset.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Neighbours of the words, up to `count` of each: from `file`, else from `vectors.vec`, `vectors.vec.gz` or
    /// `synonyms.tsv` in the folder of the data set. Kept for all subsets.
    ///
    /// # Errors
    /// No such file; a file that is not readable as [`Neighbours::read`] says.
    pub fn neighbours(&self, file: Option<&Path>, count: usize) -> Result<Arc<Neighbours>> {
        let source = Source::find(file, self.store.folder.as_deref(), count)?;
        let mut kept = self.store.neighbours.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, neighbours)) = kept.as_ref().filter(|(of, _)| *of == source) {
            return Ok(Arc::clone(neighbours));
        }
        let neighbours = Arc::new(Neighbours::read(&source, self.vocabulary())?);
        *kept = Some((source, Arc::clone(&neighbours)));
        Ok(neighbours)
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
            num_classes: self.num_classes,
        }
    }

    /// The same texts with other classes.
    ///
    /// # Errors
    /// Another number of labels, a label of `num_classes` or more.
    pub fn relabelled(&self, labels: Vec<usize>, num_classes: usize) -> Result<Self> {
        if self.rows.len() != labels.len() {
            return Err(Error::argument(format!("{} texts have {} labels", self.rows.len(), labels.len())));
        }
        if let Some(i) = labels.iter().position(|&label| label >= num_classes) {
            return Err(Error::argument(format!("text {i} has class {} of {num_classes}", labels[i])));
        }
        Ok(Self { store: Arc::clone(&self.store), rows: self.rows.clone(), labels, num_classes })
    }
}
