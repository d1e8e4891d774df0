//! Several titled tables as one output: text in five formats, or a folder with one file per table and one page.

use super::format::markdown_prose as prose;
use super::{Figure, Format, Screen, Section, check_folder_for, html, write_files};
use crate::error::{Error, Result};
use crate::terminal::one_line;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Titled tables, each with a short name.
#[derive(Debug, Clone)]
pub struct Document {
    /// Heading of the whole.
    pub title: String,
    /// Short name (file name and JSON key) and table.
    pub sections: Vec<(&'static str, Section)>,
}

impl Document {
    /// The sections of these names, in the order of the document; all of them for an empty list.
    ///
    /// # Errors
    /// A name that no section has.
    pub fn select(mut self, names: &[String]) -> Result<Self> {
        let known: Vec<_> = self.sections.iter().map(|(key, _)| *key).collect();
        if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(Error::argument(format!("'{unknown}' is none of {}", known.join(", "))));
        }
        self.sections.retain(|(key, _)| names.is_empty() || names.iter().any(|name| name == key));
        Ok(self)
    }

    /// The whole as text that ends with a line break.
    ///
    /// JSON: an object with one array per section. CSV: a line `# name: title` opens each section, and an empty line
    /// ends it; a single section is plain CSV. LaTeX: the same with `%`.
    pub fn to_text(&self, format: Format) -> String {
        self.text(format, Screen::FILE)
    }

    /// The whole as [`Table::to_screen`](super::Table::to_screen) shows tables.
    pub fn to_screen(&self, screen: Screen) -> String {
        self.text(Format::Table, screen)
    }

    fn text(&self, format: Format, screen: Screen) -> String {
        let part = |(key, section): &(&'static str, Section)| {
            let (title, text) = (&section.title, &section.text);
            let table = match format {
                Format::Table => section.table.to_screen(screen),
                format => section.table.to_text(format),
            };
            match format {
                Format::Table => {
                    let text = wrap(text, screen.columns.min(100));
                    format!("{title}\n{}\n{text}\n\n{table}", "=".repeat(title.chars().count()))
                }
                Format::Markdown => format!("## {}\n\n{}\n\n{table}", prose(title), prose(text)),
                Format::Csv if self.sections.len() == 1 => table,
                Format::Csv => format!("# {key}: {}\n{table}", one_line(title)),
                Format::Latex => format!("% {key}: {}\n{table}", one_line(title)),
                Format::Json => String::new(),
            }
        };
        if format == Format::Json {
            let pairs = self.sections.iter().map(|(key, s)| ((*key).to_string(), s.table.to_json()));
            return format!("{:#}\n", Value::Object(pairs.collect::<Map<_, _>>()));
        }
        let parts: Vec<String> = self.sections.iter().map(part).collect();
        let body = parts.join("\n");
        if format == Format::Markdown { format!("# {}\n\n{body}", prose(&self.title)) } else { body }
    }

    /// Writes `<section>.<ext>` for every section, `<name>.md` and `<name>.html` with everything, and the figures as
    /// `<figure>.svg` and `<figure>.png`; returns the page.
    ///
    /// The folder is made, or must be empty or hold an earlier `<name>.html` of this program.
    ///
    /// # Errors
    /// The folder holds something else; the operating system refuses to write.
    pub fn write(&self, folder: &Path, name: &str, format: Format, figures: &[Figure]) -> Result<PathBuf> {
        let page_name = format!("{name}.html");
        check_folder_for(folder, &page_name)?;
        let extension = match format {
            Format::Table | Format::Csv => "csv",
            Format::Json => "json",
            Format::Markdown => "md",
            Format::Latex => "tex",
        };
        let table_format = if format == Format::Table { Format::Csv } else { format };
        let mut files = Vec::new();
        for (key, section) in &self.sections {
            files.push((format!("{key}.{extension}"), section.table.to_text(table_format).into_bytes()));
        }
        for figure in figures {
            files.push((format!("{}.svg", figure.name), figure.svg.clone().into_bytes()));
            files.push((format!("{}.png", figure.name), figure.png.clone()));
        }
        files.push((format!("{name}.md"), self.to_text(Format::Markdown).into_bytes()));
        let page = folder.join(&page_name);
        write_files(folder, (page_name, html::document(self, figures).into_bytes()), files)?;
        Ok(page)
    }
}

/// Lines of at most `width` characters.
fn wrap(text: &str, width: usize) -> String {
    super::format::wrap(text, width).join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Cell, Table};

    fn sample() -> Document {
        let section = |title: &str, value| {
            let mut table = Table::new(["n"]);
            table.push(vec![Cell::Integer(value)]);
            Section { title: title.into(), text: "Why.".into(), table }
        };
        Document {
            title: "All".into(),
            sections: vec![("one", section("First", 1)), ("two", section("Second", 2))],
        }
    }

    #[test]
    fn several_sections_in_every_format() {
        let document = sample();
        assert_eq!(document.to_text(Format::Csv), "# one: First\nn\n1\n\n# two: Second\nn\n2\n");
        assert_eq!(
            document.to_text(Format::Table),
            "First\n=====\nWhy.\n\nn\n1\n\nSecond\n======\nWhy.\n\nn\n2\n"
        );
        let json: Value = serde_json::from_str(&document.to_text(Format::Json)).unwrap();
        assert_eq!(json, serde_json::json!({ "one": [{ "n": 1 }], "two": [{ "n": 2 }] }));
        assert!(document.to_text(Format::Markdown).starts_with("# All\n\n## First\n\nWhy.\n\n| n"));
        assert_eq!(document.clone().select(&["two".into()]).unwrap().to_text(Format::Csv), "n\n2\n");
        assert!(document.select(&["three".into()]).unwrap_err().to_string().contains("none of one, two"));
    }

    #[test]
    fn long_text_is_wrapped() {
        let text = "word ".repeat(60);
        assert!(wrap(&text, 100).lines().all(|l| l.len() <= 100));
        assert_eq!(wrap(&text, 100).split_whitespace().count(), 60);
    }
}
