//! A data set's files, one after the other, each kept, refused or fetched.

use super::fetch;
use super::meter::Meter;
use super::partial::{Partial, difference};
use super::{Dataset, RemoteFile};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How to download.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often an address is tried again after a connection was cut or a server was busy.
    pub retries: u32,
    /// Whether a file that is not the published one is replaced.
    pub force: bool,
    /// The folder to fetch from instead of the catalogue's addresses, such as `http://host/mnist`.
    pub mirror: Option<String>,
    /// Pause before the first repetition; each further one is twice as long, up to 30 s.
    pub first_pause: Duration,
    /// How long a server may be silent.
    pub patience: Duration,
    /// Whether to say nothing.
    pub quiet: bool,
}

impl Default for Options {
    /// Five repetitions, the first after a second, and a minute of patience.
    fn default() -> Self {
        Self {
            retries: 5,
            force: false,
            mirror: None,
            first_pause: Duration::from_secs(1),
            patience: Duration::from_secs(60),
            quiet: false,
        }
    }
}

impl Options {
    /// Where a file is looked for, in this order.
    fn addresses(&self, file: &RemoteFile) -> Result<Vec<String>> {
        let Some(mirror) = &self.mirror else {
            return Ok(file.addresses.iter().map(|address| (*address).to_string()).collect());
        };
        let parsed = mirror.parse::<ureq::http::Uri>().ok();
        let usable = parsed.is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some()
                && uri.query().is_none()
        });
        if !usable {
            return Err(Error::argument(format!(
                "mirror '{mirror}' is not an address such as http://host/folder"
            )));
        }
        Ok(vec![format!("{}/{}", mirror.trim_end_matches('/'), file.name)])
    }
}

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

/// Puts every file of a data set into `data`/NAME.
///
/// # Errors
/// A file that stands there is not the published one (unless `force`); every address of a file fails, or offers something
/// else than the published file; another process is fetching the same file; the operating system refuses to write; the
/// mirror or a proxy variable is no address.
pub fn download(dataset: &Dataset, data: &Path, options: &Options) -> Result<Vec<Stored>> {
    let folder = data.join(dataset.name);
    let files = dataset.files.iter().map(|file| Ok((file, options.addresses(file)?)));
    let files = files.collect::<Result<Vec<_>>>()?;
    std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    files.iter().map(|(file, addresses)| store(file, &folder, addresses, options)).collect()
}

fn store(file: &RemoteFile, folder: &Path, addresses: &[String], options: &Options) -> Result<Stored> {
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
    fetch::fetch(file, addresses, &mut partial, options, &mut meter)?;
    let resumed_at = partial.resumed_at();
    partial.publish(&path)?;
    Ok(stored(Origin::Fetched { resumed_at }))
}
