//! The one error type of this crate.

use std::path::{Path, PathBuf};

/// What every fallible function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument or setting that cannot be used.
    #[error("{0}")]
    Argument(String),
    /// A file whose content cannot be used.
    #[error("{path}: {message}", path = path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Features or losses that are not finite.
    #[error("{0}")]
    NonFinite(String),
    /// Somebody asked the program to stop.
    #[error("{0}")]
    Interrupted(String),
    /// The operating system refused to read or write.
    #[error("{path}: {reason}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        reason: std::io::Error,
    },
    /// An error of the theory crate.
    #[error(transparent)]
    Theory(#[from] theory::Error),
}

impl Error {
    /// An argument or setting that cannot be used.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::Argument(message.into())
    }

    /// A file whose content cannot be used.
    pub fn data(path: &Path, message: impl Into<String>) -> Self {
        Self::Data { path: path.to_path_buf(), message: message.into() }
    }

    /// A refusal of the operating system.
    pub fn io(path: &Path, reason: std::io::Error) -> Self {
        Self::Io { path: path.to_path_buf(), reason }
    }

    /// Whether an argument is to blame, and not what a file holds: exit code 2 of a program.
    pub fn is_argument(&self) -> bool {
        match self {
            Self::Argument(_) => true,
            Self::Theory(error) => matches!(error.kind(), theory::error::ErrorKind::Argument(_)),
            _ => false,
        }
    }
}
