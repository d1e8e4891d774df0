//! Tables and figures of bounds against K, from measured `LossComponents`.
//!
//! [`write()`] makes a folder: `report.html` (one file, figure inline), `bounds.svg`, `bounds.png`, `bounds.pdf`, `losses.csv`,
//! `bounds.csv`, `bounds.md`, and where the slack is as `explain.svg`, `explain.png`, `explain.csv`. [`Document`] holds several titled tables.

mod aggregate;
mod bounds;
mod certificates;
mod checks;
mod columns;
mod confident;
mod document;
mod explain;
mod explain_page;
pub mod figure;
mod format;
mod html;
mod optimum;
mod simulation;
mod summary;
mod table;

pub use aggregate::{Interval, MeanAndDeviation, mean_and_deviation, mean_interval, ratio_interval};
use bounds::blocks;
pub use bounds::{bounds_by_draws, bounds_table};
pub use certificates::{Certified, certify};
pub use checks::{BinomialCheck, binomial_two_sided, checks, checks_table, margins_table};
pub use columns::columns;
pub use confident::{confident_columns, confident_section, lacks_image_errors};
pub use document::Document;
pub use explain::{left_out, slack_document, slack_table};
use format::markdown_prose as prose;
pub(crate) use format::wrap;
pub use format::{Format, Screen};
pub use html::Page;
pub use optimum::optimum_table;
pub use simulation::{Simulated, simulation_table};
pub use summary::{Summary, summary};
pub use table::{Cell, Table};

use crate::bounds as registry;
use crate::error::{Error, Result};
use crate::files;
use crate::losses::{self, Column, Group, Groups, LossComponents, Quantity, Value, group};
use rayon::prelude::*;
use std::path::Path;

/// A titled table that stands in the report beside the bounds.
#[derive(Debug, Clone)]
pub struct Section {
    /// Heading.
    pub title: String,
    /// One paragraph that says what the table shows.
    pub text: String,
    /// The table.
    pub table: Table,
}

/// A drawn figure, in both formats.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Short name: that of its files.
    pub name: String,
    /// What it shows.
    pub caption: String,
    /// As SVG.
    pub svg: String,
    /// As PNG.
    pub png: Vec<u8>,
}

impl Figure {
    /// The picture of features that a measurement left beside its `losses.csv`, `picture.svg` and `picture.png`, if
    /// there is one.
    ///
    /// # Errors
    /// The operating system refuses to read; a text that is not UTF-8, or of more than 16 MiB.
    pub fn beside(losses: &Path) -> Result<Option<Self>> {
        const MOST: u64 = 16 << 20;
        let [svg, png] = ["picture.svg", "picture.png"].map(|name| losses.with_file_name(name));
        let Some(png) = files::content(&png)? else { return Ok(None) };
        Ok(files::exists(&svg)?.then(|| files::read_text(&svg, MOST)).transpose()?.map(|svg| Self {
            name: "picture".into(),
            caption: "Each point is an evaluated sample, by its head features. Left: the first two principal components. \
                      Right: t-SNE, which keeps neighbours together; distances between its \
                      clusters, and their sizes, mean nothing."
                .into(),
            svg,
            png,
        }))
    }

    /// The bounds against n of these measurements.
    ///
    /// # Errors
    /// As for [`figure::bounds_against_draws`].
    pub fn of_bounds(name: &str, caption: &str, groups: &Groups<'_>, style: &figure::Style) -> Result<Self> {
        let svg = figure::bounds_against_draws(groups, style, figure::Format::Svg)?;
        Ok(Self {
            name: name.into(),
            caption: caption.into(),
            svg: String::from_utf8_lossy(&svg).into_owned(),
            png: figure::bounds_against_draws(groups, style, figure::Format::Png)?,
        })
    }
}

/// What was measured per number of draws: mean ± standard deviation over seeds.
pub fn measured_table(groups: &Groups<'_>) -> Table {
    let measures = [
        ("L_Info", Quantity::InfoNce),
        ("d(f)", Quantity::Gap),
        ("E ln(1+Col)", Quantity::Log1pCollisions),
        ("υ exact", Quantity::CoverageExact),
        ("τ exact", Quantity::CollisionExact),
        ("L_sup", Quantity::FullSupLoss),
        ("mean acc.", Quantity::MeanAccuracy),
        ("linear acc.", Quantity::LinearAccuracy),
        ("kNN acc.", Quantity::KnnAccuracy),
    ];
    per_group(groups, &measures.map(|(name, _)| name.to_string()), |group| {
        measures.iter().map(|&(_, m)| statistic(group, |row| row.get(m))).collect()
    })
}

/// A table of one line a group: what was trained, as far as it differs between groups, n, seeds, and `cells`.
fn per_group(
    groups: &Groups<'_>,
    headers: &[String],
    cells: impl Fn(&Group<'_>) -> Vec<Cell> + Sync,
) -> Table {
    let shown = groups.differing();
    let names = shown.iter().map(|column| column.heading.to_string());
    let names = names.chain(["n = K+1", "seeds"].map(String::from));
    let mut table = Table::new(names.chain(headers.iter().cloned()));
    let line = |group: &Group<'_>| {
        let mut line = descriptive(&shown, group.setting());
        line.push(integer(group.setting().num_draws.get()));
        line.push(Cell::Integer(group.rows.len() as i64));
        line.extend(cells(group));
        line
    };
    (**groups).par_iter().map(line).collect::<Vec<_>>().into_iter().for_each(|line| table.push(line));
    table
}

/// What a row says in these columns; where it says nothing, what that means.
pub fn descriptive(columns: &[&Column], row: &LossComponents) -> Vec<Cell> {
    let cell = |column: &&Column| match (column.value)(row) {
        Value::Unknown => Cell::text(column.absent),
        Value::Integer(value) => integer(value),
        Value::Number(value) => Cell::Given(value),
        value => Cell::Text(value.to_string()),
    };
    columns.iter().map(cell).collect()
}

/// For each setting the values of the first columns that tell all of them apart.
fn setting_names(columns: &[&Column], settings: &[&LossComponents]) -> Vec<String> {
    let value = |column: &Column, row: &LossComponents| match (column.value)(row) {
        Value::Unknown if column.absent == "unknown" => format!("{} unknown", column.heading),
        Value::Unknown => column.absent.to_string(),
        Value::Text(text) => text.to_string(),
        value => format!("{} = {value}", column.heading),
    };
    let distinct = |names: &[String]| names.iter().collect::<std::collections::HashSet<_>>().len();
    let mut names = vec![String::new(); settings.len()];
    for column in columns {
        let add = |(name, row): (&String, &&LossComponents)| match &**name {
            "" => value(column, row),
            name => format!("{name}, {}", value(column, row)),
        };
        let more: Vec<String> = names.iter().zip(settings).map(add).collect();
        if distinct(&more) > distinct(&names) {
            names = more;
        }
    }
    names
}

/// A whole number; as text where it is beyond what a cell's integer holds.
fn integer(value: u64) -> Cell {
    i64::try_from(value).map_or_else(|_| Cell::Decimal(value.to_string()), Cell::Integer)
}

fn statistic(group: &Group<'_>, of: impl Fn(&LossComponents) -> Option<f64>) -> Cell {
    let values: Option<Vec<f64>> = group.rows.iter().map(|row| of(row)).collect();
    values.map_or(Cell::Missing, |values| Cell::Estimate(mean_and_deviation(&values)))
}

fn measured_section(groups: &Groups<'_>) -> Section {
    Section {
        title: "Measured".into(),
        text: "Contrastive loss L_Info with K = n−1 negatives, gap d(f), collisions, exact coverage υ and collision τ of \
               the sampling that was used, supervised loss L_sup of the mean classifier, and accuracies on head features."
            .into(),
        table: measured_table(groups),
    }
}

/// The two sections that any measurement can have: counted against exact frequencies, and paired margins.
pub fn standard_sections(groups: &Groups<'_>) -> Vec<Section> {
    let sections = [
        Section {
            title: "Counted against exact".into(),
            text: "Counted frequencies beside the exact probabilities of the sampling that was used, with a two-sided \
                   exact binomial test over batches; a p-value below 1e-4 is flagged. For the collision probability the \
                   test counts the first anchor of each batch; all anchors of a batch collide together, so their share \
                   (collision) has no binomial law and stands beside its exact value untested."
                .into(),
            table: checks_table(groups),
        },
        Section {
            title: "Do the lower bounds of L_Info hold?".into(),
            text: "L_Info minus each bound's right-hand side, paired batch by batch. Population \
                   means would make a theorem's difference positive; here class means come from the training samples and f̄ \
                   from a few views, so Jensen's step holds only approximately."
                .into(),
            table: margins_table(groups),
        },
    ];
    sections.into_iter().filter(|s| !s.table.rows().is_empty()).collect()
}

/// Accepts a folder for a report: one that does not exist yet, is empty, or holds an earlier report; makes nothing.
///
/// # Errors
/// The path is no folder, or the folder holds something else; the operating system refuses.
pub fn check_folder(folder: &Path) -> Result<()> {
    check_folder_for(folder, "report.html")
}

/// The same for a report whose page has this name.
fn check_folder_for(folder: &Path, page_name: &str) -> Result<()> {
    let io = |e| Error::io(folder, e);
    match std::fs::metadata(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(io(e)),
        Ok(found) if !found.is_dir() => {
            return Err(Error::argument(format!("{} exists and is no folder", folder.display())));
        }
        Ok(_) => {}
    }
    for entry in std::fs::read_dir(folder).map_err(io)? {
        // What an interrupted run left does not make the folder somebody else's.
        if !files::is_unfinished(&entry.map_err(io)?.file_name()) {
            return if is_page(&folder.join(page_name))? { Ok(()) } else { Err(foreign(folder)) };
        }
    }
    Ok(())
}

/// Whether this is a page of this program. What cannot be read is neither that nor somebody else's.
fn is_page(path: &Path) -> Result<bool> {
    match std::fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(Error::io(path, e)),
        // A pipe would keep who reads it waiting.
        Ok(found) if !found.is_file() => return Ok(false),
        Ok(_) => {}
    }
    let page = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    Ok(page.windows(html::GENERATOR.len()).any(|part| part == html::GENERATOR.as_bytes()))
}

fn foreign(folder: &Path) -> Error {
    Error::argument(format!(
        "{} exists and holds no report of this program: choose another folder",
        folder.display()
    ))
}

/// Writes the files of a report into `folder`, which is made: all of them beside their places first, then the page, by
/// which the folder is known, goes to its place, and the others follow.
fn write_files(folder: &Path, page: (String, Vec<u8>), others: Vec<(String, Vec<u8>)>) -> Result<()> {
    files::create_folder(folder)?;
    let all: Vec<_> =
        std::iter::once(page).chain(others).map(|(name, content)| (folder.join(name), content)).collect();
    let all: Vec<(&Path, &[u8])> =
        all.iter().map(|(path, content)| (path.as_path(), content.as_slice())).collect();
    files::write_all(&all)
}

/// Writes the report on `rows` into `folder`, which is made once everything is drawn; the figure shows what
/// `style` says, the tables every bound. A picture of the features, as [`Figure::beside`] reads one, stands at the end.
///
/// # Errors
/// No rows, or two that [`group`] refuses; the figure cannot be drawn; the operating system refuses to write.
pub fn write(
    folder: &Path,
    title: &str,
    rows: &[LossComponents],
    sections: &[Section],
    style: &figure::Style,
    picture: Option<&Figure>,
) -> Result<()> {
    if rows.is_empty() {
        return Err(Error::argument("a report needs at least one row of losses"));
    }
    let groups = &group(rows)?;
    let figure = Figure::of_bounds("bounds", "", groups, style)?;
    let pdf = figure::bounds_against_draws(groups, style, figure::Format::Pdf)?;
    let table = bounds_by_draws(groups, registry::all());
    let explained = explain_page::report(groups)?;
    let slack = explained.iter().map(|e| e.section.clone());
    let sections = &std::iter::once(measured_section(groups))
        .chain(slack)
        .chain(sections.iter().cloned())
        .collect::<Vec<_>>()[..];
    let note = groups.note().map_or_else(String::new, |note| format!("{}.\n\n", prose(&note)));
    let markdown =
        std::iter::once(format!("# {}\n\n{note}{}", prose(title), table.to_text(Format::Markdown)))
            .chain(sections.iter().map(|s| {
                format!(
                    "## {}\n\n{}\n\n{}",
                    prose(&s.title),
                    prose(&s.text),
                    s.table.to_text(Format::Markdown)
                )
            }))
            .collect::<Vec<_>>()
            .join("\n");
    let waterfall = explained.as_ref().map(|e| &e.figure);
    let losses_csv = losses::write_to(rows);
    let bounds_csv = bounds_table(groups, registry::all()).to_text(Format::Csv);
    let page = Page {
        title,
        finding: &summary(groups).sentences(),
        figure: &figure.svg,
        table: &table,
        sections,
        waterfall,
        picture,
        files: &[("losses.csv", &losses_csv), ("bounds.csv", &bounds_csv)],
    };
    let page = page.html(groups).into_bytes();
    let others = [
        ("losses.csv", losses_csv.into_bytes()),
        ("bounds.svg", figure.svg.into_bytes()),
        ("bounds.png", figure.png),
        ("bounds.pdf", pdf),
        ("bounds.csv", bounds_csv.into_bytes()),
        ("bounds.md", markdown.into_bytes()),
    ];
    let others = others.into_iter().map(|(name, content)| (name.to_string(), content));
    let slack =
        explained.iter().map(|e| ("explain.csv".to_string(), e.table.to_text(Format::Csv).into_bytes()));
    let others = others.chain(slack);
    let pictures = waterfall.into_iter().chain(picture).flat_map(|Figure { name, svg, png, .. }| {
        [(format!("{name}.svg"), svg.clone().into_bytes()), (format!("{name}.png"), png.clone())]
    });
    let others = others.chain(pictures);
    write_files(folder, ("report.html".into(), page), others.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_an_interrupted_run_is_accepted_again() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own");
        check_folder(&own).unwrap();
        assert!(!own.exists(), "a check makes nothing");
        std::fs::create_dir(&own).unwrap();
        std::fs::write(own.join(".a1b2c3.partial"), "half").unwrap();
        check_folder(&own).unwrap();
        let page = ("report.html".to_string(), html::GENERATOR.as_bytes().to_vec());
        std::fs::create_dir(own.join("blocked")).unwrap();
        assert!(check_folder(&own).is_err(), "somebody else's");
        let files = |name: &str| vec![(name.to_string(), b"x".to_vec())];
        write_files(&own, page.clone(), files("a")).unwrap();
        check_folder(&own).unwrap();
        // One file that cannot be written keeps all others from their places.
        let other = folder.path().join("other");
        assert!(write_files(&other, page, files("none/a")).is_err());
        assert_eq!(std::fs::read_dir(&other).unwrap().count(), 0);
        check_folder(&other).unwrap();
    }
}
