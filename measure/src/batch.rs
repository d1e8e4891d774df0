//! One batch of n samples: the batch means of every column.
//!
//! View 1 of sample i is the anchor, view 2 of the same sample its positive, view 2 of the other n−1 samples its K =
//! n−1 negatives. Anchors are taken 64 at a time: their similarities to the whole batch are 2 MiB at n = 1024, where
//! all of them would be 24 MiB. What one anchor gives does not depend on the others' chunk, and anchors are averaged in
//! their order, so that the number of threads changes no bit.

use crate::error::{Error, Result};
use crate::evaluation::{Evaluation, Views};
use crate::gemm::Threads;
use crate::matrix::{Matrix, Rows, dot, log_sum_exp, times_transposed};
use crate::pool;
use crate::rows::FeatureRows;
use theory::losses::Quantity;

/// Anchors of a chunk.
const ANCHORS: usize = 64;

/// Where an exponential, relative to the largest of its row, would lose digits or vanish.
const TOO_FAR: f64 = 600.0;

/// What one anchor contributes to the means of its batch.
#[derive(Clone)]
struct Anchor {
    info_nce: f64,
    nt_xent: f64,
    /// 1{Col > 0}.
    collision: f64,
    /// ln(1 + Col).
    log1p_collisions: f64,
    full_sup_loss: f64,
    /// l_sup over the classes of the batch: of `joint_sup_loss` where the batch covers, else of `joint_sub_loss`.
    batch_sup_loss: f64,
    curl_joint: f64,
    gap: f64,
    master_term: f64,
    info_nce_mean_positive: f64,
    info_nce_mean_negatives: f64,
    collision_upper: f64,
    logit_variance: f64,
    anchor_error: f64,
    mean_margin: f64,
    supervised_odds: f64,
    within_class_variance: f64,
    within_class_deviation: f64,
    pair_loss: f64,
    nscl_gap: f64,
    curl_joint_sup: f64,
}

/// What one batch gives.
pub(super) struct BatchMeans {
    /// Mean over the anchors. Not finite: `nscl_gap` of a batch where an anchor meets its own class alone, and
    /// `supervised_odds` at a temperature where an exponential overflows.
    pub columns: Vec<(Quantity, f64)>,
    /// Class and l_sup of each anchor.
    pub sup_losses: Vec<(usize, f64)>,
    /// What each anchor gives to the columns of [`OWN`].
    pub own: Vec<[f64; OWN.len()]>,
}

/// The columns that are means of a number of each anchor alone, whatever its batch.
pub(super) const OWN: [Quantity; 9] = [
    Quantity::FullSupLoss,
    Quantity::Gap,
    Quantity::LogitVariance,
    Quantity::AnchorError,
    Quantity::MeanMargin,
    Quantity::SupervisedOdds,
    Quantity::WithinClassVariance,
    Quantity::WithinClassDeviation,
    Quantity::PairLoss,
];

impl Anchor {
    /// What it gives to the columns of [`OWN`].
    fn own(&self) -> [f64; OWN.len()] {
        [
            self.full_sup_loss,
            self.gap,
            self.logit_variance,
            self.anchor_error,
            self.mean_margin,
            self.supervised_odds,
            self.within_class_variance,
            self.within_class_deviation,
            self.pair_loss,
        ]
    }
}

/// Columns that are left out, and do not end the measurement, where they are not finite.
const MAY_OVERFLOW: [Quantity; 2] = [Quantity::NsclGap, Quantity::SupervisedOdds];

/// The means of a batch of samples, given by their indices; the first one is the "first anchor". `class_counts`: all
/// samples of each class.
///
/// # Errors
/// Features that are not finite; a loss that overflows.
pub(super) fn means<F: FeatureRows>(
    evaluation: &Evaluation<'_, F>,
    class_counts: &[u64],
    views: &Views<F>,
    samples: &[usize],
) -> Result<BatchMeans> {
    let batch = Batch::new(evaluation, class_counts, views, samples)?;
    let starts = (0..samples.len()).step_by(ANCHORS);
    let chunks = pool::map(starts, |start| batch.anchors(start));
    let anchors = chunks.into_iter().collect::<Result<Vec<_>>>()?.concat();
    let mean = |of: fn(&Anchor) -> f64| anchors.iter().map(of).sum::<f64>() / anchors.len() as f64;
    let cover = f64::from(batch.occupancy.iter().all(|&m| m > 0));
    let joint = mean(|a| a.batch_sup_loss);
    let columns = vec![
        (Quantity::Coverage, cover),
        (Quantity::FirstAnchorCollision, anchors[0].collision),
        (Quantity::InfoNce, mean(|a| a.info_nce)),
        (Quantity::NtXent, mean(|a| a.nt_xent)),
        (Quantity::Collision, mean(|a| a.collision)),
        (Quantity::Log1pCollisions, mean(|a| a.log1p_collisions)),
        (Quantity::FullSupLoss, mean(|a| a.full_sup_loss)),
        (Quantity::JointSupLoss, cover * joint),
        (Quantity::JointSubLoss, (1.0 - cover) * joint),
        (Quantity::CurlJoint, mean(|a| a.curl_joint)),
        (Quantity::Gap, mean(|a| a.gap)),
        (Quantity::MasterTerm, mean(|a| a.master_term)),
        (Quantity::InfoNceMeanPositive, mean(|a| a.info_nce_mean_positive)),
        (Quantity::InfoNceMeanNegatives, mean(|a| a.info_nce_mean_negatives)),
        (Quantity::CollisionUpper, mean(|a| a.collision_upper)),
        (Quantity::LogitVariance, mean(|a| a.logit_variance)),
        (Quantity::AnchorError, mean(|a| a.anchor_error)),
        (Quantity::MeanMargin, mean(|a| a.mean_margin)),
        (Quantity::SupervisedOdds, mean(|a| a.supervised_odds)),
        (Quantity::WithinClassVariance, mean(|a| a.within_class_variance)),
        (Quantity::WithinClassDeviation, mean(|a| a.within_class_deviation)),
        (Quantity::PairLoss, mean(|a| a.pair_loss)),
        (Quantity::NsclGap, mean(|a| a.nscl_gap)),
        (Quantity::CurlJointSup, mean(|a| a.curl_joint_sup)),
    ];
    let infinite =
        |(quantity, value): &&(Quantity, f64)| !value.is_finite() && !MAY_OVERFLOW.contains(quantity);
    if let Some((quantity, value)) = columns.iter().find(infinite) {
        let t = evaluation.temperature;
        return Err(Error::NonFinite(format!("{quantity} is {value} at temperature {t:?}")));
    }
    let sup_losses = batch.classes.iter().zip(&anchors).map(|(&class, anchor)| (class, anchor.full_sup_loss));
    let own = anchors.iter().map(Anchor::own).collect();
    Ok(BatchMeans { columns, sup_losses: sup_losses.collect(), own })
}

struct Batch<'a> {
    class_means: &'a Matrix,
    temperature: f64,
    class_counts: &'a [u64],
    classes: Vec<usize>,
    /// Samples of each class in the batch.
    occupancy: Vec<usize>,
    first: Matrix,
    second: Matrix,
    /// f̄ of each sample, where it is not the other view.
    means: Option<Matrix>,
}

impl<'a> Batch<'a> {
    fn new<F: FeatureRows>(
        evaluation: &'a Evaluation<'a, F>,
        class_counts: &'a [u64],
        views: &Views<F>,
        samples: &[usize],
    ) -> Result<Self> {
        let (first, second) = (views.first.pick(samples)?, views.second.pick(samples)?);
        let means = evaluation.sample_means.map(|means| means.pick(samples)).transpose()?;
        check_finite(&first)?;
        check_finite(&second)?;
        let classes: Vec<usize> = samples.iter().map(|&i| evaluation.labels[i]).collect();
        let mut occupancy = vec![0; evaluation.class_means.rows];
        classes.iter().for_each(|&c| occupancy[c] += 1);
        let &Evaluation { class_means, temperature, .. } = evaluation;
        Ok(Self { class_means, temperature, class_counts, classes, occupancy, first, second, means })
    }

    fn size(&self) -> usize {
        self.classes.len()
    }

    /// The contributions of the anchors of the chunk that begins at `start`.
    fn anchors(&self, start: usize) -> Result<Vec<Anchor>> {
        let rows = start..(start + ANCHORS).min(self.size());
        let (first, second) = (self.first.rows_in(rows.clone()), self.second.rows_in(rows.clone()));
        let logits = |a: Rows<f64>, b: &Matrix| -> Result<Matrix> {
            let mut product = Matrix::zeros(rows.len(), b.rows);
            times_transposed(a, b.all(), &mut product.data, Threads::One)?;
            product.data.iter_mut().for_each(|v| *v /= self.temperature);
            Ok(product)
        };
        let class_logits = logits(first, self.class_means)?;
        let cross = logits(first, &self.second)?;
        let crossed = logits(second, &self.first)?;
        let within = [logits(first, &self.first)?, logits(second, &self.second)?];
        let mut masses = Masses::default();
        let of_anchor = |(offset, i): (usize, usize)| {
            let class = self.classes[i];
            let classes = Classes::new(class_logits.row(offset), class);
            let (full, batch, master) = self.class_losses(&classes);
            let collisions = self.occupancy[class] - 1;
            let alone = f64::from(collisions == 0);
            let cover = f64::from(self.occupancy.iter().all(|&m| m > 0));
            let contrast = self.contrast(&mut masses, i, cross.row(offset));
            // The candidates of the same view join those of the other.
            let two_views = |across: &[f64], within: &[f64], across_sum: Option<f64>| {
                let others = within.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, v)| *v);
                let across_sum = across_sum.unwrap_or_else(|| log_sum_exp(across.iter().copied()));
                (log_add(across_sum, log_sum_exp(others)) - across[i]).max(0.0)
            };
            let nt_xent = 0.5
                * (two_views(cross.row(offset), within[0].row(offset), Some(contrast.log_sum))
                    + two_views(crossed.row(offset), within[1].row(offset), None));
            let info_nce = (contrast.log_sum - cross.row(offset)[i]).max(0.0);
            let ln_collisions = (collisions as f64).ln_1p();
            let square = self.squared_deviation(i);
            let own_logit = self.own_logit(i);
            Anchor {
                info_nce,
                nt_xent,
                collision: 1.0 - alone,
                log1p_collisions: ln_collisions,
                full_sup_loss: full,
                batch_sup_loss: batch,
                curl_joint: alone * batch,
                gap: (classes.own - own_logit).min(0.0),
                master_term: master,
                info_nce_mean_positive: log_add(0.0, contrast.ln_negatives - own_logit),
                info_nce_mean_negatives: self.loss_of_means(&classes, self.classes[i], own_logit),
                collision_upper: ln_collisions + contrast.spread,
                logit_variance: classes.variance(),
                anchor_error: f64::from(classes.is_wrong(class)),
                mean_margin: classes.mean_margin(class, self.class_counts) * self.temperature,
                supervised_odds: classes.odds(class),
                within_class_variance: square,
                within_class_deviation: square.sqrt(),
                pair_loss: classes.pair_loss(class),
                nscl_gap: contrast.nscl_gap,
                curl_joint_sup: cover * alone * batch,
            }
        };
        Ok(rows.clone().enumerate().map(of_anchor).collect())
    }

    /// z_i·f̄(x_i)/t.
    fn own_logit(&self, i: usize) -> f64 {
        let mean = self.means.as_ref().unwrap_or(&self.second).row(i);
        dot(self.first.row(i), mean) / self.temperature
    }

    /// ‖z_i − μ_{c_i}‖².
    fn squared_deviation(&self, i: usize) -> f64 {
        let pairs = self.first.row(i).iter().zip(self.class_means.row(self.classes[i]));
        pairs.map(|(z, mu)| (z - mu).powi(2)).sum()
    }

    /// l_sup over all classes, over those of the batch, and ln(1 + Col + A): the other samples at their class means.
    fn class_losses(&self, classes: &Classes) -> (f64, f64, f64) {
        let of = |weight: &dyn Fn(usize) -> f64| classes.log_ratio(weight);
        (
            of(&|_| 1.0),
            of(&|c| if self.occupancy[c] > 0 { 1.0 } else { 0.0 }),
            // Every class with its multiplicity; the anchor itself is the "1 +" of its class.
            of(&|c| self.occupancy[c] as f64),
        )
    }

    /// ln(1 + Σ_k e^{z·(m_k − f̄(x))/t}), m_k the mean of what negative k can show: μ_c of its class c, and of the
    /// anchor's class, whose m images the anchor's is one of, (m μ_c − f̄(x))/(m−1). `own_logit` is z·f̄(x)/t.
    fn loss_of_means(&self, classes: &Classes, class: usize, own_logit: f64) -> f64 {
        let others = classes.log_mass(|c| if c == class { 0.0 } else { self.occupancy[c] as f64 });
        let negatives = match (self.occupancy[class] - 1, self.class_counts[class] as f64) {
            (0, _) => others,
            (collisions, m) => {
                let same = (m * classes.own - own_logit) / (m - 1.0);
                log_add(others, (collisions as f64).ln() + same)
            }
        };
        log_add(0.0, negatives - own_logit)
    }

    /// What the similarities of an anchor to view 2 of the batch say.
    fn contrast(&self, masses: &mut Masses, i: usize, row: &[f64]) -> Contrast {
        let class = self.classes[i];
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        masses.0.clear();
        masses.0.extend(row.iter().map(|v| (v - largest).exp()));
        let (mut same, mut other, mut spread) = (0.0, 0.0, 0.0f64);
        for (k, (&c, mass)) in self.classes.iter().zip(&masses.0).enumerate() {
            if c != class {
                other += mass;
            } else if k != i {
                same += mass;
                spread = spread.max((row[k] - row[i]).abs());
            }
        }
        let log_sum = largest + masses.0.iter().sum::<f64>().ln();
        let collisions = self.occupancy[class] - 1;
        let nscl_gap = if collisions == 0 {
            0.0
        } else if collisions + 1 == self.size() {
            f64::INFINITY
        } else {
            let ln_ratio = if same.min(other) > (-TOO_FAR).exp() {
                (same / other).ln()
            } else {
                let of = |wanted: bool| {
                    let kept = (0..self.size()).filter(|&k| k != i && (self.classes[k] == class) == wanted);
                    log_sum_exp(kept.map(|k| row[k]))
                };
                of(true) - of(false)
            };
            if ln_ratio > 30.0 { ln_ratio } else { ln_ratio.exp().ln_1p() }
        };
        let ln_negatives = if same + other > (-TOO_FAR).exp() {
            largest + (same + other).ln()
        } else {
            log_sum_exp((0..self.size()).filter(|&k| k != i).map(|k| row[k]))
        };
        Contrast { log_sum, ln_negatives, spread, nscl_gap }
    }
}

/// Work space of [`Batch::contrast`].
#[derive(Default)]
struct Masses(Vec<f64>);

struct Contrast {
    /// ln Σ_k e^{s_k/t} over view 2 of the batch.
    log_sum: f64,
    /// The same without the positive; −∞ where there is no negative.
    ln_negatives: f64,
    /// max over same-class negatives of |s_k − s_+|/t.
    spread: f64,
    /// ln(1+R), R the same-class over the other-class exponential mass of the negatives; ∞ where no negative is of
    /// another class.
    nscl_gap: f64,
}

/// ln(e^x + e^y).
fn log_add(x: f64, y: f64) -> f64 {
    let (low, high) = if x < y { (x, y) } else { (y, x) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// z·μ_c/t of one anchor, and their exponentials.
pub(super) struct Classes<'a> {
    logits: &'a [f64],
    /// z·μ_c/t of the anchor's class.
    pub own: f64,
    largest: f64,
    masses: Vec<f64>,
}

impl<'a> Classes<'a> {
    pub(super) fn new(logits: &'a [f64], class: usize) -> Self {
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let masses = logits.iter().map(|logit| (logit - largest).exp()).collect();
        Self { logits, own: logits[class], largest, masses }
    }

    /// ln Σ_j weight_j e^{z·(μ_j − μ_c)/t}; the anchor's class has weight at least 1.
    pub(super) fn log_ratio(&self, weight: impl Fn(usize) -> f64) -> f64 {
        if self.largest - self.own < TOO_FAR {
            let sum: f64 = self.masses.iter().enumerate().map(|(c, mass)| weight(c) * mass).sum();
            return ((self.largest - self.own) + sum.ln()).max(0.0);
        }
        let terms = self.logits.iter().enumerate().map(|(c, logit)| (weight(c), logit - self.own));
        log_sum_exp(terms.filter(|(w, _)| *w > 0.0).map(|(w, x)| x + w.ln())).max(0.0)
    }

    /// Whether another class has at least the logit of the anchor's.
    fn is_wrong(&self, class: usize) -> bool {
        self.logits.iter().enumerate().any(|(c, logit)| c != class && *logit >= self.own)
    }

    /// Σ_j π_j z·(μ_c − μ_j)/t / (1 − π_c): the mean over the other classes; 0 where there is none.
    fn mean_margin(&self, class: usize, class_counts: &[u64]) -> f64 {
        let others = self.logits.iter().zip(class_counts).enumerate().filter(|(c, _)| *c != class);
        let others = others.map(|(_, (logit, &count))| (logit, count as f64));
        let (sum, weight) =
            others.fold((0.0, 0.0), |(sum, weight), (l, m)| (sum + m * (self.own - l), weight + m));
        if weight > 0.0 { sum / weight } else { 0.0 }
    }

    /// Σ_{j≠c} e^{z·(μ_j − μ_c)/t}; ∞ where that overflows.
    fn odds(&self, class: usize) -> f64 {
        let others = self.masses.iter().enumerate().filter(|(c, _)| *c != class);
        let sum: f64 = others.map(|(_, mass)| mass).sum();
        if sum == 0.0 { 0.0 } else { (self.largest - self.own).exp() * sum }
    }

    /// ln Σ_j weight_j e^{z·μ_j/t}; −∞ where every weight is 0.
    fn log_mass(&self, weight: impl Fn(usize) -> f64) -> f64 {
        let sum: f64 = self.masses.iter().enumerate().map(|(c, mass)| weight(c) * mass).sum();
        if sum > (-TOO_FAR).exp() {
            return self.largest + sum.ln();
        }
        let terms = self.logits.iter().enumerate().map(|(c, logit)| (weight(c), logit));
        log_sum_exp(terms.filter(|(w, _)| *w > 0.0).map(|(w, x)| x + w.ln()))
    }

    /// Var_j(e^{z·μ_j/t}) / (mean_j e^{z·μ_j/t})² over the classes j.
    fn variance(&self) -> f64 {
        let count = self.masses.len() as f64;
        let mean = self.masses.iter().sum::<f64>() / count;
        self.masses.iter().map(|m| (m / mean - 1.0).powi(2)).sum::<f64>() / count
    }

    /// Mean over the classes j ≠ c of ln(1 + e^{z·(μ_j − μ_c)/t}); 0 where there is no other class.
    fn pair_loss(&self, class: usize) -> f64 {
        let others = self.logits.iter().enumerate().filter(|(j, _)| *j != class);
        let sum: f64 = others.map(|(_, logit)| log_add(0.0, logit - self.own)).sum();
        sum / (self.logits.len() - 1).max(1) as f64
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
