//! Which files, of which class, in which part: from folders or from a list.
//!
//! With DIR/labels.csv the list says it, line by line. Otherwise each folder in DIR/train (in DIR, where there is no
//! `train`) is a class, numbered in the order of the bytes of its name, with all images below it; those of DIR/val, or
//! of `validation` or `test`, the first that is there, are evaluated. What begins with a dot is not looked at.
//! Images in DIR itself (or in DIR/train), where no folder is beside them, have no classes: all are of one.

use super::left_out::LeftOut;
use super::list::LIST;
use super::{decode, imagenet};
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use theory::files::exists;
use walkdir::WalkDir;

/// Endings of images, in small letters.
pub(super) const ENDINGS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// The part to be evaluated: the first folder that is there.
const VALIDATION: [&str; 3] = ["val", "validation", "test"];

/// What the class of images without classes is called.
pub(super) const NO_CLASS: &str = "(none)";

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// Below the folder of the images; of a shard's image the shard's and then its own there.
    pub(super) path: PathBuf,
    /// Its class, from 0.
    pub(super) class: u32,
    /// Where it lies in a shard.
    pub(super) within: Option<Within>,
}

/// A place in a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Within {
    /// Which of the listing's shards.
    pub(super) shard: u32,
    /// Where the bytes begin.
    pub(super) offset: u64,
    /// How many they are.
    pub(super) length: u64,
}

/// The files of a folder of images.
#[derive(Debug)]
pub(super) struct Listing {
    /// The folder.
    pub(super) folder: PathBuf,
    /// Names of the classes, sorted by their bytes; of shards by their numbers.
    pub(super) classes: Vec<String>,
    /// The files to be trained on, and those to be evaluated, in order.
    pub(super) parts: [Vec<Source>; 2],
    /// Whether there is a part to be evaluated, be it empty; else a share of the other is.
    pub(super) has_validation: bool,
    /// What could not be looked at.
    pub(super) left_out: LeftOut,
    /// The tar files that hold the images, below the folder; none, where each image is a file.
    pub(super) shards: Vec<PathBuf>,
    /// Whether the images have no classes, and count as being of one.
    pub(super) flat: bool,
}

impl Listing {
    /// The files of a folder.
    ///
    /// # Errors
    /// There is no such folder, no image, no class or only one; parts of different classes; a list that is none.
    pub(super) fn of(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Error::data(folder, "there is no such folder of images"));
        }
        let listing = match exists(&folder.join(LIST))? {
            true => Self::of_list(folder)?,
            false => Self::of_folders(folder)?,
        };
        listing.with_classes(|| {
            format!(
                "two are needed, as DIR/train/CLASS/… or in DIR/{LIST} (images without classes lie in DIR itself)"
            )
        })
    }

    /// Itself, where it has two classes, or images without any.
    pub(super) fn with_classes(self, advice: impl Fn() -> String) -> Result<Self> {
        match self.classes.len() {
            1 if self.flat => Ok(self),
            2.. => Ok(self),
            count => {
                let left_out = match self.left_out.total {
                    0 => String::new(),
                    _ => format!("; {}", self.left_out.summary()),
                };
                let message = format!("its images are of {count} class: {}{left_out}", advice());
                Err(Error::data(&self.folder, message))
            }
        }
    }

    /// How many images of a part each shard has, of those files of it that have a checksum.
    pub(super) fn images_of_shards(&self, part: usize, checksums: &[Option<u32>]) -> Vec<u32> {
        let mut counts = vec![0; self.shards.len()];
        for (source, _) in self.parts[part].iter().zip(checksums).filter(|(_, sum)| sum.is_some()) {
            source.within.iter().for_each(|within| counts[within.shard as usize] += 1);
        }
        counts
    }

    /// The bytes of an image as it is stored.
    ///
    /// # Errors
    /// The reason, in words.
    pub(super) fn bytes_of(&self, source: &Source) -> std::result::Result<Vec<u8>, String> {
        match source.within {
            None => decode::bytes_of(&self.folder.join(&source.path), None),
            Some(Within { shard, offset, length }) => {
                decode::bytes_of(&self.folder.join(&self.shards[shard as usize]), Some((offset, length)))
            }
        }
    }

    /// Tells what the files are and whether they changed: SHA-256 over classes, names, lengths and times of change.
    pub(super) fn digest(&self) -> String {
        let mut digest = Sha256::new();
        let mut add = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        };
        self.classes.iter().for_each(|class| add(class.as_bytes()));
        let state = |path: &Path| {
            let found = std::fs::metadata(self.folder.join(path)).ok();
            let length = found.as_ref().map(std::fs::Metadata::len);
            let changed = found.and_then(|found| found.modified().ok());
            let since = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            format!("{length:?} {since:?}")
        };
        for shard in &self.shards {
            add(shard.as_os_str().as_encoded_bytes());
            add(state(shard).as_bytes());
        }
        for (part, sources) in self.parts.iter().enumerate() {
            for Source { path, class, within } in sources {
                add(path.as_os_str().as_encoded_bytes());
                let state = within.map_or_else(|| state(path), |within| format!("{within:?}"));
                add(format!("{part} {class} {state}").as_bytes());
            }
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn of_folders(folder: &Path) -> Result<Self> {
        let (train, evaluated) = part_folders(folder);
        let mut left_out = LeftOut::default();
        let (found, flat) = classes_below(folder, train, &mut left_out)?;
        let held = evaluated.map(|name| classes_below(folder, name, &mut left_out)).transpose()?;
        let held = match (evaluated, held) {
            (Some(part), Some((held, true))) if !flat => {
                let images = held.into_values().flatten().collect();
                Some(imagenet::by_class(folder, part, images, &found, &mut left_out)?)
            }
            (_, held) => held.map(|(held, _)| held),
        };
        let names: Vec<&OsString> = found.keys().collect();
        if let (Some(held), Some(name)) = (&held, evaluated) {
            let differ = |a: &Classes, b: &Classes| a.keys().find(|class| !b.contains_key(*class)).cloned();
            for (class, with, without) in
                [(differ(&found, held), "train", name), (differ(held, &found), name, "train")]
            {
                if let Some(class) = class {
                    let class = class.to_string_lossy();
                    return Err(Error::data(
                        folder,
                        format!(
                            "{with} has a class '{class}' that {without} has not: both must have the same"
                        ),
                    ));
                }
            }
        }
        let classes = names.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        let sources = |found: Classes| -> Vec<Source> {
            let of_class = |(class, paths): (usize, Vec<PathBuf>)| {
                paths.into_iter().map(move |path| Source { path, class: class as u32, within: None })
            };
            found.into_values().enumerate().flat_map(of_class).collect()
        };
        let parts = [sources(found.clone()), held.map(sources).unwrap_or_default()];
        let has_validation = evaluated.is_some();
        let folder = folder.to_path_buf();
        Ok(Self { folder, classes, parts, has_validation, left_out, shards: Vec::new(), flat })
    }
}

/// The folder of images to be trained on (`""`: that of all), and of those to be evaluated.
pub(super) fn part_folders(folder: &Path) -> (&'static str, Option<&'static str>) {
    let train = if folder.join("train").is_dir() { "train" } else { "" };
    (train, VALIDATION.into_iter().find(|name| !train.is_empty() && folder.join(name).is_dir()))
}

/// Images by the name of their class.
pub(super) type Classes = BTreeMap<OsString, Vec<PathBuf>>;

/// The folders in `folder`/`part` with all images below them, in the order of the bytes of their names. Where there
/// is no folder, the images in `folder`/`part` itself, and true.
fn classes_below(folder: &Path, part: &str, left_out: &mut LeftOut) -> Result<(Classes, bool)> {
    let root = folder.join(part);
    let (mut classes, mut loose) = (Classes::new(), Vec::new());
    let hidden = |entry: &walkdir::DirEntry| {
        entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".")
    };
    let files = WalkDir::new(&root).follow_links(true).sort_by_file_name();
    for entry in files.into_iter().filter_entry(|entry| !hidden(entry)) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) if e.depth() == 0 => return Err(Error::data(&root, e.to_string())),
            Err(e) => {
                let place = e.path().unwrap_or(&root);
                let reason =
                    e.io_error().map_or_else(|| "a link to a folder above it".into(), ToString::to_string);
                if e.loop_ancestor().is_some() || is_image(place) || place.extension().is_none() {
                    left_out.add(&below(folder, place).to_string_lossy(), &reason);
                }
                continue;
            }
        };
        let within = entry.path().strip_prefix(&root).unwrap_or(entry.path());
        let Some(class) = within.iter().next() else { continue };
        if entry.file_type().is_dir() {
            if entry.depth() == 1 {
                classes.entry(class.to_os_string()).or_default();
            }
        } else if is_image(entry.path()) {
            let path = below(folder, entry.path());
            match entry.depth() {
                1 => loose.push(path),
                _ => classes.entry(class.to_os_string()).or_default().push(path),
            }
        }
    }
    let flat = classes.is_empty() && !loose.is_empty();
    if flat {
        classes.insert(NO_CLASS.into(), loose);
    } else {
        loose.iter().for_each(|path| left_out.add(&path.to_string_lossy(), "in the folder of no class"));
    }
    let bytes = |path: &PathBuf| path.as_os_str().as_encoded_bytes().to_vec();
    classes.values_mut().for_each(|paths| paths.sort_by_cached_key(bytes));
    Ok((classes, flat))
}

fn below(folder: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(folder).unwrap_or(path).to_path_buf()
}

fn is_image(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}
