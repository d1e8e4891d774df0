//! The inequality behind all the others: L_Info ≥ E ln(1 + Col + A) + d(f), A = Σ_{k: c_k ≠ c} e^{z·(μ_{c_k} − μ_c)/t}.
//!
//! Proof. The loss is ln(1 + Σ_k e^{(z·z_k − z·z⁺)/t}), jointly convex in z⁺ and all z_k (log-sum-exp of linear
//! functions). Replacing z⁺ by its mean f̄(x) and z_k by its mean μ_{c_k}, given the anchor and all labels, therefore
//! lowers the expectation (Jensen); the negatives may depend on each other in any way. As a function of s = z·z⁺/t the
//! loss, g(s) = ln(e^s + B) − s, has slope in (−1, 0]; so g(z·f̄/t) ≥ g(z·μ_c/t) + min(0, z·(μ_c − f̄)/t), and the mean
//! of the last term is d(f). With z⁺ at μ_c, every negative of the anchor's class adds e⁰ = 1, together Col, and the
//! others add A.
//!
//! Batches of distinct images. A negative of the anchor's own class, of m images, cannot be the anchor's image; its
//! mean is (m μ_c − f̄)/(m−1), whose distance to f̄ is m/(m−1) times that of μ_c. With u = z·(μ_c − f̄)/t the loss is
//! then at least ln(1 + Col e^{mu/(m−1)} + e^u A). For u ≥ 0 this is at least ln(1 + Col + A). For u < 0 the claim 1 +
//! Col e^{mu/(m−1)} + e^u A ≥ e^u (1 + Col + A) is e^{−u} + Col e^{u/(m−1)} ≥ 1 + Col, and by e^v ≥ 1 + v the left side
//! is at least 1 + Col − u (1 − Col/(m−1)), where Col ≤ m−1. So the inequality holds for what a shuffled loader does,
//! whatever the class sizes.
//!
//! Source: derived here; the steps for independent negatives are those behind Eq. 8 and Eq. 10 of Nozawa & Sato (2021).

use super::{Bound, Outcome, measured, outcome};
use crate::losses::{LossComponents, Quantity};

pub(super) struct Master;

impl Bound for Master {
    fn key(&self) -> &'static str {
        "master"
    }

    fn name(&self) -> &'static str {
        "master inequality"
    }

    fn formula(&self) -> &'static str {
        "L_Info ≥ E ln(1 + Col + A) + d(f)"
    }

    fn source(&self) -> &'static str {
        "derived here from Nozawa & Sato (NeurIPS 2021)"
    }

    fn conditions(&self) -> &'static str {
        "any classes, any K, any joint law of the negatives, distinct images included"
    }

    fn lower_needs(&self) -> &'static [Quantity] {
        &[Quantity::MasterTerm, Quantity::Gap]
    }

    fn lower_bound(&self, losses: &LossComponents) -> Outcome {
        outcome(measured(losses, [Quantity::MasterTerm, Quantity::Gap]).map(|[term, gap]| term + gap))
    }

    fn is_paired(&self) -> bool {
        true
    }
}
