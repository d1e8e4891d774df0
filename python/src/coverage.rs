//! The collector's time T: its law at one or many n, moments, quantiles, samples, exact fractions.

use crate::classes::{Classes, Law};
use crate::errors::Failure;
use crate::run::{Outcome, owned, short};
use measure::Stop;
use num_bigint::BigUint;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use std::str::FromStr;
use std::sync::Arc;
use theory::coverage::{self, Upsilons, exact};
use theory::{NumDraws, Probability};

/// What is asked of the law of T.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Cdf,
    Sf,
    LogCdf,
    LogSf,
    Pmf,
    LogPmf,
}

impl FromStr for Asked {
    type Err = Failure;

    fn from_str(name: &str) -> Outcome<Self> {
        Ok(match name {
            "cdf" => Self::Cdf,
            "sf" => Self::Sf,
            "logcdf" => Self::LogCdf,
            "logsf" => Self::LogSf,
            "pmf" => Self::Pmf,
            "logpmf" => Self::LogPmf,
            _ => return Err(Failure::argument(format!("'{name}' is no function of the law"))),
        })
    }
}

impl Asked {
    /// Value and bound of its relative error; of a logarithm, of its absolute error.
    fn of(self, p: Probability) -> (f64, f64) {
        let rounding = |ln: f64| if ln.is_finite() { f64::EPSILON * ln.abs() } else { 0.0 };
        match self {
            Self::Cdf | Self::Pmf => (p.value(), p.relative_error_bound()),
            Self::Sf => (p.complement(), p.complement_relative_error_bound()),
            Self::LogCdf | Self::LogPmf => (p.ln(), p.relative_error_bound() + rounding(p.ln())),
            Self::LogSf => {
                (p.ln_complement(), p.complement_relative_error_bound() + rounding(p.ln_complement()))
            }
        }
    }

    /// Whether it is asked of P(T = n), not of P(T ≤ n).
    fn is_of_one(self) -> bool {
        matches!(self, Self::Pmf | Self::LogPmf)
    }
}

/// P(T ≤ n), or P(T = n), for any n: nothing is seen before the first draw, and everything after the last item.
fn at(law: &Law, asked: Asked, n: i64) -> Outcome<Probability> {
    match certain(law, asked, n) {
        Some(p) => Ok(p),
        None if asked.is_of_one() => {
            Ok(coverage::completion_probability(&law.prior, law.sampling, NumDraws::new(n as u64)?)?)
        }
        None => Ok(coverage::probability(&law.prior, law.sampling, NumDraws::new(n as u64)?)?),
    }
}

/// The answer for n that cannot be drawn.
fn certain(law: &Law, asked: Asked, n: i64) -> Option<Probability> {
    if n < 1 {
        return Some(Probability::ZERO);
    }
    let beyond = law.sampling.check(&law.prior, NumDraws::new(n as u64).ok()?).is_err();
    let after = if asked.is_of_one() { Probability::ZERO } else { Probability::ONE };
    beyond.then_some(after)
}

/// Every n of `draws` in their order, each distinct one once.
fn at_all(law: &Law, asked: Asked, draws: &[i64], stop: Stop<'_>) -> Outcome<(Vec<f64>, Vec<f64>)> {
    let mut order: Vec<usize> = (0..draws.len()).collect();
    order.sort_unstable_by_key(|&place| draws[place]);
    let inner: Vec<u64> = order
        .iter()
        .map(|&place| draws[place])
        .filter(|&n| certain(law, asked, n).is_none())
        .map(|n| n as u64)
        .collect();
    let mut upsilons = match (asked.is_of_one(), inner.is_empty()) {
        (false, false) => Some(Upsilons::new(&law.prior, law.sampling, &inner)?),
        _ => None,
    };
    let (mut values, mut bounds) = (vec![0.0; draws.len()], vec![0.0; draws.len()]);
    let mut last: Option<(i64, (f64, f64))> = None;
    for place in order {
        let n = draws[place];
        let found = match (last, &mut upsilons) {
            (Some((before, found)), _) if before == n => found,
            _ if stop() => return Err(Failure::Interrupted),
            (_, Some(upsilons)) if certain(law, asked, n).is_none() => {
                asked.of(upsilons.at(NumDraws::new(n as u64)?)?.0)
            }
            _ => asked.of(at(law, asked, n)?),
        };
        (values[place], bounds[place]) = found;
        last = Some((n, found));
    }
    Ok((values, bounds))
}

type Arrays<'py> = (Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>);

/// A function of the law at one n, and its error bound.
#[pyfunction]
fn law_at(py: Python<'_>, classes: &Classes, name: &str, n: i64) -> PyResult<(f64, f64)> {
    let asked: Asked = name.parse()?;
    let law = &classes.law;
    if law.is_small() {
        return short(py, || Ok(asked.of(at(law, asked, n)?)));
    }
    let law = Arc::clone(law);
    owned(py, Some(1), move |_| Ok(asked.of(at(&law, asked, n)?)))
}

/// The same at many n.
#[pyfunction]
fn law_at_all<'py>(
    py: Python<'py>,
    classes: &Classes,
    name: &str,
    draws: PyReadonlyArray1<'py, i64>,
) -> PyResult<Arrays<'py>> {
    let asked: Asked = name.parse()?;
    let draws: Vec<i64> = draws.as_array().iter().copied().collect();
    let law = Arc::clone(&classes.law);
    let (values, bounds) = owned(py, Some(1), move |stop| at_all(&law, asked, &draws, stop))?;
    Ok((values.into_pyarray(py), bounds.into_pyarray(py)))
}

/// E\[T\] and the standard deviation.
#[pyfunction]
fn collector_time(py: Python<'_>, classes: &Classes) -> PyResult<(f64, f64)> {
    let law = Arc::clone(&classes.law);
    let time = owned(py, Some(1), move |_| Ok(coverage::collector_time(&law.prior, law.sampling)?))?;
    Ok((time.expected_draws, time.standard_deviation))
}

/// The least n with P(T ≤ n) ≥ level, for levels in (0, 1).
#[pyfunction]
fn quantiles<'py>(
    py: Python<'py>,
    classes: &Classes,
    levels: PyReadonlyArray1<'py, f64>,
) -> PyResult<Bound<'py, PyArray1<i64>>> {
    let levels: Vec<f64> = levels.as_array().iter().copied().collect();
    let law = Arc::clone(&classes.law);
    let found = owned(py, Some(1), move |stop| {
        let one = |&level: &f64| {
            if stop() { Err(Failure::Interrupted) } else { quantile(&law, level) }
        };
        levels.iter().map(one).collect::<Outcome<Vec<i64>>>()
    })?;
    Ok(found.into_pyarray(py))
}

fn quantile(law: &Law, level: f64) -> Outcome<i64> {
    Ok(coverage::collector_quantile(&law.prior, law.sampling, level)? as i64)
}

/// T by inversion of uniform numbers in [0, 1): one curve where their quantiles lie dense, else one by one.
#[pyfunction]
fn sample<'py>(
    py: Python<'py>,
    classes: &Classes,
    uniforms: PyReadonlyArray1<'py, f64>,
) -> PyResult<Bound<'py, PyArray1<i64>>> {
    // A uniform number of 53 bits may be 0, which has no quantile; half a unit of its last bit is as good.
    let levels = uniforms.as_array().into_iter().map(|&u| u.clamp(2f64.powi(-54), 1.0 - f64::EPSILON / 2.0));
    let levels: Vec<f64> = levels.collect();
    let law = Arc::clone(&classes.law);
    let found = owned(py, Some(1), move |stop| {
        let least = levels.iter().copied().fold(f64::INFINITY, f64::min);
        let most = levels.iter().copied().fold(0.0, f64::max);
        if levels.is_empty() {
            return Ok(Vec::new());
        }
        let (first, last) = (quantile(&law, least)? as u64, quantile(&law, most)? as u64);
        if law.prior.is_uniform()
            && (last - first) / 4 <= levels.len() as u64
            && last - first < coverage::MAX_POINTS
        {
            let curve = coverage::curve(&law.prior, law.sampling, first..=last)?;
            let values: Vec<f64> = curve.iter().map(|point| point.probability.value()).collect();
            let one = |level: &f64| (first + values.partition_point(|p| p < level) as u64).min(last) as i64;
            return Ok(levels.iter().map(one).collect());
        }
        let one = |&level: &f64| {
            if stop() { Err(Failure::Interrupted) } else { quantile(&law, level) }
        };
        levels.iter().map(one).collect::<Outcome<Vec<i64>>>()
    })?;
    Ok(found.into_pyarray(py))
}

/// υ as numerator and denominator.
#[pyfunction]
fn exact_coverage(
    py: Python<'_>,
    classes: &Classes,
    n: u64,
    at_any_cost: bool,
    threads: Option<usize>,
) -> PyResult<(BigUint, BigUint)> {
    let law = Arc::clone(&classes.law);
    let work = move |_: Stop<'_>| {
        let draws = NumDraws::new(n)?;
        let of = if at_any_cost { exact::probability_at_any_cost } else { exact::probability };
        let found = of(&law.prior, law.sampling, draws);
        let found = found.map_err(|e| match at_any_cost {
            true => e.into(),
            false => Failure::argument(format!("{e}; at_any_cost=True computes it all the same")),
        })?;
        Ok((found.numerator, found.denominator))
    };
    owned(py, threads, work)
}

/// Seconds that the crate itself takes for υ_n, the mean of so many calls: what a call from Python is measured against.
#[pyfunction]
fn time_of_coverage(py: Python<'_>, classes: &Classes, n: u64, repeats: u32) -> PyResult<f64> {
    let law = &classes.law;
    short(py, || {
        let (draws, start) = (NumDraws::new(n)?, std::time::Instant::now());
        for _ in 0..repeats {
            std::hint::black_box(coverage::probability(
                &law.prior,
                law.sampling,
                std::hint::black_box(draws),
            )?);
        }
        Ok(start.elapsed().as_secs_f64() / f64::from(repeats.max(1)))
    })
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(law_at, module)?)?;
    module.add_function(wrap_pyfunction!(law_at_all, module)?)?;
    module.add_function(wrap_pyfunction!(collector_time, module)?)?;
    module.add_function(wrap_pyfunction!(quantiles, module)?)?;
    module.add_function(wrap_pyfunction!(sample, module)?)?;
    module.add_function(wrap_pyfunction!(exact_coverage, module)?)?;
    module.add_function(wrap_pyfunction!(time_of_coverage, module)?)
}
