//! CIFAR-10 and CIFAR-100: 32×32 colour images in 10 classes, or in 100 classes within 20 superclasses.
//!
//! 50,000 training and 10,000 test images each (Krizhevsky 2009). Two official layouts are read, from their folder or
//! from the official archive, which is unpacked in memory as a stream: [`binary`] records and Python's pickles
//! ([`python`]). Both are planar (1,024 bytes of red, then green, then blue); images here have their channels last.

pub mod archive;
pub mod binary;
mod pickle;
pub mod python;

use super::official::OfficialFiles;
use super::source::open;
use super::{Images, Request, Samples, Split};
use crate::error::{Error, Result};
use std::ops::Range;
use std::path::Path;

/// Height and width.
pub const SIDE: usize = 32;
/// Bytes of one colour.
const PLANE: usize = SIDE * SIDE;
/// Bytes of an image.
const IMAGE: usize = 3 * PLANE;

/// Number of superclasses of CIFAR-100.
pub const NUM_SUPERCLASSES: usize = 20;

/// The superclass of each class of CIFAR-100, both in the alphabetical order of their names (as the files number them).
pub const SUPERCLASS: [u8; 100] = [
    4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11, 6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0,
    11, 1, 10, 12, 14, 16, 9, 11, 5, 5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17,
    10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13, 16, 19, 2, 4, 6, 19, 5, 5, 8, 19,
    18, 1, 2, 15, 6, 0, 17, 8, 14, 13,
];

/// Which set, and which of its labels are the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classes {
    /// CIFAR-10.
    Ten,
    /// CIFAR-100 with its 100 classes.
    Fine,
    /// CIFAR-100 with its 20 superclasses.
    Coarse,
}

impl Classes {
    /// C.
    pub const fn number(self) -> usize {
        match self {
            Self::Ten => 10,
            Self::Fine => SUPERCLASS.len(),
            Self::Coarse => NUM_SUPERCLASSES,
        }
    }

    /// The class of an image of CIFAR-100, or what is wrong with its labels.
    fn of_hundred(self, coarse: i64, fine: i64) -> std::result::Result<usize, String> {
        let index = usize::try_from(fine).unwrap_or(usize::MAX);
        let Some(&superclass) = SUPERCLASS.get(index) else {
            return Err(format!("class {fine} is not 0 to {}", SUPERCLASS.len() - 1));
        };
        if coarse != i64::from(superclass) {
            return Err(format!("class {fine} belongs to superclass {superclass}, the file says {coarse}"));
        }
        Ok(if self == Self::Coarse { superclass.into() } else { index })
    }

    /// The class of an image of CIFAR-10, or what is wrong with its label.
    fn of_ten(label: i64) -> std::result::Result<usize, String> {
        let class = usize::try_from(label).ok().filter(|&class| class < Self::Ten.number());
        class.ok_or_else(|| format!("class {label} is not 0 to {}", Self::Ten.number() - 1))
    }
}

/// Images as they are read: channels last.
#[derive(Debug, Default)]
pub struct Records {
    /// Bytes, 3,072 an image.
    pub pixels: Vec<u8>,
    /// Class of each image.
    pub labels: Vec<usize>,
}

/// Appends a planar image, channels last.
fn push_interleaved(planar: &[u8], pixels: &mut Vec<u8>) {
    let (red, rest) = planar.split_at(PLANE);
    let (green, blue) = rest.split_at(PLANE);
    pixels.extend(red.iter().zip(green).zip(blue).flat_map(|((&r, &g), &b)| [r, g, b]));
}

/// How the files of a set are laid out.
#[derive(Debug)]
pub struct Layout {
    /// The official folder, which is also the folder inside the archive.
    pub folder: &'static str,
    /// The official archive.
    pub archive: &'static str,
    /// Files of training images, in order.
    pub train: &'static [&'static str],
    /// File of test images.
    pub test: &'static str,
    /// Whether the files are pickles.
    pub python: bool,
}

/// CIFAR-10 as binary records, CIFAR-10 as pickles, then CIFAR-100 likewise.
pub const LAYOUTS: [Layout; 4] = [
    Layout {
        folder: "cifar-10-batches-bin",
        archive: "cifar-10-binary.tar.gz",
        train: &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        test: "test_batch.bin",
        python: false,
    },
    Layout {
        folder: "cifar-10-batches-py",
        archive: "cifar-10-python.tar.gz",
        train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
        test: "test_batch",
        python: true,
    },
    Layout {
        folder: "cifar-100-binary",
        archive: "cifar-100-binary.tar.gz",
        train: &["train.bin"],
        test: "test.bin",
        python: false,
    },
    Layout {
        folder: "cifar-100-python",
        archive: "cifar-100-python.tar.gz",
        train: &["train"],
        test: "test",
        python: true,
    },
];

impl Layout {
    /// Appends the images of one file.
    ///
    /// # Errors
    /// Those of [`binary::read`] and [`python::read`].
    fn read(
        &self,
        stream: impl std::io::Read,
        place: &Path,
        classes: Classes,
        out: &mut Records,
    ) -> Result<()> {
        match self.python {
            true => python::read(stream, place, classes, out),
            false => binary::read(stream, place, classes, out),
        }
    }
}

/// The requested part of a set.
pub(super) fn load(request: &Request<'_>, official: &OfficialFiles, classes: Classes) -> Result<Split> {
    let (train, test) = images_of(official, request.folder, classes)?;
    request.split(Samples::Images(train), Samples::Images(test))
}

/// Training and test images, from the first of the official folders and archives that exists under `folder`.
fn images_of(official: &OfficialFiles, folder: Option<&Path>, classes: Classes) -> Result<(Images, Images)> {
    let path = official.find(folder)?;
    if let Some(layout) = LAYOUTS.iter().find(|layout| path.ends_with(layout.folder)) {
        return read_folder(layout, &path, classes);
    }
    official.check(&path)?;
    let layout = LAYOUTS.iter().find(|layout| path.ends_with(layout.archive));
    let layout = layout.ok_or_else(|| Error::data(&path, "it has none of CIFAR's layouts"))?;
    let (archive, _) = measure::input::open(&path)?;
    archive::read(std::io::BufReader::with_capacity(1 << 16, archive), &path, layout, classes)
}

fn read_folder(layout: &Layout, folder: &Path, classes: Classes) -> Result<(Images, Images)> {
    let part = |files: &[&str]| -> Result<Images> {
        let mut paths = Vec::new();
        for file in files {
            let path = folder.join(file);
            let (_, length) = measure::input::open(&path)?;
            paths.push((path, length));
        }
        let mut records = Records::default();
        // The files hold little else than pixels, so nothing has to move while they are read.
        let length: u64 = paths.iter().map(|(_, length)| *length).sum();
        let room = usize::try_from(length).ok().map(|length| records.pixels.try_reserve_exact(length));
        if !matches!(room, Some(Ok(()))) {
            return Err(Error::data(
                folder,
                format!("its files have {length} bytes: too many for the memory"),
            ));
        }
        for (path, _) in &paths {
            layout.read(open(path)?, path, classes, &mut records)?;
        }
        images(records, classes)
    };
    Ok((part(layout.train)?, part(&[layout.test])?))
}

fn images(records: Records, classes: Classes) -> Result<Images> {
    Images::new(records.pixels, records.labels, [SIDE, SIDE, 3], 255, classes.number())
}

/// The images of `records` in the order of these ranges.
fn ordered(records: Records, ranges: &[Range<usize>], classes: Classes) -> Result<Images> {
    let images = images(records, classes)?;
    match ranges.is_sorted_by_key(|range| range.start) {
        true => Ok(images),
        false => Ok(images.subset(&ranges.iter().flat_map(Clone::clone).collect::<Vec<_>>())),
    }
}

#[cfg(test)]
mod tests;
