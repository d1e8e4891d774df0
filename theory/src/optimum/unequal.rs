//! Everything that the bounds measure at a solution of the Gram program, as a row of `losses.csv`: the counterpart of
//! [`simplex_components`](super::simplex_components) for any prior.
//!
//! With one vector per class, of Gram matrix G, an anchor of class c has l_sup,c = ln Σ_j e^{(G_cj − 1)/t} whatever its
//! negatives are, d(f) = 0, and the master inequality is an equality. Given the anchor's class, cover and collision are
//! events of the negatives' labels alone:
//!
//! E\[1{cover} l_sup\] = Σ_c π_c P(cover | c) l_sup,c, E\[1{Col=0} 1{cover} l\] = Σ_c π_c P(Col = 0 and cover | c) l_sup,c,
//!
//! and the losses over the classes that a batch shows are those of `shown`.
//!
//! Source: derived here from the definitions.

use super::components::Collapsed;
use super::gram::Solution;
use super::shown::Shown;
use crate::coverage;
use crate::error::{Error, Result};
use crate::losses::LossComponents;
use crate::prior::ClassPrior;
use crate::sampling::{NumNegatives, Sampling};

/// The measurement of an encoder with the Gram matrix of `solution`, with K i.i.d. negatives, exactly.
///
/// `run.encoder` is "gram optimum". The values are those of this matrix, so that every bound applies to it whether the
/// program converged or not. Absolute error of the sub-class losses below 1e-13, relative error of the others below
/// 1e-13. Cost: two coverage probabilities and some 100 × 20 × g products for each of g distinct class sizes.
///
/// # Errors
/// As for [`solve`](super::gram::solve) of the same arguments; a prior of fewer than 2 classes or without counts; a
/// solution for another number of distinct class sizes.
///
/// # Examples
/// ```
/// use theory::losses::Quantity;
/// use theory::{ClassPrior, NumNegatives, bounds, optimum};
/// let (prior, k) = (ClassPrior::from_counts(vec![3, 1])?, NumNegatives::new(1)?);
/// let solution = optimum::gram::solve(&prior, k, 1.0, &optimum::gram::Options::default())?;
/// let losses = optimum::gram_components(&prior, k, 1.0, &solution)?;
/// // Antipodal vectors; a negative is of the other class with probability 2 · 3/4 · 1/4.
/// let sup = (-2.0f64).exp().ln_1p();
/// assert!((losses.get(Quantity::JointSupLoss).unwrap() - 0.375 * sup).abs() < 1e-7);
/// let submodular = bounds::find("submodular").and_then(|b| b.upper_bound(&losses).value()).unwrap();
/// assert!(submodular >= losses.get(Quantity::FullSupLoss).unwrap());
/// # Ok::<(), theory::Error>(())
/// ```
pub fn gram_components(
    prior: &ClassPrior,
    num_negatives: NumNegatives,
    temperature: f64,
    solution: &Solution,
) -> Result<LossComponents> {
    super::check(num_negatives, temperature)?;
    let (groups, counts) = (prior.groups(), prior.counts());
    let Some(counts) = counts.filter(|counts| counts.len() > 1) else {
        return Err(Error::argument("the bounds need the counts of at least 2 classes"));
    };
    if solution.gram.groups != groups.len() {
        return Err(Error::argument(format!(
            "a solution for {} distinct class sizes where there are {}",
            solution.gram.groups,
            groups.len()
        )));
    }
    let (draws, iid) = (num_negatives.draws(), Sampling::WithReplacement);
    let covers = coverage::given_anchor(prior, iid, draws)?;
    let covers_alone = coverage::given_anchor_alone(prior, iid, draws)?;
    let shown = Shown::new(prior, num_negatives.get());
    let classes = prior.num_classes() as f64;
    let (mut supervised, mut joint_sup, mut joint, mut curl_sup, mut curl) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let (mut variance, mut pair_loss, mut of_group) = (0.0, 0.0, Vec::with_capacity(groups.len()));
    for (a, group) in groups.iter().enumerate() {
        let weights: Vec<f64> =
            (0..groups.len()).map(|b| ((solution.gram.between(a, b) - 1.0) / temperature).exp()).collect();
        let others = |b: usize| (groups[b].multiplicity - u64::from(a == b)) as f64;
        let sum: f64 = (0..groups.len()).map(|b| others(b) * weights[b]).sum();
        let (loss, mass) = (sum.ln_1p(), group.multiplicity as f64 * group.probability);
        let over_shown = shown.given(a, &weights);
        let (covered, covered_alone) = (covers[a].value() * loss, covers_alone[a].value() * loss);
        let alone = (num_negatives.get() as f64 * group.ln_others()).exp() * loss;
        supervised += mass * loss;
        // What a batch shows costs at least what those that cover do, and at most what all classes do.
        joint_sup += mass * covered;
        joint += mass * over_shown.all.min(loss).max(covered);
        curl_sup += mass * covered_alone;
        curl += mass * over_shown.alone.min(alone).max(covered_alone);
        let pairs: f64 = (0..groups.len()).map(|b| others(b) * weights[b].ln_1p()).sum();
        pair_loss += mass * pairs / (classes - 1.0);
        // Var_j(e^{s_j})/(mean_j e^{s_j})², j uniform over the classes.
        let mean = (1.0 + sum) / classes;
        let spread = (0..groups.len()).map(|b| others(b) * (weights[b] - mean).powi(2)).sum::<f64>();
        variance += mass * ((1.0 - mean).powi(2) + spread) / (classes * mean * mean);
        of_group.push(loss);
    }
    let group_of = |&count: &u64| groups.iter().position(|group| group.count == Some(count)).unwrap_or(0);
    Collapsed {
        name: "gram",
        loss: solution.optimum.loss,
        accuracy: solution.optimum.accuracy,
        class_sup_loss: counts.iter().map(|count| of_group[group_of(count)]).collect(),
        supervised,
        joint_sup,
        joint_sub: joint - joint_sup,
        curl_sup,
        curl,
        pair_loss,
        logit_variance: variance,
    }
    .row(prior, num_negatives, temperature)
}
