//! The error from L_Info: error ≤ (L_Info − d(f) − a₁)/(a₂ − a₁) for equal classes.
//!
//! N_j is the number of the K negatives of class j, N_c = Col. By the master inequality (`bounds::master`) L_Info − d(f)
//! ≥ E ln(1 + N_c + Σ_{j≠c} N_j w_j), for independent draws and for distinct images alike, and given the anchor the law of
//! the N_j depends on its class alone.
//!
//! **`contrastive`.** If the anchor is classified right the logarithm is at least ln(1 + N_c). If it is taken for j, w_j ≥
//! 1, and it is at least ln(1 + N_c + N_j). Here N_c is Binomial(K, π_c), or hypergeometric, K of M − 1 images of which
//! M_c − 1 are marked; N_c + N_j is the same of the class that c and j are together. The larger class j, the larger N_c
//! + N_j, so that the rarest j ≠ c costs least. With a₁(c) = E ln(1 + N_c) and a₂(c) = E ln(1 + N_c + N_j) for it,
//!
//! L_Info − d(f) ≥ Σ_c π_c \[a₁(c) + e_c (a₂(c) − a₁(c))\], and `knapsack` gives the largest Σ π_c e_c. K = 1: a₁ = π_c ln 2.
//!
//! **`contrastive_margin`.** Let s̄ = Σ_{j≠c} π_j s_j/(1 − π_c), the mean of which is m = −`mean_margin`/t. Given the
//! anchor and N_c, each of the R = K − N_c other negatives is of class j with probability π_j/(1 − π_c), so its logit has
//! mean s̄; the logarithm is convex in those logits, and by Jensen its mean is at least
//!
//! g₁(s̄) = E ln(1 + N_c + R e^{s̄}).
//!
//! If the anchor is taken for j, s_j ≥ 0. Given N_c and N_j, the other R − N_j negatives have mean logit s̄′ = ((1 − π_c)
//! s̄ − π_j s_j)/(1 − π_c − π_j), and the mean is at least F(s_j) = E ln(1 + N_c + N_j e^{s_j} + (R − N_j) e^{s̄′}). F does
//! not fall where s_j ≥ s̄′: given R, let B_k say whether other negative k is of class j; then F′ is a positive multiple of
//! E\[e^{s_j}/D | B_1 = 1\] − E\[e^{s̄′}/D | B_1 = 0\], D the argument of the logarithm, D = D₀ + the first negative's
//! term. D₀ is no larger in law given B_1 = 1 (independent draws: the same law; distinct images: one image of j fewer for
//! the others), and x/(D₀ + x) increases in x. So for s̄ ≤ 0 the least is at s_j = 0:
//!
//! g₂(s̄) = E ln(1 + S + (K − S) e^{κ s̄}), S = N_c + N_j, κ = (1 − π_c)/(1 − π_c − π_j),
//!
//! and for s̄ > 0 it is at s_j = s̄, g₂ = g₁. As above the rarest j costs least: for a larger j, averaging the logits of
//! the classes beyond the rarest's share with those of the rest lowers the mean, by Jensen again. With two classes s_j =
//! s̄, and an error needs s̄ ≥ 0.
//!
//! For 0 ≤ λ ≤ min_c g₁′(0), λ s̄ + φ lies below g₁, and likewise below g₂, on s̄ ≤ 0 with φ from `logits` (of slope λ/κ in
//! κ s̄), and for s̄ > 0 because both have slope at least λ there (g₂′(0) = g₁′(0) = E R/(1 + K); two classes: an error has
//! g₂ ≥ ln(1 + K) + λ s̄). `knapsack` does the rest. λ = 0 is `contrastive`.
//!
//! The conditional mean of the logits is all that is used: the measured spread of logits would sharpen it further.
//!
//! Source: derived here.

use super::knapsack::{Anchors, largest_error};
use super::logits::Logits;
use super::{Certificate, Evidence};
use crate::bounds::{self, Outcome};
use crate::collision;
use crate::losses::{LossComponents, Quantity};
use crate::prior::ClassPrior;

pub(super) struct Contrastive {
    pub margin: bool,
}

/// K above which nothing is computed: the sums have some 20 √K terms, and are taken a hundred times.
const MOST_NEGATIVES: u64 = 10_000_000;

const NEEDS: [Quantity; 3] = [Quantity::InfoNce, Quantity::Gap, Quantity::MeanMargin];

impl Certificate for Contrastive {
    fn key(&self) -> &'static str {
        if self.margin { "contrastive_margin" } else { "contrastive" }
    }

    fn name(&self) -> &'static str {
        if self.margin { "L_Info, mean margin" } else { "L_Info" }
    }

    fn source(&self) -> &'static str {
        "derived here"
    }

    fn conditions(&self) -> &'static str {
        "any classes, any K and t; independent draws or distinct images"
    }

    fn evidence(&self) -> Evidence {
        Evidence::Contrastive
    }

    fn needs(&self) -> &'static [Quantity] {
        &NEEDS[..if self.margin { 3 } else { 2 }]
    }

    fn error_bound(&self, losses: &LossComponents) -> Outcome {
        self.evaluate(losses).unwrap_or_else(|outcome| outcome)
    }
}

impl Contrastive {
    fn evaluate(&self, losses: &LossComponents) -> Result<Outcome, Outcome> {
        let [info_nce, gap] = bounds::measured(losses, [Quantity::InfoNce, Quantity::Gap])?;
        let mean_logit = match self.margin {
            true => Some(-bounds::measured(losses, [Quantity::MeanMargin])?[0] / losses.temperature),
            false => None,
        };
        let anchors = anchors(losses, &bounds::prior_of(losses)?)?;
        Ok(largest_error(info_nce - gap, mean_logit, &anchors))
    }
}

/// Anchors by the size of their class.
fn anchors(losses: &LossComponents, prior: &ClassPrior) -> Result<Vec<Anchors>, Outcome> {
    let negatives = losses.num_draws.negatives();
    if negatives.get() > MOST_NEGATIVES {
        return Err(Outcome::NotApplicable(format!(
            "K = {negatives} negatives exceed the limit of {MOST_NEGATIVES}"
        )));
    }
    let (Some(total), groups) = (prior.population(), prior.groups()) else {
        return Err(Outcome::NotApplicable("needs class_counts".into()));
    };
    let logits = |marked: u64| -> Result<Logits, Outcome> {
        Ok(Logits::new(collision::window_of(marked, total, losses.sampling, negatives)?, negatives.get()))
    };
    let last = groups.len() - 1;
    let of_group = |group: &crate::prior::Group| {
        let is_alone = *group == groups[last] && group.multiplicity == 1;
        let rarest = if is_alone { groups[last - 1] } else { groups[last] };
        let (own, other) = (group.count.unwrap_or(0), rarest.count.unwrap_or(0));
        Ok(Anchors {
            share: group.probability * group.multiplicity as f64,
            right: logits(own)?,
            wrong: logits(own + other)?,
            shrink: (total - own - other) as f64 / (total - own) as f64,
        })
    };
    groups.iter().map(of_group).collect()
}
