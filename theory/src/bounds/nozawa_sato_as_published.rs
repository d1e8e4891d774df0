//! The bar "Ours" of the published figure: ( 2 L_Info − ½ E\[1{not cover} l_sub\] − E ln(1+Col) − 2 d(f) ) / υ̂.
//!
//! Against Eq. 10 it subtracts only half of the L_sub part (valid, but looser), and it divides by υ̂, the counted share
//! of batches that cover: a random denominator. Where none covered, the authors put in the values of a float64
//! inclusion–exclusion for C = 100: 4.517e-4 at n = 128 (true: 1.504e-22) and 5.750e-4 at n = 256 (true: 1.233e-4).
//! With those it is no bound.
//!
//! Source: `create_df` of the official notebook `bound.ipynb` of Nozawa & Sato (2021). Kept to compare with the figure.

use super::slack::sum;
use super::{Bound, Outcome, Ratio, Standing, Step, measured, nozawa_sato};
use crate::losses::{LossComponents, Quantity};

pub(super) struct NozawaSatoAsPublished;

/// The constants of the notebook: C, n, and what stands for υ̂ = 0.
const FLOAT_CONSTANTS: [(u64, u64, f64); 2] =
    [(100, 128, 0.000_451_717_144_333_211_5), (100, 256, 0.000_575_010_311_026_902_7)];

impl Bound for NozawaSatoAsPublished {
    fn key(&self) -> &'static str {
        "nozawa_sato_as_published"
    }

    fn name(&self) -> &'static str {
        "Nozawa & Sato as published"
    }

    fn formula(&self) -> &'static str {
        "(2 (L_Info − d(f)) − ½ E[1{not cover} l_sub] − E ln(1 + Col)) / υ̂"
    }

    fn source(&self) -> &'static str {
        "official notebook of Nozawa & Sato (NeurIPS 2021)"
    }

    fn standing(&self) -> Standing {
        Standing::AsPublished(
            "half of the L_sub part, a counted υ̂, and float constants where nothing was counted",
        )
    }

    fn conditions(&self) -> &'static str {
        "lower: as master; upper: equally frequent classes, as far as υ̂ is υ"
    }

    fn lower_needs(&self) -> &'static [Quantity] {
        nozawa_sato::NozawaSato.lower_needs()
    }

    fn upper_needs(&self) -> &'static [Quantity] {
        const NEEDS: [Quantity; 5] = {
            let [a, b, c, d] = nozawa_sato::NUMERATOR;
            [a, b, c, d, Quantity::Coverage]
        };
        &NEEDS
    }

    fn lower_bound(&self, losses: &LossComponents) -> Outcome {
        nozawa_sato::NozawaSato.lower_bound(losses)
    }

    fn ratio(&self, losses: &LossComponents) -> Option<Result<Ratio, Outcome>> {
        Some(measured(losses, nozawa_sato::NUMERATOR).and_then(|[info_nce, sub, collisions, gap]| {
            let numerator = 2.0 * info_nce - 0.5 * sub - collisions - 2.0 * gap;
            let [counted] = measured(losses, [Quantity::Coverage])?;
            let (classes, draws) = (losses.num_classes, losses.num_draws.get());
            let constant = FLOAT_CONSTANTS.iter().find(|&&(c, n, _)| (c, n) == (classes, draws));
            let upsilon = match constant {
                Some(&(.., value)) if counted == 0.0 => value,
                _ => counted,
            };
            if upsilon == 0.0 {
                return Err(Outcome::Undefined("counted υ̂ is 0".into()));
            }
            Ok(Ratio { numerator, ln_denominator: upsilon.ln() })
        }))
    }

    fn steps(&self, losses: &LossComponents) -> Vec<(Step, Option<f64>)> {
        let halved = [
            (0.5, Quantity::JointSupLoss),
            (0.25, Quantity::JointSubLoss),
            (0.5, Quantity::Log1pCollisions),
            (1.0, Quantity::Gap),
        ];
        let mut steps = nozawa_sato::NozawaSato.steps(losses);
        steps.pop();
        steps.extend([(Step::HalfSubClass, sum(losses, &halved)), (Step::PublishedDenominator, None)]);
        steps
    }
}
