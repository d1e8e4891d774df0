//! Arora et al.'s own statement: what L_Info says about telling the anchor's class from one other class.
//!
//! Their loss for a task of two classes, averaged over the anchors and, uniformly, over the classes other than theirs:
//!
//! L_pair = E_{z,c} (1/(C−1)) Σ_{j≠c} ln(1 + e^{z·(μ_j − μ_c)/t}) (`pair_loss`).
//!
//! It is not L_sup, which tells the anchor's class from all others at once; L_pair ≤ L_sup.
//!
//! For K = 1, equally frequent classes and positives that are two images of one class (their Lemma 4.3, in nats; τ = 1/C
//! is the probability that the negative is of the anchor's class):
//!
//! L_pair ≤ (L_Info − τ ln 2)/(1−τ).
//!
//! Here, for every K ≥ 1, views of one image as positives too, and distinct images:
//!
//! L_pair ≤ ln(1 + e^{−2/t}) + (R − ln(1 + K e^{−2/t}))/s, R = (L_Info − d(f) − τ ln(1+K))/(1−τ),
//! s = 1 + (t/2) ln(1 + (K−1)(1 − e^{−2/t})/(1 + K e^{−2/t})),
//!
//! τ = 1/C for independent draws and (m−1)/(Cm−1) for distinct images, m of each class. At K = 1 it is L_pair ≤ R, and
//! with same-class positives d(f) = 0: theirs.
//!
//! Proof. The master inequality ([`master`](super::master)) is L_Info − d(f) ≥ E ln(1 + Σ_k w_k), w_k = e^{z·(μ_{c_k} −
//! μ_c)/t}, which is 1 for a negative of the anchor's class. The logarithm is concave and the negatives have one law:
//! E ln(1 + Σ_k w_k) = E ln(1 + mean_k K w_k) ≥ E ln(1 + K w_1). The class c_1 is c with probability τ, else uniform over
//! the others, so that the right side is τ ln(1+K) + (1−τ) E g(y), y = ln(1 + w_1), g(y) = ln(1 + K(e^y − 1)): E g(y) ≤
//! R, while E y = L_pair. With unit features w_1 ∈ \[e^{−2/t}, e^{2/t}\]; g is concave (g' = 1 + (K−1)/(K e^y − K + 1)
//! decreases), hence above its chord over that range, which begins at y₀ = ln(1 + e^{−2/t}) with g(y₀) = ln(1 + K
//! e^{−2/t}) and has the slope s, since ln(1 + e^u) − ln(1 + e^{−u}) = u: g(y₀) + s(L_pair − y₀) ≤ E g(y) ≤ R. At K = 1
//! g(y) = y, and no unit features are needed. How the negatives depend on each other does not matter.
//!
//! Source: Arora, Khandeparkar, Khodak, Plevrakis & Saunshi (ICML 2019), Lemma 4.3, as Nozawa, Germain & Guedj (UAI 2020)
//! restate it, with log₂ losses: L_sup of two-way tasks ≤ (L_un − τ)/(1−τ). The gap d(f), K > 1 and distinct images are
//! derived here. Their own statement for K negatives is quoted in [`curl`](super::curl).

use super::{Bound, Outcome, Statement, measured_upwards, outcome, uniform_prior};
use crate::losses::{LossComponents, Quantity};
use crate::sampling::Sampling;

pub(super) struct AroraPairs;

const NEEDS: [Quantity; 2] = [Quantity::InfoNce, Quantity::Gap];

impl Bound for AroraPairs {
    fn key(&self) -> &'static str {
        "arora_pairs"
    }

    fn name(&self) -> &'static str {
        "pairs of classes (Arora et al.)"
    }

    fn formula(&self) -> &'static str {
        "L_pair ≤ ln(1 + e^{−2/t}) + (r − ln(1 + K e^{−2/t})) / s, r = (L_Info − d(f) − τ_1 ln(1 + K)) / (1 − τ_1), s = 1 + (t/2) ln(1 + (K − 1)(1 − e^{−2/t}) / (1 + K e^{−2/t}))"
    }

    fn source(&self) -> &'static str {
        "Arora et al. (ICML 2019) for K = 1 and same-class positives; the rest derived here"
    }

    fn conditions(&self) -> &'static str {
        "equally frequent classes; unit features where K > 1; bounds the loss over pairs of classes, not L_sup"
    }

    fn other_needs(&self) -> &'static [Quantity] {
        &NEEDS
    }

    fn other(&self, losses: &LossComponents) -> Option<Statement> {
        let value =
            measured_upwards(losses, NEEDS).and_then(|[info_nce, gap]| pair_bound(losses, info_nce - gap));
        Some(Statement { what: "pair_loss ≤", outcome: outcome(value) })
    }
}

/// The bound of `pair_loss` from L_Info − d(f).
fn pair_bound(losses: &LossComponents, height: f64) -> Result<f64, Outcome> {
    let prior = uniform_prior(losses)?;
    let negatives = losses.num_draws.negatives().get() as f64;
    let tau = match (losses.sampling, prior.population(), prior.groups()[0].count) {
        (Sampling::WithoutReplacement, Some(total), Some(own)) => (own - 1) as f64 / (total - 1) as f64,
        _ => prior.groups()[0].probability,
    };
    let rest = (height - tau * negatives.ln_1p()) / (1.0 - tau);
    let range = 2.0 / losses.temperature;
    let least = (-range).exp();
    let slope = 1.0 + ((negatives - 1.0) * -(-range).exp_m1() / (1.0 + negatives * least)).ln_1p() / range;
    Ok(least.ln_1p() + (rest - (negatives * least).ln_1p()) / slope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::{Estimate, Positives};
    use crate::{NumNegatives, Sampling};

    fn bound(negatives: u64, sampling: Sampling, info_nce: f64, t: f64) -> Outcome {
        let draws = NumNegatives::new(negatives).unwrap().draws();
        let mut losses = LossComponents::new(4, draws, t, sampling).unwrap();
        losses.class_counts = Some(vec![3; 4]);
        losses.set(Quantity::InfoNce, Estimate::exact(info_nce)).unwrap();
        losses.set(Quantity::Gap, Estimate::exact(0.0)).unwrap();
        if sampling == Sampling::WithReplacement {
            losses.positives = Positives::SameClass;
        }
        AroraPairs.other(&losses).unwrap().outcome
    }

    #[test]
    fn one_negative_is_the_published_lemma() {
        // τ = 1/4, L = ln 2 (all features equal): L_pair = ln 2, attained, and rounded upwards.
        let found = bound(1, Sampling::WithReplacement, 2f64.ln(), 1.0).value().unwrap();
        assert!((0.0..3e-13).contains(&(found - 2f64.ln())), "{found}");
        // Distinct images: τ = 2/11.
        let found = bound(1, Sampling::WithoutReplacement, 1.0, 1.0).value().unwrap();
        assert!((0.0..3e-13).contains(&(found - (1.0 - 2.0 / 11.0 * 2f64.ln()) / (9.0 / 11.0))), "{found}");
    }

    #[test]
    fn more_negatives_follow_the_chord() {
        // w at an end of its range for every class: L_Info = τ ln(1+K) + (1−τ) ln(1 + K w) gives ln(1 + w) back.
        for (k, t) in [(2, 1.0), (15, 0.5), (255, 0.1), (1 << 40, 0.01), (7, 1e-3)] {
            for sign in [-1.0, 1.0] {
                // ln(1 + weight e^{±2/t}), also where it overflows.
                let of = |weight: f64| {
                    let x: f64 = weight.ln() + sign * 2.0 / t;
                    x.max(0.0) + (-x.abs()).exp().ln_1p()
                };
                let info_nce = 0.25 * (k as f64).ln_1p() + 0.75 * of(k as f64);
                let found = bound(k, Sampling::WithReplacement, info_nce, t).value().unwrap();
                // L_Info is raised by 2e-13 of its size first, and divided by 1 − τ = 3/4.
                let most = 4e-13 * info_nce.max(1.0);
                assert!((found - of(1.0)).abs() < most, "K = {k}, t = {t}: {found}");
            }
        }
    }
}
