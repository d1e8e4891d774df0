//! A table: named columns, and cells that say of what kind they are.

use super::MeanAndDeviation;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// A number that was given, not measured: all its digits are shown.
    Given(f64),
    /// A number whose digits are already chosen; JSON keeps it as a string, so that 1e-400 survives.
    Decimal(String),
    /// Several numbers whose digits are already chosen.
    List(Vec<String>),
    /// Both ends of an interval, with all their digits.
    Interval([String; 2]),
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
            Self::Given(value) => *value += 0.0,
            Self::Decimal(text) => shown(text),
            Self::List(texts) => texts.iter_mut().for_each(shown),
            Self::Interval(ends) => ends.iter_mut().for_each(shown),
            Self::Missing | Self::Text(_) | Self::Note(_) | Self::Flag(_) | Self::Integer(_) => {}
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let estimate = |f: &mut fmt::Formatter<'_>, e: &MeanAndDeviation| {
            let scientific = is_far_from_one(e.mean);
            f.write_str(&short(e.mean, scientific))?;
            e.spread().map_or(Ok(()), |deviation| write!(f, " ± {}", short(deviation, scientific)))
        };
        match self {
            Self::Missing => Ok(()),
            Self::Text(text) | Self::Note(text) | Self::Flag(text) | Self::Decimal(text) => f.write_str(text),
            Self::List(values) => f.write_str(&values.join(";")),
            Self::Interval(ends) => f.write_str(&interval(ends)),
            Self::Integer(value) => value.fmt(f),
            Self::Given(value) => value.fmt(f),
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

/// Both ends with the digits in which they differ and two more.
fn interval([low, high]: &[String; 2]) -> String {
    // Of a number below the range of floats not every digit is 0.
    let is_zero = |text: &str| text.chars().all(|c| matches!(c, '0' | '.'));
    let is_shown = |text: &str, value: f64| value.is_normal() || is_zero(text);
    match (low.parse::<f64>(), high.parse::<f64>()) {
        (Ok(a), Ok(b)) if is_shown(low, a) && is_shown(high, b) && a < b => {
            let same = (a.abs().max(b.abs()) / (b - a)).log10().ceil().clamp(0.0, 14.0) as usize;
            let shown = |v: f64| match v.abs() {
                0.0 => "0".to_string(),
                1e-3..1e5 => {
                    let before = v.abs().log10().floor() as i32 + 1;
                    let after = (same as i32 + 3 - before.max(0)).clamp(0, 17) as usize;
                    format!("{v:.after$}")
                }
                _ => format!("{v:.*e}", same + 2),
            };
            format!("[{}, {}]", shown(a), shown(b))
        }
        _ => format!("[{low}, {high}]"),
    }
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

    /// Adds a row; it is filled up with missing cells, or cut, to the width of the header. A negative zero loses its
    /// sign.
    pub fn push(&mut self, mut row: Vec<Cell>) {
        row.resize(self.headers.len(), Cell::Missing);
        row.iter_mut().for_each(Cell::drop_sign_of_zero);
        self.rows.push(row);
    }

    /// Adds the columns of a table of the same lines whose names are new.
    pub fn add_columns(&mut self, other: &Self) {
        let is_new = |header: &&String| !self.headers.contains(header);
        let new: Vec<usize> =
            (0..other.headers.len()).filter(|&place| is_new(&&other.headers[place])).collect();
        self.headers.extend(new.iter().map(|&place| other.headers[place].clone()));
        for (row, added) in self.rows.iter_mut().zip(&other.rows) {
            row.extend(new.iter().map(|&place| added[place].clone()));
        }
    }

    /// Lines as columns: the cells of the first column, each behind `name =`, are the new headings.
    #[must_use]
    pub fn transposed(&self, name: &str) -> Self {
        let heading = |row: &Vec<Cell>| format!("{name} = {}", row.first().unwrap_or(&Cell::Missing));
        let mut table =
            Self::new(std::iter::once("quantity".to_string()).chain(self.rows.iter().map(heading)));
        for (place, header) in self.headers.iter().enumerate().skip(1) {
            let cells = self.rows.iter().map(|row| row[place].clone());
            table.push(std::iter::once(Cell::text(header)).chain(cells).collect());
        }
        table
    }

    /// Column names.
    pub fn headers(&self) -> &[String] {
        &self.headers
    }

    /// Rows.
    pub fn rows(&self) -> &[Vec<Cell>] {
        &self.rows
    }

    /// Whether the JSON of one row is a bare object.
    pub(super) fn is_single(&self) -> bool {
        self.single
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Format;

    #[test]
    fn lines_become_columns() {
        let mut table = Table::new(["negatives", "loss", "bound"]);
        table.push(vec![Cell::Integer(8), Cell::number(0.5), Cell::number(1.5)]);
        table.push(vec![Cell::Integer(16), Cell::number(0.25)]);
        let csv = table.transposed("K").to_text(Format::Csv);
        assert_eq!(csv, "quantity,K = 8,K = 16\nloss,0.5,0.25\nbound,1.5,\n");
    }

    #[test]
    fn one_seed_and_equal_values_have_no_deviation() {
        let shown = |mean, deviation| Cell::Estimate(MeanAndDeviation { mean, deviation }).to_string();
        assert_eq!(shown(1.955, None), "1.955");
        assert_eq!(shown(1.955, Some(0.0)), "1.955");
        assert_eq!(shown(17.2, Some(3e-15)), "17.200");
        assert_eq!(shown(1.955, Some(0.004)), "1.955 ± 0.004");
    }

    #[test]
    fn an_interval_shows_where_its_ends_differ() {
        let shown = |low: &str, high: &str| Cell::Interval([low, high].map(String::from)).to_string();
        assert_eq!(shown("33.64403705820566", "36.067170327915804"), "[33.644, 36.067]");
        assert_eq!(shown("0.49990001", "0.49990234"), "[0.499900010, 0.499902340]");
        assert_eq!(shown("0.0", "0.012345678901"), "[0, 0.012]");
        assert_eq!(shown("1e-400", "2e-400"), "[1e-400, 2e-400]");
        assert_eq!(shown("1.5", "1.5"), "[1.5, 1.5]");
        let mut table = Table::new(["interval"]);
        table.push(vec![Cell::Interval(["-0.0", "0.123456789"].map(String::from))]);
        assert_eq!(table.to_text(Format::Csv), "interval\n0.0;0.123456789\n");
        assert_eq!(table.to_json()[0]["interval"], serde_json::json!(["0.0", "0.123456789"]));
        assert!(table.to_text(Format::Markdown).contains("| [0, 0.123] |"));
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
}
