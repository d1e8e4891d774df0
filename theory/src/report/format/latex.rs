//! LaTeX tabulars that fit a column of text, one below the other; they need no package.

use super::super::Cell;
use super::screen::{Layout, length, readable, wrap};
use super::{Table, one_line};

/// Characters in footnote size that fit `\textwidth` of the class `article`, with the space between columns.
const COLUMNS: usize = 62;

/// Lines of a table that fit a page, below a heading of several lines.
const LINES: usize = 40;

pub(super) fn text(table: &Table) -> String {
    let headers: Vec<String> = table.headers().iter().map(|header| one_line(header)).collect();
    let texts: Vec<Vec<String>> = table.rows().iter().map(|row| row.iter().map(readable).collect()).collect();
    let layout = Layout::new(table, &headers, &texts, COLUMNS);
    let mut blocks = Vec::new();
    for block in &layout.blocks {
        let columns: Vec<usize> = layout.columns(block).collect();
        let is_long = |c: usize| {
            let longest = texts.iter().map(|row| length(&row[c])).max().unwrap_or(0);
            longest.max(length(&headers[c])) > layout.widths[c]
        };
        let widths: Vec<Option<usize>> =
            columns.iter().map(|&c| is_long(c).then_some(layout.widths[c])).collect();
        let kind = |(&c, width): (&usize, &Option<usize>)| match (layout.numeric[c], width) {
            (true, _) => "r".to_string(),
            (false, None) => "l".to_string(),
            (false, Some(width)) => format!("p{{{}em}}", em(*width)),
        };
        let kinds: String = columns.iter().zip(&widths).map(kind).collect();
        // A long heading of numbers is broken, they are not.
        let head = |(&c, width): (&usize, &Option<usize>)| match (layout.numeric[c], width) {
            (true, Some(width)) => {
                format!("\\parbox[b]{{{}em}}{{\\raggedleft {}}}", em(*width), escape(&headers[c]))
            }
            _ => escape(&headers[c]),
        };
        let head = line(columns.iter().zip(&widths).map(head));
        let height = |row: &Vec<String>| {
            let heights = columns
                .iter()
                .map(|&c| if layout.numeric[c] { 1 } else { wrap(&row[c], layout.widths[c]).len() });
            heights.max().unwrap_or(1).max(1)
        };
        let mut rows = texts.iter().zip(table.rows()).peekable();
        loop {
            // A table breaks over no page.
            let (mut lines, mut filled) = (String::new(), 0);
            while let Some((row, cells)) =
                rows.next_if(|(row, _)| filled == 0 || filled + height(row) <= LINES)
            {
                filled += height(row);
                lines += &line(columns.iter().map(|&c| match &cells[c] {
                    Cell::Vacuous(_) => format!("\\textit{{{}}}\\rlap{{$^\\dagger$}}", number(&row[c])),
                    Cell::Estimate(_) | Cell::Given(_) | Cell::Decimal(_) => number(&row[c]),
                    _ => escape(&row[c]),
                }));
            }
            blocks.push(format!("\\begin{{tabular}}{{{kinds}}}\n{head}\\hline\n{lines}\\end{{tabular}}\n"));
            if rows.peek().is_none() {
                break;
            }
        }
    }
    let marked = table.rows().iter().flatten().any(|cell| matches!(cell, Cell::Vacuous(_)));
    let note = if marked {
        format!("\n\\smallskip\n$^\\dagger$ {}.\n", super::terminal::VACUOUS)
    } else {
        String::new()
    };
    let body = blocks.join("\n\\bigskip\n");
    format!(
        "{{\\footnotesize\\setlength{{\\tabcolsep}}{{3pt}}\\setlength{{\\parindent}}{{0pt}}\\sloppy\n{body}{note}\\par}}\n"
    )
}

/// The width of so many characters.
fn em(characters: usize) -> String {
    format!("{:.1}", characters as f64 * 0.58)
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let line = cells.collect::<Vec<_>>().join(" & ");
    // After the end of a line, a bracket would be its optional argument and a star its variant.
    let guard = if line.starts_with(['[', '*']) { "{}" } else { "" };
    format!("{guard}{line} \\\\\n")
}

/// A number as mathematics: its sign is a minus, its exponent a power.
fn number(text: &str) -> String {
    let part = |part: &str| {
        let sign = part.strip_prefix('-').map_or("", |_| "$-$");
        let digits = part.strip_prefix('-').unwrap_or(part);
        match digits.split_once('e') {
            Some((mantissa, exponent)) if exponent.parse::<i64>().is_ok() => {
                format!("{sign}{mantissa}$\\cdot 10^{{{exponent}}}$")
            }
            _ => format!("{sign}{}", escape(digits)),
        }
    };
    text.split(" ± ").map(part).collect::<Vec<_>>().join(" $\\pm$ ")
}

/// Symbols of the field, as they stand in names and reasons.
const SYMBOLS: [(&str, &str); 8] = [
    ("L_sup", "L_{\\sup}"),
    ("L_Info", "L_{\\mathrm{Info}}"),
    ("L_sub", "L_{\\mathrm{sub}}"),
    ("L_DCL", "L_{\\mathrm{DCL}}"),
    ("L_NSCL", "L_{\\mathrm{NSCL}}"),
    ("d(f)", "d(f)"),
    ("n = K+1", "n = K+1"),
    ("ln C", "\\ln C"),
];

/// A text in which nothing is a command; symbols of the field and Greek letters are mathematics.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some((symbol, math)) = SYMBOLS.iter().find(|(symbol, _)| rest.starts_with(symbol)) {
            out += &format!("${math}$");
            rest = &rest[symbol.len()..];
            continue;
        }
        rest = &rest[c.len_utf8()..];
        // A mark stands behind its letter.
        let accent = match rest.chars().next() {
            Some('\u{302}') => Some("hat"),
            Some('\u{304}') => Some("bar"),
            Some('\u{303}') => Some("tilde"),
            _ => None,
        };
        if let Some(accent) = accent {
            rest = &rest['\u{302}'.len_utf8()..];
            let letter = symbol(c).map_or_else(|| c.to_string(), String::from);
            out += &format!("$\\{accent}{{{letter}}}$");
            continue;
        }
        match c {
            '&' | '%' | '_' | '#' | '$' | '{' | '}' => out.extend(['\\', c]),
            '\\' => out += "\\textbackslash{}",
            '^' => out += "\\textasciicircum{}",
            '~' => out += "\\textasciitilde{}",
            '<' => out += "\\textless{}",
            '>' => out += "\\textgreater{}",
            '|' => out += "\\textbar{}",
            '…' => out += "\\dots{}",
            '–' => out += "--",
            '—' => out += "---",
            '‘' | '’' => out.push('\''),
            '“' => out += "``",
            '”' => out += "\'\'",
            c if c.is_ascii() => out.push(c),
            // Letters that LaTeX reads without a package.
            c @ '\u{c0}'..='\u{17f}' if c != '×' && c != '÷' => out.push(c),
            c => match symbol(c) {
                Some(math) => out += &format!("${math}$"),
                None => out += &format!("\\texttt{{U+{:04X}}}", u32::from(c)),
            },
        }
    }
    out
}

/// A character in mathematics.
fn symbol(c: char) -> Option<&'static str> {
    Some(match c {
        'α' => "\\alpha",
        'β' => "\\beta",
        'γ' => "\\gamma",
        'δ' => "\\delta",
        'ε' => "\\varepsilon",
        'λ' => "\\lambda",
        'μ' => "\\mu",
        'π' => "\\pi",
        'ρ' => "\\rho",
        'σ' => "\\sigma",
        'τ' => "\\tau",
        'υ' => "\\upsilon",
        'φ' => "\\varphi",
        'ω' => "\\omega",
        'Δ' => "\\Delta",
        'Λ' => "\\Lambda",
        'Σ' | '∑' => "\\Sigma",
        'Φ' => "\\Phi",
        '±' => "\\pm",
        '−' => "-",
        '×' => "\\times",
        '·' => "\\cdot",
        '÷' => "\\div",
        '≤' => "\\le",
        '≥' => "\\ge",
        '≠' => "\\ne",
        '≈' => "\\approx",
        '∞' => "\\infty",
        '√' => "\\surd",
        '∈' => "\\in",
        '→' => "\\to",
        '‖' => "\\Vert",
        '⌊' => "\\lfloor",
        '⌋' => "\\rfloor",
        '½' => "\\frac12",
        '²' => "^2",
        '³' => "^3",
        '⁺' => "^+",
        '⁻' => "^-",
        '¹' => "^1",
        '⁴' => "^4",
        '₀' => "_0",
        '₁' => "_1",
        '₂' => "_2",
        '§' => "\\S",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Format, MeanAndDeviation};

    #[test]
    fn what_people_named_their_runs_is_no_command() {
        assert_eq!(
            escape(r"\input{x} $a_1$ 5 % & #1 υ ≤ 1"),
            r"\textbackslash{}input\{x\} \$a\_1\$ 5 \% \& \#1 $\upsilon$ $\le$ 1"
        );
        let mut table = Table::new(["[a]", "b"]);
        table.push(vec![Cell::text("*1"), Cell::text("[2]")]);
        let text = text(&table);
        assert!(text.contains("\n{}[a] & b") && text.contains("\n{}*1 & [2]"), "{text}");
        assert_eq!(escape("<a^b~c>"), r"\textless{}a\textasciicircum{}b\textasciitilde{}c\textgreater{}");
        assert_eq!(escape("run 猫"), r"run \texttt{U+732B}");
    }

    #[test]
    fn symbols_and_numbers_are_mathematics() {
        assert_eq!(escape("L_sup ≤ (curl), τ\u{302}"), r"$L_{\sup}$ $\le$ (curl), $\hat{\tau}$");
        assert_eq!(number("-1.5e-7 ± 2.0e-8"), r"$-$1.5$\cdot 10^{-7}$ $\pm$ 2.0$\cdot 10^{-8}$");
        assert_eq!(number("undefined"), "undefined");
    }

    /// What pdflatex says of a text; `None` where there is no pdflatex.
    fn compiled(body: &str) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("\\documentclass{{article}}\n\\begin{{document}}\n{body}\n\\end{{document}}\n");
        std::fs::write(folder.path().join("tables.tex"), text).unwrap();
        let ran = std::process::Command::new("pdflatex")
            .args(["-interaction=nonstopmode", "-halt-on-error", "tables.tex"])
            .current_dir(folder.path())
            .output();
        let Ok(ran) = ran else {
            crate::terminal::say("skipped: there is no pdflatex here");
            return None;
        };
        let log = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(ran.status.success(), "{log}");
        Some(log)
    }

    #[test]
    fn pdflatex_sets_every_table_within_the_width_of_the_text() {
        let document = crate::published::document(None).unwrap().to_text(Format::Latex);
        let rows = crate::losses::committed("digits");
        let groups = crate::losses::group(&rows).unwrap();
        let bounds = crate::report::bounds_by_draws(&groups, crate::bounds::all()).to_text(Format::Latex);
        let mut wide = Table::new((0..30).map(|i| format!("a quantity of number {i}")));
        let value = MeanAndDeviation { mean: -1.25e-7, deviation: Some(3e-9) };
        wide.push((0..30).map(|_| Cell::Vacuous(value)).collect());
        for body in [document, bounds, wide.to_text(Format::Latex)] {
            let Some(log) = compiled(&body) else { return };
            let overfull: Vec<&str> = log.lines().filter(|line| line.starts_with("Overfull")).collect();
            assert!(overfull.is_empty(), "{overfull:#?}");
        }
    }
}
