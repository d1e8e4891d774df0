//! `measure`: the loss components of a run, or of anybody's features.

use super::print;
use super::torch::TorchArgs;
use anyhow::Result;
use clap::Args;
use measure::cli::{self, Options};
use serde::Serialize;
use std::path::PathBuf;
use theory::NumDraws;
use trainer::device::DeviceChoice;
use trainer::run::train::Owner;
use trainer::run::{self, EvaluationSettings, Folder, Manifest, Session};
use trainer::{Error, data};

#[derive(Args)]
pub(super) struct MeasureArgs {
    /// Folder of a trained run
    #[arg(long, value_name = "DIR", required_unless_present_any = ["features", "torch"], conflicts_with = "features")]
    run: Option<PathBuf>,
    /// Features of another program: .npz or .safetensors with view1, view2, labels
    #[arg(long, value_name = "FILE", requires = "draws")]
    features: Option<PathBuf>,
    #[command(flatten)]
    torch: TorchArgs,
    #[command(flatten)]
    pub(super) options: Options,
    /// Folder for losses.csv [default: the run's folder]
    #[arg(long, value_name = "DIR", required_unless_present = "run")]
    out: Option<PathBuf>,
    /// Folder of the data sets' files, or of your own images [default: that of the run's training]
    #[arg(long, value_name = "DIR", conflicts_with = "features")]
    data: Option<PathBuf>,
    /// cpu, cuda or cuda:INDEX; auto takes a GPU where there is one
    #[arg(long, value_name = "D", default_value = "cpu")]
    device: DeviceChoice,
}

pub(super) fn measure(args: &MeasureArgs) -> Result<()> {
    let draws = args.options.check().map_err(Error::from)?;
    if args.options.all_pairs && args.features.is_none() {
        return Err(Error::argument(
            "--all-pairs needs --features; of a trained network all pairs are taken anyway",
        )
        .into());
    }
    let target = Target::of(args)?;
    let _owner = match &target {
        Target::Run(path) => {
            // First what is no run: nobody owns that.
            run::run_config(path)?;
            Some(Owner::take(path, &|| false)?)
        }
        Target::Own(..) => None,
    };
    let device = super::open(args.device)?;
    let session = Session { device: &device, ..Session::CPU };
    let measured = run::with_threads(args.options.threads(), || match (&args.run, &args.features) {
        (None, None) if args.torch.torch.is_some() => {
            let settings = settings(&args.options, draws.as_deref());
            args.torch.measure(args.data.as_deref(), &settings, &session, args.options.quiet)
        }
        (Some(path), _) => {
            let (config, manifest) = run::run_config(path)?;
            let folder = args.data.clone().or(manifest.data);
            let split = data::load(&config.data(folder.as_deref()))?;
            split.check()?;
            run::measure_run(path, &split, &settings(&args.options, draws.as_deref()), &session)
        }
        (None, Some(file)) => Ok(args.options.measure(file)?),
        (None, None) => Err(Error::argument("--run DIR, --features FILE or --torch FILE is needed")),
    })?;
    let folder = match target {
        Target::Own(manifest, path) => Folder::create(&path, &manifest)?.path().to_path_buf(),
        Target::Run(path) => path,
    };
    measured.write(&folder)?;
    if !args.options.quiet {
        print(&cli::text(&measured.rows, &folder)?)?;
        print(&measured.written(&folder))?;
    }
    Ok(())
}

fn settings<'a>(options: &'a Options, draws: Option<&'a [NumDraws]>) -> EvaluationSettings<'a> {
    let &Options { temperature, ref temperatures, passes, seed, picture, .. } = options;
    let (temperatures, classifiers) = (temperatures.as_deref(), options.classifiers());
    EvaluationSettings {
        draws,
        temperature,
        temperatures,
        passes,
        seed,
        normalisation: None,
        classifiers,
        picture,
    }
}

/// What `run.json` says of a measurement in a folder of its own.
#[derive(Serialize)]
struct Settings<'a> {
    run: &'a Option<PathBuf>,
    features: &'a Option<PathBuf>,
    #[serde(flatten)]
    torch: &'a TorchArgs,
    draws: &'a Option<Vec<u64>>,
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperatures: &'a Option<Vec<f64>>,
    passes: Option<usize>,
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    linear_ridge: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    linear_standardise: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    knn_k: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    knn_temperature: Option<f64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    all_pairs: bool,
}

/// Where the files go.
enum Target {
    /// A folder of its own.
    Own(Box<Manifest>, PathBuf),
    /// The run's folder.
    Run(PathBuf),
}

impl Target {
    /// Known, and known to be usable, before anything is measured.
    fn of(args: &MeasureArgs) -> Result<Self> {
        match (&args.out, &args.run) {
            (Some(out), run) if run.as_ref() != Some(out) => {
                let MeasureArgs { run, features, torch, options, .. } = args;
                let &Options { ref draws, temperature, ref temperatures, passes, seed, .. } = options;
                let &Options { linear_standardise, knn_k, knn_temperature, all_pairs, .. } = options;
                let settings = Settings {
                    run,
                    features,
                    torch,
                    draws,
                    temperature,
                    temperatures,
                    passes,
                    seed,
                    linear_ridge: options.linear_ridge.map(|ridge| ridge.to_string()),
                    linear_standardise,
                    knn_k,
                    knn_temperature,
                    all_pairs,
                };
                let manifest = Manifest::new("measure", &settings)?;
                Folder::check(out, &manifest)?;
                Ok(Self::Own(Box::new(manifest), out.clone()))
            }
            (_, Some(run)) => Ok(Self::Run(run.clone())),
            (_, None) => Err(Error::argument("--out DIR is needed").into()),
        }
    }
}
