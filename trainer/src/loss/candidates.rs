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
use super::{Loss, Queue, SameClassCount, SelectedRanks, inverse};
use crate::error::{Error, Result};
use crate::ops::normalise;
use candle_core::{Device, Tensor};
use measure::pool::map;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Anchors whose negatives one task selects with one buffer.
const ANCHORS: usize = 8;

/// The features of a batch and what may be negatives of its anchors.
#[derive(Debug)]
pub struct Candidates<'a> {
    pub(super) features: &'a Tensor,
    /// Of the n samples.
    pub(super) classes: &'a [u32],
    pub(super) source: Source<'a>,
}

#[derive(Debug)]
pub(super) enum Source<'a> {
    Batch,
    /// Whether sample j was drawn for anchor i, \[n, n\].
    Sampled {
        drawn: Vec<bool>,
        num_negatives: usize,
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
    pub fn batch(features: &'a Tensor, classes: &'a [u32]) -> Result<Self> {
        let (rows, _) = features.dims2()?;
        if rows != 2 * classes.len() {
            let (shape, n) = (features.dims(), classes.len());
            return Err(Error::argument(format!("features {shape:?} are not two views of {n} samples")));
        }
        Ok(Self { features, classes, source: Source::Batch })
    }

    /// For each view 1 an independent, uniform K-subset of the n−1 views 2 of other samples, of features \[2n, d\].
    ///
    /// With the batch fixed, K alone moves: every sample is seen equally often, and the number of steps and the
    /// learning rate are the same for all K.
    ///
    /// # Errors
    /// As [`batch`](Self::batch); K = 0, or K ≥ n.
    pub fn sampled(
        features: &'a Tensor,
        classes: &'a [u32],
        num_negatives: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self> {
        let n = classes.len();
        if num_negatives == 0 || num_negatives >= n {
            return Err(Error::argument(format!(
                "K = {num_negatives} negatives cannot be drawn from the other {} samples of the batch",
                n.saturating_sub(1)
            )));
        }
        let mut drawn = vec![false; n * n];
        let mut others: Vec<usize> = (1..n).collect();
        for (anchor, row) in drawn.chunks_mut(n).enumerate() {
            // The first K places of a Fisher–Yates shuffle; offsets 1..n from the anchor are the other samples.
            for i in 0..num_negatives {
                others.swap(i, rng.random_range(i..n - 1));
                row[(anchor + others[i]) % n] = true;
            }
        }
        let source = Source::Sampled { drawn, num_negatives };
        Ok(Self { source, ..Self::batch(features, classes)? })
    }

    /// The keys of a queue, of query features \[n, d\], not normalised, and unit positives \[n, d\].
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn queue(
        features: &'a Tensor,
        classes: &'a [u32],
        positives: &'a Tensor,
        queue: &'a Queue,
    ) -> Result<Self> {
        let (count, width) = features.dims2()?;
        if positives.dims() != features.dims()
            || classes.len() != count
            || width != queue.keys().dim(1)?
            || count == 0
        {
            return Err(Error::argument(format!(
                "queries of shape {:?} do not fit positives {:?}, {} classes and a queue of shape {:?}",
                features.dims(),
                positives.dims(),
                classes.len(),
                queue.keys().dims()
            )));
        }
        Ok(Self { features, classes, source: Source::Queue { positives, queue } })
    }

    /// How many anchors there are.
    pub fn num_anchors(&self) -> usize {
        match self.source {
            Source::Batch => 2 * self.classes.len(),
            Source::Sampled { .. } | Source::Queue { .. } => self.classes.len(),
        }
    }

    /// N: how many negatives an anchor has.
    pub fn num_negatives(&self) -> usize {
        match &self.source {
            Source::Batch => (2 * self.classes.len()).saturating_sub(2),
            Source::Sampled { num_negatives, .. } => *num_negatives,
            Source::Queue { queue, .. } => queue.size(),
        }
    }

    /// The mean of a loss over the anchors at temperature t, with the gradient of the features, over the negatives that
    /// are selected; and how often those are of their anchor's class: counted where there is a selection or a queue.
    ///
    /// It computes where the features are. A selection copies the cosines to the host and as many numbers back (64 MiB
    /// each way for 256 anchors and 65,536 keys), and a device waits meanwhile.
    ///
    /// # Errors
    /// Those of the loss; an anchor without negatives, or of which the selection keeps none; a temperature that is not
    /// positive.
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
        selected: &SelectedRanks,
        temperature: f64,
    ) -> Result<(Loss, SameClassCount)> {
        self.mean_over(false, loss, selected, temperature)
    }

    /// [`mean`](Self::mean), where negatives of the anchor's class may be left out before anything is selected; N is
    /// then the most that an anchor can have.
    pub(super) fn mean_over(
        &self,
        other_classes: bool,
        loss: impl Fn(&Logits) -> Result<Weights>,
        selected: &SelectedRanks,
        temperature: f64,
    ) -> Result<(Loss, SameClassCount)> {
        inverse(temperature)?;
        self.require_negatives(other_classes)?;
        let num_negatives = selected.require_kept(self.num_negatives())?;
        let unit = normalise::forward(self.features)?;
        let n = self.classes.len();
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
        let (mask, count) = match selected.is_all() {
            true => (self.all(other_classes)?, self.count_all()),
            false => {
                self.select(&cosines, other_classes, selected).map(|(mask, count)| (Some(mask), count))?
            }
        };
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
        let n = self.classes.len();
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
        self.classes[anchor % self.classes.len()]
    }

    fn class_of_candidate(&self, candidate: usize) -> u32 {
        match &self.source {
            Source::Batch => self.class_of_anchor(candidate),
            Source::Sampled { .. } => self.classes[candidate],
            Source::Queue { queue, .. } => queue.classes()[candidate],
        }
    }

    fn is_negative(&self, anchor: usize, candidate: usize, other_classes: bool) -> bool {
        let n = self.classes.len();
        let is_candidate = match &self.source {
            Source::Batch => anchor % n != candidate % n,
            Source::Sampled { drawn, .. } => drawn[anchor * n + candidate],
            Source::Queue { .. } => true,
        };
        is_candidate && !(other_classes && self.class_of_anchor(anchor) == self.class_of_candidate(candidate))
    }

    /// Whether every anchor has a negative.
    fn require_negatives(&self, other_classes: bool) -> Result<()> {
        let n = self.classes.len();
        match &self.source {
            Source::Batch if n < 2 => {
                Err(Error::argument(format!("a batch of {n} samples has no negatives")))
            }
            Source::Batch if other_classes && self.classes.iter().all(|class| *class == self.classes[0]) => {
                Err(Error::argument(format!(
                    "a batch of {n} samples, all of class {}, has no negatives of another: raise batch_size",
                    self.classes[0]
                )))
            }
            Source::Sampled { num_negatives, .. } if other_classes => {
                let alone = (0..n).find(|&i| !(0..n).any(|j| self.is_negative(i, j, true)));
                alone.map_or(Ok(()), |i| {
                    Err(Error::argument(format!(
                        "an anchor of class {} drew K = {num_negatives} negatives, all of its class: raise negatives",
                        self.classes[i]
                    )))
                })
            }
            Source::Queue { .. } if other_classes => Err(Error::argument(
                "the first keys of a queue are random directions, of no class: none can be left out as of the anchor's",
            )),
            _ => Ok(()),
        }
    }

    /// All negatives of each anchor.
    fn all(&self, other_classes: bool) -> Result<Option<Mask>> {
        let n = self.classes.len();
        if let Source::Queue { .. } = self.source {
            return Ok(None);
        }
        let pairs = (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
        let pairs = pairs.map(|(i, j)| f32::from(u8::from(self.is_negative(i, j, other_classes))));
        let is_negative = Tensor::from_iter(pairs, self.features.device())?.reshape((n, n))?;
        let added = is_negative.log()?;
        Ok(Some(match self.source {
            // The same for both views of the anchor, and for both of the negative.
            Source::Batch => Mask { is_negative: is_negative.repeat((2, 2))?, added: added.repeat((2, 2))? },
            _ => Mask { is_negative, added },
        }))
    }

    /// The negatives of each anchor that are selected by their cosines, by way of the host.
    fn select(
        &self,
        cosines: &Tensor,
        other_classes: bool,
        selected: &SelectedRanks,
    ) -> Result<(Mask, SameClassCount)> {
        let (_, columns) = cosines.dims2()?;
        let mut values = cosines.flatten_all()?.to_vec1::<f32>()?;
        let found = map(
            values.chunks_mut(ANCHORS * columns).enumerate(),
            |(index, rows)| -> Result<SameClassCount> {
                let (mut work, mut count) = (Vec::new(), SameClassCount::default());
                for (row, values) in rows.chunks_exact_mut(columns).enumerate() {
                    let anchor = index * ANCHORS + row;
                    let places: Vec<usize> =
                        (0..columns).filter(|&j| self.is_negative(anchor, j, other_classes)).collect();
                    let mut negatives: Vec<f32> = places.iter().map(|&j| values[j]).collect();
                    let classes: Vec<u32> = places.iter().map(|&j| self.class_of_candidate(j)).collect();
                    selected.require_kept(negatives.len())?;
                    selected.apply(anchor, &mut negatives, &mut work);
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
        let is_negative = is_negative.to_device(self.features.device())?;
        Ok((Mask { added: is_negative.log()?, is_negative }, count))
    }

    /// Of all keys of a queue; nothing is counted in a batch.
    fn count_all(&self) -> SameClassCount {
        match &self.source {
            Source::Batch | Source::Sampled { .. } => SameClassCount::default(),
            Source::Queue { queue, .. } => SameClassCount::of_all(self.classes, queue.classes()),
        }
    }
}

/// Row i⁺ in place of row i.
fn other_views(rows: &Tensor) -> Result<Tensor> {
    let n = rows.dim(0)? / 2;
    Ok(Tensor::cat(&[rows.narrow(0, n, n)?, rows.narrow(0, 0, n)?], 0)?)
}
