//! `difficulty`: which negatives are hard, for a run or anybody's features.

use super::print;
use super::session::threads;
use anyhow::Result;
use clap::Args;
use measure::difficulty::{Bin, Difficulty, Hierarchy, Request, difficulty};
use measure::features::{MOST_PAIRED, Store};
use measure::{Features, Views};
use serde::Serialize;
use std::path::PathBuf;
use theory::report::{Format, Table};
use trainer::device::DeviceChoice;
use trainer::run::{self, Folder, Manifest, Session};
use trainer::{Error, data};

#[derive(Args)]
pub(super) struct DifficultyArgs {
    /// Folder of a trained run
    #[arg(long, value_name = "DIR", required_unless_present = "features", conflicts_with = "features")]
    run: Option<PathBuf>,
    /// Features of another program: .npz or .safetensors with view1, view2, labels
    #[arg(long, value_name = "FILE")]
    features: Option<PathBuf>,
    /// Number of queries (anchors whose negatives are ranked), drawn from the bank [default: all of it]
    #[arg(long, value_name = "N")]
    queries: Option<usize>,
    /// Number of samples whose second views are the negatives [default: all evaluated samples, at most 30,000]
    #[arg(long, value_name = "N")]
    bank: Option<usize>,
    /// Take all evaluated samples as the bank, however many
    #[arg(long, conflicts_with = "bank")]
    all_pairs: bool,
    /// Intervals of difficulty in percent, the hardest first, such as 0-0.1,0-5,5-100
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    bins: Option<Vec<Bin>>,
    /// Tree of the classes: a CSV file node,parent,class, or cifar10, cifar100, fashion-mnist [default: that of a run's
    /// data set]
    #[arg(long, value_name = "FILE")]
    hierarchy: Option<PathBuf>,
    /// Seed of the views, of the choice of queries and bank, and of permuted classes [default: that of the run, or 7]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
    /// Folder for the tables and figures
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How tables are printed: table, csv, json, markdown, latex
    #[arg(long, value_name = "F", default_value = "table")]
    format: Format,
    /// Threads; the result does not depend on it [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(super) threads: Option<u64>,
    /// Print nothing
    #[arg(short, long)]
    quiet: bool,
    /// Folder of the data sets' files [default: that of the run's training]
    #[arg(long, value_name = "DIR", conflicts_with = "features")]
    data: Option<PathBuf>,
    /// cpu, cuda or cuda:INDEX; auto takes a GPU where there is one
    #[arg(long, value_name = "D", default_value = "cpu")]
    device: DeviceChoice,
}

/// Two views with their classes, and where these stand.
struct Found {
    views: Views<Store>,
    labels: Vec<usize>,
    num_classes: usize,
    seed: u64,
    hierarchy: Option<Hierarchy>,
}

/// What `run.json` says of them.
#[derive(Serialize)]
struct Settings<'a> {
    run: &'a Option<PathBuf>,
    features: &'a Option<PathBuf>,
    queries: Option<usize>,
    bank: Option<usize>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    all_pairs: bool,
    bins: Option<Vec<String>>,
    hierarchy: &'a Option<PathBuf>,
    seed: Option<u64>,
}

pub(super) fn rank(args: &DifficultyArgs) -> Result<()> {
    let hierarchy = args.hierarchy.as_deref().map(data::registry::hierarchy).transpose()?;
    let manifest = Manifest::new(
        "difficulty",
        &Settings {
            run: &args.run,
            features: &args.features,
            queries: args.queries,
            bank: args.bank,
            all_pairs: args.all_pairs,
            bins: args.bins.as_ref().map(|bins| bins.iter().map(ToString::to_string).collect()),
            hierarchy: &args.hierarchy,
            seed: args.seed,
        },
    )?;
    Folder::check(&args.out, &manifest)?;
    let device = super::open(args.device)?;
    let session = Session { device: &device, ..Session::CPU };
    let ranked = run::with_threads(threads(args.threads), || {
        let found = found(args, hierarchy, &session)?;
        let many = found.labels.len() > MOST_PAIRED && !args.all_pairs;
        let request = Request {
            queries: args.queries,
            bank: args.bank.or(many.then(|| MOST_PAIRED.max(args.queries.unwrap_or(0)))),
            bins: args.bins.clone(),
            hierarchy: found.hierarchy,
            seed: found.seed,
        };
        Ok(difficulty(&found.views, (&found.labels, found.num_classes), &request, session.stop)?)
    })?;
    let folder = Folder::create(&args.out, &manifest)?;
    ranked.write(folder.path())?;
    if !args.quiet {
        print(&text(&ranked, args.format))?;
        if args.format == Format::Table {
            print(&format!("\nwrote {}\n", folder.file("difficulty.csv").display()))?;
        }
    }
    Ok(())
}

fn found(
    args: &DifficultyArgs,
    hierarchy: Option<Hierarchy>,
    session: &Session<'_>,
) -> trainer::Result<Found> {
    match (&args.run, &args.features) {
        (Some(path), _) => {
            let (config, manifest) = run::run_config(path)?;
            let folder = args.data.clone().or(manifest.data);
            let split = data::load(&config.data(folder.as_deref()))?;
            let known = || data::registry::find(&config.dataset)?.hierarchy();
            let views = run::two_views(path, &split, args.seed, session)?;
            Ok(Found {
                views: Views { first: views.first.into(), second: views.second.into() },
                labels: split.evaluated.labels().to_vec(),
                num_classes: split.evaluated.num_classes(),
                seed: args.seed.unwrap_or(config.seed),
                hierarchy: hierarchy.map_or_else(known, |given| Ok(Some(given)))?,
            })
        }
        (None, Some(file)) => {
            let features = Features::open(file)?;
            Ok(Found {
                views: Views { first: features.view1, second: features.view2 },
                labels: features.labels,
                num_classes: features.num_classes,
                seed: args.seed.unwrap_or(7),
                hierarchy,
            })
        }
        (None, None) => Err(Error::argument("--run DIR or --features FILE is needed")),
    }
}

/// All tables; in JSON one object of them.
fn text(ranked: &Difficulty, format: Format) -> String {
    let mut tables: Vec<(&str, Table)> = vec![("difficulty", ranked.table()), ("summary", ranked.summary())];
    tables.push(("extremes", ranked.extremes()));
    tables.extend(ranked.semantics_table().map(|table| ("semantics", table)));
    if format == Format::Json {
        let object: serde_json::Map<_, _> =
            tables.iter().map(|(name, table)| (name.to_string(), table.to_json())).collect();
        return format!("{:#}\n", serde_json::Value::Object(object));
    }
    tables.iter().map(|(_, table)| table.to_output(format)).collect::<Vec<_>>().join("\n")
}
