//! Contrastive losses of two views, with gradients: `measure::contrastive`.

use crate::arrays::{Floats, array, indices};
use crate::errors::Failure;
use crate::run::{Outcome, owned};
use measure::contrastive::{Batch, Formula, Negatives};
use measure::matrix::Matrix;
use numpy::{PyArray2, PyReadonlyArray1};
use pyo3::prelude::*;

/// The loss of this name; the Python functions see to the number of parameters.
fn formula(name: &str, parameters: &[f64]) -> Outcome<Formula> {
    Ok(match (name, parameters) {
        ("info_nce", []) => Formula::InfoNce,
        ("debiased", &[class_probability]) => Formula::Debiased { class_probability },
        ("hard", &[class_probability, beta]) => Formula::Hard { class_probability, beta },
        ("dcl", []) => Formula::Dcl,
        ("dclw", &[sigma]) => Formula::Dclw { sigma },
        ("flat_nce", []) => Formula::FlatNce,
        ("eq_co", &[virtual_negatives]) => Formula::EqCo { virtual_negatives },
        ("spectral", &[scale]) => Formula::Spectral { scale },
        _ => return Err(Failure::argument(format!("there is no loss '{name}' of {parameters:?}"))),
    })
}

/// Negatives that outlive the call.
enum Chosen {
    BothViews,
    SecondView,
    Samples(Vec<usize>),
    Shared(Matrix),
    Own(Matrix),
}

impl Chosen {
    fn new(
        kind: &str,
        samples: Option<PyReadonlyArray1<'_, i64>>,
        rows: Option<Floats<'_>>,
    ) -> Outcome<Self> {
        Ok(match (kind, samples, rows) {
            ("both_views", None, None) => Self::BothViews,
            ("second_view", None, None) => Self::SecondView,
            ("samples", Some(samples), None) => Self::Samples(indices(&samples)?),
            ("shared", None, Some(rows)) => Self::Shared(rows.matrix()?),
            ("own", None, Some(rows)) => Self::Own(rows.matrix()?),
            _ => return Err(Failure::argument(format!("there are no negatives '{kind}'"))),
        })
    }

    fn borrowed(&self) -> Negatives<'_> {
        match self {
            Self::BothViews => Negatives::BothViews,
            Self::SecondView => Negatives::SecondView,
            Self::Samples(samples) => Negatives::Samples(samples),
            Self::Shared(rows) => Negatives::Shared(rows),
            Self::Own(rows) => Negatives::Own(rows),
        }
    }
}

type Gradients<'py> = (Bound<'py, PyArray2<f64>>, Bound<'py, PyArray2<f64>>);

/// A loss, and, if asked for, its gradients with respect to both views.
#[pyfunction]
#[allow(clippy::too_many_arguments)] // One call from one place in Python.
fn contrastive_loss<'py>(
    py: Python<'py>,
    name: &str,
    parameters: Vec<f64>,
    views: (Floats<'py>, Floats<'py>),
    negatives: (String, Option<PyReadonlyArray1<'py, i64>>, Option<Floats<'py>>),
    classes: Option<PyReadonlyArray1<'py, i64>>,
    temperature: f64,
    normalise: bool,
    gradient: bool,
    threads: Option<usize>,
) -> PyResult<(f64, Option<Gradients<'py>>)> {
    let formula = formula(name, &parameters)?;
    let (first, second) = (views.0.matrix()?, views.1.matrix()?);
    let chosen = Chosen::new(&negatives.0, negatives.1, negatives.2)?;
    let classes = classes.map(|classes| indices(&classes)).transpose()?;
    let (value, gradients) = owned(py, threads, move |stop| {
        let batch = Batch {
            views: [&first, &second],
            negatives: chosen.borrowed(),
            classes: classes.as_deref(),
            temperature,
            normalise,
        };
        if !gradient {
            return Ok((batch.value(formula, stop)?, None));
        }
        let (value, gradients) = batch.value_and_gradient(formula, stop)?;
        Ok((value, Some(gradients)))
    })?;
    let arrays = |[first, second]: [Matrix; 2]| Ok::<_, PyErr>((array(py, first)?, array(py, second)?));
    Ok((value, gradients.map(arrays).transpose()?))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(contrastive_loss, module)?)
}
