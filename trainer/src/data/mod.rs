//! Data sets by name, and parts of them.
//!
//! [`load`] knows the names of the [`registry`]:
//!
//! | name | samples | classes | places under DIR, in the order they are looked for |
//! |---|---|---|---|
//! | `digits` | 1,797 images of 8×8 | 10 | none: compiled in |
//! | `mnist` | 60,000 + 10,000 images of 28×28 | 10 | `mnist`, `MNIST/raw` |
//! | `fashion-mnist` | 60,000 + 10,000 images of 28×28 | 10 | `fashion-mnist`, `FashionMNIST/raw` |
//! | `cifar10` | 50,000 + 10,000 images of 32×32 in colour | 10 | `cifar-10-batches-bin`, `cifar-10-batches-py`, `cifar-10-binary.tar.gz`, `cifar-10-python.tar.gz` |
//! | `cifar100` | 50,000 + 10,000 images of 32×32 in colour | 100 | `cifar-100-binary`, `cifar-100-python`, `cifar-100-binary.tar.gz`, `cifar-100-python.tar.gz` |
//! | `cifar100-coarse` | the same images by superclass | 20 | `cifar-100-binary`, `cifar-100-python`, `cifar-100-binary.tar.gz`, `cifar-100-python.tar.gz` |
//! | `ag-news` | 120,000 + 7,600 texts | 4 | `ag_news`, `ag_news_csv`, `ag-news`, DIR itself |
//! | `ag-news-8` | the same texts by latent class | 8 | `ag_news`, `ag_news_csv`, `ag-news`, DIR itself |
//! | `folder` | your own images, in a folder for each class or a list | any | DIR itself |
//! | `shards` | your own images, in tar files | any | DIR itself |
//!
//! Each place is looked for under DIR, then under DIR/NAME with NAME that of the first data set of the same files; the
//! first that exists is read. Of AG News that is the first with `test.csv` and `train.csv`, or where none has it, with
//! `train_subset.csv` ([`news`]; `ag-news-8` has latent classes). MNIST's four idx files may be packed (`.gz`) or not.
//! An official archive or packed file whose MD5 is published ([`official`]) must have it.
//! `folder` and `shards` read anybody's images ([`own`]).
//!
//! Which of their samples are trained on and evaluated follows from the [`Request`], in this order:
//!
//! 1. [`EvaluateOn::Validation`]: the official training samples are trained on, the official test samples evaluated.
//!    [`EvaluateOn::Tuning`]: of the official training samples a tenth of each class is evaluated, the rest trained on.
//!    (The digits have no official parts: see [`digits`].)
//! 2. `imbalance`: of class c, ⌊n_c·ratio^(−c/(C−1))⌋ training samples stay, at least one; see [`Imbalance`]. With
//!    `evaluate_imbalanced` the evaluated samples are cut by the same rule, else they stay as they are.
//! 3. `train_samples`: that many of the remaining training samples, each class with its share, in random order.
//!
//! All choices are fixed: they depend on the samples' classes and on nothing else, in particular on no seed of a run.
//! So "10,000 training images of CIFAR-10" are the same 10,000 everywhere, and a larger subset of a balanced set
//! contains every smaller one.

pub mod ag_news;
pub mod cifar;
pub mod clusters;
pub mod digits;
pub mod idx;
mod images;
pub mod neighbours;
pub mod news;
pub mod official;
pub mod own;
pub mod registry;
mod request;
mod shuffle;
mod source;
mod subset;
mod texts;
pub mod words;

pub use images::Images;
pub use own::ImageSettings;
pub use request::{EvaluateOn, Imbalance, Request};
pub use shuffle::shuffled;
pub use texts::Texts;

use crate::error::{Error, Result};

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

    /// A checksum of the samples and their classes, in this order: what tells two data sets of one name apart.
    pub fn checksum(&self) -> u32 {
        match self {
            Self::Images(images) => images.checksum(),
            Self::Texts(texts) => texts.checksum(),
        }
    }

    /// Samples per class.
    pub fn class_counts(&self) -> Vec<u64> {
        measure::class_counts(self.labels(), self.num_classes())
    }

    /// At most so many of them, each class with its share, in random order that is always the same; all of them, as they
    /// are, where there are no more.
    ///
    /// # Errors
    /// Fewer than there are classes.
    pub fn limited(&self, most: usize) -> Result<Self> {
        if self.len() <= most { Ok(self.clone()) } else { Ok(self.subset(&subset::stratified(self, most)?)) }
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

/// (rest, tuning samples): of each class a tenth, always the same.
///
/// # Errors
/// A class of fewer than two samples.
pub fn tuning(samples: &Samples) -> Result<(Samples, Samples)> {
    let (rest, held_out) = subset::hold_out(samples.labels(), samples.num_classes())?;
    Ok((samples.subset(&rest), samples.subset(&held_out)))
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

impl From<[usize; 3]> for InputKind {
    /// Images \[height, width, channels\].
    fn from(image: [usize; 3]) -> Self {
        Self::Images(image)
    }
}

/// What is trained on and what is evaluated.
#[derive(Debug, Clone)]
pub struct Split {
    /// Training samples.
    pub train: Samples,
    /// Evaluated samples; nothing is chosen by looking at them, unless they are the tuning samples.
    pub evaluated: Samples,
}

impl Split {
    /// Checks that everything can be measured on it: to be asked before a training, which it may otherwise cost.
    ///
    /// # Errors
    /// No sample; evaluated samples of another kind, size or number of classes than training samples; classes without a
    /// training sample (there is no class mean) or without an evaluated one (the bounds speak about all classes), by
    /// name.
    ///
    /// # Examples
    /// ```
    /// use trainer::data::{Images, Samples, Split};
    /// let images = |labels| Images::new(vec![0, 255], labels, [1, 1, 1], 255, 3).map(Samples::Images);
    /// let split = Split { train: images(vec![0, 2])?, evaluated: images(vec![0, 1])? };
    /// assert_eq!(split.check().unwrap_err().to_string(), "no training sample is of class 1 (there are 3 classes)");
    /// # Ok::<(), trainer::Error>(())
    /// ```
    pub fn check(&self) -> Result<()> {
        let (train, evaluated) = (&self.train, &self.evaluated);
        if train.kind() != evaluated.kind() {
            return Err(Error::argument(format!(
                "evaluated samples are {}, training samples {}",
                evaluated.kind(),
                train.kind()
            )));
        }
        let classes = train.num_classes();
        if evaluated.num_classes() != classes {
            let of = evaluated.num_classes();
            return Err(Error::argument(format!(
                "evaluated samples are of {of} classes, training samples of {classes}"
            )));
        }
        for (what, samples) in [("training", train), ("evaluated", evaluated)] {
            if samples.is_empty() {
                return Err(Error::argument(format!("there is no {what} sample")));
            }
            if let Some(absent) = measure::absent_classes(samples.labels(), classes) {
                return Err(Error::argument(format!(
                    "no {what} sample is of {absent} (there are {classes} classes)"
                )));
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for InputKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Images([height, width, channels]) => write!(f, "images of {height}×{width}×{channels}"),
            Self::Texts { vocabulary } => write!(f, "texts of {vocabulary} words"),
        }
    }
}

/// Loads a data set by name.
///
/// # Errors
/// The name is unknown, its files are not found or not as they should be, or the request cannot be met.
///
/// # Examples
/// ```
/// use trainer::data::{Request, load};
/// let request = Request { train_samples: Some(200), ..Request::new("digits") };
/// let split = load(&request)?;
/// assert_eq!((split.train.len(), split.evaluated.class_counts()), (200, vec![45; 10]));
/// # Ok::<(), trainer::Error>(())
/// ```
pub fn load(request: &Request<'_>) -> Result<Split> {
    let set = registry::find(request.name)?;
    for (setting, given) in [
        ("validation", request.validation.is_some()),
        ("[images]", request.images != ImageSettings::default()),
    ] {
        if given && !own::is_own(set.name) {
            let message =
                format!("{setting} is a setting of dataset = folder or shards, not of {}", set.name);
            return Err(Error::argument(message));
        }
    }
    (set.load)(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(labels: &[usize], shape: [usize; 3], classes: usize) -> Samples {
        let pixels = vec![3; labels.len() * shape.iter().product::<usize>()];
        Samples::Images(Images::new(pixels, labels.to_vec(), shape, 255, classes).unwrap())
    }

    #[test]
    fn a_split_that_cannot_be_measured_says_why() {
        let square = [2, 2, 1];
        let check = |train: Samples, evaluated: Samples| match (Split { train, evaluated }).check() {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        let all = || images(&[0, 1, 2], square, 3);
        assert_eq!(check(all(), all()), "");
        assert_eq!(
            check(images(&[1], square, 3), all()),
            "no training sample is of classes 0, 2 (there are 3 classes)"
        );
        assert_eq!(
            check(all(), images(&[0, 2], square, 3)),
            "no evaluated sample is of class 1 (there are 3 classes)"
        );
        assert_eq!(check(all(), images(&[], square, 3)), "there is no evaluated sample");
        assert_eq!(
            check(all(), images(&[0, 1, 2], [1, 4, 1], 3)),
            "evaluated samples are images of 1×4×1, training samples images of 2×2×1"
        );
        assert_eq!(
            check(all(), images(&[0, 1, 2, 3], square, 4)),
            "evaluated samples are of 4 classes, training samples of 3"
        );
        let texts = Texts::new([vec![0], vec![0], vec![0]], vec![0, 1, 2], vec![String::new()].into(), 3);
        let message = check(all(), Samples::Texts(texts.unwrap()));
        assert_eq!(message, "evaluated samples are texts of 1 words, training samples images of 2×2×1");
    }
}

#[cfg(test)]
mod real_files;
