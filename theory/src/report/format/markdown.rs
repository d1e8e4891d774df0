//! A Markdown table.

use super::{Table, aligned, one_line, texts};

pub(super) fn text(table: &Table) -> String {
    let escaped = |texts: &[String]| texts.iter().map(|text| text.replace('|', "\\|")).collect::<Vec<_>>();
    let headers: Vec<String> = table.headers().iter().map(|header| one_line(header)).collect();
    let rows: Vec<Vec<String>> = texts(table).iter().map(|row| escaped(row)).collect();
    aligned(&escaped(&headers), &rows, " | ", "| ", Some("-"))
}
