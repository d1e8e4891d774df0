//! Worlds small enough to enumerate every batch: a few classes, two images each, two augmentations, exact expectations.
//!
//! Class means and f̄ are those of the same images, as the theorems ask. The master inequality, Eq. 8 and Eq. 10 must hold
//! with the margin that enumeration gives, and the rearranged upper bounds must lie above L_sup; so for independent
//! negatives, and, with the exact coverage and collision of that sampling, for batches of distinct images.

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use theory::losses::{Estimate, Measure};
use theory::{LossComponents, NumNegatives, Sampling, bounds};

const AUGMENTATIONS: usize = 2;

struct World {
    classes: usize,
    images: usize,
    temperature: f64,
    /// `features[c * images + i][a]`, unit vectors.
    features: Vec<[Vec<f64>; AUGMENTATIONS]>,
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

fn mean<'a>(vectors: impl Iterator<Item = &'a Vec<f64>> + Clone) -> Vec<f64> {
    let count = vectors.clone().count() as f64;
    let mut sum = vec![0.0; vectors.clone().next().unwrap().len()];
    for v in vectors {
        sum.iter_mut().zip(v).for_each(|(s, x)| *s += x / count);
    }
    sum
}

impl World {
    fn random(rng: &mut ChaCha8Rng, classes: usize, temperature: f64) -> Self {
        let images = 2;
        let dimension = rng.random_range(2..4);
        let mut unit = || {
            let v: Vec<f64> = (0..dimension).map(|_| rng.random_range(-1.0..1.0)).collect();
            let norm = dot(&v, &v).sqrt();
            v.iter().map(|x| x / norm).collect::<Vec<f64>>()
        };
        let features = (0..classes * images).map(|_| std::array::from_fn(|_| unit())).collect();
        Self { classes, images, temperature, features }
    }

    fn class(&self, image: usize) -> usize {
        image / self.images
    }

    /// Every tuple of K images that `sampling` can draw as negatives of `anchor`; all are equally likely.
    fn negatives(&self, anchor: usize, k: usize, sampling: Sampling) -> Vec<Vec<usize>> {
        let total = self.features.len();
        (0..total.pow(k as u32))
            .map(|code| (0..k).map(|i| code / total.pow(i as u32) % total).collect::<Vec<_>>())
            .filter(|tuple| {
                sampling == Sampling::WithReplacement
                    || (0..k).all(|i| tuple[i] != anchor && !tuple[..i].contains(&tuple[i]))
            })
            .collect()
    }

    fn enumerate(&self, k: usize, sampling: Sampling) -> LossComponents {
        let t = self.temperature;
        let centres: Vec<Vec<f64>> = (0..self.classes)
            .map(|c| mean(self.features[c * self.images..(c + 1) * self.images].iter().flatten()))
            .collect();
        let mut sums = std::collections::BTreeMap::<Measure, f64>::new();
        let anchors = self.features.len() * AUGMENTATIONS;
        for anchor in 0..self.features.len() {
            let class = self.class(anchor);
            let own_mean = mean(self.features[anchor].iter());
            let tuples = self.negatives(anchor, k, sampling);
            for z in &self.features[anchor] {
                let logit = |c: usize| dot(z, &centres[c]) / t;
                let cross_entropy = |set: &[usize]| {
                    let others = set.iter().filter(|&&j| j != class);
                    others.map(|&j| (logit(j) - logit(class)).exp()).sum::<f64>().ln_1p()
                };
                let all: Vec<usize> = (0..self.classes).collect();
                let full = cross_entropy(&all);
                let gap = (dot(z, &centres[class]) - dot(z, &own_mean)).min(0.0) / t;
                let mut add = |measure, value: f64, weight: f64| {
                    *sums.entry(measure).or_insert(0.0) += value * weight / anchors as f64;
                };
                add(Measure::FullSupLoss, full, 1.0);
                add(Measure::Gap, gap, 1.0);
                for tuple in &tuples {
                    let weight = 1.0 / tuples.len() as f64;
                    let mut shown: Vec<usize> = tuple.iter().map(|&i| self.class(i)).chain([class]).collect();
                    shown.sort_unstable();
                    shown.dedup();
                    let collisions = tuple.iter().filter(|&&i| self.class(i) == class).count() as f64;
                    let others = tuple.iter().map(|&i| self.class(i)).filter(|&c| c != class);
                    let repelled: f64 = others.map(|c| (logit(c) - logit(class)).exp()).sum();
                    let covers = shown.len() == self.classes;
                    let loss = cross_entropy(&shown);
                    add(Measure::Coverage, f64::from(covers), weight);
                    add(Measure::Collision, f64::from(collisions > 0.0), weight);
                    add(Measure::Log1pCollisions, collisions.ln_1p(), weight);
                    add(Measure::JointSupLoss, if covers { loss } else { 0.0 }, weight);
                    add(Measure::JointSubLoss, if covers { 0.0 } else { loss }, weight);
                    add(Measure::CurlJoint, if collisions == 0.0 { loss } else { 0.0 }, weight);
                    add(Measure::CurlJointSup, if collisions == 0.0 && covers { loss } else { 0.0 }, weight);
                    add(Measure::MasterTerm, (collisions + repelled).ln_1p(), weight);
                    add(Measure::InfoNce, self.mean_loss(anchor, z, tuple), weight);
                }
            }
        }
        let draws = NumNegatives::new(k as u64).unwrap().draws();
        let mut losses = LossComponents::new(self.classes as u64, draws, t, sampling).unwrap();
        losses.class_counts = Some(vec![self.images as u64; self.classes]);
        for (measure, value) in sums {
            // Sums of exact frequencies may end an ulp outside [0, 1].
            let value = match measure {
                Measure::Coverage | Measure::Collision => value.min(1.0),
                _ => value,
            };
            losses.set(measure, Estimate::exact(value)).unwrap();
        }
        losses
    }

    /// InfoNCE of one anchor view and one tuple of negatives, averaged over the positive's and the negatives' augmentations.
    fn mean_loss(&self, anchor: usize, z: &[f64], tuple: &[usize]) -> f64 {
        let t = self.temperature;
        let combinations = AUGMENTATIONS.pow(tuple.len() as u32);
        let mut sum = 0.0;
        for positive in &self.features[anchor] {
            let s = dot(z, positive) / t;
            for code in 0..combinations {
                let repelled: f64 = tuple
                    .iter()
                    .enumerate()
                    .map(|(i, &image)| (dot(z, &self.features[image][code >> i & 1]) / t - s).exp())
                    .sum();
                sum += repelled.ln_1p();
            }
        }
        sum / (AUGMENTATIONS * combinations) as f64
    }
}

/// Smallest L_Info − bound and bound − L_sup over random worlds.
fn tightest(sampling: Sampling) -> Vec<(&'static str, f64, f64)> {
    let mut evaluated = vec![[0usize; 2]; bounds::all().len()];
    let mut rng = ChaCha8Rng::seed_from_u64(20210611);
    let mut margins: Vec<_> = bounds::all().iter().map(|b| (b.key(), f64::INFINITY, f64::INFINITY)).collect();
    for round in 0..120 {
        let classes = 2 + round % 2;
        let world = World::random(&mut rng, classes, [0.05, 0.2, 0.5, 1.0, 2.0][round % 5]);
        for k in 1..=3 {
            let losses = world.enumerate(k, sampling);
            // The oracle itself: counted frequencies are the exact probabilities.
            let prior = losses.prior().unwrap();
            let upsilon = theory::coverage::probability(&prior, sampling, losses.num_draws).unwrap().value();
            let tau = theory::collision::probability(&prior, sampling, losses.num_draws.negatives()).unwrap();
            assert!((losses.get(Measure::Coverage).unwrap() - upsilon).abs() < 1e-12);
            assert!((losses.get(Measure::Collision).unwrap() - tau.value()).abs() < 1e-12);
            let info_nce = losses.get(Measure::InfoNce).unwrap();
            let supervised = losses.get(Measure::FullSupLoss).unwrap();
            for ((bound, (_, lower, upper)), count) in
                bounds::all().iter().zip(&mut margins).zip(&mut evaluated)
            {
                if let Some(value) = bound.lower_bound(&losses).value() {
                    *lower = lower.min(info_nce - value);
                    count[0] += 1;
                }
                if let Some(value) = bound.upper_bound(&losses).value() {
                    *upper = upper.min(value - supervised);
                    count[1] += 1;
                }
            }
        }
    }
    // Lower bounds apply everywhere (360 cases); upper bounds where K ≥ C−1, at least 240 of them; the master has none.
    for (bound, [lower, upper]) in bounds::all().iter().zip(evaluated) {
        assert_eq!(lower, 360, "{}", bound.key());
        assert!(upper >= 240 || bound.key() == "master", "{}: {upper}", bound.key());
    }
    margins
}

fn assert_theorems_hold(sampling: Sampling) {
    for (key, lower, upper) in tightest(sampling) {
        println!("{sampling} {key}: L_Info − bound ≥ {lower:.3e}, bound − L_sup ≥ {upper:.3e}");
        assert!(lower > 0.0, "{key}: the lower bound exceeds L_Info by {}", -lower);
        if bounds::find(key).unwrap().standing() == bounds::Standing::Theorem {
            assert!(upper > 0.0, "{key}: the upper bound lies below L_sup by {}", -upper);
        } else {
            assert!(upper < 0.0, "{key} is expected to fail as an upper bound somewhere");
        }
    }
}

#[test]
fn independent_negatives() {
    assert_theorems_hold(Sampling::WithReplacement);
}

#[test]
fn distinct_images() {
    assert_theorems_hold(Sampling::WithoutReplacement);
}
