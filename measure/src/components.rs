//! The terms that the bounds need, measured on batches of n samples.
//!
//! A pass shuffles the samples, cuts batches of n without replacement and drops the remainder. In each batch view 1 of
//! sample i is the anchor, view 2 of the same sample its positive, view 2 of the other n−1 samples its K = n−1
//! negatives. Every quantity is first averaged over the batch, batches side by side on the current pool; mean and
//! standard error are those of the batch means, taken as independent. The batches of a pass share out all samples, so
//! that given the evaluated samples and the encoder this is an upper estimate of the error; the error for other samples
//! stands beside it ([`crate::image_errors`]).

use crate::batch::{self, BatchMeans, OWN};
use crate::conditional::Conditional;
use crate::error::{Error, Result};
use crate::evaluation::{Evaluation, Views, passes_for};
use crate::image_errors::Passes;
use crate::matrix::Matrix;
use crate::pool::{self, Stop};
use crate::rng::permutation;
use crate::rows::FeatureRows;
use rand_chacha::ChaCha8Rng;
use std::borrow::Borrow;
use std::collections::BTreeMap;
use theory::losses::{Estimate, LossComponents, Quantity};
use theory::{ClassPrior, Sampling, bounds, collision, coverage};

/// What an interruption gives up.
pub(crate) const DOING: &str = "measuring the losses";

/// All components, as one row; `views` gives the two views of every sample for a pass, `rng` the order of its samples.
///
/// Losses are in nats; what each column is, `theory::losses::Quantity` says. The same bits for any number of threads of
/// the current rayon pool.
///
/// # Errors
/// More draws than samples; a class without sample; features that are not finite; `stop` says so; what `views` returns.
pub fn components<E: From<Error>, F: FeatureRows, V: Borrow<Views<F>>>(
    evaluation: &Evaluation<'_, F>,
    rng: &mut ChaCha8Rng,
    stop: Stop<'_>,
    mut views: impl FnMut(usize) -> std::result::Result<V, E>,
) -> std::result::Result<LossComponents, E> {
    let num_samples = evaluation.labels.len();
    let least = passes_for(num_samples, evaluation.num_draws)?;
    let passes = evaluation.passes.unwrap_or(least);
    if passes == 0 {
        return Err(Error::argument("the number of passes must be at least 1, got 0").into());
    }
    let mut sums = Accumulator::new(evaluation)?;
    for pass in 0..passes {
        let views = views(pass)?;
        let views: &Views<F> = views.borrow();
        sums.conditional.add(evaluation, views, stop)?;
        let order = permutation(num_samples, rng);
        sums.add_batches(views, order, stop)?;
    }
    Ok(sums.finish()?)
}

/// The means over batches that are added one by one.
pub struct Accumulator<'a, F = Matrix> {
    evaluation: &'a Evaluation<'a, F>,
    class_counts: Vec<u64>,
    prior: ClassPrior,
    batches: Batches,
    conditional: Conditional,
    class_sup: Vec<f64>,
    class_seen: Vec<u64>,
    /// Sums over the passes of what each image gives to the columns of [`OWN`].
    own: [Vec<f64>; OWN.len()],
    passes: Passes,
}

impl<'a, F: FeatureRows> Accumulator<'a, F> {
    /// No batches yet.
    ///
    /// # Errors
    /// A class without sample, a label without a class mean; f̄ of another number of samples; more draws than samples.
    pub fn new(evaluation: &'a Evaluation<'a, F>) -> Result<Self> {
        let classes = evaluation.class_means.rows;
        crate::check_labels(evaluation.labels.len(), evaluation.labels, classes)?;
        if let Some(means) = evaluation.sample_means {
            crate::check_labels(means.count(), evaluation.labels, classes)?;
        }
        let class_counts = crate::class_counts(evaluation.labels, classes);
        let prior = ClassPrior::from_counts(class_counts.clone())?;
        let (class_sup, class_seen) = (vec![0.0; classes], vec![0; classes]);
        let conditional = Conditional::new(evaluation, &prior)?;
        let images = evaluation.labels.len();
        let passes = Passes::new(images, evaluation.num_draws.get() as usize);
        let own = std::array::from_fn(|_| vec![0.0; images]);
        let batches = Batches::default();
        Ok(Self { evaluation, class_counts, prior, batches, conditional, class_sup, class_seen, own, passes })
    }

    /// Adds one batch of samples, given by their indices; its first sample is the "first anchor".
    ///
    /// What such batches share is not known: their columns have no error over images.
    ///
    /// # Errors
    /// No sample, or one that there is not; views of another number of samples; features that are not finite; a loss
    /// that overflows.
    pub fn add(&mut self, views: &Views<F>, samples: &[usize]) -> Result<()> {
        self.check(views, samples)?;
        if samples.is_empty() {
            return Err(Error::argument("a batch has no sample"));
        }
        self.push(samples, &batch::means(self.evaluation, &self.class_counts, views, samples)?);
        Ok(())
    }

    /// Adds the batches of a pass: samples in a random order, cut into batches of n; what is left over is dropped.
    ///
    /// # Errors
    /// A sample that there is not; views of another number of samples; features that are not finite; a loss that
    /// overflows; `stop` says so.
    pub fn add_batches(&mut self, views: &Views<F>, order: Vec<usize>, stop: Stop<'_>) -> Result<()> {
        self.check(views, &order)?;
        let batches = order.chunks_exact(self.evaluation.num_draws.get() as usize);
        let means = pool::map(batches.clone(), |samples| {
            pool::check(stop, DOING)?;
            batch::means(self.evaluation, &self.class_counts, views, samples)
        });
        for (samples, means) in batches.zip(means) {
            self.push(samples, &means?);
        }
        self.passes.push(order);
        Ok(())
    }

    /// Adds a pass to the columns that need no batches (`…_rao_blackwell`): the views of all samples.
    ///
    /// Two passes at least give an honest standard error; passes of the same views give 0 (`measure::conditional`).
    ///
    /// # Errors
    /// Views of another number of samples; features that are not finite.
    pub fn add_pass(&mut self, views: &Views<F>) -> Result<()> {
        self.conditional.add(self.evaluation, views, &pool::never)
    }

    /// Both views and these samples are of the samples that have labels.
    fn check(&self, views: &Views<F>, samples: &[usize]) -> Result<()> {
        let count = self.evaluation.labels.len();
        let views = [&views.first, &views.second].map(FeatureRows::count);
        if let Some(other) = views.into_iter().find(|&views| views != count) {
            return Err(Error::argument(format!("{other} views for {count} samples")));
        }
        match samples.iter().find(|&&sample| sample >= count) {
            Some(sample) => {
                Err(Error::argument(format!("sample {sample} of a batch is none of the {count}")))
            }
            None => Ok(()),
        }
    }

    fn push(&mut self, samples: &[usize], means: &BatchMeans) {
        for (&image, values) in samples.iter().zip(&means.own) {
            self.own.iter_mut().zip(values).for_each(|(sums, value)| sums[image] += value);
        }
        for &(quantity, value) in &means.columns {
            self.batches.of.entry(quantity).or_default().push(value);
        }
        for &(class, loss) in &means.sup_losses {
            self.class_sup[class] += loss;
            self.class_seen[class] += 1;
        }
    }

    /// Means, errors, exact probabilities, and paired differences.
    ///
    /// # Errors
    /// More draws than samples.
    pub fn finish(mut self) -> Result<LossComponents> {
        self.batches.of.retain(|_, values| values.iter().all(|v| v.is_finite()));
        let (evaluation, prior) = (self.evaluation, self.prior);
        let (n, sampling) = (evaluation.num_draws, Sampling::WithoutReplacement);
        let mut losses = LossComponents::new(prior.num_classes(), n, evaluation.temperature, sampling)?;
        losses.class_counts = Some(self.class_counts);
        losses.num_batches = Some(self.batches.count() as u64);
        if self.class_seen.iter().all(|&seen| seen > 0) {
            let means = self.class_sup.iter().zip(&self.class_seen).map(|(sum, &seen)| sum / seen as f64);
            losses.class_sup_loss = Some(means.collect());
        }
        for (quantity, values) in &self.batches.of {
            let error = match OWN.iter().position(|own| own == quantity) {
                Some(place) => self.passes.error_of_images(&self.own[place]),
                None => self.passes.error_of_batches(values),
            };
            let estimate = Estimate::of_batches(values).with_image_error(error);
            losses.set(*quantity, estimate).map_err(|e| Error::NonFinite(e.to_string()))?;
        }
        for (quantity, estimate) in self.conditional.estimates() {
            losses.set(quantity, estimate).map_err(|e| Error::NonFinite(e.to_string()))?;
        }
        for (quantity, value) in [
            (Quantity::CoverageExact, coverage::probability(&prior, sampling, n)?.value()),
            (Quantity::CollisionExact, collision::probability(&prior, sampling, n.negatives())?.value()),
            (Quantity::Log1pCollisionsExact, collision::expected_ln1p(&prior, sampling, n.negatives())?),
        ] {
            losses.set(quantity, Estimate::exact(value))?;
        }
        losses.paired = self.batches.paired_differences(&losses, &self.passes)?;
        Ok(losses)
    }
}

/// Batch means of every quantity.
#[derive(Default)]
struct Batches {
    of: BTreeMap<Quantity, Vec<f64>>,
}

impl Batches {
    fn count(&self) -> usize {
        self.of.values().next().map_or(0, Vec::len)
    }

    /// L_Info minus the right-hand side of each bound that is a theorem, batch by batch.
    fn paired_differences(
        &self,
        template: &LossComponents,
        passes: &Passes,
    ) -> Result<BTreeMap<String, Estimate>> {
        let theorems = bounds::all().iter().filter(|b| b.is_paired());
        let mut differences: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        let theorems: Vec<_> = theorems.collect();
        let mut single = template.clone();
        for index in 0..self.count() {
            for (quantity, values) in &self.of {
                single.set(*quantity, Estimate::exact(values[index]))?;
            }
            let info_nce = self.of[&Quantity::InfoNce][index];
            for bound in &theorems {
                if let Some(value) = bound.lower_bound(&single).value() {
                    differences.entry(bound.key().to_string()).or_default().push(info_nce - value);
                }
            }
        }
        let estimate = |values: Vec<f64>| {
            Estimate::of_batches(&values).with_image_error(passes.error_of_batches(&values))
        };
        Ok(differences.into_iter().map(|(key, values)| (key, estimate(values))).collect())
    }
}
