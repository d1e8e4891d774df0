//! `train`: one run.

use super::session::{SessionArgs, threads};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use theory::interrupt::Interrupt;
use trainer::run::sweep::slurm::quoted;
use trainer::run::{self, Preset, Progress, Session};
use trainer::{Error, data};

#[derive(Args)]
pub(super) struct TrainArgs {
    /// Settings that ship, such as digits, cifar10 or ag-news-erase-quick
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
    /// Keep the weights of the best evaluation by [monitor], not the last ones: monitor.keep_best=true
    #[arg(long)]
    keep_best: bool,
    /// Continue an interrupted run from its checkpoint
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    session: SessionArgs,
    /// Threads; small networks gain nothing from more than one, and the result does not depend on it [default: 1]
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(super) threads: Option<u64>,
    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn train(args: &TrainArgs, interrupt: &Interrupt) -> Result<()> {
    let mut set = args.set.clone();
    if args.keep_best {
        set.push("monitor.keep_best=true".into());
    }
    let preset = match (&args.preset, &args.config) {
        (Some(name), _) => Preset::named(name, &set)?,
        (None, Some(file)) => Preset::from_file(file, false, &set)?,
        (None, None) => return Err(Error::argument("--preset NAME or --config FILE is needed").into()),
    };
    let config = preset.config;
    let device = args.session.open()?;
    let split = data::load(&config.data(args.session.data.as_deref()))?;
    split.check()?;
    let (stop, _saving) = (|| interrupt.requested(), interrupt.saving());
    let session = args.session.session(&device, args.resume, &stop);
    let session = Session { tuning: config.tuning(&split), ..session };
    let progress = Progress::new(args.quiet);
    let task = progress.task(&args.out.display().to_string(), config.epochs);
    let trained = run::with_threads(threads(args.threads), || {
        run::train(&config, &split.train, &args.out, &session, &task)
    })?;
    let kept = if trained.kept { ", kept from before" } else { "" };
    task.finish(&format!("mean loss of the last epoch {:.3}{kept}", trained.final_loss));
    progress.line("files: model.safetensors (weights), config.toml (settings), metrics.jsonl (every epoch)");
    let run = quoted(&args.out.display().to_string());
    progress.line(&format!(
        "next: trainer measure --run {run}    # accuracies, losses, bounds: losses.csv, which theory report {run} reads"
    ));
    Ok(())
}
