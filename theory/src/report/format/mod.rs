//! One table, five formats: a file each.

mod csv;
mod json;
mod latex;
mod markdown;
mod screen;
mod terminal;

pub(crate) use screen::wrap;

use super::{Cell, Table};
use crate::error::{Error, Result};
use serde_json::Value;

/// What shows a table: how wide it is, and whether it has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Characters of a line.
    pub columns: usize,
    /// Whether what is vacuous stands in a fainter colour, beside its mark.
    pub colour: bool,
}

impl Screen {
    /// A file: lines of any length, no colours.
    pub const FILE: Self = Self { columns: usize::MAX / 8, colour: false };

    /// What standard output is: a terminal with its width, and colours unless `NO_COLOR` is set or the terminal is
    /// `dumb`; otherwise 100 columns without colours.
    pub fn of_standard_output() -> Self {
        use std::io::IsTerminal;
        if !std::io::stdout().is_terminal() {
            return Self { columns: 100, colour: false };
        }
        let width = terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0));
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
        Self { columns: width.max(40), colour: !is_set("NO_COLOR") && !dumb }
    }
}

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

impl Table {
    /// The whole table as text that ends with a line break.
    pub fn to_text(&self, format: Format) -> String {
        match format {
            Format::Table => self.to_screen(Screen::FILE),
            Format::Csv => csv::text(self),
            Format::Json => format!("{:#}\n", self.to_json()),
            Format::Markdown => markdown::text(self),
            Format::Latex => latex::text(self),
        }
    }

    /// Aligned columns that fit a screen: what is too wide stands in further blocks below, long words on several lines.
    pub fn to_screen(&self, screen: Screen) -> String {
        terminal::text(self, screen)
    }

    /// What a program prints of the table: a table fits the terminal, other formats are [`to_text`](Self::to_text).
    pub fn to_output(&self, format: Format) -> String {
        match format {
            Format::Table => self.to_screen(Screen::of_standard_output()),
            format => self.to_text(format),
        }
    }

    /// The table as JSON: an array of objects, or one object where [`single`](Self::single) says so.
    pub fn to_json(&self) -> Value {
        json::value(self)
    }
}

/// A text on one line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A text that stands in Markdown beside the tables, on one line.
pub(super) fn markdown_prose(text: &str) -> String {
    markdown::prose(&one_line(text))
}

/// Columns of the width of their longest cell between edges; below the header a rule, if there is one.
fn aligned(
    headers: &[String],
    rows: &[Vec<String>],
    separator: &str,
    edge: &str,
    rule: Option<&str>,
) -> String {
    let least = rule.map_or(0, |_| 3);
    let width = |column: usize| {
        let cells = rows.iter().map(|row| &row[column]).chain([&headers[column]]);
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(least)
    };
    let widths: Vec<usize> = (0..headers.len()).map(width).collect();
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
    let mut text = line(headers);
    if let Some(rule) = rule {
        text += &line(&widths.iter().map(|&width| rule.repeat(width)).collect::<Vec<_>>());
    }
    // Line by line: exact integers make tables of hundreds of megabytes.
    rows.iter().for_each(|row| text += &line(row));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::MeanAndDeviation;

    fn sample() -> Table {
        let mut table = Table::new(["n", "L_sup"]);
        let value = MeanAndDeviation { mean: 1.5, deviation: Some(0.25) };
        table.push(vec![Cell::Integer(16), Cell::Vacuous(value)]);
        table.push(vec![Cell::Integer(32)]);
        table
    }

    #[test]
    fn formats() {
        assert_eq!(
            sample().to_text(Format::Markdown),
            "| n   | L_sup           |\n\
             | --- | --------------- |\n\
             | 16  | 1.500 ± 0.250 † |\n\
             | 32  |                 |\n\n\
             † vacuous: above what a classifier reaches that ignores its input, so it says nothing\n"
        );
        assert_eq!(sample().to_text(Format::Csv), "n,L_sup,L_sup sd\n16,1.5,0.25\n32,,\n");
        let latex = sample().to_text(Format::Latex);
        assert!(latex.contains("16 & \\textit{1.500 $\\pm$ 0.250}\\rlap{$^\\dagger$} \\\\"), "{latex}");
        assert!(latex.contains("$^\\dagger$ vacuous") && latex.contains("{rr}"), "{latex}");
        let json: serde_json::Value = serde_json::from_str(&sample().to_text(Format::Json)).unwrap();
        assert_eq!(json[0]["L_sup"]["mean"], 1.5);
    }
}
