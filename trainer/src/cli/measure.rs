//! `measure`: the loss components of a run, or of anybody's features.

use super::print;
use super::session::threads;
use anyhow::Result;
use clap::Args;
use measure::variance_ratios;
use serde::Serialize;
use std::path::{Path, PathBuf};
use theory::NumDraws;
use theory::losses::LossComponents;
use theory::report::{Cell, Format, Table};
use trainer::device::DeviceChoice;
use trainer::run::{self, EvaluatedRun, EvaluationSettings, Folder, Interrupt, Manifest, Preset, Session};
use trainer::{Error, data};

#[derive(Args)]
pub(super) struct MeasureArgs {
    /// Folder of a trained run
    #[arg(long, value_name = "DIR", required_unless_present_any = ["features", "torch"], conflicts_with = "features")]
    run: Option<PathBuf>,
    /// Features of another program: .npz or .safetensors with view1, view2, labels
    #[arg(long, value_name = "FILE", requires = "draws", requires = "temperature")]
    features: Option<PathBuf>,
    /// Weights of a ResNet-18 from PyTorch: .pt, .pth or .safetensors, for the network of --preset
    #[arg(long, value_name = "FILE", requires = "preset", conflicts_with_all = ["run", "features"])]
    torch: Option<PathBuf>,
    /// Settings that ship, for --torch: data, network, temperature, views
    #[arg(long, value_name = "NAME", requires = "torch")]
    preset: Option<String>,
    /// Override a setting of the preset, such as stem_padding=3
    #[arg(long, value_name = "KEY=VALUE", requires = "preset")]
    set: Vec<String>,
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
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
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
    /// Folder of the data sets' files [default: that of the run's training]
    #[arg(long, value_name = "DIR", conflicts_with = "features")]
    data: Option<PathBuf>,
    /// cpu, cuda or cuda:INDEX; auto takes a GPU where there is one
    #[arg(long, value_name = "D", default_value = "cpu")]
    device: DeviceChoice,
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
    let target = Target::of(args)?;
    let device = super::open(args.device)?;
    let interrupt = Interrupt::install()?;
    let stop = || interrupt.requested();
    let session = Session { device: &device, stop: &stop, ..Session::CPU };
    let measured = run::with_threads(threads(args.threads), || match (&args.run, &args.features) {
        (None, None) if args.torch.is_some() => of_torch(args, draws.as_deref(), &session),
        (Some(path), _) => {
            let (config, manifest) = run::run_config(path)?;
            let folder = args.data.clone().or(manifest.data);
            let split = data::load(&config.data(folder.as_deref()))?;
            let (temperature, passes, seed) = (args.temperature, args.passes, args.seed);
            let measuring = EvaluationSettings { draws: draws.as_deref(), temperature, passes, seed };
            run::measure_run(path, &split, &measuring, &session)
        }
        (None, Some(file)) => {
            let features = data::features::read(file)?;
            let name = file.file_stem().map_or(String::new(), |s| s.to_string_lossy().into_owned());
            let (draws, temperature) = (draws.unwrap_or_default(), args.temperature.unwrap_or(1.0));
            let seed = args.seed.unwrap_or(7);
            let rows = run::measure_features(&features, &name, &draws, temperature, args.passes, seed)?;
            Ok(EvaluatedRun { rows, spreads: run::feature_spreads(&features)? })
        }
        (None, None) => Err(Error::argument("--run DIR, --features FILE or --torch FILE is needed")),
    })?;
    let folder = match target {
        Target::Own(manifest, path) => Folder::create(&path, &manifest)?.path().to_path_buf(),
        Target::Run(path) => path,
    };
    measured.write(&folder)?;
    let rows = &measured.rows;
    if !args.quiet {
        let groups = &theory::losses::group(rows)?;
        print(&format!("{}\n", theory::report::measured_table(groups).to_text(Format::Table)))?;
        print(&theory::report::bounds_by_draws(groups, theory::bounds::all()).to_text(Format::Table))?;
        match rows.iter().all(|row| variance_ratios(row).is_empty()) {
            true => print("\nno ratios of squared errors: they take two passes or more\n\n")?,
            false => print(&format!("\n{}\n", ratios(rows).to_text(Format::Table)))?,
        }
        wrote(&folder.join("losses.csv"))?;
    }
    Ok(())
}

/// Measures weights that PyTorch saved, as the preset would be.
fn of_torch(
    args: &MeasureArgs,
    draws: Option<&[NumDraws]>,
    session: &Session<'_>,
) -> trainer::Result<EvaluatedRun> {
    let (Some(file), Some(preset)) = (&args.torch, &args.preset) else {
        return Err(Error::argument("--torch FILE needs --preset NAME"));
    };
    let config = Preset::named(preset, &args.set)?.config;
    let split = data::load(&config.data(args.data.as_deref()))?;
    let network = config.network(&split.train, session.device)?;
    let ignored = trainer::model::torch::load(&network, file)?;
    if !args.quiet && !ignored.is_empty() {
        eprintln!(
            "warning: {}: {} entries are not used: {}",
            file.display(),
            ignored.len(),
            ignored.join(", ")
        );
    }
    let name = file.file_stem().map_or(String::new(), |s| s.to_string_lossy().into_owned());
    let (temperature, passes, seed) = (args.temperature, args.passes, args.seed);
    let measuring = EvaluationSettings { draws, temperature, passes, seed };
    run::measure_network(network, &config, &name, &split, &measuring, session)
}

/// What `run.json` says of a measurement in a folder of its own.
#[derive(Serialize)]
struct Settings<'a> {
    run: &'a Option<PathBuf>,
    features: &'a Option<PathBuf>,
    torch: &'a Option<PathBuf>,
    preset: &'a Option<String>,
    set: &'a [String],
    draws: &'a Option<Vec<u64>>,
    temperature: Option<f64>,
    passes: Option<usize>,
    seed: Option<u64>,
}

/// Where the files go.
enum Target {
    /// A folder of its own.
    Own(Manifest, PathBuf),
    /// The run's folder.
    Run(PathBuf),
}

impl Target {
    /// Known, and known to be usable, before anything is measured.
    fn of(args: &MeasureArgs) -> Result<Self> {
        match (&args.out, &args.run) {
            (Some(out), run) if run.as_ref() != Some(out) => {
                let MeasureArgs {
                    run, features, torch, preset, set, draws, temperature, passes, seed, ..
                } = args;
                let settings = Settings {
                    run,
                    features,
                    torch,
                    preset,
                    set,
                    draws,
                    temperature: *temperature,
                    passes: *passes,
                    seed: *seed,
                };
                let manifest = Manifest::new("measure", &settings)?;
                Folder::check(out, &manifest)?;
                Ok(Self::Own(manifest, out.clone()))
            }
            (_, Some(run)) => Ok(Self::Run(run.clone())),
            (_, None) => Err(Error::argument("--out DIR is needed").into()),
        }
    }
}

/// By how much the columns that know the chance of the batches exactly vary less than the counted ones.
fn ratios(rows: &[LossComponents]) -> Table {
    let mut table =
        Table::new(["n = K+1", "column", "without the chance of the batches", "squared errors, ratio"]);
    for row in rows {
        for (counted, reduced, ratio) in variance_ratios(row) {
            let cells = [counted, reduced].map(|measure| Cell::text(measure.name()));
            let ratio = if ratio.is_finite() { Cell::number(ratio) } else { Cell::text("no variance left") };
            let mut line = vec![Cell::Integer(row.num_draws.get() as i64)];
            line.extend(cells);
            line.push(ratio);
            table.push(line);
        }
    }
    table
}

fn wrote(file: &Path) -> Result<()> {
    print(&format!("wrote {}\n", file.display()))
}
