//! Anybody's images: a folder of a folder for each class, a list `labels.csv`, or tar files in the layout of
//! WebDataset; see `docs/images.md`.
//!
//! | file | what |
//! |---|---|
//! | `listing` | files, their classes and parts, from folders; by `list` from a list, by `imagenet` where its lists are |
//! | `shards` | the same from tar files, each of which `tar_index` reads |
//! | `decode` | one image of one file |
//! | `make`, `store` | all of them decoded in one file that is mapped into memory |
//! | `stream` | in its place: a batch decoded when it is needed |
//! | `left_out` | what cannot be decoded, named |
//!
//! The order of the samples is that of the files: it depends on no number of threads.

mod decode;
mod imagenet;
mod left_out;
mod list;
mod listing;
mod make;
mod shards;
mod store;
mod stream;
mod tar_index;

pub use left_out::LeftOut;
pub(super) use stream::Stream;
pub use tar_index::{Index, Sample, index_of_tar};

use super::subset;
use super::{Request, Samples, Split};
use crate::error::{Error, Result};
use listing::Listing;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use theory::class_counts::ClassCounts;

/// The share of each class that is evaluated where the files have no part for it and the settings say nothing.
pub const VALIDATION: f64 = 0.1;

/// The largest side that images may have.
pub const LARGEST_SIDE: usize = 4096;

/// What is made of the files: the table `[images]` of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSettings {
    /// Height and width of the square that is cut from the centre of the resized image, in pixels. Where it is absent
    /// all files must have one size, and are taken as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<usize>,
    /// What the shorter side of an image is resized to before, in pixels; `side` where absent, at least `side`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_side: Option<usize>,
    /// Whether images have colours.
    #[serde(default, skip_serializing_if = "Colour::is_auto")]
    pub colour: Colour,
    /// Whether the decoded images are kept in a file; otherwise each is decoded whenever it is needed.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub cache: bool,
    /// Samples of the buffer through which each epoch passes the shards ([`shuffled`](super::shuffled)); every order is
    /// equally likely where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shuffle_buffer: Option<usize>,
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

impl Default for ImageSettings {
    fn default() -> Self {
        Self { side: None, short_side: None, colour: Colour::Auto, cache: true, shuffle_buffer: None }
    }
}

/// Whether images have colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    /// Three channels, unless every file is stored in grey: then one.
    #[default]
    Auto,
    /// One channel: 0.2126·R + 0.7152·G + 0.0722·B of files in colour.
    Grey,
    /// Three channels.
    Rgb,
}

impl Colour {
    fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

impl ImageSettings {
    /// Checks the sides and the buffer.
    ///
    /// # Errors
    /// A buffer of 0; a side of 0 or above [`LARGEST_SIDE`]; a short side below the side, or without one.
    ///
    /// # Examples
    /// ```
    /// use trainer::data::ImageSettings;
    /// let images = ImageSettings { side: Some(224), short_side: Some(200), ..ImageSettings::default() };
    /// let message = images.check().unwrap_err().to_string();
    /// assert_eq!(message, "images.short_side = 200 is not between images.side = 224 and 4096");
    /// ```
    pub fn check(&self) -> Result<()> {
        let (side, short) = (self.side, self.short_side);
        if self.shuffle_buffer == Some(0) {
            return Err(Error::argument("images.shuffle_buffer = 0 holds no sample: it must be at least 1"));
        }
        match (side, short) {
            (Some(side), _) if !(1..=LARGEST_SIDE).contains(&side) => {
                Err(Error::argument(format!("images.side = {side} is not between 1 and {LARGEST_SIDE}")))
            }
            (Some(side), Some(short)) if !(side..=LARGEST_SIDE).contains(&short) => Err(Error::argument(
                format!("images.short_side = {short} is not between images.side = {side} and {LARGEST_SIDE}"),
            )),
            (None, Some(short)) => Err(Error::argument(format!(
                "images.short_side = {short} needs images.side, the side of the square that is cut from the centre"
            ))),
            _ => Ok(()),
        }
    }
}

/// Checks the share of each class that is evaluated.
///
/// # Errors
/// A share that is not in (0, 1).
pub fn check_validation(share: f64) -> Result<()> {
    match share > 0.0 && share < 1.0 {
        true => Ok(()),
        false => Err(Error::argument(format!(
            "validation = {share} is no share of each class: it must be above 0 and below 1"
        ))),
    }
}

/// The name of the data set of files.
pub const FOLDER: &str = "folder";

/// The name of the data set of tar files.
pub const SHARDS: &str = "shards";

/// Whether a data set is of anybody's images.
pub fn is_own(name: &str) -> bool {
    [FOLDER, SHARDS].contains(&name)
}

fn listing(name: &str, folder: Option<&Path>) -> Result<Listing> {
    match (name, folder) {
        (SHARDS, Some(folder)) => on_all_cores(|| Listing::of_shards(folder)),
        (_, Some(folder)) => Listing::of(folder),
        (SHARDS, None) => Err(Error::argument(
            "data set 'shards' is read from tar files: name their folder with --data DIR (DIR/train/….tar)",
        )),
        _ => Err(Error::argument(
            "data set 'folder' is read from images: name their folder with --data DIR (DIR/train/CLASS/… \
             or DIR/labels.csv)",
        )),
    }
}

/// Samples to be trained on, per class, of images that are not decoded: a damaged one counts.
///
/// # Errors
/// No such data set; those of its files; images without classes.
pub fn class_counts(name: &str, folder: &Path) -> Result<ClassCounts> {
    if !is_own(name) {
        let message =
            format!("data set '{name}' is neither folder nor shards: `theory counts` counts labels");
        return Err(Error::argument(message));
    }
    let Listing { classes, parts, left_out, flat, .. } = listing(name, Some(folder))?;
    if flat {
        return Err(Error::data(folder, "its images have no classes"));
    }
    let mut counts = vec![0; classes.len()];
    parts[0].iter().for_each(|source| counts[source.class as usize] += 1);
    if let Some(class) = counts.iter().position(|&count| count == 0) {
        return Err(Error::data(folder, format!("class '{}' has no image to be trained on", classes[class])));
    }
    Ok(ClassCounts { names: classes, counts, place: folder.into(), passed_over: left_out.total as u64 })
}

/// Runs have their threads; while images are read no run has begun yet.
fn on_all_cores<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    measure::pool::with_threads(threads, work)
}

/// The images of a folder.
pub(super) fn load(request: &Request<'_>) -> Result<Split> {
    request.images.check()?;
    let listing = Arc::new(listing(request.name, request.folder)?);
    let folder = listing.folder.as_path();
    if let (Some(share), true) = (request.validation, listing.has_validation) {
        check_validation(share)?;
        theory::terminal::say(&format!(
            "note: validation = {share} is not used: {} has a part to be evaluated",
            folder.display()
        ));
    }
    if let (Some(buffer), true) = (request.images.shuffle_buffer, listing.shards.is_empty()) {
        return Err(Error::argument(format!(
            "images.shuffle_buffer = {buffer} passes shards through a buffer: it needs dataset = {SHARDS}"
        )));
    }
    let decoded = store::decoded(&listing, &request.images)?;
    decoded.check_classes(&listing)?;
    decoded.left_out.tell(folder);
    let [train, validation] = decoded.parts(&listing)?.map(Samples::Images);
    if listing.has_validation {
        return request.split(train, validation);
    }
    let share = request.validation.unwrap_or(VALIDATION);
    check_validation(share)?;
    let classes = &decoded.classes;
    let (rest, held_out) = subset::hold_out_share(train.labels(), classes, share)
        .map_err(|message| Error::data(folder, message))?;
    request.split(train.subset(&rest), train.subset(&held_out))
}

#[cfg(test)]
mod tests;
