//! The published tables of Nozawa & Sato (NeurIPS 2021), compiled in, and what exact arithmetic says about them.
//!
//! [`tables`] parses the 19 printed rows of the bound tables (means over seeds 7, 11, 13; t = 0.5; two decimals), and
//! [`losses()`] turns a row into the [`LossComponents`] that every bound of this crate evaluates. The printed rows
//! "L_sup" and "L_sub" of Eq. 10 are ½ υ L_sup and ½ (1−υ) L_sub, so they are doubled here. [`document`] puts printed
//! and recomputed values side by side and names the cause wherever they disagree.
//!
#![doc = include_str!("../../docs/float_formula.svg")]
//!
//! Source: the executed outputs of the official notebooks `bound.ipynb` and `coupon.ipynb`, see `data/README.md`.

mod bars;
mod counts;
mod coverage;
mod draws;
mod notebook;
mod sampling;
mod saturation;
mod upper;

pub use notebook::{NotebookQuantity, float_formula, largest_term, values as notebook_values};

use crate::error::{Error, Place, Result};
use crate::losses::{Estimate, Quantity, group};
use crate::prior::ClassPrior;
use crate::report::figure::Style;
use crate::report::{Cell, Document, Figure, Section, Table};
use crate::{LossComponents, NumDraws, Sampling, collision};

/// The temperature of all printed rows.
pub const TEMPERATURE: f64 = 0.5;

/// Seeds behind each printed mean.
const SEEDS: u64 = 3;

/// Passes over the evaluated set behind each seed's value.
const PASSES: u64 = 10;

/// Half a unit of the second decimal.
const ROUNDING: f64 = 0.005;

/// An evaluated set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dataset {
    /// Name in files: `cifar10`, `cifar100`, `ag_news_erase`.
    pub key: &'static str,
    /// Name in tables.
    pub name: &'static str,
    /// C.
    pub num_classes: u64,
    /// Items of each class in the evaluated set.
    pub items_per_class: u64,
}

impl Dataset {
    /// The law of its labels: equal counts.
    ///
    /// # Errors
    /// None for the sets of this module.
    pub fn prior(&self) -> Result<ClassPrior> {
        ClassPrior::from_counts(vec![self.items_per_class; self.num_classes as usize])
    }

    /// Batches of n behind one printed value: seeds × passes × ⌊M/n⌋, the remainder of each pass dropped.
    pub fn batches(&self, num_draws: NumDraws) -> u64 {
        SEEDS * self.batches_of(PASSES, num_draws)
    }

    fn batches_of(&self, passes: u64, num_draws: NumDraws) -> u64 {
        passes * (self.num_classes * self.items_per_class / num_draws.get())
    }
}

/// A printed table.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedTable {
    /// What was evaluated.
    pub dataset: Dataset,
    /// One row per number of draws.
    pub rows: Vec<Row>,
}

/// A printed row, exactly as printed; absent where the notebook prints nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What was evaluated.
    pub dataset: Dataset,
    /// n = K+1.
    pub num_draws: NumDraws,
    /// τ̂, share of anchors whose class occurs again.
    pub tau_hat: Option<f64>,
    /// υ̂, share of batches that show every class.
    pub upsilon_hat: Option<f64>,
    /// Accuracy of the mean classifier, in percent.
    pub mean_accuracy: f64,
    /// Linear accuracy on head features, in percent.
    pub linear_accuracy: f64,
    /// Linear accuracy on encoder features, in percent.
    pub linear_accuracy_encoder: Option<f64>,
    /// L_Info, in nats.
    pub info_nce: f64,
    /// d(f) ≤ 0.
    pub gap: f64,
    /// Right-hand side of Eq. 8.
    pub curl_bound: f64,
    /// E ln(1+Col).
    pub log1p_collisions: f64,
    /// E 1{Col = 0} 1{cover} l_sup.
    pub curl_sup: f64,
    /// E 1{Col = 0} 1{not cover} l.
    pub curl_sub: f64,
    /// Right-hand side of Eq. 10.
    pub proposed_bound: f64,
    /// ½ υ L_sup.
    pub half_sup: f64,
    /// ½ (1−υ) L_sub.
    pub half_sub: f64,
    /// β̂.
    pub collision_spread: f64,
    /// ln of the CURL bar (AG News only).
    pub ln_curl_upper: Option<f64>,
    /// ln of the Nozawa–Sato bar (AG News only).
    pub ln_proposed_upper: Option<f64>,
}

const SOURCES: [(Dataset, &str); 3] = [
    (
        Dataset { key: "cifar10", name: "CIFAR-10", num_classes: 10, items_per_class: 1000 },
        include_str!("../../../data/published/nozawa_cifar10.csv"),
    ),
    (
        Dataset { key: "cifar100", name: "CIFAR-100", num_classes: 100, items_per_class: 100 },
        include_str!("../../../data/published/nozawa_cifar100.csv"),
    ),
    (
        Dataset { key: "ag_news_erase", name: "AG News", num_classes: 4, items_per_class: 1900 },
        include_str!("../../../data/published/nozawa_agnews_erase.csv"),
    ),
];

/// The three printed bound tables: CIFAR-10 (5 rows), CIFAR-100 (8), AG News with "erase" (6).
///
/// # Errors
/// None for the tables that are compiled in; tests parse them.
///
/// # Examples
/// ```
/// let tables = theory::published::tables()?;
/// assert_eq!(tables.iter().map(|t| t.rows.len()).collect::<Vec<_>>(), [5, 8, 6]);
/// assert_eq!((tables[0].rows[0].info_nce, tables[0].rows[0].half_sup), (2.02, 0.63));
/// # Ok::<(), theory::Error>(())
/// ```
pub fn tables() -> Result<Vec<PublishedTable>> {
    SOURCES
        .iter()
        .map(|&(dataset, text)| {
            let rows = records(dataset.name, text)?.into_iter().map(|r| Row::parse(dataset, &r));
            Ok(PublishedTable { dataset, rows: rows.collect::<Result<_>>()? })
        })
        .collect()
}

/// All printed rows, table by table.
///
/// # Errors
/// As for [`tables`].
pub fn rows() -> Result<Vec<Row>> {
    Ok(tables()?.into_iter().flat_map(|table| table.rows).collect())
}

/// The measurement behind a printed row, as far as two decimals tell it, for labels drawn by `sampling`.
///
/// The halved rows are doubled; `curl_joint` is the sum of its two parts; `class_counts` are those of the evaluated
/// set. `coverage` and `collision` are the exact υ and τ of `sampling`, as a printed τ̂ of 1.00 says nothing about 1−τ;
/// what the notebook divides by is [`Row::divisor`]. L_sup itself is not printed, see [`Row::full_sup_loss_estimate`].
///
/// # Errors
/// None for the rows of [`tables`].
///
/// # Examples
/// ```
/// use theory::{Sampling, bounds, published};
/// // Eq. 8 from its printed parts, 0.05 + 0.01 + 1.32 − 1.16 = 0.22; printed: 0.23.
/// let losses = published::losses(&published::rows()?[0], Sampling::WithReplacement)?;
/// let lower = bounds::find("curl").unwrap().lower_bound(&losses).value().unwrap();
/// assert!((lower - 0.22).abs() < 1e-12);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn losses(row: &Row, sampling: Sampling) -> Result<LossComponents> {
    let mut losses = LossComponents::new(row.dataset.num_classes, row.num_draws, TEMPERATURE, sampling)?;
    losses.run.dataset = row.dataset.key.into();
    let prior = row.dataset.prior()?;
    losses.class_counts = prior.counts().map(<[u64]>::to_vec);
    let upsilon = crate::coverage::probability(&prior, sampling, row.num_draws)?.value();
    let tau = collision::probability(&prior, sampling, row.num_draws.negatives())?.value();
    let log1p = collision::expected_ln1p(&prior, sampling, row.num_draws.negatives())?;
    for (measure, value) in [
        (Quantity::InfoNce, row.info_nce),
        (Quantity::Gap, row.gap),
        (Quantity::Log1pCollisions, row.log1p_collisions),
        (Quantity::JointSupLoss, 2.0 * row.half_sup),
        (Quantity::JointSubLoss, 2.0 * row.half_sub),
        (Quantity::CurlJointSup, row.curl_sup),
        (Quantity::CurlJoint, row.curl_sup + row.curl_sub),
        (Quantity::CollisionSpread, row.collision_spread),
        (Quantity::MeanAccuracy, row.mean_accuracy / 100.0),
        (Quantity::LinearAccuracy, row.linear_accuracy / 100.0),
        (Quantity::Coverage, upsilon),
        (Quantity::CoverageExact, upsilon),
        (Quantity::Collision, tau),
        (Quantity::CollisionExact, tau),
        (Quantity::Log1pCollisionsExact, log1p),
    ] {
        losses.set(measure, Estimate::exact(value))?;
    }
    if let Some(accuracy) = row.linear_accuracy_encoder {
        losses.set(Quantity::LinearAccuracyEncoder, Estimate::exact(accuracy / 100.0))?;
    }
    Ok(losses)
}

impl Row {
    fn parse(dataset: Dataset, record: &Record) -> Result<Self> {
        Ok(Self {
            dataset,
            num_draws: NumDraws::new(record.number("K+1")? as u64)?,
            tau_hat: record.maybe("tau_hat")?,
            upsilon_hat: record.maybe("upsilon_hat")?,
            mean_accuracy: record.number("mu_acc")?,
            linear_accuracy: record.number("linear_acc_head")?,
            linear_accuracy_encoder: record.maybe("linear_acc_no_head")?,
            info_nce: record.number("L_info")?,
            gap: record.number("d_f")?,
            curl_bound: record.number("curl_bound_eq8")?,
            log1p_collisions: record.number("collision")?,
            curl_sup: record.number("curl_Lsup_part")?,
            curl_sub: record.number("curl_Lsub_part")?,
            proposed_bound: record.number("prop_bound_eq10")?,
            half_sup: record.number("half_ups_Lsup")?,
            half_sub: record.number("half_1mups_Lsub")?,
            collision_spread: record.number("collision_upper")?,
            ln_curl_upper: record.optional("ln_curl_UB")?,
            ln_proposed_upper: record.optional("ln_prop_UB")?,
        })
    }

    /// What the notebook divides the Nozawa–Sato numerator by: the counted υ̂, or its constant where υ̂ is 0; to the
    /// printed decimals, and absent where υ̂ was not printed.
    pub fn divisor(&self) -> Option<f64> {
        self.notebook_constant().or(self.upsilon_hat)
    }

    /// The constant that the notebook puts in the place of υ̂ = 0: a value of its alternating float sum.
    pub fn notebook_constant(&self) -> Option<f64> {
        let printed = notebook::value(self.dataset.name, self.num_draws.get(), NotebookQuantity::Substituted);
        printed.filter(|_| self.upsilon_hat == Some(0.0))
    }

    /// L_sup = 2·(½ υ L_sup)/υ with the exact υ of draws without replacement; absent where υ < 1/2, as the printed row
    /// then has too few digits.
    ///
    /// # Errors
    /// None for the rows of [`tables`].
    pub fn full_sup_loss_estimate(&self) -> Result<Option<f64>> {
        let upsilon = self.upsilon(Sampling::WithoutReplacement)?.value();
        Ok((upsilon >= 0.5).then(|| 2.0 * self.half_sup / upsilon))
    }

    /// Numerator of the Nozawa–Sato bar as `create_df` has it, 2 (L_Info − d) − ½ (1−υ) L_sub − E ln(1+Col): Eq. 10
    /// would subtract all of (1−υ) L_sub.
    pub fn numerator_as_coded(&self) -> f64 {
        2.0 * (self.info_nce - self.gap) - self.half_sub - self.log1p_collisions
    }

    /// Numerator of the CURL bar, L_Info − c_sub − E ln(1+Col) − d.
    pub fn curl_numerator(&self) -> f64 {
        self.info_nce - self.curl_sub - self.log1p_collisions - self.gap
    }

    fn upsilon(&self, sampling: Sampling) -> Result<crate::Probability> {
        crate::coverage::probability(&self.dataset.prior()?, sampling, self.num_draws)
    }

    fn tau(&self, sampling: Sampling) -> Result<crate::Probability> {
        collision::probability(&self.dataset.prior()?, sampling, self.num_draws.negatives())
    }

    /// The two cells that open every line: data set and n.
    fn name_cells(&self) -> Vec<Cell> {
        vec![Cell::text(self.dataset.name), Cell::Integer(self.num_draws.get() as i64)]
    }
}

/// One record of a compiled-in CSV, with its place for messages.
struct Record {
    file: String,
    line: u64,
    fields: Vec<(String, String)>,
}

fn records(file: &str, text: &str) -> Result<Vec<Record>> {
    let place = |line| Place { file: file.into(), line, column: None };
    let failed = |e: csv::Error| Error::data(place(e.position().map(csv::Position::line)), e.to_string());
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().map_err(failed)?.clone();
    let record = |(index, record): (usize, std::result::Result<csv::StringRecord, csv::Error>)| {
        let record = record.map_err(failed)?;
        let fields = headers.iter().map(String::from).zip(record.iter().map(String::from));
        Ok(Record { file: file.into(), line: index as u64 + 2, fields: fields.collect() })
    };
    reader.records().enumerate().map(record).collect()
}

impl Record {
    fn text(&self, column: &str) -> Result<&str> {
        let field = self.fields.iter().find(|(name, _)| name == column).map(|(_, value)| value.as_str());
        field.ok_or_else(|| self.error(column, "the column is missing".into()))
    }

    fn maybe(&self, column: &str) -> Result<Option<f64>> {
        match self.text(column)? {
            "" => Ok(None),
            text => {
                let value = text.parse().map_err(|_| self.error(column, format!("'{text}' is no number")))?;
                Ok(Some(value))
            }
        }
    }

    /// The same for a column that not every table has.
    fn optional(&self, column: &str) -> Result<Option<f64>> {
        if self.fields.iter().any(|(name, _)| name == column) { self.maybe(column) } else { Ok(None) }
    }

    fn number(&self, column: &str) -> Result<f64> {
        self.maybe(column)?.ok_or_else(|| self.error(column, "the value is missing".into()))
    }

    fn error(&self, column: &str, message: String) -> Error {
        let (file, line) = (self.file.clone(), Some(self.line));
        Error::data(Place { file, line, column: Some(column.into()) }, message)
    }
}

/// A printed value with its two decimals, or nothing.
fn printed(value: impl Into<Option<f64>>) -> Cell {
    value.into().map_or(Cell::Missing, |v| Cell::Decimal(format!("{v:.2}")))
}

/// A disagreement and its cause, or nothing.
fn cause(text: Option<String>) -> Cell {
    text.map_or(Cell::Missing, Cell::Flag)
}

/// Every section: printed beside recomputed values, each disagreement with its cause.
///
/// `counts` is the prior of ImageNet's training set for Table 3; without it that line says that it needs the counts.
///
/// # Errors
/// None for the tables that are compiled in.
pub fn document(counts: Option<&ClassPrior>) -> Result<Document> {
    let rows = rows()?;
    Ok(Document {
        title: "The tables of Nozawa & Sato (2021), recomputed".into(),
        sections: vec![
            printed_rows(&rows),
            coverage::section(&rows)?,
            sampling::section(&rows)?,
            saturation::section(&rows)?,
            bars::identities(&rows)?,
            bars::half_subtraction(&rows)?,
            bars::curl(&rows)?,
            draws::section(counts)?,
            upper::section(&rows, Sampling::WithReplacement)?,
            upper::section(&rows, Sampling::WithoutReplacement)?,
            upper::lower(&rows)?,
        ],
    })
}

/// The rows as printed.
fn printed_rows(rows: &[Row]) -> (&'static str, Section) {
    type Column = (&'static str, fn(&Row) -> Option<f64>);
    let columns: [Column; 15] = [
        ("τ̂", |r| r.tau_hat),
        ("υ̂", |r| r.upsilon_hat),
        ("mean acc. %", |r| Some(r.mean_accuracy)),
        ("linear acc. %", |r| Some(r.linear_accuracy)),
        ("linear, encoder %", |r| r.linear_accuracy_encoder),
        ("L_Info", |r| Some(r.info_nce)),
        ("d(f)", |r| Some(r.gap)),
        ("Eq. 8", |r| Some(r.curl_bound)),
        ("E ln(1+Col)", |r| Some(r.log1p_collisions)),
        ("c_sup", |r| Some(r.curl_sup)),
        ("c_sub", |r| Some(r.curl_sub)),
        ("Eq. 10", |r| Some(r.proposed_bound)),
        ("½ υ L_sup", |r| Some(r.half_sup)),
        ("½ (1−υ) L_sub", |r| Some(r.half_sub)),
        ("β̂", |r| Some(r.collision_spread)),
    ];
    let headers = ["data set", "n = K+1"].into_iter().chain(columns.iter().map(|(name, _)| *name));
    let mut table = Table::new(headers);
    for row in rows {
        let mut cells = row.name_cells();
        cells.extend(columns.iter().map(|(_, of)| printed(of(row))));
        table.push(cells);
    }
    let text = "Means over seeds 7, 11, 13 at t = 0.5, two decimals, as the official notebook prints them; an empty cell was not printed.";
    ("printed", Section { title: "The printed tables".into(), text: text.into(), table })
}

/// The figure of bounds against n for each data set, rebuilt from the printed rows with draws without replacement.
///
/// # Errors
/// The drawing library fails.
pub fn figures() -> Result<Vec<Figure>> {
    tables()?
        .iter()
        .map(|table| {
            let rows = table.rows.iter().map(|row| losses(row, Sampling::WithoutReplacement));
            let caption =
                format!("{}, from the printed rows; υ and τ exact, without replacement", table.dataset.name);
            Figure::of_bounds(
                table.dataset.key,
                &caption,
                &group(&rows.collect::<Result<Vec<_>>>()?)?,
                &Style::default(),
            )
        })
        .collect()
}
