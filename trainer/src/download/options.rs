//! How to download, and where from.

use crate::data::official::OfficialFiles;
use crate::error::{Error, Result};
use std::time::Duration;

/// How to download.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often in a row an address is tried again after a connection was cut or a server was busy; an attempt that
    /// brings 64 KiB begins the count anew.
    pub retries: u32,
    /// Whether a file that is not the published one is replaced.
    pub force: bool,
    /// The folder to fetch from instead of the official addresses, such as `http://host/mnist`.
    pub mirror: Option<String>,
    /// Pause before the first repetition; each further one is twice as long, up to 30 s.
    pub first_pause: Duration,
    /// How long a server may be silent, or bring less than 1 KiB.
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
    /// Folders of the network that have the files, in the order in which they are tried.
    pub(super) fn sources<'a>(&'a self, official: &OfficialFiles) -> Result<Vec<&'a str>> {
        let Some(mirror) = &self.mirror else {
            return Ok(official.addresses.to_vec());
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
        Ok(vec![mirror])
    }
}
