//! Features that any program made, and everything that is measured from them.
//!
//! A file is `.npz` (as `numpy.savez` and `numpy.savez_compressed` write it) or safetensors, or each array is a `.npy`;
//! `docs/features.md` shows how to make one. Arrays: `view1` \[N, d\], `view2` \[N, d\], `labels` \[N\]; optional `train` \[M, d\] with
//! `train_labels` \[M\] (class means; else both views), `mean` \[N, d\] (f̄ of each sample over more views; else the
//! other view alone, which makes d(f) conservative). Rows of views and `train` are normalised on reading; class means
//! and f̄ are not normalised again.
//!
//! Features at hand are matrices of f64 ([`Features::new`], [`Features::read`]); those that a program measures stay in
//! their file or in its type ([`Features::open`], [`Store`]), so that a million of them need little memory beside it.
//! Both give the same bits.

mod arrays;
mod bytes;
mod decode;
mod measuring;
mod pairs;
mod reading;
mod store;
#[cfg(test)]
mod tests;

use crate::classifiers::Classifiers;
use crate::matrix::Matrix;
use theory::NumDraws;

pub use pairs::MOST_PAIRED;
pub(crate) use pairs::most_of_class;
pub use store::Store;

/// Features of N samples in two views, kept as `F`.
#[derive(Debug, Clone)]
pub struct Features<F = Matrix> {
    /// View 1 \[N, d\], unit rows: the anchors.
    pub view1: F,
    /// View 2 \[N, d\], unit rows: positives and negatives.
    pub view2: F,
    /// Class of each sample, from 0.
    pub labels: Vec<usize>,
    /// Training features \[M, d\] (unit rows) and their classes.
    pub train: Option<(F, Vec<usize>)>,
    /// f̄ of each sample \[N, d\], as given.
    pub mean: Option<F>,
    /// C: one more than the largest label.
    pub num_classes: usize,
}

/// How features are measured: a row for each number of draws and each temperature.
#[derive(Debug, Clone)]
pub struct Request {
    /// n = K+1.
    pub draws: Vec<NumDraws>,
    /// t; the batches of a number of draws are the same at each.
    pub temperatures: Vec<f64>,
    /// Passes over the samples; `None`: as many as make 100 batches.
    pub passes: Option<usize>,
    /// Of the order of the samples, from which batches are cut.
    pub seed: u64,
    /// The linear probe and the nearest neighbours, which features with training samples get.
    pub classifiers: Classifiers,
    /// Of more samples than this, a random part of so many stands for all in the columns over all pairs: both
    /// uniformities, and the spread within classes (there where Σ n_c² is above its square, ⌊`most_paired`/√C⌋ of a
    /// class, each class with its share of all samples). No error is stated of what drawing adds to the spread. `None`:
    /// all, however many there are.
    pub most_paired: Option<usize>,
}

impl Request {
    /// At one temperature, with batches of seed 7, and all else as it is unless asked for: 100 batches, the default
    /// classifiers, pairs of [`MOST_PAIRED`] samples.
    pub fn new(draws: Vec<NumDraws>, temperature: f64) -> Self {
        let (passes, classifiers) = (None, Classifiers::default());
        Self {
            draws,
            temperatures: vec![temperature],
            passes,
            seed: 7,
            classifiers,
            most_paired: Some(MOST_PAIRED),
        }
    }
}
