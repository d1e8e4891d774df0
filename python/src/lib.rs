//! The private extension `negatives._negatives` of the Python package `negatives`.
//!
//! Each subject is a module with a function `register` that adds its functions and classes. Two things stand in one
//! place each: how work runs (threads, Ctrl-C, panics: [`run`]) and how errors become Python exceptions ([`errors`]).

mod arrays;
mod bounds;
mod classes;
mod collision;
mod contrastive;
mod coverage;
mod errors;
mod measuring;
mod optimum;
mod run;
mod simulate;
mod table;

use pyo3::prelude::*;

/// What the package `negatives` computes in Rust; its public names are those of `negatives`.
#[pymodule]
fn _negatives(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    run::register(module)?;
    classes::register(module)?;
    coverage::register(module)?;
    collision::register(module)?;
    simulate::register(module)?;
    optimum::register(module)?;
    bounds::register(module)?;
    measuring::register(module)?;
    contrastive::register(module)?;
    // PyO3 keeps a list of names, which no stub could repeat without going stale.
    module.delattr("__all__")
}
