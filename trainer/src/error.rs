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
    /// A loss, gradient or weight became infinite or NaN.
    #[error("{0}")]
    NonFinite(String),
    /// Runs of a sweep failed; the message names them.
    #[error("{0}")]
    Failed(String),
    /// Somebody asked the program to stop; what it had done is saved.
    #[error("{0}")]
    Interrupted(String),
    /// Somebody else works on the same folder; nothing in it was changed.
    #[error("{0}")]
    Busy(String),
    /// The operating system refused to read or write.
    #[error("{path}: {reason}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        reason: std::io::Error,
    },
    /// Every address of a file failed; the message names them.
    #[error("{0}")]
    Network(String),
    /// A device, its driver or one of its libraries that cannot be used; one line that says what to do.
    #[error("{0}")]
    Device(String),
    /// An error of the tensor library.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
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
}

impl From<measure::Error> for Error {
    fn from(error: measure::Error) -> Self {
        match error {
            measure::Error::Argument(message) => Self::Argument(message),
            measure::Error::Data { path, message } => Self::Data { path, message },
            measure::Error::NonFinite(message) => Self::NonFinite(message),
            measure::Error::Interrupted(message) => Self::Interrupted(message),
            measure::Error::Io { path, reason } => Self::Io { path, reason },
            measure::Error::Theory(error) => Self::Theory(error),
            other => Self::Argument(other.to_string()),
        }
    }
}
