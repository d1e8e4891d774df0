//! υ, and on request τ and E ln(1+Col), by Monte Carlo.

use crate::classes::Classes;
use crate::errors::Failure;
use crate::run::owned;
use crate::table::{Parts, parts};
use pyo3::prelude::*;
use std::sync::Arc;
use theory::NumDraws;
use theory::report::{Simulated, simulation_table};
use theory::shard::Shard;
use theory::simulate::{Estimator, Plan, Simulation, Totals, check_level, check_rare};

/// How often a long simulation asks whether to stop, and the fewest parts between, which keep all threads at work.
const WINDOWS: u64 = 64;
const LEAST_WINDOW: u64 = 64;

/// `theory simulate`.
#[pyfunction]
#[pyo3(signature = (classes, draws, samples, seed, rare, collisions, level, threads))]
#[allow(clippy::too_many_arguments)]
fn simulation<'py>(
    py: Python<'py>,
    classes: &Classes,
    draws: Vec<u64>,
    samples: u64,
    seed: u64,
    rare: bool,
    collisions: bool,
    level: f64,
    threads: Option<usize>,
) -> PyResult<Parts<'py>> {
    let law = Arc::clone(&classes.law);
    let table = owned(py, threads, move |stop| {
        check_level(level)?;
        let estimator = match (rare, collisions) {
            (false, false) => Estimator::Coverage,
            (false, true) => Estimator::Batches,
            (true, false) => Estimator::RareCoverage,
            (true, true) => {
                let message = "method 'rare' draws no anchors: collisions=True goes with method 'plain' only";
                return Err(Failure::argument(message));
            }
        };
        let draws = draws.into_iter().map(NumDraws::new).collect::<theory::Result<Vec<_>>>()?;
        let plan = Plan::new(samples, seed)?;
        let simulation = Simulation::new(estimator, &law.prior, law.sampling, &draws, plan)?;
        simulation.check(Shard::WHOLE)?;
        if rare {
            check_rare(&law.prior, law.sampling, &draws, samples)
                .map_err(|e| Failure::argument(format!("method 'rare': {e}: take method 'plain' there")))?;
        }
        let (mut totals, mut added) = (Totals::new(estimator, &draws, plan), Ok(()));
        // By windows of parts, so that work that is left behind ends soon.
        let parts = simulation.parts();
        let window = (parts / WINDOWS).max(LEAST_WINDOW);
        for first in (0..parts).step_by(window as usize) {
            if stop() {
                return Err(Failure::Interrupted);
            }
            let own = first..first + window;
            simulation.run(
                Shard::WHOLE,
                |part| !own.contains(&part),
                |_, part| {
                    if added.is_ok() {
                        added = totals.add(&part);
                    }
                },
            );
        }
        added?;
        let said = Simulated { classes: law.prior.num_classes(), samples, seed, level };
        Ok(simulation_table(said, &totals)?)
    })?;
    parts(py, &table)
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(simulation, module)?)
}
