//! Anchors, their positives, and the candidates for their negatives, from head features.
//!
//! Features z \[…, d\] have unit rows u = z/‖z‖; a cosine is s = u·v. Of a batch of n samples with two views each:
//!
//! | | anchors | positive | negatives of an anchor | N |
//! |---|---|---|---|---|
//! | [`Candidates::batch`] | 2n: both views | the other view of its sample | both views of the others | 2n−2 |
//! | [`Candidates::sampled`] | n: views 1 | view 2 of its sample | view 2 of K others, at random | K |
//! | [`Candidates::queue`] | n: views 1 | view 2 by the momentum network | the Q keys of the queue | Q |
//!
//! A loss gives the weights W and B of [`Weights`]; with A anchors, P_i = B_i − Σ_j W_ij, and v the candidates, u_{i⁺}
//! the positive:
//!
//! - anchors: du_i = (1/(A t)) \[ Σ_j W_ij v_j + P_i u_{i⁺} \];
//! - where candidates and positives are features too, these get (1/(A t)) Σ_i W_ij u_i and (1/(A t)) P_i u_i. Keys get
//!   nothing.
//! - dz = (du − u (u·du)) / ‖z‖.

use super::logits::{Logits, Mask, Weights};
use super::{Classes, Loss, PendingCount, Queue, SameClassCount, SelectedRanks, StepDraws, inverse};
use crate::error::{Error, Result};
use crate::ops::normalise;
use crate::ops::select::cpu::{Work, append_words, kept};
#[cfg(feature = "cuda")]
use crate::ops::select::cuda::{Selecting, Wants, select};
use candle_core::{Device, Tensor};
use measure::pool::map;
use measure::rng::philox::View;
use std::sync::OnceLock;

/// Anchors whose negatives one task selects with one buffer.
const ANCHORS: usize = 8;

/// The features of a batch and what may be negatives of its anchors.
#[derive(Debug)]
pub struct Candidates<'a> {
    pub(super) features: &'a Tensor,
    /// Of the n samples.
    pub(super) classes: Classes<'a>,
    pub(super) source: Source<'a>,
}

#[derive(Debug)]
pub(super) enum Source<'a> {
    Batch,
    Sampled {
        num_negatives: usize,
        draws: StepDraws<'a>,
        /// Whether sample j is drawn for anchor i, \[n, n\]; of the draws, where the host asks.
        drawn: OnceLock<Vec<bool>>,
    },
    /// Unit positives \[n, d\].
    Queue {
        positives: &'a Tensor,
        queue: &'a Queue,
    },
}

impl<'a> Candidates<'a> {
    /// Both views of the other samples, of features \[2n, d\] whose n samples have these classes.
    ///
    /// # Errors
    /// Features that are not two views of as many samples as there are classes.
    pub fn batch(features: &'a Tensor, classes: impl Into<Classes<'a>>) -> Result<Self> {
        let classes = classes.into();
        let ((rows, _), n) = (features.dims2()?, classes.host().len());
        if rows != 2 * n {
            let shape = features.dims();
            return Err(Error::argument(format!("features {shape:?} are not two views of {n} samples")));
        }
        Ok(Self { features, classes, source: Source::Batch })
    }

    /// For each view 1 an independent, uniform K-subset of the n−1 views 2 of other samples, of features \[2n, d\]:
    /// those with the smallest of n−1 random words of 32 bits. A tie, of which a step has one with a probability below
    /// n³/2³³, goes to the smaller index.
    ///
    /// With the batch fixed, K alone moves: every sample is seen equally often, and the number of steps and the
    /// learning rate are the same for all K.
    ///
    /// # Errors
    /// As [`batch`](Self::batch); K = 0, or K ≥ n.
    pub fn sampled(
        features: &'a Tensor,
        classes: impl Into<Classes<'a>>,
        num_negatives: usize,
        draws: StepDraws<'a>,
    ) -> Result<Self> {
        let of_batch = Self::batch(features, classes)?;
        let n = of_batch.num_samples();
        if num_negatives == 0 || num_negatives >= n {
            return Err(Error::argument(format!(
                "K = {num_negatives} negatives cannot be drawn from the other {} samples of the batch",
                n.saturating_sub(1)
            )));
        }
        Ok(Self { source: Source::Sampled { num_negatives, draws, drawn: OnceLock::new() }, ..of_batch })
    }

    /// The keys of a queue, of query features \[n, d\], not normalised, and unit positives \[n, d\].
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn queue(
        features: &'a Tensor,
        classes: impl Into<Classes<'a>>,
        positives: &'a Tensor,
        queue: &'a Queue,
    ) -> Result<Self> {
        let classes = classes.into();
        let ((count, width), num_classes) = (features.dims2()?, classes.host().len());
        if positives.dims() != features.dims()
            || num_classes != count
            || width != queue.keys().dim(1)?
            || count == 0
        {
            return Err(Error::argument(format!(
                "queries of shape {:?} do not fit positives {:?}, {num_classes} classes and a queue of shape {:?}",
                features.dims(),
                positives.dims(),
                queue.keys().dims()
            )));
        }
        Ok(Self { features, classes, source: Source::Queue { positives, queue } })
    }

    fn num_samples(&self) -> usize {
        self.classes.host().len()
    }

    /// How many anchors there are.
    pub fn num_anchors(&self) -> usize {
        match self.source {
            Source::Batch => 2 * self.num_samples(),
            Source::Sampled { .. } | Source::Queue { .. } => self.num_samples(),
        }
    }

    /// N: how many negatives an anchor has.
    pub fn num_negatives(&self) -> usize {
        match &self.source {
            Source::Batch => (2 * self.num_samples()).saturating_sub(2),
            Source::Sampled { num_negatives, .. } => *num_negatives,
            Source::Queue { queue, .. } => queue.size(),
        }
    }

    /// The mean of a loss over the anchors at temperature t, with the gradient of the features, over the negatives that
    /// are selected; and how often those are of their anchor's class: counted where there is a selection or a queue.
    ///
    /// It computes where the features are. On a GPU nothing is copied from or to the host, but for classes and a number
    /// of a step that are not there yet ([`Classes`], [`StepDraws`]); the count is not waited for.
    ///
    /// # Errors
    /// Those of the loss; an anchor without negatives, or of which the selection keeps none (on a GPU, where an anchor
    /// has fewer negatives than others for its class, the loss is then NaN instead); a temperature that is not positive.
    ///
    /// # Examples
    /// A loss of one's own: the mean of e^{a_ij} over the negatives, ∂/∂a_ij = e^{a_ij}/N.
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use trainer::loss::{Candidates, Logits, SelectedRanks, Weights};
    /// fn mean_ratio(logits: &Logits) -> trainer::Result<Weights> {
    ///     let by_negative = (logits.negatives(1.0)?.exp()? / logits.num_negatives())?;
    ///     Ok(Weights { losses: by_negative.sum_keepdim(1)?, by_negative, by_positive: None })
    /// }
    /// // Two samples at right angles, each with two equal views; t = 1: a = −1 for both negatives.
    /// let z = Tensor::new(&[[1f32, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], &Device::Cpu)?;
    /// let candidates = Candidates::batch(&z, &[0, 1])?;
    /// let (loss, _) = candidates.mean(mean_ratio, &SelectedRanks::all(), 1.0)?;
    /// assert!((loss.value.to_scalar::<f32>()? - (-1f32).exp()).abs() < 1e-6);
    /// # Ok::<(), trainer::Error>(())
    /// ```
    pub fn mean(
        &self,
        loss: impl Fn(&Logits) -> Result<Weights>,
        selected: &SelectedRanks<'_>,
        temperature: f64,
    ) -> Result<(Loss, PendingCount)> {
        self.mean_over(false, loss, selected, temperature)
    }

    /// [`mean`](Self::mean), where negatives of the anchor's class may be left out before anything is selected; N is
    /// then the most that an anchor can have.
    pub(super) fn mean_over(
        &self,
        other_classes: bool,
        loss: impl Fn(&Logits) -> Result<Weights>,
        selected: &SelectedRanks<'_>,
        temperature: f64,
    ) -> Result<(Loss, PendingCount)> {
        inverse(temperature)?;
        self.require_negatives(other_classes)?;
        let num_negatives = selected.require_kept(self.num_negatives())?;
        let unit = normalise::forward(self.features)?;
        let n = self.num_samples();
        let (anchors, candidates, positive) = match &self.source {
            Source::Batch | Source::Sampled { .. } => {
                let (first, second) = (unit.narrow(0, 0, n)?, unit.narrow(0, n, n)?);
                let positive = (&first * &second)?.sum_keepdim(1)?;
                match self.source {
                    Source::Batch => (unit.clone(), unit.clone(), Tensor::cat(&[&positive, &positive], 0)?),
                    _ => (first, second, positive),
                }
            }
            Source::Queue { positives, queue } => {
                (unit.clone(), queue.keys().clone(), (&unit * *positives)?.sum_keepdim(1)?)
            }
        };
        let cosines = anchors.matmul(&candidates.t()?)?;
        let (mask, count) = self.mask(&cosines, other_classes, selected)?;
        let relative = (cosines.broadcast_sub(&positive)? * (1.0 / temperature))?;
        let found = loss(&Logits { positive, relative, mask, num_negatives, temperature })?;
        let gradient = self.gradient(&unit, &found, temperature)?;
        Ok((Loss { value: found.losses.mean_all()?, gradient }, count))
    }

    /// The gradient of the features.
    fn gradient(&self, unit: &Tensor, weights: &Weights, temperature: f64) -> Result<Tensor> {
        let Weights { by_negative, by_positive, .. } = weights;
        let pull = by_negative.sum_keepdim(1)?.neg()?;
        let pull = match by_positive {
            Some(by_positive) => (pull + by_positive)?,
            None => pull,
        };
        let n = self.num_samples();
        let du = match &self.source {
            Source::Batch => {
                let pull = (&pull + other_views(&pull)?)?;
                let push = (by_negative + by_negative.t()?)?.matmul(unit)?;
                (push + other_views(unit)?.broadcast_mul(&pull)?)?
            }
            Source::Sampled { .. } => {
                let (first, second) = (unit.narrow(0, 0, n)?, unit.narrow(0, n, n)?);
                let of_first = (by_negative.matmul(&second)? + second.broadcast_mul(&pull)?)?;
                let of_second = (by_negative.t()?.matmul(&first)? + first.broadcast_mul(&pull)?)?;
                Tensor::cat(&[of_first, of_second], 0)?
            }
            Source::Queue { positives, queue } => {
                (by_negative.matmul(queue.keys())? + positives.broadcast_mul(&pull)?)?
            }
        };
        let weight = (1.0 / temperature) / self.num_anchors() as f64;
        Ok(normalise::backward(self.features, &(du * weight)?)?)
    }

    fn class_of_anchor(&self, anchor: usize) -> u32 {
        self.classes.host()[anchor % self.num_samples()]
    }

    fn class_of_candidate(&self, candidate: usize) -> u32 {
        match &self.source {
            Source::Batch => self.class_of_anchor(candidate),
            Source::Sampled { .. } => self.classes.host()[candidate],
            Source::Queue { queue, .. } => queue.classes()[candidate],
        }
    }

    pub(super) fn is_negative(&self, anchor: usize, candidate: usize, other_classes: bool) -> bool {
        let n = self.num_samples();
        let is_candidate = match &self.source {
            Source::Batch => anchor % n != candidate % n,
            Source::Sampled { num_negatives, draws, drawn } => {
                drawn.get_or_init(|| draw(n, *num_negatives, draws))[anchor * n + candidate]
            }
            Source::Queue { .. } => true,
        };
        is_candidate && !(other_classes && self.class_of_anchor(anchor) == self.class_of_candidate(candidate))
    }

    /// Whether every anchor has a negative.
    fn require_negatives(&self, other_classes: bool) -> Result<()> {
        let (n, classes) = (self.num_samples(), self.classes.host());
        match &self.source {
            Source::Batch if n < 2 => {
                Err(Error::argument(format!("a batch of {n} samples has no negatives")))
            }
            Source::Batch if other_classes && classes.iter().all(|class| *class == classes[0]) => {
                Err(Error::argument(format!(
                    "a batch of {n} samples, all of class {}, has no negatives of another: raise batch_size",
                    classes[0]
                )))
            }
            Source::Sampled { num_negatives, .. } if other_classes => {
                let alone = (0..n).find(|&i| !(0..n).any(|j| self.is_negative(i, j, true)));
                alone.map_or(Ok(()), |i| {
                    Err(Error::argument(format!(
                        "an anchor of class {} drew K = {num_negatives} negatives, all of its class: raise negatives",
                        classes[i]
                    )))
                })
            }
            Source::Queue { .. } if other_classes => Err(Error::argument(
                "the first keys of a queue are random directions, of no class: none can be left out as of the anchor's",
            )),
            _ => Ok(()),
        }
    }

    /// The negatives that count, of cosines \[A, M\], where not all candidates are such; and how often they are of their
    /// anchor's class, where there is a selection or a queue.
    pub(crate) fn mask(
        &self,
        cosines: &Tensor,
        other_classes: bool,
        selected: &SelectedRanks<'_>,
    ) -> Result<(Option<Mask>, PendingCount)> {
        #[cfg(feature = "cuda")]
        if cosines.device().is_cuda() {
            return self.mask_on_gpu(cosines, other_classes, selected);
        }
        match (selected.is_all(), &self.source) {
            (false, _) => {
                let (mask, count) = self.select(cosines, other_classes, selected)?;
                Ok((Some(mask), count.into()))
            }
            (true, Source::Queue { queue, .. }) => {
                Ok((None, SameClassCount::of_all(self.classes.host(), queue.classes()).into()))
            }
            (true, _) => Ok((Some(self.all(other_classes)?), PendingCount::default())),
        }
    }

    /// [`mask`](Self::mask) by the kernel.
    #[cfg(feature = "cuda")]
    fn mask_on_gpu(
        &self,
        cosines: &Tensor,
        other_classes: bool,
        selected: &SelectedRanks<'_>,
    ) -> Result<(Option<Mask>, PendingCount)> {
        let device = cosines.device();
        let from_queue = matches!(self.source, Source::Queue { .. });
        let counts = from_queue || !selected.is_all();
        let classes = match counts || other_classes {
            true => {
                let of_anchors = self.classes.on(device)?;
                let of_candidates = match &self.source {
                    Source::Queue { queue, .. } => queue.classes_on(device)?,
                    Source::Batch | Source::Sampled { .. } => of_anchors.clone(),
                };
                Some([of_anchors, of_candidates])
            }
            false => None,
        };
        let sampled = match &self.source {
            Source::Sampled { num_negatives, draws, .. } => Some((*num_negatives, draws)),
            Source::Batch | Source::Queue { .. } => None,
        };
        let at_random = selected.at_random();
        if let (Some((_, of_candidates)), Some(of_selection)) = (sampled, at_random)
            && of_candidates.counter != of_selection.counter
        {
            return Err(Error::argument(
                "a selection at random among drawn negatives has the numbers of one step",
            ));
        }
        let step = match sampled.map(|(_, draws)| draws).or(at_random) {
            Some(draws) => Some((draws.counter, draws.step_on(device)?)),
            None => None,
        };
        let found = select(&Selecting {
            cosines,
            samples: self.num_samples(),
            from_queue,
            num_sampled: sampled.map(|(count, _)| count),
            other_classes,
            step,
            parts: &selected.parts(),
            by_words: at_random.is_some(),
            classes,
            wants: Wants { masks: !(from_queue && selected.is_all()), counts },
        })?;
        let mask = found.masks.map(|[is_negative, added]| Mask { is_negative, added });
        Ok((mask, found.count.map_or_else(PendingCount::default, PendingCount::on_device)))
    }

    /// All negatives of each anchor of a batch.
    fn all(&self, other_classes: bool) -> Result<Mask> {
        let n = self.num_samples();
        let pairs = (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
        let pairs = pairs.map(|(i, j)| f32::from(u8::from(self.is_negative(i, j, other_classes))));
        let is_negative = Tensor::from_iter(pairs, &Device::Cpu)?.reshape((n, n))?;
        let added = is_negative.log()?;
        Ok(match self.source {
            // The same for both views of the anchor, and for both of the negative.
            Source::Batch => Mask { is_negative: is_negative.repeat((2, 2))?, added: added.repeat((2, 2))? },
            _ => Mask { is_negative, added },
        })
    }

    /// The negatives of each anchor that are selected by their cosines.
    fn select(
        &self,
        cosines: &Tensor,
        other_classes: bool,
        selected: &SelectedRanks<'_>,
    ) -> Result<(Mask, SameClassCount)> {
        let (_, columns) = cosines.dims2()?;
        let mut values = cosines.flatten_all()?.to_vec1::<f32>()?;
        let found = map(
            values.chunks_mut(ANCHORS * columns).enumerate(),
            |(index, rows)| -> Result<SameClassCount> {
                let (mut work, mut count) = (Work::default(), SameClassCount::default());
                for (row, values) in rows.chunks_exact_mut(columns).enumerate() {
                    let anchor = index * ANCHORS + row;
                    let places: Vec<usize> =
                        (0..columns).filter(|&j| self.is_negative(anchor, j, other_classes)).collect();
                    let mut negatives: Vec<f32> = places.iter().map(|&j| values[j]).collect();
                    let classes: Vec<u32> = places.iter().map(|&j| self.class_of_candidate(j)).collect();
                    selected.require_kept(negatives.len())?;
                    selected.apply(anchor, &mut negatives, |k| places[k], &mut work);
                    count += SameClassCount::of(self.class_of_anchor(anchor), &negatives, &classes);
                    values.fill(0.0);
                    for (j, value) in places.into_iter().zip(negatives) {
                        values[j] = f32::from(u8::from(value != f32::NEG_INFINITY));
                    }
                }
                Ok(count)
            },
        );
        let mut count = SameClassCount::default();
        for of_rows in found {
            count += of_rows?;
        }
        let is_negative = Tensor::from_vec(values, cosines.dims(), &Device::Cpu)?;
        Ok((Mask { added: is_negative.log()?, is_negative }, count))
    }
}

/// Whether sample j is drawn for anchor i, \[n, n\]: the K of the others with the smallest words.
///
/// On one thread: it may be asked for within a task of the pool, which must not meet itself while it waits for others.
fn draw(n: usize, num_negatives: usize, draws: &StepDraws<'_>) -> Vec<bool> {
    let (mut drawn, mut work) = (vec![false; n * n], Work::default());
    for (anchor, row) in drawn.chunks_exact_mut(n).enumerate() {
        work.keys.clear();
        append_words(&draws.counter, anchor, View::FIRST, n, &mut work.keys);
        work.keys.remove(anchor);
        let kept = kept(&[[0, num_negatives]], &mut work);
        let others = row.iter_mut().enumerate().filter(|(j, _)| *j != anchor);
        for (((_, drawn), key), index) in others.zip(&work.keys).zip(0u64..) {
            *drawn = kept.contains(*key, index);
        }
    }
    drawn
}

/// Row i⁺ in place of row i.
fn other_views(rows: &Tensor) -> Result<Tensor> {
    let n = rows.dim(0)? / 2;
    Ok(Tensor::cat(&[rows.narrow(0, n, n)?, rows.narrow(0, 0, n)?], 0)?)
}
