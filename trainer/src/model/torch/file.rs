//! The tensors of a file of PyTorch's, of either format.

use super::archive::{Archive, NESTED};
use crate::error::{Error, Result};
use crate::model::tensors;
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// The tensors of a file.
pub(super) enum Content {
    Safetensors(BTreeMap<String, Tensor>),
    /// Their numbers are left on disk until they are asked for.
    Archive(Archive),
}

impl Content {
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        match self {
            Self::Safetensors(tensors) => {
                tensors.iter().map(|(name, tensor)| (name.clone(), tensor.dims().to_vec())).collect()
            }
            Self::Archive(archive) => archive.shapes(),
        }
    }

    /// Whether a tensor has as many numbers as its shape says.
    pub fn check(&mut self, name: &str) -> std::result::Result<(), String> {
        match self {
            Self::Safetensors(_) => Ok(()),
            Self::Archive(archive) => archive.check(name),
        }
    }

    pub fn get(&mut self, name: &str) -> std::result::Result<Option<Tensor>, String> {
        match self {
            Self::Safetensors(tensors) => Ok(tensors.get(name).cloned()),
            Self::Archive(archive) => archive.get(name),
        }
    }
}

/// Opens a file of either format.
pub(super) fn open(path: &Path) -> Result<Content> {
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
