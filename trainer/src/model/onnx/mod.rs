//! A network as an ONNX file, for onnxruntime and whatever else runs such files: its weights and what is computed with
//! them.
//!
//! Operations are those of opset 17, in evaluation: batch normalisation with the running statistics. Weights have the
//! names of [`torch::exported`].

mod graph;
mod proto;

use super::unit::Unit;
use super::{Network, torch};
use crate::data::InputKind;
use crate::error::{Error, Result};
use graph::Graph;
use prost::Message;
use std::path::Path;

/// Version of the format, and of its operations: what onnxruntime 1.11 (March 2022) and later read.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;

/// Bytes that readers of protocol buffers take.
const MOST_BYTES: usize = i32::MAX as usize;

/// What a reader of the file must know.
const DESCRIPTION: &str = "images: [batch, channels, height, width], pixels in [0, 1]. features: of the encoder. \
                           projection: of the head behind it, not scaled to unit length.";

/// Writes an encoder of images with its head as an ONNX file.
///
/// Input `images`, f32 \[batch, channels, height, width\] in \[0, 1\]; outputs `features`, f32 \[batch, h\], those of the
/// encoder, and `projection`, f32 \[batch, d\], those of the head, not normalised. What the batch is, is seen when it
/// runs. The numbers are those of [`Network::forward`] up to rounding.
///
/// # Errors
/// An encoder of texts or one written with `candle-nn`; more than 2³¹ − 1 bytes; the operating system refuses.
pub fn save(network: &Network, path: &Path) -> Result<()> {
    let file = model(network)?;
    let length = file.encoded_len();
    if length > MOST_BYTES {
        let name = network.architecture().name();
        return Err(Error::argument(format!(
            "encoder = {name} for such images takes {length} bytes; an ONNX file holds at most {MOST_BYTES}"
        )));
    }
    Ok(theory::files::write_atomically(path, &file.encode_to_vec())?)
}

fn model(network: &Network) -> Result<proto::Model> {
    let name = network.architecture().name();
    let InputKind::Images(image) = network.input else {
        return Err(Error::argument(format!(
            "encoder = {name} reads texts; only encoders of images become ONNX"
        )));
    };
    let [height, width, channels] = image;
    let mut graph = Graph::new(network.parameters(), torch::exported(network)?, name);
    graph.graph.input.push(proto::Value::of_batch("images", &[channels, height, width]));
    let features = graph.add(&network.encoder, "images".into())?;
    let projection = graph.add(&network.head, features.clone())?;
    let size = |units: &[Unit], image| -> Result<[usize; 3]> {
        let next = |shape, unit: &Unit| Ok(unit.multiplications(shape)?.1);
        units.iter().try_fold(image, next)
    };
    let of_features = size(&network.encoder, image)?;
    let of_projection = size(&network.head, of_features)?;
    graph.output(&features, "features", of_features[2]);
    graph.output(&projection, "projection", of_projection[2]);
    Ok(proto::Model {
        ir_version: IR_VERSION,
        producer_name: env!("CARGO_PKG_NAME").into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        doc_string: DESCRIPTION.into(),
        graph: Some(graph.graph),
        opset_import: vec![proto::OperatorSet { domain: String::new(), version: OPSET }],
    })
}

#[cfg(test)]
mod tests;
