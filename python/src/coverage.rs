//! The collector's time T: its law at one or many n, moments, quantiles, samples, exact fractions.

use crate::classes::{Classes, Law};
use crate::errors::Failure;
use crate::run::{Outcome, owned, polled, short};
use measure::Stop;
use num_bigint::BigUint;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use std::str::FromStr;
use std::sync::Arc;
use theory::coverage::{self, Upsilons, exact};
use theory::{ClassPrior, NumDraws, Probability, Sampling};

/// Values of which at most one asks whether to stop: a question costs more than a value of a curve.
const ASK_EVERY: usize = 16;

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
    let after = if asked.is_of_one() { Probability::ZERO } else { Probability::ONE };
    law.num_items().is_some_and(|items| n as u64 > items).then_some(after)
}

/// Whether P(T ≤ n), or P(T = n), takes a few milliseconds at most: the latter is a sum over the distinct classes.
fn is_quick(law: &Law, asked: Asked) -> bool {
    law.is_small() && (!asked.is_of_one() || law.prior.groups().len() <= 30)
}

/// Whether all of these n are found, or the work asks whether to stop, every few hundredths of a second: of equal classes
/// one pass goes over all n up to the largest, without asking.
fn are_quick(law: &Law, asked: Asked, draws: &[i64]) -> bool {
    let last = draws.iter().copied().max().unwrap_or(0);
    is_quick(law, asked) && (!law.prior.is_uniform() || last <= 100_000)
}

/// Runs work with the law on this thread where it is quick, else on one that can be left behind.
fn on_law<T: Send + 'static>(
    py: Python<'_>,
    classes: &Classes,
    quick: bool,
    work: impl FnOnce(&Law, &dyn Fn() -> bool) -> Outcome<T> + Send + 'static,
) -> PyResult<T> {
    let law = Arc::clone(&classes.law);
    if quick {
        polled(py, move |stop| work(&law, stop))
    } else {
        owned(py, Some(1), move |stop| work(&law, stop))
    }
}

/// Values and error bounds at every n of `draws`, found in ascending order and each distinct n once.
fn at_all(law: &Law, asked: Asked, draws: &[i64], stop: &dyn Fn() -> bool) -> Outcome<(Vec<f64>, Vec<f64>)> {
    if draws.is_sorted() {
        return at_sorted(law, asked, draws, stop);
    }
    let mut order: Vec<usize> = (0..draws.len()).collect();
    order.sort_unstable_by_key(|&place| draws[place]);
    let sorted: Vec<i64> = order.iter().map(|&place| draws[place]).collect();
    let found = at_sorted(law, asked, &sorted, stop)?;
    let (mut values, mut bounds) = (vec![0.0; draws.len()], vec![0.0; draws.len()]);
    for (index, place) in order.into_iter().enumerate() {
        (values[place], bounds[place]) = (found.0[index], found.1[index]);
    }
    Ok((values, bounds))
}

fn at_sorted(
    law: &Law,
    asked: Asked,
    draws: &[i64],
    stop: &dyn Fn() -> bool,
) -> Outcome<(Vec<f64>, Vec<f64>)> {
    let possible = |&n: &i64| certain(law, asked, n).is_none().then_some(n as u64);
    let inner: Vec<u64> = draws.iter().filter_map(possible).collect();
    let mut upsilons = match asked.is_of_one() || inner.is_empty() {
        true => None,
        false => Some(Upsilons::new(&law.prior, law.sampling, &inner)?),
    };
    let (mut values, mut bounds) = (Vec::with_capacity(draws.len()), Vec::with_capacity(draws.len()));
    let (mut before, mut found) = (None, (0.0, 0.0));
    for (place, &n) in draws.iter().enumerate() {
        if place % ASK_EVERY == 0 && stop() {
            return Err(Failure::Interrupted);
        }
        if before != Some(n) {
            found = match &mut upsilons {
                Some(upsilons) if certain(law, asked, n).is_none() => {
                    asked.of(upsilons.at(NumDraws::new(n as u64)?)?.0)
                }
                _ => asked.of(at(law, asked, n)?),
            };
            before = Some(n);
        }
        values.push(found.0);
        bounds.push(found.1);
    }
    Ok((values, bounds))
}

type Arrays<'py> = (Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>);

/// A function of the law at one n, and its error bound.
#[pyfunction]
fn law_at(py: Python<'_>, classes: &Classes, name: &str, n: i64) -> PyResult<(f64, f64)> {
    let asked: Asked = name.parse()?;
    if is_quick(&classes.law, asked) {
        return short(py, || Ok(asked.of(at(&classes.law, asked, n)?)));
    }
    on_law(py, classes, false, move |law, _| Ok(asked.of(at(law, asked, n)?)))
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
    let quick = are_quick(&classes.law, asked, &draws);
    let (values, bounds) = on_law(py, classes, quick, move |law, stop| at_all(law, asked, &draws, stop))?;
    Ok((values.into_pyarray(py), bounds.into_pyarray(py)))
}

/// E\[T\] and the standard deviation.
#[pyfunction]
fn collector_time(py: Python<'_>, classes: &Classes) -> PyResult<(f64, f64)> {
    let time = on_law(py, classes, classes.law.is_small(), |law, _| {
        Ok(coverage::collector_time(&law.prior, law.sampling)?)
    })?;
    Ok((time.expected_draws, time.standard_deviation))
}

/// The least n with P(T ≤ n) ≥ level, or P(T > n) ≤ level if they are `upper`, for levels in (0, 1).
#[pyfunction]
fn quantiles<'py>(
    py: Python<'py>,
    classes: &Classes,
    levels: PyReadonlyArray1<'py, f64>,
    upper: bool,
) -> PyResult<Bound<'py, PyArray1<i64>>> {
    let levels: Vec<f64> = levels.as_array().iter().copied().collect();
    let found = on_law(py, classes, classes.law.is_small(), move |law, stop| {
        let of = if upper { coverage::collector_upper_quantile } else { coverage::collector_quantile };
        each(law, &levels, of, stop)
    })?;
    Ok(found.into_pyarray(py))
}

type Quantile = fn(&ClassPrior, Sampling, f64) -> theory::Result<u64>;

/// The quantile of every level, until it is to stop.
fn each(law: &Law, levels: &[f64], of: Quantile, stop: &dyn Fn() -> bool) -> Outcome<Vec<i64>> {
    let one = |&level: &f64| match stop() {
        true => Err(Failure::Interrupted),
        false => Ok(of(&law.prior, law.sampling, level)? as i64),
    };
    levels.iter().map(one).collect()
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
    let found = on_law(py, classes, classes.law.is_small(), move |law, stop| {
        let least = levels.iter().copied().fold(f64::INFINITY, f64::min);
        let most = levels.iter().copied().fold(0.0, f64::max);
        if levels.is_empty() {
            return Ok(Vec::new());
        }
        let quantile = |level| coverage::collector_quantile(&law.prior, law.sampling, level);
        let (first, last) = (quantile(least)?, quantile(most)?);
        if law.prior.is_uniform()
            && (last - first) / 4 <= levels.len() as u64
            && last - first < coverage::MAX_POINTS
        {
            let curve = coverage::curve(&law.prior, law.sampling, first..=last)?;
            let values: Vec<f64> = curve.iter().map(|point| point.probability.value()).collect();
            let one = |level: &f64| (first + values.partition_point(|p| p < level) as u64).min(last) as i64;
            return Ok(levels.iter().map(one).collect());
        }
        each(law, &levels, coverage::collector_quantile, stop)
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
