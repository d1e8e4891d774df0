//! AG News as words: its four classes, or each of them cut in two.
//!
//! `ag-news`: training texts from `train.csv` (120,000), or where it is missing from `train_subset.csv`; evaluated are
//! the 7,600 texts of `test.csv`. The vocabulary is that of the training texts of the file alone ([`Vocabulary`], 5
//! occurrences or more), also where `train_samples` takes fewer of them: it is then the same for every number.
//!
//! `ag-news-8`: the same texts in 8 latent classes: k-means with k = 2 within each class of the training texts
//! ([`Clusters`], best of 5 starts, up to 1000 iterations); an evaluated text goes to the nearest centroid of its own
//! class. Class 2c is the larger half of class c. Points are unit rows of tf·idf over the vocabulary without `<unk>`,
//! idf = ln((1 + N)/(1 + texts with the word)) + 1. So the latent classes are fixed before any training. The official
//! code of Nozawa & Sato (2021) makes such classes anew for each trained encoder, from the means of ten normalised
//! augmented head features (faiss `Kmeans(k=2, niter=1000, nredo=5)`, which by its default draws 512 texts of each
//! class to train on); its numbers and those on `ag-news-8` are not of the same task.
//!
//! Tuning: a tenth of the training texts of each class, the first in a fixed permutation, is evaluated, and the
//! vocabulary is made without it.

use super::ag_news::{self, Article};
use super::clusters::{Clusters, Rows};
use super::official::OfficialFiles;
use super::words::{Vocabulary, tokens};
use super::{EvaluateOn, Request, Samples, Split, Texts};
use crate::error::{Error, Result};
use measure::rng::{Purpose, permutation, stream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A word that the training texts have less often is `<unk>`.
pub const LEAST_OCCURRENCES: usize = 5;
/// Clusters within a class of `ag-news-8`.
pub const CLUSTERS_PER_CLASS: usize = 2;
/// The seed of tuning split and clusters, part of the data set's definition here.
const SPLIT_SEED: u64 = 120_000;

/// The files of the data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The folder that they are in.
    pub folder: PathBuf,
    /// `train.csv`, or `train_subset.csv`.
    pub train: PathBuf,
    /// `test.csv`.
    pub test: PathBuf,
}

impl Files {
    /// The files in one of DIR/ag_news, DIR/ag_news_csv, DIR/ag-news, or DIR itself: the first with `train.csv`, or
    /// where none has it, the first with `train_subset.csv`.
    ///
    /// # Errors
    /// None of them has `test.csv` and one of the training files.
    pub fn find(folder: Option<&Path>, official: &OfficialFiles) -> Result<Self> {
        let folder = folder.ok_or_else(|| {
            Error::argument(
                "AG News is read from files: name their folder with --data DIR (`trainer download ag-news --data DIR` gets them)",
            )
        })?;
        for train in ["train.csv", "train_subset.csv"] {
            for place in official.places.iter().map(|name| folder.join(name)) {
                let (train, test) = (place.join(train), place.join("test.csv"));
                if theory::files::exists(&test)? && theory::files::exists(&train)? {
                    return Ok(Self { folder: place, train, test });
                }
            }
        }
        Err(Error::argument(format!(
            "{folder}: no test.csv with train.csv or train_subset.csv in ag_news, ag_news_csv, ag-news or the folder itself; \
             `trainer download ag-news --data {folder}` gets them",
            folder = folder.display()
        )))
    }
}

/// `ag-news`: see the head of the file.
///
/// # Errors
/// A file that is missing or not readable.
pub(super) fn load(request: &Request<'_>, official: &OfficialFiles) -> Result<Split> {
    let (texts, train) = texts(request, official)?;
    split(&texts, train, texts.labels().to_vec(), ag_news::NUM_CLASSES)
}

/// `ag-news-8`: see the head of the file.
///
/// # Errors
/// A file that is missing or not readable; a class without a training text.
pub(super) fn load_latent(request: &Request<'_>, official: &OfficialFiles) -> Result<Split> {
    let (texts, train) = texts(request, official)?;
    let labels = latent_classes(&texts, train, ag_news::NUM_CLASSES)?;
    split(&texts, train, labels, ag_news::NUM_CLASSES * CLUSTERS_PER_CLASS)
}

/// Training texts, then evaluated ones, in one store; how many are the former.
fn texts(request: &Request<'_>, official: &OfficialFiles) -> Result<(Texts, usize)> {
    let files = Files::find(request.folder, official)?;
    let articles = ag_news::read(&files.train)?;
    let (train, evaluated) = match request.evaluate_on {
        EvaluateOn::Validation => (articles, ag_news::read(&files.test)?),
        EvaluateOn::Tuning => hold_out(articles),
    };
    let labels = train.iter().chain(&evaluated).map(|article| article.class).collect();
    let words: Vec<Vec<String>> =
        train.iter().chain(&evaluated).map(|article| tokens(&article.text)).collect();
    let vocabulary = Vocabulary::new(&words[..train.len()], LEAST_OCCURRENCES);
    let numbers = words.iter().map(|words| vocabulary.numbers(words));
    let texts = Texts::new(numbers, labels, Arc::clone(vocabulary.words()), ag_news::NUM_CLASSES)?;
    Ok((texts.in_folder(&files.folder), train.len()))
}

/// The rest and a tenth of each class, both in the order of the file.
fn hold_out(articles: Vec<Article>) -> (Vec<Article>, Vec<Article>) {
    let labels: Vec<usize> = articles.iter().map(|article| article.class).collect();
    let mut left = measure::class_counts(&labels, ag_news::NUM_CLASSES);
    left.iter_mut().for_each(|count| *count /= 10);
    let mut held = vec![false; labels.len()];
    for index in permutation(labels.len(), &mut stream(SPLIT_SEED, Purpose::Split, 0)) {
        let left = &mut left[labels[index]];
        if *left > 0 {
            (*left, held[index]) = (*left - 1, true);
        }
    }
    let (mut held_out, mut rest) = (Vec::new(), Vec::new());
    for (article, held) in articles.into_iter().zip(held) {
        if held { held_out.push(article) } else { rest.push(article) }
    }
    (rest, held_out)
}

fn split(texts: &Texts, train: usize, labels: Vec<usize>, num_classes: usize) -> Result<Split> {
    let texts = texts.relabelled(labels, num_classes)?;
    let part = |range: std::ops::Range<usize>| Samples::Texts(texts.subset(&range.collect::<Vec<_>>()));
    Ok(Split { train: part(0..train), evaluated: part(train..texts.len()) })
}

/// Latent classes of all texts, from clusters of the first `train`.
fn latent_classes(texts: &Texts, train: usize, num_classes: usize) -> Result<Vec<usize>> {
    let rows = tf_idf(texts, train);
    let mut labels = vec![0; texts.len()];
    for class in 0..num_classes {
        let members: Vec<usize> = (0..texts.len()).filter(|&i| texts.labels()[i] == class).collect();
        let training = &members[..members.partition_point(|&i| i < train)];
        if training.is_empty() {
            return Err(Error::argument(format!("class {class} has no training text to cluster")));
        }
        let mut rng = stream(SPLIT_SEED, Purpose::Split, 1 + class as u64);
        let clusters = Clusters::fit(&rows, training, CLUSTERS_PER_CLASS, [5, 1000], &mut rng);
        for &i in &members {
            labels[i] = CLUSTERS_PER_CLASS * class + clusters.nearest(rows.row(i)).0;
        }
    }
    Ok(labels)
}

/// Unit rows of tf·idf, idf from the first `train` texts; without the last word, `<unk>`.
fn tf_idf(texts: &Texts, train: usize) -> Rows {
    let unknown = texts.vocabulary().len() as u32 - 1;
    let counts = |i: usize| {
        let mut words: Vec<u32> = texts.text(i).iter().copied().filter(|&word| word != unknown).collect();
        words.sort_unstable();
        words.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as f64)).collect::<Vec<_>>()
    };
    let mut document_counts = vec![0usize; texts.vocabulary().len()];
    (0..train).flat_map(counts).for_each(|(word, _)| document_counts[word as usize] += 1);
    let idf = |word: u32| ((1 + train) as f64 / (1 + document_counts[word as usize]) as f64).ln() + 1.0;
    let mut rows = Rows::new(texts.vocabulary().len());
    for i in 0..texts.len() {
        let row: Vec<(u32, f64)> = counts(i).into_iter().map(|(word, tf)| (word, tf * idf(word))).collect();
        let norm = row.iter().map(|(_, x)| x * x).sum::<f64>().sqrt();
        rows.push(row.into_iter().map(|(word, x)| (word, x / norm)));
    }
    rows
}

#[cfg(test)]
mod tests;
