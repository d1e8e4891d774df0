//! The inequality behind the other two: L_Info ≥ E ln(1 + Col + A) + d(f), A = Σ_{k: c_k ≠ c} e^{z·(μ_{c_k} − μ_c)/t}.
//!
//! Proof. The loss is ln(1 + Σ_k e^{(z·z_k − z·z⁺)/t}), convex in z⁺ and in every z_k (log-sum-exp of linear functions).
//! Replacing z⁺ by its mean f̄(x) and z_k by its mean μ_{c_k} therefore lowers the expectation (Jensen). As a function
//! of s = z·z⁺/t the loss, g(s) = ln(e^s + B) − s, has slope in (−1, 0]; so g(z·f̄/t) ≥ g(z·μ_c/t) + min(0, z·(μ_c − f̄)/t),
//! and the mean of the last term is d(f). With z⁺ at μ_c, every negative of the anchor's class adds e⁰ = 1, together Col,
//! and the others add A.
//!
//! Batches without replacement: the labels are then not independent, which the proof does not use; a negative of the
//! anchor's own class cannot be the anchor's image, so its mean is (m μ_c − f̄(x))/(m−1) instead of μ_c for a class of m
//! images, a difference of order 1/m. For that case the inequality is not proved here; the tests enumerate finite worlds
//! with m = 2, where it holds.
//!
//! Source: derived here; the steps are those behind Eq. 8 and Eq. 10 of Nozawa & Sato (2021).

use super::{Bound, Outcome, measured, outcome};
use crate::losses::{LossComponents, Measure};

pub(super) struct Master;

impl Bound for Master {
    fn key(&self) -> &'static str {
        "master"
    }

    fn name(&self) -> &'static str {
        "master inequality"
    }

    fn source(&self) -> &'static str {
        "derived here from Nozawa & Sato (NeurIPS 2021)"
    }

    fn lower_bound(&self, losses: &LossComponents) -> Outcome {
        outcome(measured(losses, [Measure::MasterTerm, Measure::Gap]).map(|[term, gap]| term + gap))
    }

    fn upper_bound(&self, _: &LossComponents) -> Outcome {
        Outcome::NotApplicable("gives no upper bound of L_sup by itself".into())
    }
}
