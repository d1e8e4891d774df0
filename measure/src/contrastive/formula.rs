//! The losses as functions of cosines.

use crate::error::{Error, Result};
use crate::matrix::log_sum_exp;

/// A contrastive loss with its parameters; the formulas stand in the [module](super).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Formula {
    /// The positive stands in the denominator once, beside the N negatives. Equal features give ln(N+1).
    InfoNce,
    /// Negatives of the anchor's class are subtracted in expectation.
    Debiased {
        /// τ⁺ in \[0, 1), the probability that a negative has the anchor's class; the authors' default is 0.1.
        class_probability: f64,
    },
    /// As debiased, negatives weighted towards near ones; the gradient goes through the weights.
    Hard {
        /// τ⁺ in \[0, 1); the authors' default is 0.1.
        class_probability: f64,
        /// β ≥ 0, on s/t as in the authors' code; their default is 1.
        beta: f64,
    },
    /// The positive is not in the denominator. Equal features give ln N.
    Dcl,
    /// DCL whose positives have weights 2 − p of mean 1, differentiated like the rest.
    Dclw {
        /// σ > 0; the authors' default is 0.5.
        sigma: f64,
    },
    /// Value of InfoNCE, gradient of DCL: two functions.
    FlatNce,
    /// InfoNCE whose negatives weigh as much as α of them. Equal features give ln(1 + α).
    EqCo {
        /// α > 0; 65,536 imitates the queue of MoCo v2.
        virtual_negatives: f64,
    },
    /// No denominator and no temperature. Equal features give μ² − 2μ.
    Spectral {
        /// μ > 0, the squared length of a feature; 1 by default.
        scale: f64,
    },
}

/// What an anchor's loss knows of the other anchors: nothing but for DCLW.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weight {
    /// p − 1.
    excess: f64,
    /// ∂(Σ_i p_i b_i)/∂b − p, b = s⁺/t.
    through: f64,
}

impl Formula {
    /// Checks the parameters against their ranges.
    ///
    /// # Errors
    /// A parameter out of range, named with its value.
    pub fn check(&self) -> Result<()> {
        let require = |fits: bool, name: &str, value: f64, range: &str| match fits {
            true => Ok(()),
            false => Err(Error::argument(format!("{name} = {value} is not {range}"))),
        };
        let probability =
            |p: f64| require((0.0..1.0).contains(&p), "class_probability", p, "at least 0 and below 1");
        let positive =
            |name: &str, v: f64| require(v > 0.0 && v.is_finite(), name, v, "a positive finite number");
        match *self {
            Self::InfoNce | Self::Dcl | Self::FlatNce => Ok(()),
            Self::Debiased { class_probability } => probability(class_probability),
            Self::Hard { class_probability, beta } => {
                probability(class_probability)?;
                require(beta >= 0.0 && beta.is_finite(), "beta", beta, "a finite number of at least 0")
            }
            Self::Dclw { sigma } => positive("sigma", sigma),
            Self::EqCo { virtual_negatives } => positive("virtual_negatives", virtual_negatives),
            Self::Spectral { scale } => positive("scale", scale),
        }
    }

    /// The mean loss of anchors that are given by the cosines of their positive and of their negatives, of which each
    /// anchor has one or more; parameters as [`check`](Self::check) wants them.
    ///
    /// # Examples
    /// ```
    /// use measure::contrastive::Formula;
    /// // Equal cosines: ln(N + 1).
    /// let value = Formula::InfoNce.of_cosines(&[(0.5, vec![0.5, 0.5, 0.5])], 0.1);
    /// assert!((value - 4f64.ln()).abs() < 1e-15);
    /// ```
    pub fn of_cosines(&self, anchors: &[(f64, Vec<f64>)], temperature: f64) -> f64 {
        let positives: Vec<f64> = anchors.iter().map(|(positive, _)| *positive).collect();
        let weights = self.weights(&positives);
        let losses = anchors.iter().enumerate().map(|(i, (positive, negatives))| {
            let weight = weights.get(i).copied().unwrap_or_default();
            self.anchor(temperature, *positive, &mut negatives.clone(), weight).0
        });
        losses.sum::<f64>() / anchors.len() as f64
    }

    /// Of every anchor, from the cosines of all positives; empty where an anchor needs none.
    pub(super) fn weights(&self, positives: &[f64]) -> Vec<Weight> {
        let Self::Dclw { sigma } = *self else { return Vec::new() };
        let count = positives.len() as f64;
        let mean = log_sum_exp(positives.iter().map(|s| s / sigma)) - count.ln();
        let p: Vec<f64> = positives.iter().map(|s| (s / sigma - mean).exp()).collect();
        let center = p.iter().zip(positives).map(|(p, s)| p * s).sum::<f64>() / count;
        let of = |(p, s): (&f64, &f64)| Weight { excess: p - 1.0, through: p * (s - center) / sigma };
        p.iter().zip(positives).map(of).collect()
    }

    /// The loss of an anchor and its derivative by s⁺; the cosines of its negatives are replaced by derivatives by them.
    pub(super) fn anchor(&self, t: f64, positive: f64, negatives: &mut [f64], weight: Weight) -> (f64, f64) {
        if let Self::Spectral { scale } = *self {
            let factor = scale * scale / negatives.len() as f64;
            let squares: f64 = negatives.iter().map(|s| s * s).sum();
            negatives.iter_mut().for_each(|s| *s *= 2.0 * factor);
            return (factor * squares - 2.0 * scale * positive, -2.0 * scale);
        }
        // From here on `negatives` holds a_j, then derivatives by a_j at constant b = s⁺/t.
        negatives.iter_mut().for_each(|s| *s = (*s - positive) / t);
        let (loss, by_b) = match *self {
            Self::InfoNce => (softplus(shares(negatives, 0.0, Denominator::WithPositive)), 0.0),
            Self::EqCo { virtual_negatives } => {
                let shift = (virtual_negatives / negatives.len() as f64).ln();
                (softplus(shares(negatives, shift, Denominator::WithPositive)), 0.0)
            }
            Self::FlatNce => (softplus(shares(negatives, 0.0, Denominator::Negatives)), 0.0),
            Self::Dclw { .. } => {
                let sum = shares(negatives, 0.0, Denominator::Negatives);
                (sum + weight.excess * (positive / t), weight.excess + weight.through)
            }
            Self::Debiased { class_probability } => {
                let (num, sum) = (negatives.len() as f64, shares(negatives, 0.0, Denominator::Negatives));
                corrected(negatives, [sum, num, class_probability], positive, t)
            }
            Self::Hard { class_probability, beta } => {
                let num = negatives.len() as f64;
                let above = log_sum_exp(negatives.iter().map(|a| (1.0 + beta) * a));
                let below = log_sum_exp(negatives.iter().map(|a| beta * a));
                for a in &mut *negatives {
                    let raised = (1.0 + beta) * ((1.0 + beta) * *a - above).exp();
                    *a = raised - beta * (beta * *a - below).exp();
                }
                corrected(negatives, [above - below + num.ln(), num, class_probability], positive, t)
            }
            Self::Dcl | Self::Spectral { .. } => (shares(negatives, 0.0, Denominator::Negatives), 0.0),
        };
        let pull: f64 = negatives.iter().sum();
        negatives.iter_mut().for_each(|a| *a /= t);
        (loss, (by_b - pull) / t)
    }
}

enum Denominator {
    Negatives,
    WithPositive,
}

/// ln Σ_j e^{a_j + shift}; the a_j are replaced by the terms over their sum, or over 1 + their sum.
fn shares(a: &mut [f64], shift: f64, denominator: Denominator) -> f64 {
    let sum = log_sum_exp(a.iter().map(|a| a + shift));
    let by = match denominator {
        Denominator::Negatives => sum,
        Denominator::WithPositive => softplus(sum),
    };
    a.iter_mut().for_each(|a| *a = (*a + shift - by).exp());
    sum
}

/// ln(1 + g), g = max{(R − N τ⁺)/(1 − τ⁺), N e^{−(1 + s⁺)/t}}, and its derivative by b; `by_sum` holds ∂ ln R/∂a_j, in
/// whose place that of ln(1 + g) comes.
fn corrected(
    by_sum: &mut [f64],
    [sum, num_negatives, class_probability]: [f64; 3],
    positive: f64,
    t: f64,
) -> (f64, f64) {
    let scale = (-class_probability).ln_1p();
    let floor = num_negatives.ln() - (1.0 + positive) / t;
    // N τ⁺/R: 1 or more where nothing is left.
    let expected = ((num_negatives * class_probability).ln() - sum).exp();
    let rest = if expected >= 1.0 { f64::NEG_INFINITY } else { (-expected).ln_1p() + sum - scale };
    if rest.is_nan() || floor.is_nan() {
        by_sum.fill(f64::NAN);
        return (f64::NAN, f64::NAN);
    }
    let loss = softplus(rest.max(floor));
    if rest > floor {
        let factor = (sum - loss - scale).exp();
        by_sum.iter_mut().for_each(|share| *share *= factor);
        (loss, 0.0)
    } else {
        by_sum.fill(0.0);
        (loss, -(floor - loss).exp())
    }
}

/// ln(1 + e^x).
fn softplus(x: f64) -> f64 {
    if x.is_nan() { x } else { x.max(0.0) + (-x.abs()).exp().ln_1p() }
}
