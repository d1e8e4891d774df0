//! The population experiment: one free vector per class, trained on the exact population loss, beside the optimum.
//!
//! Awasthi, Dikkala & Kamath (ICML 2022) ask whether many negatives spoil the *minimiser* of the contrastive loss. Here
//! the question is put to gradient descent: unit vectors v_c of d coordinates, one per class, on
//!
//! L_K(V) = Σ_c π_c E ln(1 + Σ_k exp((v_c·v_{c_k} − v_c·v_c)/t)),  c_1, …, c_K i.i.d. from π,
//!
//! with its exact value and gradient ([`theory::optimum::gram::evaluate`]): no sample, no batch, any K. Nothing of the
//! solver behind [`theory::optimum::solve`] is used, so that the two check each other.
//!
//! *Descent.* On ln X, X = L_K − E ln(1+Col) the part that the vectors move: X may be 1e-60 and fall by orders of
//! magnitude on the way (small t), and its logarithm still has slopes of the size of 1/t. With G = V Vᵀ and D = ∂ ln
//! X/∂G the gradient is (D + Dᵀ) V, of which the part along each v_c is removed. The step is Adam's (β₁ = 0.9, β₂ =
//! 0.999), with one second moment for each vector instead of one for each coordinate, so that rotating V rotates every
//! step, and with a rate that falls to 0 along a cosine; then the vectors are normalised.
//!
//! With d ≥ C − 1 coordinates the simplex fits and the theorem applies; with fewer it does not, and what the loss
//! prefers may depend on K.
//!
//! Source: the experiment is derived here from the paper's theorem; Kingma & Ba (2015) for Adam.

use crate::error::{Error, Result};
use crate::optim::Schedule;
use measure::rng::{Purpose, normal, stream};
use theory::optimum::{Optimum, gram};
use theory::report::{Cell, Table};
use theory::{ClassPrior, NumNegatives, optimum};

const BETA: [f64; 2] = [0.9, 0.999];
/// Below the gradients that matter, above 0.
const EPSILON: f64 = 1e-30;
/// Classes × coordinates above which a run is refused.
const MOST_NUMBERS: usize = 4_000_000;

/// How the vectors are trained.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Training {
    /// d ≥ 2; C where absent, and 2 for a single class.
    pub dimension: Option<usize>,
    /// Steps.
    pub steps: usize,
    /// Rate of the first steps: about the angle that a vector turns by in one.
    pub learning_rate: f64,
    /// Seed of the vectors at the start.
    pub seed: u64,
}

impl Default for Training {
    fn default() -> Self {
        Self { dimension: None, steps: 2000, learning_rate: 0.05, seed: 7 }
    }
}

/// Where the training ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// d.
    pub dimension: usize,
    /// Unit vectors, class by class.
    pub vectors: Vec<f64>,
    /// L_K, in nats.
    pub loss: f64,
    /// What the mean classifier makes of the classes.
    pub classified: gram::Classified,
    /// Least and largest inner product of two different classes; none for a single class.
    pub inner_products: Option<[f64; 2]>,
}

/// Trains one vector a class.
///
/// # Errors
/// A dimension below 2, in which nothing can turn; no step; a rate that is not positive; a temperature or K that the
/// loss refuses; more than 4·10⁶ numbers.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, NumNegatives};
/// use trainer::population::{Training, train};
/// // Three classes: a triangle, whatever K.
/// let prior = ClassPrior::uniform(3)?;
/// for k in [1, 100_000] {
///     let found = train(&prior, NumNegatives::new(k)?, 0.5, &Training::default())?;
///     assert!(found.inner_products.is_some_and(|ends| ends.iter().all(|g| (g + 0.5).abs() < 1e-4)));
/// }
/// # Ok::<(), trainer::Error>(())
/// ```
pub fn train(
    prior: &ClassPrior,
    num_negatives: NumNegatives,
    temperature: f64,
    training: &Training,
) -> Result<Embedding> {
    let classes = prior.num_classes() as usize;
    let dimension = training.dimension.unwrap_or(classes.max(2));
    if dimension < 2 {
        return Err(Error::argument(format!("the dimension must be at least 2, got {dimension}")));
    }
    if training.steps == 0 {
        return Err(Error::argument("the number of steps must be at least 1, got 0"));
    }
    if classes.saturating_mul(dimension.max(classes)) > MOST_NUMBERS {
        return Err(Error::argument(format!(
            "{classes} classes in {dimension} dimensions exceed {MOST_NUMBERS} numbers"
        )));
    }
    let rate = training.learning_rate;
    if !(rate > 0.0 && rate.is_finite()) {
        return Err(Error::argument(format!("the learning rate must be positive, not {rate}")));
    }
    let mut rng = stream(training.seed, Purpose::Initialisation, 0);
    let mut vectors: Vec<f64> = (0..classes * dimension).map(|_| f64::from(normal(&mut rng))).collect();
    normalise(&mut vectors, dimension);
    let (mut first, mut second) = (vec![0.0; vectors.len()], vec![0.0; classes]);
    let schedule = Schedule { peak: rate, warmup_steps: 0, total_steps: training.steps };
    for step in 0..training.steps {
        let found = gram::evaluate(prior, num_negatives, temperature, &gram_of(&vectors, dimension))?;
        // One class has no others, X = 0 and nothing to turn.
        let scale = if found.excess > 0.0 { found.excess.recip() } else { 0.0 };
        let gradient = gradient(&vectors, dimension, &found.slopes);
        let [correct1, correct2] = BETA.map(|beta| 1.0 - beta.powi(step as i32 + 1));
        let rate = schedule.rate(step);
        for (class, gradient) in gradient.chunks_exact(dimension).enumerate() {
            let row = class * dimension..(class + 1) * dimension;
            let square: f64 = gradient.iter().map(|g| (scale * g).powi(2)).sum();
            second[class] = BETA[1] * second[class] + (1.0 - BETA[1]) * square;
            let step = rate / ((second[class] / correct2).sqrt() + EPSILON) / correct1;
            for ((v, m), g) in vectors[row.clone()].iter_mut().zip(&mut first[row]).zip(gradient) {
                *m = BETA[0] * *m + (1.0 - BETA[0]) * scale * g;
                *v -= step * *m;
            }
        }
        normalise(&mut vectors, dimension);
    }
    let found = gram_of(&vectors, dimension);
    let others = || {
        let off = |&(i, _): &(usize, &f64)| i / classes != i % classes;
        found.iter().enumerate().filter(off).map(|(_, g)| *g)
    };
    Ok(Embedding {
        dimension,
        loss: gram::loss(prior, num_negatives, temperature, &found)?,
        classified: gram::classify(prior, temperature, &found)?,
        inner_products: others().fold(None, |ends: Option<[f64; 2]>, g| {
            Some(ends.map_or([g, g], |[least, largest]| [least.min(g), largest.max(g)]))
        }),
        vectors,
    })
}

/// Makes every vector one of length 1; a vector of zeros becomes the first unit vector.
fn normalise(vectors: &mut [f64], dimension: usize) {
    for vector in vectors.chunks_exact_mut(dimension) {
        let norm = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
        match norm > 0.0 {
            true => vector.iter_mut().for_each(|v| *v /= norm),
            false => vector[0] = 1.0,
        }
    }
}

/// V Vᵀ with the diagonal 1.
fn gram_of(vectors: &[f64], dimension: usize) -> Vec<f64> {
    let classes = vectors.len() / dimension;
    let row = |c: usize| &vectors[c * dimension..(c + 1) * dimension];
    let mut gram = vec![1.0; classes * classes];
    for c in 0..classes {
        for j in 0..c {
            let product: f64 = row(c).iter().zip(row(j)).map(|(a, b)| a * b).sum();
            let product = product.clamp(-1.0, 1.0);
            (gram[c * classes + j], gram[j * classes + c]) = (product, product);
        }
    }
    gram
}

/// (D + Dᵀ) V without the parts along the vectors.
fn gradient(vectors: &[f64], dimension: usize, slopes: &[f64]) -> Vec<f64> {
    let classes = vectors.len() / dimension;
    let mut gradient = vec![0.0; vectors.len()];
    for (c, row) in gradient.chunks_exact_mut(dimension).enumerate() {
        // The diagonal of D moves a vector along itself alone.
        for (j, other) in vectors.chunks_exact(dimension).enumerate().filter(|(j, _)| *j != c) {
            let weight = slopes[c * classes + j] + slopes[j * classes + c];
            row.iter_mut().zip(other).for_each(|(g, v)| *g += weight * v);
        }
        let own = &vectors[c * dimension..(c + 1) * dimension];
        let along: f64 = row.iter().zip(own).map(|(g, v)| g * v).sum();
        row.iter_mut().zip(own).for_each(|(g, v)| *g -= along * v);
    }
    gradient
}

/// One K of the experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// K.
    pub num_negatives: NumNegatives,
    /// What training found.
    pub trained: Embedding,
    /// What `theory` knows.
    pub optimum: Optimum,
}

/// Trains for each K and sets the optimum beside it.
///
/// # Errors
/// As [`train`] and [`theory::optimum::solve`].
pub fn experiment(
    prior: &ClassPrior,
    num_negatives: &[NumNegatives],
    temperature: f64,
    training: &Training,
) -> Result<Vec<Row>> {
    let row = |&k: &NumNegatives| {
        // First: it is quick, and refuses more.
        let optimum = optimum::solve(prior, k, temperature)?;
        Ok(Row { num_negatives: k, trained: train(prior, k, temperature, training)?, optimum })
    };
    num_negatives.iter().map(row).collect()
}

/// The experiment as a table: `negatives`, `draws`, `classes`, `dimension`, `temperature`, `trained_loss`,
/// `optimal_loss`, `excess` (their difference, of which up to `gap` may be the solver's), `trained_sup_loss`,
/// `optimal_sup_loss`, `trained_accuracy`, `optimal_accuracy`, `min_inner_product` and `max_inner_product` of the
/// trained vectors.
pub fn table(rows: &[Row], prior: &ClassPrior, temperature: f64) -> Table {
    let headers = [
        "negatives",
        "draws",
        "classes",
        "dimension",
        "temperature",
        "trained_loss",
        "optimal_loss",
        "excess",
    ];
    let more = ["gap", "trained_sup_loss", "optimal_sup_loss", "trained_accuracy", "optimal_accuracy"];
    let last = ["min_inner_product", "max_inner_product"];
    let mut table = Table::new(headers.into_iter().chain(more).chain(last));
    for Row { num_negatives, trained, optimum } in rows {
        table.push(vec![
            Cell::Integer(num_negatives.get() as i64),
            Cell::Integer(num_negatives.draws().get() as i64),
            Cell::Integer(prior.num_classes() as i64),
            Cell::Integer(trained.dimension as i64),
            Cell::number(temperature),
            Cell::number(trained.loss),
            Cell::number(optimum.loss),
            Cell::number(trained.loss - optimum.loss),
            Cell::number(optimum.gap),
            Cell::number(trained.classified.supervised_loss),
            Cell::number(optimum.supervised_loss),
            Cell::number(trained.classified.accuracy),
            Cell::number(optimum.accuracy),
            trained.inner_products.map_or(Cell::Missing, |[least, _]| Cell::number(least)),
            trained.inner_products.map_or(Cell::Missing, |[_, largest]| Cell::number(largest)),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excess(prior: &ClassPrior, k: u64, t: f64) -> (f64, Row) {
        let negatives = [NumNegatives::new(k).unwrap()];
        let row = experiment(prior, &negatives, t, &Training::default()).unwrap().remove(0);
        (row.trained.loss - row.optimum.loss, row)
    }

    #[test]
    fn equal_classes_reach_the_simplex_at_every_k() {
        for (classes, t) in [(1, 0.5), (2, 0.5), (3, 0.01), (10, 0.5), (10, 0.03), (10, 1.0), (30, 0.5)] {
            let prior = ClassPrior::uniform(classes).unwrap();
            for k in [1, 7, 127, 1023, 100_000] {
                let (excess, row) = excess(&prior, k, t);
                println!("C = {classes}, t = {t}, K = {k}: {excess:e}");
                assert!((-1e-12..1e-6).contains(&excess), "C = {classes}, t = {t}, K = {k}: {excess:e}");
                assert_eq!(row.trained.classified.accuracy, 1.0);
                let sup = row.trained.classified.supervised_loss / row.optimum.supervised_loss - 1.0;
                assert!(classes == 1 || sup.abs() < 1e-4, "C = {classes}, t = {t}, K = {k}: {sup:e}");
            }
        }
    }

    #[test]
    fn unequal_classes_reach_the_program() {
        for counts in [vec![5, 2, 1], vec![50, 30, 20, 10, 5, 2], vec![1000, 1, 1]] {
            let prior = ClassPrior::from_counts(counts).unwrap();
            for k in [1, 31, 1023, 100_000] {
                let (excess, row) = excess(&prior, k, 0.5);
                println!("{:?}, K = {k}: {excess:e}", prior.counts());
                let gap = row.optimum.gap;
                assert!((-gap - 1e-12..1e-6).contains(&excess), "{:?}, K = {k}: {excess:e}", prior.counts());
            }
        }
    }

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let prior = ClassPrior::from_counts(vec![4, 2, 1, 3]).unwrap();
        let (k, t, dimension) = (NumNegatives::new(6).unwrap(), 0.3, 3);
        let mut rng = stream(1, Purpose::Initialisation, 0);
        let mut vectors: Vec<f64> = (0..4 * dimension).map(|_| f64::from(normal(&mut rng))).collect();
        normalise(&mut vectors, dimension);
        let slopes = gram::evaluate(&prior, k, t, &gram_of(&vectors, dimension)).unwrap().slopes;
        let found = gradient(&vectors, dimension, &slopes);
        for i in 0..vectors.len() {
            let value = |h: f64| {
                let mut moved = vectors.clone();
                moved[i] += h;
                normalise(&mut moved, dimension);
                gram::loss(&prior, k, t, &gram_of(&moved, dimension)).unwrap()
            };
            let slope = (value(1e-5) - value(-1e-5)) / 2e-5;
            assert!((slope - found[i]).abs() < 1e-8, "{i}: {slope} {}", found[i]);
        }
    }

    #[test]
    fn too_few_dimensions_do_not_reach_the_simplex() {
        // Ten points of a plane.
        let prior = ClassPrior::uniform(10).unwrap();
        let training = Training { dimension: Some(2), ..Training::default() };
        let found = train(&prior, NumNegatives::new(31).unwrap(), 0.5, &training).unwrap();
        let best = optimum::solve(&prior, NumNegatives::new(31).unwrap(), 0.5).unwrap();
        assert!(found.loss > best.loss + 0.1 && found.classified.accuracy == 1.0, "{found:?}");
    }

    #[test]
    fn refusals_name_the_value() {
        let prior = ClassPrior::uniform(3).unwrap();
        let k = NumNegatives::new(1).unwrap();
        let refused = |t, training: Training| train(&prior, k, t, &training).unwrap_err().to_string();
        assert!(refused(0.5, Training { dimension: Some(1), ..Training::default() }).contains("dimension"));
        assert!(refused(0.5, Training { learning_rate: f64::NAN, ..Training::default() }).contains("NaN"));
        assert!(refused(-1.0, Training::default()).contains("-1"));
    }
}
