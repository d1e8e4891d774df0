//! The population optimum of the contrastive loss: what the best encoder of all reaches, and whether more negatives
//! spoil it.
//!
//! Upper bounds of L_sup such as Arora's grow with K, which reads as "many negatives hurt". Awasthi, Dikkala & Kamath
//! (ICML 2022) put the question to the minimiser itself. The setting: an anchor x and a positive x⁺ are two
//! *independent* draws of one latent class c ~ π, the K negatives are draws of i.i.d. classes c_k ~ π, features lie in
//! the unit ball, and
//!
//! L_K(f) = E ln(1 + Σ_k exp(f(x)·(f(x_k) − f(x⁺))/t)).
//!
//! # Theorem
//! (a) One vector per class is optimal: L_K(f) ≥ L_K(μ) with μ_c = E\[f | c\].
//!
//! (b) With one vector v_c per class the loss depends on the Gram matrix G_cj = v_c·v_j alone,
//! L_K(G) = Σ_c π_c E ln(1 + Σ_k exp((G_{c c_k} − G_cc)/t)), and is convex in G. The feasible set {G ⪰ 0, G_cc ≤ 1} is
//! convex, so that the optimum over encoders of C or more dimensions is a convex program. Its solution has G_cc = 1.
//!
//! (c) For equally likely classes the regular simplex, G_cj = −1/(C−1), is optimal for *every* K, and nothing else is.
//!
//! (d) There L_sup = ln(1 + (C−1) a), a = e^{−C/((C−1)t)}, and the accuracy 1 do not depend on K, while
//! L_K* = E_{m ~ Bin(K, 1/C)} ln(1 + m + (K−m) a) does.
//!
//! (e) For unequal classes the optimum depends on K and on π and is computed ([`gram`]), except for two classes, where
//! antipodal vectors are optimal. For very unequal classes it can put rare classes at one point: with frequencies
//! 1000 : 1 : 1 and t = 0.5 the two rare ones coincide, opposite to the heavy one, and the accuracy is below 1, for K =
//! 1 as for K = 10⁶; at t = 0.2 they separate.
//!
//! # Proof
//! (a) ln(1 + Σ_k e^{−v_k}) is convex in v, and v_k = f(x)·(f(x⁺) − f(x_k))/t is linear in (f(x⁺), f(x_k)) for fixed
//! f(x). These are independent of x given the classes, so Jensen replaces them by μ_c and μ_{c_k}. What is left is a
//! convex function of f(x); Jensen again puts μ_c in its place. A mean of vectors of the unit ball lies in the ball.
//!
//! (b) G ↦ ln(1 + Σ_k exp((G_{c c_k} − G_cc)/t)) is log-sum-exp of linear functions. Every G ⪰ 0 is a Gram matrix of
//! vectors with C coordinates. Raising G_cc to 1 adds a non-negative diagonal, keeps G ⪰ 0, and lowers the exponents of
//! the anchor c.
//!
//! (c) Averaging G over all permutations of the classes leaves the feasible set and, by convexity, does not raise the
//! loss. The average is (1−g) I + g 11ᵀ; the loss increases strictly in g, and G ⪰ 0 says g ≥ −1/(C−1). Log-sum-exp is
//! strictly convex except along equal shifts of all its arguments, which are excluded by the constant 1, so an
//! asymmetric optimum would have a strictly better average. (Monotony alone does not suffice: with C = 4 and the loss
//! −v two antipodal pairs at any angle tie.)
//!
//! (d) Put G into the loss; Col = m of the negatives have exponent 0. The mean classifier's vectors are the v_c, and
//! v_c·v_c = 1 exceeds every other v_c·v_j.
//!
//! (e) For C = 2 the loss increases in the one off-diagonal entry, whose least value is −1.
//!
//! # Scope
//! L_K* is no floor for a SimCLR loss. There the positive is a second view of the *same image*, not independent of the
//! anchor given the class, and (a) fails: two classes with features e₁, e₂ and −e₁, −e₂ (one pair per image) at t = 0.1
//! and K = 2 have a loss 0.293 below L_K*, because an image is told apart from the other image of its class.
//!
//! # Beside the bounds
//! [`simplex_components`] is the optimum as a row of `losses.csv`, exactly, and [`gram_components`] that of unequal
//! classes: every bound of [`crate::bounds`] can be evaluated on it. What grows with K there is the bound, not the loss it bounds.
//!
#![doc = include_str!("../../docs/optimum.svg")]
//!
//! ```
//! use theory::{ClassPrior, NumNegatives, bounds, optimum};
//! let (few, many) = (NumNegatives::new(63)?, NumNegatives::new(1023)?);
//! let uniform = ClassPrior::uniform(10)?;
//! let sup = |k| optimum::solve(&uniform, k, 0.5).map(|o| o.supervised_loss);
//! assert_eq!(sup(few)?, sup(many)?);
//! let curl = |k| {
//!     let losses = optimum::simplex_components(10, k, 0.5)?;
//!     Ok::<_, theory::Error>(bounds::find("curl").and_then(|b| b.upper_bound(&losses).value()).unwrap())
//! };
//! assert!(curl(few)? > 100.0 && curl(many)? > 1e40); // ln 10 = 2.3 is what a classifier reaches that ignores its input
//! # Ok::<(), theory::Error>(())
//! ```
//!
//! Source: Awasthi, Dikkala & Kamath, "Do more negative samples necessarily hurt in contrastive learning?" (ICML 2022);
//! the proofs and the evaluation by an integral are derived here.

mod components;
mod descent;
pub mod gram;
mod grouped;
mod loss;
mod program;
mod shown;
pub mod simplex;
mod unequal;

pub use components::simplex_components;
pub use unequal::gram_components;

use crate::error::{Error, Result};
use crate::prior::ClassPrior;
use crate::sampling::NumNegatives;

/// How an optimum was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Equally likely classes: the closed form of the regular simplex.
    Simplex,
    /// The convex program over Gram matrices.
    GramProgram,
}

impl Method {
    /// Name in the command line's output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simplex => "simplex",
            Self::GramProgram => "gram program",
        }
    }
}

/// The least contrastive loss that any encoder can reach, and the mean classifier of an encoder that reaches it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Optimum {
    /// L_K*, in nats: of the encoder found, which exceeds the infimum by at most `gap`.
    pub loss: f64,
    /// L_sup of the mean classifier over all C classes, weighted with the prior.
    pub supervised_loss: f64,
    /// Accuracy of the mean classifier, weighted with the prior; an anchor whose class ties with m others counts
    /// 1/(1+m), as if ties were broken at random. Inner products within [`gram::TIE`] of 1 are ties.
    pub accuracy: f64,
    /// Least inner product of two different classes' vectors; none for a single class.
    pub min_inner_product: Option<f64>,
    /// Largest inner product of two different classes' vectors.
    pub max_inner_product: Option<f64>,
    /// Certified bound of `loss` − infimum, in nats; 0 for the closed form.
    pub gap: f64,
    /// Steps of the solver; 0 for the closed form.
    pub iterations: usize,
    /// How it was found.
    pub method: Method,
}

/// The optimum for any prior: the closed form where all classes are equally likely, else the Gram program with its
/// default options.
///
/// # Errors
/// K = 0 or above 10¹²; t not positive; for unequal classes, what [`gram::solve`] refuses.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, NumNegatives, optimum};
/// // Two classes: antipodal vectors, whatever the prior.
/// let found = optimum::solve(&ClassPrior::from_counts(vec![3, 1])?, NumNegatives::new(5)?, 1.0)?;
/// assert!((found.supervised_loss - (-2.0f64).exp().ln_1p()).abs() < 1e-7 && found.gap <= 1e-8);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn solve(prior: &ClassPrior, num_negatives: NumNegatives, temperature: f64) -> Result<Optimum> {
    if prior.is_uniform() {
        return simplex::optimum(prior.num_classes(), num_negatives, temperature);
    }
    Ok(gram::solve(prior, num_negatives, temperature, &gram::Options::default())?.optimum)
}

/// K ≥ 1 and t > 0; a K that the binomial law refuses is refused there.
fn check(num_negatives: NumNegatives, temperature: f64) -> Result<()> {
    if !(temperature.is_finite() && temperature > 0.0) {
        return Err(Error::argument(format!("temperature {temperature} is not a positive number")));
    }
    if num_negatives.get() == 0 {
        return Err(Error::argument(
            "K = 0 negatives: the loss is 0 for every encoder, so K must be at least 1",
        ));
    }
    Ok(())
}
