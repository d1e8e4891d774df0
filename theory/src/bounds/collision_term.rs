//! The loss of the collided negatives alone, ln(1 + Σ_{k: c_k = c} e^{(s_k − s_+)/t}): at most E ln(1+Col) plus a
//! spread.
//!
//! With all exponents replaced by the largest |s_k − s_+|/t over the collided negatives, the loss is at most
//! ln(1 + Col e^{max}) ≤ ln(1+Col) + max_k |s_k − s_+|/t: the measure `collision_upper` is its mean, and a rigorous
//! upper bound. From below, e^x ≥ 1 + x and the mean inequality give ln(1+Col) plus the mean exponent weighted by
//! Col/(1+Col).
//!
//! As published, the bound is E ln(1+Col) + β̂ with β̂ the mean over same-class pairs of |s_k − s_+|
//! (`collision_spread`), without 1/t and with a mean where the maximum is needed: a diagnostic of the spread within
//! classes.
//!
//! Source: Nozawa & Sato (NeurIPS 2021) and its notebook; the rigorous form is derived here.

use super::{Bound, Standing, Statement, measured, outcome};
use crate::losses::{LossComponents, Quantity};

pub(super) struct CollisionTerm {
    pub as_published: bool,
}

const WHAT: &str = "loss of the collided negatives ≤";

impl Bound for CollisionTerm {
    fn key(&self) -> &'static str {
        if self.as_published { "collision_term_as_published" } else { "collision_term" }
    }

    fn name(&self) -> &'static str {
        if self.as_published { "collision term as published" } else { "collision term" }
    }

    fn formula(&self) -> &'static str {
        if self.as_published {
            "E ln(1 + Col) + β̂"
        } else {
            "loss of the collided negatives ≤ E[ln(1 + Col) + max_k |s_k − s_+|/t]"
        }
    }

    fn source(&self) -> &'static str {
        if self.as_published { "notebook of Nozawa & Sato (NeurIPS 2021)" } else { "derived here" }
    }

    fn standing(&self) -> Standing {
        if self.as_published {
            Standing::AsPublished("a mean in place of a maximum, and no 1/t")
        } else {
            Standing::Theorem
        }
    }

    fn conditions(&self) -> &'static str {
        "any"
    }

    fn other_needs(&self) -> &'static [Quantity] {
        if self.as_published {
            &[Quantity::Log1pCollisions, Quantity::CollisionSpread]
        } else {
            &[Quantity::CollisionUpper]
        }
    }

    fn other(&self, losses: &LossComponents) -> Option<Statement> {
        let value = if self.as_published {
            measured(losses, [Quantity::Log1pCollisions, Quantity::CollisionSpread]).map(|[a, b]| a + b)
        } else {
            measured(losses, [Quantity::CollisionUpper]).map(|[value]| value)
        };
        Some(Statement { what: WHAT, outcome: outcome(value) })
    }
}
