//! A LaTeX tabular.

use super::{Table, texts};

pub(super) fn text(table: &Table) -> String {
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
        assert_eq!(escape("<a^b~c>"), r"\textless{}a\textasciicircum{}b\textasciitilde{}c\textgreater{}");
    }
}
