//! What any estimator can certify about mutual information from the evaluated samples: about 2 ln N + 5.
//!
//! McAllester & Stratos: a lower bound of mutual information that holds with high confidence whatever the distribution,
//! computed from N samples, is at most about 2 ln N + 5; below that no method is ruled out. N is here the number of
//! evaluated samples, the sum of `class_counts`.
//!
//! Beside [`mutual_information`](super::mutual_information): what L_Info certifies ends at ln(K+1) already, and K+1 ≤ N,
//! so that its ceiling lies far below this one. A larger K, or another estimator, can certify more; no estimator from
//! these samples more than this.
//!
//! Source: McAllester & Stratos (AISTATS 2020), from secondary text; not proved here, hence shown as published.

use super::{Bound, Outcome, Standing, Statement, outcome, prior_of};
use crate::losses::LossComponents;

pub(super) struct MutualInformationCap;

impl Bound for MutualInformationCap {
    fn key(&self) -> &'static str {
        "mutual_information_cap"
    }

    fn name(&self) -> &'static str {
        "cap of every mutual-information certificate"
    }

    fn formula(&self) -> &'static str {
        "any certificate of I(view 1; view 2) ≤ 2 ln N + 5"
    }

    fn source(&self) -> &'static str {
        "McAllester & Stratos (AISTATS 2020)"
    }

    fn standing(&self) -> Standing {
        Standing::AsPublished("about 2 ln N + 5 as stated by the authors, not proved here")
    }

    fn conditions(&self) -> &'static str {
        "lower bounds that hold with high confidence for every distribution, from N independent samples"
    }

    fn other(&self, losses: &LossComponents) -> Option<Statement> {
        let cap = prior_of(losses).and_then(|prior| {
            let total =
                prior.population().ok_or_else(|| Outcome::NotApplicable("needs class_counts".into()))?;
            Ok(2.0 * (total as f64).ln() + 5.0)
        });
        Some(Statement { what: "any certificate of I(view 1; view 2) ≤", outcome: outcome(cap) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NumDraws, Sampling};

    #[test]
    fn two_ln_n_and_five() {
        let draws = NumDraws::new(512).unwrap();
        let mut losses = LossComponents::new(10, draws, 0.5, Sampling::WithoutReplacement).unwrap();
        let cap = |losses: &LossComponents| MutualInformationCap.other(losses).unwrap().outcome;
        assert_eq!(cap(&losses).reason(), "needs class_counts");
        losses.class_counts = Some(vec![1000; 10]);
        // 8 ln 10 + 5, and ln 512 = 6.24 is below it.
        assert!((cap(&losses).value().unwrap() - 23.4207).abs() < 1e-4);
    }
}
