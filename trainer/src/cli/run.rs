//! `run`: one run of a plan, for a pool, a cluster or whoever starts processes.

use super::print;
use super::session::{SessionArgs, threads};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use theory::interrupt::Interrupt;
use trainer::Error;
use trainer::run::sweep::{claim, data_of, run_one};
use trainer::run::{self, Plan, Progress, Session};

/// Variables in which engines say which task of an array this is.
const INDEX_OF_ENGINES: [&str; 2] = ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"];

#[derive(Args)]
pub(super) struct RunArgs {
    /// The plan: plan.jsonl of a sweep's folder or, with --out, any plan that `trainer sweep` accepts
    #[arg(long, value_name = "FILE")]
    plan: PathBuf,
    /// Number of the run in the plan, counted from 0 [default: $SLURM_ARRAY_TASK_ID or $JOB_COMPLETION_INDEX]
    #[arg(long, value_name = "I")]
    index: Option<usize>,
    /// The id that the run must have
    #[arg(long, value_name = "ID", hide = true)]
    expect: Option<String>,
    /// Folder of the sweep [default: that of plan.jsonl]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    session: SessionArgs,
    /// Threads; the result does not depend on it [default: 1]
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(super) threads: Option<u64>,
    /// Also repeat a run that failed before because its loss, gradient or weights became infinite or NaN
    #[arg(long)]
    retry: bool,
    /// Print nothing
    #[arg(short, long)]
    quiet: bool,
    /// Save and stop when standard input ends: the process that started this one has ended
    #[arg(long, hide = true)]
    attended: bool,
}

impl RunArgs {
    fn index(&self) -> trainer::Result<usize> {
        if let Some(index) = self.index {
            return Ok(index);
        }
        for name in INDEX_OF_ENGINES {
            if let Some(value) = std::env::var_os(name) {
                let text = value.to_string_lossy();
                return text.parse().map_err(|_| Error::argument(format!("${name} = '{text}' is no index")));
            }
        }
        let names = INDEX_OF_ENGINES.map(|name| format!("${name}")).join(" and ");
        Err(Error::argument(format!("--index I is needed: {names} are not set")))
    }
}

pub(super) fn run(args: &RunArgs, interrupt: &Interrupt) -> Result<()> {
    let index = args.index()?;
    let of_plan = || args.plan.parent().filter(|_| args.plan.ends_with(run::plan::FILE));
    let out = args.out.as_deref().or_else(of_plan).ok_or_else(|| {
        let plan = args.plan.display();
        Error::argument(format!("--out DIR is needed: {plan} is not the plan of a sweep's folder"))
    })?;
    let planned = match args.plan == out.join(run::plan::FILE) {
        true => Plan::read_run(&args.plan, index)?,
        false => {
            let plan = Plan::load(&args.plan, &[])?;
            let planned = plan.run(index)?.clone();
            claim(&plan, out, args.session.data.as_deref())?;
            planned
        }
    };
    if let Some(expected) = args.expect.as_ref().filter(|expected| **expected != planned.id()) {
        let message = format!("line {} is the run {}, not {expected}", index + 1, planned.id());
        return Err(Error::data(&args.plan, message).into());
    }
    let device = args.session.open()?;
    let abandoned = Arc::new(AtomicBool::new(false));
    if args.attended {
        let abandoned = Arc::clone(&abandoned);
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            abandoned.store(true, Ordering::Relaxed);
        });
    }
    let stop = || interrupt.requested() || abandoned.load(Ordering::Relaxed);
    // Engines need not know where the data are: the folder of the sweep says it.
    let data = args.session.data.clone().or_else(|| data_of(out));
    let session = Session { data: data.as_deref(), ..args.session.session(&device, true, &stop) };
    let task = Progress::new(args.quiet).task(&planned.name, planned.config.epochs);
    let done = run::with_threads(threads(args.threads), || {
        run_one(out, &planned, &session, args.retry, &task, || interrupt.saving())
    })?;
    let kept = if done.kept { ", kept from before" } else { "" };
    task.finish(&format!("{}{kept}", done.message));
    if !args.quiet {
        print(&format!("{}: {}{kept}\n", planned.name, done.message))?;
    }
    Ok(())
}
