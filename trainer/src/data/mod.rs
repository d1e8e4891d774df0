//! Data sets, and features that other programs made.

pub mod ag_news;
pub mod clusters;
pub mod digits;
pub mod features;
mod images;
pub mod neighbours;
pub mod news;
mod texts;
pub mod words;

pub use images::Images;
pub use texts::Texts;

use crate::error::{Error, Result};
use std::path::Path;

/// Samples of one kind, with labels.
#[derive(Debug, Clone)]
pub enum Samples {
    /// Images.
    Images(Images),
    /// Texts.
    Texts(Texts),
}

impl Samples {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels().is_empty()
    }

    /// Class of each sample, from 0.
    pub fn labels(&self) -> &[usize] {
        match self {
            Self::Images(images) => images.labels(),
            Self::Texts(texts) => texts.labels(),
        }
    }

    /// C.
    pub fn num_classes(&self) -> usize {
        match self {
            Self::Images(images) => images.num_classes(),
            Self::Texts(texts) => texts.num_classes(),
        }
    }

    /// Samples per class.
    pub fn class_counts(&self) -> Vec<u64> {
        class_counts(self.labels(), self.num_classes())
    }

    /// The samples of these indices, in this order.
    #[must_use]
    pub fn subset(&self, indices: &[usize]) -> Self {
        match self {
            Self::Images(images) => Self::Images(images.subset(indices)),
            Self::Texts(texts) => Self::Texts(texts.subset(indices)),
        }
    }

    /// What a network reads of one sample.
    pub fn kind(&self) -> InputKind {
        match self {
            Self::Images(images) => InputKind::Images(images.shape()),
            Self::Texts(texts) => InputKind::Texts { vocabulary: texts.vocabulary().len() },
        }
    }
}

/// What a network reads of one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// Images \[height, width, channels\].
    Images([usize; 3]),
    /// Words of a vocabulary of this size.
    Texts {
        /// Number of words.
        vocabulary: usize,
    },
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
    /// Training samples.
    pub train: Samples,
    /// Evaluated samples; nothing is chosen by looking at them, unless they are the tuning samples.
    pub evaluated: Samples,
}

/// Which samples are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvaluateOn {
    /// The validation samples (the official test set, where there is one); training uses all others.
    Validation,
    /// A part of the training samples, held out from training: for choosing settings.
    Tuning,
}

/// Which part of which data set.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Name of the data set.
    pub name: &'a str,
    /// The folder of the data sets' files; the digits need none.
    pub folder: Option<&'a Path>,
    /// Which samples are evaluated.
    pub evaluate_on: EvaluateOn,
}

/// Loads a data set by name.
///
/// # Errors
/// The name is unknown; a file is missing or not readable.
pub fn load(request: &Request<'_>) -> Result<Split> {
    match request.name {
        "digits" => digits::load(request.evaluate_on),
        "ag-news" => news::load(request),
        "ag-news-8" => news::load_latent(request),
        name => {
            let known = "digits, ag-news, ag-news-8";
            Err(Error::argument(format!("there is no data set '{name}'; known: {known}")))
        }
    }
}
