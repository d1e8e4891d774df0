//! The columns whose expectation over batches, given the anchor, is known: conditional Monte Carlo (Rao–Blackwell).
//!
//! With fixed features an anchor i of class a gives, on average over the batches that hold it (K of the other M−1
//! samples without replacement),
//!
//! - `full_sup_loss`: l_sup(z_i, a), whatever the batch;
//! - `joint_sup_loss`: P(cover | a)·l_sup(z_i, a), [`coverage::given_anchor`];
//! - `curl_joint_sup`: P(cover, Col = 0 | a)·l_sup(z_i, a), [`coverage::given_anchor_alone`];
//! - `joint_sub_loss`: E ln Σ_{c shown} e^{z_i·(μ_c − μ_a)/t} less the former; `curl_joint`: the same with 1{Col = 0};
//!   `master_term`: E ln(1 + Col + A): [`collision::BatchLaw`].
//!
//! Each is averaged over **all** samples, not over the anchors of some batches, so that nothing of the batches' chance
//! is left: given the views the column is the exact expectation over batches.
//!
//! The first three are evaluated in every pass. The others cost up to 80 × 12 complex products a sample and class, and
//! nothing at all is evaluated above [`MOST_TERMS`] samples × classes: they are a cheap part g in every pass, ln(1 + E
//! S) in place of E ln(1+S), plus the mean of what g lacks, δ, over the first two passes.
//!
//! **Standard error.** What is left is the chance of the views. Views of different samples are independent given the
//! encoder, so the variance is (1/N²) Σ_i (Var_i g/P + Var_i δ/Q + 2 Cov_i(g, δ)/P), from each sample's variances over
//! the P passes and the Q ≤ 2 passes with δ. Where every pass has the same views (features from a file) it is 0: the
//! column has no error beside that of the evaluated samples, which is SD/√N over them (`…_image_se`). A single pass
//! shows no such variance; then √(variance over samples / N) stands instead, which is too large, since it counts the
//! differences between samples.

use crate::batch::Classes;
use crate::components::DOING;
use crate::error::{Error, Result};
use crate::evaluation::{Evaluation, Views};
use crate::gemm::Threads;
use crate::matrix::{Matrix, Rows, times_transposed};
use crate::pool::{self, Stop};
use crate::rows::FeatureRows;
use theory::collision::{BatchLaw, ExpectedLogs};
use theory::losses::{Estimate, LossComponents, Quantity};
use theory::{ClassPrior, Sampling, coverage};

/// Samples × classes above which the columns that need [`BatchLaw`] are left out: minutes of a core.
pub const MOST_TERMS: usize = 50_000_000;
/// Passes in which what their cheap parts lack is evaluated.
const LAW_PASSES: u64 = 2;
/// Samples of a chunk.
const CHUNK: usize = 64;

/// Each reduced column beside the counted one.
const PAIRS: [(Quantity, Quantity); 6] = [
    (Quantity::FullSupLoss, Quantity::FullSupLossRaoBlackwell),
    (Quantity::JointSupLoss, Quantity::JointSupLossRaoBlackwell),
    (Quantity::CurlJointSup, Quantity::CurlJointSupRaoBlackwell),
    (Quantity::JointSubLoss, Quantity::JointSubLossRaoBlackwell),
    (Quantity::CurlJoint, Quantity::CurlJointRaoBlackwell),
    (Quantity::MasterTerm, Quantity::MasterTermRaoBlackwell),
];
/// Below this probability of not covering, `joint_sub_loss` (at most that much of l_sup) is 0: a difference of two
/// numbers of the size of l_sup has no digit left.
const SURE: f64 = 1e-12;
/// The first columns, which are cheap.
const CHEAP: usize = 3;

/// Counted column, reduced column, and the squared standard error of the counted one over that of the reduced one.
///
/// The saving at most: the error of a counted column takes its batches as independent, while the batches of a pass
/// share out all samples, so that it varies less than its error says. For `full_sup_loss` there is nothing to save (its
/// two columns are the same mean where no sample is left over), and it is left out, as is a pair without two standard
/// errors or without any variance. ∞ where the reduced column has no variance. Empty for a single pass, whose reduced
/// columns show the differences between samples and not those between views.
pub fn variance_ratios(losses: &LossComponents) -> Vec<(Quantity, Quantity, f64)> {
    let samples = losses.class_counts.as_ref().map_or(0, |counts| counts.iter().sum::<u64>());
    let one_pass = losses.num_batches.is_some_and(|batches| batches <= samples / losses.num_draws.get());
    if one_pass {
        return Vec::new();
    }
    let variance = |quantity: Quantity| Some(losses.measures.get(&quantity)?.standard_error?.powi(2));
    let ratio = |&(counted, reduced): &(Quantity, Quantity)| {
        let (above, below) = (variance(counted)?, variance(reduced)?);
        (above > 0.0 || below > 0.0).then_some((counted, reduced, above / below))
    };
    PAIRS.iter().filter(|(counted, _)| *counted != Quantity::FullSupLoss).filter_map(ratio).collect()
}

/// The reduced columns, pass by pass.
pub(super) struct Conditional {
    /// P(cover | class) and P(cover, Col = 0 | class).
    covers: Vec<[f64; 2]>,
    /// Whether batches with an anchor of the class cover all but surely.
    surely: Vec<bool>,
    law: Option<BatchLaw>,
    /// l_sup of each sample in the last pass, and what the cheap parts lacked there.
    last: (Vec<f64>, Vec<Vec<f64>>),
    columns: Vec<Moments>,
    passes: u64,
}

impl Conditional {
    /// # Errors
    /// More draws than samples.
    pub fn new<F>(evaluation: &Evaluation<'_, F>, prior: &ClassPrior) -> Result<Self> {
        let (n, sampling) = (evaluation.num_draws, Sampling::WithoutReplacement);
        let cover = coverage::given_anchor(prior, sampling, n)?;
        let alone = coverage::given_anchor_alone(prior, sampling, n)?;
        let counts = prior.counts().unwrap_or_default();
        // Groups are distinct counts.
        let group = |&m: &u64| prior.groups().iter().position(|g| g.count == Some(m)).unwrap_or(0);
        let covers = counts.iter().map(group).map(|g| [cover[g].value(), alone[g].value()]).collect();
        let surely = counts.iter().map(group).map(|g| cover[g].complement() < SURE).collect();
        let small = evaluation.labels.len() * counts.len() <= MOST_TERMS;
        let law = small.then(|| BatchLaw::new(counts, n.negatives())).transpose()?;
        let columns = vec![Moments::default(); if small { PAIRS.len() } else { CHEAP }];
        Ok(Self { covers, surely, law, last: Default::default(), columns, passes: 0 })
    }

    /// Adds a pass: every sample's view 1 is an anchor.
    ///
    /// # Errors
    /// Views of other shapes than the evaluation; features that are not finite.
    pub fn add<F: FeatureRows>(
        &mut self,
        evaluation: &Evaluation<'_, F>,
        views: &Views<F>,
        stop: Stop<'_>,
    ) -> Result<()> {
        let first = &views.first;
        if first.count() != evaluation.labels.len() {
            let message = format!("{} views for {} samples", first.count(), evaluation.labels.len());
            return Err(Error::argument(message));
        }
        let starts = || (0..first.count()).step_by(CHUNK);
        let chunks = pool::map(starts(), |start| {
            pool::check(stop, DOING)?;
            self.losses(evaluation, first, start)
        });
        let losses = chunks.into_iter().collect::<Result<Vec<_>>>()?.concat();
        let column = |of: &dyn Fn(&[f64; 6]) -> f64| losses.iter().map(of).collect::<Vec<f64>>();
        let values: Vec<_> = (0..self.columns.len()).map(|i| column(&|losses| losses[i])).collect();
        let lacking = match &self.law {
            Some(_) if self.passes >= LAW_PASSES => Vec::new(),
            Some(_) if self.passes > 0 && self.last.0 == values[0] => self.last.1.clone(), // the same views again
            Some(law) => {
                let chunks = pool::map(starts(), |start| {
                    pool::check(stop, DOING)?;
                    lacking((law, &self.surely), evaluation, first, start)
                });
                let lacking = chunks.into_iter().collect::<Result<Vec<_>>>()?.concat();
                (0..3).map(|i| lacking.iter().map(|values: &[f64; 3]| values[i]).collect()).collect()
            }
            None => Vec::new(),
        };
        for (i, (moments, values)) in self.columns.iter_mut().zip(&values).enumerate() {
            moments.add(values, lacking.get(i.wrapping_sub(CHEAP)).map(Vec::as_slice));
        }
        self.last = (values.into_iter().next().unwrap_or_default(), lacking);
        self.passes += 1;
        Ok(())
    }

    /// The columns of the samples of a chunk, in the order of [`PAIRS`], the last three by their cheap parts.
    fn losses<F: FeatureRows>(
        &self,
        evaluation: &Evaluation<'_, F>,
        first: &F,
        start: usize,
    ) -> Result<Vec<[f64; 6]>> {
        let logits = class_logits(evaluation, first, start)?;
        let mut weights = Vec::with_capacity(logits.cols);
        let of_sample = |i: usize| {
            let class = evaluation.labels[start + i];
            let [cover, alone] = self.covers[class];
            let full = Classes::new(logits.row(i), class).log_ratio(|_| 1.0);
            let logs = match &self.law {
                Some(law) => match relative(&mut weights, logits.row(i), class) {
                    Some(weights) => law.given(class)?.logs_of_means(weights)?,
                    None => ExpectedLogs { all: f64::NAN, shown: f64::NAN, alone: f64::NAN },
                },
                None => ExpectedLogs { all: 0.0, shown: 0.0, alone: 0.0 },
            };
            let not_covered = if self.surely[class] { 0.0 } else { logs.shown - cover * full };
            Ok([full, cover * full, alone * full, not_covered, logs.alone, logs.all])
        };
        (0..logits.rows).map(of_sample).collect()
    }

    /// The columns; none where no pass was added, and none whose weights overflowed.
    pub fn estimates(&self) -> Vec<(Quantity, Estimate)> {
        let columns = PAIRS.iter().zip(&self.columns).filter(|(_, moments)| moments.passes > 0);
        let estimates = columns.map(|(&(_, reduced), moments)| (reduced, moments.estimate()));
        estimates.filter(|(_, estimate)| estimate.mean.is_finite()).collect()
    }
}

/// What the cheap parts of `joint_sub_loss`, `curl_joint` and `master_term` lack.
fn lacking<F: FeatureRows>(
    (law, surely): (&BatchLaw, &[bool]),
    evaluation: &Evaluation<'_, F>,
    first: &F,
    start: usize,
) -> Result<Vec<[f64; 3]>> {
    let logits = class_logits(evaluation, first, start)?;
    let mut weights = Vec::with_capacity(logits.cols);
    let of_sample = |i: usize| {
        let class = evaluation.labels[start + i];
        let given = law.given(class)?;
        let Some(weights) = relative(&mut weights, logits.row(i), class) else {
            return Ok([f64::NAN; 3]);
        };
        let (exact, cheap) = (given.expected_logs(weights)?, given.logs_of_means(weights)?);
        let shown = if surely[class] { 0.0 } else { exact.shown - cheap.shown };
        Ok([shown, exact.alone - cheap.alone, exact.all - cheap.all])
    };
    (0..logits.rows).map(of_sample).collect()
}

/// w_c = e^{z·(μ_c − μ_a)/t}; `None` where one is not a finite number (t below 0.003).
fn relative<'a>(weights: &'a mut Vec<f64>, logits: &[f64], class: usize) -> Option<&'a [f64]> {
    weights.clear();
    weights.extend(logits.iter().map(|logit| (logit - logits[class]).exp()));
    weights.iter().all(|w| *w < f64::MAX / 1e20).then_some(&weights[..])
}

/// z_i·μ_c/t of the samples of a chunk.
///
/// # Errors
/// Features that are not finite.
fn class_logits<F: FeatureRows>(evaluation: &Evaluation<'_, F>, first: &F, start: usize) -> Result<Matrix> {
    let rows = start..(start + CHUNK).min(first.count());
    let (means, cols) = (evaluation.class_means, first.width());
    let mut logits = Matrix::zeros(rows.len(), means.rows);
    let values = first.run(rows)?;
    if let Some(i) = values.iter().position(|v| !v.is_finite()) {
        let (row, column) = (start + i / cols.max(1), i % cols.max(1));
        return Err(Error::NonFinite(format!("feature {column} of sample {row} is {}", values[i])));
    }
    times_transposed(Rows { values: &values, cols }, means.all(), &mut logits.data, Threads::One)?;
    logits.data.iter_mut().for_each(|v| *v /= evaluation.temperature);
    Ok(logits)
}

/// Each sample's mean of the cheap part g over P passes and of what it lacks, δ, over the first Q of them, with the
/// sums over samples of squared deviations and of their products (Welford).
#[derive(Debug, Clone, Default)]
struct Moments {
    passes: u64,
    cheap: Vec<f64>,
    cheap_squares: f64,
    law_passes: u64,
    lacking: Vec<f64>,
    lacking_squares: f64,
    products: f64,
}

impl Moments {
    /// Adds a pass; `lacking` in the first passes only, if at all.
    fn add(&mut self, cheap: &[f64], lacking: Option<&[f64]>) {
        self.cheap.resize(cheap.len(), 0.0);
        self.lacking.resize(cheap.len(), 0.0);
        self.passes += 1;
        self.law_passes += u64::from(lacking.is_some());
        for (i, value) in cheap.iter().enumerate() {
            let before = value - self.cheap[i];
            self.cheap[i] += before / self.passes as f64;
            self.cheap_squares += before * (value - self.cheap[i]);
            if let Some(lacking) = lacking {
                let own = lacking[i] - self.lacking[i];
                self.lacking[i] += own / self.law_passes as f64;
                self.lacking_squares += own * (lacking[i] - self.lacking[i]);
                self.products += before * (lacking[i] - self.lacking[i]);
            }
        }
    }

    fn estimate(&self) -> Estimate {
        let values: Vec<f64> = self.cheap.iter().zip(&self.lacking).map(|(g, d)| g + d).collect();
        let between = Estimate::of_batches(&values);
        // Rounding may leave a loss of 0 below it.
        let mean = if between.mean < 0.0 { 0.0 } else { between.mean };
        let between = between.with_image_error(between.standard_error);
        if self.passes == 1 {
            return Estimate { mean, ..between };
        }
        let (samples, passes) = (values.len() as f64, self.passes as f64);
        let mut variance = self.cheap_squares / (passes - 1.0) / passes;
        if self.law_passes > 1 {
            let law_passes = self.law_passes as f64;
            variance += self.lacking_squares / (law_passes - 1.0) / law_passes;
            variance += 2.0 * self.products / (law_passes - 1.0) / passes;
        }
        Estimate { mean, standard_error: Some(variance.max(0.0).sqrt() / samples), ..between }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::{Accumulator, components};
    use crate::rng::{Purpose, normal, stream};
    use rand_chacha::ChaCha8Rng;
    use std::collections::BTreeMap;
    use theory::NumDraws;

    const LABELS: [usize; 8] = [0, 1, 0, 2, 1, 0, 2, 0];

    fn unit(rows: usize, rng: &mut ChaCha8Rng, centre: impl Fn(usize, usize) -> f64) -> Matrix {
        let data = (0..rows * 3).map(|i| centre(i / 3, i % 3) + f64::from(normal(rng))).collect();
        let mut m = Matrix { rows, cols: 3, data };
        m.normalise_rows().unwrap();
        m
    }

    fn random_views(labels: &[usize], rng: &mut ChaCha8Rng) -> Views {
        // A centre for the class and one for the sample.
        let centre = |i: usize, k: usize| {
            let own = ((37 * i + 11 * k) % 13) as f64 / 6.0 - 1.0;
            own + if labels[i] == k { 2.0 } else { 0.0 }
        };
        Views { first: unit(labels.len(), rng, centre), second: unit(labels.len(), rng, centre) }
    }

    fn means() -> Matrix {
        Matrix { rows: 3, cols: 3, data: vec![0.7, 0.1, 0.0, -0.1, 0.6, 0.2, 0.1, 0.0, 0.8] }
    }

    fn evaluation<'a>(labels: &'a [usize], means: &'a Matrix, n: u64, passes: usize) -> Evaluation<'a> {
        let num_draws = NumDraws::new(n).unwrap();
        Evaluation {
            labels,
            class_means: means,
            sample_means: None,
            temperature: 0.3,
            num_draws,
            passes: Some(passes),
        }
    }

    #[test]
    fn conditioned_columns_are_the_means_over_all_batches() {
        let means = means();
        let views = random_views(&LABELS, &mut stream(1, Purpose::Evaluation, 0));
        for n in 1..=8u64 {
            let evaluation = evaluation(&LABELS, &means, n, 1);
            let mut sums = Accumulator::new(&evaluation).unwrap();
            sums.add_pass(&views).unwrap();
            sums.add_pass(&views).unwrap();
            // Every subset of n samples, once: each sample is an anchor in all batches that hold it.
            for set in 0u32..1 << LABELS.len() {
                if u64::from(set.count_ones()) == n {
                    let batch: Vec<usize> = (0..LABELS.len()).filter(|i| set >> i & 1 == 1).collect();
                    sums.add(&views, &batch).unwrap();
                }
            }
            let row = sums.finish().unwrap();
            for (counted, reduced) in PAIRS {
                let (counted, found) = (row.measures[&counted].mean, row.measures[&reduced]);
                assert!((found.mean - counted).abs() < 1e-12, "n={n} {reduced}: {} {counted}", found.mean);
                assert_eq!(found.standard_error, Some(0.0), "n={n} {reduced}");
            }
        }
    }

    fn labels(count: usize) -> Vec<usize> {
        // Classes of unequal size.
        (0..count).map(|i| [0, 1, 0, 2, 1, 0, 0][i % 7]).collect()
    }

    #[test]
    fn counted_and_reduced_columns_agree_and_the_latter_vary_less() {
        let (means, labels) = (means(), labels(120));
        let evaluation = evaluation(&labels, &means, 5, 6);
        let mut rng = stream(3, Purpose::EvaluationViews, 0);
        let row = components(&evaluation, &mut stream(3, Purpose::Evaluation, 0), &pool::never, |_| {
            Ok::<_, Error>(random_views(&labels, &mut rng))
        })
        .unwrap();
        for (counted, reduced) in PAIRS {
            let (x, y) = (row.measures[&counted], row.measures[&reduced]);
            let error = x.standard_error.unwrap().hypot(y.standard_error.unwrap());
            assert!((x.mean - y.mean).abs() < 4.0 * error, "{reduced}: {x:?} {y:?}");
        }
        // 24 whole batches a pass: both columns are then the mean over all samples and passes.
        let [full, same] =
            [Quantity::FullSupLoss, Quantity::FullSupLossRaoBlackwell].map(|m| row.measures[&m].mean);
        assert!((full - same).abs() < 1e-12, "{full} {same}");
        assert_eq!(variance_ratios(&row).len(), PAIRS.len() - 1);
        let one = LossComponents { num_batches: Some(120 / 5), ..row };
        assert!(variance_ratios(&one).is_empty());
    }

    /// z-scores of many seeds: the mean over all seeds stands for the truth, its own error is small beside each seed's.
    #[test]
    fn standard_errors_are_honest() {
        let (means, labels) = (means(), labels(84));
        // A gentle temperature: few samples would otherwise carry most of the variance.
        let evaluation = Evaluation { temperature: 1.0, ..evaluation(&labels, &means, 4, 4) };
        const SEEDS: u64 = 300;
        let mut found = BTreeMap::<Quantity, Vec<Estimate>>::new();
        let mut means_of = BTreeMap::<Quantity, Vec<f64>>::new();
        for seed in 0..SEEDS {
            let mut rng = stream(seed, Purpose::EvaluationViews, 0);
            let mut order = stream(seed, Purpose::Evaluation, 0);
            let row = components(&evaluation, &mut order, &pool::never, |_| {
                Ok::<_, Error>(random_views(&labels, &mut rng))
            })
            .unwrap();
            for (counted, reduced) in PAIRS {
                found.entry(reduced).or_default().push(row.measures[&reduced]);
                means_of.entry(counted).or_default().push(row.measures[&counted].mean);
            }
        }
        // From seed to seed the columns that average over all batches vary less than the counted ones.
        let variance = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64
        };
        for (counted, reduced) in &PAIRS[1..] {
            let of_reduced: Vec<f64> = found[reduced].iter().map(|e| e.mean).collect();
            let ratio = variance(&means_of[counted]) / variance(&of_reduced);
            println!("{counted}: {ratio}");
            assert!(ratio > 1.1 || *counted == Quantity::MasterTerm && ratio > 0.99, "{counted}: {ratio}");
        }
        for (quantity, estimates) in found {
            let truth = estimates.iter().map(|e| e.mean).sum::<f64>() / SEEDS as f64;
            let scores = estimates.iter().map(|e| (e.mean - truth) / e.standard_error.unwrap());
            let deviation = (scores.map(|z| z * z).sum::<f64>() / (SEEDS - 1) as f64).sqrt();
            // 300 normal scores have a deviation of 1 ± 0.041: three of those errors.
            assert!((deviation - 1.0).abs() < 0.125, "{quantity}: {deviation}");
        }
    }

    #[test]
    fn one_pass_overstates_the_error_and_threads_change_nothing() {
        let (means, labels) = (means(), labels(150));
        let views = random_views(&labels, &mut stream(9, Purpose::Evaluation, 0));
        let on = |threads: usize, passes: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let evaluation = evaluation(&labels, &means, 140, passes);
            pool.install(|| {
                components(&evaluation, &mut stream(9, Purpose::Evaluation, 0), &pool::never, |_| {
                    Ok::<_, Error>(views.clone())
                })
                .unwrap()
            })
        };
        let one = on(1, 1);
        assert!(one.measures[&Quantity::MasterTermRaoBlackwell].standard_error.unwrap() > 0.0);
        assert_eq!(on(3, 2), on(1, 2));
        let ratios = variance_ratios(&on(1, 2));
        assert!(ratios.iter().all(|(_, _, ratio)| *ratio == f64::INFINITY), "{ratios:?}");
        assert!(variance_ratios(&one).is_empty(), "one batch has no standard error");
    }
}
