//! Features to rows of losses, and which negatives are hard: the crate `measure`.

use crate::arrays::{Floats, indices};
use crate::bounds::Losses;
use crate::errors::Failure;
use crate::run::owned;
use measure::difficulty::{self, Bin, Hierarchy};
use measure::features::{Features, MOST_PAIRED, Request};
use measure::{Classifiers, Knn, LinearProbe, Views};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;
use theory::NumDraws;
use theory::losses::{self, Quantity, group};
use theory::report::figure::{Selection, Style};
use theory::report::{self, Format, Table};

type Labelled<'py> = (Floats<'py>, PyReadonlyArray1<'py, i64>);

/// The text of `losses.csv`, as the program `measure` writes it.
#[pyfunction]
#[allow(clippy::too_many_arguments)] // One call from one place in Python.
fn measure_features<'py>(
    py: Python<'py>,
    name: String,
    views: (Floats<'py>, Floats<'py>),
    labels: PyReadonlyArray1<'py, i64>,
    train: Option<Labelled<'py>>,
    mean: Option<Floats<'py>>,
    draws: Vec<u64>,
    temperatures: Vec<f64>,
    passes: Option<usize>,
    seed: u64,
    linear: (String, bool),
    knn: (usize, f64),
    all_pairs: bool,
    threads: Option<usize>,
) -> PyResult<String> {
    let (first, second, labels) = (views.0.matrix()?, views.1.matrix()?, indices(&labels)?);
    let train = match train {
        Some((features, labels)) => Some((features.matrix()?, indices(&labels)?)),
        None => None,
    };
    let mean = mean.map(|mean| mean.matrix()).transpose()?;
    owned(py, threads, move |stop| {
        let features = Features::new(first, second, labels, train, mean)?;
        let draws = draws.into_iter().map(NumDraws::new).collect::<theory::Result<Vec<_>>>()?;
        let (ridge, standardise) =
            (linear.0.parse().map_err(|e| Failure::argument(format!("linear_ridge: {e}")))?, linear.1);
        let classifiers = Classifiers {
            linear: LinearProbe { ridge, standardise },
            knn: Knn { neighbours: knn.0, temperature: knn.1 },
        };
        let most_paired = (!all_pairs).then_some(MOST_PAIRED);
        let request = Request { draws, temperatures, passes, seed, classifiers, most_paired };
        let measured = features.measure(&name, &request, stop)?;
        Ok(losses::write_to(&measured.rows))
    })
}

/// Tables of an analysis as texts of CSV.
#[derive(IntoPyObject)]
struct Tables {
    summary: String,
    bins: String,
    items: String,
    extremes: String,
    semantics: Option<String>,
}

/// Which negatives are hard.
#[pyfunction]
#[allow(clippy::too_many_arguments)] // One call from one place in Python.
fn difficulty_of<'py>(
    py: Python<'py>,
    views: (Floats<'py>, Floats<'py>),
    labels: PyReadonlyArray1<'py, i64>,
    queries: Option<usize>,
    bank: Option<usize>,
    bins: Option<Vec<String>>,
    hierarchy: Option<PathBuf>,
    seed: u64,
    threads: Option<usize>,
) -> PyResult<Tables> {
    let (first, second, labels) = (views.0.matrix()?, views.1.matrix()?, indices(&labels)?);
    owned(py, threads, move |stop| {
        let bins = bins.map(|bins| bins.iter().map(|bin| bin.parse::<Bin>()).collect()).transpose()?;
        let hierarchy = hierarchy.map(|file| Hierarchy::read(&file)).transpose()?;
        let Features { view1, view2, labels, num_classes, .. } =
            Features::new(first, second, labels, None, None)?;
        let views = Views { first: view1, second: view2 };
        let request = difficulty::Request { queries, bank, bins, hierarchy, seed };
        let found = difficulty::difficulty(&views, (&labels, num_classes), &request, stop)?;
        let text = |table: Table| table.to_text(Format::Csv);
        Ok(Tables {
            summary: text(found.summary()),
            bins: text(found.table()),
            items: text(found.items()),
            extremes: text(found.extremes()),
            semantics: found.semantics_table().map(text),
        })
    })
}

/// Writes what `theory report` writes into a folder.
#[pyfunction]
fn write_report(
    py: Python<'_>,
    losses: &Losses,
    out: PathBuf,
    title: String,
    bounds: Option<Vec<String>>,
) -> PyResult<()> {
    let rows = Arc::clone(&losses.rows);
    owned(py, Some(1), move |_| {
        let mut style = Style::default();
        if let Some(keys) = &bounds {
            style.bounds = Selection::of(keys)?;
        }
        report::check_folder(&out)?;
        let sections = report::standard_sections(&group(&rows)?);
        Ok(report::write(&out, &title, &rows, &sections, &style, None)?)
    })
}

/// The descriptive columns of `losses.csv` with the values that each can have.
#[pyfunction]
fn column_kinds() -> Vec<(&'static str, &'static str)> {
    losses::COLUMNS.iter().map(|column| (column.name, column.kind)).collect()
}

/// Every column of `losses.csv` with the errors beside the measured ones, but for `info_nce_minus_KEY`.
#[pyfunction]
fn column_names() -> Vec<String> {
    let described = losses::COLUMNS.iter().map(|column| column.name.to_string());
    let errors = ["", losses::SE_SUFFIX, losses::IMAGE_SE_SUFFIX];
    let measured =
        Quantity::ALL.iter().flat_map(|quantity| errors.map(|suffix| format!("{quantity}{suffix}")));
    described.chain(measured).collect()
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(measure_features, module)?)?;
    module.add_function(wrap_pyfunction!(difficulty_of, module)?)?;
    module.add_function(wrap_pyfunction!(write_report, module)?)?;
    module.add_function(wrap_pyfunction!(column_kinds, module)?)?;
    module.add_function(wrap_pyfunction!(column_names, module)?)
}
