//! Aligned columns for a terminal.

use super::{Table, aligned};

pub(super) fn text(table: &Table) -> String {
    aligned(table, "  ", "", None)
}
