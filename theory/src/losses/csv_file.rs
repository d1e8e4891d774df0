//! `losses.csv` in and out. Every error names the file, the line and the column.

use super::schema::ColumnError;
use super::value::{non_negative, parse_number};
use super::{
    COLUMNS, Estimate, IMAGE_SE_SUFFIX, LossComponents, Origin, PAIRED_PREFIX, Quantity, Role, SE_SUFFIX,
};
use crate::error::{Error, Place, Result};
use crate::files;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What ends the names of the columns of errors.
const ERRORS: [&str; 2] = [SE_SUFFIX, IMAGE_SE_SUFFIX];

/// The largest `losses.csv` that is read, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// The file itself; of the folder of a run its `losses.csv`, or the `bounds.json` that lies there alone.
///
/// # Errors
/// The operating system refuses.
pub fn measured_file(path: &Path) -> Result<PathBuf> {
    if !std::fs::metadata(path).map_err(|e| Error::io(path, e))?.is_dir() {
        return Ok(path.to_path_buf());
    }
    let [official, ours] = ["bounds.json", "losses.csv"].map(|name| path.join(name));
    Ok(if files::exists(&official)? && !files::exists(&ours)? { official } else { ours })
}

/// Reads a `losses.csv`.
///
/// # Errors
/// Unreadable file; a missing or doubled column; a cell that is no number, not finite or outside its domain; a cut
/// row. The message names the line and the column.
pub fn read(path: &Path) -> Result<Vec<LossComponents>> {
    read_from(&files::read_text(path, MAX_BYTES)?, &path.display().to_string())
}

/// [`read`] from a text; `name` stands in error messages.
///
/// # Errors
/// As for `read`.
pub fn read_from(text: &str, name: &str) -> Result<Vec<LossComponents>> {
    let at = |line: u64, column: Option<&str>, message: String| {
        Error::data(Place { file: name.into(), line: Some(line), column: column.map(Into::into) }, message)
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let csv_error = |e: csv::Error| {
        let line = e.position().map_or(1, csv::Position::line);
        at(line, None, e.to_string())
    };
    let headers = reader.headers().map_err(csv_error)?.clone();
    let layout = Layout::of(&headers).map_err(|(column, e)| at(1, Some(&column), e.to_string()))?;
    let (mut rows, mut record, file) = (Vec::new(), csv::StringRecord::new(), Arc::from(name));
    while reader.read_record(&mut record).map_err(csv_error)? {
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != headers.len() {
            let column = headers.get(record.len()).unwrap_or("beyond the header");
            let message = format!("{} fields where the header has {}", record.len(), headers.len());
            return Err(at(line, Some(column), message));
        }
        let mut row = layout.row(&record).map_err(|(column, e)| at(line, Some(&column), e.to_string()))?;
        row.origin = Origin(Some((Arc::clone(&file), line)));
        rows.push(row);
    }
    if !text.ends_with('\n') {
        let line = text.lines().count() as u64;
        return Err(at(
            line,
            headers.iter().next_back(),
            "the last line has no line break: the file seems cut off".into(),
        ));
    }
    if rows.is_empty() {
        return Err(at(1, None, "the file has a header but no row".into()));
    }
    Ok(rows)
}

/// Where the columns of one file stand.
struct Layout {
    /// For each descriptive column its place, if the file has it.
    described: Vec<Option<usize>>,
    /// The rest.
    others: Vec<Other>,
}

/// A column that is not descriptive.
struct Other {
    name: String,
    place: usize,
    is: Meaning,
}

enum Meaning {
    /// A mean, and the places of its standard error and of its error over images.
    Mean(Measured, [Option<usize>; 2]),
    /// An error of a column, and the latter's place.
    StandardError(String, Option<usize>),
    Unknown,
}

enum Measured {
    Quantity(Quantity),
    Paired(String),
}

impl Measured {
    fn of(name: &str) -> Option<Self> {
        let paired = || name.strip_prefix(PAIRED_PREFIX).map(|key| Self::Paired(key.to_string()));
        Quantity::from_name(name).map(Self::Quantity).or_else(paired)
    }
}

impl Layout {
    fn of(headers: &csv::StringRecord) -> std::result::Result<Self, ColumnError> {
        let mut places = HashMap::new();
        for (place, header) in headers.iter().enumerate() {
            if places.insert(header, place).is_some() {
                return Err((header.into(), Error::argument("the column stands twice in the header")));
            }
        }
        let is_missing = |name| !places.contains_key(name);
        if let Some(column) = COLUMNS.iter().find(|c| c.role == Role::Required && is_missing(c.name)) {
            let message = "the column is missing from the header";
            return Err((column.name.into(), Error::argument(message)));
        }
        let described: Vec<_> = COLUMNS.iter().map(|column| places.get(column.name).copied()).collect();
        let known: BTreeSet<_> = described.iter().flatten().copied().collect();
        let other = |(place, name): (usize, &str)| {
            let stem_before = |suffix| name.strip_suffix(suffix).filter(|&stem| Measured::of(stem).is_some());
            let place_with = |suffix| places.get(format!("{name}{suffix}").as_str()).copied();
            // The longer ending first. The key of a paired column may end as a standard error does.
            let is = match (stem_before(IMAGE_SE_SUFFIX).or(stem_before(SE_SUFFIX)), Measured::of(name)) {
                (Some(stem), _) => Meaning::StandardError(stem.to_string(), places.get(stem).copied()),
                (None, Some(measured)) => Meaning::Mean(measured, ERRORS.map(place_with)),
                (None, None) => Meaning::Unknown,
            };
            Other { name: name.to_string(), place, is }
        };
        let others = headers.iter().enumerate().filter(|(place, _)| !known.contains(place)).map(other);
        Ok(Self { others: others.collect(), described })
    }

    fn row(&self, record: &csv::StringRecord) -> std::result::Result<LossComponents, ColumnError> {
        let cell = |place: usize| record.get(place).map(str::trim).filter(|cell| !cell.is_empty());
        let described = self.described.iter().map(|place| place.and_then(cell));
        let mut row = LossComponents::from_cells(described)?;
        row.check()?;
        for Other { name, place, is } in &self.others {
            let Some(text) = cell(*place) else { continue };
            let on = |e: Error| (name.clone(), e);
            match is {
                Meaning::Unknown => row.extra.push((name.clone(), text.to_string())),
                Meaning::StandardError(stem, mean) => {
                    if mean.and_then(cell).is_none() {
                        let message = format!("a standard error without its mean {stem}");
                        return Err(on(Error::argument(message)));
                    }
                }
                Meaning::Mean(measured, errors) => {
                    let mean = parse_number(text).map_err(on)?;
                    let mut found = [None; 2];
                    for ((error, place), suffix) in found.iter_mut().zip(errors).zip(ERRORS) {
                        let value = place.and_then(cell).map(non_negative).transpose();
                        *error = value.map_err(|e| (format!("{name}{suffix}"), e))?;
                    }
                    let [standard_error, image_error] = found;
                    let estimate = Estimate { mean, standard_error, image_error };
                    match measured {
                        Measured::Quantity(quantity) => row.set(*quantity, estimate).map_err(on)?,
                        Measured::Paired(_) if !mean.is_finite() => {
                            return Err(on(Error::argument(format!("{text} is not a finite number"))));
                        }
                        Measured::Paired(key) => drop(row.paired.insert(key.clone(), estimate)),
                    }
                }
            }
        }
        Ok(row)
    }
}

/// Writes rows as `losses.csv`, atomically: the old file stays until the new one is complete.
///
/// # Errors
/// The operating system refuses.
pub fn write(path: &Path, rows: &[LossComponents]) -> Result<()> {
    files::write_atomically(path, write_to(rows).as_bytes())
}

/// The text of `losses.csv`: known columns that any row has, then paired differences, then unknown columns.
pub fn write_to(rows: &[LossComponents]) -> String {
    let described = COLUMNS.iter().map(|column| column.name.to_string());
    let measured = Quantity::ALL
        .iter()
        .flat_map(|q| ["", SE_SUFFIX, IMAGE_SE_SUFFIX].map(|suffix| format!("{q}{suffix}")));
    let mut names: Vec<String> = described.chain(measured).collect();
    let mut places: HashMap<String, usize> =
        names.iter().enumerate().map(|(place, name)| (name.clone(), place)).collect();
    let mut place_of = |name: String| match places.get(&name) {
        Some(place) => *place,
        None => {
            names.push(name.clone());
            places.insert(name, names.len() - 1);
            names.len() - 1
        }
    };
    let mut cells_of = |row| {
        let mut found = BTreeMap::new();
        for (name, cell) in cells(row) {
            // Of an unknown column that stands twice the first cell counts.
            found.entry(place_of(name)).or_insert(cell);
        }
        found
    };
    let table: Vec<BTreeMap<usize, String>> = rows.iter().map(&mut cells_of).collect();
    let used: BTreeSet<usize> = table.iter().flat_map(BTreeMap::keys).copied().collect();
    let is_required = |place: usize| COLUMNS.get(place).is_some_and(|c| c.role == Role::Required);
    let shown: Vec<usize> = (0..names.len()).filter(|p| is_required(*p) || used.contains(p)).collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to memory cannot fail.
    let _ = writer.write_record(shown.iter().map(|&place| &names[place]));
    for cells in &table {
        let _ = writer.write_record(shown.iter().map(|place| cells.get(place).map_or("", String::as_str)));
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

/// The cells of a row that are not empty, with the names of their columns.
pub(super) fn cells(row: &LossComponents) -> Vec<(String, String)> {
    let described = COLUMNS.iter().map(|column| (column.name.to_string(), (column.value)(row).to_string()));
    let mut cells: Vec<_> = described.collect();
    let estimates = row.measures.iter().map(|(quantity, e)| (quantity.to_string(), e));
    let paired = row.paired.iter().map(|(key, e)| (format!("{PAIRED_PREFIX}{key}"), e));
    for (name, estimate) in estimates.chain(paired) {
        for (suffix, error) in ERRORS.iter().zip([estimate.standard_error, estimate.image_error]) {
            cells.extend(error.map(|error| (format!("{name}{suffix}"), number(error))));
        }
        cells.push((name, number(estimate.mean)));
    }
    cells.extend(row.extra.iter().cloned());
    cells.retain(|(_, cell)| !cell.is_empty());
    cells
}

/// The shortest text that reads back as the same number.
fn number(value: f64) -> String {
    format!("{value:?}")
}
