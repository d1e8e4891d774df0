//! `simulate`: υ, and on request τ and E ln(1+Col), by Monte Carlo.

use super::shard::{self, ShardArgs, refused};
use super::{OutputArgs, PriorArgs, Range, parse_range};
use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use theory::interrupt::Interrupt;
use theory::report::{self, Table};
use theory::shard::{Header, Shard};
use theory::simulate::{self, Estimator, Part, Plan, Simulation, Totals};
use theory::{ClassPrior, NumDraws, Sampling};

/// What the file of a shard says of its command.
pub(super) const KIND: &str = "simulate";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    /// Draw the labels of whole batches and count
    Plain,
    /// Importance sampling by tilted class counts, for coverage as small as 1e-400; refused where coverage is near 1
    Rare,
}

#[derive(Args)]
pub(super) struct SimulateArgs {
    #[command(flatten)]
    prior: PriorArgs,
    /// Numbers of draws n = K+1: 8, a list 8,16, a range 8..512 or 8..512:8, or a mixture
    #[arg(long, value_name = "LIST", value_parser = parse_range)]
    draws: Range,
    /// Number of simulated batches
    #[arg(long, value_name = "S")]
    samples: u64,
    /// Seed: the same seed gives the same result on any number of threads
    #[arg(long, value_name = "SEED", default_value_t = 7)]
    seed: u64,
    /// How to simulate
    #[arg(long, value_enum, default_value_t = Method::Plain)]
    method: Method,
    /// Also τ and E ln(1+Col), of the same batches
    #[arg(long)]
    collisions: bool,
    /// Confidence level of the interval
    #[arg(long, value_name = "LEVEL", default_value_t = 0.95)]
    level: f64,
    #[command(flatten)]
    shard: ShardArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// What is asked for, in numbers that a file can hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Request {
    estimator: String,
    classes: u64,
    draws: Vec<u64>,
    /// Whether the JSON of one row is a bare object.
    single: bool,
    samples: u64,
    seed: u64,
    level: f64,
}

const ESTIMATORS: [(&str, Estimator); 3] = [
    ("coverage", Estimator::Coverage),
    ("batches", Estimator::Batches),
    ("rare_coverage", Estimator::RareCoverage),
];

impl Request {
    fn new(args: &SimulateArgs, prior: &ClassPrior) -> theory::Result<Self> {
        simulate::check_level(args.level)?;
        let estimator = match (args.method, args.collisions) {
            (Method::Plain, false) => "coverage",
            (Method::Plain, true) => "batches",
            (Method::Rare, false) => "rare_coverage",
            (Method::Rare, true) => {
                return Err(theory::Error::argument(
                    "--method rare draws no anchors: --collisions goes with --method plain only",
                ));
            }
        };
        Ok(Self {
            estimator: estimator.into(),
            classes: prior.num_classes(),
            draws: args.draws.values.clone(),
            single: args.draws.single && !args.collisions,
            samples: args.samples,
            seed: args.seed,
            level: args.level,
        })
    }

    fn estimator(&self) -> theory::Result<Estimator> {
        let known = ESTIMATORS.into_iter().find(|(name, _)| *name == self.estimator);
        known
            .map(|(_, estimator)| estimator)
            .ok_or_else(|| theory::Error::argument(format!("the estimator '{}' is unknown", self.estimator)))
    }

    fn plan(&self) -> theory::Result<Plan> {
        Plan::new(self.samples, self.seed)
    }

    fn num_draws(&self) -> theory::Result<Vec<NumDraws>> {
        self.draws.iter().map(|&n| NumDraws::new(n)).collect()
    }

    fn totals(&self) -> theory::Result<Totals> {
        Ok(Totals::new(self.estimator()?, &self.num_draws()?, self.plan()?))
    }

    /// What the file of a shard says of it.
    fn header(
        &self,
        simulation: &Simulation<'_>,
        shard: Shard,
        args: &Classes<'_>,
    ) -> theory::Result<Header> {
        let fields = match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            _ => return Err(theory::Error::argument("a request that no file can hold")),
        };
        let mut request = shard::request(args.prior, args.sampling, []);
        request.extend(fields);
        Ok(Header { kind: KIND.into(), request, shard, total: simulation.parts() })
    }

    fn table(&self, totals: &Totals) -> theory::Result<Table> {
        let said = report::Simulated {
            classes: self.classes,
            samples: self.samples,
            seed: self.seed,
            level: self.level,
        };
        Ok(report::simulation_table(said, totals)?.single(self.single))
    }
}

/// Of which labels.
struct Classes<'a> {
    prior: &'a ClassPrior,
    sampling: Sampling,
}

pub(super) fn simulate(args: &SimulateArgs, interrupt: &Interrupt) -> Result<()> {
    let (prior, sampling) = args.prior.load()?;
    let request = Request::new(args, &prior)?;
    let (plan, num_draws) = (request.plan()?, request.num_draws()?);
    let simulation = Simulation::new(request.estimator()?, &prior, sampling, &num_draws, plan)?;
    let shard = args.shard.shard.unwrap_or(Shard::WHOLE);
    simulation.check(shard)?;
    if args.method == Method::Rare {
        simulate::check_rare(&prior, sampling, &num_draws, request.samples)
            .map_err(|e| theory::Error::argument(format!("--method rare: {e}: take --method plain there")))?;
    }
    if args.shard.shard.is_some() {
        let header = request.header(&simulation, shard, &Classes { prior: &prior, sampling })?;
        return shard::compute(header, &args.output, interrupt, |is_done, found| {
            simulation.run(shard, is_done, found);
            Ok(())
        });
    }
    let (mut totals, mut added) = (request.totals()?, Ok(()));
    simulation.run(
        shard,
        |_| false,
        |_, part| {
            if added.is_ok() {
                added = totals.add(&part);
            }
        },
    );
    added?;
    args.output.print(&request.table(&totals)?)
}

/// The table of a request all of whose parts are there.
pub(super) fn merged<'a>(header: Header, parts: impl Iterator<Item = &'a Part>) -> theory::Result<Table> {
    let request: Request = serde_json::from_value(Value::Object(header.request)).map_err(refused)?;
    let mut totals = request.totals().map_err(refused)?;
    for part in parts {
        totals.add(part).map_err(refused)?;
    }
    request.table(&totals).map_err(refused)
}
