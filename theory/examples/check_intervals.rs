//! Do the 95 % intervals of `theory::simulate` hold the exact value 95 % of the time?
//!
//! `cargo run --release -p theory --example check_intervals` simulates every case 2,000 times with seeds 0, 1, … and
//! counts the intervals that hold the exact value (`theory::coverage`, `theory::collision`). With z = 4 standard errors
//! of that count:
//!
//! - Clopper–Pearson: its true rate is computed exactly, Σ_x Bin(S, p)(x) over the x whose interval holds p. It is
//!   never below nominal; the count must lie within z of it, on both sides, and not more than z below nominal.
//! - Student (E ln(1+Col), rare coverage): the count must lie within z of nominal on both sides. Where υ = 1 to all
//!   digits, the interval, cut at 1, misses only by lying below: of skewed samples between 0 and 5 %, so that only the
//!   lower side counts.
//! - What is certain is always held, and what `rare_coverage` refuses for too few samples is right if fewer than it
//!   asks for.
//!
//! A right program fails one of the 41 counts in some 400 runs over other seeds; these seeds are fixed. Exit code 1 on
//! failure.

use rayon::prelude::*;
use std::process::ExitCode;
use theory::simulate::{self, Plan, Proportion};
use theory::{ClassPrior, NumDraws, Result, Sampling, collision, coverage};

const LEVEL: f64 = 0.95;
const REPETITIONS: u64 = 2000;
const Z: f64 = 4.0;

/// The rate at which the Clopper–Pearson interval of `samples` samples holds p, summed over all outcomes.
fn clopper_pearson_rate(p: f64, samples: u64) -> Result<f64> {
    let (n, mut rate) = (samples as f64, 0.0);
    if p <= 0.0 || p >= 1.0 {
        return Ok(1.0);
    }
    let mut ln_pmf = n * (-p).ln_1p();
    for x in 0..=samples {
        let (low, high) = Proportion::new(x, samples)?.interval(LEVEL)?;
        if low <= p && p <= high {
            rate += ln_pmf.exp();
        }
        ln_pmf += ((n - x as f64) / (x as f64 + 1.0) * p / (1.0 - p)).ln();
    }
    Ok(rate)
}

/// Prints one line; whether the share that covered lies between two rates.
fn report(case: &str, quantity: &str, covered: u64, repetitions: u64, [low, high]: [f64; 2]) -> bool {
    let repetitions = repetitions as f64;
    let found = covered as f64 / repetitions;
    let nearest = found.clamp(low, high);
    let error = (nearest * (1.0 - nearest) / repetitions).sqrt();
    let nominal_error = (LEVEL * (1.0 - LEVEL) / repetitions).sqrt();
    let good = (found - nearest).abs() <= Z * error + 1e-9 && found >= LEVEL - Z * nominal_error;
    let verdict = if good { "ok" } else { "FAILED" };
    let expected = if low < high { format!("{low:.4}..{high:.4}") } else { format!("{low:.4}") };
    println!("{case:<60} {quantity:<16} {found:.4}  {expected:<14} ± {error:.4}  {verdict}");
    good
}

fn check(case: &str, prior: &ClassPrior, sampling: Sampling, draws: u64, samples: u64) -> Result<bool> {
    let num_draws = NumDraws::new(draws)?;
    let upsilon = coverage::probability(prior, sampling, num_draws)?;
    let tau = collision::probability(prior, sampling, num_draws.negatives())?.value();
    let cost = collision::expected_ln1p(prior, sampling, num_draws.negatives())?;
    let mut covered = [0; 4];
    let mut certain = false;
    for seed in 0..REPETITIONS {
        let plan = Plan::new(samples, seed)?;
        let rare = simulate::rare_coverage(prior, sampling, num_draws, plan)?;
        certain = rare.is_certain();
        let batches = simulate::batches(prior, sampling, num_draws, plan)?;
        let intervals = [
            (simulate::coverage(prior, sampling, num_draws, plan)?.interval(LEVEL)?, upsilon.value()),
            (batches.collision.interval(LEVEL)?, tau),
            (batches.ln1p_collisions.interval(LEVEL)?, cost),
            (rare.ln_interval(LEVEL)?, upsilon.ln()),
        ];
        for (covered, ((low, high), truth)) in covered.iter_mut().zip(intervals) {
            *covered += u64::from(low <= truth && truth <= high);
        }
    }
    let case = format!("{case}, n = {draws}, {samples} samples");
    let rates = [clopper_pearson_rate(upsilon.value(), samples)?, clopper_pearson_rate(tau, samples)?];
    let checks = [
        report(&case, "upsilon", covered[0], REPETITIONS, [rates[0]; 2]),
        report(&case, "tau", covered[1], REPETITIONS, [rates[1]; 2]),
        report(&case, "E ln(1+Col)", covered[2], REPETITIONS, [LEVEL; 2]),
        report(&case, "upsilon, rare", covered[3], REPETITIONS, [if certain { 1.0 } else { LEVEL }; 2]),
    ];
    Ok(checks.iter().all(|&good| good))
}

/// Coverage far below what plain batches can show, or draws far more than they could make.
fn check_rare(
    case: &str,
    prior: &ClassPrior,
    sampling: Sampling,
    draws: u64,
    samples: u64,
    repetitions: u64,
) -> Result<bool> {
    let num_draws = NumDraws::new(draws)?;
    let truth = coverage::probability(prior, sampling, num_draws)?.ln();
    let holds = |seed: u64| -> Result<bool> {
        let found = simulate::rare_coverage(prior, sampling, num_draws, Plan::new(samples, seed)?)?;
        let (low, high) = found.ln_interval(LEVEL)?;
        Ok(low <= truth && truth <= high)
    };
    let held: Vec<bool> = (0..repetitions).into_par_iter().map(holds).collect::<Result<_>>()?;
    let covered = held.iter().filter(|&&held| held).count() as u64;
    let case = format!("{case}, n = {draws}, {samples} samples");
    let expected = [LEVEL, if truth > -1e-12 { 1.0 } else { LEVEL }];
    Ok(report(&case, "upsilon, rare", covered, repetitions, expected))
}

/// With one sample less than `least` the request is refused, with `least` it is not.
fn check_refused(case: &str, prior: &ClassPrior, draws: u64, least: u64) -> Result<bool> {
    let refused = |samples: u64| -> Result<bool> {
        let (num_draws, plan) = (NumDraws::new(draws)?, Plan::new(samples, 7)?);
        let estimator = simulate::Estimator::RareCoverage;
        Ok(simulate::check_request(estimator, prior, Sampling::WithReplacement, &[num_draws], plan).is_err())
    };
    let good = [1, 10, 100, least - 1]
        .into_iter()
        .filter(|&s| s < least)
        .map(refused)
        .collect::<Result<Vec<_>>>()?;
    let good = good.iter().all(|&refused| refused) && !refused(least)?;
    let verdict = if good { "ok" } else { "FAILED" };
    println!(
        "{:<60} {:<42} {verdict}",
        format!("{case}, n = {draws}"),
        format!("refused below {least} samples")
    );
    Ok(good)
}

fn run() -> Result<bool> {
    let (with, without) = (Sampling::WithReplacement, Sampling::WithoutReplacement);
    let ten = ClassPrior::uniform(10)?;
    let hundred = ClassPrior::uniform(100)?;
    let thousand = ClassPrior::uniform(1000)?;
    let skew = ClassPrior::from_counts((1..=20).collect())?;
    let weights = ClassPrior::from_weights((0..30).map(|i| 0.9f64.powi(i)).collect())?;
    let mut one_rare = vec![1e-3; 999];
    one_rare.push(1e-10);
    let one_rare = ClassPrior::from_weights(one_rare)?;
    println!("{:<60} {:<16} found   expected", "case", "quantity");
    let checks = [
        check("10 classes", &ten, with, 27, 400)?,
        check("10 classes", &ten, with, 14, 400)?,
        check("100 classes", &hundred, with, 700, 400)?,
        check("counts 1..20", &skew, with, 150, 400)?,
        check("counts 1..20 without replacement", &skew, without, 120, 400)?,
        check("weights 0.9^i", &weights, with, 300, 1000)?,
        // Fewer draws than classes: υ = 0, and Col is 0 more often than not.
        check("100 classes", &hundred, with, 50, 400)?,
        check("100 classes", &hundred, with, 5, 400)?,
        check_rare("100 classes", &hundred, with, 128, 200, REPETITIONS)?,
        check_rare("1000 classes", &thousand, with, 1100, 100, REPETITIONS)?,
        check_rare("counts 1..20 without replacement", &skew, without, 25, 200, REPETITIONS)?,
        check_rare("weights 0.9^i", &weights, with, 33, 200, REPETITIONS)?,
        // So many draws that the computed part of the sum is small; 10⁸ draws take 0.2 s before the first sample.
        check_rare("1000 classes", &thousand, with, 100_000_000, 609, 500)?,
        check_rare("1000 classes", &thousand, with, 10_000_000_000, 2137, REPETITIONS)?,
        check_rare("1000 classes", &thousand, with, 10_000_000_000, 10_000, 500)?,
        check_rare("1000 classes, one of 1e-10", &one_rare, with, 10_000_000_000, 2137, REPETITIONS)?,
        check_rare("1000 classes, one of 1e-10", &one_rare, with, 10_000_000_000, 10_000, 500)?,
        check_refused("1000 classes", &thousand, 7709, 16)?,
        check_refused("1000 classes", &thousand, 100_000_000, 609)?,
        check_refused("1000 classes", &thousand, 10_000_000_000, 2137)?,
        check_refused("1000 classes", &thousand, 4_000_000_000_000_000, 2137)?,
    ];
    Ok(checks.iter().all(|&good| good))
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("some intervals do not cover as often as they should");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
