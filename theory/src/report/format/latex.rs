//! A LaTeX tabular.

use super::{Table, texts};

pub(super) fn text(table: &Table) -> String {
    let escape = |text: &str| {
        let text = text.replace('&', "\\&").replace('%', "\\%").replace('_', "\\_").replace('±', "$\\pm$");
        text.replace('υ', "$\\upsilon$").replace('τ', "$\\tau$").replace('≥', "$\\ge$").replace('≤', "$\\le$")
    };
    let line = |cells: &[String]| {
        format!("{} \\\\\n", cells.iter().map(|c| escape(c)).collect::<Vec<_>>().join(" & "))
    };
    format!(
        "\\begin{{tabular}}{{{}}}\n{}\\hline\n{}\\end{{tabular}}\n",
        "l".repeat(table.headers().len()),
        line(table.headers()),
        texts(table).iter().map(|row| line(row)).collect::<String>()
    )
}
