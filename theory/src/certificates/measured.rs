//! Certificates that are columns of their own.
//!
//! `supervised_odds`: an error, ties included, has Σ_{j≠c} w_j ≥ 1; by Markov error ≤ E Σ_{j≠c} w_j = E e^{l_sup} − 1.
//!
//! `cantelli`, `directional`: Cantelli's inequality for x·(μ_i − μ_j) > 0, Chebyshev's for ‖x − μ_i‖ < ‖x − μ_j‖, in each
//! class of the evaluated samples. Crate `measure` computes them, and proves them where it does (`measure::moments`).
//!
//! Source: the first and the second derived here; the third is the certificate of Luthra, Salunkhe & Galanti (2026) by
//! directional variance in the limit of many labelled samples a class, where it is Chebyshev's inequality.

use super::{Certificate, Evidence};
use crate::bounds::Outcome;
use crate::losses::{LossComponents, Quantity};

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Odds,
    Cantelli,
    Directional,
}

pub(super) struct Measured(pub Kind);

impl Certificate for Measured {
    fn key(&self) -> &'static str {
        match self.0 {
            Kind::Odds => "supervised_odds",
            Kind::Cantelli => "cantelli",
            Kind::Directional => "directional",
        }
    }

    fn name(&self) -> &'static str {
        match self.0 {
            Kind::Odds => "Markov",
            Kind::Cantelli => "Cantelli",
            Kind::Directional => "directional variance, nearest mean",
        }
    }

    fn source(&self) -> &'static str {
        match self.0 {
            Kind::Odds | Kind::Cantelli => "derived here",
            Kind::Directional => "Luthra, Salunkhe & Galanti (2026), many samples",
        }
    }

    fn conditions(&self) -> &'static str {
        match self.0 {
            Kind::Odds => "none",
            Kind::Cantelli => "none; of the samples behind mean_accuracy",
            Kind::Directional => "none; of the samples behind nearest_mean_accuracy",
        }
    }

    fn evidence(&self) -> Evidence {
        match self.0 {
            Kind::Odds => Evidence::Supervised,
            Kind::Cantelli | Kind::Directional => Evidence::Moments,
        }
    }

    fn needs(&self) -> &'static [Quantity] {
        match self.0 {
            Kind::Odds => &[Quantity::SupervisedOdds],
            Kind::Cantelli => &[Quantity::CantelliError],
            Kind::Directional => &[Quantity::DirectionalError],
        }
    }

    fn measured_error(&self, losses: &LossComponents) -> Option<f64> {
        let accuracy = match self.0 {
            Kind::Odds => {
                return losses.get(Quantity::AnchorError);
            }
            Kind::Cantelli => Quantity::MeanAccuracy,
            Kind::Directional => Quantity::NearestMeanAccuracy,
        };
        losses.get(accuracy).map(|accuracy| 1.0 - accuracy)
    }

    fn error_bound(&self, losses: &LossComponents) -> Outcome {
        let needed = self.needs()[0];
        losses.get(needed).map_or_else(|| Outcome::NotApplicable(format!("needs {needed}")), Outcome::Value)
    }
}
