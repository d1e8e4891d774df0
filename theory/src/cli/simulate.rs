//! `simulate`: υ, and on request τ and E ln(1+Col), by Monte Carlo.

use super::{OutputArgs, PriorArgs, Range, parse_range};
use anyhow::Result;
use clap::{Args, ValueEnum};
use theory::probability::decimal_from_ln;
use theory::report::{Cell, Table};
use theory::simulate::{self, Estimator, Mean, Plan, Proportion};
use theory::{ClassPrior, NumDraws, Sampling};

/// Digits of a value known through its logarithm.
const LOG_DIGITS: usize = 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    /// Draw the labels of whole batches and count
    Plain,
    /// Draw tilted class counts: for coverage as rare as 1e-400
    Rare,
}

#[derive(Args)]
pub(super) struct SimulateArgs {
    #[command(flatten)]
    prior: PriorArgs,
    /// Number of draws n = K+1, or a range A..B[:STEP]
    #[arg(long, value_name = "N|RANGE", value_parser = parse_range)]
    draws: Range,
    /// Number of independent samples (batches)
    #[arg(long, value_name = "S")]
    samples: u64,
    /// Seed: the same seed gives the same result on any number of threads
    #[arg(long, value_name = "SEED", default_value_t = 7)]
    seed: u64,
    /// How to sample
    #[arg(long, value_enum, default_value_t = Method::Plain)]
    method: Method,
    /// Also τ and E ln(1+Col), of the same batches
    #[arg(long)]
    collisions: bool,
    /// Confidence level of the interval
    #[arg(long, value_name = "LEVEL", default_value_t = 0.95)]
    level: f64,
    #[command(flatten)]
    output: OutputArgs,
}

/// One quantity: estimate, both ends of the interval, relative standard error, method.
struct Found {
    quantity: &'static str,
    estimate: String,
    interval: [String; 2],
    relative_standard_error: f64,
    method: &'static str,
}

impl Found {
    fn proportion(quantity: &'static str, found: Proportion, level: f64) -> theory::Result<Self> {
        let (low, high) = found.interval(level)?;
        let estimate = found.estimate();
        // What never or always occurred says nothing about its error.
        let sure = estimate == 0.0 || estimate == 1.0;
        let error = if sure { f64::NAN } else { found.standard_error() };
        let method = "plain, Clopper-Pearson";
        Ok(Self::plain(quantity, estimate, (low, high), error, method))
    }

    fn mean(quantity: &'static str, found: Mean, level: f64) -> theory::Result<Self> {
        let (estimate, error) = (found.estimate(), found.standard_error());
        Ok(Self::plain(quantity, estimate, found.interval(level)?, error, "plain, Student"))
    }

    fn plain(
        quantity: &'static str,
        estimate: f64,
        (low, high): (f64, f64),
        error: f64,
        method: &'static str,
    ) -> Self {
        let interval = [low, high].map(|end| format!("{end:?}"));
        let relative_standard_error = error / estimate;
        Self { quantity, estimate: format!("{estimate:?}"), interval, relative_standard_error, method }
    }
}

/// What the arguments mean, once nothing is left to refuse.
struct Request {
    estimator: Estimator,
    num_draws: Vec<NumDraws>,
    plan: Plan,
}

impl Request {
    fn new(args: &SimulateArgs, prior: &ClassPrior, sampling: Sampling) -> theory::Result<Self> {
        simulate::check_level(args.level)?;
        let estimator = match (args.method, args.collisions) {
            (Method::Plain, false) => Estimator::Coverage,
            (Method::Plain, true) => Estimator::Batches,
            (Method::Rare, false) => Estimator::RareCoverage,
            (Method::Rare, true) => {
                return Err(theory::Error::argument(
                    "--method rare draws no anchors: --collisions goes with --method plain only",
                ));
            }
        };
        let plan = Plan::new(args.samples, args.seed)?;
        let num_draws: Vec<_> =
            args.draws.values.iter().map(|&n| NumDraws::new(n)).collect::<theory::Result<_>>()?;
        simulate::check_request(estimator, prior, sampling, &num_draws, plan)?;
        Ok(Self { estimator, num_draws, plan })
    }
}

fn estimates(
    request: &Request,
    prior: &ClassPrior,
    sampling: Sampling,
    num_draws: NumDraws,
    level: f64,
) -> theory::Result<Vec<Found>> {
    let plan = request.plan;
    match request.estimator {
        Estimator::Batches => {
            let found = simulate::batches(prior, sampling, num_draws, plan)?;
            Ok(vec![
                Found::proportion("upsilon", found.coverage, level)?,
                Found::proportion("tau", found.collision, level)?,
                Found::mean("expected_log1p_collisions", found.ln1p_collisions, level)?,
            ])
        }
        Estimator::Coverage => {
            let found = simulate::coverage(prior, sampling, num_draws, plan)?;
            Ok(vec![Found::proportion("upsilon", found, level)?])
        }
        Estimator::RareCoverage => {
            let found = simulate::rare_coverage(prior, sampling, num_draws, plan)?;
            let (low, high) = found.ln_interval(level)?;
            Ok(vec![Found {
                quantity: "upsilon",
                estimate: decimal_from_ln(found.ln(), LOG_DIGITS),
                interval: [low, high].map(|ln| decimal_from_ln(ln, LOG_DIGITS)),
                relative_standard_error: found.relative_standard_error(),
                method: if found.is_certain() { "certain, not simulated" } else { "tilted counts, Student" },
            }])
        }
    }
}

pub(super) fn simulate(args: &SimulateArgs) -> Result<()> {
    let (prior, sampling) = args.prior.load()?;
    let request = Request::new(args, &prior, sampling)?;
    let headers = [
        "quantity",
        "draws",
        "classes",
        "samples",
        "seed",
        "estimate",
        "interval",
        "level",
        "relative_standard_error",
        "method",
    ];
    let mut table = Table::new(headers).single(args.draws.single && !args.collisions);
    for &num_draws in &request.num_draws {
        for found in estimates(&request, &prior, sampling, num_draws, args.level)? {
            let error = found.relative_standard_error;
            table.push(vec![
                Cell::text(found.quantity),
                Cell::Integer(num_draws.get() as i64),
                Cell::Integer(prior.num_classes() as i64),
                Cell::Integer(args.samples as i64),
                Cell::Decimal(args.seed.to_string()),
                Cell::Decimal(found.estimate),
                Cell::List(found.interval.to_vec()),
                Cell::Decimal(format!("{:?}", args.level)),
                if error.is_finite() { Cell::Decimal(format!("{error:.2e}")) } else { Cell::Missing },
                Cell::text(found.method),
            ]);
        }
    }
    args.output.print(&table)
}
