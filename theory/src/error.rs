//! The one error type of this crate: what was wrong, with the value and the place.

use std::path::{Path, PathBuf};

/// What every fallible function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// An error that names the offending value and, for files, the line and column.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<ErrorKind>);

/// The kinds of [`Error`]; more may be added.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument lies outside the domain of the function.
    Argument(String),
    /// A file or text has content that cannot be accepted.
    Data {
        /// File, line and column as far as they are known.
        place: Place,
        /// What is wrong there.
        message: String,
    },
    /// The operating system refused to read or write.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A figure could not be drawn.
    Figure {
        /// Name of the figure.
        figure: String,
        /// What the drawing library said.
        message: String,
    },
}

impl std::fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Argument(message) => f.write_str(message),
            Self::Data { place, message } => write!(f, "{place}: {message}"),
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Figure { figure, message } => write!(f, "cannot draw {figure}: {message}"),
        }
    }
}

/// Without a source: the message already holds what the operating system said, and a chain would print it twice.
impl std::error::Error for ErrorKind {}

/// A place in a file or text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Name of the file, or of the text.
    pub file: String,
    /// Line, counted from 1.
    pub line: Option<u64>,
    /// Name of the column.
    pub column: Option<String>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(column) = &self.column {
            write!(f, ", column {column}")?;
        }
        Ok(())
    }
}

impl Error {
    /// The kind of error, for programs that branch on it.
    pub fn kind(&self) -> &ErrorKind {
        &self.0
    }

    /// An argument outside the domain of a function.
    pub fn argument(message: impl Into<String>) -> Self {
        ErrorKind::Argument(message.into()).into()
    }

    /// Content that cannot be accepted, at a place.
    pub fn data(place: Place, message: impl Into<String>) -> Self {
        let message = message.into();
        ErrorKind::Data { place, message }.into()
    }

    /// A refusal of the operating system about `path`.
    pub fn io(path: &Path, source: std::io::Error) -> Self {
        let path = path.to_path_buf();
        ErrorKind::Io { path, source }.into()
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self(Box::new(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_path_and_reason_once() {
        let error = anyhow::Error::from(Error::io(Path::new("a/b"), std::io::Error::other("no")));
        assert_eq!(format!("{error:#}"), "a/b: no");
    }
}
