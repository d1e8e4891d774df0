//! Worlds small enough to enumerate every batch: a few classes, images and augmentations, all expectations exact.
//!
//! Independent negatives are enumerated as multisets of views with their multinomial weights, batches of distinct
//! images as subsets of images with every choice of views. Class means and f̄ are those of the same views, as the
//! theorems ask.

pub mod claims;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use theory::losses::{Estimate, Positives, Quantity};
use theory::{LossComponents, NumNegatives, Sampling};

/// One feature vector: a view of an image.
#[derive(Clone, Debug)]
pub struct View {
    pub image: usize,
    pub class: usize,
    pub feature: Vec<f64>,
}

#[derive(Clone, Debug)]
pub struct World {
    pub views: Vec<View>,
    /// Items per class: the law of a label for independent draws.
    pub class_counts: Vec<u64>,
    pub temperature: f64,
    pub num_negatives: usize,
    pub sampling: Sampling,
    pub positives: Positives,
}

/// What the bounds bound, beside L_Info and L_sup.
pub struct Truth {
    pub losses: LossComponents,
    pub info_nce: f64,
    pub supervised: f64,
    /// Loss of the collided negatives alone; absent where it was not enumerated.
    pub collided: Option<f64>,
    /// L_DCL − L_NSCL with the whole population as the batch.
    pub nscl_gap: Option<f64>,
    /// Error of the nearest class mean, ties included.
    pub nearest_error: f64,
    /// What ln(K+1) − L_Info bounds: I(view 1; view 2), or I(view; image) for distinct images.
    pub mutual_information: f64,
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

fn unit(mut v: Vec<f64>) -> Vec<f64> {
    let norm = dot(&v, &v).sqrt();
    if norm < 1e-9 {
        v.iter_mut().for_each(|x| *x = 0.0);
        v[0] = 1.0;
        return v;
    }
    v.iter().map(|x| x / norm).collect()
}

/// A random direction, up to the accuracy that worlds need.
pub fn random_unit(rng: &mut ChaCha8Rng, dimension: usize) -> Vec<f64> {
    unit((0..dimension).map(|_| (0..4).map(|_| rng.random_range(-1.0..1.0)).sum()).collect())
}

impl World {
    /// A world of random shape; `round` cycles through kinds of features, priors and samplings.
    pub fn random(rng: &mut ChaCha8Rng, round: usize) -> Self {
        let classes = rng.random_range(2..=4);
        let sampling = if round % 3 == 2 { Sampling::WithoutReplacement } else { Sampling::WithReplacement };
        let same_class = sampling == Sampling::WithReplacement && round % 6 == 1;
        let positives = if same_class { Positives::SameClass } else { Positives::SameImage };
        let uniform = rng.random_bool(0.5);
        let augmentations = rng.random_range(1..=3);
        let equal_images = rng.random_range(1..=2);
        let images: Vec<usize> = (0..classes)
            .map(|_| {
                if uniform || sampling == Sampling::WithReplacement {
                    equal_images
                } else {
                    rng.random_range(1..=3)
                }
            })
            .collect();
        let class_counts: Vec<u64> = match sampling {
            Sampling::WithoutReplacement => images.iter().map(|&m| m as u64).collect(),
            _ if uniform => vec![7; classes],
            _ if rng.random_bool(0.3) => (0..classes).map(|c| if c == 0 { 997 } else { 1 }).collect(),
            _ => (0..classes).map(|_| rng.random_range(1..=9)).collect(),
        };
        let dimension = rng.random_range(2..=4);
        let kind = rng.random_range(0..6);
        let mut views = Vec::new();
        let total: usize = images.iter().sum();
        // Keep the number of multisets small: 5 negatives of 12 views are 4368.
        let augmentations = if total * augmentations > 12 { 1 } else { augmentations };
        let collapsed = random_unit(rng, dimension);
        let mut image = 0;
        for (class, &count) in images.iter().enumerate() {
            let centre = random_unit(rng, dimension);
            for _ in 0..count {
                let own = random_unit(rng, dimension);
                for view in 0..augmentations {
                    let feature = match kind {
                        0 => random_unit(rng, dimension),
                        1 => {
                            let mut corner = vec![0.0; dimension];
                            corner[rng.random_range(0..dimension)] =
                                if rng.random_bool(0.5) { 1.0 } else { -1.0 };
                            corner
                        }
                        2 => collapsed.clone(),
                        3 => centre.clone(),
                        4 => own.iter().map(|x| if view == 1 { -x } else { *x }).collect(),
                        _ => {
                            let noise = random_unit(rng, dimension);
                            unit(centre.iter().zip(&noise).map(|(c, e)| c + 0.4 * e).collect())
                        }
                    };
                    views.push(View { image, class, feature });
                }
                image += 1;
            }
        }
        let most = if sampling == Sampling::WithoutReplacement { (total - 1).min(5) } else { 5 };
        let num_negatives = rng.random_range(1..=most.max(1));
        // Temperatures in [0.05, 2], evenly in the logarithm.
        let temperature = 0.05 * 40f64.powf(rng.random_range(0.0..1.0));
        Self { views, class_counts, temperature, num_negatives, sampling, positives }
    }

    pub fn is_enumerable(&self) -> bool {
        let images = self.views.iter().map(|v| v.image).max().unwrap_or(0) + 1;
        self.sampling == Sampling::WithReplacement || images > self.num_negatives
    }

    fn classes(&self) -> usize {
        self.class_counts.len()
    }

    fn mean(&self, keep: impl Fn(&View) -> bool) -> Vec<f64> {
        let mut sum = vec![0.0; self.views[0].feature.len()];
        let kept: Vec<_> = self.views.iter().filter(|v| keep(v)).collect();
        for view in &kept {
            sum.iter_mut().zip(&view.feature).for_each(|(s, x)| *s += x / kept.len() as f64);
        }
        sum
    }

    /// Probability of each view as an anchor, and as one independent negative.
    fn view_law(&self) -> Vec<f64> {
        let total: u64 = self.class_counts.iter().sum();
        let in_class = |c: usize| self.views.iter().filter(|v| v.class == c).count() as f64;
        let of = |v: &View| self.class_counts[v.class] as f64 / total as f64 / in_class(v.class);
        self.views.iter().map(of).collect()
    }

    /// Calls `visit(weight, negatives)` for every multiset or subset of views that can be the negatives of `anchor`.
    fn negatives(&self, anchor: usize, law: &[f64], mut visit: impl FnMut(f64, &[usize])) {
        let k = self.num_negatives;
        if self.sampling == Sampling::WithReplacement {
            // Non-decreasing tuples; the weight of a new member is K!/∏ m! built up factor by factor.
            fn grow(
                from: usize,
                repeats: usize,
                weight: f64,
                chosen: &mut Vec<usize>,
                k: usize,
                law: &[f64],
                visit: &mut impl FnMut(f64, &[usize]),
            ) {
                if chosen.len() == k {
                    return visit(weight, chosen);
                }
                for view in from..law.len() {
                    let repeats = if view == from && !chosen.is_empty() { repeats + 1 } else { 1 };
                    let place = chosen.len() as f64 + 1.0;
                    chosen.push(view);
                    grow(view, repeats, weight * law[view] * place / repeats as f64, chosen, k, law, visit);
                    chosen.pop();
                }
            }
            return grow(0, 0, 1.0, &mut Vec::with_capacity(k), k, law, &mut visit);
        }
        // Subsets of the other images, each with every view; all are equally likely.
        let own = self.views[anchor].image;
        let images: Vec<Vec<usize>> = {
            let mut images = BTreeMap::<usize, Vec<usize>>::new();
            for (i, view) in self.views.iter().enumerate().filter(|(_, v)| v.image != own) {
                images.entry(view.image).or_default().push(i);
            }
            images.into_values().collect()
        };
        let mut subsets = 1.0;
        for i in 0..k {
            subsets *= (images.len() - i) as f64 / (i + 1) as f64;
        }
        fn choose(
            from: usize,
            weight: f64,
            chosen: &mut Vec<usize>,
            k: usize,
            images: &[Vec<usize>],
            visit: &mut impl FnMut(f64, &[usize]),
        ) {
            if chosen.len() == k {
                return visit(weight, chosen);
            }
            for place in from..images.len() {
                for &view in &images[place] {
                    chosen.push(view);
                    choose(place + 1, weight / images[place].len() as f64, chosen, k, images, visit);
                    chosen.pop();
                }
            }
        }
        choose(0, 1.0 / subsets, &mut Vec::with_capacity(k), k, &images, &mut visit);
    }

    /// Every expectation, exactly.
    pub fn enumerate(&self) -> Truth {
        let (t, classes) = (self.temperature, self.classes());
        let law = self.view_law();
        let centres: Vec<Vec<f64>> = (0..classes).map(|c| self.mean(|v| v.class == c)).collect();
        let with_collided = self.num_negatives <= 3;
        let mut collided = 0.0;
        let mut of_class = vec![(0.0, 0.0); classes];
        let mut sums = BTreeMap::<Quantity, f64>::new();
        let mut add = |measure: Quantity, value: f64| *sums.entry(measure).or_insert(0.0) += value;
        for (index, anchor) in self.views.iter().enumerate() {
            let (z, class, share) = (&anchor.feature, anchor.class, law[index]);
            let is_positive = |v: &View| self.is_positive(anchor, v);
            let own_mean = self.mean(is_positive);
            let similarity: Vec<f64> = self.views.iter().map(|v| dot(z, &v.feature) / t).collect();
            let mass: Vec<f64> = similarity.iter().map(|s| s.exp()).collect();
            let positives: Vec<usize> =
                (0..self.views.len()).filter(|&i| is_positive(&self.views[i])).collect();
            let logits: Vec<f64> = centres.iter().map(|mu| dot(z, mu) / t).collect();
            let ratio: Vec<f64> = logits.iter().map(|l| (l - logits[class]).exp()).collect();
            let full: f64 = (0..classes).filter(|&c| c != class).map(|c| ratio[c]).sum::<f64>().ln_1p();
            let own = dot(z, &own_mean) / t;
            // z·(mean of what a negative of the anchor's class can show)/t: of the other images where all are distinct.
            let same_class = match (self.sampling, self.class_counts[class] as f64) {
                (Sampling::WithoutReplacement, m) if m > 1.0 => (m * logits[class] - own) / (m - 1.0),
                _ => logits[class],
            };
            let logit_mean = ratio.iter().sum::<f64>() / classes as f64;
            let logit_square = ratio.iter().map(|r| (r - logit_mean).powi(2)).sum::<f64>() / classes as f64;
            let deviation: Vec<f64> = z.iter().zip(&centres[class]).map(|(a, b)| a - b).collect();
            add(Quantity::FullSupLoss, share * full);
            of_class[class].0 += share;
            of_class[class].1 += share * full;
            add(Quantity::Gap, share * ((dot(z, &centres[class]) - dot(z, &own_mean)) / t).min(0.0));
            add(Quantity::LogitVariance, share * logit_square / (logit_mean * logit_mean));
            add(Quantity::WithinClassVariance, share * dot(&deviation, &deviation));
            let others = || (0..classes).filter(|&c| c != class);
            let rest: u64 = others().map(|c| self.class_counts[c]).sum();
            let margins = others().map(|c| self.class_counts[c] as f64 * (logits[class] - logits[c]));
            add(Quantity::MeanMargin, share * t * margins.sum::<f64>() / rest.max(1) as f64);
            add(Quantity::SupervisedOdds, share * others().map(|c| ratio[c]).sum::<f64>());
            let wrong = others().any(|c| logits[c] >= logits[class]);
            add(Quantity::AnchorError, if wrong { share } else { 0.0 });
            add(Quantity::WithinClassDeviation, share * dot(&deviation, &deviation).sqrt());
            let pairs: f64 = others().map(|c| ratio[c].ln_1p()).sum();
            add(Quantity::PairLoss, share * pairs / (classes - 1).max(1) as f64);
            self.negatives(index, &law, |weight, negatives| {
                let weight = weight * share;
                let mut seen = 1u32 << class;
                let (mut same, mut others, mut repelled) = (0, 0.0, 0.0);
                for &k in negatives {
                    let other = self.views[k].class;
                    seen |= 1 << other;
                    others += mass[k];
                    if other == class { same += 1 } else { repelled += ratio[other] }
                }
                let covers = seen.count_ones() as usize == classes;
                let shown = (0..classes).filter(|&c| c != class && seen >> c & 1 == 1);
                let loss = shown.map(|c| ratio[c]).sum::<f64>().ln_1p();
                let when = |condition: bool| if condition { weight } else { 0.0 };
                let count = f64::from(same);
                add(Quantity::Coverage, when(covers));
                add(Quantity::Collision, when(same > 0));
                add(Quantity::Log1pCollisions, weight * count.ln_1p());
                add(Quantity::JointSupLoss, when(covers) * loss);
                add(Quantity::JointSubLoss, when(!covers) * loss);
                add(Quantity::CurlJoint, when(same == 0) * loss);
                add(Quantity::CurlJointSup, when(same == 0 && covers) * loss);
                add(Quantity::MasterTerm, weight * (count + repelled).ln_1p());
                add(Quantity::InfoNceMeanPositive, weight * (others / own.exp()).ln_1p());
                let means = count * same_class.exp() + repelled * logits[class].exp();
                add(Quantity::InfoNceMeanNegatives, weight * (means / own.exp()).ln_1p());
                let each = weight / positives.len() as f64;
                for &p in &positives {
                    add(Quantity::InfoNce, each * (others / mass[p]).ln_1p());
                    if with_collided {
                        let of_class = negatives.iter().filter(|&&k| self.views[k].class == class);
                        let (mut sum, mut spread) = (0.0, 0.0f64);
                        for &k in of_class {
                            sum += mass[k] / mass[p];
                            spread = spread.max((similarity[k] - similarity[p]).abs());
                        }
                        collided += each * f64::ln_1p(sum);
                        add(Quantity::CollisionUpper, each * (count.ln_1p() + spread));
                    }
                }
            });
        }
        let draws = NumNegatives::new(self.num_negatives as u64).unwrap().draws();
        let mut losses = LossComponents::new(classes as u64, draws, t, self.sampling).unwrap();
        losses.class_counts = Some(self.class_counts.clone());
        losses.class_sup_loss = Some(of_class.iter().map(|(mass, loss)| loss / mass).collect());
        losses.positives = self.positives;
        for (measure, value) in sums {
            // Sums of exact frequencies may end an ulp outside [0, 1].
            let value = match measure {
                Quantity::Coverage | Quantity::Collision | Quantity::AnchorError => value.min(1.0),
                _ => value,
            };
            losses.set(measure, Estimate::exact(value)).unwrap();
        }
        losses.set(Quantity::CollisionSpread, Estimate::exact(0.0)).unwrap();
        losses.set(Quantity::NsclGap, Estimate::exact(0.0)).unwrap();
        let [cantelli, directional, nearest_error] = self.moments(&centres);
        losses.set(Quantity::CantelliError, Estimate::exact(cantelli)).unwrap();
        losses.set(Quantity::DirectionalError, Estimate::exact(directional)).unwrap();
        let get = |measure| losses.get(measure).unwrap();
        let (info_nce, supervised) = (get(Quantity::InfoNce), get(Quantity::FullSupLoss));
        let nscl_gap = self.nscl_gap();
        let mutual_information = self.mutual_information(&law);
        let collided = with_collided.then_some(collided);
        Truth { losses, info_nce, supervised, collided, nscl_gap, nearest_error, mutual_information }
    }

    /// Cantelli's and Chebyshev's bounds, and the error of the nearest class mean.
    fn moments(&self, centres: &[Vec<f64>]) -> [f64; 3] {
        let total: u64 = self.class_counts.iter().sum();
        let mut found = [0.0; 3];
        for (i, own) in centres.iter().enumerate() {
            let share = self.class_counts[i] as f64 / total as f64;
            let views: Vec<_> = self.views.iter().filter(|v| v.class == i).collect();
            let mean =
                |of: &dyn Fn(&View) -> f64| views.iter().map(|v| of(v)).sum::<f64>() / views.len() as f64;
            let distance = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            let (mut cantelli, mut directional) = (0.0, 0.0);
            for other in centres.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, mu)| mu) {
                let margin = |v: &View| dot(&v.feature, own) - dot(&v.feature, other);
                let a = mean(&margin);
                let w = mean(&|v| (margin(v) - a).powi(2));
                cantelli += if a > 1e-12 { w / (w + a * a) } else { 1.0 };
                let square = distance(own, other);
                directional += if square > 1e-12 { 4.0 * w / (square * square) } else { 1.0 };
            }
            let is_wrong = |v: &View| {
                let to_own = distance(&v.feature, own);
                centres.iter().enumerate().any(|(j, mu)| j != i && distance(&v.feature, mu) <= to_own)
            };
            found[0] += share * f64::min(cantelli, 1.0);
            found[1] += share * f64::min(directional, 1.0);
            found[2] += share * mean(&|v| f64::from(is_wrong(v)));
        }
        found.map(|value| value.min(1.0))
    }

    /// Exactly, over features that are equal as numbers: views of different images may coincide.
    fn mutual_information(&self, law: &[f64]) -> f64 {
        type Key = Vec<u64>;
        let key = |v: &View| v.feature.iter().map(|x| (x + 0.0).to_bits()).collect::<Key>();
        let mut joint = BTreeMap::<(Key, Key), f64>::new();
        for (anchor, share) in self.views.iter().zip(law) {
            let partners: Vec<&View> = self.views.iter().filter(|v| self.is_positive(anchor, v)).collect();
            for partner in &partners {
                let other = match self.sampling {
                    Sampling::WithReplacement => key(partner),
                    Sampling::WithoutReplacement => vec![partner.image as u64],
                };
                *joint.entry((key(anchor), other)).or_default() += share / partners.len() as f64;
            }
        }
        let (mut left, mut right) = (BTreeMap::<&Key, f64>::new(), BTreeMap::<&Key, f64>::new());
        for ((x, y), p) in &joint {
            *left.entry(x).or_default() += p;
            *right.entry(y).or_default() += p;
        }
        joint.iter().map(|((x, y), p)| p * (p / (left[x] * right[y])).ln()).sum()
    }

    fn is_positive(&self, anchor: &View, other: &View) -> bool {
        match self.positives {
            Positives::SameImage => other.image == anchor.image,
            Positives::SameClass => other.class == anchor.class,
        }
    }

    /// E ln(1+R) with every other image as a negative; only where classes have as many items as images.
    fn nscl_gap(&self) -> Option<f64> {
        (self.sampling == Sampling::WithoutReplacement).then(|| {
            let share = 1.0 / self.views.len() as f64;
            let of_anchor = |anchor: &View| {
                let (mut same, mut others) = (0.0, 0.0);
                for other in self.views.iter().filter(|v| v.image != anchor.image) {
                    let mass = (dot(&anchor.feature, &other.feature) / self.temperature).exp();
                    if other.class == anchor.class { same += mass } else { others += mass }
                }
                f64::ln_1p(same / others)
            };
            self.views.iter().map(|v| share * of_anchor(v)).sum()
        })
    }
}

/// Two classes, one vector each, with inner product `inner`: every expectation from the binomial law of Col, so that K
/// can be large. `counts` gives the prior; positives are of the same class.
pub fn two_points(counts: [u64; 2], num_negatives: u64, temperature: f64, inner: f64) -> Truth {
    let total = (counts[0] + counts[1]) as f64;
    let a = ((inner - 1.0) / temperature).exp();
    let supervised = a.ln_1p();
    let k = num_negatives as f64;
    let mut sums = BTreeMap::<Quantity, f64>::new();
    for own in counts {
        let p = own as f64 / total;
        let mut add = |measure: Quantity, value: f64| *sums.entry(measure).or_insert(0.0) += p * value;
        let (all_own, none_own) = ((k * p.ln()).exp(), (k * (1.0 - p).ln()).exp());
        add(Quantity::Coverage, 1.0 - all_own);
        add(Quantity::Collision, 1.0 - none_own);
        add(Quantity::JointSupLoss, (1.0 - all_own) * supervised);
        add(Quantity::CurlJoint, none_own * supervised);
        add(Quantity::CurlJointSup, none_own * supervised);
        // ln binom(K, m) p^m (1−p)^(K−m), factor by factor.
        let mut ln = k * (1.0 - p).ln();
        for m in 0..=num_negatives {
            let col = m as f64;
            let weight = ln.exp();
            add(Quantity::Log1pCollisions, weight * col.ln_1p());
            add(Quantity::MasterTerm, weight * (col + (k - col) * a).ln_1p());
            ln += ((k - col) / (col + 1.0) * p / (1.0 - p)).ln();
        }
    }
    for same in [Quantity::InfoNce, Quantity::InfoNceMeanPositive, Quantity::InfoNceMeanNegatives] {
        sums.insert(same, sums[&Quantity::MasterTerm]);
    }
    sums.insert(Quantity::FullSupLoss, supervised);
    sums.insert(Quantity::PairLoss, supervised);
    sums.insert(Quantity::LogitVariance, ((1.0 - a) / (1.0 + a)).powi(2));
    sums.insert(Quantity::MeanMargin, 1.0 - inner);
    sums.insert(Quantity::SupervisedOdds, a);
    let error = if inner == 1.0 { 1.0 } else { 0.0 };
    sums.insert(Quantity::AnchorError, error);
    sums.insert(Quantity::CantelliError, error);
    sums.insert(Quantity::DirectionalError, error);
    for zero in
        [Quantity::JointSubLoss, Quantity::Gap, Quantity::WithinClassVariance, Quantity::WithinClassDeviation]
    {
        sums.insert(zero, 0.0);
    }
    let draws = NumNegatives::new(num_negatives).unwrap().draws();
    let mut losses = LossComponents::new(2, draws, temperature, Sampling::WithReplacement).unwrap();
    losses.class_counts = Some(counts.to_vec());
    losses.class_sup_loss = Some(vec![supervised; 2]);
    losses.positives = Positives::SameClass;
    for (measure, value) in sums {
        let value = if matches!(measure, Quantity::Coverage | Quantity::Collision) {
            value.clamp(0.0, 1.0)
        } else {
            value
        };
        losses.set(measure, Estimate::exact(value)).unwrap();
    }
    let info_nce = losses.get(Quantity::InfoNce).unwrap();
    let shares = counts.map(|c| c as f64 / total);
    let mutual_information = if inner == 1.0 { 0.0 } else { -shares.iter().map(|p| p * p.ln()).sum::<f64>() };
    let nearest_error = error;
    Truth { losses, info_nce, supervised, collided: None, nscl_gap: None, nearest_error, mutual_information }
}
