//! Eq. 10 of Nozawa & Sato for unequal classes, class by class: L_Info ≥ ½ { Σ_c π_c υ_c L_sup,c + E\[1{not cover} l_sub\]
//! + E ln(1+Col) } + d(f), and what it says about the supervised loss weighted by coverage.
//!
//! L_sup,c is the supervised loss of anchors of class c (`class_sup_loss`) and υ_c the probability that a batch with such
//! an anchor covers. With υ L_sup in place of the sum, the factored form of the paper, it is false for unequal classes:
//! rare classes have larger υ_c, and often larger losses.
//!
//! Proof. As in `nozawa_sato`, L_Info − d(f) is at least ½ { E\[1{cover} l_sup\] + E\[1{not cover} l_sub\] + E ln(1+Col)
//! }. Whether a batch covers depends on the anchor's class and the labels of the negatives, and these, given the class,
//! not on the anchor's view: independent draws, and distinct images, whose labels know of the anchor's image only that it
//! is one of its class. So E\[1{cover} l_sup\] = Σ_c π_c υ_c L_sup,c.
//!
//! As Σ_c π_c υ_c = υ_{K+1}, the mean of L_sup,c with the weights π_c υ_c/υ, which is E\[l_sup | cover\], is at most
//!
//! ( 2 (L_Info − d(f)) − E\[1{not cover} l_sub\] − E ln(1+Col) ) / υ_{K+1}:
//!
//! the paper's quotient, with the plain υ in place of the smallest υ_c. It bounds L_sup itself for equal classes only.
//!
//! Source: Nozawa & Sato (NeurIPS 2021), Eq. 10; the form for unequal classes is derived here.

use super::{Bound, Outcome, Ratio, Statement, measured, measured_upwards, nozawa_sato, outcome, prior_of};
use crate::coverage;
use crate::losses::{LossComponents, Quantity};

pub(super) struct NozawaSatoByClass;

const LOWER: [Quantity; 3] = [Quantity::JointSubLoss, Quantity::Log1pCollisions, Quantity::Gap];

impl Bound for NozawaSatoByClass {
    fn key(&self) -> &'static str {
        "nozawa_sato_by_class"
    }

    fn name(&self) -> &'static str {
        "Nozawa & Sato, class by class"
    }

    fn formula(&self) -> &'static str {
        "E[l_sup | cover] ≤ (2 (L_Info − d(f)) − E[1{not cover} l_sub] − E ln(1 + Col)) / υ_{K+1}"
    }

    fn source(&self) -> &'static str {
        "Nozawa & Sato (NeurIPS 2021), Eq. 10; for unequal classes derived here"
    }

    fn conditions(&self) -> &'static str {
        "lower: any classes, needs class_sup_loss; L_sup weighted by coverage: K ≥ C−1, any classes"
    }

    fn lower_needs(&self) -> &'static [Quantity] {
        &LOWER
    }

    fn other_needs(&self) -> &'static [Quantity] {
        &nozawa_sato::NUMERATOR
    }

    fn lower_bound(&self, losses: &LossComponents) -> Outcome {
        outcome(measured(losses, LOWER).and_then(|[sub, collisions, gap]| {
            Ok(0.5 * (weighted_by_coverage(losses)? + sub + collisions) + gap)
        }))
    }

    fn other(&self, losses: &LossComponents) -> Option<Statement> {
        let ratio =
            measured_upwards(losses, nozawa_sato::NUMERATOR).and_then(|[info_nce, sub, collisions, gap]| {
                let upsilon = coverage::probability(&prior_of(losses)?, losses.sampling, losses.num_draws)?;
                if upsilon.ln() == f64::NEG_INFINITY {
                    let (n, c) = (losses.num_draws, losses.num_classes);
                    return Err(Outcome::Undefined(format!("υ = 0: {n} draws cannot show {c} classes")));
                }
                Ok(Ratio {
                    numerator: 2.0 * (info_nce - gap) - sub - collisions,
                    ln_denominator: upsilon.ln(),
                })
            });
        Some(Statement { what: "L_sup weighted by coverage ≤", outcome: outcome(ratio.map(Ratio::value)) })
    }
}

/// Σ_c π_c υ_c L_sup,c.
fn weighted_by_coverage(losses: &LossComponents) -> Result<f64, Outcome> {
    let prior = prior_of(losses)?;
    let (Some(of_class), Some(counts)) = (&losses.class_sup_loss, prior.counts()) else {
        return Err(Outcome::NotApplicable("needs class_sup_loss".into()));
    };
    if of_class.len() != counts.len() {
        let (found, classes) = (of_class.len(), counts.len());
        return Err(Outcome::NotApplicable(format!("{found} class_sup_loss for {classes} classes")));
    }
    let covers = coverage::given_anchor(&prior, losses.sampling, losses.num_draws)?;
    let mut sum = 0.0;
    for (group, upsilon) in prior.groups().iter().zip(covers) {
        let own = counts.iter().zip(of_class).filter(|(count, _)| Some(**count) == group.count);
        sum += group.probability * upsilon.value() * own.map(|(_, loss)| loss).sum::<f64>();
    }
    Ok(sum)
}
