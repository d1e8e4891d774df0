//! A Markdown table.

use super::{Table, aligned};

pub(super) fn text(table: &Table) -> String {
    aligned(table, " | ", "| ", Some("-"))
}
