//! A state dict as `torch.save` writes one and `torch.load(weights_only=True)` reads it: a stored zip archive with
//! `archive/data.pkl`, the numbers of each tensor in `archive/data/INDEX`, `archive/byteorder` and `archive/version`.
//!
//! The pickle is `OrderedDict([(name, tensor), …])`, each tensor a call of `torch._utils._rebuild_tensor_v2` with a
//! storage of its own, an offset of 0 and the strides of row-major order.

use crate::error::{Error, Result};
use candle_core::{DType, Tensor};
use std::io::{Cursor, Write};
use std::path::Path;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Where PyTorch aligns the numbers of a storage.
const ALIGNMENT: u16 = 64;

/// Writes tensors of f32 under these names, in their order, atomically.
///
/// # Errors
/// A tensor of other numbers; the operating system refuses.
pub(super) fn save(path: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
    let bytes = archive(tensors).map_err(|e| match e {
        Error::Argument(message) => Error::data(path, message),
        other => other,
    })?;
    Ok(theory::files::write_atomically(path, &bytes)?)
}

fn archive(tensors: &[(String, Tensor)]) -> Result<Vec<u8>> {
    let failed = |e: &dyn std::fmt::Display| Error::argument(format!("cannot be written: {e}"));
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .with_alignment(ALIGNMENT);
    let mut entry = |name: &str, bytes: &[u8]| {
        zip.start_file(format!("archive/{name}"), options).map_err(|e| failed(&e))?;
        zip.write_all(bytes).map_err(|e| failed(&e))
    };
    let shapes: Vec<(&str, &[usize])> = tensors.iter().map(|(name, t)| (name.as_str(), t.dims())).collect();
    entry("data.pkl", &pickle(&shapes))?;
    entry("byteorder", b"little")?;
    for (index, (name, tensor)) in tensors.iter().enumerate() {
        if tensor.dtype() != DType::F32 {
            let found = tensor.dtype().as_str();
            return Err(Error::argument(format!("'{name}' holds numbers of type {found} instead of f32")));
        }
        let bytes: Vec<u8> =
            tensor.flatten_all()?.to_vec1::<f32>()?.into_iter().flat_map(f32::to_le_bytes).collect();
        entry(&format!("data/{index}"), &bytes)?;
    }
    entry("version", b"3\n")?;
    Ok(zip.finish().map_err(|e| failed(&e))?.into_inner())
}

/// The pickle (protocol 2) of these names and shapes; the numbers of tensor I are those of storage I.
pub(super) fn pickle(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let mut bytes = b"\x80\x02ccollections\nOrderedDict\n)R(".to_vec();
    for (index, (name, shape)) in tensors.iter().enumerate() {
        text(&mut bytes, name);
        bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut bytes, "storage");
        bytes.extend(b"ctorch\nFloatStorage\n");
        text(&mut bytes, &index.to_string());
        text(&mut bytes, "cpu");
        integer(&mut bytes, shape.iter().product());
        bytes.extend(b"tQK\0"); // the persistent identifier, and an offset of 0
        tuple(&mut bytes, shape);
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        tuple(&mut bytes, &strides);
        bytes.extend(b"\x89ccollections\nOrderedDict\n)RtR"); // no gradient, no hooks
    }
    bytes.extend(b"u.");
    bytes
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(b'X');
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// A number of eight bytes, the last of which is 0: shorter than any memory.
fn integer(bytes: &mut Vec<u8>, value: usize) {
    bytes.extend([0x8a, 8]);
    bytes.extend((value as u64).to_le_bytes());
}

fn tuple(bytes: &mut Vec<u8>, values: &[usize]) {
    bytes.push(b'(');
    values.iter().for_each(|&value| integer(bytes, value));
    bytes.push(b't');
}
