//! Arrays of a `.npz` or safetensors file, by name, as f64: exact from every type but integers beyond 2⁵³.
//!
//! A `.npz` is a zip archive of `NAME.npy` ([`theory::npy`]). There must be neither fewer nor more bytes than a header
//! promises; the archive's CRC-32 must be that of the bytes, and no name may come twice.

use crate::error::{Error, Result};
use crate::input;
use flate2::Crc;
use half::{bf16, f16};
use safetensors::Dtype;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use theory::npy::Npy;
use zip::ZipArchive;

/// No byte of deflate's stands for more: 258 of them for 2 bits.
const LARGEST_RATIO: u64 = 1032;

/// An array of a file.
pub(super) struct Array {
    pub name: String,
    pub shape: Vec<usize>,
    /// In C order.
    pub values: Vec<f64>,
}

/// A file that is open.
pub(super) struct Arrays {
    path: PathBuf,
    /// Bytes of the file.
    length: u64,
    content: Content,
}

enum Content {
    Npz(ZipArchive<BufReader<File>>),
    Safetensors(Vec<u8>),
}

impl Arrays {
    /// # Errors
    /// Unreadable, or of neither format.
    pub fn open(path: &Path) -> Result<Self> {
        const HINT: &str = "(what is read: numpy.savez or savez_compressed, of arrays in C order)";
        let bad = |message: String| Error::data(path, message);
        let (file, length) = input::open(path)?;
        let content = match path.extension().and_then(|e| e.to_str()) {
            Some("npz") => {
                let archive = ZipArchive::new(BufReader::new(file));
                let archive = archive
                    .map_err(|e| bad(format!("not readable: {} {HINT}", input::one_line(&e.to_string()))))?;
                if archive.has_duplicate_names() {
                    return Err(bad("not readable: a name comes twice in the archive".into()));
                }
                Content::Npz(archive)
            }
            Some("safetensors") => {
                let bytes = input::read(path)?;
                input::safetensors(&bytes).map_err(|e| bad(format!("not readable: {e}")))?;
                Content::Safetensors(bytes)
            }
            _ => return Err(Error::data(path, "features must be a .npz or .safetensors file")),
        };
        Ok(Self { path: path.to_path_buf(), length, content })
    }

    /// The array of this name, if there is one.
    ///
    /// # Errors
    /// Damaged, of a type that holds no numbers, or not in C order.
    pub fn get(&mut self, name: &str) -> Result<Option<Array>> {
        let found = match &mut self.content {
            Content::Npz(archive) => npz(archive, name, self.length),
            Content::Safetensors(bytes) => tensor(bytes, name),
        };
        // What a header holds may be anything.
        let shown = |message: String| input::one_line(&message);
        found.map_err(|e| Error::data(&self.path, format!("'{name}' is not readable: {}", shown(e))))
    }
}

type Parsed<T> = std::result::Result<T, String>;

fn tensor(bytes: &[u8], name: &str) -> Parsed<Option<Array>> {
    let tensors = input::safetensors(bytes)?;
    let Ok(tensor) = tensors.tensor(name) else { return Ok(None) };
    let values = decode(tensor.dtype(), tensor.data())?;
    Ok(Some(Array { name: name.into(), shape: tensor.shape().to_vec(), values }))
}

fn npz(archive: &mut ZipArchive<BufReader<File>>, name: &str, length: u64) -> Parsed<Option<Array>> {
    let entries = [format!("{name}.npy"), name.into()];
    let mut found = entries.into_iter().filter(|entry| archive.index_for_name(entry).is_some());
    let (Some(entry), second) = (found.next(), found.next()) else { return Ok(None) };
    if let Some(second) = second {
        return Err(format!("the archive has '{entry}' and '{second}'"));
    }
    npy(&unpacked(archive, &entry, length)?, name).map(Some)
}

/// An entry of an archive of `length` bytes, as long as the archive says and with the archive's checksum.
fn unpacked(archive: &mut ZipArchive<BufReader<File>>, entry: &str, length: u64) -> Parsed<Vec<u8>> {
    let entry = archive.by_name(entry).map_err(|e| e.to_string())?;
    let (size, packed, checksum) = (entry.size(), entry.compressed_size(), entry.crc32());
    if packed > length || size > packed.saturating_mul(LARGEST_RATIO) {
        return Err(format!(
            "{packed} packed bytes of a file of {length} cannot hold the {size} it promises"
        ));
    }
    // What is compressed grows as it is read.
    let mut bytes = Vec::with_capacity(size.min(length) as usize);
    entry.take(size + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 != size {
        return Err(format!("{} bytes where the archive promises {size}", bytes.len()));
    }
    let mut found = Crc::new();
    found.update(&bytes);
    if found.sum() != checksum {
        return Err(format!("its CRC-32 is {:08x}, the archive says {checksum:08x}", found.sum()));
    }
    Ok(bytes)
}

fn npy(bytes: &[u8], name: &str) -> Parsed<Array> {
    let array = Npy::parse(bytes)?;
    let dtype = dtype(array.descr)?;
    array.check_size(dtype.bitsize() / 8)?;
    Ok(Array { name: name.into(), values: decode(dtype, array.values)?, shape: array.shape })
}

/// The type behind a description such as `f4`.
fn dtype(description: &str) -> Parsed<Dtype> {
    Ok(match description {
        "e" | "f2" => Dtype::F16,
        "f" | "f4" => Dtype::F32,
        "d" | "f8" => Dtype::F64,
        "?" | "b1" => Dtype::BOOL,
        "b" | "i1" => Dtype::I8,
        "h" | "i2" => Dtype::I16,
        "i" | "i4" => Dtype::I32,
        "q" | "i8" => Dtype::I64,
        "B" | "u1" => Dtype::U8,
        "H" | "u2" => Dtype::U16,
        "I" | "u4" => Dtype::U32,
        "Q" | "u8" => Dtype::U64,
        _ => {
            return Err(format!("its type {description} is no integer or float of 16 to 64 bits"));
        }
    })
}

fn decode(dtype: Dtype, bytes: &[u8]) -> Parsed<Vec<f64>> {
    fn each<const SIZE: usize>(bytes: &[u8], value: impl Fn([u8; SIZE]) -> f64) -> Vec<f64> {
        bytes.as_chunks().0.iter().map(|&chunk| value(chunk)).collect()
    }
    Ok(match dtype {
        Dtype::BOOL | Dtype::U8 => each(bytes, |b| f64::from(u8::from_le_bytes(b))),
        Dtype::I8 => each(bytes, |b| f64::from(i8::from_le_bytes(b))),
        Dtype::U16 => each(bytes, |b| f64::from(u16::from_le_bytes(b))),
        Dtype::I16 => each(bytes, |b| f64::from(i16::from_le_bytes(b))),
        Dtype::U32 => each(bytes, |b| f64::from(u32::from_le_bytes(b))),
        Dtype::I32 => each(bytes, |b| f64::from(i32::from_le_bytes(b))),
        Dtype::U64 => each(bytes, |b| u64::from_le_bytes(b) as f64),
        Dtype::I64 => each(bytes, |b| i64::from_le_bytes(b) as f64),
        Dtype::F8_E4M3 => each(bytes, e4m3),
        Dtype::F16 => each(bytes, |b| f16::from_le_bytes(b).to_f64()),
        Dtype::BF16 => each(bytes, |b| bf16::from_le_bytes(b).to_f64()),
        Dtype::F32 => each(bytes, |b| f64::from(f32::from_le_bytes(b))),
        Dtype::F64 => each(bytes, f64::from_le_bytes),
        other => return Err(format!("its type {other:?} holds no numbers that are read")),
    })
}

/// One sign, four exponent bits with bias 7, three of the mantissa; no infinity.
fn e4m3([byte]: [u8; 1]) -> f64 {
    let (exponent, mantissa) = (i32::from(byte >> 3 & 15), byte & 7);
    let magnitude = match (exponent, mantissa) {
        (15, 7) => f64::NAN,
        (0, _) => f64::from(mantissa) / 8.0 * 2f64.powi(-6),
        _ => (1.0 + f64::from(mantissa) / 8.0) * 2f64.powi(exponent - 7),
    };
    if byte >> 7 == 1 { -magnitude } else { magnitude }
}
