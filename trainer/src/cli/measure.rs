//! `measure`: the loss components of a run, or of anybody's features.

use super::print;
use anyhow::Result;
use clap::Args;
use measure::EvaluatedRun;
use measure::cli::{self, Options};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use theory::NumDraws;
use theory::losses::RunInfo;
use trainer::device::DeviceChoice;
use trainer::run::train::Owner;
use trainer::run::{self, EvaluationSettings, Folder, Manifest, Preset, Session};
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
        (None, None) if args.torch.is_some() => of_torch(args, draws.as_deref(), &session),
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
        print(&cli::text(&measured.rows)?)?;
        print(&format!("wrote {}\n", folder.join("losses.csv").display()))?;
    }
    Ok(())
}

fn settings<'a>(options: &Options, draws: Option<&'a [NumDraws]>) -> EvaluationSettings<'a> {
    let &Options { temperature, passes, seed, .. } = options;
    EvaluationSettings { draws, temperature, passes, seed }
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
    split.check()?;
    let network = config.network(&split.train, session.device)?;
    let ignored = trainer::model::torch::load(&network, file)?;
    if !args.options.quiet && !ignored.is_empty() {
        theory::terminal::say(&format!(
            "warning: {}: {} entries are not used: {}",
            file.display(),
            ignored.len(),
            ignored.join(", ")
        ));
    }
    let name = file.file_stem().map_or(String::new(), |s| s.to_string_lossy().into_owned());
    let mut measured =
        run::measure_network(network, &config, &name, &split, &settings(&args.options, draws), session)?;
    let bytes = ::measure::input::read(file)?;
    let digest = Sha256::new().chain_update(config.settings_id()).chain_update(&bytes).finalize();
    let settings_id: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    for row in &mut measured.rows {
        // Who trained it, and how, the file does not say.
        let RunInfo { run_id, dataset, encoder, head, seed, .. } = std::mem::take(&mut row.run);
        let settings_id = settings_id.clone();
        row.run = RunInfo { run_id, dataset, encoder, head, seed, settings_id, ..RunInfo::default() };
    }
    Ok(measured)
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
    Own(Box<Manifest>, PathBuf),
    /// The run's folder.
    Run(PathBuf),
}

impl Target {
    /// Known, and known to be usable, before anything is measured.
    fn of(args: &MeasureArgs) -> Result<Self> {
        match (&args.out, &args.run) {
            (Some(out), run) if run.as_ref() != Some(out) => {
                let MeasureArgs { run, features, torch, preset, set, options, .. } = args;
                let &Options { ref draws, temperature, passes, seed, .. } = options;
                let settings =
                    Settings { run, features, torch, preset, set, draws, temperature, passes, seed };
                let manifest = Manifest::new("measure", &settings)?;
                Folder::check(out, &manifest)?;
                Ok(Self::Own(Box::new(manifest), out.clone()))
            }
            (_, Some(run)) => Ok(Self::Run(run.clone())),
            (_, None) => Err(Error::argument("--out DIR is needed").into()),
        }
    }
}
