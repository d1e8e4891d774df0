//! Where the slack of an upper bound is: the inequalities from L_Info down to L_sup, and what each costs here.
//!
//! An upper bound U of L_sup is U(L_Info), with U an increasing function that has the other measured columns as
//! constants. It is the inverse of a lower bound φ of L_Info, U(φ(L_sup)) = L_sup, which is proved by a chain of
//! inequalities
//!
//! L_Info = Q_0 ≥ Q_1 ≥ … ≥ Q_m = φ(L_sup).
//!
//! Step i costs Q_{i−1} − Q_i nats of L_Info, and U(Q_{i−1}) − U(Q_i) nats of L_sup: by so much the bound falls where
//! L_Info is Q_i instead of Q_{i−1}. The latter add up to U(L_Info) − L_sup, the slack, whatever is in the columns. U
//! increases, so that both are at least 0 wherever the step is a theorem and the columns are expectations; class means
//! of training images, f̄ of a few views, and means over batches can make a small step negative, and that is shown.
//!
//! **The steps common to all** are those of the master inequality ([`master`](super::master)):
//!
//! 1. Q_1 = E ln(1 + Σ_k e^{(z·z_k − z·f̄(x))/t}), `info_nce_mean_positive`: Jensen over the positive's view given the
//!    anchor, its image and all negatives. Where f̄(x) is the other view itself, Q_1 is Q_0 by construction, and the
//!    third step has its cost: d(f) is then that of single views.
//! 2. Q_2 = E ln(1 + Σ_k e^{z·(m_k − f̄(x))/t}), `info_nce_mean_negatives`: Jensen over the negatives' images and views
//!    given the anchor, its image and all labels. m_k is the mean of what negative k can then show: μ of its class; but
//!    in batches of distinct images, of the anchor's own class of m images, (m μ_c − f̄(x))/(m−1), the mean of the
//!    others. (With class means from training images it is that only up to their own error.)
//! 3. Q_3 = E ln(1 + Col + A) + d(f), `master_term` + `gap`: ln(1 + B e^{−s}) falls with s at a slope of at most 1.
//!    Pointwise, for the mean m_k of distinct images too, as `master` shows. Where m_k = μ and x = z·(f̄(x) − μ_c)/t ≥ 0
//!    it costs ln(1 + (e^x − 1)/(1 + Col + A)): little where there are many negatives.
//!
//! The steps from Q_3 to φ(L_sup) are the bound's own, [`Bound::steps`]; each is one inequality of the derivation on
//! the bound's page. Where a column between two steps was not measured, or U has no value there, the two are one.
//!
//! **Sampling error.** Every Q is a mean over batches. [`errors`] is an upper estimate of the standard error of a step:
//! the sum over columns of what one standard error of that column changes. Columns of one run are measured on the same
//! batches and their errors cancel in large part, but by how much is not stored.
//!
//! Source: derived here.
//!
//! # Examples
//! ```
//! use theory::bounds::{self, slack};
//! use theory::losses::{Estimate, Quantity};
//! use theory::{LossComponents, NumDraws, Sampling};
//! let mut losses = LossComponents::new(2, NumDraws::new(2)?, 1.0, Sampling::WithReplacement)?;
//! losses.class_counts = Some(vec![1, 1]);
//! for (measure, value) in [
//!     (Quantity::InfoNce, 0.7),
//!     (Quantity::MasterTerm, 0.6),
//!     (Quantity::Gap, 0.0),
//!     (Quantity::JointSupLoss, 0.25),
//!     (Quantity::JointSubLoss, 0.0),
//!     (Quantity::FullSupLoss, 0.5),
//! ] {
//!     losses.set(measure, Estimate::exact(value))?;
//! }
//! // L_sup ≤ L_Info/½ = 1.4. Of the 0.9 nats of slack 0.2 are lost before the class means, 0.7 by dropping collisions.
//! let slack = slack::of(bounds::find("submodular").unwrap(), &losses).unwrap();
//! let steps: Vec<f64> = slack.links.iter().map(|link| link.supervised).collect();
//! assert!((slack.bound - 1.4).abs() < 1e-12 && steps.len() == 3);
//! assert!((steps[0] - 0.2).abs() < 1e-12 && (steps[1] - 0.7).abs() < 1e-12 && steps[2].abs() < 1e-12);
//! # Ok::<(), theory::Error>(())
//! ```

use super::{Bound, Outcome, Standing, Step};
use crate::losses::{Estimate, LossComponents, Quantity};

/// What lies between two neighbours of the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The inequality; several where no column stands between them.
    pub steps: Vec<Step>,
    /// Q_{i−1} − Q_i, in nats of L_Info.
    pub info_nce: f64,
    /// U(Q_{i−1}) − U(Q_i), in nats of L_sup.
    pub supervised: f64,
}

impl Link {
    /// The names of its steps.
    pub fn name(&self) -> String {
        self.steps.iter().map(|step| step.name()).collect::<Vec<_>>().join(" + ")
    }
}

/// The chain of one bound on one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Slack {
    /// L_Info.
    pub info_nce: f64,
    /// U(L_Info), the bound.
    pub bound: f64,
    /// L_sup as measured.
    pub supervised: f64,
    /// φ(L_sup): the L_Info at which the bound would be L_sup.
    pub least_info_nce: f64,
    /// From L_Info down to φ(L_sup).
    pub links: Vec<Link>,
}

impl Slack {
    /// U(L_Info) − L_sup.
    pub fn total(&self) -> f64 {
        self.bound - self.supervised
    }
}

/// The chain of a bound on a row.
///
/// # Errors
/// Why there is none: the bound has no value here, or L_sup was not measured.
pub fn of(bound: &dyn Bound, losses: &LossComponents) -> Result<Slack, Outcome> {
    let mut slacks = of_rows(bound, &[losses])?;
    slacks.pop().ok_or_else(|| Outcome::NotApplicable("no rows".into()))
}

/// The chains of rows of one setting, with the same links in each: a step that one row lacks is one with its neighbour
/// in all of them.
///
/// # Errors
/// As [`of`], for any of the rows.
pub fn of_rows(bound: &dyn Bound, rows: &[&LossComponents]) -> Result<Vec<Slack>, Outcome> {
    let ladders = rows.iter().map(|row| Ladder::new(bound, row)).collect::<Result<Vec<_>, _>>()?;
    let Some(length) = ladders.iter().map(|ladder| ladder.rungs.len()).min() else { return Ok(Vec::new()) };
    let stands = |place: usize| ladders.iter().all(|ladder| ladder.rungs[place].1.is_some());
    let kept: Vec<bool> = (0..length).map(stands).collect();
    Ok(ladders.iter().map(|ladder| ladder.slack(&kept)).collect())
}

/// For each link of [`of`], an upper estimate of its standard errors in nats of L_Info and of L_sup: the sum over
/// columns of what one standard error of the column changes.
///
/// `None` where no column has a standard error, or one more or less changes which links there are.
pub fn errors(bound: &dyn Bound, losses: &LossComponents, slack: &Slack) -> Option<Vec<(f64, f64)>> {
    let mut errors = vec![(0.0, 0.0); slack.links.len()];
    let mut any = false;
    for (quantity, estimate) in &losses.measures {
        let Some(error) = estimate.standard_error.filter(|error| *error > 0.0) else { continue };
        let mut moved = losses.clone();
        moved.measures.insert(*quantity, Estimate::exact(estimate.mean + error));
        let moved = of(bound, &moved).ok()?;
        if moved.links.len() != errors.len() {
            return None;
        }
        any = true;
        for (sum, (a, b)) in errors.iter_mut().zip(slack.links.iter().zip(&moved.links)) {
            sum.0 += (a.info_nce - b.info_nce).abs();
            sum.1 += (a.supervised - b.supervised).abs();
        }
    }
    any.then_some(errors)
}

/// L_Info and U(L_Info), and after each step its right-hand side and U of that, if there are any.
struct Ladder {
    top: (f64, f64),
    rungs: Vec<(Step, Option<(f64, f64)>)>,
}

impl Ladder {
    fn new(bound: &dyn Bound, losses: &LossComponents) -> Result<Self, Outcome> {
        let needed = |quantity: Quantity| {
            losses.get(quantity).ok_or_else(|| Outcome::NotApplicable(format!("needs {quantity}")))
        };
        let upper = finite(bound.upper_bound(losses))?;
        let (info_nce, supervised) = (needed(Quantity::InfoNce)?, needed(Quantity::FullSupLoss)?);
        let least = least_info_nce(bound, losses, upper, supervised)?;
        let mut steps = if matches!(bound.standing(), Standing::FormOnly(_)) {
            vec![(Step::Unproved, None)]
        } else {
            let mut steps = common_steps(losses);
            steps.extend(bound.steps(losses));
            steps
        };
        let last = steps.pop().map_or(Step::Rest, |(step, _)| step);
        let rung = |(step, right_side): (Step, Option<f64>)| {
            let height =
                right_side.and_then(|q| Some((q, finite(bound.upper_bound(&with(losses, q))).ok()?)));
            (step, height)
        };
        let mut rungs: Vec<_> = steps.into_iter().map(rung).collect();
        rungs.push((last, Some((least, supervised))));
        Ok(Self { top: (info_nce, upper), rungs })
    }

    /// With the rungs that are kept; the last one always is.
    fn slack(&self, kept: &[bool]) -> Slack {
        let (mut above, mut links, mut steps) = (self.top, Vec::new(), Vec::new());
        for ((step, height), kept) in self.rungs.iter().zip(kept) {
            steps.push(*step);
            if let Some(height) = height.filter(|_| *kept) {
                let (info_nce, supervised) = (above.0 - height.0, above.1 - height.1);
                links.push(Link { steps: named(std::mem::take(&mut steps)), info_nce, supervised });
                above = height;
            }
        }
        let ((info_nce, bound), (least_info_nce, supervised)) = (self.top, above);
        Slack { info_nce, bound, supervised, least_info_nce, links }
    }
}

/// The steps of one link, those to the class means as one where all are there.
fn named(steps: Vec<Step>) -> Vec<Step> {
    match steps.strip_prefix(&[Step::ImageMean, Step::ClassMeans, Step::Gap]) {
        Some(rest) => [&[Step::ViewsToMeans], rest].concat(),
        None => steps,
    }
}

/// The steps to the master inequality.
fn common_steps(losses: &LossComponents) -> Vec<(Step, Option<f64>)> {
    let master = sum(losses, &[(1.0, Quantity::MasterTerm), (1.0, Quantity::Gap)]);
    let [positive, negatives] =
        [Quantity::InfoNceMeanPositive, Quantity::InfoNceMeanNegatives].map(|quantity| losses.get(quantity));
    vec![(Step::ImageMean, positive), (Step::ClassMeans, negatives), (Step::Gap, master)]
}

/// φ(L_sup) for a bound of the value `upper`.
fn least_info_nce(
    bound: &dyn Bound,
    losses: &LossComponents,
    upper: f64,
    supervised: f64,
) -> Result<f64, Outcome> {
    if bound.lower_needs().contains(&Quantity::FullSupLoss) {
        // A lower bound of L_Info from L_sup is φ.
        return finite(bound.lower_bound(losses));
    }
    // All others are affine in L_Info: quotients, and sums with slope 1.
    let info_nce = losses.get(Quantity::InfoNce).unwrap_or_default();
    let (Some(ratio), Some(moved)) = (bound.ratio(losses), bound.ratio(&with(losses, info_nce + 1.0))) else {
        return Ok(info_nce - (upper - supervised));
    };
    let ratio = ratio?;
    let slope = moved?.numerator - ratio.numerator;
    Ok(info_nce - (ratio.numerator - supervised * ratio.ln_denominator.exp()) / slope)
}

/// The row with another L_Info, which may lie outside the column's domain.
fn with(losses: &LossComponents, info_nce: f64) -> LossComponents {
    let mut moved = losses.clone();
    moved.measures.insert(Quantity::InfoNce, Estimate::exact(info_nce));
    moved
}

fn finite(outcome: Outcome) -> Result<f64, Outcome> {
    match outcome {
        Outcome::Value(value) if value.is_finite() => Ok(value),
        Outcome::Value(value) => Err(Outcome::Undefined(format!("the bound is {value}"))),
        other => Err(other),
    }
}

/// A weighted sum of measured columns; `None` where one is missing.
pub(super) fn sum(losses: &LossComponents, terms: &[(f64, Quantity)]) -> Option<f64> {
    terms.iter().map(|&(weight, quantity)| Some(weight * losses.get(quantity)?)).sum()
}

/// What an exact probability gives away against the counted, or the worst class's against each class's own.
pub(super) fn smallest_probability(losses: &LossComponents) -> Step {
    if losses.prior().is_some_and(|prior| prior.is_uniform()) { Step::Counted } else { Step::WorstClass }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds;
    use crate::{NumDraws, Sampling};

    /// A row with all measures somewhere in their domains.
    fn random_row(rng: &mut impl rand::Rng) -> LossComponents {
        let classes = rng.random_range(2..=6);
        let draws = NumDraws::new(rng.random_range(2..=40)).unwrap();
        let sampling = if rng.random() { Sampling::WithReplacement } else { Sampling::WithoutReplacement };
        let temperature = rng.random_range(0.1..2.0);
        let mut losses = LossComponents::new(classes, draws, temperature, sampling).unwrap();
        let equal = rng.random();
        let counts = (0..classes).map(|_| if equal { 50 } else { rng.random_range(20..60) });
        losses.class_counts = Some(counts.collect());
        for &quantity in Quantity::ALL {
            let value = match quantity {
                Quantity::Gap => rng.random_range(-2.0..0.0),
                Quantity::Coverage | Quantity::Collision => rng.random_range(0.01..0.99),
                _ if quantity.domain() == crate::losses::Domain::NonPositive => -0.5,
                _ => rng.random_range(0.0..4.0),
            };
            let known = rng.random_bool(0.9) || quantity == Quantity::FullSupLoss;
            if known && quantity.check(value).is_ok() {
                losses
                    .set(quantity, Estimate { standard_error: Some(0.01), ..Estimate::exact(value) })
                    .unwrap();
            }
        }
        losses
    }

    #[test]
    fn steps_add_up_on_any_row() {
        use rand::SeedableRng;
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(18);
        let mut met = std::collections::BTreeMap::<&str, usize>::new();
        for _ in 0..400 {
            let losses = random_row(&mut rng);
            for bound in bounds::all().iter().filter(|b| !b.upper_needs().is_empty()) {
                let Ok(slack) = of(*bound, &losses) else { continue };
                let key = bound.key();
                *met.entry(key).or_default() += 1;
                let total: f64 = slack.links.iter().map(|link| link.supervised).sum();
                let size = slack.bound.abs().max(slack.supervised);
                // Steps of random rows are of both signs and larger than their sum.
                let largest = slack.links.iter().map(|link| link.supervised.abs()).fold(size, f64::max);
                assert!((total - slack.total()).abs() <= 1e-12 * largest, "{key}: {total} {slack:?}");
                let total: f64 = slack.links.iter().map(|link| link.info_nce).sum();
                let difference = slack.info_nce - slack.least_info_nce;
                assert!((total - difference).abs() <= 1e-12 * (1.0 + difference.abs()), "{key}: {slack:?}");
                // The bound at φ(L_sup) is L_sup; how exactly, the bound's slope there says.
                let at = |q: f64| bound.upper_bound(&with(&losses, q)).value().unwrap();
                let slope = (at(slack.info_nce + 1.0) - slack.bound).abs().max(1.0);
                let error = (at(slack.least_info_nce) - slack.supervised).abs();
                assert!(error <= 1e-11 * slope * (1.0 + size), "{key}: {error:e} {slack:?}");
            }
        }
        for bound in bounds::all().iter().filter(|b| !b.upper_needs().is_empty()) {
            assert!(met.get(bound.key()).is_some_and(|&count| count >= 30), "{}: {met:?}", bound.key());
        }
    }

    #[test]
    fn what_is_missing_is_one_with_its_neighbour() {
        let mut losses =
            LossComponents::new(2, NumDraws::new(9).unwrap(), 1.0, Sampling::WithReplacement).unwrap();
        losses.class_counts = Some(vec![1, 1]);
        let mut set = |quantity, mean| {
            losses.set(quantity, Estimate { standard_error: Some(0.01), ..Estimate::exact(mean) }).unwrap();
            of(bounds::find("lambda").unwrap(), &losses).map(|slack| (losses.clone(), slack))
        };
        assert!(set(Quantity::InfoNce, 2.0).is_err());
        assert!(set(Quantity::Gap, -0.1).is_err());
        assert!(set(Quantity::JointSubLoss, 0.0).is_err());
        let (_, slack) = set(Quantity::FullSupLoss, 0.4).unwrap();
        assert_eq!(slack.links.len(), 1, "{slack:?}");
        let common = "views to class means, with d(f)";
        assert_eq!(
            slack.links[0].name(),
            format!("{common} + collisions dropped + counted batches (sampling error)")
        );
        let (_, slack) = set(Quantity::MasterTerm, 1.9).unwrap();
        assert_eq!(slack.links[0].name(), common);
        assert!((slack.links[0].info_nce - 0.2).abs() < 1e-15);
        let (row, slack) = set(Quantity::InfoNceMeanPositive, 1.95).unwrap();
        assert_eq!(slack.links[0].steps, [Step::ImageMean]);
        assert_eq!(slack.links[1].steps, [Step::ClassMeans, Step::Gap]);
        // L_Info and the new column have an error of 0.01 each; of the second step those of M and d(f) join.
        let errors = errors(bounds::find("lambda").unwrap(), &row, &slack).unwrap();
        assert!((errors[0].0 - 0.02).abs() < 1e-12 && (errors[1].0 - 0.03).abs() < 1e-12, "{errors:?}");
        // Two rows of one setting have the links that both can have.
        let mut poorer = row.clone();
        poorer.measures.remove(&Quantity::InfoNceMeanPositive);
        poorer.measures.remove(&Quantity::MasterTerm);
        let both = of_rows(bounds::find("lambda").unwrap(), &[&row, &poorer]).unwrap();
        assert_eq!(both[0].links.len(), both[1].links.len());
        for slack in &both {
            let total: f64 = slack.links.iter().map(|link| link.supervised).sum();
            assert!((total - slack.total()).abs() < 1e-12 && slack.supervised == 0.4, "{slack:?}");
        }
    }
}
