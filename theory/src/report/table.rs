//! One table, five formats.

use super::MeanAndDeviation;
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::fmt;

/// Output format of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns for a terminal.
    Table,
    /// Comma-separated values with a header line.
    Csv,
    /// An array of objects.
    Json,
    /// A Markdown table.
    Markdown,
    /// A LaTeX tabular.
    Latex,
}

impl std::str::FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "table" => Ok(Self::Table),
            "csv" => Ok(Self::Csv),
            "json" => Ok(Self::Json),
            "markdown" => Ok(Self::Markdown),
            "latex" => Ok(Self::Latex),
            _ => Err(Error::argument(format!("'{name}' is none of table, csv, json, markdown, latex"))),
        }
    }
}

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Nothing is known.
    Missing,
    /// Words.
    Text(String),
    /// Why there is no number.
    Note(String),
    /// That something disagrees, and why.
    Flag(String),
    /// A whole number.
    Integer(i64),
    /// A number whose digits are already chosen; JSON keeps it as a string, so that 1e-400 survives.
    Decimal(String),
    /// Several numbers whose digits are already chosen.
    List(Vec<String>),
    /// A number, over seeds mean and standard deviation.
    Estimate(MeanAndDeviation),
    /// An upper bound that exceeds the trivial value ln C.
    Vacuous(MeanAndDeviation),
}

impl Cell {
    /// Words, or nothing where there are none.
    pub fn text(text: &str) -> Self {
        if text.is_empty() { Self::Missing } else { Self::Text(text.to_string()) }
    }

    /// A number.
    pub fn number(value: f64) -> Self {
        Self::Estimate(MeanAndDeviation { mean: value, deviation: None })
    }
}

impl Cell {
    /// ln 1 and rounded sums may be −0, which says no more than 0 and looks like an error.
    fn drop_sign_of_zero(&mut self) {
        let shown = |text: &mut String| {
            if text
                .strip_prefix('-')
                .is_some_and(|rest| rest.starts_with('0') && rest.chars().all(|c| matches!(c, '0' | '.')))
            {
                text.remove(0);
            }
        };
        match self {
            Self::Estimate(e) | Self::Vacuous(e) => {
                e.mean += 0.0;
                e.deviation = e.deviation.map(|deviation| deviation + 0.0);
            }
            Self::Decimal(text) => shown(text),
            Self::List(texts) => texts.iter_mut().for_each(shown),
            Self::Missing | Self::Text(_) | Self::Note(_) | Self::Flag(_) | Self::Integer(_) => {}
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let estimate = |f: &mut fmt::Formatter<'_>, e: &MeanAndDeviation| {
            let scientific = is_far_from_one(e.mean);
            f.write_str(&short(e.mean, scientific))?;
            e.deviation.map_or(Ok(()), |deviation| write!(f, " ± {}", short(deviation, scientific)))
        };
        match self {
            Self::Missing => Ok(()),
            Self::Text(text) | Self::Note(text) | Self::Flag(text) | Self::Decimal(text) => f.write_str(text),
            Self::List(values) => f.write_str(&values.join(";")),
            Self::Integer(value) => value.fmt(f),
            Self::Estimate(e) => estimate(f, e),
            Self::Vacuous(e) => {
                estimate(f, e)?;
                f.write_str(" (vacuous)")
            }
        }
    }
}

/// Whether a number is shown in scientific notation.
fn is_far_from_one(value: f64) -> bool {
    value != 0.0 && !(1e-3..1e5).contains(&value.abs())
}

/// A number with the digits that a reader wants: three decimals, or three significant digits.
fn short(value: f64, scientific: bool) -> String {
    if scientific { format!("{value:.2e}") } else { format!("{value:.3}") }
}

/// A table with named columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    headers: Vec<String>,
    rows: Vec<Vec<Cell>>,
    single: bool,
}

impl Table {
    /// An empty table.
    pub fn new(headers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { headers: headers.into_iter().map(Into::into).collect(), rows: Vec::new(), single: false }
    }

    /// Makes the JSON of a table of one row a bare object instead of an array.
    #[must_use]
    pub fn single(mut self, single: bool) -> Self {
        self.single = single;
        self
    }

    /// Adds a row; it is filled up with missing cells, or cut, to the width of the header. A negative zero loses its sign.
    pub fn push(&mut self, mut row: Vec<Cell>) {
        row.resize(self.headers.len(), Cell::Missing);
        row.iter_mut().for_each(Cell::drop_sign_of_zero);
        self.rows.push(row);
    }

    /// Column names.
    pub fn headers(&self) -> &[String] {
        &self.headers
    }

    /// Rows.
    pub fn rows(&self) -> &[Vec<Cell>] {
        &self.rows
    }

    /// The whole table as text that ends with a line break.
    pub fn to_text(&self, format: Format) -> String {
        match format {
            Format::Table => self.aligned("  ", "", false),
            Format::Markdown => self.aligned(" | ", "| ", true),
            Format::Csv => self.csv(),
            Format::Json => format!("{:#}\n", self.to_json()),
            Format::Latex => self.latex(),
        }
    }

    fn texts(&self) -> Vec<Vec<String>> {
        self.rows.iter().map(|row| row.iter().map(ToString::to_string).collect()).collect()
    }

    fn aligned(&self, separator: &str, edge: &str, rule: bool) -> String {
        let rows = self.texts();
        let width = |column: usize| {
            rows.iter().map(|r| &r[column]).chain([&self.headers[column]]).map(|s| s.chars().count()).max()
        };
        let least = if rule { 3 } else { 0 };
        let widths: Vec<usize> = (0..self.headers.len()).map(|c| width(c).unwrap_or(0).max(least)).collect();
        let line = |cells: &[String]| {
            let pad = |(cell, &width): (&String, &usize)| {
                let missing = width - cell.chars().count();
                format!("{cell}{}", " ".repeat(missing))
            };
            let padded: Vec<String> = cells.iter().zip(&widths).map(pad).collect();
            format!("{edge}{}{}\n", padded.join(separator), edge.chars().rev().collect::<String>())
                .trim_end()
                .to_string()
                + "\n"
        };
        let mut text = line(&self.headers);
        if rule {
            let dashes: Vec<String> = widths.iter().map(|&w| "-".repeat(w)).collect();
            text += &line(&dashes);
        }
        // Line by line: exact integers make tables of hundreds of megabytes.
        rows.iter().for_each(|row| text += &line(row));
        text
    }

    fn csv(&self) -> String {
        // mean and standard deviation become two columns wherever any row has the latter.
        let with_deviation: Vec<bool> = (0..self.headers.len())
            .map(|c| {
                self.rows.iter().any(
                    |row| matches!(&row[c], Cell::Estimate(e) | Cell::Vacuous(e) if e.deviation.is_some()),
                )
            })
            .collect();
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut header = Vec::new();
        for (name, &split) in self.headers.iter().zip(&with_deviation) {
            header.push(name.clone());
            if split {
                header.push(format!("{name} sd"));
            }
        }
        // Writing to memory cannot fail.
        let _ = writer.write_record(&header);
        for row in &self.rows {
            let mut record = Vec::new();
            for (cell, &split) in row.iter().zip(&with_deviation) {
                let (value, deviation) = match cell {
                    Cell::Estimate(e) | Cell::Vacuous(e) => (format!("{:?}", e.mean), e.deviation),
                    other => (other.to_string(), None),
                };
                record.push(value);
                if split {
                    record.push(deviation.map_or(String::new(), |d| format!("{d:?}")));
                }
            }
            let _ = writer.write_record(&record);
        }
        String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
    }

    /// The table as JSON: an array of objects, or one object where [`single`](Self::single) says so.
    pub fn to_json(&self) -> Value {
        let value = |cell: &Cell| match cell {
            Cell::Missing => Value::Null,
            Cell::Integer(v) => Value::from(*v),
            Cell::Estimate(e) | Cell::Vacuous(e) => match e.deviation {
                Some(deviation) => serde_json::json!({ "mean": e.mean, "sd": deviation }),
                None if e.mean.is_finite() => Value::from(e.mean),
                None => Value::from(e.mean.to_string()),
            },
            Cell::List(values) => Value::from(values.clone()),
            Cell::Text(t) | Cell::Note(t) | Cell::Flag(t) | Cell::Decimal(t) => Value::from(t.clone()),
        };
        let object = |row: &Vec<Cell>| -> Value {
            let pairs = self.headers.iter().cloned().zip(row.iter().map(value));
            Value::Object(pairs.collect::<Map<_, _>>())
        };
        let mut rows: Vec<Value> = self.rows.iter().map(object).collect();
        if self.single && rows.len() == 1 { rows.remove(0) } else { Value::from(rows) }
    }

    fn latex(&self) -> String {
        let escape = |text: &str| {
            let text =
                text.replace('&', "\\&").replace('%', "\\%").replace('_', "\\_").replace('±', "$\\pm$");
            text.replace('υ', "$\\upsilon$")
                .replace('τ', "$\\tau$")
                .replace('≥', "$\\ge$")
                .replace('≤', "$\\le$")
        };
        let line = |cells: &[String]| {
            format!("{} \\\\\n", cells.iter().map(|c| escape(c)).collect::<Vec<_>>().join(" & "))
        };
        format!(
            "\\begin{{tabular}}{{{}}}\n{}\\hline\n{}\\end{{tabular}}\n",
            "l".repeat(self.headers.len()),
            line(&self.headers),
            self.texts().iter().map(|row| line(row)).collect::<String>()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(["n", "L_sup"]);
        let value = MeanAndDeviation { mean: 1.5, deviation: Some(0.25) };
        table.push(vec![Cell::Integer(16), Cell::Vacuous(value)]);
        table.push(vec![Cell::Integer(32)]);
        table
    }

    #[test]
    fn no_zero_is_negative() {
        let mut table = Table::new(["a", "b", "c", "d"]);
        let list = Cell::List(vec!["-0.0".into(), "-0.01".into(), "-".into()]);
        table.push(vec![
            Cell::number(-0.0),
            Cell::Decimal("-0.0".into()),
            Cell::Decimal("-0.5".into()),
            list,
        ]);
        assert_eq!(table.to_text(Format::Csv), "a,b,c,d\n0.0,0.0,-0.5,0.0;-0.01;-\n");
        assert!(table.to_text(Format::Table).contains("0.000  0.0"));
    }

    #[test]
    fn formats() {
        assert_eq!(
            sample().to_text(Format::Markdown),
            "| n   | L_sup                   |\n\
             | --- | ----------------------- |\n\
             | 16  | 1.500 ± 0.250 (vacuous) |\n\
             | 32  |                         |\n"
        );
        assert_eq!(sample().to_text(Format::Csv), "n,L_sup,L_sup sd\n16,1.5,0.25\n32,,\n");
        assert!(sample().to_text(Format::Latex).contains("16 & 1.500 $\\pm$ 0.250 (vacuous) \\\\"));
        let json: serde_json::Value = serde_json::from_str(&sample().to_text(Format::Json)).unwrap();
        assert_eq!(json[0]["L_sup"]["mean"], 1.5);
    }
}
