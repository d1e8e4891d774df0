//! The convex program over Gram matrices, for any prior: minimise L_K(G) over {G ⪰ 0, G_cc ≤ 1}, with a certified gap.
//!
//! *Symmetry.* Averaging G over permutations of equally likely classes keeps it feasible and does not raise the convex
//! loss, so that only matrices with one entry per pair of groups are searched: h_a between two classes of group a, M_ab
//! between classes of groups a and b, 1 on the diagonal. With n_a classes a group these are the Gram matrices of v_c =
//! (U_a, s_a σ_c), σ a regular simplex of n_a unit vectors in a space of the group's own: h_a = |U_a|² − s_a²/(n_a−1),
//! M_ab = U_a·U_b,
//! |U_a|² + s_a² = 1. One unit vector (U_a, s_a) of g+1 coordinates per group is the whole variable.
//!
//! The matrix is found by descent on these spheres (limited-memory BFGS on ln(L_K − E ln(1+Col)), the part that G
//! moves).
//!
//! *Certificate.* For convex L, feasible G and any y ≥ 0 with ∇L(G) + diag(y) ⪰ 0: L(G) − L* ≤ ⟨∇L, G⟩ + Σ_c y_c. The
//! gap that is reported is this bound for a y that makes it 0 at the optimum, with an allowance for rounding; it holds
//! wherever the descent stopped. It bounds the loss, not the matrix: where two classes stand relative to each other
//! moves the loss by about π_a π_b, so that below a gap of that size their entry of G is not determined, nor whether
//! they tie. A smaller [`Options::tolerance`] resolves rarer pairs.
//!
//! Source: the program is of Awasthi, Dikkala & Kamath (ICML 2022); reduction, evaluation and certificate derived here.

pub use super::grouped::{GroupedGram, Options, TIE};
use super::loss::{Anchor, Nodes, excess};
use super::program::Program;
use super::{Method, Optimum, check};
use crate::collision;
use crate::error::{Error, Result};
use crate::prior::ClassPrior;
use crate::sampling::{NumNegatives, Sampling};
use rayon::prelude::*;

/// Groups of equally likely classes above which the program is refused.
pub const MAX_GROUPS: usize = 500;

/// Temperatures that the program accepts: exponentials down to e^{−2/t} = e^{−200}.
pub const TEMPERATURES: std::ops::RangeInclusive<f64> = 0.01..=100.0;

/// What [`solve`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// Loss, classifier and gap.
    pub optimum: Optimum,
    /// The Gram matrix.
    pub gram: GroupedGram,
    /// Whether the gap reached the tolerance.
    pub converged: bool,
}

/// Solves the program.
///
/// Cost of one step: g² (200 + 3 log₂ K) nodes of the integral of some nanoseconds for g groups, shared by all cores,
/// and some g³ for the certificate; usually 20 to 200 steps. The values of loss and gradient have relative errors below
/// 1e-13.
///
/// # Errors
/// K = 0 or above 10¹²; t outside [`TEMPERATURES`]; a tolerance outside (0, 1); more than [`MAX_GROUPS`] groups of
/// equally likely classes.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, NumNegatives, optimum::gram};
/// // One heavy and two light classes: the light ones stand closer to each other than to the heavy one.
/// let prior = ClassPrior::from_counts(vec![2, 1, 1])?;
/// let found = gram::solve(&prior, NumNegatives::new(8)?, 0.5, &gram::Options::default())?;
/// let (light, heavy) = (found.gram.between(1, 1), found.gram.between(0, 1));
/// assert!(found.converged && found.optimum.gap <= 1e-8 && heavy < -0.5 && light > -0.5);
/// // Three unit vectors of a plane: the angles add up to 360 degrees.
/// assert!((2.0 * heavy.acos() + light.acos() - std::f64::consts::TAU).abs() < 1e-3);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn solve(
    prior: &ClassPrior,
    num_negatives: NumNegatives,
    temperature: f64,
    options: &Options,
) -> Result<Solution> {
    solve_until(prior, num_negatives, temperature, options, &|| false)
}

/// The same, ended early where `stop`, which is asked in every step, says so: then it has not converged.
pub(crate) fn solve_until(
    prior: &ClassPrior,
    num_negatives: NumNegatives,
    temperature: f64,
    options: &Options,
    stop: &dyn Fn() -> bool,
) -> Result<Solution> {
    check(num_negatives, temperature)?;
    check_temperature(temperature)?;
    if !(options.tolerance > 0.0 && options.tolerance < 1.0) {
        return Err(Error::argument(format!("the tolerance {} is not between 0 and 1", options.tolerance)));
    }
    let groups = prior.groups().len();
    if groups > MAX_GROUPS {
        return Err(Error::argument(format!(
            "{groups} groups of equally likely classes exceed the limit of {MAX_GROUPS}: every step would cost {} million nodes",
            groups * groups * 250 / 1_000_000
        )));
    }
    let floor = collision::expected_ln1p(prior, Sampling::WithReplacement, num_negatives)?;
    let program = Program::new(prior, num_negatives, temperature);
    let (state, certificate, iterations) = program.descend(options, stop);
    let gram = program.gram(&state.point);
    let value = program.value(&gram).value;
    Ok(Solution {
        optimum: Optimum {
            loss: floor + value,
            supervised_loss: program.supervised_loss(&gram),
            accuracy: program.accuracy(&gram),
            min_inner_product: program.extreme(&gram, f64::min),
            max_inner_product: program.extreme(&gram, f64::max),
            gap: certificate.gap,
            iterations,
            method: Method::GramProgram,
        },
        converged: certificate.reaches(options.tolerance),
        gram,
    })
}

/// L_K of any Gram matrix G, given row by row with the classes in the order of the prior.
///
/// G should be positive semidefinite, which is not checked: the formula needs its entries only. Relative error below
/// 1e-13.
///
/// # Errors
/// K = 0 or above 10¹²; t outside [`TEMPERATURES`]; a length other than C², or an entry outside [−1, 1].
///
/// # Examples
/// ```
/// use theory::{ClassPrior, NumNegatives, optimum::gram};
/// // One negative, three classes at one point: ln 2 whatever it is.
/// let prior = ClassPrior::from_counts(vec![5, 2, 1])?;
/// let loss = gram::loss(&prior, NumNegatives::new(1)?, 0.5, &[1.0; 9])?;
/// assert!((loss - 2.0f64.ln()).abs() < 1e-14);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn loss(prior: &ClassPrior, num_negatives: NumNegatives, temperature: f64, gram: &[f64]) -> Result<f64> {
    Ok(evaluate(prior, num_negatives, temperature, gram)?.loss())
}

/// The loss of a Gram matrix in two parts, and its derivatives.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// E ln(1+Col): what collisions cost whatever the matrix, in nats.
    pub floor: f64,
    /// L_K less the floor: the part that the matrix moves, which keeps its digits however small it is.
    pub excess: f64,
    /// ∂L_K/∂G_cj, row by row: those that an anchor of class c has on the entry G_cj, which is not symmetric where the
    /// classes are unequal. A symmetric change dG moves the loss by Σ_cj (∂L/∂G_cj) dG_cj.
    pub slopes: Vec<f64>,
}

impl Evaluation {
    /// L_K.
    pub fn loss(&self) -> f64 {
        self.floor + self.excess
    }
}

/// L_K of any Gram matrix, as [`loss`], and its derivatives.
///
/// Relative error of the floor and of the excess below 1e-13; of each derivative, for G_cj ≤ G_cc, 2e-14. Threads: an
/// anchor each, with the same result whatever their number. Cost: C² (200 + 3 log₂ K) nodes.
///
/// # Errors
/// As [`loss`].
///
/// # Examples
/// ```
/// use theory::{ClassPrior, NumNegatives, optimum::gram};
/// // Two equal classes, one negative, which is of the other class half of the time: L = ln(1 + e^{(G_cj − G_cc)/t})/2 + ln(2)/2.
/// let (prior, one) = (ClassPrior::uniform(2)?, NumNegatives::new(1)?);
/// let slopes = gram::evaluate(&prior, one, 1.0, &[1.0, 0.0, 0.0, 1.0])?.slopes;
/// let by_hand = 0.25 / (1.0 + 1f64.exp());
/// assert!((slopes[1] - by_hand).abs() < 1e-15 && (slopes[0] + by_hand).abs() < 1e-15);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn evaluate(
    prior: &ClassPrior,
    num_negatives: NumNegatives,
    temperature: f64,
    gram: &[f64],
) -> Result<Evaluation> {
    check(num_negatives, temperature)?;
    check_temperature(temperature)?;
    let classes = check_gram(prior, gram)?;
    let negatives = num_negatives.get() as f64;
    let smallest = (0..classes).map(|c| gram[c * classes + c]).fold(1.0, f64::min);
    let nodes = Nodes::new(negatives, ((1.0 - smallest) / temperature).exp());
    let mut gradient = vec![0.0; classes * classes];
    let of_anchors = gradient.par_chunks_exact_mut(classes).zip(gram.par_chunks_exact(classes)).enumerate();
    let excesses: Vec<f64> = of_anchors
        .map(|(c, (slopes, row))| {
            let own = prior.probability(c);
            let weights: Vec<f64> =
                (0..classes).map(|j| if j == c { 0.0 } else { prior.probability(j) }).collect();
            let exponents: Vec<f64> = row.iter().map(|g| (g - row[c]) / temperature).collect();
            let anchor = Anchor { own, weights: &weights, exponents: &exponents };
            let value = excess(&nodes, negatives, &anchor, slopes);
            slopes.iter_mut().for_each(|slope| *slope *= own / temperature);
            // G_cc stands in the exponent of every other class.
            slopes[c] = 0.0;
            slopes[c] = -slopes.iter().sum::<f64>();
            own * value
        })
        .collect();
    let floor = collision::expected_ln1p(prior, Sampling::WithReplacement, num_negatives)?;
    Ok(Evaluation { floor, excess: excesses.iter().sum(), slopes: gradient })
}

/// What the mean classifier of one vector a class makes of the classes themselves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Classified {
    /// L_sup: Σ_c π_c ln Σ_j e^{(G_cj − G_cc)/t}.
    pub supervised_loss: f64,
    /// Share of anchors whose own class has the largest inner product; one that ties with m others counts 1/(1+m), ties
    /// being inner products within [`TIE`] of each other.
    pub accuracy: f64,
}

/// The mean classifier on any Gram matrix, given as for [`loss`].
///
/// # Errors
/// t outside [`TEMPERATURES`]; a length other than C², or an entry outside \[−1, 1\].
///
/// # Examples
/// ```
/// use theory::{ClassPrior, optimum::gram};
/// // Three classes, the last two at one point.
/// let prior = ClassPrior::uniform(3)?;
/// let found = gram::classify(&prior, 0.5, &[1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])?;
/// assert!((found.accuracy - 2.0 / 3.0).abs() < 1e-15);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn classify(prior: &ClassPrior, temperature: f64, gram: &[f64]) -> Result<Classified> {
    check_temperature(temperature)?;
    let classes = check_gram(prior, gram)?;
    // Mistakes, so that none gives exactly 1.
    let (mut supervised_loss, mut mistakes) = (0.0, 0.0);
    for (c, row) in gram.chunks_exact(classes).enumerate() {
        let probability = prior.probability(c);
        let others = || row.iter().enumerate().filter(|(j, _)| *j != c).map(|(_, g)| *g);
        supervised_loss +=
            probability * others().map(|g| ((g - row[c]) / temperature).exp()).sum::<f64>().ln_1p();
        let ties = others().filter(|g| (g - row[c]).abs() <= TIE).count();
        let right = if others().any(|g| g > row[c] + TIE) { 0.0 } else { 1.0 / (1 + ties) as f64 };
        mistakes += probability * (1.0 - right);
    }
    Ok(Classified { supervised_loss, accuracy: 1.0 - mistakes })
}

/// C, where there are C² entries of \[−1, 1\].
fn check_gram(prior: &ClassPrior, gram: &[f64]) -> Result<usize> {
    let classes = prior.num_classes() as usize;
    if gram.len() != classes * classes {
        return Err(Error::argument(format!(
            "a Gram matrix of {classes} classes has {} entries, got {}",
            classes * classes,
            gram.len()
        )));
    }
    if let Some(entry) = gram.iter().find(|x| !(-1.0..=1.0).contains(*x)) {
        return Err(Error::argument(format!("the inner product {entry} is not in [-1, 1]")));
    }
    Ok(classes)
}

fn check_temperature(temperature: f64) -> Result<()> {
    if TEMPERATURES.contains(&temperature) {
        return Ok(());
    }
    Err(Error::argument(format!(
        "temperature {temperature}: the Gram program accepts {} to {}",
        TEMPERATURES.start(),
        TEMPERATURES.end()
    )))
}
