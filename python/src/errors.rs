//! Errors of the crates as the named exceptions of `negatives.errors`.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use theory::error::{ErrorKind, Place};

/// What work can fail with.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An argument outside the domain of a function: `ArgumentError`.
    Argument(String),
    /// Content of a file or table that cannot be accepted: `DataError`.
    Data {
        /// File or table, line and column as far as they are known.
        place: Place,
        /// What is wrong there.
        message: String,
    },
    /// Content of a table that stood in for a file: `DataError` with a row.
    Table {
        /// The whole message.
        message: String,
        /// The row, counted from 0.
        row: Option<u64>,
        /// Table and column.
        place: Place,
    },
    /// The operating system refused to read or write: `FileError`.
    File(String),
    /// Features or losses that are not finite: `NotFiniteError`.
    NotFinite(String),
    /// The work stopped because it was asked to; whoever asked knows why.
    Interrupted,
    /// A defect of this package: `InternalError`.
    Panic(String),
}

impl Failure {
    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::Argument(message.into())
    }
}

impl From<theory::Error> for Failure {
    fn from(error: theory::Error) -> Self {
        match error.kind() {
            ErrorKind::Argument(message) => Self::Argument(message.clone()),
            ErrorKind::Data { place, message } => {
                Self::Data { place: place.clone(), message: message.clone() }
            }
            ErrorKind::Io { .. } => Self::File(error.to_string()),
            _ => Self::Argument(error.to_string()),
        }
    }
}

impl From<measure::Error> for Failure {
    fn from(error: measure::Error) -> Self {
        match error {
            measure::Error::Argument(message) => Self::Argument(message),
            measure::Error::Data { path, message } => {
                Self::Data { place: Place { file: path.display().to_string(), ..Place::default() }, message }
            }
            measure::Error::NonFinite(message) => Self::NotFinite(message),
            measure::Error::Interrupted(_) => Self::Interrupted,
            measure::Error::Io { .. } => Self::File(error.to_string()),
            measure::Error::Theory(error) => error.into(),
            _ => Self::Argument(error.to_string()),
        }
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        Python::attach(|py| exception(py, failure).unwrap_or_else(|error| error))
    }
}

/// The exception of this failure; what importing its class raised, where that fails.
fn exception(py: Python<'_>, failure: Failure) -> PyResult<PyErr> {
    static ARGUMENT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static DATA: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static FILE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static NOT_FINITE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static INTERNAL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let make = |class: &'static PyOnceLock<Py<PyType>>, name: &str, message: String| {
        let class = class.import(py, "negatives.errors", name)?;
        Ok(PyErr::from_type(class.clone(), message))
    };
    match failure {
        Failure::Argument(message) => make(&ARGUMENT, "ArgumentError", message),
        Failure::Data { place, message } => {
            let class = DATA.import(py, "negatives.errors", "DataError")?;
            let arguments = (format!("{place}: {message}"), place.file, place.line, place.column);
            Ok(PyErr::from_type(class.clone(), arguments))
        }
        Failure::Table { message, row, place } => {
            let class = DATA.import(py, "negatives.errors", "DataError")?;
            Ok(PyErr::from_type(class.clone(), (message, place.file, row, place.column)))
        }
        Failure::File(message) => make(&FILE, "FileError", message),
        Failure::NotFinite(message) => make(&NOT_FINITE, "NotFiniteError", message),
        Failure::Interrupted => Ok(pyo3::exceptions::PyKeyboardInterrupt::new_err(())),
        Failure::Panic(message) => make(&INTERNAL, "InternalError", message),
    }
}
