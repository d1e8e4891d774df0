//! The private extension `negatives._negatives` of the Python package `negatives`.
//!
//! Each subject is a module with a function `register` that adds its functions and classes. Two things stand in one
//! place each: how work runs (threads, Ctrl-C, panics: [`run`]) and how errors become Python exceptions ([`errors`]).

mod arrays;
mod contrastive;
mod errors;
mod measuring;
mod run;

use pyo3::prelude::*;

/// What the package `negatives` computes in Rust; its public names are those of `negatives`.
#[pymodule]
fn _negatives(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    contrastive::register(module)?;
    measuring::register(module)?;
    run::register(module)
}
