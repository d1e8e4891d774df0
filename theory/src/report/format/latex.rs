//! A LaTeX tabular.

use super::{Table, texts};

pub(super) fn text(table: &Table) -> String {
    let line = |cells: &[String]| {
        let line = cells.iter().map(|c| escape(c)).collect::<Vec<_>>().join(" & ");
        // After the end of a line, a bracket would be its optional argument and a star its variant.
        let guard = if line.starts_with(['[', '*']) { "{}" } else { "" };
        format!("{guard}{line} \\\\\n")
    };
    format!(
        "\\begin{{tabular}}{{{}}}\n{}\\hline\n{}\\end{{tabular}}\n",
        "l".repeat(table.headers().len()),
        line(table.headers()),
        texts(table).iter().map(|row| line(row)).collect::<String>()
    )
}

/// A text in which nothing is a command.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '%' | '_' | '#' | '$' | '{' | '}' => out.extend(['\\', c]),
            '\\' => out += "\\textbackslash{}",
            '^' => out += "\\textasciicircum{}",
            '~' => out += "\\textasciitilde{}",
            '<' => out += "\\textless{}",
            '>' => out += "\\textgreater{}",
            '±' => out += "$\\pm$",
            'υ' => out += "$\\upsilon$",
            'τ' => out += "$\\tau$",
            '≥' => out += "$\\ge$",
            '≤' => out += "$\\le$",
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_named_their_runs_is_no_command() {
        assert_eq!(
            escape(r"\input{x} $a_1$ 5 % & #1 υ ≤ 1"),
            r"\textbackslash{}input\{x\} \$a\_1\$ 5 \% \& \#1 $\upsilon$ $\le$ 1"
        );
        let mut table = Table::new(["[a]", "b"]);
        table.push(vec![super::super::Cell::text("*1"), super::super::Cell::text("[2]")]);
        let text = text(&table);
        assert!(text.contains("\n{}[a] & b") && text.contains("\n{}*1 & [2]"), "{text}");
        assert_eq!(escape("<a^b~c>"), r"\textless{}a\textasciicircum{}b\textasciitilde{}c\textgreater{}");
    }
}
