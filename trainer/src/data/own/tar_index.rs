//! What a tar file in the layout of WebDataset holds: where each image lies and what its class is, from its headers.
//!
//! A member is `KEY.SUFFIX`: the key is its path up to the first dot of its base name, the suffix what follows, in
//! small or capital letters. Members of one key that stand side by side are a sample: an image (`jpg`, `jpeg`, `png`,
//! `webp`) and its class, an integer in `cls`. A key that comes again later is another sample. Members of other
//! suffixes, and those whose base name begins with a dot, are passed over. Nothing of an image is read.

use super::left_out::LeftOut;
use super::listing::ENDINGS;
use std::cell::Cell;
use std::io::{Read, Result, Seek, SeekFrom};
use tar::{Archive, Entry, EntryType};

/// Bytes that may be read for one member: its headers, long names and extensions among them, and its class.
const MOST_HEADERS: u64 = 1 << 20;

/// Bytes of zeros that may stand at the end.
const MOST_TAIL: u64 = 1 << 16;

/// Bytes that the path of a member may have.
const MOST_NAME: usize = 4096;

/// Bytes that the text of a class may have.
const MOST_CLASS: u64 = 64;

/// An image of a tar file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Path of the image in the file.
    pub name: String,
    /// Where its bytes begin.
    pub offset: u64,
    /// Number of its bytes.
    pub length: u64,
    /// Its class; none, where none stands beside it.
    pub class: Option<u64>,
}

/// The images of a tar file, in its order.
#[derive(Debug, Default)]
pub struct Index {
    /// The images.
    pub samples: Vec<Sample>,
    /// Members that are no image, and should be; the file itself, by the name `""`, where it is not readable to its end.
    pub left_out: LeftOut,
}

/// The images of a tar file of so many bytes.
///
/// # Examples
/// ```
/// let mut tar = tar::Builder::new(Vec::new());
/// let mut add = |name: &str, bytes: &[u8]| {
///     let mut header = tar::Header::new_gnu();
///     header.set_size(bytes.len() as u64);
///     tar.append_data(&mut header, name, bytes)
/// };
/// add("cats/1.jpg", b"\xff\xd8")?;
/// add("cats/1.cls", b"3\n")?;
/// let bytes = tar.into_inner()?;
/// let found = trainer::data::own::index_of_tar(std::io::Cursor::new(&bytes), bytes.len() as u64);
/// let image = &found.samples[0];
/// assert_eq!((image.name.as_str(), image.offset, image.length, image.class), ("cats/1.jpg", 512, 2, Some(3)));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn index_of_tar(stream: impl Read + Seek, length: u64) -> Index {
    let left = Cell::new(MOST_HEADERS);
    let mut archive = Archive::new(Metered { stream, left: &left });
    let (mut index, mut open, mut end) = (Index::default(), Open::default(), 0);
    let read = archive.entries_with_seek().and_then(|entries| {
        for entry in entries {
            left.set(MOST_HEADERS);
            let mut entry = entry?;
            let (offset, size) = (entry.raw_file_position(), entry.size());
            end = offset.saturating_add(size);
            member(&mut entry, length, &mut open, &mut index)?;
        }
        Ok(())
    });
    open.close(&mut index);
    let read = read.and_then(|()| tail(&mut archive.into_inner().stream, end, length));
    match read {
        Ok(Some(reason)) => index.left_out.add("", &reason),
        Err(e) => index.left_out.add("", &format!("not readable after byte {end}: {e}")),
        Ok(None) if index.samples.is_empty() && index.left_out.total == 0 => {
            index.left_out.add("", "it holds no image");
        }
        Ok(None) => {}
    }
    index
}

/// What is wrong behind the last member, which ends at byte `end`: a tar file has blocks of zeros there, and nothing else.
fn tail(stream: &mut (impl Read + Seek), end: u64, length: u64) -> Result<Option<String>> {
    let end = end.next_multiple_of(512);
    if end.saturating_add(512) > length {
        return Ok(Some(format!("it ends after byte {} without the mark of its end", end.min(length))));
    }
    stream.seek(SeekFrom::Start(end))?;
    let mut bytes = Vec::new();
    stream.take(MOST_TAIL).read_to_end(&mut bytes)?;
    let is_more = bytes.iter().any(|&byte| byte != 0) || length - end > MOST_TAIL;
    Ok(is_more
        .then(|| format!("{} bytes behind the mark of its end, at byte {end}, are not read", length - end)))
}

/// The sample whose members are being read.
#[derive(Default)]
struct Open {
    key: String,
    image: Option<Sample>,
    /// The name of the class's member, and the class or why it is none.
    class: Option<(String, std::result::Result<u64, String>)>,
}

impl Open {
    /// Nothing more belongs to it.
    fn close(&mut self, index: &mut Index) {
        match (self.image.take(), self.class.take()) {
            (Some(image), Some((_, Ok(class)))) => {
                index.samples.push(Sample { class: Some(class), ..image });
            }
            (Some(image), Some((_, Err(reason)))) => index.left_out.add(&image.name, &reason),
            (Some(image), None) => index.samples.push(image),
            (None, Some((name, _))) => index.left_out.add(&name, "a class without an image"),
            (None, None) => {}
        }
    }
}

fn member<R: Read>(entry: &mut Entry<'_, R>, length: u64, open: &mut Open, index: &mut Index) -> Result<()> {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let Some((key, suffix)) = key_and_suffix(&name) else { return Ok(()) };
    let (is_image, is_class) = (ENDINGS.contains(&suffix.as_str()), suffix == "cls");
    if !(is_image || is_class) || entry.header().entry_type().is_dir() {
        return Ok(());
    }
    if name.len() > MOST_NAME {
        let begin: String = name.chars().take(100).collect();
        index.left_out.add(&format!("{begin}…"), &format!("its name takes {} bytes", name.len()));
        return Ok(());
    }
    if open.key != key {
        open.close(index);
        open.key = key.into();
    }
    let (offset, size) = (entry.raw_file_position(), entry.size());
    let reason = match (is_image && open.image.is_some(), is_class && open.class.is_some()) {
        (true, _) => Some("a second image of one sample"),
        (_, true) => Some("a second class of one sample"),
        _ if offset.checked_add(size).is_none_or(|end| end > length) => {
            Some("the shard ends in the middle of it")
        }
        _ => not_plain(entry)?,
    };
    match reason {
        Some(reason) => index.left_out.add(&name, reason),
        None if is_image => open.image = Some(Sample { name, offset, length: size, class: None }),
        None => open.class = Some((name, class_of(entry)?)),
    }
    Ok(())
}

/// The key of a member and its suffix in small letters; none, where the base name has no dot or begins with one.
fn key_and_suffix(name: &str) -> Option<(&str, String)> {
    let base = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = base + name[base..].find('.').filter(|&dot| dot > 0)?;
    Some((&name[..dot], name[dot + 1..].to_ascii_lowercase()))
}

/// Why the bytes of a member are not its content.
fn not_plain<R: Read>(entry: &mut Entry<'_, R>) -> Result<Option<&'static str>> {
    Ok(match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous => {
            let extensions = entry.pax_extensions()?.into_iter().flatten();
            let sparse = extensions.flatten().any(|it| it.key_bytes().starts_with(b"GNU.sparse"));
            sparse.then_some("a sparse file")
        }
        EntryType::GNUSparse => Some("a sparse file"),
        EntryType::Link | EntryType::Symlink => Some("a link"),
        _ => Some("no plain file"),
    })
}

fn class_of<R: Read>(entry: &mut Entry<'_, R>) -> Result<std::result::Result<u64, String>> {
    let size = entry.size();
    if size > MOST_CLASS {
        return Ok(Err(format!("its class takes {size} bytes: it must be a number")));
    }
    let mut text = Vec::new();
    entry.take(MOST_CLASS).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    Ok(text.trim().parse().map_err(|_| format!("its class '{}' is no number from 0", text.trim())))
}

/// A stream of which only so many bytes may be read until more are allowed.
struct Metered<'a, R> {
    stream: R,
    left: &'a Cell<u64>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let length = self.stream.read(buffer)?;
        let left = self.left.get().checked_sub(length as u64).ok_or_else(|| {
            std::io::Error::other(format!("the headers of one member exceed {MOST_HEADERS} bytes"))
        })?;
        self.left.set(left);
        Ok(length)
    }
}

impl<R: Seek> Seek for Metered<'_, R> {
    fn seek(&mut self, position: SeekFrom) -> Result<u64> {
        self.stream.seek(position)
    }
}
