//! InfoNCE against a queue of keys (momentum contrast: He, Fan, Wu, Xie & Girshick 2020, arXiv 1911.05722).
//!
//! A query q is the unit head feature of view 1 by the trained network, its positive k₊ that of view 2 by the momentum network
//! ([`crate::model::Momentum`]), its negatives the Q keys of the queue, or those of them that a [`Choice`] keeps:
//!
//! loss = (1/n) Σ_i ln(1 + Σ_{j kept} e^{(q_i·k_j − q_i·k₊)/t}), and with p of `anchor`
//! dq_i = (1/(n t)) \[ Σ_j p_j k_j − (1 − p₊) k₊ \]. Keys get no gradient.
//!
//! Afterwards the keys k₊ of the batch take the places of the oldest. The first keys are random directions, as MoCo's: until Q
//! samples have passed, the rest of the queue are no features of samples.

use super::anchor::{Kept, UNKNOWN, weigh};
use super::{Choice, Loss, inverse};
use crate::error::{Error, Result};
use crate::ops::gemm::{Matrix, product};
use crate::ops::normalise;
use crate::ops::storage::{contiguous, values};
use crate::ops::vector::dot;
use candle_core::{D, DType, Device, Storage, Tensor};
use measure::pool::{for_each, map, simd};
use measure::rng::{Purpose, normal, stream};

/// Queries that one task handles with one buffer.
const QUERIES: usize = 8;

/// The Q last keys, unit rows, with the classes of their samples.
#[derive(Debug)]
pub struct Queue {
    /// \[Q, d\].
    keys: Tensor,
    classes: Vec<u32>,
    /// The place of the oldest key, which the next one takes.
    next: usize,
}

impl Queue {
    /// Q random directions of d numbers, from a stream of their own: normal numbers, normalised.
    ///
    /// # Errors
    /// A device without room.
    pub fn new(size: usize, width: usize, seed: u64, device: &Device) -> Result<Self> {
        let mut rng = stream(seed, Purpose::Queue, 0);
        let keys: Vec<f32> = (0..size * width).map(|_| normal(&mut rng)).collect();
        let keys = normalise::forward(&Tensor::from_vec(keys, (size, width), &Device::Cpu)?)?;
        Ok(Self { keys: keys.to_device(device)?, classes: vec![UNKNOWN; size], next: 0 })
    }

    /// Q.
    pub fn size(&self) -> usize {
        self.classes.len()
    }

    /// The keys \[Q, d\], in no order of age.
    pub fn keys(&self) -> &Tensor {
        &self.keys
    }

    /// Puts unit keys \[n, d\] of samples of these classes in the places of the oldest, the first row in that of the oldest.
    ///
    /// # Errors
    /// More keys than the queue holds, keys of another width, or not as many classes.
    pub fn push(&mut self, keys: &Tensor, classes: &[u32]) -> Result<()> {
        let (count, width) = keys.dims2()?;
        if count > self.size() || count != classes.len() || width != self.keys.dim(1)? {
            return Err(Error::argument(format!(
                "keys of shape {:?} and {} classes do not go into a queue of shape {:?}",
                keys.dims(),
                classes.len(),
                self.keys.dims()
            )));
        }
        let first = count.min(self.size() - self.next);
        for (from, length, to) in [(0, first, self.next), (first, count - first, 0)] {
            if length > 0 {
                self.keys.slice_set(&keys.narrow(0, from, length)?.contiguous()?, 0, to)?;
                self.classes[to..to + length].copy_from_slice(&classes[from..from + length]);
            }
        }
        self.next = (self.next + count) % self.size();
        Ok(())
    }

    /// What a checkpoint keeps: keys, classes (2³²−1: unknown), and the place of the oldest.
    ///
    /// # Errors
    /// The tensor library fails.
    pub(crate) fn tensors(&self) -> Result<[(&'static str, Tensor); 3]> {
        let host = &Device::Cpu;
        Ok([
            ("queue.keys", self.keys.clone()),
            ("queue.classes", Tensor::new(&self.classes[..], host)?),
            ("queue.next", Tensor::new(&[self.next as u32], host)?),
        ])
    }

    /// The queue of the tensors of a checkpoint, like this one; what is wrong with them otherwise.
    pub(crate) fn read(
        &self,
        mut get: impl FnMut(&str) -> Option<Tensor>,
    ) -> std::result::Result<Self, String> {
        let mut tensor = |name: &str, dims: &[usize], dtype: DType| {
            let found = get(name).ok_or_else(|| format!("it has no '{name}'"))?;
            if found.dims() != dims || found.dtype() != dtype {
                let (shape, dtype) = (found.dims(), found.dtype());
                return Err(format!("'{name}' is {dtype:?} of shape {shape:?} instead of {dims:?}"));
            }
            Ok(found)
        };
        let words = |tensor: Tensor| tensor.to_vec1::<u32>().map_err(|e| e.to_string());
        let keys = tensor("queue.keys", self.keys.dims(), DType::F32)?;
        let keys =
            keys.to_device(self.keys.device()).and_then(|keys| keys.copy()).map_err(|e| e.to_string())?;
        let classes = words(tensor("queue.classes", &[self.size()], DType::U32)?)?;
        let next = words(tensor("queue.next", &[1], DType::U32)?)?[0] as usize;
        if next >= self.size() {
            return Err(format!("'queue.next' = {next} is not below {}", self.size()));
        }
        Ok(Self { keys, classes, next })
    }
}

/// InfoNCE of query features \[n, d\], not normalised, against unit positives \[n, d\] and the queue, at temperature t; with
/// the gradient of the query features, and how often kept negatives are of the query's class.
///
/// On the CPU in f32, with one matrix of n·Q numbers. On a GPU the logits stay there unless something is selected: then n·Q
/// numbers are copied to the host, which selects, and as many come back as a mask (64 MiB each way for n = 256, Q = 65,536),
/// and the device waits meanwhile.
///
/// # Errors
/// Shapes or a choice that do not fit; a temperature that is not positive.
pub fn queue_info_nce(
    features: &Tensor,
    positives: &Tensor,
    queue: &Queue,
    classes: &[u32],
    choice: &Choice,
    temperature: f64,
) -> Result<(Loss, Kept)> {
    let (count, width) = features.dims2()?;
    if positives.dims() != features.dims()
        || classes.len() != count
        || width != queue.keys.dim(1)?
        || !choice.fits(count, queue.size())
    {
        return Err(Error::argument(format!(
            "queries of shape {:?} do not fit positives {:?}, {} classes, K = {} and a queue of shape {:?}",
            features.dims(),
            positives.dims(),
            classes.len(),
            choice.num_negatives(),
            queue.keys.dims()
        )));
    }
    let inverse_temperature = inverse(temperature)?;
    let unit = normalise::forward(features)?;
    let step = Step { queries: &unit, positives, queue, classes, choice };
    let (value, du, kept) = match features.device().is_cpu() {
        true => step.on_slices(inverse_temperature)?,
        false => step.on_tensors(inverse_temperature)?,
    };
    Ok((Loss { value, gradient: normalise::backward(features, &du)? }, kept))
}

struct Step<'a> {
    /// Unit rows.
    queries: &'a Tensor,
    positives: &'a Tensor,
    queue: &'a Queue,
    classes: &'a [u32],
    choice: &'a Choice,
}

impl Step<'_> {
    fn on_slices(&self, inverse_temperature: f32) -> Result<(Tensor, Tensor, Kept)> {
        let (count, width) = self.queries.dims2()?;
        let size = self.queue.size();
        let scale = inverse_temperature / count as f32;
        let (queries, positives) = (values(self.queries)?, values(self.positives)?);
        let (storage, layout) = self.queue.keys.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else {
            return Err(Error::argument("the queue lies on another device than the queries"));
        };
        let keys = contiguous(storage, layout)?;
        let keys = Matrix::new(&keys, width);
        let mut logits = product(Matrix::new(&queries, width), keys.transposed(), [count, size, width]);
        let found = map(logits.chunks_mut(QUERIES * size).enumerate(), |(index, rows)| {
            let mut work = Vec::new();
            let mut found = Vec::with_capacity(QUERIES);
            for (offset, negatives) in rows.chunks_exact_mut(size).enumerate() {
                let query = index * QUERIES + offset;
                let own = &queries[query * width..][..width];
                let key = &positives[query * width..][..width];
                self.choice.apply(query, negatives, &mut work);
                found.push(simd(|| {
                    let kept = Kept::count(self.classes[query], negatives, &self.queue.classes);
                    (weigh(dot(own, key), negatives, inverse_temperature, scale), kept)
                }));
            }
            found
        })
        .concat();
        let (mut loss, mut kept) = (0.0, Kept::default());
        for (anchor, of_query) in &found {
            loss += anchor.loss;
            kept += *of_query;
        }
        let mut du = product(Matrix::new(&logits, size), keys, [count, width, size]);
        let rows = du.chunks_exact_mut(width).zip(positives.chunks_exact(width)).zip(&found);
        for ((du, key), (anchor, _)) in rows {
            du.iter_mut().zip(key).for_each(|(d, k)| *d -= anchor.pull * k);
        }
        let value = Tensor::new((loss / count as f64) as f32, &Device::Cpu)?;
        Ok((value, Tensor::from_vec(du, (count, width), &Device::Cpu)?, kept))
    }

    /// The same with operations that every device has.
    fn on_tensors(&self, inverse_temperature: f32) -> Result<(Tensor, Tensor, Kept)> {
        let (count, _) = self.queries.dims2()?;
        let k = f64::from(inverse_temperature);
        let keys = &self.queue.keys;
        let mut logits = self.queries.matmul(&keys.t()?)?;
        let kept = match self.choice.is_all() {
            true => self.kept_of_all(),
            false => {
                let (mask, kept) = self.mask(&logits)?;
                logits = (logits + mask)?;
                kept
            }
        };
        let positive = (self.queries * self.positives)?.sum_keepdim(1)?;
        let shift = logits.max_keepdim(D::Minus1)?.maximum(&positive)?;
        let mass = (logits.broadcast_sub(&shift)? * k)?.exp()?;
        let rest = mass.sum_keepdim(D::Minus1)?;
        let beyond = ((&shift - &positive)? * k)?;
        let total = (&rest + beyond.neg()?.exp()?)?;
        // In f64, where 1 + rest keeps a rest of 1e-9.
        let ln_total = (rest.to_dtype(DType::F64)? + beyond.neg()?.exp()?.to_dtype(DType::F64)?)?.log()?;
        let value = (ln_total + beyond.to_dtype(DType::F64)?)?.mean_all()?.to_dtype(DType::F32)?;
        let share = (total.recip()? * (k / count as f64))?;
        let pull = (rest * &share)?;
        let du = mass.broadcast_mul(&share)?.matmul(keys)?;
        Ok((value, (du - self.positives.broadcast_mul(&pull)?)?, kept))
    }

    /// 0 for kept negatives, −∞ for others, by way of the host.
    fn mask(&self, logits: &Tensor) -> Result<(Tensor, Kept)> {
        let size = self.queue.size();
        let mut mask = logits.flatten_all()?.to_vec1::<f32>()?;
        let found = map(mask.chunks_mut(QUERIES * size).enumerate(), |(index, rows)| {
            let (mut work, mut kept) = (Vec::new(), Kept::default());
            for (offset, row) in rows.chunks_exact_mut(size).enumerate() {
                let query = index * QUERIES + offset;
                self.choice.apply(query, row, &mut work);
                kept += Kept::count(self.classes[query], row, &self.queue.classes);
            }
            kept
        });
        for_each(mask.chunks_mut(QUERIES * size), |values| {
            values.iter_mut().for_each(|v| *v = if *v == f32::NEG_INFINITY { *v } else { 0.0 });
        });
        let mut kept = Kept::default();
        found.into_iter().for_each(|of_rows| kept += of_rows);
        Ok((Tensor::from_vec(mask, logits.dims(), logits.device())?, kept))
    }

    /// From the numbers of keys of each class.
    fn kept_of_all(&self) -> Kept {
        let mut counts = std::collections::HashMap::new();
        self.queue.classes.iter().for_each(|&class| *counts.entry(class).or_insert(0u64) += 1);
        let unknown = counts.remove(&UNKNOWN).unwrap_or(0);
        let known = (self.queue.size() as u64 - unknown) * self.classes.len() as u64;
        let same = self.classes.iter().map(|class| counts.get(class).copied().unwrap_or(0)).sum();
        Kept { same, known }
    }
}

#[cfg(test)]
mod tests;
