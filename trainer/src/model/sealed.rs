//! Files of tensors that say of every byte whether it is still what was written.
//!
//! An ordinary safetensors file, whose metadata hold one key, `seal`. Its value is 16 hexadecimal digits, a space, and
//! the JSON `{"tensors":{NAME:DIGEST,…},"notes":{…}}`. A DIGEST is that of a tensor's bytes; the 16 digits before are
//! that of the header (its length included) with zeros in their own place. Every digest is the first 16 hexadecimal
//! digits of SHA-256. That safetensors leaves no byte outside the header and the tensors closes the circle: no byte can
//! change without a digest, or the format, telling.
//!
//! The bytes are a function of tensors and notes: metadata of more than one key would have a random order.

use candle_core::{Device, Tensor};
use safetensors::tensor::{Metadata, TensorInfo, TensorView};
use safetensors::{Dtype, SafeTensors, View};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// What a file says beside its tensors.
pub(crate) type Notes = Map<String, Value>;

/// Bytes that hold the length of the header.
const LENGTH: usize = 8;

/// How a header with a seal begins.
const PREFIX: &[u8] = br#"{"__metadata__":{"seal":""#;

/// Where the digits of the header stand.
const DIGITS: Range<usize> = LENGTH + PREFIX.len()..LENGTH + PREFIX.len() + 16;

const ZEROS: &str = "0000000000000000";

/// A tensor as a file holds it.
pub(crate) struct Part {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Part {
    /// A copy of a tensor, wherever it is.
    ///
    /// # Errors
    /// The tensor library fails.
    pub fn new(name: String, tensor: &Tensor) -> crate::error::Result<Self> {
        let tensor = tensor.to_device(&Device::Cpu)?.contiguous()?;
        let (dtype, shape) = (View::dtype(&tensor), tensor.dims().to_vec());
        let bytes = View::data(&tensor).into_owned();
        Ok(Self { name, dtype, shape, bytes })
    }

    /// A text, as a tensor of its bytes.
    pub fn text(name: &str, text: &str) -> Self {
        let bytes = text.as_bytes().to_vec();
        Self { name: name.into(), dtype: Dtype::U8, shape: vec![bytes.len()], bytes }
    }
}

impl View for &Part {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// The first 16 hexadecimal digits of SHA-256.
fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let whole = parts.into_iter().fold(Sha256::new(), |all, part| all.chain_update(part)).finalize();
    whole[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest of a header with zeros in the place of its own digits.
fn header_digest(header: &[u8]) -> String {
    digest([&header[..DIGITS.start], ZEROS.as_bytes(), &header[DIGITS.end..]])
}

/// The bytes of a file.
///
/// # Errors
/// A header that is too large for the format.
pub(crate) fn seal(parts: &[Part], notes: &Notes) -> Result<Vec<u8>, String> {
    let digests: BTreeMap<&str, String> =
        parts.iter().map(|part| (part.name.as_str(), digest([&part.bytes[..]]))).collect();
    let text = format!("{ZEROS} {}", json!({ "tensors": digests, "notes": notes }));
    let metadata = HashMap::from([("seal".to_string(), text)]);
    let named = parts.iter().map(|part| (part.name.as_str(), part));
    let mut bytes = safetensors::serialize(named, Some(metadata)).map_err(|e| e.to_string())?;
    let end = header_end(&bytes).ok_or("its header has no end")?;
    let digits = header_digest(&bytes[..end]);
    bytes[DIGITS].copy_from_slice(digits.as_bytes());
    Ok(bytes)
}

/// Where the header ends, and the tensors begin; `None` where that is outside of the file.
fn header_end(bytes: &[u8]) -> Option<usize> {
    let length = u64::from_le_bytes(bytes.get(..LENGTH)?.try_into().ok()?);
    let end = usize::try_from(length).ok()?.checked_add(LENGTH)?;
    (end <= bytes.len()).then_some(end)
}

/// What the value of `seal` says after its digits.
#[derive(serde::Deserialize)]
struct Seal {
    tensors: HashMap<String, String>,
    notes: Notes,
}

/// A file whose every byte was looked at, if it has a seal.
#[derive(Debug)]
pub(crate) struct Opened {
    bytes: Vec<u8>,
    start: usize,
    header: Metadata,
    notes: Option<Notes>,
}

impl Opened {
    /// Reads the bytes of a file; one that has no seal is only looked at as far as the format goes.
    ///
    /// # Errors
    /// What is damaged, in words that follow the file's name.
    pub fn new(bytes: Vec<u8>) -> Result<Self, String> {
        if bytes.is_empty() {
            return Err("the file is empty".into());
        }
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(format!("all of its {} bytes are zero", bytes.len()));
        }
        let end = header_end(&bytes).ok_or("it is cut off, or no safetensors file")?;
        let has_seal = bytes.get(LENGTH..DIGITS.start) == Some(PREFIX);
        if has_seal && (end < DIGITS.end || bytes[DIGITS] != *header_digest(&bytes[..end]).as_bytes()) {
            return Err("its header is damaged".into());
        }
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| match e {
            safetensors::SafeTensorError::MetadataIncompleteBuffer => {
                let found = bytes.len();
                format!("it is cut off, or longer than it was: it has {found} bytes")
            }
            other => other.to_string(),
        })?;
        let mut opened = Self { bytes, start: end, header, notes: None };
        if has_seal {
            opened.notes = Some(opened.checked()?);
        }
        Ok(opened)
    }

    /// Compares every tensor with its digest.
    fn checked(&self) -> Result<Notes, String> {
        let text = self.plain("seal").unwrap_or_default().get(ZEROS.len()..).unwrap_or_default();
        let seal: Seal = serde_json::from_str(text).map_err(|e| format!("its seal cannot be read: {e}"))?;
        for (name, info) in self.header.tensors() {
            if seal.tensors.get(&name) != Some(&digest([self.data(info)])) {
                return Err(format!("tensor '{name}' is damaged"));
            }
        }
        Ok(seal.notes)
    }

    fn data(&self, info: &TensorInfo) -> &[u8] {
        // The format was checked: offsets lie within the file.
        &self.bytes[self.start + info.data_offsets.0..self.start + info.data_offsets.1]
    }

    /// What the file says beside its tensors; `None` if it has no seal.
    pub fn notes(&self) -> Option<&Notes> {
        self.notes.as_ref()
    }

    /// A note that is a text.
    pub fn note(&self, name: &str) -> Option<&str> {
        self.notes.as_ref()?.get(name)?.as_str()
    }

    /// A text of the metadata, as files without a seal have them.
    pub fn plain(&self, name: &str) -> Option<&str> {
        Some(self.header.metadata().as_ref()?.get(name)?.as_str())
    }

    /// What [`Part::text`] put there.
    pub fn text(&self, name: &str) -> Option<&str> {
        let info = self.header.info(name).filter(|info| info.dtype == Dtype::U8)?;
        std::str::from_utf8(self.data(info)).ok()
    }

    /// All tensors but texts, on this device.
    ///
    /// # Errors
    /// A type of numbers that the tensor library does not have; a device without room.
    pub fn tensors(&self, device: &Device) -> Result<HashMap<String, Tensor>, String> {
        let numbers = self.header.tensors().into_iter().filter(|(_, info)| info.dtype != Dtype::U8);
        let load = |(name, info): (String, &TensorInfo)| {
            let failed = |e: &dyn std::fmt::Display| format!("tensor '{name}' cannot be read: {e}");
            let view = TensorView::new(info.dtype, info.shape.clone(), self.data(info));
            let tensor = super::tensors::tensor(&name, &view.map_err(|e| failed(&e))?)?;
            let tensor = tensor.to_device(device).map_err(|e| failed(&e))?;
            Ok((name, tensor))
        };
        numbers.map(load).collect()
    }
}

#[cfg(test)]
mod tests;
