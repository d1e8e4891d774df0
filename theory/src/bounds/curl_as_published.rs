//! The CURL bar of the published figure: (L_Info − c_sub − E ln(1+Col) − d(f)) / (1−τ̂), with the counted τ̂.
//!
//! It is not an upper bound of L_sup. After c_sub is subtracted, P(Col = 0 and cover) L_sup is left, which is smaller
//! than (1−τ) L_sup. Smallest counterexample: C = 3, K = 1, all features equal, t = 1: L_Info = ln 2, c_sub = (2/3) ln
//! 2, E ln(1+Col) = (1/3) ln 2, d = 0, so the bar is 0 while L_sup = ln 3.
//!
//! Source: `create_df` of the official notebook `bound.ipynb` of Nozawa & Sato (2021). Kept to compare with the figure.

use super::{Bound, Outcome, Ratio, Standing, Step, curl, measured};
use crate::losses::{LossComponents, Quantity};

pub(super) struct CurlAsPublished;

impl Bound for CurlAsPublished {
    fn key(&self) -> &'static str {
        "curl_as_published"
    }

    fn name(&self) -> &'static str {
        "CURL as published (no bound of L_sup)"
    }

    fn formula(&self) -> &'static str {
        "(L_Info − E[1{Col = 0, not cover} l_sub] − E ln(1 + Col) − d(f)) / (1 − τ̂)"
    }

    fn source(&self) -> &'static str {
        "official notebook of Nozawa & Sato (NeurIPS 2021)"
    }

    fn standing(&self) -> Standing {
        Standing::AsPublished("bounds P(cover | Col = 0)·L_sup, not L_sup")
    }

    fn conditions(&self) -> &'static str {
        "lower: as master; upper: none, it is no bound"
    }

    fn lower_needs(&self) -> &'static [Quantity] {
        curl::Curl.lower_needs()
    }

    fn upper_needs(&self) -> &'static [Quantity] {
        const NEEDS: [Quantity; 6] = {
            let [a, b, c, d, e] = curl::NUMERATOR;
            [a, b, c, d, e, Quantity::Collision]
        };
        &NEEDS
    }

    fn lower_bound(&self, losses: &LossComponents) -> Outcome {
        curl::Curl.lower_bound(losses)
    }

    fn ratio(&self, losses: &LossComponents) -> Option<Result<Ratio, Outcome>> {
        Some(measured(losses, curl::NUMERATOR).and_then(|parts| {
            let [tau] = measured(losses, [Quantity::Collision])?;
            if tau == 1.0 {
                return Err(Outcome::Undefined("counted τ̂ is 1".into()));
            }
            Ok(Ratio { numerator: curl::numerator(parts), ln_denominator: (-tau).ln_1p() })
        }))
    }

    fn steps(&self, losses: &LossComponents) -> Vec<(Step, Option<f64>)> {
        let mut steps = curl::Curl.steps(losses);
        steps.pop();
        steps.push((Step::PublishedDenominator, None));
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::Estimate;
    use crate::{NumDraws, Sampling};

    #[test]
    fn the_counterexample() {
        // C = 3, K = 1, all features equal: see the module's documentation.
        let draws = NumDraws::new(2).unwrap();
        let mut losses = LossComponents::new(3, draws, 1.0, Sampling::WithReplacement).unwrap();
        let ln2 = 2f64.ln();
        for (measure, value) in [
            (Quantity::InfoNce, ln2),
            (Quantity::CurlJoint, 2.0 / 3.0 * ln2),
            (Quantity::CurlJointSup, 0.0),
            (Quantity::Log1pCollisions, ln2 / 3.0),
            (Quantity::Gap, 0.0),
            (Quantity::Collision, 1.0 / 3.0),
        ] {
            losses.set(measure, Estimate::exact(value)).unwrap();
        }
        let bar = CurlAsPublished.upper_bound(&losses).value().unwrap();
        assert!(bar.abs() < 1e-15, "{bar}");
        assert!(bar < 3f64.ln(), "the bar lies below L_sup = ln 3");
    }
}
