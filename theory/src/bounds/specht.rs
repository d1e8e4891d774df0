//! Reverse Jensen with sharp constants: L_sup ≤ L_Info − d(f) + ln(C/K) + gap_K(t), gap_K(t) = min{ ln S(e^{2/t}),
//! G(t)/K }.
//!
//! Drop the 1 from the master inequality: L_Info − d(f) ≥ E ln X, X = Σ_k e^{(s_{c_k} − s_c)}, s_j = z·μ_j/t in \[−1/t,
//! 1/t\]. E\[X | z, c\] ≥ K π_min e^{l_sup} (independent draws), since Σ_j e^{s_j − s_c} = e^{l_sup}; π_min = 1/C for
//! equal classes. What is needed is how far ln E X can exceed E ln X (reverse Jensen):
//!
//! - Specht's ratio. A variable in an interval \[m, hm\], here h = e^{2/t}, has ln E X − E ln X ≤ ln S(h),
//!   S(h) = (h−1) h^{1/(h−1)} / (e ln h). It holds for any dependence among the negatives.
//! - The variance form. Let Y = X/E X, c(r) = (r−1−ln r)/(r−1)², which decreases: −ln Y ≤ −(Y−1) + c(min Y)(Y−1)², so
//!   −E ln Y ≤ c(min Y) Var Y. For independent negatives, or pairwise not positively correlated ones such as distinct
//!   images, Var Y is at most 1/K of one negative's; that one lies in \[m, hm\] with mean am, so its relative variance
//!   is at most (h−a)(a−1)/a² (Bhatia & Davis), and min Y ≥ 1/a. The largest product is G(t) = max_{1≤a≤h}
//!   (h−a)(a−1)/a² c(1/a) = max_a (h−a)(1/a − 1 + ln a)/(a−1).
//!
//! The first constant does not shrink with K, the second does: as K grows the bound tends to L_Info − d(f) − ln(K/C).
//!
//! `specht_positive` keeps the 1: ln E\[1 + X\] ≥ ln(1 + K π_min e^{l_sup}), convex in l_sup, and both gaps hold for
//! 1 + X as well (the positive is one more term in \[m, hm\], and a constant). So L_Info − d(f) ≥ ln(1 + K π_min
//! e^{L_sup}) − gap, i.e. L_sup ≤ ln( (e^{L_Info − d(f) + gap} − 1) / (K π_min) ), smaller than the above.
//!
//! Distinct images: the anchor's image leaves its class one short, but the 1 makes up for it:
//! E\[1 + X | z, c\] = 1 + K (Σ_j M_j e^{s_j − s_c} − 1)/(M−1) ≥ K M_min/(M−1) e^{l_sup}, so π_min becomes M_min/(M−1),
//! and the 1 becomes 1 − K/(M−1).
//!
//! Lower bound of L_sup, for positives that are two images of one class: by Jensen and Specht's ratio from the other
//! side, L_Info ≤ E ln(E\[e^{z·z⁺/t}\] + Σ_k E\[e^{z·z_k/t}\]) − s_c ≤ ln S(h) + E ln(1 + K π_max e^{l_sup}) ≤ ln
//! S(h) + ln(1 + K π_max) + L_sup.
//!
//! Source: derived here; the ratio is Specht's (Math. Z. 74, 1960). Bao et al. (ICML 2022) have 2 ln cosh in its place.

use super::excess::exp_excess;
use super::{Bound, Outcome, Step, measured, measured_upwards, outcome, prior_of};
use crate::losses::{LossComponents, Positives, Quantity};
use crate::sampling::Sampling;
use std::cell::RefCell;
use std::collections::HashMap;

pub(super) struct Specht {
    /// Whether the positive's 1 is kept: the sharper form.
    pub keep_positive: bool,
}

impl Bound for Specht {
    fn key(&self) -> &'static str {
        if self.keep_positive { "specht_positive" } else { "specht" }
    }

    fn name(&self) -> &'static str {
        if self.keep_positive { "Specht, positive kept" } else { "Specht (reverse Jensen)" }
    }

    fn formula(&self) -> &'static str {
        if self.keep_positive {
            "L_sup ≤ ln((e^{L_Info − d(f) + g} − 1) / (K π_min)), g = min{ln S(e^{2/t}), G(t)/K}"
        } else {
            "L_sup ≤ L_Info − d(f) − ln(K π_min) + min{ln S(e^{2/t}), G(t)/K}"
        }
    }

    fn source(&self) -> &'static str {
        "derived here; the form of Bao et al. (ICML 2022)"
    }

    fn conditions(&self) -> &'static str {
        "any K ≥ 1, any classes (rarest class), unit features; independent draws or distinct images"
    }

    fn lower_needs(&self) -> &'static [Quantity] {
        &LOWER_NEEDS
    }

    fn upper_needs(&self) -> &'static [Quantity] {
        &NEEDS
    }

    fn supervised_lower_needs(&self) -> &'static [Quantity] {
        if self.keep_positive { &[] } else { &[Quantity::InfoNce] }
    }

    fn lower_bound(&self, losses: &LossComponents) -> Outcome {
        outcome(measured(losses, LOWER_NEEDS).and_then(|[supervised, gap]| {
            let law = Candidates::new(losses)?;
            let height = if self.keep_positive { law.height(supervised) } else { supervised + law.ln_rarest };
            Ok(height - smallest_gap(losses) + gap)
        }))
    }

    fn upper_bound(&self, losses: &LossComponents) -> Outcome {
        outcome(measured_upwards(losses, NEEDS).and_then(|[info_nce, gap]| {
            let law = Candidates::new(losses)?;
            let height = info_nce - gap + smallest_gap(losses);
            if self.keep_positive { law.invert(height) } else { Ok(height - law.ln_rarest) }
        }))
    }

    fn supervised_lower_bound(&self, losses: &LossComponents) -> Outcome {
        if self.keep_positive {
            return Outcome::NotApplicable("gives no lower bound of L_sup".into());
        }
        outcome(measured(losses, [Quantity::InfoNce]).and_then(|[info_nce]| {
            same_class(losses)?;
            let prior = prior_of(losses)?;
            let commonest = losses.num_draws.negatives().get() as f64 * prior.groups()[0].probability;
            Ok(info_nce - commonest.ln_1p() - ln_specht_ratio(losses.temperature))
        }))
    }

    fn steps(&self, losses: &LossComponents) -> Vec<(Step, Option<f64>)> {
        if self.keep_positive {
            return vec![(Step::ReverseJensen, None)];
        }
        let kept = Self { keep_positive: true }.lower_bound(losses).value();
        vec![(Step::ReverseJensen, kept), (Step::PositiveDropped, None)]
    }
}

const NEEDS: [Quantity; 2] = [Quantity::InfoNce, Quantity::Gap];
/// What the same inequality needs as a lower bound of L_Info.
pub(super) const LOWER_NEEDS: [Quantity; 2] = [Quantity::FullSupLoss, Quantity::Gap];

/// Positives must be two independent images of one class.
pub(super) fn same_class(losses: &LossComponents) -> Result<(), Outcome> {
    if losses.positives == Positives::SameClass && losses.sampling == Sampling::WithReplacement {
        return Ok(());
    }
    Err(Outcome::NotApplicable("assumes positives that are two independent images of one class".into()))
}

/// min{ ln S(e^{2/t}), G(t)/K }
pub(super) fn smallest_gap(losses: &LossComponents) -> f64 {
    let negatives = losses.num_draws.negatives().get() as f64;
    ln_specht_ratio(losses.temperature).min(variance_constant(losses.temperature) / negatives)
}

/// E of the positive's 1 and the K negatives, in units of e^{s_c}: at least `positive` + e^{`ln_rarest`} e^{l_sup}.
pub(super) struct Candidates {
    /// ln(K π_min), or ln(K M_min/(M−1)).
    pub ln_rarest: f64,
    /// 1, or 1 − K/(M−1).
    positive: f64,
}

impl Candidates {
    pub(super) fn new(losses: &LossComponents) -> Result<Self, Outcome> {
        let prior = prior_of(losses)?;
        let negatives = losses.num_draws.negatives().get() as f64;
        let rarest = prior.groups()[prior.groups().len() - 1];
        Ok(match (losses.sampling, prior.population(), rarest.count) {
            (Sampling::WithoutReplacement, Some(total), Some(own)) => {
                let others = (total - 1) as f64;
                Self {
                    ln_rarest: (negatives / others * own as f64).ln(),
                    positive: ((others - negatives) / others).max(0.0),
                }
            }
            _ => Self { ln_rarest: (negatives * rarest.probability).ln(), positive: 1.0 },
        })
    }

    /// ln(`positive` + e^{`ln_rarest`} e^L).
    fn height(&self, supervised: f64) -> f64 {
        let exponent = supervised + self.ln_rarest;
        if self.positive == 0.0 {
            return exponent;
        }
        let difference = exponent - self.positive.ln();
        exponent.max(self.positive.ln()) + (-difference.abs()).exp().ln_1p()
    }

    /// The L with `positive` + e^{`ln_rarest`} e^L = e^`height`.
    fn invert(&self, height: f64) -> Result<f64, Outcome> {
        // ln(e^h − p) = h + ln(1 − p e^{−h})
        let share = self.positive * (-height).exp();
        if share >= 1.0 {
            return Err(Outcome::Undefined("the loss lies below that of the positive alone".into()));
        }
        Ok(height + (-share).ln_1p() - self.ln_rarest)
    }
}

/// ln S(h) at h = e^{2/t}: the largest ln E X − E ln X of a variable whose logarithm lies in an interval of length 2/t.
///
/// With r = ln h/(h−1) it is r − 1 − ln r; relative error below 1e-14 for every t.
///
/// # Examples
/// ```
/// assert!((theory::bounds::ln_specht_ratio(1.0) - 0.4745).abs() < 5e-5);
/// ```
pub fn ln_specht_ratio(temperature: f64) -> f64 {
    let ln_h = 2.0 / temperature;
    let ln_r = if ln_h < 1.0 {
        // (h−1)/ln h = 1 + (h − 1 − ln h)/ln h.
        -(exp_excess(ln_h) / ln_h).ln_1p()
    } else {
        // ln(h−1) = ln h + ln(1 − 1/h), also where h overflows.
        ln_h.ln() - ln_h - (-(-ln_h).exp_m1()).ln()
    };
    exp_excess(ln_r)
}

/// G(t) = max_{1≤a≤h} (h−a)(1/a − 1 + ln a)/(a−1), h = e^{2/t}: reverse Jensen for the mean of K variables costs at
/// most G/K.
///
/// By search in ln a, to a relative error below 1e-8 for t ≤ 1e6; +∞ where h overflows.
///
/// # Examples
/// ```
/// assert!((theory::bounds::variance_constant(1.0) - 1.0508).abs() < 5e-5);
/// ```
pub fn variance_constant(temperature: f64) -> f64 {
    thread_local! {
        /// Constants by the bits of t: rows of one file ask for the same few again and again.
        static KNOWN: RefCell<HashMap<u64, f64>> = RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| {
        *known.entry(temperature.to_bits()).or_insert_with(|| search_variance_constant(temperature))
    })
}

fn search_variance_constant(temperature: f64) -> f64 {
    let ln_h = 2.0 / temperature;
    let value = |x: f64| {
        // a = e^x; 1/a − 1 + ln a = x + expm1(−x), and h − a = a (e^{ln h − x} − 1).
        x.exp() * (ln_h - x).exp_m1() * exp_excess(-x) / x.exp_m1()
    };
    if ln_h > 700.0 {
        return f64::INFINITY;
    }
    const GRID: usize = 512;
    let step = ln_h / GRID as f64;
    let best =
        (1..GRID).max_by(|&i, &j| value(step * i as f64).total_cmp(&value(step * j as f64))).unwrap_or(1);
    // Golden section between the neighbours of the best grid point.
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (step * (best - 1) as f64, step * (best + 1) as f64);
    for _ in 0..60 {
        let (left, right) = (high - ratio * (high - low), low + ratio * (high - low));
        if value(left) < value(right) { low = left } else { high = right }
    }
    value(0.5 * (low + high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_at_four_temperatures() {
        for (t, specht, variance) in
            [(1.0, 0.4745, 1.0508), (0.5, 1.66985, 11.1451), (0.2, 6.6978, 4761.8), (0.1, 16.004, 1.049e8)]
        {
            assert!((ln_specht_ratio(t) / specht - 1.0).abs() < 1e-4, "{t}: {}", ln_specht_ratio(t));
            assert!((variance_constant(t) / variance - 1.0).abs() < 4e-4, "{t}: {}", variance_constant(t));
        }
        assert!(ln_specht_ratio(1e-3).is_finite() && variance_constant(1e-3) == f64::INFINITY);
    }

    #[test]
    fn two_points_attain_the_ratio() {
        // The extremal variable is m or hm; the maximum over its weight is ln S.
        for t in [0.1, 0.5, 2.0, 20.0] {
            let h: f64 = (2.0f64 / t).exp();
            let gap = |p: f64| (1.0 + p * (h - 1.0)).ln() - p * h.ln();
            let most = (0..=100_000).map(|i| gap(i as f64 * 1e-5)).fold(0.0, f64::max);
            assert!(most <= ln_specht_ratio(t) * (1.0 + 1e-12) && most > ln_specht_ratio(t) * 0.999, "{t}");
        }
    }

    #[test]
    fn the_maximum_is_found() {
        for t in [0.05, 0.3, 1.0, 7.0] {
            let h: f64 = (2.0f64 / t).exp();
            let value = |a: f64| (h - a) * (1.0 / a - 1.0 + a.ln()) / (a - 1.0);
            let most = (1..20_000).map(|i| value(h.powf(i as f64 / 20_000.0))).fold(0.0, f64::max);
            let found = variance_constant(t);
            assert!(found >= most * (1.0 - 1e-9) && found < most * 1.001, "{t}: {found} {most}");
        }
    }
}
