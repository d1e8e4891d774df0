//! Every data set, one file each: its names, files with checksums and addresses, places, classes, reader, hierarchy.
//!
//! A new data set is a file here and its two words below: `mod` and the entry in [`DATA_SETS`].

pub(super) mod ag_news;
pub(super) mod cifar10;
pub(super) mod cifar100;
mod digits;
pub(super) mod fashion_mnist;
mod folder;
mod mnist;

use super::official::OfficialFiles;
use super::{Request, Split};
use crate::error::{Error, Result};
use measure::difficulty::Hierarchy;
use std::path::Path;

/// What is known of a data set.
#[derive(Debug)]
pub struct DataSet {
    /// What settings call it.
    pub name: &'static str,
    /// Its samples, in words.
    pub samples: &'static str,
    /// C; `None` where the files say it.
    pub num_classes: Option<usize>,
    /// The files it is read from; none, where it is compiled in.
    pub official: Option<&'static OfficialFiles>,
    /// The tree of its classes as [`Hierarchy::parse`] reads it.
    pub hierarchy: Option<&'static str>,
    /// Its reader.
    pub load: fn(&Request<'_>) -> Result<Split>,
}

/// Every data set that [`load`](super::load) knows.
pub static DATA_SETS: [&DataSet; 10] = [
    &digits::DIGITS,
    &mnist::MNIST,
    &fashion_mnist::FASHION_MNIST,
    &cifar10::CIFAR10,
    &cifar100::CIFAR100,
    &cifar100::CIFAR100_COARSE,
    &ag_news::AG_NEWS,
    &ag_news::AG_NEWS_8,
    &folder::FOLDER,
    &folder::SHARDS,
];

/// The data set of a name.
///
/// # Errors
/// There is none.
pub fn find(name: &str) -> Result<&'static DataSet> {
    DATA_SETS.into_iter().find(|set| set.name == name).ok_or_else(|| {
        let known = DATA_SETS.map(|set| set.name).join(", ");
        Error::argument(format!("there is no data set '{name}'; known: {known}"))
    })
}

/// Everything that can be downloaded, in the order of [`DATA_SETS`]; data sets of the same files stand once.
pub fn official_files() -> impl Iterator<Item = &'static OfficialFiles> {
    // The files carry the name of the first data set that is read from them.
    DATA_SETS.into_iter().filter_map(|set| set.official.filter(|files| files.name == set.name))
}

impl DataSet {
    /// The tree of its classes, where one is compiled in.
    ///
    /// # Errors
    /// What is compiled in is no tree.
    ///
    /// # Examples
    /// ```
    /// let cifar100 = trainer::data::registry::find("cifar100")?.hierarchy()?.unwrap();
    /// assert_eq!(cifar100.classes[4], "beaver");
    /// // Beaver and dolphin are two edges apart, below aquatic mammals; beaver and apple four.
    /// assert_eq!((cifar100.path.row(4)[30], cifar100.path.row(4)[0]), (1.0 / 3.0, 0.2));
    /// # Ok::<(), trainer::Error>(())
    /// ```
    pub fn hierarchy(&self) -> Result<Option<Hierarchy>> {
        let parse = |text| Ok(Hierarchy::parse(text, Path::new(self.name))?);
        self.hierarchy.map(parse).transpose()
    }
}

/// The tree of the data set of this name, or that of a file.
///
/// # Errors
/// Those of [`Hierarchy::read`].
pub fn hierarchy(name_or_file: &Path) -> Result<Hierarchy> {
    let set = DATA_SETS.into_iter().find(|set| name_or_file == Path::new(set.name));
    match set.map(DataSet::hierarchy).transpose()?.flatten() {
        Some(known) => Ok(known),
        None => Ok(Hierarchy::read(name_or_file)?),
    }
}

#[cfg(test)]
mod tests;
