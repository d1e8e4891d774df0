//! The bounds that connect L_Info, the contrastive loss with K negatives, to the supervised loss of the mean classifier.
//!
//! Notation: z = f(a(x)) the anchor's feature, μ_c the class mean, t the temperature,
//! l_sup(z, c; Y) = −ln \[e^{z·μ_c/t} / Σ_{j∈Y} e^{z·μ_j/t}\], L_sup its mean with Y = all C classes, L_sub with
//! Y = the classes that the batch shows, Col the number of negatives of the anchor's class, and
//! d(f) = (1/t) E min(0, z·(μ_c − f̄(x))) ≤ 0.
//!
//! Each bound is one file and one entry of [`all`].

mod curl;
mod curl_as_published;
mod master;
mod nozawa_sato;

use crate::losses::{LossComponents, Measure};
use crate::prior::ClassPrior;

/// What evaluating one side of a bound gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The value, in nats.
    Value(f64),
    /// The formula divides by zero here; why.
    Undefined(String),
    /// The bound says nothing about this measurement; why.
    NotApplicable(String),
}

impl Outcome {
    /// The value, if there is one.
    pub fn value(&self) -> Option<f64> {
        if let Self::Value(value) = self { Some(*value) } else { None }
    }

    /// Why there is no value; empty where there is one.
    pub fn reason(&self) -> &str {
        match self {
            Self::Value(_) => "",
            Self::Undefined(reason) | Self::NotApplicable(reason) => reason,
        }
    }
}

/// Whether a bound is a theorem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Proved under the conditions that the bound checks.
    Theorem,
    /// Computed as a publication or its code does, although it is not what it is called; why.
    AsPublished(&'static str),
}

/// A bound that connects contrastive and supervised loss.
pub trait Bound: Sync {
    /// Short name, used in files: `info_nce_minus_<key>`.
    fn key(&self) -> &'static str;

    /// Name for tables.
    fn name(&self) -> &'static str;

    /// Where it is from.
    fn source(&self) -> &'static str;

    /// Whether it is a theorem.
    fn standing(&self) -> Standing {
        Standing::Theorem
    }

    /// Lower bound of L_Info.
    fn lower_bound(&self, losses: &LossComponents) -> Outcome;

    /// Upper bound of L_sup, over all C classes.
    fn upper_bound(&self, losses: &LossComponents) -> Outcome;
}

/// Every bound, in the order of tables.
pub fn all() -> &'static [&'static dyn Bound] {
    &[&master::Master, &curl::Curl, &curl_as_published::CurlAsPublished, &nozawa_sato::NozawaSato]
}

/// The bound of this key.
pub fn find(key: &str) -> Option<&'static dyn Bound> {
    all().iter().copied().find(|bound| bound.key() == key)
}

/// `numerator` / e^`ln_denominator`, also where the denominator is below the range of floats; ±∞ where the quotient is above.
fn quotient(numerator: f64, ln_denominator: f64) -> f64 {
    if ln_denominator > -700.0 {
        return numerator / ln_denominator.exp();
    }
    numerator.signum() * (numerator.abs().ln() - ln_denominator).exp()
}

/// Whether an upper bound of L_sup says nothing: a classifier that ignores its input reaches ln C.
pub fn is_vacuous(upper_bound: f64, num_classes: u64) -> bool {
    upper_bound > (num_classes as f64).ln()
}

/// The means of these measures, or a sentence that names the first one that is missing.
fn measured<const N: usize>(losses: &LossComponents, names: [Measure; N]) -> Result<[f64; N], Outcome> {
    let mut values = [0.0; N];
    for (value, name) in values.iter_mut().zip(names) {
        *value = losses.get(name).ok_or_else(|| Outcome::NotApplicable(format!("needs {name}")))?;
    }
    Ok(values)
}

/// The evaluated prior, where it is uniform.
fn uniform_prior(losses: &LossComponents) -> Result<ClassPrior, Outcome> {
    let prior = losses.prior().ok_or_else(|| Outcome::NotApplicable("needs class_counts".into()))?;
    if !prior.is_uniform() {
        return Err(Outcome::NotApplicable("needs equally frequent classes".into()));
    }
    Ok(prior)
}

/// The value of a computation that may stop with an outcome of its own.
fn outcome(computed: Result<f64, Outcome>) -> Outcome {
    computed.map_or_else(|outcome| outcome, Outcome::Value)
}

impl From<crate::Error> for Outcome {
    fn from(error: crate::Error) -> Self {
        Self::NotApplicable(error.to_string())
    }
}
