//! `export`: what a run has learned, for other programs.

use super::print;
use super::session::threads;
use anyhow::Result;
use candle_core::Tensor;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use trainer::device::DeviceChoice;
use trainer::model::{onnx, torch};
use trainer::run::{self, Session};
use trainer::{Error, data};

#[derive(Args)]
pub(super) struct ExportArgs {
    /// Folder of a trained run
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// torch: weights for torch.load(FILE, weights_only=True); safetensors: the same; onnx: encoder and head as a
    /// model for onnxruntime; features: .npz as docs/features.md describes
    #[arg(long, value_name = "WHAT")]
    to: Format,
    /// The file, in place of one of an earlier export [default: weights.pt, weights.safetensors, model.onnx or
    /// features.npz in the run's folder]
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
    /// Print nothing
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Torch,
    Safetensors,
    Onnx,
    Features,
}

impl Format {
    /// Its file in the run's folder.
    fn file(self) -> &'static str {
        match self {
            Self::Torch => "weights.pt",
            Self::Safetensors => "weights.safetensors",
            Self::Onnx => "model.onnx",
            Self::Features => "features.npz",
        }
    }
}

/// Refuses the place of what the run itself left: an export takes the place of nothing but exports there.
fn check_place(out: &Path, run: &Path) -> trainer::Result<()> {
    let name = out.file_name().unwrap_or_default();
    let is_export = Format::value_variants().iter().any(|format| name == format.file());
    if !is_export && out.is_file() && theory::files::is_same_file(out, &run.join(name))? {
        return Err(Error::argument(format!("--out {} is a file of the run itself", out.display())));
    }
    Ok(())
}

pub(super) fn export(args: &ExportArgs) -> Result<()> {
    let out = args.out.clone().unwrap_or_else(|| args.run.join(args.to.file()));
    check_place(&out, &args.run)?;
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
            Format::Onnx => onnx::save(&network()?, &out),
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
