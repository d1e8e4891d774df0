//! Files of which no image could be made, told once with their reasons.

use serde::{Deserialize, Serialize};
use std::path::Path;

/// How many are kept with their names; of the others the number.
const MOST_KEPT: usize = 1000;

/// How many a message names.
const MOST_TOLD: usize = 8;

/// What was left out of a folder of images.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// How many files.
    pub total: usize,
    /// The first, by name and reason.
    pub first: Vec<(String, String)>,
}

impl LeftOut {
    /// One more file, with the reason.
    pub(super) fn add(&mut self, name: &str, reason: &str) {
        self.total += 1;
        if self.first.len() < MOST_KEPT {
            self.first.push((theory::terminal::one_line(name), measure::input::one_line(reason)));
        }
    }

    /// Those of a folder or file below this one.
    pub(super) fn append(&mut self, of: Self, place: &Path) {
        let kept = self.first.len().saturating_add(of.first.len()).min(MOST_KEPT);
        self.total += of.total;
        let named = of.first.into_iter().map(|(name, reason)| {
            let name =
                if name.is_empty() { place.to_path_buf() } else { place.join(name.trim_start_matches('/')) };
            (theory::terminal::one_line(&name.to_string_lossy()), reason)
        });
        self.first.extend(named);
        self.first.truncate(kept);
    }

    /// How many, and the first of them with their reasons, on one line.
    pub(super) fn summary(&self) -> String {
        let named: Vec<String> =
            self.first.iter().take(MOST_TOLD).map(|(name, why)| format!("{name}: {why}")).collect();
        let more = match self.total - named.len() {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let files = if self.total == 1 { "file is" } else { "files are" };
        format!("{} {files} left out: {}{more}", self.total, named.join("; "))
    }

    /// Says so on standard error, where there are any.
    pub(super) fn tell(&self, folder: &Path) {
        if self.total > 0 {
            theory::terminal::say(&format!("warning: {}: {}", folder.display(), self.summary()));
        }
    }
}
