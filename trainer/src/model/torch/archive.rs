//! A file of PyTorch 1.6 or later: a zip archive with one folder, in it `data.pkl` (the pickle), `data/NAME` (the
//! numbers of a storage) and `byteorder`.

use super::pickle::{self, Description};
use crate::error::Result;
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use zip::ZipArchive;
use zip::read::{ArchiveOffset, ZipFile};

/// Entries of a larger dictionary that may be the state dict.
pub(super) const NESTED: [&str; 5] = ["state_dict", "model_state_dict", "model", "net", "model_state"];

/// No byte of deflate's stands for more: 258 of them for 2 bits.
const LARGEST_RATIO: u64 = 1032;

type Parsed<T> = std::result::Result<T, String>;

/// An archive that is open, and the tensors in it.
pub(super) struct Archive {
    zip: ZipArchive<BufReader<File>>,
    /// The folder in the archive.
    folder: String,
    tensors: BTreeMap<String, Description>,
}

impl Archive {
    /// # Errors
    /// Outside, the operating system's refusal; inside, what is wrong with the file.
    pub fn open(path: &Path) -> Result<Parsed<Self>> {
        let (file, _) = measure::input::open(path)?;
        Ok(Self::parse(file))
    }

    fn parse(file: File) -> Parsed<Self> {
        // PyTorch's archives begin with the file. Left to find the beginning out, the library takes the size of the
        // central directory from its end, behind which PyTorch writes 76 bytes of zip64; where the first header has 76
        // bytes too (a stem of 21), it finds the second one there and takes it for the first.
        let config = zip::read::Config { archive_offset: ArchiveOffset::Known(0) };
        let mut zip = ZipArchive::with_config(config, BufReader::new(file)).map_err(one_line)?;
        if zip.has_duplicate_names() {
            return Err("a name comes twice in the archive".into());
        }
        let pickles: Vec<String> = zip
            .file_names()
            .filter_map(|name| Some(name.ok()?.strip_suffix("/data.pkl")?.to_string()))
            .collect();
        let [folder] = <[String; 1]>::try_from(pickles)
            .map_err(|found| format!("the archive has {} entries 'data.pkl', not one", found.len()))?;
        if let Some(order) =
            optional(&mut zip, &format!("{folder}/byteorder"), 16)?.filter(|o| o != b"little")
        {
            let order: String = String::from_utf8_lossy(&order).escape_debug().collect();
            return Err(format!("its numbers are stored in the order '{order}', not 'little'"));
        }
        let pickle =
            optional(&mut zip, &format!("{folder}/data.pkl"), pickle::MOST_BYTES)?.unwrap_or_default();
        let tensors = pickle::tensors(&pickle, &NESTED)?;
        Ok(Self { zip, folder, tensors })
    }

    /// Names and shapes of all tensors.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect()
    }

    /// Tensors that are stored neither in row-major nor in column-major order, in quotation marks.
    pub fn strided(&self) -> Vec<String> {
        let strided = self.tensors.iter().filter(|(_, tensor)| Order::of(tensor).is_none());
        strided.map(|(name, _)| format!("'{name}'")).collect()
    }

    /// Whether a tensor's storage holds as many numbers as its shape says, without reading them.
    ///
    /// # Errors
    /// It does not.
    pub fn check(&mut self, name: &str) -> Parsed<()> {
        let Some(tensor) = self.tensors.get(name) else { return Ok(()) };
        let entry = format!("{}/data/{}", self.folder, tensor.storage);
        place(&self.zip.by_name(&entry).map_err(one_line)?, tensor).map(drop)
    }

    /// A tensor's numbers; `None`: there is none of this name.
    ///
    /// # Errors
    /// More numbers than the storage has, a damaged storage.
    pub fn get(&mut self, name: &str) -> Parsed<Option<Tensor>> {
        let Some(tensor) = self.tensors.get(name) else { return Ok(None) };
        let order = Order::of(tensor).ok_or("it is stored neither row by row nor column by column")?;
        let bytes = numbers(&mut self.zip, &format!("{}/data/{}", self.folder, tensor.storage), tensor)?;
        let mut shape = tensor.shape.clone();
        if order == Order::Columns {
            shape.reverse();
        }
        let rows = Tensor::from_raw_buffer(&bytes, tensor.dtype, &shape, &Device::Cpu).map_err(one_line)?;
        if order == Order::Rows {
            return Ok(Some(rows));
        }
        let reversed: Vec<usize> = (0..shape.len()).rev().collect();
        rows.permute(reversed).map(Some).map_err(one_line)
    }
}

/// Where a tensor's bytes begin in its storage, and how many there are.
fn place(storage: &ZipFile<'_, BufReader<File>>, tensor: &Description) -> Parsed<(usize, usize)> {
    let width = tensor.dtype.size_in_bytes();
    let count = tensor.shape.iter().try_fold(width, |product, &size| product.checked_mul(size));
    let start = tensor.offset.checked_mul(width);
    let end = start.zip(count).and_then(|(start, count)| start.checked_add(count));
    let (Some(start), Some(count), Some(end)) = (start, count, end) else {
        return Err(format!("its shape {:?} is beyond any memory", tensor.shape));
    };
    let (size, packed) = (storage.size(), storage.compressed_size());
    if size > packed.saturating_mul(LARGEST_RATIO) || (end as u64) > size {
        return Err(format!("it ends at byte {end} of a storage of {size} (packed: {packed})"));
    }
    Ok((start, count))
}

/// The bytes of a tensor, out of those of its storage.
fn numbers(zip: &mut ZipArchive<BufReader<File>>, entry: &str, tensor: &Description) -> Parsed<Vec<u8>> {
    let mut storage = zip.by_name(entry).map_err(one_line)?;
    let (start, count) = place(&storage, tensor)?;
    let mut skip = |bytes: u64| std::io::copy(&mut storage.by_ref().take(bytes), &mut std::io::sink());
    skip(start as u64).map_err(one_line)?;
    let mut bytes = Vec::with_capacity(count);
    storage.by_ref().take(count as u64).read_to_end(&mut bytes).map_err(one_line)?;
    if bytes.len() != count {
        return Err(format!("{} of its {count} bytes are there", bytes.len()));
    }
    // The checksum is that of the whole storage.
    std::io::copy(&mut storage, &mut std::io::sink()).map_err(one_line)?;
    Ok(bytes)
}

/// An entry of at most `most` bytes, if there is one.
fn optional(zip: &mut ZipArchive<BufReader<File>>, name: &str, most: u64) -> Parsed<Option<Vec<u8>>> {
    if zip.index_for_name(name).is_none() {
        return Ok(None);
    }
    let entry = zip.by_name(name).map_err(one_line)?;
    if entry.size() > most {
        return Err(format!("'{}' has {} bytes, more than {most}", name.escape_debug(), entry.size()));
    }
    let mut bytes = Vec::new();
    entry.take(most + 1).read_to_end(&mut bytes).map_err(one_line)?;
    Ok(Some(bytes))
}

/// What a message shows of another library's: 200 characters, on one line.
fn one_line(error: impl std::fmt::Display) -> String {
    measure::input::one_line(&error.to_string())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// The last dimension lies side by side.
    Rows,
    /// The first one does.
    Columns,
}

impl Order {
    fn of(tensor: &Description) -> Option<Self> {
        let pairs = tensor.shape.iter().copied().zip(tensor.strides.iter().copied());
        if is_dense(pairs.clone().rev()) {
            return Some(Self::Rows);
        }
        is_dense(pairs).then_some(Self::Columns)
    }
}

/// Whether each dimension steps over all of those before it; that of a dimension of size 1 means nothing.
fn is_dense(mut pairs: impl Iterator<Item = (usize, usize)>) -> bool {
    let mut step = Some(1usize);
    pairs.all(|(size, stride)| {
        let fits = size == 1 || step == Some(stride);
        step = step.and_then(|step| step.checked_mul(size));
        fits
    })
}

#[cfg(test)]
mod tests;
