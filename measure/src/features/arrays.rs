//! Arrays of a `.npz`, a safetensors or of `.npy` files, by name: shape, type and bytes.
//!
//! A `.npz` is a zip archive of `NAME.npy` ([`theory::npy`]). There must be neither fewer nor more bytes than a header
//! promises; the archive's CRC-32 must be that of the bytes, and no name may come twice. What nobody asks for is not
//! looked at: other arrays of the file may be of any type.

use super::bytes::{Bytes, Stored};
use super::decode::dtype;
use crate::error::{Error, Result};
use crate::input;
use flate2::Crc;
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use theory::json::Unrepeated;
use theory::npy::Header;
use zip::{CompressionMethod, ZipArchive};

/// No byte of deflate's stands for more: 258 of them for 2 bits.
const LARGEST_RATIO: u64 = 1032;
/// Bytes of a file in which its header must end; numpy's own limit is far below.
const LARGEST_HEADER: u64 = 1 << 20;
/// Bytes of a safetensors header, at most: the library's limit.
const LARGEST_INDEX: u64 = 100_000_000;
/// Bytes that are read at once.
const PIECE: usize = 1 << 20;

/// An array of a file.
#[derive(Debug)]
pub(super) struct Array {
    pub name: String,
    pub shape: Vec<usize>,
    pub dtype: Dtype,
    /// Whether the first axis runs fastest.
    pub fortran_order: bool,
    pub bytes: Bytes,
}

/// A file that is open.
pub(super) struct Arrays {
    path: PathBuf,
    /// Bytes of the file.
    length: u64,
    /// Arrays of more bytes stay in the file, where they are stored as they are.
    held: u64,
    content: Content,
}

enum Content {
    Npz(ZipArchive<BufReader<File>>, Arc<File>),
    Safetensors(Metadata, Stored),
    Npy(Vec<(String, PathBuf)>),
}

impl Arrays {
    /// A `.npz` or `.safetensors` file.
    ///
    /// # Errors
    /// Unreadable, or of neither format.
    pub fn open(path: &Path, held: u64) -> Result<Self> {
        const HINT: &str = "(what is read: numpy.savez or savez_compressed)";
        let bad = |message: String| Error::data(path, message);
        let (file, length) = input::open(path)?;
        let file = Arc::new(file);
        let content = match path.extension().and_then(|e| e.to_str()) {
            Some("npz") => {
                let again = file.try_clone().map_err(|e| Error::io(path, e))?;
                let archive = ZipArchive::new(BufReader::new(again))
                    .map_err(|e| bad(format!("not readable: {} {HINT}", input::one_line(&e.to_string()))))?;
                if archive.has_duplicate_names() {
                    return Err(bad("not readable: a name comes twice in the archive".into()));
                }
                Content::Npz(archive, file)
            }
            Some("safetensors") => {
                let all = Stored { file, path: path.into(), start: 0, length: length as usize };
                let (metadata, values) =
                    index(all).map_err(|e| bad(format!("not readable: {}", input::one_line(&e))))?;
                Content::Safetensors(metadata, values)
            }
            Some("npy") => {
                return Err(bad(
                    "one .npy is one array: give two, VIEW1.npy VIEW2.npy, and --labels LABELS.npy".into(),
                ));
            }
            _ => return Err(bad("features must be a .npz or .safetensors file".into())),
        };
        Ok(Self { path: path.to_path_buf(), length, held, content })
    }

    /// `.npy` files, each an array of this name.
    pub fn of_files(files: Vec<(String, PathBuf)>, held: u64) -> Self {
        let path = files.first().map_or_else(PathBuf::new, |(_, path)| path.clone());
        Self { path, length: 0, held, content: Content::Npy(files) }
    }

    /// The file of an array.
    pub fn path(&self, name: &str) -> &Path {
        match &self.content {
            Content::Npy(files) => {
                files.iter().find(|(of, _)| of == name).map_or(&self.path, |(_, path)| path)
            }
            _ => &self.path,
        }
    }

    /// The array of this name, if there is one.
    ///
    /// # Errors
    /// Damaged, or of a type that holds no numbers.
    pub fn get(&mut self, name: &str) -> Result<Option<Array>> {
        let (length, held) = (self.length, self.held);
        let found = match &mut self.content {
            Content::Npz(archive, file) => npz((archive, &*file), &self.path, name, [length, held]),
            Content::Safetensors(metadata, values) => tensor(metadata, values, name, held),
            Content::Npy(files) => match files.iter().find(|(of, _)| of == name) {
                Some((_, path)) => {
                    let (file, length) = input::open(path)?;
                    let stored = Stored {
                        file: Arc::new(file),
                        path: path.clone(),
                        start: 0,
                        length: length as usize,
                    };
                    of_file(stored, name, held).map(Some)
                }
                None => Ok(None),
            },
        };
        // What a header holds may be anything.
        let shown = |message: String| input::one_line(&message);
        found.map_err(|e| Error::data(self.path(name), format!("'{name}' is not readable: {}", shown(e))))
    }
}

type Parsed<T> = std::result::Result<T, String>;

/// The header of a safetensors file, compared with its length, and where the values are.
fn index(mut file: Stored) -> Parsed<(Metadata, Stored)> {
    let whole = file.length as u64;
    let mut length = [0; 8];
    file.read(0, &mut length).map_err(|_| "it is shorter than any header".to_string())?;
    let length = u64::from_le_bytes(length);
    if length > LARGEST_INDEX || length + 8 > whole {
        return Err(format!("a header of {length} bytes in a file of {whole}"));
    }
    let mut header = vec![0; length as usize];
    file.read(8, &mut header).map_err(|e| e.to_string())?;
    serde_json::from_slice::<Unrepeated>(&header).map_err(|e| e.to_string())?;
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|e| e.to_string())?;
    (file.start, file.length) = (8 + length, file.length - header.len() - 8);
    if metadata.data_len() != file.length {
        let (promised, there) = (metadata.data_len(), file.length);
        return Err(format!("its header promises {promised} bytes of values, and there are {there}"));
    }
    Ok((metadata, file))
}

fn tensor(metadata: &Metadata, values: &Stored, name: &str, held: u64) -> Parsed<Option<Array>> {
    let Some(info) = metadata.info(name) else { return Ok(None) };
    let (start, end) = info.data_offsets;
    let stored = Stored { start: values.start + start as u64, length: end - start, ..values.clone() };
    let bytes = held_or_stored(stored, held)?;
    Ok(Some(Array {
        name: name.into(),
        shape: info.shape.clone(),
        dtype: info.dtype,
        fortran_order: false,
        bytes,
    }))
}

/// Few bytes are read at once.
fn held_or_stored(stored: Stored, held: u64) -> Parsed<Bytes> {
    if stored.length as u64 > held {
        return Ok(Bytes::Stored(stored));
    }
    let mut bytes = vec![0; stored.length];
    stored.read(0, &mut bytes).map_err(|e| e.to_string())?;
    Ok(Bytes::Held(bytes, 0))
}

fn npz(
    (archive, file): (&mut ZipArchive<BufReader<File>>, &Arc<File>),
    path: &Path,
    name: &str,
    [length, held]: [u64; 2],
) -> Parsed<Option<Array>> {
    let entries = [format!("{name}.npy"), name.into()];
    let mut found = entries.into_iter().filter(|entry| archive.index_for_name(entry).is_some());
    let (Some(entry), second) = (found.next(), found.next()) else { return Ok(None) };
    if let Some(second) = second {
        return Err(format!("the archive has '{entry}' and '{second}'"));
    }
    let mut entry = archive.by_name(&entry).map_err(|e| e.to_string())?;
    let (size, packed, checksum) = (entry.size(), entry.compressed_size(), entry.crc32());
    if packed > length || size > packed.saturating_mul(LARGEST_RATIO) {
        return Err(format!(
            "{packed} packed bytes of a file of {length} cannot hold the {size} it promises"
        ));
    }
    let place = entry.data_start().filter(|_| entry.compression() == CompressionMethod::Stored);
    match place.filter(|_| size > held) {
        Some(start) => {
            checked(&mut entry, size, checksum, |_| {})?;
            let stored = Stored { file: Arc::clone(file), path: path.into(), start, length: size as usize };
            of_file(stored, name, held).map(Some)
        }
        None => {
            // What is compressed grows as it is read.
            let mut bytes = Vec::with_capacity(size.min(length) as usize);
            checked(&mut entry, size, checksum, |piece| bytes.extend_from_slice(piece))?;
            let header = Header::parse(&bytes)?;
            let array = of_header(&header, name, bytes.len() - header.start)?;
            let start = header.start;
            Ok(Some(Array { bytes: Bytes::Held(bytes, start), ..array }))
        }
    }
}

/// Reads an entry, as long as the archive says and with the archive's checksum.
fn checked(entry: &mut impl Read, size: u64, checksum: u32, mut visit: impl FnMut(&[u8])) -> Parsed<()> {
    let (mut found, mut length, mut piece) = (Crc::new(), 0, vec![0; PIECE.min(size as usize + 1)]);
    let mut entry = entry.take(size + 1);
    loop {
        let read = match entry.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e.to_string()),
        };
        length += read as u64;
        found.update(&piece[..read]);
        visit(&piece[..read]);
    }
    if length != size {
        return Err(format!("{length} bytes where the archive promises {size}"));
    }
    if found.sum() != checksum {
        return Err(format!("its CRC-32 is {:08x}, the archive says {checksum:08x}", found.sum()));
    }
    Ok(())
}

/// The array of a `.npy` that stands in a file.
fn of_file(mut stored: Stored, name: &str, held: u64) -> Parsed<Array> {
    let mut beginning = vec![0; (stored.length as u64).min(LARGEST_HEADER) as usize];
    stored.read(0, &mut beginning).map_err(|e| e.to_string())?;
    let header = Header::parse(&beginning)?;
    (stored.start, stored.length) = (stored.start + header.start as u64, stored.length - header.start);
    let array = of_header(&header, name, stored.length)?;
    Ok(Array { bytes: held_or_stored(stored, held)?, ..array })
}

/// What a header says of `length` bytes of values, which are still to come.
fn of_header(header: &Header<'_>, name: &str, length: usize) -> Parsed<Array> {
    let advice = match name.ends_with("labels") && header.descr.starts_with(['U', 'S', 'O']) {
        true => format!("; save numpy.unique({name}, return_inverse=True)[1]"),
        false => String::new(),
    };
    let dtype = dtype(header.descr).map_err(|e| e + &advice)?;
    header.check_size(dtype.bitsize() / 8, length)?;
    Ok(Array {
        name: name.into(),
        shape: header.shape.clone(),
        dtype,
        fortran_order: header.fortran_order,
        bytes: Bytes::Held(Vec::new(), 0),
    })
}
