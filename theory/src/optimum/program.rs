//! The solver of the Gram program: the loss in the variables of groups, the descent, and the certificate.
//!
//! *Descent*: limited-memory BFGS on the spheres of [`super::gram`], on the logarithm of the excess X = L_K − E
//! ln(1+Col), the part that depends on G and keeps its digits however small.
//!
//! *Certificate.* For convex L, feasible G and any y ≥ 0 with ∇L(G) + diag(y) ⪰ 0,
//!
//! L(G) − L* ≤ max_S ⟨∇L, G − S⟩ ≤ ⟨∇L, G⟩ + Σ_c y_c,
//!
//! since −⟨∇L, S⟩ ≤ Σ y_c S_cc ≤ Σ y_c for feasible S. At a stationary point y_c = −(∇L V)_c·v_c makes the right-hand
//! side 0; in general the least eigenvalue λ of Π^{−1/2} (∇L + diag(y)) Π^{−1/2}, Π = diag(π), is made 0 by adding −λ
//! π_c to y_c, at the price −λ in the gap. An allowance for rounding, of the quadrature and of the eigenvalues, is
//! added; so the reported gap is never 0. The matrix is block diagonal: g × g, and for every group of two or more
//! classes a number.
//!
//! Source: derived here; weak duality of semidefinite programs.

use super::descent::{Spheres, State};
use super::grouped::{GroupedGram, Options, TIE};
use super::loss::{Anchor, Nodes, excess};
use crate::prior::ClassPrior;
use crate::sampling::NumNegatives;
use nalgebra::{DMatrix, SymmetricEigen};
use rayon::prelude::*;
use std::collections::VecDeque;

/// The program in the variables of groups.
pub(super) struct Program {
    /// π of one class of each group.
    probability: Vec<f64>,
    /// Classes of each group.
    size: Vec<f64>,
    negatives: f64,
    temperature: f64,
    nodes: Nodes,
}

/// X and its derivatives with respect to the entries of a grouped Gram matrix.
pub(super) struct Value {
    pub value: f64,
    /// T_ab: derivative with respect to the entry that anchors of group a see of group b; row by row.
    derivative: Vec<f64>,
}

pub(super) struct Certificate {
    pub gap: f64,
    /// E\[A/(1+Col+A)\].
    pull: f64,
}

impl Program {
    pub(super) fn new(prior: &ClassPrior, num_negatives: NumNegatives, temperature: f64) -> Self {
        let negatives = num_negatives.get() as f64;
        Self {
            probability: prior.groups().iter().map(|g| g.probability).collect(),
            size: prior.groups().iter().map(|g| g.multiplicity as f64).collect(),
            negatives,
            temperature,
            nodes: Nodes::new(negatives, 1.0),
        }
    }

    fn groups(&self) -> usize {
        self.size.len()
    }

    /// Classes of group b other than the anchor's, for an anchor of group a.
    fn others(&self, a: usize, b: usize) -> f64 {
        if a == b { self.size[b] - 1.0 } else { self.size[b] }
    }

    /// (1−ε) times the simplex of all classes plus ε times the identity, factored: of full rank, so that the descent
    /// can turn into every direction.
    fn start(&self) -> Vec<f64> {
        const IDENTITY: f64 = 0.1;
        let g = self.groups();
        let classes: f64 = self.size.iter().sum();
        let between = -(1.0 - IDENTITY) / (classes - 1.0).max(1.0);
        let centres = DMatrix::from_fn(g, g, |a, b| {
            if a == b { (1.0 + (self.size[a] - 1.0) * between) / self.size[a] } else { between }
        });
        let lower = match centres.clone().cholesky() {
            Some(factor) => factor.unpack(),
            // Rounding alone can end here: any unit vectors will do.
            None => DMatrix::from_fn(g, g, |a, b| if a == b { centres[(a, a)].max(0.0).sqrt() } else { 0.0 }),
        };
        let mut point = Vec::with_capacity(g * (g + 1));
        for a in 0..g {
            let mut row: Vec<f64> = lower.row(a).iter().copied().collect();
            row.push(((1.0 - between) * (self.size[a] - 1.0) / self.size[a]).sqrt());
            let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            point.extend(row.iter().map(|x| x / norm));
        }
        point
    }

    pub(super) fn gram(&self, point: &[f64]) -> GroupedGram {
        let g = self.groups();
        let row = |a: usize| &point[a * (g + 1)..a * (g + 1) + g];
        let spread = |a: usize| point[a * (g + 1) + g];
        let mut entries = vec![0.0; g * g];
        for a in 0..g {
            for b in 0..=a {
                let product: f64 = row(a).iter().zip(row(b)).map(|(x, y)| x * y).sum();
                let entry = match a == b {
                    true if self.size[a] > 1.0 => product - spread(a).powi(2) / (self.size[a] - 1.0),
                    true => 1.0,
                    false => product,
                };
                entries[a * g + b] = entry.clamp(-1.0, 1.0);
                entries[b * g + a] = entries[a * g + b];
            }
        }
        GroupedGram { groups: g, entries }
    }

    pub(super) fn value(&self, gram: &GroupedGram) -> Value {
        let g = self.groups();
        let anchors: Vec<(f64, Vec<f64>)> = (0..g)
            .into_par_iter()
            .map(|a| {
                let weights: Vec<f64> = (0..g).map(|b| self.others(a, b) * self.probability[b]).collect();
                let exponents: Vec<f64> =
                    (0..g).map(|b| (gram.between(a, b) - 1.0) / self.temperature).collect();
                let mut slopes = vec![0.0; g];
                let anchor = Anchor { own: self.probability[a], weights: &weights, exponents: &exponents };
                let value = excess(&self.nodes, self.negatives, &anchor, &mut slopes);
                let mass = self.size[a] * self.probability[a];
                slopes.iter_mut().for_each(|slope| *slope *= mass / self.temperature);
                (mass * value, slopes)
            })
            .collect();
        Value {
            value: anchors.iter().map(|(value, _)| value).sum(),
            derivative: anchors.into_iter().flat_map(|(_, slopes)| slopes).collect(),
        }
    }

    /// Euclidean gradient of X with respect to the unit vectors (U_a, s_a).
    fn gradient(&self, point: &[f64], derivative: &[f64]) -> Vec<f64> {
        let g = self.groups();
        let width = g + 1;
        let mut gradient = vec![0.0; g * width];
        for a in 0..g {
            let row = &mut gradient[a * width..(a + 1) * width];
            for b in 0..g {
                let factor = derivative[a * g + b] + derivative[b * g + a];
                row[..g].iter_mut().zip(&point[b * width..]).for_each(|(r, u)| *r += factor * u);
            }
            if self.size[a] > 1.0 {
                row[g] = -2.0 * derivative[a * g + a] * point[a * width + g] / (self.size[a] - 1.0);
            }
        }
        gradient
    }

    /// The point found, its certificate, and the number of steps.
    pub(super) fn descend(&self, options: &Options, stop: &dyn Fn() -> bool) -> (State, Certificate, usize) {
        let inverse_scale = self.size.iter().zip(&self.probability).map(|(n, p)| 1.0 / (n * p)).collect();
        let spheres = Spheres { dimension: self.groups() + 1, inverse_scale };
        let mut function = |point: &[f64]| {
            let Value { value, derivative } = self.value(&self.gram(point));
            // X = 0 for a single class only, whose gradient is 0 as well.
            let positive = value.max(f64::MIN_POSITIVE);
            let mut gradient = self.gradient(point, &derivative);
            gradient.iter_mut().for_each(|g| *g /= positive);
            (positive.ln(), gradient)
        };
        let mut state = spheres.evaluate(self.start(), &mut function);
        let mut certificate = self.certify(&state.point);
        let mut memory = VecDeque::new();
        let (mut iterations, mut moving) = (0, true);
        let (mut least_gap, mut least_at) = (certificate.gap, 0);
        let unfinished = |certificate: &Certificate, iterations| {
            !certificate.reaches(options.tolerance) && iterations < options.max_iterations && !stop()
        };
        while moving && unfinished(&certificate, iterations) {
            match spheres.step(&state, &mut memory, &mut function) {
                Some(next) => {
                    state = next;
                    iterations += 1;
                }
                None => moving = false,
            }
            if iterations % CERTIFY_EVERY == 0 || iterations == options.max_iterations || !moving {
                certificate = self.certify(&state.point);
                if certificate.gap < least_gap {
                    (least_gap, least_at) = (certificate.gap, iterations);
                } else if iterations - least_at >= PATIENCE {
                    break; // what is left is rounding
                }
            }
        }
        (state, certificate, iterations)
    }

    /// The bound of L(G) − L* of the module's documentation.
    fn certify(&self, point: &[f64]) -> Certificate {
        let (g, width) = (self.groups(), self.groups() + 1);
        let gram = self.gram(point);
        let Value { derivative, .. } = self.value(&gram);
        let gradient = self.gradient(point, &derivative);
        // ∇L between two classes of groups a and b; on the diagonal of a class, minus what its anchors see of the
        // others.
        let between = |a: usize, b: usize| {
            let pairs = self.size[a] * self.others(a, b);
            if pairs > 0.0 { 0.5 * (derivative[a * g + b] + derivative[b * g + a]) / pairs } else { 0.0 }
        };
        let diagonal: Vec<f64> =
            (0..g).map(|a| -derivative[a * g..(a + 1) * g].iter().sum::<f64>() / self.size[a]).collect();
        let multiplier: Vec<f64> = (0..g)
            .map(|a| {
                let row = a * width..(a + 1) * width;
                let along: f64 = gradient[row.clone()].iter().zip(&point[row]).map(|(x, y)| x * y).sum();
                (-diagonal[a] - 0.5 * along / self.size[a]).max(0.0)
            })
            .collect();
        let slack = DMatrix::from_fn(g, g, |a, b| {
            let weight = (self.probability[a] * self.probability[b]).sqrt();
            let same = if a == b { diagonal[a] + multiplier[a] - between(a, a) } else { 0.0 };
            (same + (self.size[a] * self.size[b]).sqrt() * between(a, b)) / weight
        });
        let rounding = g as f64 * f64::EPSILON * slack.norm();
        let mut least = SymmetricEigen::new(slack).eigenvalues.min();
        for a in (0..g).filter(|&a| self.size[a] > 1.0) {
            least = least.min((diagonal[a] + multiplier[a] - between(a, a)) / self.probability[a]);
        }
        let shift = (rounding - least).max(0.0);
        let pull = -self.temperature * self.size.iter().zip(&diagonal).map(|(n, d)| n * d).sum::<f64>();
        let mut gap = shift;
        for a in 0..g {
            gap += self.size[a] * (diagonal[a] + multiplier[a]);
            for b in 0..g {
                gap += derivative[a * g + b] * gram.between(a, b);
            }
        }
        // ⟨error of ∇L, G − S⟩: entries of G − S are at most 2, and those of |∇L| add up to at most 2 pull/t.
        let allowance = 4.0 * GRADIENT_ERROR * pull / self.temperature;
        Certificate { gap: gap.max(0.0) + allowance, pull }
    }

    /// Σ_c π_c ln Σ_j e^{(G_cj − 1)/t}, the mean classifier's vectors being the v_j.
    pub(super) fn supervised_loss(&self, gram: &GroupedGram) -> f64 {
        let others = |a: usize| -> f64 {
            (0..self.groups())
                .map(|b| self.others(a, b) * ((gram.between(a, b) - 1.0) / self.temperature).exp())
                .sum()
        };
        (0..self.groups()).map(|a| self.size[a] * self.probability[a] * others(a).ln_1p()).sum()
    }

    pub(super) fn accuracy(&self, gram: &GroupedGram) -> f64 {
        let ties = |a: usize| -> f64 {
            (0..self.groups()).filter(|&b| gram.between(a, b) > 1.0 - TIE).map(|b| self.others(a, b)).sum()
        };
        let wrong = |a: usize| ties(a) / (1.0 + ties(a));
        1.0 - (0..self.groups()).map(|a| self.size[a] * self.probability[a] * wrong(a)).sum::<f64>()
    }

    /// Least or largest inner product of two different classes.
    pub(super) fn extreme(&self, gram: &GroupedGram, choose: fn(f64, f64) -> f64) -> Option<f64> {
        let pairs = (0..self.groups()).flat_map(|a| (0..=a).map(move |b| (a, b)));
        pairs.filter(|&(a, b)| self.others(a, b) > 0.0).map(|(a, b)| gram.between(a, b)).reduce(choose)
    }
}

impl Certificate {
    pub(super) fn reaches(&self, tolerance: f64) -> bool {
        self.gap <= tolerance * self.pull.min(1.0)
    }
}

/// Steps between two certificates, whose eigenvalues can cost more than a step.
const CERTIFY_EVERY: usize = 5;

/// Steps without a smaller gap after which the descent gives up.
const PATIENCE: usize = 200;

/// Relative error of an entry of ∇L: quadrature, and the sums of this file.
const GRADIENT_ERROR: f64 = 1e-13;
