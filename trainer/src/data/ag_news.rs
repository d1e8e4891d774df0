//! AG News: titles and descriptions of news articles in four classes, as comma-separated values.
//!
//! Each record of the official `train.csv` (120,000) and `test.csv` (7,600) is `"class","title","description"`, the
//! class from 1 (World, Sports, Business, Sci/Tech), quotation marks inside a field doubled, backslashes literal
//! (Zhang, Zhao & LeCun 2015). A text is "title description", joined by one blank as torchtext's reader joins them.

use crate::error::{Error, Result};
use std::io::Read;
use std::path::Path;

/// C.
pub const NUM_CLASSES: usize = 4;

/// One article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Article {
    /// Class, from 0: one less than the file says.
    pub class: usize,
    /// Title and description.
    pub text: String,
}

/// Reads all articles of a file.
///
/// # Errors
/// Unreadable file, and those of [`parse`].
pub fn read(path: &Path) -> Result<Vec<Article>> {
    let (file, _) = measure::input::open(path)?;
    parse(file, path)
}

/// Reads all articles of a stream; `place` is for messages.
///
/// # Errors
/// A record that has not three fields, a class that is not 1 to 4, text that is not UTF-8, a quotation that the end of
/// the file leaves open, no record; each with record, line and byte.
///
/// # Examples
/// ```
/// let file = "\"3\",\"Oil\",\"Prices of \"\"crude\"\" rise\"\n";
/// let articles = trainer::data::ag_news::parse(file.as_bytes(), "test.csv".as_ref())?;
/// assert_eq!((articles[0].class, articles[0].text.as_str()), (2, "Oil Prices of \"crude\" rise"));
/// # Ok::<(), trainer::Error>(())
/// ```
pub fn parse(stream: impl Read, place: &Path) -> Result<Vec<Article>> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(Quotes { stream, number: 0 });
    let (mut articles, mut record) = (Vec::new(), csv::ByteRecord::new());
    loop {
        let position = reader.position().clone();
        let more = reader.read_byte_record(&mut record).map_err(|e| match e.into_kind() {
            csv::ErrorKind::Io(e) => Error::io(place, e),
            kind => Error::data(place, format!("not readable: {kind:?}")),
        })?;
        if !more {
            break;
        }
        let position = record.position().unwrap_or(&position);
        let bad = |message: String| {
            let (line, byte) = (position.line(), position.byte());
            Error::data(place, format!("record {}, line {line}, byte {byte}: {message}", articles.len() + 1))
        };
        if record.len() != 3 {
            return Err(bad(format!("{} fields instead of class, title, description", record.len())));
        }
        let class = match &record[0] {
            [digit @ b'1'..=b'4'] => usize::from(digit - b'1'),
            other => {
                let shown: String = String::from_utf8_lossy(other).chars().take(20).collect();
                return Err(bad(format!("class '{}' is not 1 to {NUM_CLASSES}", shown.escape_debug())));
            }
        };
        let field = |index: usize, name: &str| {
            std::str::from_utf8(&record[index]).map_err(|e| bad(format!("the {name} is not UTF-8: {e}")))
        };
        articles
            .push(Article { class, text: format!("{} {}", field(1, "title")?, field(2, "description")?) });
    }
    if reader.get_ref().number % 2 == 1 {
        return Err(Error::data(place, "the end of the file leaves a quotation open: it is cut short"));
    }
    if articles.is_empty() {
        return Err(Error::data(place, "there is no record"));
    }
    Ok(articles)
}

/// Counts quotation marks: the csv reader takes the end of the file for the end of a quotation.
struct Quotes<R> {
    stream: R,
    number: u64,
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.stream.read(buffer)?;
        self.number += buffer[..length].iter().filter(|&&byte| byte == b'"').count() as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(file: &[u8]) -> String {
        parse(file, Path::new("test.csv")).unwrap_err().to_string()
    }

    #[test]
    fn fields_are_joined_and_quotations_undone() {
        let file = "\"4\",\"A \\ B\",\"two\nlines, \"\"quoted\"\"\"\n1,x,y";
        let articles = parse(file.as_bytes(), Path::new("test.csv")).unwrap();
        let article = |class, text: &str| Article { class, text: text.into() };
        assert_eq!(articles, [article(3, "A \\ B two\nlines, \"quoted\""), article(0, "x y")]);
    }

    #[test]
    fn every_defect_is_named_with_its_place() {
        assert_eq!(error(b""), "test.csv: there is no record");
        assert_eq!(
            error(b"\"1\",\"a\",\"b\"\n\"5\",\"c\",\"d\"\n"),
            "test.csv: record 2, line 2, byte 12: class '5' is not 1 to 4"
        );
        assert_eq!(
            error(b"1,a\n"),
            "test.csv: record 1, line 1, byte 0: 2 fields instead of class, title, description"
        );
        assert!(error(b"1,a,\xff\n").contains("record 1, line 1, byte 0: the description is not UTF-8"));
        assert!(error(b"\"1\",\"a\",\"cut sho").contains("leaves a quotation open"));
    }
}
