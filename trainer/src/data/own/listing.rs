//! Which files, of which class, in which part: from folders or from a list.
//!
//! With DIR/labels.csv the list says it, line by line. Otherwise each folder in DIR/train (in DIR, where there is no
//! `train`) is a class, numbered in the order of the bytes of its name, with all images below it; those of DIR/val, or
//! of `validation` or `test`, the first that is there, are evaluated. What begins with a dot is not looked at.
//! Images in DIR itself (or in DIR/train), where no folder is beside them, have no classes: all are of one.

use super::left_out::LeftOut;
use crate::error::{Error, Result};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use theory::files::exists;
use walkdir::WalkDir;

/// Endings of images, in small letters.
const ENDINGS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// The part to be evaluated: the first folder that is there.
const VALIDATION: [&str; 3] = ["val", "validation", "test"];

/// The list that says what folders would.
const LIST: &str = "labels.csv";

/// What the class of images without classes is called.
const NO_CLASS: &str = "(none)";

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// Below the folder of the images.
    pub(super) path: PathBuf,
    /// Its class, from 0.
    pub(super) class: u32,
}

/// The files of a folder of images.
#[derive(Debug)]
pub(super) struct Listing {
    /// The folder.
    pub(super) folder: PathBuf,
    /// Names of the classes, sorted by their bytes.
    pub(super) classes: Vec<String>,
    /// The files to be trained on, and those to be evaluated (none: a share of the former is), in order.
    pub(super) parts: [Vec<Source>; 2],
    /// What could not be looked at.
    pub(super) left_out: LeftOut,
    /// Whether the images have no classes, and count as being of one.
    flat: bool,
}

/// A line of the list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    file: PathBuf,
    label: String,
    #[serde(default)]
    split: Part,
}

/// A word of the list's third column.
#[derive(Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Part {
    #[default]
    Train,
    #[serde(alias = "validation", alias = "test")]
    Val,
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
        match listing.classes.len() {
            1 if listing.flat => Ok(listing),
            2.. => Ok(listing),
            count => Err(Error::data(
                folder,
                format!(
                    "its images are of {count} class: two are needed, as DIR/train/CLASS/… or in DIR/{LIST} (images \
                     without classes lie in DIR itself)"
                ),
            )),
        }
    }

    /// Whether there are files to be evaluated.
    pub(super) fn has_validation(&self) -> bool {
        !self.parts[1].is_empty()
    }

    /// Tells what the files are and whether they changed: SHA-256 over classes, names, lengths and times of change.
    pub(super) fn digest(&self) -> String {
        let mut digest = Sha256::new();
        let mut add = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        };
        self.classes.iter().for_each(|class| add(class.as_bytes()));
        for (part, sources) in self.parts.iter().enumerate() {
            for Source { path, class } in sources {
                let found = std::fs::metadata(self.folder.join(path)).ok();
                let length = found.as_ref().map(std::fs::Metadata::len);
                let changed = found.and_then(|found| found.modified().ok());
                let since = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                add(path.as_os_str().as_encoded_bytes());
                add(format!("{part} {class} {length:?} {since:?}").as_bytes());
            }
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn of_folders(folder: &Path) -> Result<Self> {
        let train = if folder.join("train").is_dir() { "train" } else { "" };
        let evaluated = VALIDATION.into_iter().find(|name| !train.is_empty() && folder.join(name).is_dir());
        let mut left_out = LeftOut::default();
        let (found, flat) = classes_below(folder, train, &mut left_out)?;
        let held = evaluated.map(|name| classes_below(folder, name, &mut left_out)).transpose()?;
        let held = held.map(|(held, _)| held);
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
                paths.into_iter().map(move |path| Source { path, class: class as u32 })
            };
            found.into_values().enumerate().flat_map(of_class).collect()
        };
        let parts = [sources(found.clone()), held.map(sources).unwrap_or_default()];
        Ok(Self { folder: folder.to_path_buf(), classes, parts, left_out, flat })
    }

    fn of_list(folder: &Path) -> Result<Self> {
        let place = folder.join(LIST);
        let (file, _) = measure::input::open(&place)?;
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
        let mut lines: Vec<Line> = Vec::new();
        let mut known: HashMap<PathBuf, u64> = HashMap::new();
        let header = reader
            .headers()
            .map_err(|e| Error::data(&place, measure::input::one_line(&e.to_string())))?
            .clone();
        let mut record = csv::StringRecord::new();
        let bad = |line: u64, what: &str| {
            Error::data(&place, format!("line {line}: {}", measure::input::one_line(what)))
        };
        const COLUMNS: &str = "the columns are file,label and, if wanted, split (train or val)";
        let is_there =
            |name: &&str| header.iter().any(|column| column.trim_start_matches('\u{feff}') == *name);
        if let Some(absent) = ["file", "label"].iter().find(|name| !is_there(name)) {
            return Err(bad(1, &format!("there is no column '{absent}': {COLUMNS}")));
        }
        loop {
            let line = reader.position().line();
            let read = reader.read_record(&mut record).map_err(|e| match e.kind() {
                csv::ErrorKind::UnequalLengths { pos, expected_len, len } => bad(
                    pos.as_ref().map_or(line, csv::Position::line),
                    &format!("{len} fields where the first line has {expected_len}"),
                ),
                _ => bad(line, &e.to_string()),
            })?;
            if !read {
                break;
            }
            let line = record.position().map_or(line, csv::Position::line);
            let found: Line = record.deserialize(Some(&header)).map_err(|e| match e.kind() {
                csv::ErrorKind::Deserialize { err, .. } => bad(line, &format!("{err}: {COLUMNS}")),
                _ => bad(line, &e.to_string()),
            })?;
            if found.file.as_os_str().is_empty() || found.label.is_empty() {
                return Err(bad(line, "a file and a label are needed"));
            }
            if let Some(first) = known.insert(found.file.clone(), line) {
                return Err(bad(
                    line,
                    &format!("the file '{}' is that of line {first}", found.file.display()),
                ));
            }
            lines.push(found);
        }
        let classes: BTreeSet<String> = lines.iter().map(|line| line.label.clone()).collect();
        let numbers: HashMap<&str, u32> =
            classes.iter().zip(0..).map(|(name, number)| (name.as_str(), number)).collect();
        let mut parts = [Vec::new(), Vec::new()];
        for Line { file, label, split } in lines {
            let class = numbers.get(label.as_str()).copied().unwrap_or_default();
            parts[usize::from(split == Part::Val)].push(Source { path: file, class });
        }
        let classes = classes.into_iter().collect();
        Ok(Self { folder: folder.to_path_buf(), classes, parts, left_out: LeftOut::default(), flat: false })
    }
}

/// Images by the name of their class.
type Classes = BTreeMap<OsString, Vec<PathBuf>>;

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
