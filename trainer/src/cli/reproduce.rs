//! `reproduce`: a preset's sweep from data to report.

use super::print;
use super::session::SessionArgs;
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use theory::report::Format;
use trainer::data;
use trainer::run::{self, Interrupt, Plan, Preset, Progress};

#[derive(Args)]
pub(super) struct ReproduceArgs {
    /// digits, fashion-mnist, cifar10, cifar100, ag-news-erase, ag-news-replace or hard-negatives; also a shortened form such as cifar10-small
    name: String,
    /// The preset's shortened form: two K, one seed, few epochs, few samples
    #[arg(long)]
    quick: bool,
    /// Folder for runs, losses.csv and report.html [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Numbers of draws n = K+1, such as 16,32,64
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    draws: Option<Vec<usize>>,
    /// Seeds, such as 7,11,13
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    seeds: Option<Vec<u64>>,
    /// Temperatures t, such as 0.1,0.5: a second axis of the sweep
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    temperatures: Option<Vec<f64>>,
    /// Train every K with this batch size, K negatives drawn per anchor, so that K alone moves
    #[arg(long, value_name = "B")]
    fixed_batch: Option<usize>,
    /// Override a setting of the preset, such as epochs=20 or sweep.supervised=false
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    session: SessionArgs,
    /// Runs at a time, each on one thread [default: all cores; on a GPU, 1]
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// Say nothing but the final tables
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn reproduce(args: &ReproduceArgs) -> Result<()> {
    if args.name == "studies" {
        return studies(args);
    }
    let name = match args.quick && !args.name.ends_with("-quick") {
        true => format!("{}-quick", args.name),
        false => args.name.clone(),
    };
    let Preset { config: base, grid } = Preset::named(&name, &args.set)?;
    let mut grid = grid.unwrap_or_default();
    if let Some(draws) = &args.draws {
        grid.draws.clone_from(draws);
    }
    if let Some(seeds) = &args.seeds {
        grid.seeds.clone_from(seeds);
    }
    if let Some(temperatures) = &args.temperatures {
        grid.temperatures.clone_from(temperatures);
    }
    grid.fixed_batch = args.fixed_batch.or(grid.fixed_batch);
    let plan = Plan { base, grid };
    let device = args.session.open()?;
    let all = if device.is_cpu() { run::available_threads() } else { 1 };
    let jobs = args.threads.map_or(all, |t| t as usize);
    let progress = Progress::new(args.quiet);
    let start = std::time::Instant::now();
    let split = data::load(&plan.base.data(args.session.data.as_deref()))?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&name));
    let interrupt = Interrupt::install()?;
    let stop = || interrupt.requested();
    let session = args.session.session(&device, true, &stop);
    let done = run::reproduce(&plan, &split, &out, jobs, &session, &progress)?;
    for table in [&done.measured, &done.bounds, &done.accuracies].into_iter().chain(&done.compared) {
        print(&format!("{}\n", table.to_text(Format::Table)))?;
    }
    progress.line(&format!(
        "{:.0} s in all; report: {}",
        start.elapsed().as_secs_f64(),
        done.report.display()
    ));
    Ok(())
}

/// All studies; their settings are their own.
fn studies(args: &ReproduceArgs) -> Result<()> {
    let fixed = [
        ("--draws", args.draws.is_some()),
        ("--seeds", args.seeds.is_some()),
        ("--temperatures", args.temperatures.is_some()),
        ("--fixed-batch", args.fixed_batch.is_some()),
        ("--set", !args.set.is_empty()),
    ];
    if let Some((name, _)) = fixed.iter().find(|(_, given)| *given) {
        return Err(trainer::Error::argument(format!(
            "{name}: the studies have settings of their own; repeat one with the command that the page names"
        ))
        .into());
    }
    let device = args.session.open()?;
    let all = if device.is_cpu() { run::available_threads() } else { 1 };
    let jobs = args.threads.map_or(all, |t| t as usize);
    let progress = Progress::new(args.quiet);
    let start = std::time::Instant::now();
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("runs/studies"));
    let interrupt = Interrupt::install()?;
    let stop = || interrupt.requested();
    let session = args.session.session(&device, true, &stop);
    let done = run::studies(args.quick, &out, jobs, &session, &progress)?;
    print(&format!("{}\n", done.works.to_text(Format::Markdown)))?;
    progress.line(&format!(
        "{:.0} s in all; report: {}",
        start.elapsed().as_secs_f64(),
        done.report.display()
    ));
    Ok(())
}
