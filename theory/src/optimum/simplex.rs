//! The closed form for equally likely classes: the regular simplex, whatever K and t.
//!
//! One unit vector per class with all inner products −1/(C−1) and a = e^{−C/((C−1)t)}:
//!
//! L_K* = E_{m ~ Bin(K, 1/C)} ln(1 + m + (K−m) a),  L_sup = ln(1 + (C−1) a),  accuracy 1.
//!
//! Source: Awasthi, Dikkala & Kamath (ICML 2022); proof in the module [`super`].

use super::{Method, Optimum, check};
use crate::collision;
use crate::error::{Error, Result};
use crate::prior::ClassPrior;
use crate::sampling::{NumNegatives, Sampling};

/// Contrastive loss with K i.i.d. negatives of `num_classes` equally likely classes, each one unit vector, where all
/// inner products of different classes are `inner_product`: E_{m ~ Bin(K, 1/C)} ln(1 + m + (K−m) e^{(ρ−1)/t}).
///
/// A regular simplex has ρ = −1/(C−1), its least feasible value. ρ = −1 is the limit that Bao, Nagano & Nozawa (2022)
/// plot as R_cont* (there without temperature, t = 1): feasible for two classes only, a lower limit of the loss for
/// more. A sum of positive terms over the some 20 √K terms of the binomial law that matter; the relative error is that
/// of [`collision::expected_ln1p`]: below 1e-14 for K up to 1e6 and below 1e-13 up to 1e9.
///
/// # Errors
/// C = 0; K = 0 or above 10¹²; t not positive; ρ outside [−1, 1].
///
/// # Examples
/// ```
/// use theory::{NumNegatives, optimum::simplex};
/// // Two classes, one negative, t = 1, ρ = −1: it collides with probability 1/2.
/// let loss = simplex::loss_at_inner_product(2, NumNegatives::new(1)?, 1.0, -1.0)?;
/// let by_hand = 0.5 * 2.0f64.ln() + 0.5 * (-2.0f64).exp().ln_1p();
/// assert!((loss - by_hand).abs() < 1e-15);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn loss_at_inner_product(
    num_classes: u64,
    num_negatives: NumNegatives,
    temperature: f64,
    inner_product: f64,
) -> Result<f64> {
    check(num_negatives, temperature)?;
    if !(-1.0..=1.0).contains(&inner_product) {
        return Err(Error::argument(format!("the inner product {inner_product} is not in [-1, 1]")));
    }
    let repelled = ((inner_product - 1.0) / temperature).exp();
    loss_at(&ClassPrior::uniform(num_classes)?, num_negatives, repelled)
}

/// E_{m ~ Bin(K, 1/C)} ln(1 + m + (K−m) a).
fn loss_at(prior: &ClassPrior, num_negatives: NumNegatives, repelled: f64) -> Result<f64> {
    let k = num_negatives.get();
    collision::expectation(prior, Sampling::WithReplacement, num_negatives, |m| {
        (m as f64 + (k - m) as f64 * repelled).ln_1p()
    })
}

/// a = e^{(ρ−1)/t} at the simplex, ρ = −1/(C−1); 0 for one class, which has no other.
pub(super) fn repelled(num_classes: u64, temperature: f64) -> f64 {
    let c = num_classes as f64;
    if num_classes < 2 { 0.0 } else { (-c / ((c - 1.0) * temperature)).exp() }
}

/// L_sup = ln(1 + (C−1) a) of the simplex: independent of K.
pub(super) fn supervised_loss(num_classes: u64, temperature: f64) -> f64 {
    ((num_classes - 1) as f64 * repelled(num_classes, temperature)).ln_1p()
}

/// The optimum for `num_classes` equally likely classes.
///
/// Accuracy as for [`loss_at_inner_product`]; cost some 20 √K terms, 0.02 s at K = 1e9.
///
/// # Errors
/// C = 0; K = 0 or above 10¹²; t not positive.
///
/// # Examples
/// ```
/// use theory::{NumNegatives, optimum::simplex};
/// // The loss grows with K, the classifier does not change.
/// let few = simplex::optimum(10, NumNegatives::new(31)?, 0.5)?;
/// let many = simplex::optimum(10, NumNegatives::new(1023)?, 0.5)?;
/// assert!((few.loss - 1.941667819025).abs() < 1e-12 && (many.loss - 5.312684865737).abs() < 1e-12);
/// assert_eq!(few.supervised_loss, many.supervised_loss);
/// // L_sup = ln(1 + 9 e^{-20/9})
/// assert!((few.supervised_loss - (1.0 + 9.0 * (-20.0f64 / 9.0).exp()).ln()).abs() < 1e-15);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn optimum(num_classes: u64, num_negatives: NumNegatives, temperature: f64) -> Result<Optimum> {
    check(num_negatives, temperature)?;
    let prior = ClassPrior::uniform(num_classes)?;
    let inner_product = (num_classes > 1).then(|| -1.0 / (num_classes - 1) as f64);
    Ok(Optimum {
        loss: loss_at(&prior, num_negatives, repelled(num_classes, temperature))?,
        supervised_loss: supervised_loss(num_classes, temperature),
        accuracy: 1.0,
        min_inner_product: inner_product,
        max_inner_product: inner_product,
        gap: 0.0,
        iterations: 0,
        method: Method::Simplex,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negatives(k: u64) -> NumNegatives {
        NumNegatives::new(k).unwrap()
    }

    /// 12 decimals by another program (30-digit sums over the binomial law).
    #[test]
    fn published_digits() {
        let simplex = [
            (10, [1.941667819025, 3.254730046301, 4.622608939346, 5.312684865737], 0.680726466365),
            (100, [1.679113139369, 2.940277089081, 4.292918049429, 4.980356500496], 2.648317054417),
        ];
        let bao = [
            (10, [2.047182123664, 3.368083459752, 4.737867692095, 5.428258335016]),
            (100, [1.694560915003, 2.958132038079, 4.311464369609, 4.999021923454]),
        ];
        let ks = [31, 127, 511, 1023].map(negatives);
        let close =
            |found: f64, expected: f64| assert!((found - expected).abs() <= 0.5e-12 + 1e-15, "{found}");
        for ((classes, losses, supervised), (_, limits)) in simplex.into_iter().zip(bao) {
            for ((k, expected), limit) in ks.into_iter().zip(losses).zip(limits) {
                let optimum = optimum(classes, k, 0.5).unwrap();
                close(optimum.loss, expected);
                close(optimum.supervised_loss, supervised);
                close(loss_at_inner_product(classes, k, 1.0, -1.0).unwrap(), limit);
            }
        }
    }

    /// Theory: L_K* increases in K, and L_K increases in the common inner product.
    #[test]
    fn monotone_in_negatives_and_in_the_inner_product() {
        for temperature in [0.05, 0.5, 2.0] {
            for classes in [2, 5, 100] {
                let losses: Vec<f64> =
                    (1..200).map(|k| optimum(classes, negatives(k), temperature).unwrap().loss).collect();
                assert!(losses.windows(2).all(|w| w[0] < w[1]));
                let at = |rho: f64| loss_at_inner_product(classes, negatives(50), temperature, rho).unwrap();
                let least = -1.0 / (classes - 1) as f64;
                let grid: Vec<f64> =
                    (0..=20).map(|i| at(least + (1.0 - least) * f64::from(i) / 20.0)).collect();
                assert!(grid.windows(2).all(|w| w[0] <= w[1]) && grid[0] < grid[20]);
            }
        }
    }

    #[test]
    fn extremes() {
        // One class: every negative collides.
        assert!((optimum(1, negatives(7), 0.5).unwrap().loss - 8.0f64.ln()).abs() < 1e-15);
        // K = 1e9: for so many negatives ln(1 + K/C + (1−1/C)Ka) is exact to second order, C/(2K) ~ 5e-9.
        let a = (-20.0f64 / 9.0).exp();
        let mean = (1e8 + 9e8 * a).ln_1p();
        let found = optimum(10, negatives(1_000_000_000), 0.5).unwrap().loss;
        assert!(found < mean && mean - found < 5e-9, "{found} {mean}");
        for (k, t) in [(0, 0.5), (3, 0.0), (3, f64::NAN), (3, -1.0), (2_000_000_000_000, 1.0)] {
            assert!(optimum(4, negatives(k), t).is_err(), "{k} {t}");
        }
    }
}
