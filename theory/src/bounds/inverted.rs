//! The sharpest form of `submodular` and `coverage_collision` for equal classes: L_Info − d(f) ≥ Φ_K(L_sup), inverted.
//!
//! Φ_K(L) = E_m\[ (1−q_m) ln(1+m) + q_m ln(m + e^L) \], m distributed as Col, q_m = P(a given other class is shown |
//! Col = m): 1 − (1−1/(C−1))^{K−m} for independent draws, 1 − binom((C−2)M_c, K−m)/binom((C−1)M_c, K−m) for distinct
//! images.
//!
//! Proof. Given Col = m the other negatives fall on the other classes alone, exchangeably. G(S) = ln(1 + m + Σ_{j∈S}
//! e^{u_j}) is submodular in the set S of classes shown, with G(∅) = ln(1+m) and G(all) = ln(m + e^{l_sup}), because
//! 1 + Σ_all e^{u_j} = e^{l_sup}. As in `submodular`, E\[G(S) | Col = m\] ≥ (1−q_m) ln(1+m) + q_m ln(m + e^{l_sup}).
//! The right side is convex in l_sup, so its mean over anchors is at least its value at L_sup (Jensen). Φ_K increases,
//! hence can be inverted; dropping m from the logarithm gives `submodular`, dropping the second term where m > 0
//! `coverage_collision`, so it is never worse than either.
//!
//! Source: derived here.

use super::coefficient::Law;
use super::{Bound, Outcome, Step, measured, measured_upwards, outcome, uniform_prior};
use crate::losses::{LossComponents, Quantity};
use crate::sampling::Sampling;
use crate::{collision, coverage};
use std::cell::RefCell;
use std::rc::Rc;

pub(super) struct Inverted;

impl Bound for Inverted {
    fn key(&self) -> &'static str {
        "inverted"
    }

    fn name(&self) -> &'static str {
        "inverted Φ_K"
    }

    fn formula(&self) -> &'static str {
        "E[(1 − q) ln(1 + Col) + q ln(Col + e^{L_sup})] ≤ L_Info − d(f), q = 1 − (1 − 1/(C−1))^{K − Col}"
    }

    fn source(&self) -> &'static str {
        "derived here"
    }

    fn conditions(&self) -> &'static str {
        "equally frequent classes, any K ≥ 1; independent draws or distinct images"
    }

    fn lower_needs(&self) -> &'static [Quantity] {
        &[Quantity::FullSupLoss, Quantity::Gap]
    }

    fn upper_needs(&self) -> &'static [Quantity] {
        &[Quantity::InfoNce, Quantity::Gap]
    }

    fn lower_bound(&self, losses: &LossComponents) -> Outcome {
        outcome(
            measured(losses, [Quantity::FullSupLoss, Quantity::Gap])
                .and_then(|[supervised, gap]| Ok(Phi::of(losses)?.at(supervised) + gap)),
        )
    }

    fn upper_bound(&self, losses: &LossComponents) -> Outcome {
        outcome(
            measured_upwards(losses, [Quantity::InfoNce, Quantity::Gap])
                .and_then(|[info_nce, gap]| Phi::of(losses)?.inverse(info_nce - gap)),
        )
    }

    fn steps(&self, losses: &LossComponents) -> Vec<(Step, Option<f64>)> {
        let _ = losses;
        vec![(Step::Unshown, None)]
    }
}

/// Φ_K as its terms.
struct Phi(Vec<Term>);

/// What a term of Φ_K holds whatever L is.
struct Term {
    /// P(Col = m).
    p: f64,
    /// ln m; −∞ for m = 0.
    ln_m: f64,
    /// (1−q_m) ln(1+m).
    hidden: f64,
    /// q_m.
    q: f64,
}

impl Phi {
    /// Φ_K of a row, made once while rows of one law follow each other.
    fn of(losses: &LossComponents) -> Result<Rc<Self>, Outcome> {
        thread_local! {
            static LAST: RefCell<Option<(Law, Rc<Phi>)>> = const { RefCell::new(None) };
        }
        let known = LAST.with_borrow(|last| {
            last.as_ref().filter(|(law, _)| law.is_of(losses)).map(|(_, phi)| Rc::clone(phi))
        });
        if let Some(phi) = known {
            return Ok(phi);
        }
        let phi = Rc::new(Self::new(losses)?);
        LAST.set(Some((Law::of(losses), Rc::clone(&phi))));
        Ok(phi)
    }

    fn new(losses: &LossComponents) -> Result<Self, Outcome> {
        let prior = uniform_prior(losses)?;
        let negatives = losses.num_draws.negatives();
        let law = collision::window(&prior, losses.sampling, negatives)?;
        let classes = losses.num_classes;
        let own = prior.counts().map_or(1, |counts| counts[0]);
        let shown = |m: u64| {
            let others = negatives.get() - m;
            let ln_missing = match losses.sampling {
                Sampling::WithReplacement => others as f64 * (-1.0 / (classes - 1) as f64).ln_1p(),
                Sampling::WithoutReplacement => coverage::ln_none_of((classes - 1) * own, own, others).0,
            };
            // C = 2 and no other negative: 0 · (−∞) is "nothing can be shown".
            if others == 0 { 0.0 } else { -ln_missing.exp_m1() }
        };
        let term = |(m, p): (u64, f64)| {
            let (m, q) = (m as f64, shown(m));
            Term { p, ln_m: m.ln(), hidden: (1.0 - q) * m.ln_1p(), q }
        };
        Ok(Self(law.into_iter().map(term).collect()))
    }

    fn at(&self, supervised: f64) -> f64 {
        let term = |&Term { p, ln_m, hidden, q }: &Term| {
            let is_none = ln_m == f64::NEG_INFINITY;
            let all = if is_none { supervised } else { ln_m + (supervised - ln_m).exp().ln_1p() };
            let all = if all.is_finite() { all } else { supervised };
            p * (hidden + q * all)
        };
        self.0.iter().map(term).sum()
    }

    /// dΦ/dL: Σ p q / (1 + m e^{−L}).
    fn slope(&self, supervised: f64) -> f64 {
        self.0.iter().map(|term| term.p * term.q / (1.0 + (term.ln_m - supervised).exp())).sum()
    }

    /// Where Φ(L) = `target` to many digits, and how far around that rounding may reach: Newton's steps from the right
    /// of a convex, increasing function.
    fn near(&self, target: f64, mut point: f64) -> (f64, f64) {
        for _ in 0..40 {
            let step = (self.at(point) - target) / self.slope(point);
            point -= step;
            if step.is_nan() || step.abs() <= 1e-13 * point.abs() {
                break;
            }
        }
        (point, 1e-12 * (point.abs() + target.abs() / self.slope(point)))
    }

    /// The L with Φ(L) = `target`, by bisection to the last bits; Φ is evaluated only where the side is not plain.
    fn inverse(&self, target: f64) -> Result<f64, Outcome> {
        let (mut low, mut high) = (0.0, 1.0f64.max(target));
        if self.at(low) > target {
            // Only measured means that contradict the master inequality lead here.
            return Err(Outcome::Undefined(format!(
                "L_Info − d = {target} lies below Φ_K(0) = E ln(1+Col) = {}",
                self.at(0.0)
            )));
        }
        while self.at(high) < target {
            high *= 2.0;
            if high > 1e15 {
                return Err(Outcome::Undefined("Φ_K is flat: every batch has a collision".into()));
            }
        }
        let (near, reach) = self.near(target, high);
        while high - low > 1e-15 * high {
            let middle = 0.5 * (low + high);
            if middle <= low || middle >= high {
                break;
            }
            let below = if middle < near - reach {
                true
            } else if middle > near + reach {
                false
            } else {
                self.at(middle) < target
            };
            if below { low = middle } else { high = middle }
        }
        Ok(high)
    }
}
