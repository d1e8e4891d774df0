//! Decoded images in one file, mapped into memory, so that a second run decodes nothing.
//!
//! DIR/.decoded/SETTINGS.images, or, where DIR cannot be written to, a folder of the user's cache; where that cannot
//! either, a file without a name that ends with the process. It holds
//!
//! | bytes | what |
//! |---|---|
//! | 0–7 | `images` and the version, as two digits |
//! | 8–23 | where the description begins, and its length: two numbers of 64 bits, little-endian |
//! | 24–87 | SHA-256 of the description, in hexadecimal digits |
//! | 4096… | the pixels: N images \[height, width, channels\] of bytes, those to be trained on first |
//! | after them | the description (JSON): key, shape, names of the classes, labels, what was left out, SHA-256 of the pixels; the number of images in each shard |
//!
//! With `images.cache = false` there are no pixels: the description says what was decoded once, with a checksum for
//! each image, so that the set is known, the same as with them, before any image is decoded again.
//!
//! The key is SHA-256 over version, settings, and name, class, length and time of change of every source: a file of
//! another key is made again, as is one whose digests do not fit, each time that it is opened. It is written under another
//! name and renamed when it is whole, under a lock: of several processes one decodes and the others wait. Where the
//! file system knows no locks all decode, and put the same bytes there.

use super::decode::Form;
use super::left_out::LeftOut;
use super::listing::Listing;
use super::make::{Made, digest_of, make};
use super::stream::Stream;
use super::{Colour, ImageSettings};
use crate::data::Images;
use crate::data::images::{Mapped, Source};
use crate::error::{Error, Result};
use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use theory::files::{self, sha256};

/// How the file begins; the digits are the version of this layout and of what is made of an image.
const MAGIC: &[u8; 8] = b"images01";

/// Where the pixels begin: at a page of the memory.
const PIXELS: usize = 4096;

/// Length of what stands before: magic, two numbers, a digest.
const HEAD: usize = 8 + 16 + 64;

/// The folder of decoded images in that of the images.
const FOLDER: &str = ".decoded";

#[derive(Debug, Serialize, Deserialize)]
struct Description {
    key: String,
    shape: [usize; 3],
    classes: Vec<String>,
    labels: [Vec<u32>; 2],
    left_out: LeftOut,
    pixels: String,
    /// How many images of each part each shard has.
    #[serde(default, skip_serializing_if = "has_none")]
    shards: [Vec<u32>; 2],
    /// Where no pixels are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checked: Option<Checked>,
}

fn has_none(shards: &[Vec<u32>; 2]) -> bool {
    shards.iter().all(Vec::is_empty)
}

/// What is kept of images that are decoded whenever they are needed.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Checked {
    form: Form,
    /// CRC-32C of each file's pixels, none of those that are left out.
    checksums: [Vec<Option<u32>>; 2],
}

/// Decoded images.
#[derive(Debug)]
pub(super) struct Decoded {
    map: Arc<Mmap>,
    shape: [usize; 3],
    labels: [Vec<u32>; 2],
    shards: [Vec<u32>; 2],
    checked: Option<Checked>,
    /// Names of the classes.
    pub(super) classes: Vec<String>,
    /// Files that are not among the images.
    pub(super) left_out: LeftOut,
}

/// The images of a listing, decoded now or before.
///
/// # Errors
/// Those of [`make`]; the operating system refuses.
pub(super) fn decoded(listing: &Listing, settings: &ImageSettings) -> Result<Decoded> {
    super::on_all_cores(|| find_or_make(listing, settings))
}

fn find_or_make(listing: &Listing, settings: &ImageSettings) -> Result<Decoded> {
    let key = key_of(listing, settings);
    for folder in places(&listing.folder) {
        let path = folder.join(name_of(settings, !listing.shards.is_empty()));
        if let Some(found) = open(&path, &key)? {
            return Ok(found);
        }
        let lock = files::create_folder(&folder).ok().and_then(|()| {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).open(folder.join("lock")).ok()
        });
        let Some(lock) = lock else { continue };
        match lock.try_lock() {
            Ok(()) => files::remove_unfinished(&folder)?,
            Err(TryLockError::WouldBlock) => {
                let folder = listing.folder.display();
                theory::terminal::say(&format!(
                    "{folder}: another process decodes the images: waiting for it"
                ));
                // An error: there are no locks here.
                let _ = lock.lock();
                if let Some(found) = open(&path, &key)? {
                    return Ok(found);
                }
            }
            Err(TryLockError::Error(_)) => {}
        }
        if let Some(found) = open(&path, &key)? {
            return Ok(found);
        }
        files::write_with(&path, |file| write(file, &path, listing, settings, &key))?;
        return open(&path, &key)?
            .ok_or_else(|| Error::data(&path, "changed or damaged while it was written"));
    }
    let nowhere = Path::new("a temporary file");
    let mut file = tempfile::tempfile().map_err(|e| Error::io(nowhere, e))?;
    write(&mut file, nowhere, listing, settings, &key)?;
    read(&file, &key).map_err(|e| Error::io(nowhere, e))?.ok_or_else(|| Error::data(nowhere, "damaged"))
}

/// Where the decoded images of a folder are looked for and put.
fn places(folder: &Path) -> Vec<PathBuf> {
    let mut places = vec![folder.join(FOLDER)];
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    if let (Some(caches), Ok(folder)) = (caches, folder.canonicalize()) {
        let digest = sha256(folder.as_os_str().as_encoded_bytes());
        places.push(caches.join("negatives-images").join(&digest[..16]));
    }
    places
}

/// What the settings are called: several may stand side by side.
fn name_of(settings: &ImageSettings, of_shards: bool) -> String {
    let ImageSettings { side, short_side, colour, cache, .. } = *settings;
    let side = side.map_or("as-they-are".into(), |side| format!("{side}-of-{}", short_side.unwrap_or(side)));
    let colour = match colour {
        Colour::Auto => "",
        Colour::Grey => "-grey",
        Colour::Rgb => "-rgb",
    };
    let cache = if cache { "" } else { "-checked" };
    let shards = if of_shards { "-shards" } else { "" };
    format!("{side}{colour}{shards}{cache}.images")
}

fn key_of(listing: &Listing, settings: &ImageSettings) -> String {
    let version = String::from_utf8_lossy(MAGIC);
    let name = name_of(settings, !listing.shards.is_empty());
    sha256(format!("{version} {name} {}", listing.digest()).as_bytes())
}

/// The file at `path`, if it is whole and of this key.
fn open(path: &Path, key: &str) -> Result<Option<Decoded>> {
    match File::open(path) {
        Ok(file) => read(&file, key).map_err(|e| Error::io(path, e)),
        // Whatever keeps it from being read, it is not there.
        Err(_) => Ok(None),
    }
}

fn read(file: &File, key: &str) -> std::io::Result<Option<Decoded>> {
    // SAFETY: the bytes may not change while they are mapped. Files of this kind are written under another name and
    // then renamed, never changed; who writes into one by other means while it is open breaks a rule of this folder.
    #[allow(unsafe_code)] // there is no safe form
    let map = unsafe { Mmap::map(file) }?;
    Ok(check(&map, key).map(|description| {
        let Description { shape, labels, shards, checked, classes, left_out, .. } = description;
        Decoded { map: Arc::new(map), shape, labels, shards, checked, classes, left_out }
    }))
}

/// The description of a file that is whole and of this key.
fn check(bytes: &[u8], key: &str) -> Option<Description> {
    let head = bytes.get(..HEAD)?.strip_prefix(MAGIC)?;
    let (begin, head) = head.split_first_chunk()?;
    let (length, digest) = head.split_first_chunk()?;
    let [begin, length] = [begin, length].map(|number| usize::try_from(u64::from_le_bytes(*number)).ok());
    let (begin, length) = (begin?, length?);
    let text = bytes.get(begin..begin.checked_add(length)?)?;
    if sha256(text).as_bytes() != digest {
        return None;
    }
    let description: Description = serde_json::from_slice(text).ok()?;
    let image: usize = description.shape.iter().product();
    let count: usize = match description.checked {
        Some(_) => 0,
        None => description.labels.iter().map(Vec::len).sum(),
    };
    let pixels = bytes.get(PIXELS..begin)?;
    let fits = description.key == key && pixels.len() == image * count;
    let is_whole = description.checked.is_some() || digest_of(pixels, image) == description.pixels;
    (fits && is_whole).then_some(description)
}

fn write(
    file: &mut File,
    place: &Path,
    listing: &Listing,
    settings: &ImageSettings,
    key: &str,
) -> Result<()> {
    let io = |e| Error::io(place, e);
    let mut to = BufWriter::with_capacity(1 << 20, file);
    to.write_all(&[0; PIXELS]).map_err(io)?;
    let made = match settings.cache {
        true => make(listing, settings, &mut to, place)?,
        false => make(listing, settings, &mut std::io::sink(), place)?,
    };
    let begin = to.stream_position().map_err(io)?;
    let (key, classes) = (key.to_string(), listing.classes.clone());
    let shards = [0, 1].map(|part| listing.images_of_shards(part, &made.checksums[part]));
    let Made { form, checksums, labels, left_out, pixels } = made;
    let checked = (!settings.cache).then_some(Checked { form, checksums });
    let shape = form.shape;
    let description = Description { key, shape, classes, labels, left_out, pixels, shards, checked };
    let text = serde_json::to_vec(&description).map_err(|e| io(e.into()))?;
    to.write_all(&text).map_err(io)?;
    to.seek(SeekFrom::Start(0)).map_err(io)?;
    let numbers = [begin, text.len() as u64].map(u64::to_le_bytes).concat();
    let head = [MAGIC, &numbers[..], sha256(&text).as_bytes()].concat();
    to.write_all(&head).and_then(|()| to.flush()).map_err(io)
}

impl Decoded {
    /// Images of the two parts.
    ///
    /// # Errors
    /// More than 2³² of them.
    pub(super) fn parts(&self, listing: &Arc<Listing>) -> Result<[Images; 2]> {
        let image: usize = self.shape.iter().product();
        let of = |part: usize, begin: usize| {
            let labels: Vec<usize> = self.labels[part].iter().map(|&label| label as usize).collect();
            let source = match &self.checked {
                Some(Checked { form, checksums }) => {
                    Source::Stream(Stream::new(listing, part, &checksums[part], *form)?)
                }
                None => {
                    let begin = PIXELS + begin * image;
                    Source::Mapped(Mapped::new(&self.map, begin..begin + labels.len() * image))
                }
            };
            Images::of_files(source, labels, (self.shape, self.classes.len()), &self.shards[part])
        };
        Ok([of(0, 0)?, of(1, self.labels[0].len())?])
    }

    /// Checks that no class lost all of its images.
    ///
    /// # Errors
    /// One did.
    pub(super) fn check_classes(&self, listing: &Listing) -> Result<()> {
        for (labels, part) in self.labels.iter().zip(["to be trained on", "to be evaluated"]) {
            let mut lost = vec![true; self.classes.len()];
            labels.iter().for_each(|&label| lost[label as usize] = false);
            // Where no file is to be evaluated, a share of the others is.
            let wanted = part == "to be trained on" || listing.has_validation;
            let Some(first) = lost.iter().position(|&lost| lost).filter(|_| wanted) else { continue };
            let message = format!("class '{}' has no image {part}", self.classes[first]);
            return Err(Error::data(
                &listing.folder,
                match self.left_out.total {
                    0 => message,
                    _ => format!("{message}; {}", self.left_out.summary()),
                },
            ));
        }
        Ok(())
    }
}
