//! A network under PyTorch's names and in PyTorch's order of dimensions.

use super::{encoder, write};
use crate::error::{Error, Result};
use crate::model::residual::Depth;
use crate::model::sealed::{self, Notes, Part};
use crate::model::{Network, Table};
use candle_core::Tensor;
use std::path::Path;

/// Writes all values of a network as a `.pt` file, which `torch.load(FILE, weights_only=True)` reads.
///
/// Names and shapes are those of [`exported`].
///
/// # Errors
/// The operating system refuses.
pub fn save(network: &Network, path: &Path) -> Result<()> {
    write::save(path, &exported(network)?)
}

/// Writes all values of a network as safetensors, with the names and shapes of [`exported`].
///
/// # Errors
/// The operating system refuses.
pub fn save_safetensors(network: &Network, path: &Path) -> Result<()> {
    let tensors = exported(network)?.into_iter();
    let parts = tensors.map(|(name, tensor)| Part::new(name, &tensor)).collect::<Result<Vec<_>>>()?;
    let bytes = sealed::seal(&parts, &Notes::new())
        .map_err(|e| Error::data(path, format!("cannot be written: {e}")))?;
    Ok(theory::files::write_atomically(path, &bytes)?)
}

/// All values of a network, on the CPU, in PyTorch's order of dimensions.
///
/// A ResNet has torchvision's names, such as `conv1.weight` and `layer4.1.bn2.running_var`, and its head is
/// `projection_head.I`, numbered as in a `nn.Sequential` of its linear layers, batch normalisations and ReLUs: a model
/// with `projection_head` beside torchvision's modules loads it. Other architectures keep their own names, those of a
/// checkpoint.
///
/// # Errors
/// The device cannot be read.
pub fn exported(network: &Network) -> Result<Vec<(String, Tensor)>> {
    let parameters = network.parameters();
    let is_resnet = Depth::of(network.architecture()).is_some();
    let mut tensors = parameters.tensors()?;
    tensors.extend(parameters.table().map(Table::tensor).transpose()?);
    let places = head_places(&tensors);
    let converted = tensors.into_iter().map(|(name, tensor)| {
        let tensor = tensor.to_device(&candle_core::Device::Cpu)?;
        // Tensors of an encoder written with candle-nn have PyTorch's order already.
        let is_ours = tensor.rank() == 4 && !network.uses_autograd();
        let tensor = if is_ours { tensor.permute((0, 3, 1, 2))? } else { tensor };
        let name = match (is_resnet, name.strip_prefix("encoder."), name.strip_prefix("head.")) {
            (true, Some(encoder), _) => encoder::theirs(encoder),
            (true, _, Some(head)) => head_name(head, &places),
            _ => name,
        };
        Ok((name, tensor.contiguous()?))
    });
    converted.collect()
}

/// Where each linear layer of a head stands in a `nn.Sequential`: behind the layer before it, that layer's
/// normalisation, if it has one, and a ReLU.
fn head_places(tensors: &[(String, Tensor)]) -> Vec<usize> {
    let has = |name: String| tensors.iter().any(|(known, _)| *known == name);
    let mut places = Vec::new();
    let mut next = 0;
    while has(format!("head.{}.weight", places.len())) {
        let norm = has(format!("head.{}.norm.weight", places.len()));
        places.push(next);
        next += 2 + usize::from(norm);
    }
    places
}

/// The name in that `nn.Sequential` of a head's parameter here, `head.` left out.
fn head_name(ours: &str, places: &[usize]) -> String {
    let layer = ours
        .split_once('.')
        .and_then(|(index, part)| Some((places.get(index.parse::<usize>().ok()?)?, part)));
    match layer {
        Some((place, part)) => match part.strip_prefix("norm.") {
            Some(part) => format!("projection_head.{}.{part}", place + 1),
            None => format!("projection_head.{place}.{part}"),
        },
        None => format!("projection_head.{ours}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Architecture;
    use candle_core::Device;

    /// Written here, convolutions lie as \[out, height, width, in\]; written with `candle-nn`, as PyTorch has them.
    #[test]
    fn convolutions_have_the_order_of_pytorch() {
        for (name, weight, shape) in [
            ("conv", "encoder.0.weight", [16, 3, 3, 3]),
            ("vit-tiny", "encoder.patch_embed.proj.weight", [192, 3, 4, 4]),
        ] {
            let architecture = Architecture::try_from(name.to_string()).unwrap();
            let network = Network::new(architecture, [8, 8, 3], 7, &Device::Cpu).unwrap();
            let exported = exported(&network).unwrap();
            let (_, tensor) = exported.iter().find(|(known, _)| known == weight).unwrap();
            assert_eq!(tensor.dims(), shape, "{name}");
        }
    }
}
