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
                "Settings of training and measurement",
                "Rows that agree in all required and identifying columns have one setting; reports average them \
                 over seeds, and never average others. A missing column counts as empty cells."
                    .into(),
                descriptive,
            ),
        ),
        (
            "measured",
            section(
                "What was measured",
                format!(
                    "Means over batches or samples; losses are in nats. Columns `NAME{SE_SUFFIX}` have the standard \
                     error over batches, with the evaluated images fixed; `NAME{IMAGE_SE_SUFFIX}` the standard error \
                     over images (`theory bounds --confidence 0.95`). A bound is not evaluated if a column that it \
                     needs is missing. Accuracies (except `mean_accuracy_two_views`) and bounds from moments are on \
                     samples without augmentation (from a features file: on `view1`), losses and `anchor_error` on \
                     augmented views. Columns `…_rao_blackwell` replace the mean over drawn batches by its exact \
                     expectation. Symbols: s_k = z·z_k and s_+ = z·z⁺ for the features z of the anchor, z_k of a \
                     negative, z⁺ of the positive; l = −ln(e^{{z·μ_c/t}} / Σ_j e^{{z·μ_j/t}}), j over the classes of \
                     the batch, is l_sub, and l_sup with all classes; cover: the batch has all classes; A = Σ_k \
                     e^{{z·(μ_{{c_k}} − μ_c)/t}}, k over the negatives of other classes than the anchor's."
                ),
                measured,
            ),
        ),
        (
            "paired",
            section(
                "Margins of the lower bounds",
                format!("L_Info minus a lower bound of it, batch by batch; errors in columns `NAME{SE_SUFFIX}` and \
                     `NAME{IMAGE_SE_SUFFIX}`."),
                paired,
            ),
        ),
    ];
    Document { title: "The columns of losses.csv".into(), sections }
}
