//! Anybody's images: a folder of a folder for each class, or a list `labels.csv`; see `docs/images.md`.
//!
//! In the folder DIR `listing` finds files, their classes and parts, `decode` makes one image of each, `store` keeps
//! all of them decoded in one file that is mapped into memory. What cannot be decoded is left out and named
//! (`left_out`). The order of the samples is that of the files: it depends on no number of threads.

mod decode;
mod left_out;
mod listing;
mod make;
mod store;

use super::subset;
use super::{Request, Samples, Split};
use crate::error::{Error, Result};
use listing::Listing;
use serde::{Deserialize, Serialize};

/// The share of each class that is evaluated where the files have no part for it and the settings say nothing.
pub const VALIDATION: f64 = 0.1;

/// The largest side that images may have.
pub const LARGEST_SIDE: usize = 4096;

/// What is made of the files: the table `[images]` of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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
    /// Checks the sides.
    ///
    /// # Errors
    /// A side of 0 or above [`LARGEST_SIDE`]; a short side below the side, or without one.
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

/// The name of the data set.
pub const NAME: &str = "folder";

/// The images of a folder.
pub(super) fn load(request: &Request<'_>) -> Result<Split> {
    request.images.check()?;
    let Some(folder) = request.folder else {
        return Err(Error::argument(
            "data set 'folder' is read from images: name their folder with --data DIR (DIR/train/CLASS/… \
             or DIR/labels.csv)",
        ));
    };
    let listing = Listing::of(folder)?;
    if let (Some(share), true) = (request.validation, listing.has_validation()) {
        return Err(Error::argument(format!(
            "validation = {share}, but {} has images to be evaluated already: leave the setting out",
            folder.display()
        )));
    }
    let decoded = store::decoded(&listing, &request.images)?;
    decoded.check_classes(&listing)?;
    decoded.left_out.tell(folder);
    let [train, validation] = decoded.parts()?.map(Samples::Images);
    if listing.has_validation() {
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
