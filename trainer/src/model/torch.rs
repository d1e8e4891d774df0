//! Weights that PyTorch saved, for ResNet-18, 34 and 50: `.pt`, `.pth` or Lightning's `.ckpt` (a zip file with a pickle, PyTorch
//! 1.6 and later), or safetensors with the same names; and [`save`], which writes them.
//!
//! | PyTorch | here | shape there → here |
//! |---|---|---|
//! | `E conv1.weight` | `encoder.0.weight` | \[out, in, 3, 3\] → \[out, 3, 3, in\], or 7, 7 |
//! | `E bn1.*` | `encoder.0.norm.*` | \[out\] |
//! | `E layerS.B.convI.weight` | `encoder.layerS.B.convI.weight` | \[out, in, 3, 3\] → \[out, 3, 3, in\], or 1, 1 |
//! | `E layerS.B.bnI.*` | `encoder.layerS.B.bnI.*` | \[out\] |
//! | `E layerS.B.downsample.0.weight` | `encoder.layerS.B.skip.0.weight` | \[out, in, 1, 1\] → \[out, 1, 1, in\] |
//! | `E layerS.B.downsample.1.*` | `encoder.layerS.B.skip.1.*` | \[out\] |
//! | linear layer I = 0, 1, … of the head | `head.I.*` | \[out, in\], \[out\] |
//! | the normalisation behind it | `head.I.norm.*` | \[out\] |
//!
//! `*`: `weight`, `bias`, and for a normalisation `running_mean` and `running_var`. E is whatever stands before these
//! names (`encoder.`, `backbone.`, `module.encoder_q.`, nothing). In place of torchvision's names there may be
//!
//! - `shortcut` for `downsample` (SupContrast, lightly's `ResNetGenerator`);
//! - numbers, as in a `nn.Sequential` of torchvision's modules: `0` for `conv1`, `1` for `bn1`, then four stages from
//!   `4` on (lightly's `backbone.4.0.conv1.weight`), or from `3` without pooling (`f.3.0.conv1.weight`), or from `2`
//!   without ReLU too: so does lightly's example of `ResNetGenerator`, whose stem then computes without one, and is
//!   read as computing so.
//!
//! Which network it is, the file says: ResNet-50 has a third convolution in each block, ResNet-34 more blocks than
//! ResNet-18, and a first convolution of 7×7 is that of the stem `imagenet`, with max pooling behind it.
//!
//! **Several encoders.** Where one of them follows another (MoCo's `encoder_k`, solo-learn's `momentum_backbone`, a
//! target or a teacher), the other is read; else one must be chosen by its prefix. [`Weights::remarks`] says so.
//!
//! **The head** is any chain of at most [`HeadLayers::MOST`](super::HeadLayers::MOST) linear layers, with or without
//! bias, each with a batch normalisation behind it or none; which, the shapes say. A ReLU, which no file names, stands
//! behind each but the last. It is the group of layers outside of the encoder whose first one takes the encoder's
//! features, and that is no classifier (`classifier`, torchvision's `fc`, lightly's `linear`), no predictor, no
//! prototypes, and none of the networks that follow. Without a head the encoder is read alone: head features are the
//! encoder's then.
//!
//! Of a larger dictionary, the state dict is the entry `state_dict`, `model_state_dict`, `model`, `net` or
//! `model_state`; other entries are not looked at, whatever their classes. Numbers of f16, bf16 or f64 become f32; of a
//! pickle, other objects of Python's and tensors of types without numbers (bool) are passed over.
//!
//! Nozawa & Sato's models have `module.f.conv1.weight` … `module.g.projection_head.linear2.weight`, with
//! [`Options::PUBLISHED`](super::Options::PUBLISHED). Names, layers and the padding of 3 are those of
//! `code/src/model.py` of <https://github.com/nzw0301/Understanding-Negative-Samples>, commit 803c8b1; that they save
//! `model.state_dict()` of a `DistributedDataParallel` stands in `code/self_supervised.py`. **Not verified**: a
//! checkpoint of theirs (none is published). State dicts of these names, made by PyTorch 2.11, stand in for it: a
//! narrow one is among the tests; with torchvision's ResNet-18 at full width and 4 random images of 32 × 32, encoder
//! features (at most 5.3) differ from PyTorch's in f64 by up to 2.2e-6, head features (at most 0.98) by up to 8.5e-7
//! (`examples/torch_agreement.rs`).
//!
//! Checkpoints under the names of torchvision, lightly (both ways), solo-learn and MoCo, full width, 4 random images,
//! by PyTorch 2.15: encoder features (at most 6.1) differ from PyTorch's in f64 by up to 4.0e-6, head features (at most
//! 1.5) by up to 1.5e-6. Exported again, PyTorch loads them without pickles, into torchvision's modules: the same
//! numbers, and the same features to the last bit (`examples/torch_agreement.rs`).
//!
//! Refused, each with what to do: other depths and other stems than these, files of PyTorch before 1.6,
//! whole models, tensors that are not stored in row-major order (`channels_last`), and others than little-endian ones.
//! A file may be anybody's: nothing in it is called, headers are compared with its length, the archive's CRC-32 with
//! what it holds, and the pickle's size is bounded (`pickle`).

mod archive;
mod encoder;
mod export;
mod file;
mod found;
mod head;
mod pickle;
mod write;

use super::{Model, Network, Options};
use crate::error::{Error, Result};
use candle_core::{DType, Device, Tensor};
use file::Content;
use found::Found;
use head::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use export::{exported, save, save_safetensors};

/// What is open to any encoder, behind each refusal.
/// Tensors of another shape that a refusal names.
const MOST_SHAPES: usize = 3;

const OTHER_WAY: &str = "features of any encoder are read too: docs/features.md";

/// A file of weights whose keys are understood; their numbers are still on disk.
pub struct Weights {
    path: PathBuf,
    content: Content,
    shapes: BTreeMap<String, Vec<usize>>,
    found: Found,
}

impl Weights {
    /// Opens a file and finds encoder and head in it.
    ///
    /// `prefixes` choose among several encoders or heads by what stands before their names, such as
    /// `module.encoder_k`; where they name neither, the choice is that of [the module](self).
    ///
    /// # Errors
    /// A file that cannot be read; no ResNet in it; several between which nothing chooses; a prefix that is not there;
    /// a head of other layers.
    pub fn open(path: &Path, prefixes: &[String]) -> Result<Self> {
        let mut content = file::open(path).map_err(advised)?;
        let shapes = content.shapes();
        let bad = |message: String| advised(Error::data(path, message));
        let found = Found::new(&shapes, prefixes).map_err(bad)?;
        // A network is made of these shapes before any number is read.
        for source in found.sources.values() {
            if let Source::Key(key) = source {
                content.check(key).map_err(|e| bad(format!("'{key}' is not readable: {e}")))?;
            }
        }
        Ok(Self { path: path.into(), content, shapes, found })
    }

    /// The network that these weights are for; how the images are padded before a small stem no file says.
    pub fn model(&self, stem_padding: usize) -> Model {
        let Model { architecture, options } = self.found.model;
        Model { architecture, options: Options { stem_padding, ..options } }
    }

    /// What one should know: which encoder was chosen, what the head is, how much is not used; a line each.
    pub fn remarks(&self) -> &[String] {
        &self.found.remarks
    }

    /// The keys that are not used, in order.
    pub fn unused(&self) -> Vec<String> {
        self.found.unused(&self.shapes)
    }

    /// Replaces all values of a network by those of the file.
    ///
    /// # Errors
    /// Another architecture than the [model](Self::model)'s. Parameters that are missing, left over, or of another shape: one message
    /// names all of them. Numbers that cannot be read. Nothing is replaced then.
    pub fn load(&mut self, network: &Network) -> Result<()> {
        let (there, here) = (self.found.model.architecture, network.architecture());
        if there != here {
            return Err(Error::argument(format!(
                "{} holds weights of {}, not of {}; {OTHER_WAY}",
                self.path.display(),
                there.name(),
                here.name()
            )));
        }
        self.fit(network).map_err(|message| advised(Error::data(&self.path, message)))?;
        // Their shapes are the network's, so that no file takes more room than the network.
        let names = network.parameters().all().iter().map(|parameter| &parameter.name);
        let sources: Vec<Source> = names.filter_map(|name| self.found.sources.get(name).cloned()).collect();
        let values = sources.iter().map(|source| self.value(source)).collect::<Result<Vec<_>>>()?;
        network.parameters().replace(&values)
    }

    /// Whether the file has the parameters of the network, and no others.
    fn fit(&self, network: &Network) -> std::result::Result<(), String> {
        let all = network.parameters().all();
        let (mut missing, mut shapes) = (Vec::new(), Vec::new());
        for parameter in all {
            let expected = pytorch_shape(&parameter.shape);
            match self.found.sources.get(&parameter.name) {
                None => missing.push(format!("'{}'", parameter.name)),
                Some(Source::Key(key)) if self.shapes[key] != expected => {
                    let found = &self.shapes[key];
                    shapes.push(format!("'{key}' has shape {found:?} instead of {expected:?}"));
                }
                Some(_) => {}
            }
        }
        let known: BTreeSet<&String> = all.iter().map(|parameter| &parameter.name).collect();
        let unknown = self.found.sources.iter().filter(|(name, _)| !known.contains(name));
        let unknown: Vec<String> = unknown
            .map(|(name, source)| match source {
                Source::Key(key) => format!("'{key}'"),
                Source::Constant(..) => format!("'{name}'"),
            })
            .collect();
        let mut faults = Vec::new();
        if !missing.is_empty() {
            faults.push(format!("there is nothing for {}", missing.join(", ")));
        }
        if !unknown.is_empty() {
            faults.push(format!("the network has no place for {}", unknown.join(", ")));
        }
        // A wider network has another shape of every tensor.
        let more = shapes.len().saturating_sub(MOST_SHAPES);
        faults.extend(shapes.into_iter().take(MOST_SHAPES));
        if more > 0 {
            faults.push(format!("and {more} more"));
        }
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }

    fn value(&mut self, source: &Source) -> Result<Tensor> {
        match source {
            Source::Constant(value, count) => {
                Ok(Tensor::full(*value, *count, &Device::Cpu)?.to_dtype(DType::F32)?)
            }
            Source::Key(key) => {
                let found = self.content.get(key);
                let tensor = found.map_err(|e| format!("'{key}' is not readable: {e}"));
                let tensor = tensor.and_then(|t| t.ok_or_else(|| format!("'{key}' is not there")));
                let tensor = tensor.map_err(|message| advised(Error::data(&self.path, message)))?;
                Ok(if tensor.rank() == 4 { tensor.permute((0, 2, 3, 1))? } else { tensor })
            }
        }
    }
}

/// Names and shapes of the tensors of a file, as PyTorch has them; no numbers are read of a `.pt` file.
///
/// # Errors
/// A file that cannot be read.
pub fn shapes(path: &Path) -> Result<BTreeMap<String, Vec<usize>>> {
    Ok(file::open(path)?.shapes())
}

/// The shape that PyTorch gives to a parameter of this shape here.
fn pytorch_shape(shape: &[usize]) -> Vec<usize> {
    match *shape {
        [outputs, height, width, inputs] => vec![outputs, inputs, height, width],
        _ => shape.to_vec(),
    }
}

/// A refusal of a file, with the way that is open to any encoder.
fn advised(error: Error) -> Error {
    match error {
        Error::Data { path, message } => Error::Data { path, message: format!("{message}; {OTHER_WAY}") },
        other => other,
    }
}

#[cfg(test)]
mod libraries;
#[cfg(test)]
mod tests;
