//! The bounds that connect L_Info, the contrastive loss with K negatives, to the supervised loss of the mean
//! classifier.
//!
//! Notation: z = f(a(x)) the anchor's feature, μ_c the class mean, t the temperature,
//! l_sup(z, c; Y) = −ln \[e^{z·μ_c/t} / Σ_{j∈Y} e^{z·μ_j/t}\], L_sup its mean with Y = all C classes, L_sub with
//! Y = the classes that the batch shows, Col the number of negatives of the anchor's class,
//! A = Σ_{k: c_k ≠ c} e^{z·(μ_{c_k} − μ_c)/t}, and d(f) = (1/t) E min(0, z·(μ_c − f̄(x))) ≤ 0.
//!
//! Each bound is one page of this module, with its derivation, and one entry of [`all`]. Every
//! upper bound of L_sup that is called a theorem follows from the master inequality ([`master`]):
//!
//! L_Info ≥ E ln(1 + Col + A) + d(f).
//!
//! Common conditions: the two views are independent given the image; μ_c and f̄ are population means of the same law as
//! the features, μ_c not normalised again; the negatives' views are independent of the anchor's two views given the
//! labels (negatives chosen by their similarity to the anchor are not). Positives are two views of one image, or, for
//! independent draws, two independent images of one class. "Uniform" is said of the negatives: the anchor's own law may
//! be anything.
//!
//! | key | classes of the negatives | K for the upper bound | joint law of the negatives |
//! |---|---|---|---|
//! | `master` | any | none given | any; distinct images |
//! | `curl` | any (worst anchor class) | ≥ C−1 | i.i.d., distinct images |
//! | `curl_coverage` | uniform | ≥ C−1 | i.i.d., distinct images |
//! | `nozawa_sato`, `lambda` | any (worst anchor class) | ≥ C−1 | i.i.d., distinct images |
//! | `nozawa_sato_by_class` | any | none given | i.i.d., distinct images |
//! | `submodular` | any (rarest class) | ≥ 1 | i.i.d., distinct images |
//! | `coverage_collision` | any (worst anchor class) | ≥ 1 | i.i.d., distinct images |
//! | `inverted`, `ash` | uniform | ≥ 1 | i.i.d., distinct images |
//! | `reverse_jensen`, `specht`, `specht_positive` | any (rarest class) | ≥ 1 | i.i.d., distinct images |
//! | `wang` (upper side), `van_elst` | any (rarest class) | ≥ 1 | i.i.d., distinct images |
//! | `specht_measured` | uniform | ≥ 1 | i.i.d., distinct images |
//! | `arora_pairs`: of `pair_loss`, not L_sup | uniform | ≥ 1 | i.i.d., distinct images |
//! | `bao` | uniform proved, others not | ≥ 1 | i.i.d., distinct images |
//!
//! "Distinct images" is what a shuffled loader does; the exact probabilities of that law are then used. Where a class
//! law is not uniform, the textbook factor is replaced by its smallest value over the anchor's class: the factored form
//! (υ L_sup, (1−τ) L_sup) is false then. The tests and the example `prove_bounds` check all of this by enumeration.
//!
//! # What is here, and what is not
//!
//! Every entry compares losses of one encoder, from quantities measured of that encoder. Bounds for a *class* of encoders
//! are not here, for no measurement of one run gives their complexity terms: the uniform-convergence bounds of Arora et
//! al. (ICML 2019; their Gen_M) and of Lei, Yang, Ying & Zhou (ICML 2023), and the PAC-Bayes bounds of Nozawa, Germain &
//! Guedj (UAI 2020).
//!
#![doc = include_str!("../../docs/bounds.svg")]
//!
//! # Examples
//! ```
//! use theory::losses::{Estimate, Quantity};
//! use theory::{LossComponents, NumDraws, Sampling, bounds};
//! // CIFAR-10, K+1 = 32, from the published table: L_Info = 2.02, d(f) = −1.16, t = 0.5.
//! let mut losses = LossComponents::new(10, NumDraws::new(32)?, 0.5, Sampling::WithReplacement)?;
//! losses.class_counts = Some(vec![1000; 10]);
//! losses.set(Quantity::InfoNce, Estimate::exact(2.02))?;
//! losses.set(Quantity::Gap, Estimate::exact(-1.16))?;
//! let specht = bounds::find("specht").and_then(|b| b.upper_bound(&losses).value()).unwrap();
//! assert!((specht - 2.41).abs() < 0.005); // below ln 10 would be 2.303: still vacuous here
//! # Ok::<(), theory::Error>(())
//! ```

mod anchor;
pub mod arora_pairs;
pub mod ash;
pub mod bao;
mod coefficient;
pub mod collision_term;
pub mod coverage_collision;
pub mod curl;
pub mod curl_as_published;
pub mod curl_coverage;
mod excess;
pub mod inverted;
pub mod lambda;
pub mod master;
pub mod mutual_information;
pub mod mutual_information_cap;
pub mod nozawa_sato;
pub mod nozawa_sato_as_published;
pub mod nozawa_sato_by_class;
pub mod nscl;
pub mod reverse_jensen;
pub mod slack;
pub mod specht;
pub mod specht_measured;
mod step;
pub mod submodular;
pub mod van_elst;
pub mod wang;

pub use lambda::lambda_family;
pub use specht::{ln_specht_ratio, variance_constant};
pub use step::Step;

use crate::losses::{LossComponents, Positives, Quantity};
use crate::prior::ClassPrior;
use crate::sampling::Sampling;

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
    /// Proved in its file, under the conditions that the bound checks.
    Theorem,
    /// Published, violated in no enumerated world, but not proved here; what is missing.
    Unproved(&'static str),
    /// The form of a published bound whose constants could not be verified; what is missing. Never to be read as valid.
    FormOnly(&'static str),
    /// Computed as a publication or its code does, although it is not what it is called or not proved here; why.
    AsPublished(&'static str),
}

impl Standing {
    /// One word for tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Theorem => "theorem",
            Self::Unproved(_) => "unproved",
            Self::FormOnly(_) => "form, constants unverified",
            Self::AsPublished(_) => "as published",
        }
    }

    /// What is missing; empty for a theorem.
    pub fn caveat(self) -> &'static str {
        match self {
            Self::Theorem => "",
            Self::Unproved(why) | Self::FormOnly(why) | Self::AsPublished(why) => why,
        }
    }
}

/// An upper bound of L_sup as numerator / e^`ln_denominator`.
///
/// The denominator is a probability that may lie far below the range of floats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// What was measured, in nats.
    pub numerator: f64,
    /// Logarithm of the probability that is divided by.
    pub ln_denominator: f64,
}

impl Ratio {
    /// The quotient; ±∞ where it exceeds the range of floats.
    pub fn value(self) -> f64 {
        if self.ln_denominator > -700.0 {
            return self.numerator / self.ln_denominator.exp();
        }
        self.numerator.signum() * (self.numerator.abs().ln() - self.ln_denominator).exp()
    }
}

/// A value that bounds something other than L_Info and L_sup.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// The quantity with its relation, such as `mutual information of the views ≥`.
    pub what: &'static str,
    /// The value.
    pub outcome: Outcome,
}

/// A bound that connects contrastive and supervised loss.
pub trait Bound: Sync {
    /// Short name, used in files: `info_nce_minus_<key>`.
    fn key(&self) -> &'static str;

    /// Name for tables.
    fn name(&self) -> &'static str;

    /// What it says, in one line: for independent draws, the upper bound of L_sup where there is one. Without a relation
    /// where it is computed as published. `_` and `^` begin a sub- and a superscript, of one word or in braces.
    fn formula(&self) -> &'static str;

    /// Where it is from.
    fn source(&self) -> &'static str;

    /// Under which conditions it holds, in one line.
    fn conditions(&self) -> &'static str;

    /// The quantities that the lower bound of L_Info needs; empty where there is none.
    fn lower_needs(&self) -> &'static [Quantity] {
        &[]
    }

    /// The quantities that the upper bound of L_sup needs; empty where there is none.
    fn upper_needs(&self) -> &'static [Quantity] {
        &[]
    }

    /// The quantities that the lower bound of L_sup needs; empty where there is none.
    fn supervised_lower_needs(&self) -> &'static [Quantity] {
        &[]
    }

    /// The quantities that the statement on another quantity needs.
    fn other_needs(&self) -> &'static [Quantity] {
        &[]
    }

    /// Whether it is a theorem: every side but the lower bound of L_sup, which has a standing of its own.
    fn standing(&self) -> Standing {
        Standing::Theorem
    }

    /// Whether the lower bound of L_sup is a theorem.
    fn supervised_lower_standing(&self) -> Standing {
        self.standing()
    }

    /// Lower bound of L_Info.
    fn lower_bound(&self, losses: &LossComponents) -> Outcome {
        let _ = losses;
        Outcome::NotApplicable("gives no lower bound of L_Info".into())
    }

    /// Upper bound of L_sup, over all C classes.
    fn upper_bound(&self, losses: &LossComponents) -> Outcome {
        match self.ratio(losses) {
            Some(ratio) => outcome(ratio.map(Ratio::value)),
            None => Outcome::NotApplicable("gives no upper bound of L_sup".into()),
        }
    }

    /// The upper bound of L_sup as a quotient, for the bounds that are one.
    fn ratio(&self, losses: &LossComponents) -> Option<Result<Ratio, Outcome>> {
        let _ = losses;
        None
    }

    /// The inequalities from the master inequality to the upper bound, in the order of the derivation, each with its
    /// right-hand side as far as it was measured: a lower bound of L_Info, d(f) included. The last one ends at φ(L_sup),
    /// which [`slack`] finds itself.
    fn steps(&self, losses: &LossComponents) -> Vec<(Step, Option<f64>)> {
        let _ = losses;
        vec![(Step::Rest, None)]
    }

    /// Lower bound of L_sup.
    fn supervised_lower_bound(&self, losses: &LossComponents) -> Outcome {
        let _ = losses;
        Outcome::NotApplicable("gives no lower bound of L_sup".into())
    }

    /// What the bound says about another quantity.
    fn other(&self, losses: &LossComponents) -> Option<Statement> {
        let _ = losses;
        None
    }

    /// Whether L_Info is compared with the lower bound batch by batch: for the bounds of the literature, which are
    /// linear in quantities of one batch.
    fn is_paired(&self) -> bool {
        false
    }
}

/// Every bound, in the order of tables.
pub fn all() -> &'static [&'static dyn Bound] {
    &[
        &master::Master,
        &curl::Curl,
        &curl_as_published::CurlAsPublished,
        &curl_coverage::CurlCoverage,
        &nozawa_sato::NozawaSato,
        &nozawa_sato_as_published::NozawaSatoAsPublished,
        &nozawa_sato_by_class::NozawaSatoByClass,
        &lambda::Lambda,
        &submodular::Submodular,
        &coverage_collision::CoverageCollision,
        &inverted::Inverted,
        &ash::Ash,
        &bao::Bao,
        &reverse_jensen::ReverseJensen,
        &specht::Specht { keep_positive: false },
        &specht::Specht { keep_positive: true },
        &specht_measured::SpechtMeasured,
        &wang::Wang,
        &van_elst::VanElst,
        &arora_pairs::AroraPairs,
        &collision_term::CollisionTerm { as_published: false },
        &collision_term::CollisionTerm { as_published: true },
        &nscl::NsclGap { measured: false },
        &nscl::NsclGap { measured: true },
        &mutual_information::MutualInformation,
        &mutual_information_cap::MutualInformationCap,
    ]
}

/// The bounds of [`all`] whose upper bound of L_sup is a theorem.
pub fn upper_theorems() -> impl Iterator<Item = &'static dyn Bound> {
    let is_one =
        |bound: &&dyn Bound| bound.standing() == Standing::Theorem && !bound.upper_needs().is_empty();
    all().iter().copied().filter(is_one)
}

/// The bound of this key.
pub fn find(key: &str) -> Option<&'static dyn Bound> {
    all().iter().copied().find(|bound| bound.key() == key)
}

/// Whether an upper bound of L_sup says nothing: a classifier that ignores its input reaches ln C.
pub fn is_vacuous(upper_bound: f64, num_classes: u64) -> bool {
    upper_bound > (num_classes as f64).ln()
}

/// The means of these quantities, or a sentence that names the first one that is missing.
pub(crate) fn measured<const N: usize>(
    losses: &LossComponents,
    names: [Quantity; N],
) -> Result<[f64; N], Outcome> {
    if losses.positives == Positives::SameClass && losses.sampling == Sampling::WithoutReplacement {
        // Negatives of the anchor's class then leave out an image that the positive may show: the master inequality
        // fails.
        return Err(Outcome::NotApplicable("positives of the same class need independent draws".into()));
    }
    let mut values = [0.0; N];
    for (value, name) in values.iter_mut().zip(names) {
        *value = losses.get(name).ok_or_else(|| Outcome::NotApplicable(format!("needs {name}")))?;
    }
    Ok(values)
}

/// What an upper bound of L_sup is added from, as [`measured`], the first of them, L_Info, raised by [`ROUNDING`] of the
/// sizes of all.
///
/// Where L_sup is far below L_Info its bound is a difference of nearly equal numbers: at t = 0.02, C = 10 and K = 31 the
/// optimum has L_sup = 7e-24 and L_Info − E ln(1+Col) of that size, beside L_Info = 1.3. Rounded this way, a bound that
/// is evaluated on exact components is never below the L_sup that it bounds, nor undefined.
fn measured_upwards<const N: usize>(
    losses: &LossComponents,
    names: [Quantity; N],
) -> Result<[f64; N], Outcome> {
    let mut values = measured(losses, names)?;
    values[0] += ROUNDING * values.iter().map(|value| value.abs()).sum::<f64>();
    Ok(values)
}

/// Relative accuracy of exact components ([`crate::optimum::simplex_components`]), far below any sampling error.
const ROUNDING: f64 = 2e-13;

/// The evaluated prior, of at least 2 classes, with at least 1 negative.
pub(crate) fn prior_of(losses: &LossComponents) -> Result<ClassPrior, Outcome> {
    let prior = losses.prior().ok_or_else(|| Outcome::NotApplicable("needs class_counts".into()))?;
    if losses.num_classes < 2 || losses.num_draws.negatives().get() == 0 {
        let (classes, negatives) = (losses.num_classes, losses.num_draws.negatives());
        return Err(Outcome::NotApplicable(format!(
            "needs at least 2 classes and 1 negative, got C = {classes} and K = {negatives}"
        )));
    }
    if prior.num_classes() != losses.num_classes {
        let (counts, classes) = (prior.num_classes(), losses.num_classes);
        return Err(Outcome::NotApplicable(format!("{counts} class_counts where num_classes is {classes}")));
    }
    losses.sampling.check(&prior, losses.num_draws)?;
    Ok(prior)
}

/// The evaluated prior, where it is uniform.
fn uniform_prior(losses: &LossComponents) -> Result<ClassPrior, Outcome> {
    let prior = prior_of(losses)?;
    if !prior.is_uniform() {
        return Err(Outcome::NotApplicable("needs equally frequent classes".into()));
    }
    Ok(prior)
}

/// Checks that the classes of the evaluated set are equally frequent.
pub(crate) fn check_uniform(losses: &LossComponents) -> Result<(), Outcome> {
    uniform_prior(losses).map(|_| ())
}

/// Checks K ≥ C−1: with fewer negatives no batch shows every class.
fn check_can_cover(losses: &LossComponents) -> Result<(), Outcome> {
    let (negatives, classes) = (losses.num_draws.negatives(), losses.num_classes);
    if negatives.get() + 1 < classes {
        return Err(Outcome::NotApplicable(format!(
            "needs K ≥ C−1 negatives, got K = {negatives} and C = {classes}: υ = 0"
        )));
    }
    Ok(())
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

#[cfg(test)]
mod formula_tests;
#[cfg(test)]
mod tests;
