//! Everything that the bounds measure, exactly, at the simplex optimum: the encoder that Awasthi, Dikkala & Kamath
//! describe, as a row of `losses.csv`.
//!
//! With one vector per class there is no spread (d(f) = 0) and the master inequality is an equality. The sub-class
//! losses depend on the number D of distinct other classes among the negatives, l = ln(1 + D a) with a =
//! e^{−C/((C−1)t)}. The anchor's class is shown in any case, so 1 + D is the number N of distinct classes among n = K+1
//! uniform draws:
//!
//! P(N = i) = binom(C, i) (i/C)^n υ_n(i),  υ_n(i) = P(n draws from i classes show all i),
//!
//! a product of positive factors, summed outwards from the likeliest i: some 10 √C evaluations of
//! [`coverage::probability`], whatever K. (The recurrence over draws costs n √C, out of reach at K = 1e9.) Given Col =
//! 0 the negatives are K uniform draws from the other C−1 classes, and D is their occupancy.
//!
//! Source: derived here from the definitions.

use super::{check, simplex};
use crate::coverage;
use crate::error::Result;
use crate::losses::{Estimate, LossComponents, Positives, Quantity};
use crate::prior::ClassPrior;
use crate::sampling::{NumDraws, NumNegatives, Sampling};
use crate::{collision, error::Error};

/// The measurement of the simplex optimum of `num_classes` equally likely classes with K i.i.d. negatives, exactly.
///
/// `run.encoder` is "simplex optimum". Relative error of the sub-class losses below 2e-13 in the tests (C up to 1000),
/// of the others below 1e-13; products such as E\[1{Col=0} l\] below 1e-308 are 0. Cost: some 20 √C coverage
/// probabilities.
///
/// # Errors
/// C below 2; K = 0 or above 10¹²; t not positive.
///
/// # Examples
/// ```
/// use theory::{NumNegatives, losses::Quantity, optimum};
/// // Two classes, one negative, a = e^{-2/t}: it shows the other class with probability 1/2.
/// let losses = optimum::simplex_components(2, NumNegatives::new(1)?, 1.0)?;
/// let sup = (-2.0f64).exp().ln_1p();
/// assert!((losses.get(Quantity::JointSupLoss).unwrap() - 0.5 * sup).abs() < 1e-15);
/// assert_eq!(losses.get(Quantity::JointSubLoss), Some(0.0));
/// # Ok::<(), theory::Error>(())
/// ```
pub fn simplex_components(
    num_classes: u64,
    num_negatives: NumNegatives,
    temperature: f64,
) -> Result<LossComponents> {
    check(num_negatives, temperature)?;
    if num_classes < 2 {
        return Err(Error::argument(format!(
            "the bounds need at least 2 classes, got {num_classes}: one class leaves nothing to tell apart"
        )));
    }
    let (draws, iid) = (num_negatives.draws(), Sampling::WithReplacement);
    let prior = ClassPrior::from_counts(vec![1; num_classes as usize])?;
    let a = simplex::repelled(num_classes, temperature);
    let optimum = simplex::optimum(num_classes, num_negatives, temperature)?;
    let joint_sub = sum_over_incomplete(num_classes, draws, |shown| ((shown - 1) as f64 * a).ln_1p())?;

    let no_collision = collision::probability(&prior, iid, num_negatives)?.complement();
    let negatives_alone = NumDraws::new(num_negatives.get())?;
    let others_cover = coverage::probability(&ClassPrior::uniform(num_classes - 1)?, iid, negatives_alone)?;
    let curl_sup = no_collision * others_cover.value() * optimum.supervised_loss;
    let curl_sub = no_collision
        * sum_over_incomplete(num_classes - 1, negatives_alone, |others| (others as f64 * a).ln_1p())?;

    let others = (num_classes - 1) as f64;
    Collapsed {
        name: "simplex",
        loss: optimum.loss,
        accuracy: optimum.accuracy,
        class_sup_loss: vec![optimum.supervised_loss; num_classes as usize],
        supervised: optimum.supervised_loss,
        joint_sup: coverage::probability(&prior, iid, draws)?.value() * optimum.supervised_loss,
        joint_sub,
        curl_sup,
        curl: curl_sup + curl_sub,
        pair_loss: a.ln_1p(),
        logit_variance: others * ((1.0 - a) / (1.0 + others * a)).powi(2),
    }
    .row(&prior, num_negatives, temperature)
}

/// What is measured of an encoder with one unit vector per class, beside what that and the labels determine.
pub(super) struct Collapsed {
    /// Of the encoder.
    pub name: &'static str,
    /// L_Info.
    pub loss: f64,
    pub accuracy: f64,
    pub class_sup_loss: Vec<f64>,
    /// L_sup.
    pub supervised: f64,
    pub joint_sup: f64,
    pub joint_sub: f64,
    pub curl_sup: f64,
    pub curl: f64,
    pub pair_loss: f64,
    pub logit_variance: f64,
}

impl Collapsed {
    /// The row of `losses.csv`: no spread within classes, d(f) = 0, an equality in the master inequality, and collided
    /// negatives that equal the positive.
    ///
    /// # Errors
    /// No counts; a value outside its domain.
    pub fn row(self, prior: &ClassPrior, num_negatives: NumNegatives, t: f64) -> Result<LossComponents> {
        let (draws, iid) = (num_negatives.draws(), Sampling::WithReplacement);
        let upsilon = coverage::probability(prior, iid, draws)?.value();
        let tau = collision::probability(prior, iid, num_negatives)?.value();
        let collisions = collision::expected_ln1p(prior, iid, num_negatives)?;
        let mut losses = LossComponents::new(prior.num_classes(), draws, t, iid)?;
        losses.run.encoder = format!("{} optimum", self.name);
        losses.run.run_id = format!("{}-c{}-n{draws}", self.name, prior.num_classes());
        losses.class_counts = prior.counts().map(<[u64]>::to_vec);
        losses.positives = Positives::SameClass;
        losses.class_sup_loss = Some(self.class_sup_loss);
        for (measure, value) in [
            (Quantity::InfoNce, self.loss),
            (Quantity::MasterTerm, self.loss),
            (Quantity::Gap, 0.0),
            (Quantity::Coverage, upsilon),
            (Quantity::CoverageExact, upsilon),
            (Quantity::Collision, tau),
            (Quantity::CollisionExact, tau),
            (Quantity::FirstAnchorCollision, tau),
            (Quantity::Log1pCollisions, collisions),
            (Quantity::Log1pCollisionsExact, collisions),
            (Quantity::FullSupLoss, self.supervised),
            (Quantity::JointSupLoss, self.joint_sup),
            (Quantity::JointSubLoss, self.joint_sub),
            (Quantity::CurlJointSup, self.curl_sup),
            (Quantity::CurlJoint, self.curl),
            (Quantity::CollisionSpread, 0.0),
            (Quantity::CollisionUpper, collisions),
            (Quantity::LogitVariance, self.logit_variance),
            (Quantity::WithinClassVariance, 0.0),
            (Quantity::WithinClassDeviation, 0.0),
            (Quantity::PairLoss, self.pair_loss),
            (Quantity::MeanAccuracy, self.accuracy),
        ] {
            losses.set(measure, Estimate::exact(value))?;
        }
        Ok(losses)
    }
}

/// Σ_{i < C} P(N = i) g(i), N the number of distinct classes among n uniform draws from C; only what misses a class.
fn sum_over_incomplete(num_classes: u64, draws: NumDraws, of_shown: impl Fn(u64) -> f64) -> Result<f64> {
    let (c, n) = (num_classes as f64, draws.get() as f64);
    let last = (num_classes - 1).min(draws.get());
    if last == 0 {
        return Ok(0.0);
    }
    // The law is log-concave with its mode near the mean, C − C (1−1/C)^n.
    let mean = -c * (n * (-1.0 / c).ln_1p()).exp_m1();
    let start = (mean.round() as u64).clamp(1, last);
    let ln_probability = |shown: u64, ln_choices: f64| -> Result<f64> {
        let missing = (num_classes - shown) as f64;
        let ln_kept = if missing < 0.5 * c { (-missing / c).ln_1p() } else { (shown as f64 / c).ln() };
        let covers = coverage::probability(&ClassPrior::uniform(shown)?, Sampling::WithReplacement, draws)?;
        Ok(ln_choices + n * ln_kept + covers.ln())
    };
    // binom(M−m, R)/binom(M, R) with m = M−R is 1/binom(M, R).
    let ln_start = -coverage::ln_none_of(num_classes, num_classes - start, start).0;
    let mut sum = 0.0;
    let mut largest = f64::NEG_INFINITY;
    let mut add = |shown: u64, ln_choices: f64| -> Result<bool> {
        let ln = ln_probability(shown, ln_choices)?;
        sum += ln.exp() * of_shown(shown);
        largest = largest.max(ln);
        Ok(ln > largest - NEGLIGIBLE)
    };
    let mut ln_choices = ln_start;
    for shown in (1..=start).rev() {
        if !add(shown, ln_choices)? {
            break;
        }
        ln_choices += (shown as f64 / (num_classes - shown + 1) as f64).ln();
    }
    ln_choices = ln_start;
    for shown in start + 1..=last {
        ln_choices += ((num_classes - shown + 1) as f64 / shown as f64).ln();
        if !add(shown, ln_choices)? {
            break;
        }
    }
    Ok(sum)
}

/// Terms e^{−44} = 1e-19 below the largest are left out.
const NEGLIGIBLE: f64 = 44.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::{self, Standing};

    /// The law of (1{Col > 0}, D) by the recurrence over draws: one more negative of a class already shown, or of a new
    /// one.
    fn by_recurrence(classes: usize, k: usize, a: f64) -> [f64; 4] {
        let c = classes as f64;
        let mut law = vec![[0.0; 2]; classes];
        law[0][0] = 1.0;
        for _ in 0..k {
            let mut next = vec![[0.0; 2]; classes];
            for d in 0..classes {
                for collided in 0..2 {
                    let p = law[d][collided];
                    next[d][1] += p / c;
                    next[d][collided] += p * d as f64 / c;
                    if d + 1 < classes {
                        next[d + 1][collided] += p * (classes - 1 - d) as f64 / c;
                    }
                }
            }
            law = next;
        }
        let loss = |d: usize| (d as f64 * a).ln_1p();
        let sup = (law[classes - 1][0] + law[classes - 1][1]) * loss(classes - 1);
        let sub = (0..classes - 1).map(|d| (law[d][0] + law[d][1]) * loss(d)).sum();
        let curl_sup = law[classes - 1][0] * loss(classes - 1);
        [sup, sub, curl_sup, (0..classes).map(|d| law[d][0] * loss(d)).sum()]
    }

    const JOINT: [Quantity; 4] =
        [Quantity::JointSupLoss, Quantity::JointSubLoss, Quantity::CurlJointSup, Quantity::CurlJoint];

    #[test]
    fn occupancy_against_the_recurrence() {
        let mut worst = 0.0f64;
        for (classes, k) in [
            (2, 1),
            (2, 40),
            (3, 2),
            (3, 1),
            (10, 3),
            (10, 31),
            (10, 511),
            (100, 60),
            (100, 127),
            (100, 1023),
            (400, 900),
            (1000, 4000),
        ] {
            for temperature in [0.1, 0.5, 2.0] {
                let losses = simplex_components(classes, NumNegatives::new(k).unwrap(), temperature).unwrap();
                let expected =
                    by_recurrence(classes as usize, k as usize, simplex::repelled(classes, temperature));
                for (measure, expected) in JOINT.into_iter().zip(expected) {
                    let found = losses.get(measure).unwrap();
                    assert_eq!(
                        found == 0.0,
                        expected == 0.0,
                        "C = {classes}, K = {k}, {measure}: {found} {expected}"
                    );
                    if expected != 0.0 {
                        let error = (found / expected - 1.0).abs();
                        assert!(error < 2e-13, "C = {classes}, K = {k}, {measure}: {found} {expected}");
                        worst = worst.max(error);
                    }
                }
            }
        }
        println!("largest relative error {worst:.1e}");
    }

    /// Every theorem of the registry holds at the optimum, lower and upper, and the master inequality is an equality.
    #[test]
    fn the_bounds_hold_at_the_optimum() {
        let mut evaluated = 0;
        for (classes, k) in
            [(2, 1), (2, 31), (5, 12), (10, 31), (10, 511), (100, 127), (100, 1023), (100, 100_000)]
        {
            let losses = simplex_components(classes, NumNegatives::new(k).unwrap(), 0.5).unwrap();
            let (loss, sup) =
                (losses.get(Quantity::InfoNce).unwrap(), losses.get(Quantity::FullSupLoss).unwrap());
            let theorems = bounds::all().iter().filter(|b| b.standing() == Standing::Theorem);
            for bound in theorems {
                if let Some(value) = bound.lower_bound(&losses).value() {
                    assert!(
                        value <= loss * (1.0 + 1e-13),
                        "{} C = {classes} K = {k}: {value} {loss}",
                        bound.key()
                    );
                }
                let below = bound.supervised_lower_bound(&losses).value();
                if let Some(value) = below.filter(|_| bound.supervised_lower_standing() == Standing::Theorem)
                {
                    assert!(value <= sup, "{} C = {classes} K = {k}: {value} {sup}", bound.key());
                }
                if let Some(value) = bound.upper_bound(&losses).value() {
                    assert!(
                        value >= sup * (1.0 - 1e-12),
                        "{} C = {classes} K = {k}: {value} {sup}",
                        bound.key()
                    );
                    evaluated += 1;
                }
            }
            assert_eq!(bounds::find("master").unwrap().lower_bound(&losses).value(), Some(loss));
        }
        assert!(evaluated >= 12, "{evaluated}");
    }

    #[test]
    fn large_sizes_are_quick() {
        let losses = simplex_components(10_000, NumNegatives::new(1_000_000_000).unwrap(), 0.5).unwrap();
        assert!(losses.get(Quantity::JointSubLoss).unwrap() < 1e-300);
        let losses = simplex_components(10_000, NumNegatives::new(65_535).unwrap(), 0.5).unwrap();
        let total = losses.get(Quantity::JointSubLoss).unwrap() + losses.get(Quantity::JointSupLoss).unwrap();
        let full = losses.get(Quantity::FullSupLoss).unwrap();
        assert!(total < full && total > full - 0.01, "{total} {full}");
        assert!(simplex_components(1, NumNegatives::new(3).unwrap(), 0.5).is_err());
    }
}
