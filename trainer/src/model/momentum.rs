//! The momentum network: an encoder whose parameters are a moving average of another's.
//!
//! It starts as a copy of the network that is trained. After every step of the optimiser
//! θ_k ← θ_k + (1 − m)·(θ_q − θ_k) = m θ_k + (1 − m) θ_q, over all trained values in one pass, in f32 (its copy in bf16
//! follows where there is one). It has no gradients.
//!
//! Batch normalisation: the keys of a step pass through it as one batch and are normalised by their own mean and
//! variance, as are the queries in the network that is trained; its running statistics are its own, and nothing reads
//! them. MoCo shuffles keys over several GPUs, since statistics over the same samples let a query recognise its own
//! batch's key: a key then carries the mean of its batch, which queries of the same samples share and the older keys of
//! the queue do not. Here there is one batch, and this is not prevented. Queries and keys are different views,
//! normalised apart, which weakens the leak; it shrinks as batches grow, since their statistics then differ less.

use super::{Input, Network, Parameters};
use crate::error::{Error, Result};
use crate::ops::normalise;
use crate::ops::storage::{contiguous, contiguous_mut, expect_shape};
use candle_core::{CpuStorage, InplaceOp2, Layout, Tensor};
use measure::pool::{CHUNK, for_each, simd};
use std::collections::HashMap;
use std::path::Path;

/// Before the names of its tensors in a checkpoint.
const PREFIX: &str = "momentum.";

/// A network that follows another.
pub struct Momentum {
    network: Network,
    momentum: f64,
}

impl Momentum {
    /// `network`, which becomes a copy of `leader`, with momentum m.
    ///
    /// # Errors
    /// Networks of other shapes; an encoder of texts, whose embeddings are not averaged; m outside \[0, 1\].
    pub fn new(network: Network, leader: &Network, momentum: f64) -> Result<Self> {
        let (own, led) = (network.parameters(), leader.parameters());
        if own.table().is_some() || led.table().is_some() {
            return Err(Error::argument(
                "[queue] needs an encoder of images: the embeddings of texts have no moving average",
            ));
        }
        if !(0.0..=1.0).contains(&momentum) {
            return Err(Error::argument(format!("queue.momentum = {momentum} is not between 0 and 1")));
        }
        let tensors: HashMap<String, Tensor> = led.tensors()?.into_iter().collect();
        own.set(Path::new("the network to follow"), &tensors)?;
        Ok(Self { network, momentum })
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Unit head features \[N, d\] of a batch, normalised by its own statistics.
    ///
    /// # Errors
    /// A batch of another shape, or of one sample.
    pub fn keys(&self, input: &Input) -> Result<Tensor> {
        let (output, _) = self.network.forward_train(input)?;
        Ok(normalise::forward(&output.head)?)
    }

    /// Moves all trained values towards those of `leader`.
    ///
    /// # Errors
    /// A network of another shape.
    pub fn follow(&self, leader: &Network) -> Result<()> {
        self.network.parameters().approach(leader.parameters(), 1.0 - self.momentum)
    }

    /// What a checkpoint keeps: values and running statistics.
    ///
    /// # Errors
    /// The tensor library fails.
    pub(crate) fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        let tensors = self.network.parameters().tensors()?;
        Ok(tensors.into_iter().map(|(name, tensor)| (format!("{PREFIX}{name}"), tensor)).collect())
    }

    /// Takes over those among the tensors of a checkpoint.
    ///
    /// # Errors
    /// A tensor that is missing, or has another shape. Nothing is replaced then.
    pub(crate) fn resume(&self, path: &Path, tensors: &HashMap<String, Tensor>) -> Result<()> {
        let own = tensors.iter().filter_map(|(name, t)| Some((name.strip_prefix(PREFIX)?.into(), t.clone())));
        self.network.parameters().set(path, &own.collect())
    }
}

/// values ← values + share·(others − values), both \[P\].
struct Approach {
    share: f32,
}

/// One step of the moving average over flat values.
///
/// # Errors
/// Shapes that differ.
pub(super) fn approach(values: &Tensor, others: &Tensor, share: f64) -> Result<()> {
    if values.device().is_cpu() {
        return Ok(values.inplace_op2(others, &Approach { share: share as f32 })?);
    }
    approach_on_tensors(values, others, share)
}

/// The same with operations that every device has.
fn approach_on_tensors(values: &Tensor, others: &Tensor, share: f64) -> Result<()> {
    let moved = (values + ((others - values)? * share)?)?;
    Ok(values.slice_set(&moved, 0, 0)?)
}

impl InplaceOp2 for Approach {
    fn name(&self) -> &'static str {
        "moving-average"
    }

    fn cpu_fwd(
        &self,
        s1: &mut CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> candle_core::Result<()> {
        expect_shape(self.name(), "the other network", l2.dims(), l1.dims())?;
        let others = contiguous(s2, l2)?;
        let values = contiguous_mut(self.name(), s1, l1)?;
        let share = self.share;
        for_each(values.chunks_mut(CHUNK).zip(others.chunks(CHUNK)), |(values, others)| {
            simd(|| {
                values.iter_mut().zip(others).for_each(|(value, other)| *value += share * (other - *value))
            });
        });
        Ok(())
    }
}

impl Parameters {
    /// Moves the trained values, but for embeddings, by this share of the way to those of `other`.
    fn approach(&self, other: &Self, share: f64) -> Result<()> {
        approach(&self.trained_values()?, &other.trained_values()?, share)?;
        self.refresh()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Architecture;
    use candle_core::Device;

    fn values(network: &Network) -> Vec<f32> {
        network.parameters().trained_values().unwrap().to_vec1().unwrap()
    }

    fn network(seed: u64) -> Network {
        Network::new(Architecture::Mlp, [8, 8, 1], seed, &Device::Cpu).unwrap()
    }

    #[test]
    fn it_follows_the_recursion() {
        let (mut leader, momentum) = (network(7), 0.9);
        let follower = Momentum::new(network(8), &leader, momentum).unwrap();
        assert_eq!(values(follower.network()), values(&leader), "it starts as a copy");
        follower.follow(&leader).unwrap();
        assert_eq!(values(follower.network()), values(&leader), "what is reached stays");
        let mut expected: Vec<f64> = values(&leader).into_iter().map(f64::from).collect();
        for seed in 9..29 {
            leader = network(seed);
            follower.follow(&leader).unwrap();
            for (average, value) in expected.iter_mut().zip(values(&leader)) {
                *average = momentum * *average + (1.0 - momentum) * f64::from(value);
            }
        }
        let found = values(follower.network());
        let largest = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let worst = found.iter().zip(&expected).fold(0.0, |m: f64, (f, e)| m.max((f64::from(*f) - e).abs()));
        assert!(worst < 3e-7 * largest, "{worst:e} of {largest}");
        // m = 0: the trained network itself.
        let copy = Momentum::new(network(1), &leader, 0.0).unwrap();
        leader = network(2);
        copy.follow(&leader).unwrap();
        let near = values(copy.network()).into_iter().zip(values(&leader));
        near.for_each(|(a, b)| assert!((a - b).abs() <= 1e-6 * largest as f32, "{a} {b}"));
    }

    #[test]
    fn other_networks_and_momenta_are_refused() {
        let leader = network(7);
        assert!(Momentum::new(network(7), &leader, 1.5).is_err());
        let other = Network::new(Architecture::Conv, [8, 8, 1], 7, &Device::Cpu).unwrap();
        assert!(Momentum::new(other, &leader, 0.9).is_err());
        let reader = || {
            let texts = crate::data::InputKind::Texts { vocabulary: 30 };
            Network::new(Architecture::EmbeddingBag, texts, 7, &Device::Cpu).unwrap()
        };
        let message = Momentum::new(reader(), &reader(), 0.9).err().unwrap().to_string();
        assert!(message.contains("embeddings of texts"), "{message}");
    }

    #[test]
    fn a_step_by_hand() {
        for step in [approach, approach_on_tensors] {
            let tensor = |v: [f32; 3]| Tensor::new(&v, &Device::Cpu).unwrap();
            let (values, others) = (tensor([1.0, -2.0, 0.5]), tensor([3.0, 2.0, 0.25]));
            step(&values, &others, 0.25).unwrap();
            assert_eq!(values.to_vec1::<f32>().unwrap(), [1.5, -1.0, 0.4375]);
        }
    }
}
