//! Which files, of which class, in which part, from a list: `file,label` or `file,label,split`.

use super::left_out::LeftOut;
use super::listing::{Listing, Source};
use crate::error::{Error, Result};
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// The list that says what folders would.
pub(super) const LIST: &str = "labels.csv";

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
    /// The files of a list.
    ///
    /// # Errors
    /// A line that is none, named.
    pub(super) fn of_list(folder: &Path) -> Result<Self> {
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
            parts[usize::from(split == Part::Val)].push(Source { path: file, class, within: None });
        }
        let classes = classes.into_iter().collect();
        let (left_out, shards) = (LeftOut::default(), Vec::new());
        let (has_validation, folder) = (!parts[1].is_empty(), folder.to_path_buf());
        Ok(Self { folder, classes, parts, has_validation, left_out, shards, flat: false })
    }
}
