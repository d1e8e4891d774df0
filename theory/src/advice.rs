//! What the law of the classes says about K before anything is trained.
//!
//! # Theorem
//! Let the features lie in the unit ball, the views be independent given the image, and the negatives' views be
//! independent of the anchor's.
//!
//! (a) L_Info ≥ ln(1 + K e^{−1/t}) for independent draws, and ≥ ln(1 + K e^{−M/((M−1)t)}) for distinct images of M,
//! whether positives are two views of one image or, for independent draws, two images of one class.
//!
//! (b) L_Info − d(f) ≥ L_K*, the least loss of [`crate::optimum`], for independent draws and either kind of positives.
//! So an upper bound of L_sup that increases with L_Info − d(f) and uses nothing else of the encoder has its least
//! value over all encoders at L_K*: where that exceeds ln C it says nothing, whatever is trained. Such are the bounds
//! of the form (L_Info − d(f) − E ln(1+Col))/κ and those by reverse Jensen. So are those that have a spread within
//! classes in place of −d(f), which is no smaller, and 0 for the encoder of L_K*.
//!
//! # Proof
//! (a) ln(1 + Σ_k e^{u_k}) is convex and increasing in u, so that Jensen puts E u_k = (E z·z_k − E z·z⁺)/t in its place.
//! Let f̄(x) be the mean feature of an image (of its class, for positives of one class): E z·z⁺ = m = E‖f̄‖² ≤ 1.
//! Independent draws: E z·z_k = ‖E z‖² ≥ 0. Distinct images: ‖Σ_i f̄_i‖² ≥ 0 says E z·z_k ≥ −m/(M−1), so that E u_k ≥
//! −m M/((M−1)t).
//!
//! (b) The master inequality ([`crate::bounds`]) is L_Info − d(f) ≥ E ln(1 + Col + Σ_{c_k ≠ c} e^{z·(μ_{c_k} − μ_c)/t}).
//! Given the classes, z has the mean μ_c and is independent of the rest; Jensen puts μ_c in its place, which leaves the
//! loss of the encoder that maps class j to μ_j, a point of the unit ball: at least L_K*.
//!
//! Source: derived here; (b) combines the master inequality with Awasthi, Dikkala & Kamath (ICML 2022).

use crate::bounds::{self, Bound, Outcome, Standing};
use crate::error::{Error, Result};
use crate::losses::{Estimate, LossComponents, Positives, Quantity};
use crate::optimum::{self, Optimum};
use crate::prior::ClassPrior;
use crate::probability::Probability;
use crate::sampling::{NumNegatives, Sampling};
use crate::{collision, coverage};

/// K up to which a bound is looked for.
const LARGEST: u64 = 1_000_000_000;

/// What [`advise`] finds.
#[derive(Clone)]
pub struct Advice {
    /// One for each K.
    pub rows: Vec<Row>,
    /// One for each upper bound of L_sup.
    pub bounds: Vec<BestBound>,
}

/// What the law says about one K.
#[derive(Debug, Clone)]
pub struct Row {
    /// K.
    pub negatives: NumNegatives,
    /// υ: P(K+1 draws show every class).
    pub coverage: Probability,
    /// P(K draws show every class): of the negatives alone, such as a queue.
    pub queue_coverage: Probability,
    /// τ: P(some negative has the anchor's class).
    pub collision: Probability,
    /// Expected number of negatives of the anchor's class.
    pub same_class_negatives: f64,
    /// (a) of the theorem, in nats.
    pub least_loss: f64,
    /// L_K* of (b), in nats; or why it is not computed: distinct images, or classes that [`optimum`] does not take.
    pub least_loss_of_classes: std::result::Result<f64, String>,
}

/// What an upper bound of L_sup can say at best.
#[derive(Clone)]
pub struct BestBound {
    /// Which.
    pub bound: &'static dyn Bound,
    /// The least K at which it is defined for these classes, or why there is none.
    pub from: std::result::Result<NumNegatives, String>,
    /// Those K of the rows at which its value for the encoder of least loss is at most ln C.
    pub informative: Vec<NumNegatives>,
    /// The smallest of its values for the encoders of least loss, and its K; none where it has no value, needs more of
    /// the encoder than is computed for unequal classes, or draws are without replacement.
    pub least: Option<(NumNegatives, f64)>,
    /// Whether no other encoder has a smaller value, by (b) of the theorem; it is about independent draws.
    pub is_least_of_all: bool,
}

/// What the classes say about each of these K, and what the bounds can say there.
///
/// Probabilities and means to their last digits; L_K* as [`optimum::solve`] finds it. Forms and values as published are
/// left out: they are no bounds.
///
/// # Errors
/// Fewer than 2 classes; t not positive; K = 0 or above 10¹²; draws without replacement from a prior without counts, or
/// more than there are.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, NumNegatives, Sampling, advice};
/// let negatives = [NumNegatives::new(31)?, NumNegatives::new(511)?];
/// let cifar10 = ClassPrior::uniform(10)?;
/// let advice = advice::advise(&cifar10, Sampling::WithReplacement, &negatives, 0.5)?;
/// let bound = |key| advice.bounds.iter().find(|best| best.bound.key() == key).unwrap();
/// // Arora's form needs 9 negatives to be defined, and says nothing of any encoder at K = 31 or 511.
/// assert_eq!(bound("curl_coverage").from.as_ref().map(|k| k.get()), Ok(9));
/// assert!(bound("curl_coverage").informative.is_empty() && bound("curl_coverage").is_least_of_all);
/// assert_eq!(bound("specht").informative, negatives);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn advise(
    prior: &ClassPrior,
    sampling: Sampling,
    negatives: &[NumNegatives],
    temperature: f64,
) -> Result<Advice> {
    if prior.num_classes() < 2 {
        return Err(Error::argument("one class alone needs no advice: give at least 2"));
    }
    if !(temperature.is_finite() && temperature > 0.0) {
        return Err(Error::argument(format!("temperature {temperature} is not a positive number")));
    }
    let mut rows = Vec::new();
    let mut best: Vec<(NumNegatives, LossComponents)> = Vec::new();
    for &negatives in negatives {
        let optimum = match sampling {
            Sampling::WithReplacement => {
                optimum::solve(prior, negatives, temperature).map_err(|error| error.to_string())
            }
            Sampling::WithoutReplacement => Err("needs independent draws".into()),
        };
        rows.push(row(prior, sampling, negatives, temperature, optimum.clone().map(|found| found.loss))?);
        if let Ok(optimum) = optimum {
            best.push((negatives, components(prior, negatives, temperature, &optimum)?));
        }
    }
    let is_bound = |bound: &&&'static dyn Bound| {
        !bound.upper_needs().is_empty()
            && matches!(bound.standing(), Standing::Theorem | Standing::Unproved(_))
    };
    let bounds = bounds::all().iter().filter(is_bound).map(|&bound| BestBound {
        bound,
        from: first(bound, prior, sampling, temperature),
        informative: Vec::new(),
        least: None,
        is_least_of_all: sampling == Sampling::WithReplacement && is_least_of_all(bound),
    });
    let mut bounds: Vec<BestBound> = bounds.collect();
    for entry in &mut bounds {
        for (negatives, losses) in &best {
            let Outcome::Value(value) = entry.bound.upper_bound(losses) else { continue };
            if !bounds::is_vacuous(value, losses.num_classes) {
                entry.informative.push(*negatives);
            }
            if entry.least.is_none_or(|(_, least)| value < least) {
                entry.least = Some((*negatives, value));
            }
        }
    }
    Ok(Advice { rows, bounds })
}

fn row(
    prior: &ClassPrior,
    sampling: Sampling,
    negatives: NumNegatives,
    temperature: f64,
    least_loss_of_classes: std::result::Result<f64, String>,
) -> Result<Row> {
    let k = negatives.get() as f64;
    let draws = negatives.draws();
    // Given the class, each negative has it with probability π_c, or (M_c − 1)/(M − 1) of distinct images.
    let (same_class, stretch) = match (sampling, prior.population()) {
        (Sampling::WithoutReplacement, Some(total)) => {
            let others = (total - 1).max(1) as f64;
            let same = |g: &crate::prior::Group| {
                let own = g.count.unwrap_or(1) as f64;
                g.multiplicity as f64 * g.probability * (own - 1.0) / others
            };
            (prior.groups().iter().map(same).sum::<f64>(), total as f64 / others)
        }
        _ => (prior.groups().iter().map(|g| g.multiplicity as f64 * g.probability.powi(2)).sum(), 1.0),
    };
    Ok(Row {
        negatives,
        coverage: coverage::probability(prior, sampling, draws)?,
        queue_coverage: coverage::probability(prior, sampling, crate::NumDraws::new(negatives.get())?)?,
        collision: collision::probability(prior, sampling, negatives)?,
        same_class_negatives: k * same_class,
        // ln(1 + K e^{−s}) without overflow for small t: ln K − s where that is large.
        least_loss: softplus(k.ln() - stretch / temperature),
        least_loss_of_classes,
    })
}

/// ln(1 + eˣ).
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// What the bounds read of the encoder of least loss: all of it for equally frequent classes, else what (b) is about.
fn components(
    prior: &ClassPrior,
    negatives: NumNegatives,
    temperature: f64,
    optimum: &Optimum,
) -> Result<LossComponents> {
    if prior.is_uniform() {
        return optimum::simplex_components(prior.num_classes(), negatives, temperature);
    }
    let iid = Sampling::WithReplacement;
    let mut losses = LossComponents::new(prior.num_classes(), negatives.draws(), temperature, iid)?;
    losses.class_counts = prior.counts().map(<[u64]>::to_vec);
    losses.positives = Positives::SameClass;
    let collisions = collision::expected_ln1p(prior, iid, negatives)?;
    for (quantity, value) in [
        (Quantity::InfoNce, optimum.loss),
        (Quantity::Gap, 0.0),
        (Quantity::FullSupLoss, optimum.supervised_loss),
        (Quantity::Log1pCollisions, collisions),
        (Quantity::Log1pCollisionsExact, collisions),
        (Quantity::WithinClassVariance, 0.0),
        (Quantity::WithinClassDeviation, 0.0),
    ] {
        losses.set(quantity, Estimate::exact(value))?;
    }
    Ok(losses)
}

/// Whether a bound uses L_Info − d(f) and nothing else of the encoder, or a spread within classes in place of −d(f).
fn is_least_of_all(bound: &dyn Bound) -> bool {
    const OF_NO_ENCODER: [Quantity; 6] = [
        Quantity::InfoNce,
        Quantity::Gap,
        Quantity::Log1pCollisions,
        Quantity::Log1pCollisionsExact,
        Quantity::WithinClassVariance,
        Quantity::WithinClassDeviation,
    ];
    bound.upper_needs().iter().all(|quantity| OF_NO_ENCODER.contains(quantity))
}

/// The least K at which the bound has a value for some measurement.
fn first(
    bound: &dyn Bound,
    prior: &ClassPrior,
    sampling: Sampling,
    temperature: f64,
) -> std::result::Result<NumNegatives, String> {
    let at = |k: u64| -> std::result::Result<NumNegatives, String> {
        let plain = |e: Error| e.to_string();
        let negatives = NumNegatives::new(k).map_err(plain)?;
        let mut losses = LossComponents::new(prior.num_classes(), negatives.draws(), temperature, sampling)
            .map_err(plain)?;
        losses.class_counts =
            prior.counts().map(<[u64]>::to_vec).or_else(|| Some(vec![1; prior.num_classes() as usize]));
        for &quantity in bound.upper_needs() {
            let value = if quantity == Quantity::Gap { -0.5 } else { 0.5 };
            losses.set(quantity, Estimate::exact(value)).map_err(plain)?;
        }
        match bound.upper_bound(&losses) {
            Outcome::Value(_) => Ok(negatives),
            other => Err(other.reason().into()),
        }
    };
    let last = match (sampling, prior.population()) {
        (Sampling::WithoutReplacement, Some(total)) => LARGEST.min(total.saturating_sub(1)),
        _ => LARGEST,
    };
    let (mut below, mut from) = (0, 1);
    while let Err(why) = at(from) {
        if from >= last {
            return Err(why);
        }
        (below, from) = (from, from.saturating_mul(2).min(last));
    }
    // Defined for all larger K: the conditions are K ≥ 1 and K ≥ C − 1.
    while from - below > 1 {
        let middle = below + (from - below) / 2;
        if at(middle).is_ok() { from = middle } else { below = middle }
    }
    at(from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::{RngCore, SeedableRng};

    fn negatives(values: &[u64]) -> Vec<NumNegatives> {
        values.iter().map(|&k| NumNegatives::new(k).unwrap()).collect()
    }

    #[test]
    fn rows_by_hand() {
        let prior = ClassPrior::from_counts(vec![3, 1]).unwrap();
        let of = |sampling| advise(&prior, sampling, &negatives(&[2]), 0.5).unwrap().rows[0].clone();
        let iid = of(Sampling::WithReplacement);
        // Three draws show both classes unless all are of one; two do in 2·(3/4)(1/4).
        assert!((iid.coverage.value() - (1.0 - 27.0 / 64.0 - 1.0 / 64.0)).abs() < 1e-15);
        assert!((iid.queue_coverage.value() - 0.375).abs() < 1e-15);
        assert!((iid.same_class_negatives - 2.0 * (9.0 + 1.0) / 16.0).abs() < 1e-15);
        assert!((iid.least_loss - (1.0 + 2.0 * (-2.0f64).exp()).ln()).abs() < 1e-15);
        // Distinct images: anchor of the large class (3/4) has 2 of the 3 others in it; M/(M−1) = 4/3.
        let distinct = of(Sampling::WithoutReplacement);
        assert!((distinct.same_class_negatives - 2.0 * 0.75 * 2.0 / 3.0).abs() < 1e-15);
        assert!((distinct.least_loss - (1.0 + 2.0 * (-8.0f64 / 3.0).exp()).ln()).abs() < 1e-15);
        assert!(distinct.least_loss_of_classes.unwrap_err().contains("independent"));
        // More classes of different size than the program takes: the rest of the row stands.
        let long_tail = ClassPrior::from_counts((11..=610).collect()).unwrap();
        let advice = advise(&long_tail, Sampling::WithReplacement, &negatives(&[256]), 0.5).unwrap();
        assert!(advice.rows[0].least_loss > 0.0);
        assert!(advice.rows[0].least_loss_of_classes.clone().unwrap_err().contains("600 groups"));
        assert!(advice.bounds.iter().all(|best| best.least.is_none()));
        // ImageNet's temperature and more: no overflow.
        let prior = ClassPrior::uniform(3).unwrap();
        let sharp = advise(&prior, Sampling::WithReplacement, &negatives(&[65_536]), 1e-3).unwrap();
        assert!(sharp.rows[0].least_loss < 1e-300);
    }

    /// (a): encoders of four images with distinct negatives reach the least loss at the simplex, none goes below it.
    #[test]
    fn no_encoder_of_four_images_is_below_the_least_loss() {
        let prior = ClassPrior::from_counts(vec![2, 2]).unwrap();
        let (t, k) = (0.3, 3);
        let least =
            advise(&prior, Sampling::WithoutReplacement, &negatives(&[k]), t).unwrap().rows[0].least_loss;
        // K = 3 distinct others are all others; one vector an image, so that both views are the same.
        let loss = |points: &[[f64; 3]; 4]| {
            let dot = |a: &[f64; 3], b: &[f64; 3]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
            let of = |i: usize| {
                let others = (0..4).filter(|&j| j != i);
                others
                    .map(|j| ((dot(&points[i], &points[j]) - dot(&points[i], &points[i])) / t).exp())
                    .sum::<f64>()
            };
            (0..4).map(|i| of(i).ln_1p()).sum::<f64>() / 4.0
        };
        let corner = 1.0 / 3.0f64.sqrt();
        let simplex = [[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]];
        let simplex = simplex.map(|point| point.map(|x: f64| x * corner));
        assert!((loss(&simplex) - least).abs() < 1e-14);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
        let mut step = || f64::from(random.next_u32()) / f64::from(u32::MAX) - 0.5;
        for _ in 0..2000 {
            let points = simplex.map(|point| {
                let moved = point.map(|x| x + 0.5 * step());
                let norm = moved.iter().map(|x| x * x).sum::<f64>().sqrt().max(1.0);
                moved.map(|x| x / norm)
            });
            assert!(loss(&points) >= least);
        }
    }

    /// (b): a bound of L_Info − d(f) alone has no smaller value for the encoders of other inner products.
    #[test]
    fn other_encoders_have_larger_bounds() {
        let (classes, t) = (5, 0.5);
        let prior = ClassPrior::uniform(classes).unwrap();
        for k in [1, 4, 31, 255] {
            let list = negatives(&[k]);
            let advice = advise(&prior, Sampling::WithReplacement, &list, t).unwrap();
            let simplex = optimum::simplex_components(classes, list[0], t).unwrap();
            let mut compared = 0;
            for best in advice.bounds.iter().filter(|best| best.is_least_of_all) {
                let Some((_, least)) = best.least else { continue };
                for excess in [0.01, 0.3, 2.0] {
                    let mut losses = simplex.clone();
                    losses
                        .set(
                            Quantity::InfoNce,
                            Estimate::exact(advice.rows[0].least_loss_of_classes.clone().unwrap() + excess),
                        )
                        .unwrap();
                    let value = best.bound.upper_bound(&losses).value().unwrap();
                    assert!(value >= least, "{} K = {k}: {value} {least}", best.bound.key());
                    compared += 1;
                }
            }
            assert!(compared >= 15, "{compared}");
        }
    }

    #[test]
    fn bounds_are_defined_from_where_their_page_says() {
        for (prior, sampling) in [
            (ClassPrior::uniform(10).unwrap(), Sampling::WithReplacement),
            (ClassPrior::from_counts(vec![30; 10]).unwrap(), Sampling::WithoutReplacement),
        ] {
            let advice = advise(&prior, sampling, &negatives(&[16]), 0.5).unwrap();
            for best in &advice.bounds {
                let expected = match best.bound.key() {
                    "curl" | "curl_coverage" | "nozawa_sato" | "lambda" => 9,
                    _ => 1,
                };
                assert_eq!(best.from.as_ref().map(|k| k.get()), Ok(expected), "{}", best.bound.key());
            }
        }
        let unequal = ClassPrior::from_counts(vec![30, 10, 5]).unwrap();
        let advice = advise(&unequal, Sampling::WithReplacement, &negatives(&[16]), 0.5).unwrap();
        let of = |key: &str| advice.bounds.iter().find(|best| best.bound.key() == key).unwrap().clone();
        assert!(of("ash").from.unwrap_err().contains("equally frequent"));
        assert!(of("submodular").least.is_some() && of("specht").is_least_of_all);
        // One vector a class: no spread within classes, so that the bound is that of `specht`.
        assert_eq!(of("wang").least, of("specht").least);
        let [van_elst, reverse_jensen] = ["van_elst", "reverse_jensen"].map(|key| of(key).least.unwrap());
        assert!(of("van_elst").is_least_of_all && van_elst.0 == reverse_jensen.0);
        assert!((van_elst.1 / reverse_jensen.1 - 1.0).abs() < 1e-14);
    }
}
