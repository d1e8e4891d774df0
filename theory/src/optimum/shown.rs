//! E of the loss over the classes that independent negatives show, one vector per class, for any prior.
//!
//! Let D be the set of classes other than the anchor's that K negatives show, S′ = Σ_{j∈D} w_j, w_j = e^{(G_cj − 1)/t}.
//! As in `collision::BatchLaw`, E ln(1+S′) = ∫ e^{−s} (1 − E e^{−sS′})/s ds, and
//!
//! E e^{−sS′} = K! \[z^K\] e^{π_c z} ∏_{j≠c} (1 + (e^{π_j z} − 1) e^{−s w_j}),
//!
//! without the first factor the same with 1{Col = 0}. The coefficient is a trapezoid sum over the circle |z| = K, divided
//! by the same sum for e^z; with λ_j = π_j K a factor is e^{−λ_j} (1 − e^{−s w_j}) + e^{λ_j (e^{iθ} − 1)} e^{−s w_j},
//! turned by −λ_j θ, so that no phase is large. Aliasing is a Poisson tail (Bernstein) below 1e-18. Against e^{−sm}, m =
//! E S′, whose integral is ln(1+m), the integrand in u = ln s is analytic for |Im u| < π/2 and vanishes at both ends.
//!
//! Source: derived here from the definition. Accuracy: absolute error below 1e-13 in the tests.

use crate::complex::Complex;
use crate::coverage::sin_minus;
use crate::prior::{ClassPrior, Group};
use std::f64::consts::TAU;

/// Step of the trapezoid in u = ln s.
const STEP: f64 = 0.2;
/// e^{−s} is below 1e-17 from here on.
const LARGEST_S: f64 = 40.0;
/// Size of what is left out.
const NEGLIGIBLE: f64 = 1e-17;

/// The law of the classes that K negatives show.
pub(super) struct Shown<'a> {
    groups: &'a [Group],
    negatives: f64,
    /// e^{λ(e^{iθ} − 1)} and e^{−λ}, both times e^{−iλθ}, for every group and node.
    present: Vec<Complex>,
    missing: Vec<Complex>,
    /// Weight of each node over the norm.
    weights: Vec<f64>,
}

/// E of losses given the anchor's class; where all of them are below 1e-7, to a relative 5e-8.
pub(super) struct Losses {
    /// E ln(1+S′).
    pub all: f64,
    /// E 1{Col = 0} ln(1+S′).
    pub alone: f64,
}

impl<'a> Shown<'a> {
    pub(super) fn new(prior: &'a ClassPrior, negatives: u64) -> Self {
        let k = negatives as f64;
        // P(|N − K| ≥ T) ≤ 2 exp(−T²/(2 (K + T/3))), beside P(N = K) of about 0.4/√K.
        let depth = 43.0 + (1.0 + k.sqrt()).ln();
        let points =
            2.0 * (0.5 * (depth / 3.0 + (depth * depth / 9.0 + 2.0 * depth * k).sqrt())).ceil() + 1.0;
        let (mut angles, mut weights, mut norm) = (Vec::new(), Vec::new(), 0.0);
        for node in 0..=(points / 2.0) as u64 {
            let angle = TAU * node as f64 / points;
            let decay = 2.0 * (0.5 * angle).sin().powi(2);
            if (-k * decay).exp() < NEGLIGIBLE / points {
                break; // the sizes fall with the angle
            }
            let weight = if node == 0 { 1.0 } else { 2.0 };
            norm += weight * Complex::exp(-k * decay, k * sin_minus(angle, angle.sin())).re;
            angles.push((angle, decay));
            weights.push(weight);
        }
        weights.iter_mut().for_each(|weight| *weight /= norm);
        let groups = prior.groups();
        let over = |of: &dyn Fn(f64, f64, f64) -> Complex| -> Vec<Complex> {
            let rates = groups.iter().map(|group| group.probability * k);
            rates.flat_map(|rate| angles.iter().map(move |&(t, decay)| of(rate, t, decay))).collect()
        };
        let present = over(&|rate, t, decay| Complex::exp(-rate * decay, rate * sin_minus(t, t.sin())));
        let missing = over(&|rate, t, _| Complex::exp(-rate, -rate * t));
        Self { groups, negatives: k, present, missing, weights }
    }

    /// The expectations for an anchor of group `own`, with w of another class of each group.
    pub(super) fn given(&self, own: usize, of_group: &[f64]) -> Losses {
        let others = |g: usize| self.groups[g].multiplicity - u64::from(g == own);
        // E S′ and E[S′ | Col = 0].
        let mut means = [0.0; 2];
        for (g, group) in self.groups.iter().enumerate() {
            let weight = others(g) as f64 * of_group[g];
            let alone = (-group.probability / self.groups[own].others).max(-1.0).ln_1p();
            means[0] -= weight * (self.negatives * group.ln_others()).exp_m1();
            // −∞ where every negative is of the one other class.
            means[1] -= if others(g) > 0 { weight * (self.negatives * alone).exp_m1() } else { 0.0 };
        }
        // ln(1+S′) is S′ up to S′²/2.
        let most: f64 = (0..self.groups.len()).map(|g| others(g) as f64 * of_group[g]).sum();
        let no_collision = (self.negatives * self.groups[own].ln_others()).exp();
        let parts = [1.0, no_collision];
        if most < 1e-7 {
            return Losses { all: means[0], alone: no_collision * means[1] };
        }
        let first = 0.5 * (NEGLIGIBLE.ln() - self.negatives.ln());
        let mut sums = [0.0; 2];
        for step in (first / STEP).floor() as i64..=(LARGEST_S.ln() / STEP).ceil() as i64 {
            let s = (step as f64 * STEP).exp();
            let transforms = self.transforms(own, &others, of_group, s);
            for i in 0..2 {
                sums[i] += (-s).exp() * (transforms[i] - parts[i] * (-s * means[i]).exp());
            }
        }
        let log = |i: usize| (parts[i] * means[i].ln_1p() - STEP * sums[i]).max(0.0);
        Losses { all: log(0), alone: log(1) }
    }

    /// E e^{−sS′} and E 1{Col = 0} e^{−sS′}.
    fn transforms(&self, own: usize, others: &dyn Fn(usize) -> u64, of_group: &[f64], s: f64) -> [f64; 2] {
        let nodes = self.weights.len();
        let decays: Vec<f64> = of_group.iter().map(|w| (-s * w).exp()).collect();
        let mut sums = [0.0; 2];
        for (node, weight) in self.weights.iter().enumerate() {
            let mut product = Complex::ONE;
            for (g, &decay) in decays.iter().enumerate() {
                let (u, m) = (self.present[g * nodes + node], self.missing[g * nodes + node]);
                let hidden = 1.0 - decay;
                let factor = Complex { re: m.re * hidden + u.re * decay, im: m.im * hidden + u.im * decay };
                product = product.times(factor.power(others(g)));
            }
            sums[0] += weight * product.times(self.present[own * nodes + node]).re;
            sums[1] += weight * product.times(self.missing[own * nodes + node]).re;
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The law of the set of classes that K negatives show, draw by draw, for an anchor of class `own`.
    fn enumerate(probability: &[f64], own: usize, weights: &[f64], k: u32) -> [f64; 2] {
        let classes = probability.len();
        let mut law = vec![0.0; 1 << classes];
        law[0] = 1.0;
        for _ in 0..k {
            let mut next = vec![0.0; 1 << classes];
            for (seen, mass) in law.iter().enumerate() {
                for (class, p) in probability.iter().enumerate() {
                    next[seen | 1 << class] += mass * p;
                }
            }
            law = next;
        }
        let mut sums = [0.0; 2];
        for (seen, mass) in law.iter().enumerate() {
            let others = (0..classes).filter(|&c| c != own && seen >> c & 1 == 1);
            let loss = others.map(|c| weights[c]).sum::<f64>().ln_1p();
            sums[0] += mass * loss;
            sums[1] += if seen >> own & 1 == 1 { 0.0 } else { mass * loss };
        }
        sums
    }

    #[test]
    fn small_cases_enumerated() {
        let mut worst = 0.0f64;
        for counts in
            [vec![3u64, 1], vec![2, 2, 1], vec![5, 1, 1, 1], vec![1, 1], vec![999, 1, 1], vec![4, 3, 2]]
        {
            let prior = ClassPrior::from_counts(counts.clone()).unwrap();
            let groups = prior.groups();
            // Classes in the order of groups.
            let place: Vec<usize> =
                (0..groups.len()).flat_map(|g| vec![g; groups[g].multiplicity as usize]).collect();
            let probability: Vec<f64> = place.iter().map(|&g| groups[g].probability).collect();
            for k in [1, 2, 5, 7] {
                for scale in [1e-9, 0.05, 1.0] {
                    let of_group: Vec<f64> = (0..groups.len()).map(|g| scale / (1.0 + g as f64)).collect();
                    let weights: Vec<f64> = place.iter().map(|&g| of_group[g]).collect();
                    let shown = Shown::new(&prior, u64::from(k));
                    for own in 0..groups.len() {
                        let class = place.iter().position(|&g| g == own).unwrap();
                        let expected = enumerate(&probability, class, &weights, k);
                        let found = shown.given(own, &of_group);
                        let error = (found.all - expected[0]).abs().max((found.alone - expected[1]).abs());
                        assert!(error < 1e-13, "{counts:?} K = {k} {scale}: {error:e}");
                        worst = worst.max(error);
                    }
                }
            }
        }
        println!("largest error {worst:.1e}");
    }

    /// The closed form for equal classes: the occupancy of the simplex.
    #[test]
    fn equal_classes_by_occupancy() {
        use crate::losses::Quantity;
        for (classes, k) in [(10, 31), (10, 500), (100, 127), (100, 1023), (30, 1_000_000)] {
            let negatives = crate::NumNegatives::new(k).unwrap();
            let losses = super::super::simplex_components(classes, negatives, 0.5).unwrap();
            let prior = ClassPrior::uniform(classes).unwrap();
            let a = super::super::simplex::repelled(classes, 0.5);
            let found = Shown::new(&prior, k).given(0, &[a]);
            let get = |measure| losses.get(measure).unwrap();
            let all = get(Quantity::JointSupLoss) + get(Quantity::JointSubLoss);
            assert!((found.all - all).abs() < 1e-13, "C = {classes} K = {k}: {} {all}", found.all);
            let alone = get(Quantity::CurlJoint);
            assert!((found.alone - alone).abs() < 1e-13, "C = {classes} K = {k}: {} {alone}", found.alone);
        }
    }
}
