//! The surrogate gap of Bao et al., upper and lower, with temperature: L_Info − d(f) + Δ_L ≤ L_sup ≤ L_Info − d(f) +
//! Δ_U.
//!
//! Δ_U = ln(π_max C²/K) + 2 ln cosh(1/t), Δ_L = H(π) + ln K − 2 ln(1+K) − 2 ln cosh(1/t), H the entropy of the prior.
//! Both have slope 1 in L_Info and stay within a band of 4 ln cosh(1/t) + o(1) whatever K. For equal classes Δ_U is
//! that of `reverse_jensen`, which is proved; for unequal ones, and for Δ_L, the constants are those of the authors'
//! code (their b² is 1/t), hold in every enumerated world, and are not proved here. The lower side assumes positives
//! that are two images of one class; `specht` has a proved one.
//!
//! Source: Bao, Nagano & Nozawa (ICML 2022), Theorems 3 and 4 as coded by the authors; d(f) is ours.

use super::reverse_jensen::{ReverseJensen, ln_cosh};
use super::specht::same_class;
use super::{Bound, Outcome, Standing, Step, measured, measured_upwards, outcome, prior_of};
use crate::losses::{LossComponents, Quantity};
use crate::sampling::Sampling;

pub(super) struct Bao;

impl Bound for Bao {
    fn key(&self) -> &'static str {
        "bao"
    }

    fn name(&self) -> &'static str {
        "Bao et al. (surrogate gap)"
    }

    fn formula(&self) -> &'static str {
        "L_sup ≤ L_Info − d(f) + ln(π_max C^2 / K) + 2 ln cosh(1/t)"
    }

    fn source(&self) -> &'static str {
        "Bao et al. (ICML 2022), as coded by the authors"
    }

    fn standing(&self) -> Standing {
        Standing::Unproved(
            "proved here only as an upper bound for equally frequent classes, where it is reverse_jensen",
        )
    }

    fn conditions(&self) -> &'static str {
        "any K ≥ 1, any classes, unit features, independent draws; lower bound of L_sup: positives of the same class"
    }

    fn supervised_lower_needs(&self) -> &'static [Quantity] {
        &[Quantity::InfoNce]
    }

    fn upper_needs(&self) -> &'static [Quantity] {
        &[Quantity::InfoNce, Quantity::Gap]
    }

    fn upper_bound(&self, losses: &LossComponents) -> Outcome {
        outcome(measured_upwards(losses, [Quantity::InfoNce, Quantity::Gap]).and_then(|[info_nce, gap]| {
            let prior = prior_of(losses)?;
            if losses.sampling == Sampling::WithoutReplacement && !prior.is_uniform() {
                return Err(Outcome::NotApplicable(
                    "unequal classes: published for independent draws".into(),
                ));
            }
            let (classes, negatives) = (losses.num_classes as f64, losses.num_draws.negatives().get() as f64);
            let ln_share = (prior.groups()[0].probability * classes * classes / negatives).ln();
            Ok(info_nce - gap + ln_share + 2.0 * ln_cosh(1.0 / losses.temperature))
        }))
    }

    fn supervised_lower_bound(&self, losses: &LossComponents) -> Outcome {
        outcome(measured(losses, [Quantity::InfoNce]).and_then(|[info_nce]| {
            same_class(losses)?;
            let prior = prior_of(losses)?;
            let of_group =
                |g: &crate::prior::Group| -(g.multiplicity as f64) * g.probability * g.probability.ln();
            let entropy: f64 = prior.groups().iter().map(of_group).sum();
            let k = losses.num_draws.negatives().get() as f64;
            Ok(info_nce + entropy + k.ln() - 2.0 * k.ln_1p() - 2.0 * ln_cosh(1.0 / losses.temperature))
        }))
    }

    fn steps(&self, losses: &LossComponents) -> Vec<(Step, Option<f64>)> {
        if prior_of(losses).is_ok_and(|prior| prior.is_uniform()) {
            return ReverseJensen.steps(losses);
        }
        vec![(Step::Rest, None)]
    }
}
