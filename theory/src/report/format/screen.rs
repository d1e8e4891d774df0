//! Columns that fit a width: long words are wrapped, and what does not fit stands in a further block below.

use super::super::Cell;
use super::{Table, one_line};
use std::ops::Range;

/// Spaces between columns.
const GAP: usize = 2;

/// A table cut into blocks, each of which fits.
pub(super) struct Layout {
    /// Columns that tell the rows apart: they lead every block.
    pub keys: usize,
    /// The other columns of each block.
    pub blocks: Vec<Range<usize>>,
    /// Width of each column.
    pub widths: Vec<usize>,
    /// Whether a column has numbers.
    pub numeric: Vec<bool>,
}

impl Layout {
    /// Of these headers and texts, the cells of `table`, in lines of at most `columns` characters; a column that is
    /// wider than that stands alone.
    pub fn new(table: &Table, headers: &[String], texts: &[Vec<String>], columns: usize) -> Self {
        let count = headers.len();
        let of = |column: usize| texts.iter().map(move |row| row[column].as_str());
        let numeric: Vec<bool> =
            (0..count).map(|c| table.rows().iter().any(|row| is_number(&row[c]))).collect();
        let natural = |c: usize| of(c).chain([headers[c].as_str()]).map(length).max().unwrap_or(0);
        let mut widths: Vec<usize> = (0..count).map(natural).collect();
        let all = widths.iter().sum::<usize>() + GAP * count.saturating_sub(1);
        let fits = all <= columns;
        if !fits {
            let fitted = |(c, natural): (usize, &usize)| {
                let most = (columns / 2).clamp(20, 50);
                let word = |text: &str| text.split_whitespace().map(length).max().unwrap_or(0);
                // Short headings such as n = 512 are not broken.
                let heading = match length(&headers[c]) {
                    short @ 0..=12 => short,
                    _ => word(&headers[c]),
                };
                let cells = of(c).map(length).max().unwrap_or(0);
                match numeric[c] {
                    // Numbers are never broken, their heading is.
                    true => cells.max(heading),
                    false => {
                        let least = of(c).map(word).max().unwrap_or(0).max(heading);
                        (*natural).min(cells.max(12)).min(most).max(least)
                    }
                }
            };
            widths = widths.iter().enumerate().map(fitted).collect();
        }
        // Words, given numbers, and up to two whole numbers such as K and n: what was measured follows.
        let (mut keys, mut whole) = (0, 0);
        while keys < count.min(4) && whole < 2 {
            let column = || table.rows().iter().map(|row| &row[keys]);
            if !column()
                .all(|cell| matches!(cell, Cell::Text(_) | Cell::Given(_) | Cell::Integer(_) | Cell::Missing))
            {
                break;
            }
            whole += usize::from(column().any(|cell| matches!(cell, Cell::Integer(_))));
            keys += 1;
        }
        let width = |widths: &[usize], range: Range<usize>| range.map(|c| widths[c] + GAP).sum::<usize>();
        if keys == 0 || keys >= count {
            keys = 1.min(count);
        }
        let word = |c: usize| of(c).flat_map(str::split_whitespace).map(length).max().unwrap_or(0);
        for c in (0..keys).filter(|&c| !fits && !numeric[c]) {
            if width(&widths, 0..keys) > columns * 2 / 5 {
                widths[c] = widths[c].min(word(c).max(columns / 5));
            }
        }
        if !fits && width(&widths, 0..keys) > columns * 3 / 5 {
            keys = 1.min(count);
        }
        let (mut blocks, mut start) = (Vec::new(), keys);
        for c in keys..count {
            if c > start && width(&widths, 0..keys) + width(&widths, start..c + 1) > columns + GAP {
                blocks.push(start..c);
                start = c;
            }
        }
        blocks.push(start..count);
        Self { keys, blocks, widths, numeric }
    }

    /// The columns of a block.
    pub fn columns(&self, block: &Range<usize>) -> impl Iterator<Item = usize> + use<> {
        (0..self.keys).chain(block.clone())
    }
}

fn is_number(cell: &Cell) -> bool {
    matches!(
        cell,
        Cell::Integer(_)
            | Cell::Given(_)
            | Cell::Decimal(_)
            | Cell::Estimate(_)
            | Cell::Vacuous(_)
            | Cell::Interval(_)
    )
}

pub(super) fn length(text: &str) -> usize {
    // Marks above a letter take no place.
    text.chars().filter(|c| !matches!(c, '\u{300}'..='\u{36f}')).count()
}

/// Words in lines of at most `width` characters; a longer word has a line of its own.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if length(line) + 1 + length(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

/// A cell as people read it: of a long list its beginning; the mark of what is vacuous is for the caller to add.
pub(super) fn readable(cell: &Cell) -> String {
    const SHOWN: usize = 6;
    one_line(&match cell {
        Cell::List(values) if values.len() > SHOWN => {
            format!("{}; … ({} values)", values[..SHOWN].join("; "), values.len())
        }
        Cell::List(values) => values.join("; "),
        Cell::Vacuous(value) => Cell::Estimate(*value).to_string(),
        cell => cell.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Format, MeanAndDeviation, Screen};

    #[test]
    fn a_wide_table_is_cut_into_blocks_that_repeat_what_tells_rows_apart() {
        let mut table = Table::new(
            ["data set".into(), "n".to_string()].into_iter().chain((0..12).map(|i| format!("bound {i}"))),
        );
        for n in [8, 512] {
            let mut row = vec![Cell::text("CIFAR-10"), Cell::Integer(n)];
            row.extend((0..12).map(|i| Cell::number(f64::from(i) + 1e3)));
            table.push(row);
        }
        for columns in [40, 80, 100] {
            let text = table.to_screen(Screen { columns, colour: false });
            assert!(text.lines().all(|line| length(line) <= columns), "{text}");
            let blocks = text.split("\n\n").count();
            assert!(blocks > 1 && text.matches("CIFAR-10").count() == 2 * blocks, "{text}");
            (0..12).for_each(|i| assert_eq!(text.matches(&format!("{}.000", 1000 + i)).count(), 2, "{text}"));
        }
        let one = table.to_text(Format::Table);
        assert_eq!(one.lines().count(), 3, "a file has no width");
    }

    #[test]
    fn one_wide_row_is_a_list() {
        let mut table = Table::new(["n", "bound", "ln of coverage", "its complement", "method"]);
        let bound = Cell::Vacuous(MeanAndDeviation { mean: 10.5, deviation: None });
        let [ln, complement] =
            ["-0.5929742183093135", "0.44731895627148127"].map(|v| Cell::Decimal(v.into()));
        table.push(vec![Cell::Integer(8), bound, ln, complement, Cell::text("tilted contour")]);
        let text = table.to_screen(Screen { columns: 50, colour: false });
        let expected = "n               8\n\
                        bound           10.500 †\n\
                        ln of coverage  -0.5929742183093135\n\
                        its complement  0.44731895627148127\n\
                        method          tilted contour\n\n† vacuous";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.lines().all(|line| length(line) <= 50), "{text}");
    }

    #[test]
    fn words_are_wrapped_and_numbers_are_not() {
        let mut table = Table::new(["n", "why"]);
        table.push(vec![Cell::Integer(8), Cell::Note("word ".repeat(40))]);
        let text = table.to_screen(Screen { columns: 50, colour: false });
        assert!(text.lines().all(|line| length(line) <= 50) && text.matches("word").count() == 40, "{text}");
        let mut table = Table::new(["digits"]);
        table.push(vec![Cell::Decimal("7".repeat(300))]);
        assert!(table.to_screen(Screen { columns: 50, colour: false }).contains(&"7".repeat(300)));
    }

    #[test]
    fn what_is_vacuous_has_a_mark_and_a_line_that_explains_it() {
        let mut table = Table::new(["n", "bound"]);
        let value = |mean| MeanAndDeviation { mean, deviation: None };
        table.push(vec![Cell::Integer(8), Cell::Vacuous(value(10.5))]);
        table.push(vec![Cell::Integer(16), Cell::Estimate(value(1.25))]);
        let plain = table.to_screen(Screen { columns: 80, colour: false });
        assert!(
            plain.starts_with(" n     bound\n 8  10.500 †\n16   1.250\n") && plain.contains("† vacuous"),
            "{plain}"
        );
        let coloured = table.to_screen(Screen { columns: 80, colour: true });
        assert!(coloured.contains("\u{1b}[2m10.500 †\u{1b}[0m"), "{coloured:?}");
    }

    #[test]
    fn of_a_long_list_its_beginning() {
        let numbers = Cell::List((0..9).map(|i| i.to_string()).collect());
        assert_eq!(readable(&numbers), "0; 1; 2; 3; 4; 5; … (9 values)");
    }
}
