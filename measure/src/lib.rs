//! Features of any encoder to the quantities that the bounds need: one row of `losses.csv` for each number of draws.
//!
//! # The measurement
//!
//! An encoder gives two views z, z⁺ \[N, d\] of N samples of C classes, unit rows. Batches of n = K+1 samples are drawn
//! without replacement; in each, view 1 of a sample is the anchor, view 2 of the same sample its positive, view 2 of
//! the other n−1 its K negatives. At temperature t the contrastive loss is
//!
//! L_Info = mean over anchors of −ln( e^{z·z⁺/t} / Σ_k e^{z·z_k/t} ), k over view 2 of the batch,
//!
//! and the losses of the mean classifier, with μ_c the mean feature of class c (not normalised again) and a the
//! anchor's class, are l_sup = ln Σ_c e^{z·(μ_c − μ_a)/t} over all classes, over those of the batch (`joint_…`), or
//! with each class as often as the batch has it (`master_term`). All are in nats. `theory::losses::Quantity` names
//! every column.
//!
//! # From features to a row
//!
//! [`Features::read`] takes a file of another program, [`Features::new`] arrays at hand, [`Features::measure`] gives an
//! [`EvaluatedRun`], and [`EvaluatedRun::write`] its files. The program `measure` is these three calls ([`cli`]);
//! `trainer measure` makes features of a network first and then calls the same functions.
//!
//! ```
//! use measure::features::{Features, Request};
//! use measure::matrix::Matrix;
//! use theory::NumDraws;
//! use theory::losses::Quantity;
//!
//! // Two classes of two samples, each class on an axis: its own mean.
//! let view = Matrix { rows: 4, cols: 2, data: vec![1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0] };
//! let features = Features::new(view.clone(), view, vec![0, 0, 1, 1], None, None)?;
//! let draws = vec![NumDraws::new(2)?];
//! let row = &features.measure("axes", &Request::new(draws, 1.0), &measure::never)?.rows[0];
//! // Of the three other samples, one is of the anchor's class.
//! let is = |quantity, value: f64| row.get(quantity).is_some_and(|found| (found - value).abs() < 1e-15);
//! assert!(is(Quantity::CollisionExact, 1.0 / 3.0));
//! assert!(is(Quantity::MeanAccuracy, 1.0));
//! // ln(e^0 + e^{−1}) for every anchor, whatever the batch.
//! assert!(is(Quantity::FullSupLoss, (1.0 + (-1f64).exp()).ln()));
//! # Ok::<(), measure::Error>(())
//! ```
//!
//! # The parts
//!
//! - [`components()`]: the terms of the bounds on batches of n samples, and the same without the chance of the batches
//!   (`…_rao_blackwell`; [`variance_ratios`] says what that saves); [`Accumulator`] takes batches of one's own choice;
//! - [`mean_accuracy`], [`mean_accuracy_two_views`], [`LinearProbe`], [`linear_accuracy_sgd`], [`Knn`]: simple
//!   classifiers, as shares in \[0, 1\];
//! - [`collision_spread`], [`collision_by_class`]: the spread of features within classes;
//! - [`moments`]: bounds of two classifiers' errors from means and variances within classes;
//! - [`geometry()`]: alignment, uniformity, effective rank, RankMe;
//! - [`image_errors`]: how far a column moves with other images of the same law;
//! - [`Picture`]: where features lie, by principal components and by t-SNE;
//! - [`contrastive`]: InfoNCE and its relatives with gradients, as references for a training loop;
//! - [`difficulty`]: which negatives are hard: of the same class, for every query, of similar classes;
//! - [`input`]: files of other people, opened with care;
//! - [`matrix`], [`mod@gemm`], [`pool`], [`rng`]: row-major matrices, the one place that multiplies, chunks on threads,
//!   one random stream a purpose.
//!
//! # Accuracy and cost
//!
//! Features are read exactly and everything after is f64; on common features every column is within 1e-6 of an
//! independent program in numpy (`tests/oracle`). Exponentials are taken relative to the largest of their row, so that
//! no temperature overflows whose losses a double can hold. Standard errors are those of batch means given the
//! evaluated images; errors over images are those of [`image_errors`].
//!
//! Everything runs on the current rayon pool in chunks whose bounds depend on shapes alone: 50,000 training and 10,000
//! evaluated samples need little memory beside their features, and the number of threads changes no bit. A file of a
//! million features is read in its own type, by runs of rows ([`FeatureRows`], [`features::Store`]). What takes long
//! takes a [`Stop`], a function that says between the chunks whether to give up; [`&never`](never()) never does.

// It panics where standard error is closed or full; `theory::terminal::say` does not.
#![warn(clippy::print_stderr)]

mod batch;
mod classifiers;
pub mod cli;
mod collision;
mod components;
mod conditional;
pub mod contrastive;
pub mod difficulty;
pub mod error;
mod evaluation;
pub mod features;
pub mod gemm;
mod geometry;
pub mod image_errors;
pub mod input;
pub mod matrix;
pub mod moments;
mod neighbours;
mod outcome;
mod picture;
pub mod pool;
mod probe;
mod probe_sgd;
pub mod rng;
mod rows;

pub use classifiers::{Classifiers, class_means, mean_accuracy, mean_accuracy_two_views};
pub use collision::{
    CollisionByClass, Distribution, QUANTILES, collision_by_class, collision_figure, collision_spread,
    collision_table,
};
pub use components::{Accumulator, components};
pub use conditional::{MOST_TERMS, variance_ratios};
pub use error::{Error, Result};
pub use evaluation::{Evaluation, Views, passes_for};
pub use features::Features;
pub use geometry::{Geometry, geometry};
pub use neighbours::Knn;
pub use outcome::EvaluatedRun;
pub use picture::{MOST_DRAWN, Picture};
pub use pool::{Stop, never};
pub use probe::{FittedProbe, LinearProbe, MOST_PASSES, PROBE_TOLERANCE, Ridge};
pub use probe_sgd::{SgdProbe, linear_accuracy_sgd};
pub use rows::FeatureRows;

/// Samples of each class below `num_classes`; labels beyond are of none of them, and count nowhere.
///
/// # Examples
/// ```
/// assert_eq!(measure::class_counts(&[0, 2, 2, 7], 3), [1, 0, 2]);
/// ```
pub fn class_counts(labels: &[usize], num_classes: usize) -> Vec<u64> {
    let mut counts = vec![0; num_classes];
    for &label in labels {
        if let Some(count) = counts.get_mut(label) {
            *count += 1;
        }
    }
    counts
}

/// A label for each of so many samples, each below C.
///
/// # Errors
/// Another number of labels; a label of `num_classes` or more. Both say which.
pub(crate) fn check_labels(samples: usize, labels: &[usize], num_classes: usize) -> Result<()> {
    if samples != labels.len() {
        return Err(Error::argument(format!("{samples} samples have {} labels", labels.len())));
    }
    match labels.iter().position(|&label| label >= num_classes) {
        Some(place) => {
            let class = labels[place];
            Err(Error::argument(format!("label {place} is {class}, not below C = {num_classes}")))
        }
        None => Ok(()),
    }
}

/// Classes below `num_classes` that no label names, in words, the first ten of them; `None`: every class has a sample.
///
/// A class mean, and with it every bound, needs a sample of each.
///
/// # Examples
/// ```
/// assert_eq!(measure::absent_classes(&[0, 2, 2], 4).as_deref(), Some("classes 1, 3"));
/// assert_eq!(measure::absent_classes(&[0, 1], 2), None);
/// ```
pub fn absent_classes(labels: &[usize], num_classes: usize) -> Option<String> {
    /// So many are named.
    const NAMED: usize = 10;
    let mut seen = vec![false; num_classes];
    for &label in labels {
        if let Some(seen) = seen.get_mut(label) {
            *seen = true;
        }
    }
    let absent: Vec<usize> = (0..num_classes).filter(|&class| !seen[class]).collect();
    let named: Vec<String> = absent.iter().take(NAMED).map(usize::to_string).collect();
    let more =
        if absent.len() > NAMED { format!(" and {} more", absent.len() - NAMED) } else { String::new() };
    match absent.len() {
        0 => None,
        1 => Some(format!("class {}", named[0])),
        _ => Some(format!("classes {}{more}", named.join(", "))),
    }
}
