//! The schema of `losses.csv` as tables.

use super::{Cell, Document, Section, Table};
use crate::bounds;
use crate::losses::{COLUMNS, IMAGE_SE_SUFFIX, PAIRED_PREFIX, Quantity, Role, SE_SUFFIX};

/// Every column of `losses.csv`: descriptive, measured and paired.
pub fn columns() -> Document {
    let section = |title: &str, text: String, table| Section { title: title.into(), text, table };
    let descriptive = {
        let mut table = Table::new(["column", "values", "role", "empty", "meaning"]);
        for column in COLUMNS {
            let (role, absent) = match column.role {
                Role::Required => ("required", ""),
                Role::Identifying => ("identifying", column.absent),
                Role::Descriptive => ("", column.absent),
            };
            table.push([column.name, column.kind, role, absent, column.meaning].map(Cell::text).to_vec());
        }
        table
    };
    let measured = {
        let mut table = Table::new(["column", "values", "meaning"]);
        for quantity in Quantity::ALL {
            let values = format!("number {}", quantity.domain());
            table.push([quantity.name(), &values, quantity.meaning()].map(Cell::text).to_vec());
        }
        table
    };
    let paired = {
        let mut table = Table::new(["column", "values", "meaning"]);
        for bound in bounds::all().iter().filter(|bound| bound.is_paired()) {
            let name = format!("{PAIRED_PREFIX}{}", bound.key());
            let meaning = format!("L_Info minus the right-hand side of: {}.", bound.name());
            table.push([name.as_str(), "number", &meaning].map(Cell::text).to_vec());
        }
        table
    };
    let sections = vec![
        (
            "descriptive",
            section(
                "What was trained and measured",
                "Required and identifying columns make the setting: rows that agree in all of them are averaged over seeds, \
                 others never. A column that is absent is an empty cell in every row."
                    .into(),
                descriptive,
            ),
        ),
        (
            "measured",
            section(
                "What was found",
                format!(
                    "Means over batches or samples, in nats where they are losses; a column of the same name and \
                     `{SE_SUFFIX}` holds the standard error over batches given the evaluated images, with `{IMAGE_SE_SUFFIX}` the \
                     error over those images (`theory bounds --confidence 0.95`). Absent columns make the bounds that need them not applicable."
                ),
                measured,
            ),
        ),
        (
            "paired",
            section(
                "Margins of the lower bounds",
                format!("Differences batch by batch, with their errors in columns that end in `{SE_SUFFIX}` and `{IMAGE_SE_SUFFIX}`."),
                paired,
            ),
        ),
    ];
    Document { title: "The columns of losses.csv".into(), sections }
}
