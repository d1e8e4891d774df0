//! Certificates of the mean classifier's error: what measured losses and moments prove about how often it is wrong.
//!
//! Notation of [`bounds`]: z the anchor's feature, c its class, s_j = z·(μ_j − μ_c)/t, w_j = e^{s_j}, l_sup = ln(1 +
//! Σ_{j≠c} w_j). The classifier argmax_j z·μ_j errs where some j ≠ c has s_j ≥ 0, ties included: the temperature of the
//! measurement is not the classifier's, so that a certificate may be sought at any t, and at any K.
//!
//! | key | from | says |
//! |---|---|---|
//! | `contrastive` | L_Info, d(f) | an error costs ln(1 + Col + N_j) at least in the master inequality |
//! | `contrastive_margin` | L_Info, d(f), `mean_margin` | the same, the other classes at their mean logit |
//! | `upper_bound` | the least upper bound of L_sup | an error costs ln 2 at least |
//! | `upper_bound_margin` | the same, `mean_margin` | the same, the other classes at their mean logit |
//! | `supervised`, `supervised_margin` | L_sup as measured | as the two above |
//! | `supervised_odds` | E e^{l_sup} − 1 | Markov |
//! | `cantelli` | means and variances of features | Cantelli |
//! | `directional` | second moments of features | Chebyshev; the classifier is the nearest class mean |
//!
//! The first four say what the contrastive loss proves ([`Evidence::Contrastive`]); the next three are statements about a
//! classifier whose logits are known with the classes ([`Evidence::Supervised`]), the last two about its features
//! ([`Evidence::Moments`]). `contrastive*` inherit the conditions of the master inequality (see [`bounds`]), `upper_bound*`
//! those of the bound that they start from; the others hold for the samples that were measured, whatever they are.
//!
//! A certificate is a function of one row. It does not fall where `info_nce`, `full_sup_loss`, `supervised_odds` or
//! `mean_margin` rises, nor where `gap` falls: upper confidence limits of the former and a lower one of the latter give a
//! certificate with confidence. A value of 1 or more says nothing; it says by how much the loss is too large.
//!
//! # Examples
//! ```
//! use theory::losses::{Estimate, Quantity};
//! use theory::{LossComponents, NumDraws, Sampling, certificates};
//! // Two classes, one negative: L_Info ≥ ½ ln 2 + error · ½ ln 2, so that L_Info = 0.4 leaves an error of at most 0.154.
//! let mut losses = LossComponents::new(2, NumDraws::new(2)?, 0.1, Sampling::WithReplacement)?;
//! losses.class_counts = Some(vec![50, 50]);
//! losses.set(Quantity::InfoNce, Estimate::exact(0.4))?;
//! losses.set(Quantity::Gap, Estimate::exact(0.0))?;
//! let error = certificates::find("contrastive").and_then(|c| c.error_bound(&losses).value()).unwrap();
//! assert!((error - (0.8 / 2f64.ln() - 1.0)).abs() < 1e-8);
//! # Ok::<(), theory::Error>(())
//! ```

mod contrastive;
mod knapsack;
mod logits;
mod measured;
pub mod power_mean;
mod supervised;

use crate::bounds::{self, Bound, Outcome, Standing};
use crate::losses::{LossComponents, Quantity};

/// What a certificate is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// The contrastive loss, with d(f) and class frequencies, and at most the mean margin beside them.
    Contrastive,
    /// The classifier's own logits, with the classes.
    Supervised,
    /// Moments of the features in each class.
    Moments,
}

impl Evidence {
    /// For tables: what the certificate is drawn from.
    pub fn name(self) -> &'static str {
        match self {
            Self::Contrastive => "L_Info",
            Self::Supervised => "L_sup itself",
            Self::Moments => "moments",
        }
    }
}

/// An upper bound of the error of a classifier by class means.
pub trait Certificate: Sync {
    /// Short name, used in files.
    fn key(&self) -> &'static str;

    /// Name for tables.
    fn name(&self) -> &'static str;

    /// Where it is from.
    fn source(&self) -> &'static str;

    /// Under which conditions it holds, in one line.
    fn conditions(&self) -> &'static str;

    /// What it is drawn from.
    fn evidence(&self) -> Evidence;

    /// The quantities that it needs; those of the bound it starts from are not among them.
    fn needs(&self) -> &'static [Quantity];

    /// Whether it starts from the [`least_upper_bound`] of L_sup.
    fn starts_from_bound(&self) -> bool {
        false
    }

    /// All quantities that its value for this row rests on.
    fn all_needs(&self, losses: &LossComponents) -> Vec<Quantity> {
        let bound = self.starts_from_bound().then(|| least_upper_bound(losses)).flatten();
        [self.needs(), bound.map_or(&[][..], |(bound, _)| bound.upper_needs())].concat()
    }

    /// Whether it is a theorem.
    fn standing(&self) -> Standing {
        Standing::Theorem
    }

    /// The error as it was measured, of the classifier and the samples that the certificate is about.
    fn measured_error(&self, losses: &LossComponents) -> Option<f64> {
        let of_samples = || losses.get(Quantity::MeanAccuracy).map(|accuracy| 1.0 - accuracy);
        losses.get(Quantity::AnchorError).or_else(of_samples)
    }

    /// Upper bound of the error, a share; 1 or more where it says nothing.
    fn error_bound(&self, losses: &LossComponents) -> Outcome;
}

/// Every certificate, in the order of tables.
pub fn all() -> &'static [&'static dyn Certificate] {
    &[
        &contrastive::Contrastive { margin: false },
        &contrastive::Contrastive { margin: true },
        &supervised::Supervised { measured: false, margin: false },
        &supervised::Supervised { measured: false, margin: true },
        &supervised::Supervised { measured: true, margin: false },
        &supervised::Supervised { measured: true, margin: true },
        &measured::Measured(measured::Kind::Odds),
        &measured::Measured(measured::Kind::Cantelli),
        &measured::Measured(measured::Kind::Directional),
    ]
}

/// The certificate of this key.
pub fn find(key: &str) -> Option<&'static dyn Certificate> {
    all().iter().copied().find(|certificate| certificate.key() == key)
}

/// The least upper bound of L_sup among [`bounds::upper_theorems`], and which it is.
pub fn least_upper_bound(losses: &LossComponents) -> Option<(&'static dyn Bound, f64)> {
    let values =
        bounds::upper_theorems().filter_map(|bound| Some((bound, bound.upper_bound(losses).value()?)));
    values.filter(|(_, value)| !value.is_nan()).min_by(|(_, a), (_, b)| a.total_cmp(b))
}

/// The error of a classifier that ignores its input and names the most frequent class: 1 − max_c π_c, 1 − 1/C where the
/// frequencies are not known.
pub fn chance_error(losses: &LossComponents) -> f64 {
    let largest = losses.prior().map(|prior| prior.groups()[0].probability);
    1.0 - largest.unwrap_or(1.0 / losses.num_classes as f64)
}

#[cfg(test)]
mod tests;
