//! A data set's files, one after the other, each kept, refused or fetched.

use super::fetch;
use super::meter::Meter;
use super::options::Options;
use super::partial::{Partial, difference};
use crate::data::official::{OfficialFile, OfficialFiles};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Where a file's bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was there.
    Kept,
    /// The network; so many bytes at its beginning were there from an earlier call.
    Fetched {
        /// Bytes that an earlier call had fetched.
        resumed_at: u64,
    },
}

/// A file that is in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// Where it came from.
    pub origin: Origin,
}

/// Puts the fetched files of a data set into `data`/NAME.
///
/// # Errors
/// A file that stands there is not the published one (unless `force`); every address of a file fails, or offers
/// something else than the published file; another process is fetching the same file; the operating system refuses to
/// write; the mirror or a proxy variable is no address.
pub fn download(official: &OfficialFiles, data: &Path, options: &Options) -> Result<Vec<Stored>> {
    let folder = data.join(official.name);
    let sources = options.sources(official)?;
    std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    official.files.iter().map(|file| store(file, &folder, &sources, options)).collect()
}

fn store(file: &OfficialFile, folder: &Path, sources: &[&str], options: &Options) -> Result<Stored> {
    let path = folder.join(file.name);
    let stored = |origin| Stored { path: path.clone(), bytes: file.bytes, origin };
    if std::fs::symlink_metadata(&path).is_ok() {
        match difference(&path, file)? {
            None => return Ok(stored(Origin::Kept)),
            Some(difference) if !options.force => {
                return Err(Error::data(
                    &path,
                    format!("{difference}: it is kept; remove it, or replace it with --force"),
                ));
            }
            Some(_) => {}
        }
    }
    let mut partial = Partial::open(&path)?;
    let mut meter = Meter::new(file.name, file.bytes, options.quiet);
    fetch::fetch(file, sources, &mut partial, options, &mut meter)?;
    let resumed_at = partial.resumed_at();
    partial.publish(&path)?;
    Ok(stored(Origin::Fetched { resumed_at }))
}
