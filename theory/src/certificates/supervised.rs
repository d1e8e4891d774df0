//! The error from L_sup, or from an upper bound U of it: error ≤ U/ln 2.
//!
//! An anchor that is taken for j has w_j ≥ 1 and l_sup ≥ ln(1 + w_j) ≥ ln 2; any other has l_sup ≥ 0.
//!
//! **With the mean margin**, for equal classes: let s̄ be the mean of the C − 1 other classes' logits. By Jensen l_sup ≥
//! ln(1 + (C−1) e^{s̄}), and if the anchor is taken for j, with the C − 2 others at their mean s̄′ = ((C−1) s̄ − s_j)/(C−2),
//! l_sup ≥ ln(1 + e^{s_j} + (C−2) e^{s̄′}), which does not fall where s_j ≥ s̄′. So for s̄ ≤ 0 it is at least ln(2 + (C−2)
//! e^{(C−1) s̄/(C−2)}). This is `contrastive_margin` with every other class met once: N_c = 0, N_j = 1, K = C − 1; the
//! rest is proved there.
//!
//! U is the least upper bound of L_sup among the theorems of `bounds` at the row's K, and inherits its conditions.
//!
//! Source: derived here; that a loss with l_sup ≥ ln 2 on errors bounds them is classical.

use super::knapsack::{Anchors, largest_error};
use super::logits::Logits;
use super::{Certificate, Evidence, least_upper_bound};
use crate::bounds::{self, Outcome};
use crate::losses::{LossComponents, Quantity};

pub(super) struct Supervised {
    /// Whether L_sup is the measured one.
    pub measured: bool,
    pub margin: bool,
}

const NEEDS: [Quantity; 2] = [Quantity::FullSupLoss, Quantity::MeanMargin];

impl Certificate for Supervised {
    fn key(&self) -> &'static str {
        match (self.measured, self.margin) {
            (false, false) => "upper_bound",
            (false, true) => "upper_bound_margin",
            (true, false) => "supervised",
            (true, true) => "supervised_margin",
        }
    }

    fn name(&self) -> &'static str {
        match (self.measured, self.margin) {
            (false, false) => "bound of L_sup",
            (false, true) => "bound of L_sup, mean margin",
            (true, false) => "L_sup",
            (true, true) => "L_sup, mean margin",
        }
    }

    fn source(&self) -> &'static str {
        "derived here"
    }

    fn conditions(&self) -> &'static str {
        match (self.measured, self.margin) {
            (false, false) => "those of the bound",
            (false, true) => "equally frequent classes; those of the bound",
            (true, false) => "none",
            (true, true) => "equally frequent classes",
        }
    }

    fn evidence(&self) -> Evidence {
        if self.measured { Evidence::Supervised } else { Evidence::Contrastive }
    }

    fn needs(&self) -> &'static [Quantity] {
        &NEEDS[usize::from(!self.measured)..if self.margin { 2 } else { 1 }]
    }

    fn starts_from_bound(&self) -> bool {
        !self.measured
    }

    fn error_bound(&self, losses: &LossComponents) -> Outcome {
        self.evaluate(losses).unwrap_or_else(|outcome| outcome)
    }
}

impl Supervised {
    fn evaluate(&self, losses: &LossComponents) -> Result<Outcome, Outcome> {
        let needed =
            |name: Quantity| losses.get(name).ok_or_else(|| Outcome::NotApplicable(format!("needs {name}")));
        let loss = match self.measured {
            true => needed(Quantity::FullSupLoss)?,
            false => least_upper_bound(losses)
                .map(|(_, value)| value)
                .ok_or_else(|| Outcome::NotApplicable("no theorem bounds L_sup here".into()))?,
        };
        let classes = losses.num_classes;
        if classes < 2 {
            return Err(Outcome::NotApplicable(format!("needs at least 2 classes, got {classes}")));
        }
        let mean_logit = match self.margin {
            true => {
                bounds::check_uniform(losses)?;
                Some(-needed(Quantity::MeanMargin)? / losses.temperature)
            }
            false => None,
        };
        let anchors = [Anchors {
            share: 1.0,
            right: Logits::new([(0, 1.0)], classes - 1),
            wrong: Logits::new([(1, 1.0)], classes - 1),
            shrink: (classes - 2) as f64 / (classes - 1) as f64,
        }];
        Ok(largest_error(loss, mean_logit, &anchors))
    }
}
