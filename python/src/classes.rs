//! Which classes, and how their labels are drawn: the arguments that every question about probabilities has.

use crate::errors::Failure;
use pyo3::prelude::*;
use std::sync::Arc;
use theory::{ClassPrior, Sampling};

/// A class law with its sampling.
#[pyclass(frozen, module = "negatives._negatives")]
pub(crate) struct Classes {
    pub(crate) law: Arc<Law>,
}

/// What [`Classes`] holds; work that outlives a call keeps it alive.
#[derive(Debug)]
pub(crate) struct Law {
    pub(crate) prior: ClassPrior,
    pub(crate) sampling: Sampling,
}

impl Law {
    /// The most draws that there can be: M without replacement.
    pub(crate) fn num_items(&self) -> Option<u64> {
        self.prior.population().filter(|_| self.sampling == Sampling::WithoutReplacement)
    }

    /// Whether one probability takes a few milliseconds at most, and equal classes a curve over all n that matter well
    /// under a tenth of a second.
    pub(crate) fn is_small(&self) -> bool {
        let groups = self.prior.groups().len();
        groups <= 1000 && (groups > 1 || self.prior.num_classes() <= 1000)
    }
}

#[pymethods]
impl Classes {
    /// Equal classes, or items per class, or weights; the caller gives exactly one of the three.
    #[new]
    #[pyo3(signature = (num_classes, counts, probs, replace))]
    fn new(
        py: Python<'_>,
        num_classes: Option<u64>,
        counts: Option<Vec<u64>>,
        probs: Option<Vec<f64>>,
        replace: bool,
    ) -> PyResult<Self> {
        crate::run::short(py, move || {
            let prior = match (num_classes, counts, probs) {
                (Some(classes), None, None) => ClassPrior::uniform(classes)?,
                (None, Some(counts), None) => ClassPrior::from_counts(counts)?,
                (None, None, Some(probs)) => ClassPrior::from_weights(probs)?,
                _ => return Err(Failure::argument("give exactly one of num_classes, counts and probs")),
            };
            let sampling = if replace { Sampling::WithReplacement } else { Sampling::WithoutReplacement };
            if !replace && prior.population().is_none() {
                return Err(Failure::argument(
                    "replace=False needs counts: the number of items of every class",
                ));
            }
            Ok(Self { law: Arc::new(Law { prior, sampling }) })
        })
    }

    /// C.
    #[getter]
    fn num_classes(&self) -> u64 {
        self.law.prior.num_classes()
    }

    /// The most draws that there can be.
    #[getter]
    fn num_items(&self) -> Option<u64> {
        self.law.num_items()
    }

    /// Items of the smallest class.
    #[getter]
    fn smallest_count(&self) -> Option<u64> {
        self.law.prior.groups().iter().filter_map(|group| group.count).min()
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Classes>()
}
