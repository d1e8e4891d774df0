//! The queue of keys of momentum contrast (He, Fan, Wu, Xie & Girshick 2020, arXiv 1911.05722).
//!
//! A query q is the unit head feature of view 1 by the trained network, its positive k₊ that of view 2 by the momentum
//! network ([`crate::model::Momentum`]), its negatives the Q keys of the queue, or a selection of them. Keys get no
//! gradient.
//!
//! After a step the keys k₊ of the batch take the places of the oldest. The first keys are random directions, as
//! MoCo's: until Q samples have passed, the rest of the queue are no features of samples.

use super::Classes;
use super::same_class::UNKNOWN;
use crate::error::{Error, Result};
use crate::ops::normalise;
use candle_core::{DType, Device, Tensor};
use measure::rng::{Purpose, normal, stream};

/// The Q last keys, unit rows, with the classes of their samples.
#[derive(Debug)]
pub struct Queue {
    /// \[Q, d\].
    keys: Tensor,
    classes: Vec<u32>,
    /// The same where the keys are, \[Q\], if that is on a GPU.
    classes_on_device: Option<Tensor>,
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
        Self::of(keys.to_device(device)?, vec![UNKNOWN; size], 0)
    }

    fn of(keys: Tensor, classes: Vec<u32>, next: usize) -> Result<Self> {
        let device = keys.device();
        let on_device = (!device.is_cpu()).then(|| Tensor::new(&classes[..], device)).transpose()?;
        Ok(Self { keys, classes, classes_on_device: on_device, next })
    }

    /// Q.
    pub fn size(&self) -> usize {
        self.classes.len()
    }

    /// The keys \[Q, d\], in no order of age.
    pub fn keys(&self) -> &Tensor {
        &self.keys
    }

    /// Of the keys' samples; 2³²−1 where a key is of no sample.
    pub(super) fn classes(&self) -> &[u32] {
        &self.classes
    }

    /// [`classes`](Self::classes) on the device of the keys.
    ///
    /// # Errors
    /// No memory there.
    #[cfg(feature = "cuda")]
    pub(super) fn classes_on(&self, device: &Device) -> candle_core::Result<Tensor> {
        self.classes_on_device.clone().map_or_else(|| Tensor::new(&self.classes[..], device), Ok)
    }

    /// Puts unit keys \[n, d\] of samples of these classes in the places of the oldest, the first row in that of the
    /// oldest.
    ///
    /// # Errors
    /// More keys than the queue holds, keys of another width, or not as many classes.
    pub fn push<'a>(&mut self, keys: &Tensor, classes: impl Into<Classes<'a>>) -> Result<()> {
        let ((count, width), new) = (keys.dims2()?, classes.into());
        let classes = new.host();
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
                if let Some(on_device) = &self.classes_on_device {
                    on_device.slice_set(&new.on(on_device.device())?.narrow(0, from, length)?, 0, to)?;
                }
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
        Self::of(keys, classes, next).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests;
