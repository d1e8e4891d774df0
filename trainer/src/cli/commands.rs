//! `reproduce`, `train`, `measure`.

use super::print;
use anyhow::Result;
use clap::Args;
use std::path::{Path, PathBuf};
use theory::report::Format;
use theory::{NumDraws, losses};
use trainer::cuda::DeviceChoice;
use trainer::run::{self, Config, Folder, Marker, Plan, Progress};
use trainer::{Error, data};

#[derive(Args)]
pub(super) struct ReproduceArgs {
    /// What to reproduce
    #[arg(value_parser = ["digits"])]
    name: String,
    /// Two K, one seed, few epochs: under 20 seconds
    #[arg(long)]
    quick: bool,
    /// Folder for runs, losses.csv and report.html
    #[arg(long, value_name = "DIR", default_value = "runs/digits")]
    out: PathBuf,
    /// Numbers of draws n = K+1, such as 16,32,64
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    draws: Option<Vec<usize>>,
    /// Seeds, such as 7,11,13
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    seeds: Option<Vec<u64>>,
    /// Train every K with this batch size, K negatives drawn per anchor, so that K alone moves
    #[arg(long, value_name = "B")]
    fixed_batch: Option<usize>,
    /// Override a setting of the preset, such as epochs=20
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Runs at a time, each on one thread [default: all cores]
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// Say nothing but the final tables
    #[arg(short, long)]
    quiet: bool,
}

/// The published grid, as far as 450 evaluated images carry it.
const DRAWS: [usize; 5] = [16, 32, 64, 128, 256];
/// The published seeds.
const SEEDS: [u64; 3] = [7, 11, 13];
const QUICK_EPOCHS: &str = "epochs=10";

pub(super) fn reproduce(args: &ReproduceArgs) -> Result<()> {
    let mut overrides = args.set.clone();
    if args.quick {
        overrides.insert(0, QUICK_EPOCHS.into());
    }
    let (draws, seeds) = if args.quick { (vec![32, 256], vec![7]) } else { (DRAWS.to_vec(), SEEDS.to_vec()) };
    let plan = Plan {
        base: Config::from_toml(run::preset(&args.name)?, &overrides)?,
        draws: args.draws.clone().unwrap_or(draws),
        seeds: args.seeds.clone().unwrap_or(seeds),
        fixed_batch: args.fixed_batch,
    };
    let jobs = args.threads.map_or_else(run::available_threads, |t| t as usize);
    let progress = Progress::new(args.quiet);
    let start = std::time::Instant::now();
    let done = run::reproduce(&plan, &args.out, jobs, &progress)?;
    for table in [&done.measured, &done.bounds, &done.accuracies] {
        print(&format!("{}\n", table.to_text(Format::Table)))?;
    }
    progress.line(&format!(
        "{:.0} s in all; report: {}",
        start.elapsed().as_secs_f64(),
        done.report.display()
    ));
    Ok(())
}

/// Threads within one run: small networks gain nothing from more than one.
pub(super) fn threads(asked: Option<u64>) -> usize {
    asked.unwrap_or(1) as usize
}

#[derive(Args)]
pub(super) struct TrainArgs {
    /// Settings that ship: digits
    #[arg(long, value_name = "NAME", required_unless_present = "config", conflicts_with = "config")]
    preset: Option<String>,
    /// Settings from a TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Override a setting, such as epochs=20; dotted keys reach into tables
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Folder for config.toml, metrics.jsonl and model.safetensors
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// cpu, cuda or cuda:INDEX; auto takes a GPU where there is one
    #[arg(long, value_name = "D", default_value = "cpu")]
    device: DeviceChoice,
    /// Threads; small networks gain nothing from more than one, and the result does not depend on it [default: 1]
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(super) threads: Option<u64>,
    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn train(args: &TrainArgs) -> Result<()> {
    let text = match (&args.preset, &args.config) {
        (Some(name), _) => run::preset(name)?.to_string(),
        (None, Some(file)) => std::fs::read_to_string(file).map_err(|e| Error::io(file, e))?,
        (None, None) => return Err(Error::argument("--preset NAME or --config FILE is needed").into()),
    };
    let config = Config::from_toml(&text, &args.set)?;
    let device = super::open(args.device)?;
    let task = Progress::new(args.quiet).task(&args.out.display().to_string(), config.epochs);
    let trained =
        run::with_threads(threads(args.threads), || run::train(&config, &args.out, &device, &task))?;
    let kept = if trained.kept { ", kept from before" } else { "" };
    task.finish(&format!("loss {:.3}{kept}", trained.final_loss));
    Ok(())
}

#[derive(Args)]
pub(super) struct MeasureArgs {
    /// Folder of a trained run
    #[arg(long, value_name = "DIR", required_unless_present = "features", conflicts_with = "features")]
    run: Option<PathBuf>,
    /// Features of another program: .npz or .safetensors with view1, view2, labels
    #[arg(long, value_name = "FILE", requires = "draws", requires = "temperature")]
    features: Option<PathBuf>,
    /// Numbers of draws n = K+1, such as 16,64 [default: that of the run's training]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    draws: Option<Vec<u64>>,
    /// Temperature t [default: that of the run's training]
    #[arg(long, value_name = "T")]
    temperature: Option<f64>,
    /// Passes over the evaluated samples [default: as many as make 100 batches]
    #[arg(long, value_name = "P")]
    passes: Option<usize>,
    /// Seed of the batches and views [default: that of the run, or 7]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Folder for losses.csv [default: the run's folder]
    #[arg(long, value_name = "DIR", required_unless_present = "run")]
    out: Option<PathBuf>,
    /// Threads; small networks gain nothing from more than one, and the result does not depend on it [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(super) threads: Option<u64>,
    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn measure(args: &MeasureArgs) -> Result<()> {
    let draws: Option<Vec<NumDraws>> =
        args.draws.as_ref().map(|list| list.iter().map(|&n| NumDraws::new(n)).collect()).transpose()?;
    if let Some(n) =
        draws.iter().flatten().enumerate().find_map(|(i, n)| draws.as_ref()?[..i].contains(n).then_some(n))
    {
        return Err(Error::argument(format!("--draws names {n} twice")).into());
    }
    if let Some(t) = args.temperature.filter(|t| !(t.is_finite() && *t > 0.0)) {
        return Err(Error::argument(format!("--temperature {t} is not a positive number")).into());
    }
    let rows = run::with_threads(threads(args.threads), || match (&args.run, &args.features) {
        (Some(path), _) => run::measure_run(path, draws.as_deref(), args.temperature, args.passes, args.seed),
        (None, Some(file)) => {
            let features = data::features::read(file)?;
            let name = file.file_stem().map_or(String::new(), |s| s.to_string_lossy().into_owned());
            let (draws, temperature) = (draws.unwrap_or_default(), args.temperature.unwrap_or(1.0));
            run::measure_features(&features, &name, &draws, temperature, args.passes, args.seed.unwrap_or(7))
        }
        (None, None) => Err(Error::argument("--run DIR or --features FILE is needed")),
    })?;
    let file = match (&args.out, &args.run) {
        (Some(out), run) if run.as_ref() != Some(out) => {
            let settings = format!(
                "{:?}",
                (&args.run, &args.features, &args.draws, args.temperature, args.passes, args.seed)
            );
            Folder::create(out, &Marker::new("measure", settings))?.file("losses.csv")
        }
        (_, Some(run)) => run.join("losses.csv"),
        (_, None) => return Err(Error::argument("--out DIR is needed").into()),
    };
    losses::write(&file, &rows)?;
    if !args.quiet {
        print(&format!("{}\n", theory::report::measured_table(&rows).to_text(Format::Table)))?;
        print(&theory::report::bounds_by_draws(&rows).to_text(Format::Table))?;
        wrote(&file)?;
    }
    Ok(())
}

fn wrote(file: &Path) -> Result<()> {
    print(&format!("wrote {}\n", file.display()))
}
