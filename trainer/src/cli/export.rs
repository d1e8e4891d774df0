//! `export`: what a run has learned, for other programs.

use super::print;
use super::session::threads;
use anyhow::Result;
use candle_core::Tensor;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use trainer::device::DeviceChoice;
use trainer::model::torch;
use trainer::run::{self, Session};
use trainer::{Error, data};

#[derive(Args)]
pub(super) struct ExportArgs {
    /// Folder of a trained run
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// torch: weights for torch.load(FILE, weights_only=True); safetensors: the same; features: .npz, as
    /// docs/features.md
    #[arg(long, value_name = "WHAT")]
    to: Format,
    /// The file [default: weights.pt, weights.safetensors or features.npz in the run's folder]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Folder of the data sets' files [default: that of the run's training]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// cpu, cuda or cuda:INDEX; auto takes a GPU where there is one
    #[arg(long, value_name = "D", default_value = "cpu")]
    device: DeviceChoice,
    /// Threads; the result does not depend on it [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(super) threads: Option<u64>,
    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Torch,
    Safetensors,
    Features,
}

pub(super) fn export(args: &ExportArgs) -> Result<()> {
    let name = match args.to {
        Format::Torch => "weights.pt",
        Format::Safetensors => "weights.safetensors",
        Format::Features => "features.npz",
    };
    let out = args.out.clone().unwrap_or_else(|| args.run.join(name));
    let device = super::open(args.device)?;
    let session = Session { device: &device, ..Session::CPU };
    run::with_threads(threads(args.threads), || {
        let (config, manifest) = run::run_config(&args.run)?;
        let folder = args.data.clone().or(manifest.data);
        let split = data::load(&config.data(folder.as_deref()))?;
        split.check()?;
        let network = || run::load_network(&args.run, &config, &split.train, &device);
        match args.to {
            Format::Torch => torch::save(&network()?, &out),
            Format::Safetensors => torch::save_safetensors(&network()?, &out),
            Format::Features => save_npz(&run::exported_features(&args.run, &split, &session)?, &out),
        }
    })?;
    if !args.quiet {
        print(&format!("wrote {}\n", out.display()))?;
    }
    Ok(())
}

/// The arrays in an archive of numpy's.
fn save_npz(arrays: &[(&str, Tensor)], path: &Path) -> trainer::Result<()> {
    // The tensor library writes to a path only, and not atomically.
    let folder = tempfile::tempdir().map_err(|e| Error::io(path, e))?;
    let file = folder.path().join("features.npz");
    Tensor::write_npz(arrays, &file)?;
    let bytes = std::fs::read(&file).map_err(|e| Error::io(&file, e))?;
    Ok(theory::files::write_atomically(path, &bytes)?)
}
