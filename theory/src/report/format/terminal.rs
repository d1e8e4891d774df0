//! Aligned columns for a terminal.

use super::super::Cell;
use super::screen::{Layout, length, readable, wrap};
use super::{Screen, Table, one_line};

/// What the mark behind a number means.
pub(super) const VACUOUS: &str =
    "vacuous: above what a classifier reaches that ignores its input, so it says nothing";

pub(super) fn text(table: &Table, screen: Screen) -> String {
    let headers: Vec<String> = table.headers().iter().map(|header| one_line(header)).collect();
    let is_marked = |column: usize| table.rows().iter().any(|row| matches!(row[column], Cell::Vacuous(_)));
    let marked: Vec<bool> = (0..headers.len()).map(is_marked).collect();
    // Below each other stand the numbers, not the marks.
    let shown = |(cell, &marked): (&Cell, &bool)| match cell {
        Cell::Vacuous(_) => format!("{} †", readable(cell)),
        Cell::Estimate(_) if marked => format!("{}  ", readable(cell)),
        cell => readable(cell),
    };
    let texts: Vec<Vec<String>> =
        table.rows().iter().map(|row| row.iter().zip(&marked).map(shown).collect()).collect();
    let layout = Layout::new(table, &headers, &texts, screen.columns);
    let mut text = match (&texts[..], layout.blocks.len()) {
        ([values], 2..) => list(&headers, values, screen.columns),
        _ => blocks(table, &layout, &headers, &texts, screen),
    };
    if marked.contains(&true) {
        text += &format!("\n{}\n", wrap(&format!("† {VACUOUS}"), screen.columns).join("\n"));
    }
    text
}

/// One row that is too wide for a line: its cells below each other, behind their headings.
fn list(headers: &[String], values: &[String], columns: usize) -> String {
    let width = headers.iter().map(|header| length(header)).max().unwrap_or(0);
    let mut text = String::new();
    for (header, value) in headers.iter().zip(values) {
        for (at, part) in lines(value, columns.saturating_sub(width + 2).max(20)).iter().enumerate() {
            let header = if at == 0 { header } else { "" };
            let space = " ".repeat(width - length(header));
            text += format!("{header}{space}  {part}").trim_end();
            text.push('\n');
        }
    }
    text
}

/// Rows below their headings, as many columns beside each other as fit.
fn blocks(
    table: &Table,
    layout: &Layout,
    headers: &[String],
    texts: &[Vec<String>],
    screen: Screen,
) -> String {
    let mut text = String::new();
    for block in &layout.blocks {
        if !text.is_empty() {
            text.push('\n');
        }
        let columns: Vec<usize> = layout.columns(block).collect();
        let heads: Vec<Vec<String>> = columns.iter().map(|&c| lines(&headers[c], layout.widths[c])).collect();
        let rows = heads.iter().map(Vec::len).max().unwrap_or(0);
        // A short heading stands next to its column.
        let heads: Vec<Vec<String>> =
            heads.into_iter().map(|head| [vec![String::new(); rows - head.len()], head].concat()).collect();
        push(&mut text, layout, &columns, &heads, &[]);
        for (row, cells) in texts.iter().zip(table.rows()) {
            let cell = |&c: &usize| match layout.numeric[c] {
                true => vec![row[c].clone()],
                false => lines(&row[c], layout.widths[c]),
            };
            let faint: Vec<bool> = match screen.colour {
                true => columns.iter().map(|&c| matches!(cells[c], Cell::Vacuous(_))).collect(),
                false => Vec::new(),
            };
            push(&mut text, layout, &columns, &columns.iter().map(cell).collect::<Vec<_>>(), &faint);
        }
    }
    text
}

fn lines(text: &str, width: usize) -> Vec<String> {
    if length(text) <= width { vec![text.to_string()] } else { wrap(text, width) }
}

/// Cells of several lines beside each other, numbers to the right.
fn push(text: &mut String, layout: &Layout, columns: &[usize], cells: &[Vec<String>], faint: &[bool]) {
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    for at in 0..height {
        let mut line = String::new();
        for (place, (&c, cell)) in columns.iter().zip(cells).enumerate() {
            let part = cell.get(at).map_or("", String::as_str);
            let space = " ".repeat(layout.widths[c].saturating_sub(length(part)));
            let part = match faint.get(place) {
                Some(true) => format!("\u{1b}[2m{part}\u{1b}[0m"),
                _ => part.to_string(),
            };
            if place > 0 {
                line += "  ";
            }
            line += &if layout.numeric[c] { space + &part } else { part + &space };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}
