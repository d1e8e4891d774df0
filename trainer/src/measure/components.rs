//! The terms that the bounds need, measured on batches of n samples.
//!
//! A pass shuffles the samples, cuts batches of n without replacement and drops the remainder. In each batch view 1 of
//! sample i is the anchor, view 2 of the same sample its positive, view 2 of the other n−1 samples its K = n−1 negatives.
//! Every quantity is first averaged over the batch; mean and standard error are those of the batch means. The standard
//! error is that of the batches given the evaluated samples and the encoder; it knows nothing of other samples.

use crate::error::{Error, Result};
use crate::matrix::{Matrix, dot, log_sum_exp};
use crate::rng::permutation;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use theory::losses::{Estimate, LossComponents, Measure};
use theory::{ClassPrior, NumDraws, Sampling, bounds, collision, coverage};

/// Batches below which the number of passes is raised.
const LEAST_BATCHES: usize = 100;

/// Two views of every sample, unit rows.
#[derive(Debug, Clone)]
pub struct Views {
    /// Anchors.
    pub first: Matrix,
    /// Candidates.
    pub second: Matrix,
}

/// What is fixed during a measurement.
#[derive(Debug, Clone)]
pub struct Evaluation<'a> {
    /// Class of each sample.
    pub labels: &'a [usize],
    /// μ_c \[C, d\], not normalised.
    pub class_means: &'a Matrix,
    /// f̄(x) \[N, d\], not normalised; `None`: the other view alone.
    pub sample_means: Option<&'a Matrix>,
    /// t.
    pub temperature: f64,
    /// n = K+1.
    pub num_draws: NumDraws,
    /// Passes over the samples; `None`: as many as make 100 batches.
    pub passes: Option<usize>,
}

/// Passes over `num_samples` samples that make at least 100 batches of `num_draws`.
///
/// # Errors
/// More draws than samples.
pub fn passes_for(num_samples: usize, num_draws: NumDraws) -> Result<usize> {
    let per_pass = num_samples / num_draws.get() as usize;
    if per_pass == 0 {
        return Err(Error::argument(format!(
            "n = K+1 = {num_draws} draws cannot be cut from {num_samples} evaluated samples"
        )));
    }
    Ok(LEAST_BATCHES.div_ceil(per_pass))
}

/// Measures all components; `views` gives the two views of every sample for a pass.
///
/// # Errors
/// More draws than samples; a class without sample; features that are not finite; what `views` returns.
pub fn measure(
    evaluation: &Evaluation<'_>,
    rng: &mut ChaCha8Rng,
    mut views: impl FnMut(usize) -> Result<Views>,
) -> Result<LossComponents> {
    let num_samples = evaluation.labels.len();
    let least = passes_for(num_samples, evaluation.num_draws)?;
    let passes = evaluation.passes.unwrap_or(least);
    if passes == 0 {
        return Err(Error::argument("the number of passes must be at least 1, got 0"));
    }
    let mut measurement = Measurement::new(evaluation)?;
    for pass in 0..passes {
        let views = views(pass)?;
        let order = permutation(num_samples, rng);
        for batch in order.chunks_exact(evaluation.num_draws.get() as usize) {
            measurement.add(&views, batch)?;
        }
    }
    measurement.finish()
}

/// The means over batches that are added one by one.
pub struct Measurement<'a> {
    evaluation: &'a Evaluation<'a>,
    prior: ClassPrior,
    batches: Batches,
    class_sup: Vec<f64>,
    class_seen: Vec<u64>,
}

impl<'a> Measurement<'a> {
    /// An empty measurement.
    ///
    /// # Errors
    /// A class without sample.
    pub fn new(evaluation: &'a Evaluation<'a>) -> Result<Self> {
        let classes = evaluation.class_means.rows;
        let prior = ClassPrior::from_counts(crate::data::class_counts(evaluation.labels, classes))?;
        let (class_sup, class_seen) = (vec![0.0; classes], vec![0; classes]);
        Ok(Self { evaluation, prior, batches: Batches::default(), class_sup, class_seen })
    }

    /// Adds one batch of samples, given by their indices; its first sample is the "first anchor".
    ///
    /// # Errors
    /// Features that are not finite; a loss that overflows.
    pub fn add(&mut self, views: &Views, samples: &[usize]) -> Result<()> {
        let batch = Batch::new(self.evaluation, views, samples, self.class_sup.len())?;
        batch.measure(&mut self.batches)?;
        for (i, &class) in batch.classes.iter().enumerate() {
            self.class_sup[class] += batch.full_sup_loss(i);
            self.class_seen[class] += 1;
        }
        Ok(())
    }

    /// Means, standard errors, exact probabilities, and paired differences.
    ///
    /// # Errors
    /// More draws than samples.
    pub fn finish(mut self) -> Result<LossComponents> {
        self.batches.of.retain(|_, values| values.iter().all(|v| v.is_finite()));
        let (evaluation, prior) = (self.evaluation, self.prior);
        let (n, sampling) = (evaluation.num_draws, Sampling::WithoutReplacement);
        let mut losses = LossComponents::new(prior.num_classes(), n, evaluation.temperature, sampling)?;
        losses.class_counts = prior.counts().map(<[u64]>::to_vec);
        losses.num_batches = Some(self.batches.count() as u64);
        if self.class_seen.iter().all(|&seen| seen > 0) {
            let means = self.class_sup.iter().zip(&self.class_seen).map(|(sum, &seen)| sum / seen as f64);
            losses.class_sup_loss = Some(means.collect());
        }
        for (measure, values) in &self.batches.of {
            let estimate = Estimate::of_batches(values);
            losses.set(*measure, estimate).map_err(|e| Error::NonFinite(e.to_string()))?;
        }
        for (measure, value) in [
            (Measure::CoverageExact, coverage::probability(&prior, sampling, n)?.value()),
            (Measure::CollisionExact, collision::probability(&prior, sampling, n.negatives())?.value()),
            (Measure::Log1pCollisionsExact, collision::expected_ln1p(&prior, sampling, n.negatives())?),
        ] {
            losses.set(measure, Estimate::exact(value))?;
        }
        losses.paired = self.batches.paired_differences(&losses)?;
        Ok(losses)
    }
}

fn check_finite(features: &Matrix) -> Result<()> {
    match features.data.iter().position(|v| !v.is_finite()) {
        Some(i) => {
            let (row, column) = (i / features.cols, i % features.cols);
            Err(Error::NonFinite(format!(
                "feature {column} of sample {row} of a batch is {}",
                features.data[i]
            )))
        }
        None => Ok(()),
    }
}

/// Batch means of every measure.
#[derive(Default)]
struct Batches {
    of: BTreeMap<Measure, Vec<f64>>,
}

impl Batches {
    fn push(&mut self, measure: Measure, value: f64) {
        self.of.entry(measure).or_default().push(value);
    }

    fn count(&self) -> usize {
        self.of.values().next().map_or(0, Vec::len)
    }

    /// L_Info minus the right-hand side of each bound that is a theorem, batch by batch.
    fn paired_differences(&self, template: &LossComponents) -> Result<BTreeMap<String, Estimate>> {
        let theorems = bounds::all().iter().filter(|b| b.is_paired());
        let mut differences: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        let theorems: Vec<_> = theorems.collect();
        let mut single = template.clone();
        for index in 0..self.count() {
            for (measure, values) in &self.of {
                single.set(*measure, Estimate::exact(values[index]))?;
            }
            let info_nce = self.of[&Measure::InfoNce][index];
            for bound in &theorems {
                if let Some(value) = bound.lower_bound(&single).value() {
                    differences.entry(bound.key().to_string()).or_default().push(info_nce - value);
                }
            }
        }
        Ok(differences.into_iter().map(|(key, values)| (key, Estimate::of_batches(&values))).collect())
    }
}

/// One batch of n samples.
struct Batch<'a> {
    evaluation: &'a Evaluation<'a>,
    classes: Vec<usize>,
    /// Samples of each class in the batch.
    occupancy: Vec<usize>,
    /// z_i·μ_c/t \[n, C\].
    class_logits: Matrix,
    /// ‖z_i − μ_{c_i}‖².
    deviations: Vec<f64>,
    /// z_i·f̄(x_i)/t.
    own_logits: Vec<f64>,
    /// (view 1 of i)·(view 2 of j)/t \[n, n\].
    cross: Matrix,
    /// (view 1 of i)·(view 1 of j)/t, and likewise for view 2.
    within: [Matrix; 2],
}

impl<'a> Batch<'a> {
    fn new(
        evaluation: &'a Evaluation<'a>,
        views: &Views,
        samples: &[usize],
        num_classes: usize,
    ) -> Result<Self> {
        let (first, second) = (views.first.gather(samples), views.second.gather(samples));
        check_finite(&first)?;
        check_finite(&second)?;
        let t = evaluation.temperature;
        let scaled = |mut m: Matrix| {
            m.data.iter_mut().for_each(|v| *v /= t);
            m
        };
        let classes: Vec<usize> = samples.iter().map(|&i| evaluation.labels[i]).collect();
        let mut occupancy = vec![0; num_classes];
        classes.iter().for_each(|&c| occupancy[c] += 1);
        let own_logits = samples.iter().enumerate().map(|(i, &sample)| {
            let mean = evaluation.sample_means.map_or(second.row(i), |means| means.row(sample));
            dot(first.row(i), mean) / t
        });
        let own_logits = own_logits.collect();
        let deviation = |(i, &class): (usize, &usize)| {
            let pairs = first.row(i).iter().zip(evaluation.class_means.row(class));
            pairs.map(|(z, mu)| (z - mu).powi(2)).sum()
        };
        let deviations = classes.iter().enumerate().map(deviation).collect();
        Ok(Self {
            evaluation,
            own_logits,
            deviations,
            class_logits: scaled(first.times_transposed(evaluation.class_means)?),
            cross: scaled(first.times_transposed(&second)?),
            within: [scaled(first.times_transposed(&first)?), scaled(second.times_transposed(&second)?)],
            classes,
            occupancy,
        })
    }

    fn size(&self) -> usize {
        self.classes.len()
    }

    fn mean(&self, of: impl Fn(usize) -> f64) -> f64 {
        (0..self.size()).map(of).sum::<f64>() / self.size() as f64
    }

    /// l_sup(z_i, c_i; classes that `weight` counts): ln Σ_j weight_j e^{z·(μ_j − μ_c)/t}.
    fn log_ratio(&self, i: usize, weight: impl Fn(usize) -> f64) -> f64 {
        let own = self.class_logits.row(i)[self.classes[i]];
        let terms = self.class_logits.row(i).iter().enumerate();
        let weighted = terms.map(|(c, logit)| (weight(c), logit - own)).filter(|(w, _)| *w > 0.0);
        log_sum_exp(weighted.map(|(w, x)| x + w.ln())).max(0.0)
    }

    fn full_sup_loss(&self, i: usize) -> f64 {
        self.log_ratio(i, |_| 1.0)
    }

    fn batch_sup_loss(&self, i: usize) -> f64 {
        self.log_ratio(i, |c| if self.occupancy[c] > 0 { 1.0 } else { 0.0 })
    }

    fn collisions(&self, i: usize) -> usize {
        self.occupancy[self.classes[i]] - 1
    }

    /// −ln softmax of the positive among view 2 of all samples.
    fn info_nce(&self, i: usize) -> f64 {
        let row = self.cross.row(i);
        (log_sum_exp(row.iter().copied()) - row[i]).max(0.0)
    }

    /// The two-view loss of view `view` of sample i, 2n−1 candidates.
    fn nt_xent(&self, i: usize, view: usize) -> f64 {
        let across = |j: usize| if view == 0 { self.cross.row(i)[j] } else { self.cross.row(j)[i] };
        let within =
            self.within[view].row(i).iter().enumerate().filter(move |(j, _)| *j != i).map(|(_, v)| *v);
        (log_sum_exp(within.chain((0..self.size()).map(across))) - across(i)).max(0.0)
    }

    /// ln(1 + Col + A): the other samples of the batch at their class means.
    fn master(&self, i: usize) -> f64 {
        // Every class with its multiplicity; the anchor itself is the "1 +" of its class.
        self.log_ratio(i, |c| self.occupancy[c] as f64)
    }

    /// min(0, z·(μ_c − f̄)/t).
    fn gap(&self, i: usize) -> f64 {
        (self.class_logits.row(i)[self.classes[i]] - self.own_logits[i]).min(0.0)
    }

    /// ln(1+Col) + max over same-class negatives of |s_k − s_+|/t.
    fn collision_upper(&self, i: usize) -> f64 {
        let row = self.cross.row(i);
        let same = (0..self.size()).filter(|&k| k != i && self.classes[k] == self.classes[i]);
        let spread = same.map(|k| (row[k] - row[i]).abs()).fold(0.0, f64::max);
        (self.collisions(i) as f64).ln_1p() + spread
    }

    /// Var_j(e^{z·μ_j/t}) / (mean_j e^{z·μ_j/t})² over the classes j.
    fn logit_variance(&self, i: usize) -> f64 {
        let row = self.class_logits.row(i);
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mass: Vec<f64> = row.iter().map(|logit| (logit - largest).exp()).collect();
        let mean = mass.iter().sum::<f64>() / mass.len() as f64;
        mass.iter().map(|m| (m / mean - 1.0).powi(2)).sum::<f64>() / mass.len() as f64
    }

    /// ln(1+R), R the same-class over the other-class exponential mass of the negatives; ∞ where no negative is of another class.
    fn nscl_gap(&self, i: usize) -> f64 {
        let of = |same: bool| {
            let wanted = (0..self.size()).filter(|&k| k != i && (self.classes[k] == self.classes[i]) == same);
            log_sum_exp(wanted.map(|k| self.cross.row(i)[k]))
        };
        if self.collisions(i) == 0 {
            return 0.0;
        }
        if self.collisions(i) + 1 == self.size() {
            return f64::INFINITY;
        }
        let ln_ratio = of(true) - of(false);
        if ln_ratio > 30.0 { ln_ratio } else { ln_ratio.exp().ln_1p() }
    }

    fn measure(&self, sums: &mut Batches) -> Result<()> {
        let covers = self.occupancy.iter().all(|&m| m > 0);
        let cover = f64::from(covers);
        let alone = |i: usize| f64::from(self.collisions(i) == 0);
        let joint = self.mean(|i| self.batch_sup_loss(i));
        let alone_joint = self.mean(|i| alone(i) * self.batch_sup_loss(i));
        let both_views = 0.5 * (self.mean(|i| self.nt_xent(i, 0)) + self.mean(|i| self.nt_xent(i, 1)));
        let values = [
            (Measure::InfoNce, self.mean(|i| self.info_nce(i))),
            (Measure::NtXent, both_views),
            (Measure::Coverage, cover),
            (Measure::Collision, self.mean(|i| 1.0 - alone(i))),
            (Measure::FirstAnchorCollision, 1.0 - alone(0)),
            (Measure::Log1pCollisions, self.mean(|i| (self.collisions(i) as f64).ln_1p())),
            (Measure::FullSupLoss, self.mean(|i| self.full_sup_loss(i))),
            (Measure::JointSupLoss, cover * joint),
            (Measure::JointSubLoss, (1.0 - cover) * joint),
            (Measure::CurlJointSup, cover * alone_joint),
            (Measure::CurlJoint, alone_joint),
            (Measure::Gap, self.mean(|i| self.gap(i))),
            (Measure::MasterTerm, self.mean(|i| self.master(i))),
            (Measure::CollisionUpper, self.mean(|i| self.collision_upper(i))),
            (Measure::LogitVariance, self.mean(|i| self.logit_variance(i))),
            (Measure::WithinClassVariance, self.mean(|i| self.deviations[i])),
        ];
        // Not finite where an anchor meets its own class alone; the column is then left out at the end.
        sums.push(Measure::NsclGap, self.mean(|i| self.nscl_gap(i)));
        for (measure, value) in values {
            if !value.is_finite() {
                let t = self.evaluation.temperature;
                return Err(Error::NonFinite(format!("{measure} is {value} at temperature {t}")));
            }
            sums.push(measure, value);
        }
        Ok(())
    }
}

/// β̂ as published: the mean over j of (1/(n_c−1)) Σ_{i ≠ j} |x0_i·x1_j − x0_j·x1_j| over training features of one class.
///
/// A diagnostic of the spread within classes (no 1/t, a mean where a bound would need a maximum); 0 where every class
/// has one sample.
///
/// # Errors
/// The tensor library fails.
pub fn collision_spread(views: &Views, labels: &[usize], num_classes: usize) -> Result<f64> {
    let (mut sum, mut count) = (0.0, 0usize);
    for class in 0..num_classes {
        let members: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == class).collect();
        if members.len() < 2 {
            continue;
        }
        let similarity = views.first.gather(&members).times_transposed(&views.second.gather(&members))?;
        for j in 0..members.len() {
            let own = similarity.row(j)[j];
            // The term i = j is zero.
            let total: f64 = (0..members.len()).map(|i| (similarity.row(i)[j] - own).abs()).sum();
            sum += total / (members.len() - 1) as f64;
        }
        count += members.len();
    }
    Ok(if count == 0 { 0.0 } else { sum / count as f64 })
}
