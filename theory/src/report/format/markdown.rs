//! A Markdown table.

use super::super::Cell;
use super::screen::readable;
use super::terminal::VACUOUS;
use super::{Table, aligned, one_line};

pub(super) fn text(table: &Table) -> String {
    let cells = |texts: &[String]| texts.iter().map(|text| cell(text)).collect::<Vec<_>>();
    let headers: Vec<String> = table.headers().iter().map(|header| one_line(header)).collect();
    let is_vacuous = |cell: &Cell| matches!(cell, Cell::Vacuous(_));
    let shown = |cell: &Cell| readable(cell) + if is_vacuous(cell) { " †" } else { "" };
    let rows: Vec<Vec<String>> =
        table.rows().iter().map(|row| cells(&row.iter().map(shown).collect::<Vec<_>>())).collect();
    let text = aligned(&cells(&headers), &rows, " | ", "| ", Some("-"));
    match table.rows().iter().flatten().any(is_vacuous) {
        true => format!("{text}\n† {VACUOUS}\n"),
        false => text,
    }
}

fn cell(text: &str) -> String {
    prose(text).replace('|', "\\|")
}

/// A text in which nothing is a tag, an entity, a link, an escape or struck out, as CommonMark defines their beginnings;
/// what only looks alike, such as `a < b` or `x & y`, stays as it is, and so does code in backticks.
pub(super) fn prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut before) = (text.chars().peekable(), ' ');
    while let Some(c) = rest.next() {
        let next = rest.peek().copied().unwrap_or(' ');
        match c {
            '<' if next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?') => out += "&lt;",
            '&' if next.is_ascii_alphanumeric() || next == '#' => out += "&amp;",
            ']' if matches!(next, '(' | '[') => out += "\\]",
            '\\' if next.is_ascii_punctuation() => out += "\\\\",
            '~' if next == '~' || before == '~' => out += "\\~",
            _ => out.push(c),
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_named_their_runs_is_no_markup() {
        for (text, expected) in [
            ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
            ("<!-- a", "&lt;!-- a"),
            ("a < b & c ≤ 3", "a < b & c ≤ 3"),
            ("a&b &copy; &#65;", "a&amp;b &amp;copy; &amp;#65;"),
            ("[here](javascript:x) [0, 1]", "[here\\](javascript:x) [0, 1]"),
            ("a|b", "a\\|b"),
            (r"a\|b \* c\d", r"a\\\|b \\* c\d"),
            ("`b_c` ~~f~~ ~g", r"`b_c` \~\~f\~\~ ~g"),
        ] {
            assert_eq!(cell(text), expected);
        }
    }
}
