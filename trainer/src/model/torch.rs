//! Weights that PyTorch saved, for ResNet-18: `.pt`/`.pth` (a zip file with a pickle, PyTorch 1.6 and later), or
//! safetensors with the same names.
//!
//! | PyTorch | here | shape there → here |
//! |---|---|---|
//! | `E conv1.weight` | `encoder.0.weight` | \[out, in, 3, 3\] → \[out, 3, 3, in\] |
//! | `E bn1.*` | `encoder.0.norm.*` | \[out\] |
//! | `E layerS.B.convI.weight` | `encoder.layerS.B.convI.weight` | \[out, in, 3, 3\] → \[out, 3, 3, in\] |
//! | `E layerS.B.bnI.*` | `encoder.layerS.B.bnI.*` | \[out\] |
//! | `E layerS.B.downsample.0.weight` | `encoder.layerS.B.skip.0.weight` | \[out, in, 1, 1\] → \[out, 1, 1, in\] |
//! | `E layerS.B.downsample.1.*` | `encoder.layerS.B.skip.1.*` | \[out\] |
//! | `H linear1.*` or `H 0.*` | `head.0.*` | \[out, in\], \[out\] |
//! | `H bn1.*` or `H 1.*` | `head.0.norm.*` (head `paper`) | \[out\] |
//! | `H linear2.weight`; `H 3.weight` (head `paper`), `H 2.weight` (head `default`) | `head.1.weight` | \[out, in\] |
//!
//! `*`: `weight`, `bias`, and for a normalisation `running_mean` and `running_var`. E and H are whatever stands before
//! these names; each must be one and the same. So the following are read:
//!
//! - torchvision's ResNet-18 with a 3×3 stem (E is empty), wrapped (`encoder.`, `backbone.`), or behind `DataParallel`
//!   (`module.`);
//! - Nozawa & Sato's models: `module.f.conv1.weight` … `module.g.projection_head.linear2.weight`, with
//!   [`Options::PUBLISHED`](super::Options::PUBLISHED). Names, layers and the padding of 3 are those of
//!   `code/src/model.py` of <https://github.com/nzw0301/Understanding-Negative-Samples>, commit 803c8b1; that they save
//!   `model.state_dict()` of a `DistributedDataParallel` stands in `code/self_supervised.py`. **Not verified**: a
//!   checkpoint of theirs (none is published). State dicts of these names, made by PyTorch 2.11, stand in for it: a
//!   narrow one is among the tests; with torchvision's ResNet-18 at full width and 4 random images of 32 × 32, encoder
//!   features (at most 5.3) differ from PyTorch's in f64 by up to 2.2e-6, head features (at most 0.98) by up to 8.5e-7
//!   (`examples/torch_agreement.rs`).
//!
//! `num_batches_tracked`, which counts training steps, and the classifier `E fc.weight`, `E fc.bias` are ignored, and
//! listed. A state dict may lie in the entry `state_dict`, `model_state_dict` or `model` of a larger dictionary, whose
//! other entries are not looked at. A bias of the head's second layer, which no head here has, is refused like any
//! unknown key. Numbers of f16, bf16 or f64 become f32; of a pickle, other objects of Python's and tensors of types
//! without numbers (bool) are passed over.
//!
//! Refused, each with what to do: files of PyTorch before 1.6, tensors that are not stored in row-major order
//! (`channels_last`), and others than little-endian ones. A file may be anybody's: nothing in it is called, headers are
//! compared with its length, the archive's CRC-32 with what it holds, and the pickle's size is bounded (`pickle`).

mod archive;
mod pickle;

use super::architecture::Architecture;
use super::{Head, Network, tensors};
use crate::error::{Error, Result};
use archive::Archive;
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// What marks the encoder, and so its prefix.
const MARK: &str = "layer1.0.conv1.weight";
/// What marks the head.
const HEAD_MARKS: [&str; 2] = ["linear1.weight", "0.weight"];
/// Entries of a larger dictionary that may be the state dict.
const NESTED: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// The tensors of a file.
enum Content {
    Safetensors(BTreeMap<String, Tensor>),
    /// Their numbers are left on disk until they are asked for.
    Archive(Archive),
}

impl Content {
    fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        match self {
            Self::Safetensors(tensors) => {
                tensors.iter().map(|(name, tensor)| (name.clone(), tensor.dims().to_vec())).collect()
            }
            Self::Archive(archive) => archive.shapes(),
        }
    }

    fn get(&mut self, name: &str) -> std::result::Result<Option<Tensor>, String> {
        match self {
            Self::Safetensors(tensors) => Ok(tensors.get(name).cloned()),
            Self::Archive(archive) => archive.get(name),
        }
    }
}

/// Replaces all values of the network by those of a file that PyTorch saved; the keys that were ignored, in order.
///
/// # Errors
/// Another architecture than ResNet-18; a file that cannot be read. Keys that are missing, unknown, or of another
/// shape: one message names all of them. Nothing is replaced then.
pub fn load(network: &Network, path: &Path) -> Result<Vec<String>> {
    if network.architecture() != Architecture::Resnet18 {
        let name = network.architecture().name();
        return Err(Error::argument(format!("weights of PyTorch are read for resnet18, not for {name}")));
    }
    let mut file = read(path)?;
    let tensors = file.shapes();
    let keys: Vec<&str> = tensors.keys().map(String::as_str).collect();
    let names = Names::find(&keys, network.options().head).map_err(|message| Error::data(path, message))?;
    let parameters = network.parameters();
    let (mut found, mut ignored, mut unknown) = (BTreeMap::new(), Vec::new(), Vec::new());
    for (key, shape) in &tensors {
        match names.ours(key) {
            Name::Ours(name) if parameters.all().iter().any(|p| p.name == name) => {
                found.insert(name, (key, shape));
            }
            Name::Ignored => ignored.push(key.clone()),
            _ => unknown.push(format!("'{key}'")),
        }
    }
    let (mut wanted, mut missing, mut shapes) = (Vec::new(), Vec::new(), Vec::new());
    for parameter in parameters.all() {
        let Some(&(key, shape)) = found.get(&parameter.name) else {
            missing.push(format!("'{}'", parameter.name));
            continue;
        };
        let expected = pytorch_shape(&parameter.shape);
        if *shape != expected {
            shapes.push(format!("'{key}' has shape {shape:?} instead of {expected:?}"));
        }
        wanted.push(key);
    }
    let mut faults = Vec::new();
    if !missing.is_empty() {
        faults.push(format!("there is nothing for {}", missing.join(", ")));
    }
    if !unknown.is_empty() {
        faults.push(format!("the network has no place for {}", unknown.join(", ")));
    }
    faults.extend(shapes);
    if !faults.is_empty() {
        return Err(Error::data(path, faults.join("; ")));
    }
    // Their shapes are the network's, so that no file takes more room than the network.
    let values = wanted.into_iter().map(|key| {
        let tensor = file.get(key).map_err(|e| Error::data(path, format!("'{key}' is not readable: {e}")))?;
        let tensor = tensor.ok_or_else(|| Error::data(path, format!("'{key}' is not there")))?;
        Ok(if tensor.rank() == 4 { tensor.permute((0, 2, 3, 1))? } else { tensor })
    });
    parameters.replace(&values.collect::<Result<Vec<_>>>()?)?;
    Ok(ignored)
}

/// The shape that PyTorch gives to a parameter of this shape here.
fn pytorch_shape(shape: &[usize]) -> Vec<usize> {
    match *shape {
        [outputs, height, width, inputs] => vec![outputs, inputs, height, width],
        _ => shape.to_vec(),
    }
}

/// Names and shapes of the tensors of a file, as PyTorch has them; no numbers are read of a `.pt` file.
///
/// # Errors
/// A file that cannot be read.
pub fn shapes(path: &Path) -> Result<BTreeMap<String, Vec<usize>>> {
    Ok(read(path)?.shapes())
}

/// What a key of PyTorch's means here.
enum Name {
    /// The parameter of this name, if the network has it.
    Ours(String),
    /// Nothing that a forward pass needs.
    Ignored,
    /// Unknown.
    Unknown,
}

/// Where encoder and head begin.
struct Names<'a> {
    encoder: &'a str,
    head: Option<&'a str>,
    /// The index of the second linear layer of a head that is an unnamed sequence.
    last: &'static str,
}

impl<'a> Names<'a> {
    fn find(keys: &[&'a str], head: Head) -> std::result::Result<Self, String> {
        let one = |prefixes: Vec<&'a str>, what: &str| match prefixes[..] {
            [] => Ok(None),
            [prefix] => Ok(Some(prefix)),
            _ => Err(format!("{what} stands behind several prefixes: '{}'", prefixes.join("', '"))),
        };
        let encoders = keys.iter().filter_map(|key| key.strip_suffix(MARK)).collect();
        let encoder = one(encoders, MARK)?.ok_or_else(|| {
            format!("there is no '{MARK}' behind any prefix: not a ResNet-18 as torchvision names it")
        })?;
        let last = if head == Head::Paper { "3" } else { "2" };
        let names = Self { encoder, head: None, last };
        // `downsample.0.weight` belongs to the encoder.
        let outside = keys.iter().filter(|key| matches!(names.ours(key), Name::Unknown));
        let heads =
            outside.filter_map(|key| HEAD_MARKS.iter().find_map(|mark| key.strip_suffix(mark))).collect();
        Ok(Self { head: one(heads, "the head's first layer")?, ..names })
    }

    fn ours(&self, key: &str) -> Name {
        if key.ends_with("num_batches_tracked") {
            return Name::Ignored;
        }
        let inside = key.strip_prefix(self.encoder);
        if matches!(inside, Some("fc.weight" | "fc.bias")) {
            return Name::Ignored;
        }
        if let Some(name) = inside.and_then(encoder_name) {
            return Name::Ours(name);
        }
        let in_head = self.head.and_then(|head| key.strip_prefix(head)).and_then(|rest| {
            let (layer, part) = rest.split_once('.')?;
            let ours = match layer {
                "linear1" | "0" => "head.0",
                "bn1" | "1" => "head.0.norm",
                "linear2" => "head.1",
                index if index == self.last => "head.1",
                _ => return None,
            };
            Some(format!("{ours}.{part}"))
        });
        in_head.map_or(Name::Unknown, Name::Ours)
    }
}

/// The name of a parameter of torchvision's encoder here.
fn encoder_name(key: &str) -> Option<String> {
    if let Some(part) = key.strip_prefix("bn1.") {
        return Some(format!("encoder.0.norm.{part}"));
    }
    match key {
        "conv1.weight" => Some("encoder.0.weight".into()),
        _ if key.starts_with("layer") => Some(format!("encoder.{}", key.replace(".downsample.", ".skip."))),
        _ => None,
    }
}

/// Opens a file of either format.
fn read(path: &Path) -> Result<Content> {
    let mut start = Vec::new();
    let (file, _) = measure::input::open(path)?;
    file.take(4).read_to_end(&mut start).map_err(|e| Error::io(path, e))?;
    let bad = |message: String| Error::data(path, message);
    if path.extension().is_some_and(|extension| extension == "safetensors") {
        return Ok(Content::Safetensors(tensors::read(path)?.into_iter().collect()));
    }
    match start[..] {
        [b'P', b'K', 3, 4] => {}
        // A pickle of protocol 2 that begins with a number of ten bytes: torch.save's mark before 1.6.
        [0x80, 2, 0x8a, 10] => {
            return Err(bad(
                "saved in the format before PyTorch 1.6; load it there and save it again, with \
                 torch.save(torch.load(FILE, map_location='cpu'), NEW)"
                    .into(),
            ));
        }
        _ => return Err(bad("neither a .pt file of PyTorch 1.6 or later nor a .safetensors file".into())),
    }
    let unreadable = |e: String| {
        bad(format!(
            "not readable: {e}; save the state dict alone, with torch.save(model.state_dict(), FILE)"
        ))
    };
    let archive = Archive::open(path)?.map_err(unreadable)?;
    if archive.shapes().is_empty() {
        let entries = NESTED.join("', '");
        return Err(bad(format!("there are no tensors, neither at the top nor in '{entries}'")));
    }
    let strided = archive.strided();
    if !strided.is_empty() {
        return Err(bad(format!(
            "not stored in row-major order: {}; save model.to(memory_format=torch.contiguous_format)",
            strided.join(", ")
        )));
    }
    Ok(Content::Archive(archive))
}

#[cfg(test)]
mod tests;
