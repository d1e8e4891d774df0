//! Aligned columns for a terminal.

use super::{Table, aligned, texts};

pub(super) fn text(table: &Table) -> String {
    aligned(table.headers(), &texts(table), "  ", "", None)
}
