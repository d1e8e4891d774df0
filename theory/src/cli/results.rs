//! `bounds` and `report`: what measured losses say.

use super::{OutputArgs, PriorSource};
use anyhow::Result;
use clap::Args;
use std::path::{Path, PathBuf};
use theory::losses::{self, Groups, LossComponents, OfficialSettings};
use theory::report::figure::{PanelKind, Selection, Style};
use theory::report::{self, Document, Figure, Format, Section};
use theory::{NumDraws, bounds};

/// Measurements, of one file or several.
#[derive(Args)]
pub(super) struct MeasuredArgs {
    /// losses.csv, or the folder of a run that was measured; or bounds.json of Nozawa & Sato's code, one for each seed
    #[arg(value_name = "LOSSES.csv|RUN_DIR|BOUNDS.json", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    official: OfficialArgs,
}

const OFFICIAL: &str = "Needed for bounds.json, which does not contain them";

/// What bounds.json does not hold.
#[derive(Args)]
#[group(skip)]
struct OfficialArgs {
    /// Number of classes C
    #[arg(long, help_heading = OFFICIAL, value_name = "C", conflicts_with = "counts")]
    classes: Option<u64>,
    /// Samples of each class of the evaluated set: numbers such as 5000,3000,1500, or a file with one integer a line or
    /// a JSON array
    #[arg(long, help_heading = OFFICIAL, value_name = "FILE|LIST")]
    counts: Option<PathBuf>,
    /// Samples per class of the evaluated set, with --classes
    #[arg(long, help_heading = OFFICIAL, value_name = "M", requires = "classes")]
    per_class: Option<u64>,
    /// Number of draws n = K+1: the batch size of that code
    #[arg(long, help_heading = OFFICIAL, value_name = "N")]
    draws: Option<u64>,
    /// Temperature t of its training loss
    #[arg(long, help_heading = OFFICIAL, value_name = "T")]
    temperature: Option<f64>,
}

impl OfficialArgs {
    fn is_empty(&self) -> bool {
        self.classes.or(self.per_class).or(self.draws).is_none()
            && self.counts.is_none()
            && self.temperature.is_none()
    }

    fn settings(&self, file: &Path) -> Result<OfficialSettings> {
        let source =
            PriorSource { counts: self.counts.as_deref(), classes: self.classes, per_class: self.per_class };
        let (Some(draws), Some(temperature), true) = (self.draws, self.temperature, source.is_given()) else {
            let file = file.display();
            return Err(theory::Error::argument(format!(
                "{file} does not say what was measured: give --classes C (with --per-class M) or --counts FILE, --draws N and --temperature T"
            ))
            .into());
        };
        Ok(OfficialSettings { prior: source.load()?, num_draws: NumDraws::new(draws)?, temperature })
    }
}

impl MeasuredArgs {
    pub(super) fn load(&self) -> Result<Vec<LossComponents>> {
        let mut rows = Vec::new();
        let mut official = false;
        for path in &self.files {
            let file = losses::measured_file(path)?;
            if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
                official = true;
                rows.push(losses::read_official(&file, &self.official.settings(&file)?)?);
            } else {
                rows.extend(losses::read(&file)?);
            }
        }
        if !official && !self.official.is_empty() {
            let message = "--classes, --counts, --per-class, --draws and --temperature are for bounds.json; losses.csv holds them itself";
            return Err(theory::Error::argument(message).into());
        }
        Ok(rows)
    }
}

#[derive(Args)]
pub(super) struct BoundsArgs {
    #[command(flatten)]
    measured: MeasuredArgs,
    #[command(flatten)]
    confidence: ConfidenceArgs,
    /// Print every bound, also those above ln C at every n, not proved, or of other quantities; csv, json, markdown and
    /// latex always have all
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args)]
struct ConfidenceArgs {
    /// Also print what holds with this confidence, such as 0.95, for all images of which the evaluated ones are a random
    /// sample
    #[arg(long, value_name = "LEVEL")]
    confidence: Option<f64>,
}

impl ConfidenceArgs {
    /// The section of the statements with confidence, if they are asked for.
    fn section(&self, groups: &Groups<'_>) -> Result<Option<Section>> {
        let Some(level) = self.confidence else { return Ok(None) };
        let section = report::confident_section(groups, bounds::all(), level)?;
        note_image_errors(groups);
        Ok(Some(section))
    }
}

/// Says that the normal statements are missing, and what to do.
pub(super) fn note_image_errors(groups: &Groups<'_>) {
    if report::lacks_image_errors(groups) {
        theory::terminal::say(
            "note: no errors over images (columns …_image_se): measure again for statements by the normal \
             approximation; those that assume nothing need none",
        );
    }
}

pub(super) fn bounds(args: &BoundsArgs) -> Result<()> {
    let rows = args.measured.load()?;
    let groups = losses::group(&rows)?;
    note(&groups);
    // One line a bound reads better; programs keep one object a measurement.
    if let Format::Csv | Format::Json = args.output.format {
        let mut table = report::bounds_table(&groups, bounds::all());
        if let Some(level) = args.confidence.confidence {
            table.add_columns(&report::confident_columns(&groups, bounds::all(), level)?);
            note_image_errors(&groups);
        }
        return args.output.print(&table);
    }
    let confident = args.confidence.section(&groups)?;
    if let (Some(screen), false, None) = (args.output.screen(), args.all, &confident) {
        return super::print(&report::summary(&groups).to_screen(screen, "--all, or --format csv"));
    }
    let table = report::bounds_by_draws(&groups, bounds::all());
    match confident {
        None => args.output.print(&table),
        Some(confident) => {
            let text = "L_Info and L_sup as measured, and every bound of them.".into();
            let measured = Section { title: "As measured".into(), text, table };
            let sections = vec![("bounds", measured), ("confidence", confident)];
            let document = Document { title: "Bounds".into(), sections };
            args.output.print_document(&document)
        }
    }
}

/// Says which rows stand twice: a mean leaves no trace of them.
pub(super) fn note(groups: &Groups<'_>) {
    if let Some(note) = groups.note() {
        theory::terminal::say(&format!("note: {note}"));
    }
}

#[derive(Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    measured: MeasuredArgs,
    /// Folder for report.html and its figures and tables, each also a file of its own; new, empty, or of an earlier
    /// report [default: report, beside a single LOSSES.csv or in RUN_DIR]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Upper bounds of L_sup in the figure, by key, or `all` [default: curl, nozawa_sato and the four sharpest theorems]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    bounds: Option<Vec<String>>,
    /// Panels of the figure: log, linear, accuracy [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    panel: Option<Vec<PanelKind>>,
    /// Width of the figure, such as 3.25in or 83mm, for a column of a paper [default: 9.375in]
    #[arg(long, value_name = "LENGTH", value_parser = width)]
    width: Option<u32>,
    #[command(flatten)]
    confidence: ConfidenceArgs,
    /// Print nothing
    #[arg(short, long)]
    quiet: bool,
}

/// A length in units of 1/96 inch.
fn width(text: &str) -> Result<u32, String> {
    const UNITS: [(&str, f64); 4] =
        [("in", 96.0), ("mm", 96.0 / 25.4), ("cm", 96.0 / 2.54), ("pt", 96.0 / 72.0)];
    let number =
        |&(unit, size): &(&str, f64)| Some(text.strip_suffix(unit)?.trim().parse::<f64>().ok()? * size);
    let width =
        UNITS.iter().find_map(number).ok_or("a length is a number and in, mm, cm or pt, such as 3.25in")?;
    // Below two inches no name fits beside a panel; a PNG has up to 96 bytes a unit.
    if !(192.0..=1920.0).contains(&width) {
        return Err("a figure is 2 to 20 inches wide".into());
    }
    Ok(width.round() as u32)
}

pub(super) fn report(args: &ReportArgs) -> Result<()> {
    let mut style = Style::default();
    if let Some(keys) = &args.bounds {
        style.bounds = Selection::of(keys)?;
    }
    if let Some(panels) = &args.panel {
        style.panels.clone_from(panels);
    }
    style.width = args.width.unwrap_or(style.width);
    let rows = args.measured.load()?;
    // Of several measurements each has its own picture and folder.
    let single = match &args.measured.files[..] {
        [file] => Some(losses::measured_file(file)?),
        _ => None,
    };
    let picture = single.as_deref().map(Figure::beside).transpose()?.flatten();
    let beside = || single.as_deref().filter(|file| file.is_file()).map(|file| file.with_file_name("report"));
    let out = args.out.clone().or_else(beside);
    let out = out.ok_or_else(|| {
        theory::Error::argument("--out DIR is needed for several measurements, and for what is no file")
    })?;
    report::check_folder(&out)?;
    let groups = losses::group(&rows)?;
    note(&groups);
    let mut sections = report::standard_sections(&groups);
    sections.extend(args.confidence.section(&groups)?);
    report::write(
        &out,
        "Bounds against the number of negatives",
        &rows,
        &sections,
        &style,
        picture.as_ref(),
    )?;
    if !args.quiet {
        super::print(&format!("wrote {}\n", out.join("report.html").display()))?;
    }
    Ok(())
}
